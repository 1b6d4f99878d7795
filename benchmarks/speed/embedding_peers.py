"""Embedding as others do it, with the same weights: fair-esm's own extraction and Hugging Face's EsmModel.

fair-esm (MIT) is run as its scripts/extract.py runs it: batches of at most 4,096 tokens, its batch converter, its
forward with logits, means over the residues; the files that it writes per sequence are left out. Hugging Face's
transformers (Apache-2.0, `pip install --group bench`) gets tokens and batches from us, which is less work than its own.
"""

from collections.abc import Callable, Sequence
from importlib.util import find_spec

import esm
import torch
from torch import Tensor

from multimep.language_model import ALPHABET, LanguageModel

TOKENS_PER_BATCH = 4096  # the default of fair-esm's script
Embed = Callable[[Sequence[str]], Tensor]


def fair_esm(model: esm.ESM2, device: str, *, autocast: bool) -> Embed:
    """Mean last states, shape (n, width), by the loop of fair-esm's script."""
    convert, layer = ALPHABET.get_batch_converter(), model.num_layers

    def embed(sequences: Sequence[str]) -> Tensor:
        dataset = esm.FastaBatchedDataset(list(map(str, range(len(sequences)))), list(sequences))
        batches = dataset.get_batch_indices(TOKENS_PER_BATCH, extra_toks_per_seq=1)
        found = {}
        with torch.no_grad(), torch.autocast(torch.device(device).type, torch.bfloat16, enabled=autocast):
            for labels, texts, tokens in torch.utils.data.DataLoader(
                dataset, collate_fn=convert, batch_sampler=batches
            ):
                out = model(tokens.to(device), repr_layers=[layer], return_contacts=False)
                out["logits"].to("cpu")
                states = out["representations"][layer].to("cpu")
                found |= {
                    int(label): states[row, 1 : len(text) + 1].mean(0)
                    for row, (label, text) in enumerate(zip(labels, texts, strict=True))
                }
        return torch.stack([found[row] for row in range(len(sequences))]).float()

    return embed


def has_hugging_face() -> bool:
    """Whether transformers is installed."""
    return find_spec("transformers") is not None


def hugging_face(ours: LanguageModel, dtype: torch.dtype) -> Embed:
    """Mean last states by EsmModel with scaled_dot_product_attention, all weights in `dtype`."""
    model = _copied(ours.model).to(dtype).to(ours.device)

    @torch.inference_mode()
    def embed(sequences: Sequence[str]) -> Tensor:
        size = ours.at_once(len(sequences[0]))
        batches = (sequences[start : start + size] for start in range(0, len(sequences), size))
        states = (model(ours.tokens(batch)).last_hidden_state[:, 1:-1] for batch in batches)
        return torch.cat([one.mean(dim=1).float().cpu() for one in states])

    return embed


def _copied(model: esm.ESM2) -> torch.nn.Module:
    from transformers import EsmConfig, EsmModel  # noqa: PLC0415 (an optional peer)

    config = EsmConfig(
        vocab_size=len(ALPHABET.all_toks),
        mask_token_id=ALPHABET.mask_idx,
        pad_token_id=ALPHABET.padding_idx,
        hidden_size=model.embed_dim,
        num_hidden_layers=model.num_layers,
        num_attention_heads=model.attention_heads,
        intermediate_size=4 * model.embed_dim,
        position_embedding_type="rotary",
        emb_layer_norm_before=False,
        token_dropout=model.token_dropout,
        layer_norm_eps=1e-5,
        attn_implementation="sdpa",
    )
    copy = EsmModel(config, add_pooling_layer=False).eval()
    with torch.no_grad():
        copy.embeddings.word_embeddings.load_state_dict(model.embed_tokens.state_dict())
        copy.encoder.emb_layer_norm_after.load_state_dict(model.emb_layer_norm_after.state_dict())
        for theirs, own in zip(copy.encoder.layer, model.layers, strict=True):
            attention = theirs.attention.self
            pairs = (
                (attention.query, own.self_attn.q_proj),
                (attention.key, own.self_attn.k_proj),
                (attention.value, own.self_attn.v_proj),
                (theirs.attention.output.dense, own.self_attn.out_proj),
                (theirs.attention.LayerNorm, own.self_attn_layer_norm),
                (theirs.LayerNorm, own.final_layer_norm),
                (theirs.intermediate.dense, own.fc1),
                (theirs.output.dense, own.fc2),
            )
            for one, other in pairs:
                one.load_state_dict(other.state_dict())
    return copy
