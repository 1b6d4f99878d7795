"""ESM-2's forward pass for inference, prepared once per model: several times as fast as fair-esm's, equal in value.

What is prepared: one matrix for queries, keys and values with the scale of attention in it; matrices in the precision
of the products, those of bf16 on a processor in oneDNN's own order (1.4 times as fast at 8M; in fp32 no gain over MKL);
rotary angles of a length. The residual stream, layer norms and rotations stay in fp32. Sequences of a batch have one
length, so nothing is padded and nothing is masked out.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from typing import NamedTuple

import esm
import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional

from multimep.forward_pass import embedded
from multimep.precision import Precision

SHORT = 96
"""Tokens up to which attention is written out in fp32 on a processor: at 58 tokens 1.3 to 1.9 times as fast as torch's
fused kernel in either precision, at 162 and 502 not faster (measured on one core with AMX)."""
LENGTHS_KEPT = 8
DTYPES: dict[str, torch.dtype] = {"fp32": torch.float32, "bf16": torch.bfloat16}


class Linear(NamedTuple):
    """x W' + b; `packed`: W is in oneDNN's order."""

    weight: Tensor
    bias: Tensor
    packed: bool


class Norm(NamedTuple):
    """Layer norm's weight and bias, fp32."""

    weight: Tensor
    bias: Tensor


class Layer(NamedTuple):
    """One transformer layer; `inputs` gives queries, keys and values of all heads, queries already scaled."""

    before_attention: Norm
    inputs: Linear
    outputs: Linear
    before_hidden: Norm
    widen: Linear
    narrow: Linear


@dataclass(frozen=True)
class Encoder:
    """The prepared model; weights that change after `prepare` are not seen.

    Attributes:
        model: whose embedding and final layer norm are used as they are.
        layers: prepared.
        step: runs one layer on (batch, tokens, width); `_step` or its compiled form.
        compiled: whether it is compiled.
        precision: of the matrix products.
    """

    model: esm.ESM2
    layers: tuple[Layer, ...]
    step: Callable[[Tensor, Layer, Tensor, int], Tensor]
    compiled: bool
    precision: Precision
    rotations: dict[int, Tensor] = field(default_factory=dict)

    @torch.inference_mode()
    def hidden(
        self, tokens: Int[Tensor, "batch tokens"], layer: int | None = None
    ) -> Float[Tensor, "batch tokens width"]:
        """The states after `layer` in fp32, as fair-esm counts: 0 is the embedding, the last has its layer norm."""
        x, rotation = embedded(self.model, tokens), self._rotation(tokens)
        count = len(self.layers) if layer is None else layer
        for one in self.layers[:count]:
            x = self.step(x, one, rotation, self.model.attention_heads)
        if count < len(self.layers):
            return x
        final: Tensor = self.model.emb_layer_norm_after(x)
        return final

    def _rotation(self, tokens: Int[Tensor, "batch tokens"]) -> Tensor:
        length = tokens.shape[1]
        if length not in self.rotations:
            if len(self.rotations) >= LENGTHS_KEPT:
                self.rotations.clear()
            as_numbers = self.compiled or tokens.device.type != "cpu"
            self.rotations[length] = (_angles if as_numbers else _turns)(self.model, length)
        return self.rotations[length]


def prepare(model: esm.ESM2, precision: Precision, *, compiled: bool = False) -> Encoder:
    """An encoder of `model` on its device.

    `compiled`: each layer goes through torch.compile, which fuses what stands between the matrix products, for a GPU
    and many sequences. On a processor it took 40 s for the first batch and was then 0.75 times as fast (8M, length 56,
    bf16).
    """
    with torch.no_grad():
        on_processor = model.embed_tokens.weight.device.type == "cpu"
        packed = precision == "bf16" and on_processor and not compiled and can_pack()
        layers = tuple(_layer(one, precision, packed) for one in model.layers)
    return Encoder(model, layers, torch.compile(_step) if compiled else _step, compiled, precision)


@cache
def can_pack() -> bool:
    """Whether oneDNN's own order of weights works here; torch made it for its compiler, and promises nothing."""
    if not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        return False
    unit = torch.eye(16, dtype=torch.bfloat16)
    try:
        found = _linear(unit, _packed(Linear(unit, unit[0], False)))
    except (AttributeError, TypeError, RuntimeError):  # another torch, or a processor for which oneDNN has none
        return False
    return torch.equal(found, unit + unit[0])


def _packed(linear: Linear) -> Linear:
    return Linear(torch.ops.mkldnn._reorder_linear_weight(linear.weight), linear.bias, True)


def _layer(layer: esm.modules.TransformerLayer, precision: Precision, packed: bool) -> Layer:
    def linear(weight: Tensor, bias: Tensor) -> Linear:
        kind = DTYPES[precision]
        found = Linear(weight.detach().to(kind).contiguous(), bias.detach().to(kind), False)
        return _packed(found) if packed else found

    def norm(of: torch.nn.LayerNorm) -> Norm:
        return Norm(of.weight.detach(), of.bias.detach())

    attention = layer.self_attn
    q, k, v = attention.q_proj, attention.k_proj, attention.v_proj
    pairs = _pairs(attention.num_heads, attention.head_dim).to(q.weight.device)
    return Layer(
        norm(layer.self_attn_layer_norm),
        linear(
            torch.cat([q.weight[pairs] * attention.scaling, k.weight[pairs], v.weight]),
            torch.cat([q.bias[pairs] * attention.scaling, k.bias[pairs], v.bias]),
        ),
        linear(attention.out_proj.weight, attention.out_proj.bias),
        norm(layer.final_layer_norm),
        linear(layer.fc1.weight, layer.fc1.bias),
        linear(layer.fc2.weight, layer.fc2.bias),
    )


def _pairs(heads: int, features: int) -> Int[Tensor, " width"]:
    """The order in which the two features that a rotation mixes, i and i + d/2 of a head, are neighbours."""
    within = torch.arange(features).view(2, -1).T.flatten()  # q k' is the same in any order of features
    return (torch.arange(heads)[:, None] * features + within).flatten()


def _angles(model: esm.ESM2, length: int) -> Float[Tensor, "2 tokens 1 pairs"]:
    """Cosine and sine of position t and pair i: t * 10000^(-2i/d)."""
    frequencies = model.layers[0].self_attn.rot_emb.inv_freq.float()
    positions = torch.arange(length, device=frequencies.device, dtype=torch.float32)
    angles = torch.outer(positions, frequencies)[:, None]
    return torch.stack((angles.cos(), angles.sin()))


def _turns(model: esm.ESM2, length: int) -> Tensor:
    """The same as complex numbers for queries and keys of all heads, shape (tokens, width)."""
    cosine, sine = _angles(model, length)
    return torch.complex(cosine, sine).expand(-1, 2 * model.attention_heads, -1).flatten(1)


def _step(x: Tensor, layer: Layer, rotation: Tensor, heads: int) -> Tensor:
    y = _linear(_normed(x, layer.before_attention, layer.inputs.bias.dtype), layer.inputs)
    x = x + _linear(_attended(y, rotation, heads), layer.outputs)
    y = _linear(_normed(x, layer.before_hidden, layer.widen.bias.dtype), layer.widen, gelu=True)
    return x + _linear(y, layer.narrow)


def _normed(x: Tensor, norm: Norm, kind: torch.dtype) -> Tensor:
    return functional.layer_norm(x, x.shape[-1:], norm.weight, norm.bias).to(kind)


def _linear(x: Tensor, linear: Linear, *, gelu: bool = False) -> Tensor:
    if linear.packed:
        name, how = ("gelu", "none") if gelu else ("none", "")
        fused: Tensor = torch.ops.mkldnn._linear_pointwise(x, linear.weight, linear.bias, name, [], how)
        return fused
    y = functional.linear(x, linear.weight, linear.bias)
    return functional.gelu(y) if gelu else y


def _attended(
    y: Float[Tensor, "batch tokens width3"], rotation: Tensor, heads: int
) -> Float[Tensor, "batch tokens width"]:
    # softmax(q k' / sqrt d) v for every head; the scale is in q's weights
    batch, tokens, width = y.shape[0], y.shape[1], y.shape[2] // 3
    shape = batch, tokens, 2, heads, width // heads
    turned, v = _rotated(y[..., : 2 * width], rotation, shape), y[..., 2 * width :]
    written_out = rotation.is_complex() and tokens <= SHORT
    kind = torch.float32 if written_out else y.dtype
    q, k = turned.to(kind).permute(2, 0, 3, 1, 4)
    v = v.to(kind).view(batch, tokens, heads, -1).transpose(1, 2)
    if written_out:
        found = _written_out(q, k, v)
    else:
        found = functional.scaled_dot_product_attention(q, k, v, scale=1.0).transpose(1, 2)
    return found.flatten(2).to(y.dtype)


def _written_out(
    q: Float[Tensor, "batch heads tokens features"],
    k: Float[Tensor, "batch heads tokens features"],
    v: Float[Tensor, "batch heads tokens features"],
) -> Float[Tensor, "batch tokens heads features"]:
    """One sequence at a time: its maps stay in the cache, and nothing is copied to be contiguous."""
    found = torch.empty(q.shape[0], q.shape[2], q.shape[1], q.shape[3])
    for row, mine in enumerate(q):
        weights = torch.softmax(torch.bmm(mine, k[row].transpose(1, 2)), dim=-1)
        found[row].transpose(0, 1).copy_(torch.bmm(weights, v[row]))
    return found


def _rotated(x: Float[Tensor, "batch tokens width2"], rotation: Tensor, shape: tuple[int, ...]) -> Tensor:
    if rotation.is_complex():  # (a + ib) e^(i angle): one pass over memory; torch's compiler does not know it
        pairs = torch.view_as_complex(x.float().view(*x.shape[:2], -1, 2))
        return torch.view_as_real(pairs * rotation).view(shape)
    first, second = x.float().view(*x.shape[:2], -1, rotation.shape[-1], 2).unbind(-1)
    cosine, sine = rotation
    return torch.stack((first * cosine - second * sine, second * cosine + first * sine), dim=-1).view(shape)
