"""An ESM-2 model's forward as training wants it: from any layer on, with a backward that copies and stores little.

The same function of the same parameters as `forward_pass.encode`. Low-rank matrices are added to what a projection
gives, not to its weight, so that no gradient of the frozen weight is ever computed.
"""

import math
from collections.abc import Sequence
from typing import Any

import esm
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from multimep.forward_pass import embedded
from multimep.low_rank import frozen_and_learned

Rotation = tuple[Tensor, Tensor]


def below(model: esm.ESM2, tokens: Int[Tensor, "batch tokens"], first: int) -> Float[Tensor, "batch tokens width"]:
    """The states that layer `first` (from 0) reads, in fp32; tokens have no padding."""
    return _through(model, embedded(model, tokens), range(first), checkpointing=False)


def above(
    model: esm.ESM2, x: Float[Tensor, "batch tokens width"], first: int, checkpointing: bool = False
) -> Float[Tensor, "batch tokens width"]:
    """The hidden states that follow from what layer `first` reads; `checkpointing` keeps one state a layer."""
    hidden: Tensor = model.emb_layer_norm_after(_through(model, x, range(first, len(model.layers)), checkpointing))
    return hidden


def _through(model: esm.ESM2, x: Tensor, layers: range, checkpointing: bool) -> Tensor:
    rotation = rotation_of(model, x.shape[1])
    for index in layers:
        if checkpointing:
            x = checkpoint(_layer, model.layers[index], x, rotation, use_reentrant=False, preserve_rng_state=False)
        else:
            x = _layer(model.layers[index], x, rotation)
    return x


def _layer(layer: esm.modules.TransformerLayer, x: Tensor, rotation: Rotation) -> Tensor:
    # in the residual's own precision: sums of mixed ones are slow on CPUs
    x = x + _attend(layer.self_attn, layer.self_attn_layer_norm(x), rotation).to(x.dtype)
    inner = functional.gelu(_project([layer.fc1], layer.final_layer_norm(x)))
    return x + _project([layer.fc2], inner).to(x.dtype)


def _attend(attention: esm.multihead_attention.MultiheadAttention, x: Tensor, rotation: Rotation) -> Tensor:
    projected = _project([attention.q_proj, attention.k_proj, attention.v_proj], x)
    heads = projected.view(*x.shape[:2], 3, attention.num_heads, attention.head_dim)
    return _project([attention.out_proj], attended(heads, rotation))


def _project(projections: Sequence[nn.Linear], x: Tensor) -> Tensor:
    """What the projections give, side by side; one matrix product where all of their weights learn or none does."""
    split = [frozen_and_learned(projection) for projection in projections]
    if any(learned for _, learned in split):
        parts = [
            functional.linear(x, frozen, one.bias) + (learned.path(x) if learned else 0.0)
            for one, (frozen, learned) in zip(projections, split, strict=True)
        ]
        return torch.cat(parts, dim=-1) if len(parts) > 1 else parts[0]
    if len(projections) == 1:
        return functional.linear(x, projections[0].weight, projections[0].bias)
    weight = torch.cat([projection.weight for projection in projections])
    return functional.linear(x, weight, torch.cat([projection.bias for projection in projections]))


def rotation_of(model: esm.ESM2, length: int) -> Rotation:
    """Cosine and sine of the angles of each position (rows) and pair of features: t * 10000^(-2i/d)."""
    frequencies = model.layers[0].self_attn.rot_emb.inv_freq
    angles = torch.outer(torch.arange(length, device=frequencies.device, dtype=frequencies.dtype), frequencies)
    return angles.cos(), angles.sin()


def attended(
    heads: Float[Tensor, "batch tokens 3 heads features"], rotation: Rotation
) -> Float[Tensor, "batch tokens width"]:
    """Attention as it is fastest on this device: what each token takes from the others."""
    with torch.autocast(heads.device.type, enabled=False):
        return fused(heads, rotation) if heads.is_cuda else written_out(heads, rotation)


def fused(
    heads: Float[Tensor, "batch tokens 3 heads features"], rotation: Rotation
) -> Float[Tensor, "batch tokens width"]:
    """Attention by torch's fused kernel, which stores no map of tokens by tokens: for GPUs."""
    q, k, v = heads.permute(2, 0, 3, 1, 4)
    q, k = _rotated(q, *rotation), _rotated(k, *rotation)
    taken: Tensor = functional.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
    return taken


def written_out(
    heads: Float[Tensor, "batch tokens 3 heads features"], rotation: Rotation
) -> Float[Tensor, "batch tokens width"]:
    """Attention by matrix products with a backward of its own: for CPUs, whose fused kernel goes back slowly."""
    taken: Tensor = _WrittenOut.apply(heads, *rotation)  # type: ignore[no-untyped-call]
    return taken


class _WrittenOut(torch.autograd.Function):
    """o = softmax(q k' / sqrt d) v with rotated q and k; the maps stay in the precision of the products."""

    @staticmethod
    def forward(ctx: Any, heads: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
        q, k, v = heads.permute(2, 0, 3, 1, 4)
        root = 1 / math.sqrt(heads.shape[-1])
        q, k, v = _rotated(q, cosine * root, sine * root), _rotated(k, cosine, sine), v.contiguous()
        weights = torch.softmax(q @ k.transpose(-1, -2), dim=-1)
        ctx.save_for_backward(q, k, v, weights, cosine, sine)
        taken: Tensor = (weights @ v).transpose(1, 2).flatten(2)
        return taken

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        q, k, v, weights, cosine, sine = ctx.saved_tensors
        batch, heads, tokens, features = v.shape
        down = gradients[0].view(batch, tokens, heads, features).transpose(1, 2).contiguous()
        # dS = A * (dA - sum_j A dA), dA = do v'; dq = R' dS k / sqrt d, dk = R' dS' q, dv = A' do
        scores = torch._softmax_backward_data(down @ v.transpose(-1, -2), weights, -1, weights.dtype)
        found = torch.empty(batch, tokens, 3, heads, features, dtype=v.dtype, device=v.device)
        to_q, to_k, to_v = found.permute(2, 0, 3, 1, 4)
        root = 1 / math.sqrt(features)
        to_q.copy_(_rotated(scores @ k, cosine * root, -sine * root))
        to_k.copy_(_rotated(scores.transpose(-1, -2) @ q, cosine, -sine))
        to_v.copy_(weights.transpose(-1, -2) @ down)
        return found, None, None


def _rotated(x: Float[Tensor, "batch heads tokens features"], cosine: Tensor, sine: Tensor) -> Tensor:
    # (a, b) -> (a cos - b sin, b cos + a sin), pair by pair, in fp32
    a, b = x.float().chunk(2, dim=-1)
    return torch.cat((a * cosine - b * sine, b * cosine + a * sine), dim=-1).to(x.dtype)
