"""How good predictions are: every metric of every fold and of all together, with bootstrap intervals; their CSV.

The metrics themselves stand in `agreement` and `calibration`, as pure functions of measured fitness `y`, predicted
`mean` and the standard deviation `std` of a new measurement.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Float, Int

from multimep import agreement, calibration, noise_ceiling, text_table
from multimep.agreement import Scores, Values
from multimep.dataset import Dataset
from multimep.predictions import Predictions

LEVEL = 0.95
CHUNK = 200_000  # resampled values held at once: 1.6 MB per array stay in the processor's cache
COLUMNS = ("dataset", "split", "method", "fold", "aggregation", "metric", "value", "low", "high", "n")


class MetricsError(ValueError):
    """A file that is no table of metrics, or predictions that are not of the split given with them."""


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
        standardised: of y and mean on the scale of each fold's teaching rows (mean 0, standard deviation 1).
        within: of all folds together it is the mean over the folds.
    """

    function: Callable[[Values, Values, Values], Scores]
    label: str
    higher_is_better: bool | None = True
    unit: str = ""
    needs_std: bool = False
    seeks_best: bool = False
    standardised: bool = False
    within: bool = False


METRICS: Mapping[str, Metric] = {
    "spearman": Metric(agreement.spearman, "Spearman"),
    "spearman_official": Metric(agreement.spearman, "Spearman, ProteinGym's way", standardised=True),
    "spearman_within": Metric(agreement.spearman, "Spearman within folds", within=True),
    "pearson": Metric(agreement.pearson, "Pearson"),
    "r2": Metric(agreement.r2, "R2"),
    "rmse": Metric(agreement.rmse, "RMSE", False, "fitness"),
    "mae": Metric(agreement.mae, "MAE", False, "fitness"),
    "mse_standardised": Metric(agreement.mse, "standardised MSE", False, standardised=True),
    "ndcg": Metric(agreement.ndcg, "NDCG of the top 10 %", seeks_best=True),
    "top_recall": Metric(agreement.top_recall, "top-10 % recall", seeks_best=True),
    **{
        f"coverage_{percent}": Metric(
            partial(calibration.coverage, level=percent / 100),
            f"coverage of the {percent} % interval",
            None,
            needs_std=True,
        )
        for percent in (50, 80, 90, 95)
    },
    "width_95": Metric(
        partial(calibration.width, level=0.95), "width of the 95 % interval", None, "fitness", needs_std=True
    ),
    "ece": Metric(calibration.ece, "calibration error of intervals (ECE)", False, needs_std=True),
    "ence": Metric(calibration.ence, "normalised calibration error (ENCE)", False, needs_std=True),
    "chi_square": Metric(calibration.chi_square, "chi-square per degree of freedom", None, needs_std=True),
    "nll": Metric(calibration.nll, "negative log likelihood", False, "nats", needs_std=True),
    "crps": Metric(calibration.crps, "CRPS", False, "fitness", needs_std=True),
    "error_spearman": Metric(calibration.error_spearman, "Spearman of error and std", needs_std=True),
}

CEILING = "ceiling_"
"""Prefix of the rows that say what a perfect prediction would reach: of `spearman`, `pearson`, `r2`."""


@dataclass(frozen=True)
class _Asked:
    """Measured and predicted fitness of the same variants, in the order of their texts.

    Attributes:
        own: measured and predicted fitness on the scale of the rows that taught, NaN where these are not known.
    """

    mutants: tuple[str, ...]
    y: Float[np.ndarray, "n"]
    mean: Float[np.ndarray, "n"]
    std: Float[np.ndarray, "n"]
    own: Float[np.ndarray, "2 n"]


def evaluate(
    dataset: Dataset,
    predictions_by_fold: Mapping[str, Predictions],
    bootstrap: int = 500,
    seed: int = 0,
    teaching: Mapping[str, Sequence[str]] | None = None,
) -> pd.DataFrame:
    """Every metric of every fold and of all folds together: fold, aggregation, metric, value, low, high, n.

    Rows of `aggregation` "fold" are single folds. The fold "all" has "pooled" where no variant is asked twice (the
    metric of all out-of-fold predictions together, as ProteinGym scores) and "mean" where folds share variants (low-N:
    the mean over the folds, whatever their training size). `low` and `high` are the 2.5 and 97.5 percentiles of
    `bootstrap` seeded resamples of the variants, the same for folds that ask the same variants; NaN for bootstrap = 0.
    500 give an end of the interval to about 3 % of its width; they see the variants asked, not another training
    set. Joined by mutant text; a mutant that the dataset does not have raises DatasetError.

    `teaching`: the mutants that taught in each fold; without them what needs them is NaN. Raises MetricsError for a
    fold that is not there and for variants that taught and are asked. Where the dataset knows the errors of its
    measurements, rows `ceiling_spearman`, `ceiling_pearson` and `ceiling_r2` of the fold "all" say what a perfect
    prediction would reach on the variants asked (see noise_ceiling).
    """
    folds = {name: _join(dataset, found, _taught(name, found, teaching)) for name, found in predictions_by_fold.items()}
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
        pooled = _scores(everything, resamples, sign)
        within = [metric.within for metric in METRICS.values()]
        pooled[:, within] = np.mean(list(samples.values()), axis=0)[:, within]
        tables.append(_table("all", "pooled", pooled, distinct))
    else:
        tables.append(_table("all", "mean", np.mean(list(samples.values()), axis=0), distinct))
    asked = dataset.select(sorted({mutant for fold in folds.values() for mutant in fold.mutants}))
    return pd.concat([*tables, *_ceilings(asked, str(tables[-1]["aggregation"].iloc[0]), seed)], ignore_index=True)


def _taught(fold: str, found: Predictions, teaching: Mapping[str, Sequence[str]] | None) -> Sequence[str]:
    if teaching is None:
        return ()
    if fold not in teaching:
        raise MetricsError(f"fold {fold!r} is predicted, and not in the split ({', '.join(list(teaching)[:5])}, ...)")
    both = sorted(set(teaching[fold]) & set(found.mutants))
    if both:
        raise MetricsError(f"fold {fold!r}: taught and asked: {', '.join(both[:5])}; predictions of another split?")
    return teaching[fold]


def _ceilings(asked: Dataset, aggregation: str, seed: int) -> Iterator[pd.DataFrame]:
    found = noise_ceiling.ceiling(asked, seed)
    if found is not None:
        rows = {f"{CEILING}{name}": value for name, value in vars(found).items()}
        columns = {"metric": list(rows), "value": list(rows.values()), "low": np.nan, "high": np.nan}
        yield pd.DataFrame({"fold": "all", "aggregation": aggregation, **columns, "n": len(asked)})


def write(dataset: str, parts: Mapping[tuple[str, str], pd.DataFrame], path: Path) -> None:
    """Write the tables that `evaluate` gave for (split, method) as one CSV, whole or not at all."""
    tables = [part.assign(dataset=dataset, split=split, method=method) for (split, method), part in parts.items()]
    table = pd.concat(tables) if tables else pd.DataFrame(columns=list(COLUMNS))
    text_table.write({name: table[name] for name in COLUMNS}, path, 9)


def read(path: Path) -> pd.DataFrame:
    """The table of a file written by `write`: texts as they are, numbers as floats with NaN where empty."""
    table = text_table.read(path, COLUMNS, MetricsError)
    found = {name: text_table.numbers(table, name, path, MetricsError) for name in ("value", "low", "high", "n")}
    return table.frame().assign(**found)


def _join(dataset: Dataset, found: Predictions, taught: Sequence[str]) -> _Asked:
    mutants = tuple(sorted(found.mutants))
    ordered, y = found.select(mutants), dataset.select(mutants).fitness
    both = np.stack([y, ordered.mean])
    return _Asked(mutants, y, ordered.mean, ordered.noisy_std, _standardised(both, dataset.select(taught).fitness))


def _standardised(values: Float[np.ndarray, "2 n"], taught: Float[np.ndarray, "t"]) -> Float[np.ndarray, "2 n"]:
    """In units of the rows that taught; NaN where these have no spread."""
    if len(taught) < 2 or agreement.constant(taught):
        return np.full_like(values, np.nan)
    # z = (y - mean of the teaching rows) / their standard deviation, with n - 1 as ProteinGym's
    return np.asarray((values - taught.mean()) / taught.std(ddof=1))


def _pool(parts: list[_Asked]) -> _Asked:
    mutants = tuple(mutant for part in parts for mutant in part.mutants)
    order = np.array(sorted(range(len(mutants)), key=mutants.__getitem__), dtype=np.int64)
    names = ("y", "mean", "std", "own")
    columns = (np.concatenate([getattr(part, name) for part in parts], axis=-1)[..., order] for name in names)
    return _Asked(tuple(mutants[row] for row in order), *columns)


def _resamples(name: str, mutants: tuple[str, ...], count: int, seed: int) -> Iterator[Int[np.ndarray, "b n"]]:
    """First every variant once, then variants drawn with replacement, in blocks; the same for the same variants."""
    digest = hashlib.sha256("/".join([name, str(seed), *mutants]).encode()).digest()
    random = np.random.default_rng(int.from_bytes(digest[:16], "big"))
    # all draws at once would be 4 GB for 500 resamples of 500,000 variants; in blocks they are the same numbers
    at_once = max(1, CHUNK // len(mutants))
    yield np.arange(len(mutants))[None]
    for start in range(0, count, at_once):
        yield random.integers(len(mutants), size=(min(at_once, count - start), len(mutants)))


def _scores(asked: _Asked, resamples: Iterable[Int[np.ndarray, "_ n"]], sign: float) -> Float[np.ndarray, "b metrics"]:
    """Every metric of every resample, block by block."""
    parts = []
    for drawn in resamples:
        y, mean, std = (values[drawn] for values in (asked.y, asked.mean, asked.std))
        parts.append(np.stack([_score(one, y, mean, std, asked.own[:, drawn], sign) for one in METRICS.values()], -1))
    return np.concatenate(parts)


def _score(metric: Metric, y: Values, mean: Values, std: Values, own: np.ndarray, sign: float) -> Scores:
    if metric.standardised:
        unknown = np.isnan(own).any(axis=(0, -1))
        return np.where(unknown, np.nan, metric.function(own[0], own[1], std))
    if metric.seeks_best:
        return metric.function(sign * y, sign * mean, std)
    return metric.function(y, mean, std)


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
