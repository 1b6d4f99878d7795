"""Low-rank adaptation (LoRA, Hu et al. 2022): W + (alpha / r) B A, of which A and B alone learn.

B starts at 0, so a model that has just been adapted gives the numbers of the frozen one.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

import esm
import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils import parametrize

Places = Literal["qv", "attention", "all"]
PLACES: Mapping[Places, Sequence[str]] = {
    "qv": ("q_proj", "v_proj"),
    "attention": ("q_proj", "k_proj", "v_proj", "out_proj"),
    "all": ("q_proj", "k_proj", "v_proj", "out_proj", "fc1", "fc2"),
}


class LowRank(nn.Module):
    """The sum of a matrix and a learned one of low rank, wherever the matrix is read.

    Attributes:
        down: A, shape (rank, columns).
        up: B, shape (rows, rank).
        scale: alpha / rank.
    """

    def __init__(self, down: Float[Tensor, "rank columns"], rows: int, scale: float) -> None:
        super().__init__()
        self.down = nn.Parameter(down)
        self.up = nn.Parameter(down.new_zeros(rows, len(down)))
        self.scale = scale

    def forward(self, weight: Float[Tensor, "rows columns"]) -> Float[Tensor, "rows columns"]:
        """W + (alpha / r) B A."""
        return weight + self.scale * (self.up @ self.down)

    def path(self, x: Float[Tensor, "*batch columns"]) -> Float[Tensor, "*batch rows"]:
        """What the matrices add to the projection of x: (alpha / r) B A x, without a gradient as large as W."""
        return functional.linear(self.scale * functional.linear(x, self.down), self.up)


def adapt(
    model: esm.ESM2, places: Places, rank: int, alpha: float, random: np.random.Generator, first: int = 0
) -> dict[str, nn.Parameter]:
    """Add low-rank matrices to the projections from layer `first` on, and give them by name; the model is changed."""
    found: dict[str, nn.Parameter] = {}
    for name, layer in _projections(model, places, first):
        rows, columns = layer.weight.shape
        # A ~ U(-1, 1) / sqrt(columns), as a linear layer of torch begins
        numbers = random.uniform(-1, 1, (rank, columns)) / math.sqrt(columns)
        down = torch.tensor(numbers, dtype=torch.float32, device=layer.weight.device)
        added = LowRank(down, rows, alpha / rank)
        parametrize.register_parametrization(layer, "weight", added)
        found |= {f"{name}.down": added.down, f"{name}.up": added.up}
    return found


def merge(model: esm.ESM2) -> None:
    """Put W + (alpha / r) B A in the place of each adapted W; the model is a plain one again."""
    for layer in [module for module in model.modules() if parametrize.is_parametrized(module)]:
        parametrize.remove_parametrizations(layer, "weight", leave_parametrized=True)


def frozen_and_learned(layer: nn.Linear) -> tuple[Tensor, LowRank | None]:
    """The weight of a projection without its low-rank matrices, and these; None for one that was not adapted."""
    if not parametrize.is_parametrized(layer):
        return layer.weight, None
    added: Any = layer.parametrizations
    return added.weight.original, added.weight[0]


def _projections(model: esm.ESM2, places: Places, first: int) -> Iterator[tuple[str, nn.Linear]]:
    for name, module in list(model.layers.named_modules()):
        named = isinstance(module, nn.Linear) and name.rpartition(".")[2] in PLACES[places]
        if named and int(name.partition(".")[0]) >= first:
            yield name, module
