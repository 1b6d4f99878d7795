"""The tables of the report: scores of methods x datasets with tooltips, tints and the best; what the stations took."""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from multimep.accounting import Account, Usage, amount, duration, kilowatt_hours
from multimep.comparisons import bootstrap_mean
from multimep.drawing import Interval, colour, decimal, signed

AGGREGATIONS = ("pooled", "mean", "fold")
SCALE_FREE = frozenset({"spearman", "pearson", "ndcg", "top_recall"})  # what has a meaning on any scale


@dataclass(frozen=True)
class Measure:
    """How a metric is read: its name for people, one line of definition, and where its best value lies.

    Attributes:
        best: the value that a perfect prediction has (inf, -inf: the larger, the smaller the better).
    """

    title: str
    definition: str
    best: float

    def goodness(self, value: float) -> float:
        """A number that grows with the quality of `value`: -|value - best|, or the value itself where best is far."""
        if math.isfinite(self.best):
            return -abs(value - self.best)
        return value if self.best > 0 else -value


MEASURES: Mapping[str, Measure] = {
    "spearman": Measure(
        "Spearman correlation", "do the ranks agree: 1 where the order is right, 0 by chance", math.inf
    ),
    "pearson": Measure("Pearson correlation", "do predicted and measured fitness lie on one line", math.inf),
    "r2": Measure(
        "R\u00b2", "explained share of the variance; 0 for predicting the mean, negative where worse", math.inf
    ),
    "rmse": Measure("RMSE", "root of the mean squared error, in the unit of the dataset; smaller is better", -math.inf),
    "mae": Measure("MAE", "mean absolute error, in the unit of the dataset; smaller is better", -math.inf),
    "ndcg": Measure("NDCG", "are the best measured mutants on top of the predicted list; 1 is perfect", math.inf),
    "top_recall": Measure(
        "Top-10 % recall",
        "share of the measured best tenth that is in the predicted best tenth; 0.1 by chance",
        math.inf,
    ),
    "coverage_50": Measure("Coverage of 50 %", "share of measurements inside the 50 % interval; 0.5 is right", 0.5),
    "coverage_80": Measure("Coverage of 80 %", "share of measurements inside the 80 % interval; 0.8 is right", 0.8),
    "coverage_95": Measure("Coverage of 95 %", "share of measurements inside the 95 % interval; 0.95 is right", 0.95),
    "nll": Measure("NLL", "negative log likelihood per measurement under the prediction; smaller is better", -math.inf),
}


@dataclass(frozen=True)
class Cell:
    """One number of a table: its text, tooltip and sorting key, whether it is its column's best, its tint in %."""

    text: str
    tooltip: str
    order: float
    best: bool = False
    tint: int | None = None


MISSING = Cell("\u2013", "no value", math.nan)


@dataclass(frozen=True)
class ScoreRow:
    """A method's cells in the order of the table's datasets, their mean, and its difference to the baseline."""

    method: str
    colour: str
    cells: tuple[Cell, ...]
    mean: Cell
    difference: Cell


@dataclass(frozen=True)
class ScoreTable:
    """Methods x datasets for one metric on one split."""

    title: str
    note: str
    metric: str
    split: str
    datasets: tuple[str, ...]
    rows: tuple[ScoreRow, ...]


@dataclass(frozen=True)
class UsageTable:
    """What the stations of a study took.

    Attributes:
        groups: how the numbers of some columns came about, with the number of these columns.
        columns: names of the columns after the station.
        rows: of a station or method, its name and its cells.
        total: cells of the sum.
        caption: what the numbers mean and what they leave out.
    """

    groups: tuple[tuple[str, int], ...]
    columns: tuple[str, ...]
    rows: tuple[tuple[str, tuple[Cell, ...]], ...]
    total: tuple[Cell, ...]
    caption: str


USAGE = (
    "Measured by Snakemake, job by job: time from start to end (jobs may have run side by side), memory, and core time "
    "used. GPU-hours and core-hours: time from start to end, times the GPUs that a job asked for, or the cores where "
    "it asked for no GPU: the cores beside a GPU are in its hours. "
)
LEFT_OUT = (
    "A job that was tried or made again counts with its last success; waiting in queues, starting of jobs and this "
    "page are left out."
)


def measure(metric: str) -> Measure:
    """How to read a metric; one that this page does not know is shown under its own name, larger taken as better."""
    return MEASURES.get(metric, Measure(metric, "", math.inf))


def scores(metrics: pd.DataFrame) -> pd.DataFrame:
    """One row per split, dataset, method and metric: pooled over the folds where that is given, else their mean."""
    keys = ["split", "dataset", "method", "metric"]
    ranked = metrics.assign(rank=metrics["aggregation"].map({name: place for place, name in enumerate(AGGREGATIONS)}))
    return ranked.sort_values("rank", kind="stable").drop_duplicates(keys).drop(columns="rank").reset_index(drop=True)


def comparable(table: pd.DataFrame, unscaled: Collection[str]) -> pd.DataFrame:
    """`table` without errors and coverages of methods that predict on another scale than the fitness."""
    return table[~table["method"].isin(list(unscaled)) | table["metric"].isin(SCALE_FREE)]


def choose(table: pd.DataFrame, split: str, metric: str) -> pd.DataFrame:
    """The rows of one split and metric of `scores`."""
    return table[(table["split"] == split) & (table["metric"] == metric)]


def goodness(metric: str, value: float) -> float:
    """How good `value` is of `metric`; below every number for NaN."""
    return measure(metric).goodness(value) if math.isfinite(value) else -math.inf


def over_datasets(values: Sequence[float]) -> Interval:
    """The mean of finite values, one per dataset, with the 95 % interval that the comparisons use (NaN for one)."""
    finite = np.array([value for value in values if math.isfinite(value)])
    return Interval(float(finite.mean()) if len(finite) else math.nan, *bootstrap_mean(finite))


def grid(chosen: pd.DataFrame) -> dict[tuple[str, str], Interval]:
    """The intervals of `chosen` (rows of one metric and split of `scores`), keyed by method and dataset."""
    columns = zip(*(chosen[name] for name in ("method", "dataset", "value", "low", "high")), strict=True)
    return {(str(m), str(d)): Interval(float(value), float(low), float(high)) for m, d, value, low, high in columns}


def means(cells: Mapping[tuple[str, str], Interval]) -> dict[str, Interval]:
    """Each method's mean over the datasets, with its interval."""
    methods = dict.fromkeys(method for method, _ in cells)
    return {name: over_datasets([cell.value for (m, _), cell in cells.items() if m == name]) for name in methods}


def differences(cells: Mapping[tuple[str, str], Interval], baseline: str) -> dict[str, Interval]:
    """Each method's mean paired difference to the baseline over the datasets that have both."""
    pairs: dict[str, list[float]] = {method: [] for method, _ in cells if method != baseline}
    for (method, name), cell in cells.items():
        if method != baseline and (baseline, name) in cells:
            pairs[method].append(cell.value - cells[baseline, name].value)
    return {method: over_datasets(gaps) for method, gaps in pairs.items()}


def score_table(chosen: pd.DataFrame, methods: Sequence[str], baseline: str) -> ScoreTable:
    """The table of `chosen` (rows of one metric and split of `scores`); `methods` gives the order and the colours."""
    split, metric = str(chosen["split"].iloc[0]), str(chosen["metric"].iloc[0])
    cells, how = grid(chosen), measure(metric)
    names = tuple(dict.fromkeys(name for _, name in cells))
    columns = {name: _column(how, {m: cell for (m, d), cell in cells.items() if d == name}, name) for name in names}
    mean, gaps = _column(how, means(cells), "mean over datasets", tinted=False), differences(cells, baseline)
    rows = tuple(
        ScoreRow(method, colour(place), tuple(columns[name].get(method, MISSING) for name in names), mean[method],
                 _difference(gaps.get(method), baseline))
        for place, method in enumerate(methods)
        if method in mean
    )  # fmt: skip
    return ScoreTable(f"{how.title}, split {split}", how.definition, metric, split, names, rows)


def _column(how: Measure, column: Mapping[str, Interval], name: str, *, tinted: bool = True) -> dict[str, Cell]:
    """The cells of one column: the best is marked, tints go from 0 (worst) to 26 % (best) where there is a spread."""
    good = {method: how.goodness(cell.value) for method, cell in column.items() if math.isfinite(cell.value)}
    low, high = min(good.values(), default=0.0), max(good.values(), default=0.0)
    return {
        method: Cell(
            decimal(cell.value),
            f"{method}, {name}: {cell}",
            cell.value,
            best=len(good) > 1 and good.get(method) == high,
            tint=round(26 * (good[method] - low) / (high - low)) if tinted and method in good and high > low else None,
        )
        for method, cell in column.items()
    }


def _difference(gap: Interval | None, baseline: str) -> Cell:
    if gap is None or not math.isfinite(gap.value):
        return MISSING
    text = signed(gap.value)
    return Cell(
        f"{text} [{signed(gap.low)}, {signed(gap.high)}]" if gap.known else text,
        f"minus {baseline}: {gap}",
        gap.value,
    )


def usage_table(account: Account) -> UsageTable | None:
    """The table of what every station and method took; None where nothing is known."""
    if not account.usages:
        return None
    paid = account.money(account.total) > 0
    groups = (("measured", 5), ("measured time \u00d7 asked for", 2), ("estimated", 1 + paid))
    columns = ("jobs", "all jobs", "longest job", "most memory", "core time used", "core-hours", "GPU-hours", "energy")
    rows = tuple((usage.name, _usage(account, usage, paid)) for usage in account.usages)
    cost = ("cost",) if paid else ()
    return UsageTable(groups, columns + cost, rows, _usage(account, account.total, paid), _usage_caption(account, paid))


def _usage(account: Account, usage: Usage, paid: bool) -> tuple[Cell, ...]:
    inside = len(usage.runs) - len(usage.alone)
    jobs = f"{len(usage.runs)} jobs" + (f", {inside} of them in shards, whose allocations count there" * bool(inside))
    seen = any(math.isfinite(run.cpu) for run in usage.runs)
    longest = max((run.seconds for run in usage.runs), default=math.nan)
    memory = f"{usage.memory:,.0f} MiB" if math.isfinite(usage.memory) else MISSING.text
    energy, money = account.energy(usage), account.money(usage)
    asked = [
        _hours(usage.core_seconds, "core-hours", "every job had a GPU, whose hours its cores are counted with"),
        _hours(usage.gpu_seconds, "GPU-hours", "no GPU was asked for"),
        Cell(kilowatt_hours(energy), f"{energy:.6f} kWh", energy),
        Cell(amount(money, account.cluster.currency), f"{money:.6f} {account.cluster.currency}", money),
    ]
    return (
        Cell(str(len(usage.runs)), jobs, len(usage.runs)),
        Cell(duration(usage.seconds), f"{usage.seconds:.1f} s", usage.seconds),
        Cell(duration(longest), f"{longest:.1f} s", longest),
        Cell(memory, memory, usage.memory),
        Cell(duration(usage.cpu), f"{usage.cpu:.1f} s", usage.cpu) if seen else MISSING,
        *([Cell("in shards", jobs, 0.0)] * 4 if not usage.alone else asked)[: 3 + paid],
    )


def _hours(seconds: float, unit: str, none: str) -> Cell:
    text = duration(seconds) if seconds else "none"
    return Cell(text, f"{seconds / 3600:.4f} {unit}" if seconds else none, seconds)


def _usage_caption(account: Account, paid: bool) -> str:
    """What was measured, what follows from what was asked for, what is an estimate, and what is left out."""
    site = account.cluster
    with_gpu = f"{site.watts_per_gpu:g} W for a GPU with {site.cores_per_gpu} cores beside it and "
    watts = with_gpu * bool(account.total.gpu_seconds) + f"{site.watts_per_core:g} W for each core"
    energy = f"Energy is an estimate: the hours times stated watts ({watts}); nothing was metered. "
    prices = f"{site.price_per_gpu_hour:g} and {site.price_per_core_hour:g} {site.currency}"
    cost = f"Cost: {prices} for each GPU-hour and core-hour. " if paid else ""
    inside = any(run.inside for usage in account.usages for run in usage.runs)
    shards = "Predictions made in a shard show their own time; its cores and GPUs count once, as the shard's. "
    gaps = "".join(f"{gap} " for gap in account.gaps)
    return USAGE + energy + cost + shards * inside + gaps + LEFT_OUT
