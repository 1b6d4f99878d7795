"""The tables of the report: scores of methods x datasets with tooltips, tints and the best."""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import pandas as pd

from multimep.comparisons import NO_KIN, Kin, mean_over_families
from multimep.drawing import Interval, colour, decimal, signed
from multimep.measures import SCALE_FREE, Measure, measure
from multimep.metrics import CEILING
from multimep.null_gate import Hurdle

AGGREGATIONS = ("pooled", "mean", "fold")


@dataclass(frozen=True)
class Cell:
    """One number of a table: its text, tooltip, sorting key, if it is its column's best, tint in %, if it warns."""

    text: str
    tooltip: str
    order: float
    best: bool = False
    tint: int | None = None
    warns: bool = False


MISSING = Cell("\u2013", "no value", math.nan)


@dataclass(frozen=True)
class ScoreRow:
    """A method's cells in the order of the table's datasets, their mean, and its difference to each null."""

    method: str
    colour: str
    cells: tuple[Cell, ...]
    mean: Cell
    differences: tuple[Cell, ...]


@dataclass(frozen=True)
class ScoreTable:
    """Methods x datasets for one metric on one split.

    Attributes:
        ceiling: what a perfect prediction would reach on each dataset; empty where no source tells its noise.
    """

    title: str
    note: str
    metric: str
    split: str
    datasets: tuple[str, ...]
    nulls: tuple[str, ...]
    rows: tuple[ScoreRow, ...]
    ceiling: tuple[Cell, ...] = ()


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


def over_families(values: Mapping[str, float], kin: Kin = NO_KIN) -> Interval:
    """The mean over families of finite values by dataset, with the 95 % interval that the comparisons use."""
    return Interval(*mean_over_families({name: value for name, value in values.items() if math.isfinite(value)}, kin))


def grid(chosen: pd.DataFrame) -> dict[tuple[str, str], Interval]:
    """The intervals of `chosen` (rows of one metric and split of `scores`), keyed by method and dataset."""
    columns = zip(*(chosen[name] for name in ("method", "dataset", "value", "low", "high")), strict=True)
    return {(str(m), str(d)): Interval(float(value), float(low), float(high)) for m, d, value, low, high in columns}


def means(cells: Mapping[tuple[str, str], Interval], kin: Kin = NO_KIN) -> dict[str, Interval]:
    """Each method's mean over protein families, with its interval."""
    by_method: dict[str, dict[str, float]] = {}
    for (method, name), cell in cells.items():
        by_method.setdefault(method, {})[name] = cell.value
    return {method: over_families(values, kin) for method, values in by_method.items()}


def ceilings(table: pd.DataFrame, split: str, metric: str) -> dict[str, float]:
    """Dataset -> what a perfect prediction would score, as the measurements have errors; where that is known."""
    found = choose(table, split, CEILING + metric).drop_duplicates("dataset")
    return dict(zip(map(str, found["dataset"]), map(float, found["value"]), strict=True))


def _ceiling(names: Sequence[str], top: Mapping[str, float]) -> tuple[Cell, ...]:
    tooltip = "expected of a perfect prediction, as the replicates differ"
    cells = [Cell(decimal(top[name]), f"{name}: {tooltip}", top[name]) if name in top else MISSING for name in names]
    return tuple(cells) if top else ()


def score_table(
    chosen: pd.DataFrame,
    methods: Sequence[str],
    gate: Mapping[str, Mapping[str, Hurdle]] | None = None,
    kin: Kin = NO_KIN,
    top: Mapping[str, float] | None = None,
) -> ScoreTable:
    """The table of `chosen` (rows of one metric and split of `scores`); `methods` gives the order and the colours.

    `gate` holds each method against the nulls: null -> method -> hurdle. `top`: dataset -> noise ceiling.
    """
    split, metric = str(chosen["split"].iloc[0]), str(chosen["metric"].iloc[0])
    cells, how, gate = grid(chosen), measure(metric), gate or {}
    names = tuple(dict.fromkeys(name for _, name in cells))
    columns = {name: _column(how, {m: cell for (m, d), cell in cells.items() if d == name}, name) for name in names}
    mean = _column(how, means(cells, kin), "mean over families", tinted=False)
    rows = tuple(
        ScoreRow(method, colour(place), tuple(columns[name].get(method, MISSING) for name in names), mean[method],
                 _differences(method, gate))
        for place, method in enumerate(methods)
        if method in mean
    )  # fmt: skip
    title, ceiling = f"{how.title}, split {split}", _ceiling(names, top or {})
    return ScoreTable(title, how.definition, metric, split, names, tuple(gate), rows, ceiling)


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


def _differences(method: str, gate: Mapping[str, Mapping[str, Hurdle]]) -> tuple[Cell, ...]:
    """A cell per null; an earlier null is not warned of for not beating a later one."""
    nulls = list(gate)
    exempt = {null: method in nulls[:place] for place, null in enumerate(nulls)}
    cells = {null: _difference(found.get(method), null) for null, found in gate.items()}
    return tuple(replace(cell, warns=cell.warns and not exempt[null]) for null, cell in cells.items())


def _difference(hurdle: Hurdle | None, null: str) -> Cell:
    if hurdle is None or not math.isfinite(hurdle.difference.value):
        return MISSING
    gap = hurdle.difference
    text = signed(gap.value)
    shown = f"{text} [{signed(gap.low)}, {signed(gap.high)}]" if gap.known else text
    beaten = "" if hurdle.passed else f"; {'not shown to beat' if hurdle.ahead else 'does not beat'} {null}"
    return Cell(shown, f"minus {null}: {gap}{beaten}", gap.value, warns=not hurdle.passed)
