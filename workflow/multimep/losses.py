"""Losses between the scores of variants of one assay and their fitness: two of ranking, one of distance.

Fitness of different assays has no common order, so no function here ever sees two of them at once.
"""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional


def bradley_terry(scores: Float[Tensor, " n"], fitness: Float[Tensor, " n"], by_gap: bool) -> Float[Tensor, ""]:
    """Mean over all pairs of different fitness of -log P(the fitter one wins), P = sigmoid of the scores' difference.

    Bradley & Terry (1952), as ConFit ranks variants. `by_gap` weighs each pair by the difference of its fitness, for
    the order of two near ones is mostly noise. 0 where all are equal.
    """
    ahead = torch.relu(fitness[:, None] - fitness[None, :])
    weights = ahead if by_gap else (ahead > 0).float()
    # L = sum_ij w_ij softplus(-(s_i - s_j)) / sum_ij w_ij over pairs in which i is fitter
    lost = functional.softplus(scores[None, :] - scores[:, None])
    return (weights * lost).sum() / weights.sum().clamp(min=torch.finfo(weights.dtype).tiny)


def list_mle(scores: Float[Tensor, " n"], fitness: Float[Tensor, " n"], size: int) -> Float[Tensor, ""]:
    """Mean over lists of `size` neighbouring rows of -log P(their order by fitness) per row, after Plackett and Luce.

    ListMLE of Xia et al. (2008), as FSFP ranks variants. Rows come in random order, so neighbours are a random list.
    """
    lost = [
        _order(one, truth) for one, truth in zip(torch.split(scores, size), torch.split(fitness, size), strict=True)
    ]
    return torch.stack(lost).sum() / len(scores)


def _order(scores: Float[Tensor, " n"], fitness: Float[Tensor, " n"]) -> Float[Tensor, ""]:
    ordered = scores[torch.argsort(fitness, descending=True, stable=True)]
    # -log P = sum_i log sum_{j >= i} exp(s_j) - s_i, the fittest first
    return (ordered.flip(0).logcumsumexp(0).flip(0) - ordered).sum()


def squared(predicted: Float[Tensor, " n"], fitness: Float[Tensor, " n"]) -> Float[Tensor, ""]:
    """Mean of (predicted - z)^2."""
    return functional.mse_loss(predicted, fitness)
