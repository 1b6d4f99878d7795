"""How well predictions agree with measurements: correlations, errors, and whether the best are on top.

Every function takes measured fitness `y`, predicted `mean` and the standard deviation `std` of a new measurement,
which none here looks at, over the last axis: leading axes are bootstrap resamples. Where a score is undefined (the
correlation of a constant, anything relative to the spread of a constant `y`) it is NaN. `ndcg` and `top_recall` take
larger values for better ones.
"""

import numpy as np
import numpy.typing as npt
from jaxtyping import Float

TOP = 0.1  # the best tenth, as in ProteinGym

Values = Float[np.ndarray, "*resamples n"]
Scores = Float[np.ndarray, "*resamples"]


def r2(y: Values, mean: Values, std: Values) -> Scores:
    """Explained share of the variance, 1 at best; NaN for a constant y."""
    # R2 = 1 - sum (y - m)^2 / sum (y - ybar)^2
    spread = ((y - y.mean(axis=-1, keepdims=True)) ** 2).sum(axis=-1)
    return ratio(spread - ((y - mean) ** 2).sum(axis=-1), np.where(constant(y), 0, spread))


def rmse(y: Values, mean: Values, std: Values) -> Scores:
    """Root of the mean squared error, in the unit of y."""
    return np.asarray(np.sqrt(((y - mean) ** 2).mean(axis=-1)))


def mse(y: Values, mean: Values, std: Values) -> Scores:
    """Mean squared error, in the squared unit of y."""
    return np.asarray(((y - mean) ** 2).mean(axis=-1))


def mae(y: Values, mean: Values, std: Values) -> Scores:
    """Mean absolute error, in the unit of y."""
    return np.asarray(np.abs(y - mean).mean(axis=-1))


def pearson(y: Values, mean: Values, std: Values) -> Scores:
    """Linear correlation, -1 to 1; NaN where either side is constant."""
    a, b = (x - x.mean(axis=-1, keepdims=True) for x in (y, mean))
    # r = sum a b / sqrt(sum a^2 sum b^2), a and b centred
    scale = np.sqrt((a**2).sum(axis=-1)) * np.sqrt((b**2).sum(axis=-1))
    return ratio((a * b).sum(axis=-1), np.where(constant(y) | constant(mean), 0, scale))


def spearman(y: Values, mean: Values, std: Values) -> Scores:
    """Correlation of the ranks, ties having their mean rank; NaN where either side is constant."""
    (y_first, y_last), (first, last) = _rank_ends(y), _rank_ends(mean)
    return pearson((y_first + y_last) / 2, (first + last) / 2, std)


def ndcg(y: Values, mean: Values, std: Values) -> Scores:
    """Normalised discounted cumulative gain of the predicted top tenth, 0 to 1; NaN for a constant y.

    As in ProteinGym the gains are y scaled to 0..1 and k = floor(n / 10), here at least 1. Tied predictions count with
    the mean over all orders of the tie.
    """
    k = top_count(y.shape[-1])
    low = y.min(axis=-1, keepdims=True)
    gains = ratio(y - low, y.max(axis=-1, keepdims=True) - low)
    # D_r = 1 / log2(r + 1) for rank r <= k, else 0;  NDCG = sum_i g_i E[D_rank(i)] / sum_{r <= k} g_(r) D_r
    discounts = np.where(np.arange(1, y.shape[-1] + 1) <= k, 1 / np.log2(np.arange(2, y.shape[-1] + 2)), 0.0)
    ideal = (np.sort(gains, axis=-1)[..., ::-1] * discounts).sum(axis=-1)
    return ratio((gains * _expected(mean, discounts)).sum(axis=-1), ideal)


def top_recall(y: Values, mean: Values, std: Values) -> Scores:
    """Share of the predicted top tenth that belongs to the measured top tenth, 0 to 1; NaN for a constant y.

    Both have k = floor(n / 10) members, at least 1; measured values that tie with the k-th all count as top, tied
    predictions count with the mean over all orders of the tie.
    """
    k = top_count(y.shape[-1])
    relevant = y >= np.sort(y, axis=-1)[..., [-k]]
    chosen = _expected(mean, (np.arange(y.shape[-1]) < k).astype(np.float64))
    return np.where(constant(y), np.nan, (relevant * chosen).sum(axis=-1) / k)


def top_count(n: int) -> int:
    """k, the size of the top tenth of n variants: floor(n / 10), at least 1."""
    return max(1, int(TOP * n + 1e-9))


def _expected(mean: Values, weights: Float[np.ndarray, "n"]) -> Values:
    """What each variant gets when rank r by descending `mean` gets weights[r - 1], ties sharing their ranks' sum."""
    first, last = _rank_ends(-mean)
    # (W_last - W_(first - 1)) / (last - first + 1), W the running sum of the weights
    running = np.concatenate([[0.0], np.cumsum(weights)])
    return np.asarray((running[last] - running[first - 1]) / (last - first + 1))


def _rank_ends(values: Values) -> tuple[np.ndarray, np.ndarray]:
    """The first and the last rank, from 1, that the tie of each value fills in ascending order."""
    order, place = np.argsort(values, axis=-1), np.arange(values.shape[-1])
    ordered = np.take_along_axis(values, order, axis=-1)
    rises, edge = ordered[..., 1:] != ordered[..., :-1], np.ones((*values.shape[:-1], 1), dtype=bool)
    starts, stops = np.concatenate([edge, rises], axis=-1), np.concatenate([rises, edge], axis=-1)
    first, last = np.empty_like(order), np.empty_like(order)
    np.put_along_axis(first, order, np.maximum.accumulate(np.where(starts, place, 0), axis=-1), axis=-1)
    upwards = np.where(stops, place, len(place))[..., ::-1]
    np.put_along_axis(last, order, np.minimum.accumulate(upwards, axis=-1)[..., ::-1], axis=-1)
    return first + 1, last + 1


def constant(values: Values) -> np.ndarray:
    """Whether all values along the last axis are the same."""
    return np.asarray(values.max(axis=-1) == values.min(axis=-1))


def ratio(above: npt.ArrayLike, below: npt.ArrayLike) -> np.ndarray:
    """The quotient, NaN where `below` is 0."""
    out = np.full(np.broadcast(above, below).shape, np.nan)
    np.divide(above, below, out=out, where=np.asarray(below) != 0)
    return out
