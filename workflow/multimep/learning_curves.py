"""Learning curves: how good a method is by the number of variants it learns from, and what it gains over a null."""

import math
from collections.abc import Mapping

import numpy as np
import pandas as pd

from multimep import inference
from multimep.comparisons import NO_KIN, Kin, folds, low_n_splits, mean_over_families, paired

COLUMNS = ["method", "size", "mean", "low", "high", "n"]


def learning_curve(
    metrics: pd.DataFrame, split: str, metric: str = "spearman", kin: Kin = NO_KIN, seed: int = 0
) -> pd.DataFrame:
    """The curve of every method of a low-N split over protein families: method, size, mean, low, high, n.

    `mean` is over families (seeds first, then datasets), `low` and `high` its 95 % bootstrap interval over families, or
    over seeds where there is one family; `n` is the number of folds behind it. "full" folds, which have no size in
    common, are left out.
    """
    found = _sized(metrics, metric, split)
    rows = [
        {"method": method, "size": size, **_over_families(part, "value", kin, seed)}
        for (method, size), part in found.groupby(["method", "size"], sort=False)
    ]
    return pd.DataFrame(rows, columns=COLUMNS)


def gain_curve(
    metrics: pd.DataFrame, split: str, null: str, metric: str = "spearman", kin: Kin = NO_KIN, seed: int = 0
) -> pd.DataFrame:
    """What each other method gains over `null` by training size, paired by seed; the columns of `learning_curve`."""
    rows = []
    for method in dict.fromkeys(metrics.loc[metrics["split"] == split, "method"].astype(str)):
        pairs = paired(metrics, method, null, split, metric) if method != null else metrics.iloc[:0]
        sized = pairs.assign(size=pairs["size"].astype(int)).sort_values("size", kind="stable") if len(pairs) else pairs
        for size, part in sized.groupby("size", sort=False) if len(sized) else ():
            rows.append({"method": method, "size": size, **_over_families(part, "difference", kin, seed)})
    return pd.DataFrame(rows, columns=COLUMNS)


def learning_curves(
    metrics: pd.DataFrame, metric: str = "spearman", variants: Mapping[str, int] | None = None
) -> pd.DataFrame:
    """The curve of every dataset, method and low-N split: split, dataset, method, size, value, low, high.

    `value` is the mean over seeds, `low` and `high` the lowest and the highest seed (NaN for a single one). With
    `variants` (dataset -> number of its variants) "full" folds stand at their true size: all that is not asked.
    """
    columns = ["split", "dataset", "method", "size"]
    parts = [_sized(metrics, metric, split, variants).assign(split=split) for split in low_n_splits(metrics)]
    if not parts:
        return pd.DataFrame(columns=[*columns, "value", "low", "high"])
    grouped = pd.concat(parts).groupby(columns, sort=False)["value"]
    table = grouped.agg(value="mean", low="min", high="max", seeds="size").reset_index()
    table.loc[table["seeds"] < 2, ["low", "high"]] = np.nan
    return table.drop(columns="seeds")


def _sized(metrics: pd.DataFrame, metric: str, split: str, variants: Mapping[str, int] | None = None) -> pd.DataFrame:
    """The folds of a low-N split with a training size, in its order; those of "full" only where it can be known."""
    found = folds(metrics, metric, split)
    # n_full = N - asked
    full = found["dataset"].map((variants or {}).get).astype(float) - found["n"]
    named = pd.to_numeric(found["size"].where(found["size"] != "full")).astype(float)
    size = named.where(found["size"] != "full", full)
    sized = found.assign(size=size).dropna(subset=["size", "value"])
    sized = sized[sized["size"] > 0]  # 0 has no place on a logarithmic axis
    return sized.assign(size=sized["size"].astype(int)).sort_values("size", kind="stable")


def _over_families(found: pd.DataFrame, column: str, kin: Kin, seed: int) -> dict[str, float]:
    """mean, low, high and n of one point: over families, or over the folds of a single family."""
    by_dataset = found.groupby("dataset", sort=False)[column].mean()
    mean, low, high = mean_over_families({str(name): float(value) for name, value in by_dataset.items()}, kin, seed)
    if math.isnan(low):
        low, high = inference.bootstrap_mean(found[column].to_numpy(np.float64), seed)
    return {"mean": mean, "low": low, "high": high, "n": len(found)}
