"""How good predictions are: rank, error and calibration metrics with bootstrap intervals over variants; their CSV.

Every metric is a pure function of measured fitness `y`, predicted `mean` and the standard deviation `std` of a new
measurement, over the last axis: leading axes are bootstrap resamples. Where a metric is undefined (the correlation of a
constant, anything relative to the spread of a constant `y`, calibration without `std`) it is NaN. `ndcg` and
`top_recall` take larger values for better ones; `evaluate` turns the signs where lower is better.
"""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
from jaxtyping import Float, Int
from scipy import stats

from multimep.dataset import Dataset, numbers, read_table, write_whole
from multimep.predictions import Predictions

TOP = 0.1  # the best tenth, as in ProteinGym
LEVEL = 0.95
CHUNK = 200_000  # resampled values held at once: 1.6 MB per array stay in the processor's cache
COLUMNS = ("dataset", "split", "method", "fold", "aggregation", "metric", "value", "low", "high", "n")


class MetricsError(ValueError):
    """A file that is no table of metrics; the message names it."""


Values = Float[np.ndarray, "*resamples n"]
Scores = Float[np.ndarray, "*resamples"]


def r2(y: Values, mean: Values, std: Values) -> Scores:
    """Explained share of the variance, 1 at best; NaN for a constant y."""
    # R2 = 1 - sum (y - m)^2 / sum (y - ybar)^2
    spread = ((y - y.mean(axis=-1, keepdims=True)) ** 2).sum(axis=-1)
    return _ratio(spread - ((y - mean) ** 2).sum(axis=-1), np.where(_constant(y), 0, spread))


def rmse(y: Values, mean: Values, std: Values) -> Scores:
    """Root of the mean squared error, in the unit of y."""
    return np.asarray(np.sqrt(((y - mean) ** 2).mean(axis=-1)))


def mae(y: Values, mean: Values, std: Values) -> Scores:
    """Mean absolute error, in the unit of y."""
    return np.asarray(np.abs(y - mean).mean(axis=-1))


def pearson(y: Values, mean: Values, std: Values) -> Scores:
    """Linear correlation, -1 to 1; NaN where either side is constant."""
    a, b = (x - x.mean(axis=-1, keepdims=True) for x in (y, mean))
    # r = sum a b / sqrt(sum a^2 sum b^2), a and b centred
    scale = np.sqrt((a**2).sum(axis=-1)) * np.sqrt((b**2).sum(axis=-1))
    return _ratio((a * b).sum(axis=-1), np.where(_constant(y) | _constant(mean), 0, scale))


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
    gains = _ratio(y - low, y.max(axis=-1, keepdims=True) - low)
    # D_r = 1 / log2(r + 1) for rank r <= k, else 0;  NDCG = sum_i g_i E[D_rank(i)] / sum_{r <= k} g_(r) D_r
    discounts = np.where(np.arange(1, y.shape[-1] + 1) <= k, 1 / np.log2(np.arange(2, y.shape[-1] + 2)), 0.0)
    ideal = (np.sort(gains, axis=-1)[..., ::-1] * discounts).sum(axis=-1)
    return _ratio((gains * _expected(mean, discounts)).sum(axis=-1), ideal)


def top_recall(y: Values, mean: Values, std: Values) -> Scores:
    """Share of the predicted top tenth that belongs to the measured top tenth, 0 to 1; NaN for a constant y.

    Both have k = floor(n / 10) members, at least 1; measured values that tie with the k-th all count as top, tied
    predictions count with the mean over all orders of the tie.
    """
    k = top_count(y.shape[-1])
    relevant = y >= np.sort(y, axis=-1)[..., [-k]]
    chosen = _expected(mean, (np.arange(y.shape[-1]) < k).astype(np.float64))
    return np.where(_constant(y), np.nan, (relevant * chosen).sum(axis=-1) / k)


def coverage(y: Values, mean: Values, std: Values, level: float) -> Scores:
    """Share of measurements inside the central `level` interval of N(mean, std^2); NaN without std."""
    # |y - m| <= Phi^-1((1 + level) / 2) s
    inside = np.abs(y - mean) <= stats.norm.ppf((1 + level) / 2) * std
    return np.where(np.isnan(std).any(axis=-1), np.nan, inside.mean(axis=-1))


def nll(y: Values, mean: Values, std: Values) -> Scores:
    """Mean negative log likelihood of y under N(mean, std^2), in nats; NaN without std."""
    # -log N(y; m, s^2) = ((y - m) / s)^2 / 2 + log s + log(2 pi) / 2
    return np.asarray((((y - mean) / std) ** 2 / 2 + np.log(std) + np.log(2 * np.pi) / 2).mean(axis=-1))


@dataclass(frozen=True)
class Metric:
    """One metric and how to read it.

    Attributes:
        function: (y, mean, std) -> score over the last axis.
        label: its name for people.
        unit: "" where it has none, "fitness" for the unit of the dataset.
        higher_is_better: None where the best value is neither the largest nor the smallest (coverage).
        needs_std: NaN for methods that give no uncertainty.
        seeks_best: about the best variants, so the direction of the dataset matters.
    """

    function: Callable[[Values, Values, Values], Scores]
    label: str
    higher_is_better: bool | None = True
    unit: str = ""
    needs_std: bool = False
    seeks_best: bool = False


METRICS: Mapping[str, Metric] = {
    "spearman": Metric(spearman, "Spearman"),
    "pearson": Metric(pearson, "Pearson"),
    "r2": Metric(r2, "R2"),
    "rmse": Metric(rmse, "RMSE", False, "fitness"),
    "mae": Metric(mae, "MAE", False, "fitness"),
    "ndcg": Metric(ndcg, "NDCG of the top 10 %", seeks_best=True),
    "top_recall": Metric(top_recall, "top-10 % recall", seeks_best=True),
    **{
        f"coverage_{percent}": Metric(
            partial(coverage, level=percent / 100), f"coverage of the {percent} % interval", None, needs_std=True
        )
        for percent in (50, 80, 95)
    },
    "nll": Metric(nll, "negative log likelihood", False, "nats", needs_std=True),
}


def top_count(n: int) -> int:
    """k, the size of the top tenth of n variants: floor(n / 10), at least 1."""
    return max(1, int(TOP * n + 1e-9))


@dataclass(frozen=True)
class _Asked:
    """Measured and predicted fitness of the same variants, in the order of their texts."""

    mutants: tuple[str, ...]
    y: Float[np.ndarray, "n"]
    mean: Float[np.ndarray, "n"]
    std: Float[np.ndarray, "n"]


def evaluate(
    dataset: Dataset, predictions_by_fold: Mapping[str, Predictions], bootstrap: int = 500, seed: int = 0
) -> pd.DataFrame:
    """Every metric of every fold and of all folds together: fold, aggregation, metric, value, low, high, n.

    Rows of `aggregation` "fold" are single folds. The fold "all" has "pooled" where no variant is asked twice (the
    metric of all out-of-fold predictions together, as ProteinGym scores) and "mean" where folds share variants (low-N:
    the mean over the folds, whatever their training size). `low` and `high` are the 2.5 and 97.5 percentiles of
    `bootstrap` seeded resamples of the variants, the same for folds that ask the same variants; NaN for bootstrap = 0.
    500 give an end of the interval to about 3 % of its width; they see the variants asked, not another training
    set. Joined by mutant text; a mutant that the dataset does not have raises DatasetError.
    """
    folds = {name: _join(dataset, found) for name, found in predictions_by_fold.items()}
    sign = 1.0 if dataset.higher_is_better else -1.0
    samples = {
        name: _scores(asked, _resamples(dataset.name, asked.mutants, bootstrap, seed), sign)
        for name, asked in folds.items()
    }
    tables = [_table(name, "fold", samples[name], len(asked.mutants)) for name, asked in folds.items()]
    distinct = len({mutant for asked in folds.values() for mutant in asked.mutants})
    if distinct == sum(len(asked.mutants) for asked in folds.values()):
        everything = _pool(list(folds.values()))
        resamples = _resamples(dataset.name, everything.mutants, bootstrap, seed)
        tables.append(_table("all", "pooled", _scores(everything, resamples, sign), distinct))
    else:
        tables.append(_table("all", "mean", np.mean(list(samples.values()), axis=0), distinct))
    return pd.concat(tables, ignore_index=True)


def write(dataset: str, parts: Mapping[tuple[str, str], pd.DataFrame], path: Path) -> None:
    """Write the tables that `evaluate` gave for (split, method) as one CSV, whole or not at all."""
    tables = [part.assign(dataset=dataset, split=split, method=method) for (split, method), part in parts.items()]
    table = pd.concat(tables) if tables else pd.DataFrame(columns=list(COLUMNS))
    write_whole(path, table.to_csv(index=False, columns=list(COLUMNS), lineterminator="\n", float_format="%.9g"))


def read(path: Path) -> pd.DataFrame:
    """The table of a file written by `write`: texts as they are, numbers as floats with NaN where empty."""
    table = read_table(path, COLUMNS, MetricsError)
    return table.assign(**{name: numbers(table, name, path, MetricsError) for name in ("value", "low", "high", "n")})


def _join(dataset: Dataset, found: Predictions) -> _Asked:
    mutants = tuple(sorted(found.mutants))
    ordered = found.select(mutants)
    return _Asked(mutants, dataset.select(mutants).fitness, ordered.mean, ordered.noisy_std)


def _pool(parts: list[_Asked]) -> _Asked:
    mutants = tuple(mutant for part in parts for mutant in part.mutants)
    order = np.array(sorted(range(len(mutants)), key=mutants.__getitem__), dtype=np.int64)
    y, mean, std = (np.concatenate([getattr(part, name) for part in parts])[order] for name in ("y", "mean", "std"))
    return _Asked(tuple(mutants[row] for row in order), y, mean, std)


def _resamples(name: str, mutants: tuple[str, ...], count: int, seed: int) -> Int[np.ndarray, "b n"]:
    """Row 0: every variant once. Rows after it: variants drawn with replacement; the same for the same variants."""
    digest = hashlib.sha256("/".join([name, str(seed), *mutants]).encode()).digest()
    draws = np.random.default_rng(int.from_bytes(digest[:16], "big")).integers(len(mutants), size=(count, len(mutants)))
    return np.vstack([np.arange(len(mutants))[None], draws])


def _scores(asked: _Asked, resamples: Int[np.ndarray, "b n"], sign: float) -> Float[np.ndarray, "b metrics"]:
    """Every metric of every resample, in chunks that fit into memory."""
    rows = max(1, CHUNK // len(asked.mutants))
    parts = []
    for start in range(0, len(resamples), rows):
        y, mean, std = (values[resamples[start : start + rows]] for values in (asked.y, asked.mean, asked.std))
        signed = {True: (sign * y, sign * mean, std), False: (y, mean, std)}
        parts.append(np.stack([metric.function(*signed[metric.seeks_best]) for metric in METRICS.values()], axis=-1))
    return np.concatenate(parts)


def _table(fold: str, aggregation: str, scores: Float[np.ndarray, "b metrics"], n: int) -> pd.DataFrame:
    low, high = _interval(scores[1:])
    columns = {"metric": list(METRICS), "value": scores[0], "low": low, "high": high}
    return pd.DataFrame({"fold": fold, "aggregation": aggregation, **columns, "n": n})


def _interval(scores: Float[np.ndarray, "b metrics"]) -> Float[np.ndarray, "2 metrics"]:
    """Percentiles over the resamples in which a metric is defined; NaN where it never is."""
    ends = np.full((2, scores.shape[1]), np.nan)
    for column, found in enumerate(scores.T):
        defined = found[~np.isnan(found)]
        if len(defined):
            ends[:, column] = np.quantile(defined, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return ends


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


def _constant(values: Values) -> np.ndarray:
    return np.asarray(values.max(axis=-1) == values.min(axis=-1))


def _ratio(above: npt.ArrayLike, below: npt.ArrayLike) -> np.ndarray:
    """The quotient, NaN where `below` is 0."""
    out = np.full(np.broadcast(above, below).shape, np.nan)
    np.divide(above, below, out=out, where=np.asarray(below) != 0)
    return out
