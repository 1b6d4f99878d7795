"""A stack: copies of one language model side by side, each with learning weights of its own, run as one batch.

For each copy the function of `trainable.above`, one batched matrix product in the place of one per copy. What does not
learn is shared. A small model's training spends its time on starting operations rather than in them, above all on a
GPU; a stack starts as many for all copies as a training alone.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import esm
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from multimep.forward_pass import autocast, scaled
from multimep.language_model import LanguageModel
from multimep.low_rank import frozen_and_learned
from multimep.prefix import Prefix
from multimep.trainable import Rotation, attended, rotation_of


@dataclass(frozen=True)
class Stack:
    """The copies.

    Attributes:
        trunk: the model that they are copies of, with low-rank matrices where those learn.
        single: what learns in a model alone, by name.
        learned: the same names; each tensor has one dimension more, the first: the copies.
        first: the first layer that learns; the states that it reads come from `prefix`, if there is one.
        prefix: of the layers below.
    """

    trunk: LanguageModel
    single: Mapping[str, nn.Parameter]
    learned: Mapping[str, Tensor]
    first: int
    prefix: Prefix | None

    def pooled(
        self, tokens: Int[Tensor, "models batch tokens"], checkpointing: bool = False
    ) -> Float[Tensor, "models batch width"]:
        """Mean over the residues (no BOS, no EOS) of each copy's last hidden states, in fp32."""
        model = self.trunk.model
        with autocast(self.trunk.device, self.trunk.precision):
            x = self._below(tokens)
            rotation = rotation_of(model, tokens.shape[-1])
            for layer in list(model.layers)[self.first :]:
                if checkpointing:
                    x = checkpoint(self._layer, layer, x, rotation, use_reentrant=False, preserve_rng_state=False)
                else:
                    x = self._layer(layer, x, rotation)
            states = self._normed(model.emb_layer_norm_after, x)
        return states[:, :, 1:-1].float().mean(dim=2)

    @cached_property
    def _copies(self) -> Mapping[int, Tensor]:
        return {id(self.single[name]): value for name, value in self.learned.items()}

    def _of(self, parameter: Tensor) -> Tensor:
        """The copies' own values of a parameter that learns; the shared one of a parameter that does not."""
        return self._copies.get(id(parameter), parameter)

    def _below(self, tokens: Int[Tensor, "models batch tokens"]) -> Float[Tensor, "models batch tokens width"]:
        if self.prefix:
            below = self.prefix(tokens.flatten(0, 1))
            return below.view(*tokens.shape, -1)
        model, table = self.trunk.model, self._of(self.trunk.model.embed_tokens.weight)
        own = torch.arange(len(table), device=tokens.device)[:, None, None] * table.shape[1]
        return scaled(model, functional.embedding(tokens + own, table.flatten(0, 1)), tokens)

    def _layer(
        self, layer: esm.modules.TransformerLayer, x: Float[Tensor, "models batch tokens width"], rotation: Rotation
    ) -> Float[Tensor, "models batch tokens width"]:
        x = x + self._attend(layer.self_attn, self._normed(layer.self_attn_layer_norm, x), rotation).to(x.dtype)
        inner = functional.gelu(self._project([layer.fc1], self._normed(layer.final_layer_norm, x)))
        return x + self._project([layer.fc2], inner).to(x.dtype)

    def _attend(self, attention: esm.multihead_attention.MultiheadAttention, x: Tensor, rotation: Rotation) -> Tensor:
        projected = self._project([attention.q_proj, attention.k_proj, attention.v_proj], x).flatten(0, 1)
        heads = projected.view(*projected.shape[:2], 3, attention.num_heads, attention.head_dim)
        return self._project([attention.out_proj], attended(heads, rotation).view(*x.shape))

    def _normed(self, norm: nn.LayerNorm, x: Tensor) -> Tensor:
        weight, bias = self._of(norm.weight), self._of(norm.bias)
        if weight.ndim == 1:
            normed: Tensor = norm(x)
            return normed
        plain = functional.layer_norm(x, norm.normalized_shape, eps=norm.eps)
        return plain * weight[:, None, None] + bias[:, None, None]

    def _project(self, projections: Sequence[nn.Linear], x: Tensor) -> Tensor:
        """What the projections give, side by side; one product where all of their weights learn or none does."""
        split = [frozen_and_learned(projection) for projection in projections]
        weights = [self._of(frozen) for frozen, _ in split]
        biases = [self._of(projection.bias) for projection in projections]
        if not any(learned for _, learned in split):
            return _linear(x, torch.cat(weights, dim=-2), torch.cat(biases, dim=-1))
        parts = [_linear(x, weight, bias) for weight, bias in zip(weights, biases, strict=True)]
        for index, (_, learned) in enumerate(split):
            if learned:  # (alpha / r) B A x
                inner = learned.scale * _linear(x, self._of(learned.down))
                parts[index] = parts[index] + _linear(inner, self._of(learned.up))
        return torch.cat(parts, dim=-1)


def _linear(x: Float[Tensor, "models batch tokens columns"], weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """W x + b; a weight of three dimensions has one matrix for each copy."""
    if weight.ndim == 2:
        return functional.linear(x, weight, bias)
    rows, turned = x.flatten(1, 2), weight.transpose(1, 2)
    found = torch.bmm(rows, turned) if bias is None else torch.baddbmm(bias[:, None], rows, turned)
    return found.view(*x.shape[:3], -1)


def stack(
    trunk: LanguageModel, single: Mapping[str, nn.Parameter], models: int, first: int, prefix: Prefix | None
) -> Stack:
    """So many copies of a model in which `single` learns, all alike."""
    learned = {
        name: value.detach().expand(models, *value.shape).clone().requires_grad_() for name, value in single.items()
    }
    return Stack(trunk, single, learned, first, prefix)
