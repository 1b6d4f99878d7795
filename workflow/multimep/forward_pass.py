"""ESM-2's forward pass as a differentiable function of fair-esm's modules, for training and for attention maps.

The same function of the same parameters in batch-major order with fused projections, without the heads; `encoder` holds
the one for inference.
"""

import esm
import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional

from multimep.precision import Precision


def autocast(device: str, precision: Precision) -> torch.autocast:
    """The context in which matrix products run in `precision`; parameters and layer norms stay in fp32."""
    return torch.autocast(torch.device(device).type, torch.bfloat16, enabled=precision == "bf16")


def encode(model: esm.ESM2, tokens: Int[Tensor, "batch tokens"]) -> Float[Tensor, "batch tokens width"]:
    """The hidden states that `model.lm_head` reads, of tokens without padding: fair-esm's forward without its heads."""
    x: Tensor = embedded(model, tokens)
    rotation = _rotation(model, tokens.shape[1])
    for layer in model.layers:
        x = x + _attend(layer.self_attn, layer.self_attn_layer_norm(x), rotation)
        x = x + layer.fc2(functional.gelu(layer.fc1(layer.final_layer_norm(x))))
    hidden: Tensor = model.emb_layer_norm_after(x)
    return hidden


def embedded(model: esm.ESM2, tokens: Int[Tensor, "batch tokens"]) -> Float[Tensor, "batch tokens width"]:
    """What the first layer reads: the tokens' embeddings, scaled for token dropout as fair-esm does."""
    return scaled(model, model.embed_tokens(tokens), tokens)


def scaled(
    model: esm.ESM2, x: Float[Tensor, "*batch tokens width"], tokens: Int[Tensor, "*batch tokens"]
) -> Float[Tensor, "*batch tokens width"]:
    """The tokens' embeddings x as token dropout has them: those of masks zero, the others scaled for their share."""
    if not model.token_dropout:
        return x
    # (1 - 0.15 * 0.8) / (1 - observed share of masks)
    masked = tokens == model.mask_idx
    scale = (1 - 0.15 * 0.8) / (1 - masked.float().mean(-1))
    found: Tensor = x.masked_fill(masked[..., None], 0.0) * scale[..., None, None]
    return found


def attention(model: esm.ESM2, tokens: Int[Tensor, "1 tokens"]) -> Float[Tensor, "length length"]:
    """Mean over heads and layers of the corrected maps between residues (no BOS, no EOS), layer by layer."""
    x: Tensor = embedded(model, tokens)
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


def _rotate(x: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
    first, second = x.chunk(2, dim=-1)
    turned = torch.cat((-second, first), dim=-1)
    return x * cosine.to(x.dtype) + turned * sine.to(x.dtype)
