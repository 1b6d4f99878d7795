"""A protein language model (PLM): tokens, hidden states and log-probabilities of an ESM-2 model.

Everything that multimep asks of a PLM passes through `LanguageModel`; fair-esm supplies the network. The columns of
every table over amino acids stand in the order of `mutations.AMINO_ACIDS`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import esm
import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional

from multimep import checkpoints
from multimep.mutations import AMINO_ACIDS, check_residues

MINI = Path(__file__).parent / "mini" / "mini.safetensors"
MAX_LENGTH = 1022  # ESM-2 was trained on at most 1024 tokens: BOS, 1022 residues, EOS

Precision = Literal["fp32", "bf16"]

ALPHABET = esm.data.Alphabet.from_architecture("ESM-1b")
AMINO_ACID_TOKENS = np.array([ALPHABET.get_idx(letter) for letter in AMINO_ACIDS])
_TOKEN_OF_BYTE = np.full(256, ALPHABET.unk_idx)
_TOKEN_OF_BYTE[np.frombuffer(AMINO_ACIDS.encode(), np.uint8)] = AMINO_ACID_TOKENS


class LanguageModelError(ValueError):
    """Sequences that the language model cannot take; the message names the length or letter and the limit."""


@dataclass(frozen=True)
class LanguageModel:
    """An ESM-2 model in eval mode; `sha256` is the hash of its file and `precision` that of its matrix products."""

    name: str
    sha256: str
    model: esm.ESM2
    precision: Precision = "fp32"
    device: str = "cpu"

    @property
    def width(self) -> int:
        """Features per residue."""
        return int(self.model.embed_dim)

    @property
    def layers(self) -> int:
        """Transformer layers."""
        return int(self.model.num_layers)

    @property
    def max_length(self) -> int:
        """The longest sequence in residues; a longer one is refused, never cut."""
        return MAX_LENGTH

    def tokens(self, sequences: Sequence[str]) -> Int[Tensor, "batch tokens"]:
        """BOS, the residues and EOS of sequences of one length: length + 2 tokens; else LanguageModelError."""
        _check_sequences(sequences)
        letters = np.frombuffer("".join(sequences).encode(), np.uint8).reshape(len(sequences), -1)
        tokens = np.pad(_TOKEN_OF_BYTE[letters], ((0, 0), (1, 1)))
        tokens[:, 0], tokens[:, -1] = ALPHABET.cls_idx, ALPHABET.eos_idx
        return torch.from_numpy(tokens).to(self.device)

    def hidden_states(self, sequences: Sequence[str], layer: int | None = None) -> Float[Tensor, "batch length width"]:
        """The states of the residues (no BOS, no EOS) after `layer`, in fp32.

        Layer 0 is the embedding; the default is the last one, after the final layer norm, as fair-esm counts them.
        """
        layer = self.layers if layer is None else layer
        if not 0 <= layer <= self.layers:
            raise LanguageModelError(f"{self.name} has layers 0 to {self.layers}, not {layer}")
        tokens = self.tokens(sequences)
        states: Tensor = (
            self._encode(tokens) if layer == self.layers else self._forward(tokens, layer)["representations"][layer]
        )
        return states[:, 1:-1].float()

    def log_probabilities(self, sequences: Sequence[str]) -> Float[Tensor, "batch length 20"]:
        """Log-softmax over the twenty amino acids (columns as in AMINO_ACIDS) at every residue, nothing masked."""
        return self._log_probabilities(self.tokens(sequences))

    def wild_type_marginals(self, wild_type: str) -> Float[Tensor, "length 20"]:
        """Log-probabilities at every residue with the whole wild type in sight: one forward pass."""
        return self.log_probabilities([wild_type])[0]

    def masked_marginals(self, wild_type: str, batch_size: int = 32) -> Float[Tensor, "length 20"]:
        """Log-probabilities at every residue with that residue masked: one masked copy per residue, in batches."""
        tokens = self.tokens([wild_type])[0]
        positions = torch.arange(1, len(tokens) - 1, device=self.device)
        return torch.cat([self._masked_at(tokens, chunk) for chunk in torch.split(positions, batch_size)])

    @torch.no_grad()
    def attention(self, wild_type: str) -> Float[Tensor, "length length"]:
        """How much residues attend to one another, mean over all heads of all layers, symmetric: one forward pass.

        Each head's map is symmetrised, and what a residue attends to on average is taken off (average product
        correction), as Rao et al. 2021 do before their regression on contacts, whose weights ESM-2's files lack.
        """
        with autocast(self.device, self.precision):
            return attention(self.model, self.tokens([wild_type]))

    def _masked_at(self, tokens: Int[Tensor, " tokens"], positions: Int[Tensor, " batch"]) -> Float[Tensor, "batch 20"]:
        rows = torch.arange(len(positions), device=self.device)
        masked = tokens.repeat(len(positions), 1)
        masked[rows, positions] = ALPHABET.mask_idx
        return self._log_probabilities(masked)[rows, positions - 1]

    def _log_probabilities(self, tokens: Int[Tensor, "batch tokens"]) -> Float[Tensor, "batch length 20"]:
        columns = torch.from_numpy(AMINO_ACID_TOKENS).to(self.device)
        logits = self._forward(tokens)["logits"][:, 1:-1].float()
        # log p(a | i) = z_ia - log sum_b exp z_ib, over the twenty amino acids only
        return torch.log_softmax(logits[..., columns], dim=-1)

    @torch.no_grad()
    def _encode(self, tokens: Int[Tensor, "batch tokens"]) -> Float[Tensor, "batch tokens width"]:
        with autocast(self.device, self.precision):
            return encode(self.model, tokens)

    @torch.no_grad()
    def _forward(self, tokens: Int[Tensor, "batch tokens"], *layers: int) -> dict[str, Any]:
        with autocast(self.device, self.precision):
            output: dict[str, Any] = self.model(tokens, repr_layers=layers)
        return output


def autocast(device: str, precision: Precision) -> torch.autocast:
    """The context in which matrix products run in `precision`; parameters and layer norms stay in fp32."""
    return torch.autocast(torch.device(device).type, torch.bfloat16, enabled=precision == "bf16")


def encode(model: esm.ESM2, tokens: Int[Tensor, "batch tokens"]) -> Float[Tensor, "batch tokens width"]:
    """The hidden states that `model.lm_head` reads, of tokens without padding: fair-esm's forward without its heads.

    The same function of the same parameters in batch-major order with fused projections; several times as fast.
    """
    x: Tensor = _embed(model, tokens)
    rotation = _rotation(model, tokens.shape[1])
    for layer in model.layers:
        x = x + _attend(layer.self_attn, layer.self_attn_layer_norm(x), rotation)
        x = x + layer.fc2(functional.gelu(layer.fc1(layer.final_layer_norm(x))))
    hidden: Tensor = model.emb_layer_norm_after(x)
    return hidden


def _embed(model: esm.ESM2, tokens: Int[Tensor, "batch tokens"]) -> Float[Tensor, "batch tokens width"]:
    x: Tensor = model.embed_tokens(tokens)
    if not model.token_dropout:
        return x
    # masked embeddings are zero; the others are scaled by (1 - 0.15 * 0.8) / (1 - observed share of masks)
    masked = tokens == ALPHABET.mask_idx
    scale = (1 - 0.15 * 0.8) / (1 - masked.float().mean(-1))
    scaled: Tensor = x.masked_fill(masked[..., None], 0.0) * scale[:, None, None]
    return scaled


def _rotation(model: esm.ESM2, length: int) -> tuple[Tensor, Tensor]:
    # angle of position t and pair i: t * 10000^(-2i/d)
    frequencies = model.layers[0].self_attn.rot_emb.inv_freq
    angles = torch.outer(torch.arange(length, device=frequencies.device, dtype=frequencies.dtype), frequencies)
    angles = torch.cat((angles, angles), dim=-1)
    return angles.cos(), angles.sin()


def _attend(
    attention: esm.multihead_attention.MultiheadAttention,
    x: Float[Tensor, "batch tokens width"],
    rotation: tuple[Tensor, Tensor],
) -> Float[Tensor, "batch tokens width"]:
    weights, v = _weights(attention, x, rotation)
    projected: Tensor = attention.out_proj((weights @ v).transpose(1, 2).flatten(2))
    return projected


def _weights(
    attention: esm.multihead_attention.MultiheadAttention,
    x: Float[Tensor, "batch tokens width"],
    rotation: tuple[Tensor, Tensor],
) -> tuple[Float[Tensor, "batch heads tokens tokens"], Float[Tensor, "batch heads tokens features"]]:
    """What each token takes from each, and the values that it takes."""
    projections = (attention.q_proj, attention.k_proj, attention.v_proj)
    weight = torch.cat([projection.weight for projection in projections])
    bias = torch.cat([projection.bias for projection in projections])
    heads = functional.linear(x, weight, bias).view(*x.shape[:2], 3, attention.num_heads, attention.head_dim)
    q, k, v = heads.permute(2, 0, 3, 1, 4)
    # softmax(q k' / sqrt d) v, written out: on CPUs faster than the fused kernel at these sizes
    q, k = _rotate(q * attention.scaling, *rotation), _rotate(k, *rotation)
    return torch.softmax(q @ k.transpose(-1, -2), dim=-1), v


def attention(model: esm.ESM2, tokens: Int[Tensor, "1 tokens"]) -> Float[Tensor, "length length"]:
    """Mean over heads and layers of the corrected maps between residues (no BOS, no EOS), layer by layer."""
    x: Tensor = _embed(model, tokens)
    rotation, maps = _rotation(model, tokens.shape[1]), []
    for layer in model.layers:
        normed = layer.self_attn_layer_norm(x)
        weights = _weights(layer.self_attn, normed, rotation)[0][0, :, 1:-1, 1:-1].float()
        maps.append(_corrected(weights + weights.transpose(-1, -2)).mean(dim=0))
        x = x + _attend(layer.self_attn, normed, rotation)
        x = x + layer.fc2(functional.gelu(layer.fc1(layer.final_layer_norm(x))))
    return torch.stack(maps).mean(dim=0)


def _corrected(a: Float[Tensor, "heads length length"]) -> Float[Tensor, "heads length length"]:
    # a_ij - a_i. a_.j / a_..
    return a - a.sum(-1, keepdim=True) * a.sum(-2, keepdim=True) / a.sum((-1, -2), keepdim=True)


def _rotate(x: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
    first, second = x.chunk(2, dim=-1)
    turned = torch.cat((-second, first), dim=-1)
    return x * cosine.to(x.dtype) + turned * sine.to(x.dtype)


def _check_sequences(sequences: Sequence[str]) -> None:
    lengths = sorted({len(sequence) for sequence in sequences})
    if len(lengths) != 1 or lengths[0] == 0:
        raise LanguageModelError(f"sequences of one length above zero are needed, these have lengths {lengths}")
    if lengths[0] > MAX_LENGTH:
        raise LanguageModelError(
            f"a sequence of {lengths[0]} residues exceeds the {MAX_LENGTH} of ESM-2; choose the domain that was mutated"
        )
    for sequence in sequences:
        check_residues(sequence)


def locate(
    name: str, *, directory: Path | None, cache: Path | None, mirror: str | None, sha256: str | None
) -> tuple[Path, str | None]:
    """The file of ``mini``, a published checkpoint or a path, and the sha256 it must have; see `checkpoints.locate`."""
    if name == "mini":
        return MINI, sha256
    return checkpoints.locate(name, directory=directory, cache=cache, mirror=mirror, sha256=sha256)


def load(
    name: str,
    *,
    directory: Path | None = None,
    cache: Path | None = None,
    mirror: str | None = None,
    sha256: str | None = None,
    precision: Precision = "fp32",
    device: str = "cpu",
) -> LanguageModel:
    """Load ``mini`` (shipped with the package), a checkpoint of `checkpoints.CHECKPOINTS` or a .pt/.safetensors file.

    A named checkpoint is looked for as `directory`/NAME.pt, then downloaded to `cache` and verified. bf16 halves the
    time where the processor has it. Raises CheckpointError with the remedy.
    """
    device = _device(device)
    path, expected = locate(name, directory=directory, cache=cache, mirror=mirror, sha256=sha256)
    model, found = checkpoints.read(path, expected)
    return LanguageModel(name, found, model.to(device), precision, device)


def _device(device: str) -> str:
    """The device to run on; `auto` is cuda where torch finds it."""
    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        kind = torch.device(device).type
    except RuntimeError as error:
        raise LanguageModelError(f"no device {device!r}; set device to cpu or cuda") from error
    if kind == "cuda" and not torch.cuda.is_available():
        raise LanguageModelError(f"device {device!r}: this torch finds no CUDA GPU; set device to cpu")
    return device
