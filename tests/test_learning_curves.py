"""Learning curves: seeds before datasets before families, gains paired by seed, "full" at its true size."""

import itertools

import numpy as np
import pandas as pd
import pytest

from multimep.comparisons import Kin
from multimep.learning_curves import gain_curve, learning_curve, learning_curves


def _row(
    dataset: str, split: str, method: str, fold: str, value: float, *, metric: str = "spearman"
) -> dict[str, object]:
    aggregation = {"all": "pooled"}.get(fold, "fold")
    numbers = {"value": value, "low": value - 0.1, "high": value + 0.1, "n": 50}
    return {
        "dataset": dataset,
        "split": split,
        "method": method,
        "fold": fold,
        "aggregation": aggregation,
        "metric": metric,
        **numbers,
    }


def _curve_table() -> pd.DataFrame:
    sizes, methods = {"24": 0.2, "96": 0.4, "full": 0.6}, {"embedding_gp": 0.1, "fine_tune": 0.0}
    return pd.DataFrame(
        _row(name, "low_n", method, f"n{size}_seed{seed}", base + more + 0.01 * seed + 0.1 * place)
        for place, name in enumerate("ab")
        for (size, base), (method, more) in itertools.product(sizes.items(), methods.items())
        for seed in range(1 if size == "full" else 2)
    )


def test_the_learning_curve_averages_seeds_then_datasets() -> None:
    curve = learning_curve(_curve_table(), "low_n").set_index(["method", "size"])
    assert set(curve.index) == {(method, size) for method in ("embedding_gp", "fine_tune") for size in (24, 96)}
    assert curve.loc[("fine_tune", 24), "mean"] == pytest.approx(0.2 + 0.005 + 0.05)
    assert set(curve["n"]) == {4}
    assert ((curve["low"] <= curve["mean"]) & (curve["mean"] <= curve["high"])).all()


def test_datasets_of_one_family_are_one_point_whose_interval_is_over_folds() -> None:
    table = _curve_table()
    curve = learning_curve(table, "low_n", kin=Kin({"a": "a", "b": "a"})).set_index(["method", "size"])
    values = table.query("method == 'fine_tune' and fold.str.startswith('n24_')")["value"]
    assert curve.loc[("fine_tune", 24), "mean"] == pytest.approx(values.mean())
    assert values.min() <= curve.loc[("fine_tune", 24), "low"] < curve.loc[("fine_tune", 24), "high"] <= values.max()


def test_the_gain_is_paired_by_seed() -> None:
    gain = gain_curve(_curve_table(), "low_n", "fine_tune")
    assert gain[["method", "size"]].to_numpy().tolist() == [["embedding_gp", 24], ["embedding_gp", 96]]
    assert gain[["mean", "low", "high"]].to_numpy() == pytest.approx(0.1)
    assert gain_curve(_curve_table(), "low_n", "nobody").empty


def test_the_curves_of_single_datasets_span_their_seeds() -> None:
    table = _curve_table()
    curves = learning_curves(table).set_index(["split", "dataset", "method", "size"])
    values = curves.loc[("low_n", "b", "embedding_gp", 96), ["value", "low", "high"]].tolist()
    assert values == pytest.approx([0.605, 0.6, 0.61])
    assert learning_curves(table[table["fold"] == "none"]).empty
    single = learning_curves(table[table["fold"].str.endswith("seed0")])
    assert single[["low", "high"]].isna().all(axis=None)


def test_full_stands_at_all_that_is_not_asked() -> None:
    curves = learning_curves(_curve_table(), variants={"a": 300, "b": 450})
    full = curves[curves["value"] > 0.55].query("method == 'fine_tune' and size > 96")
    assert dict(zip(full["dataset"], full["size"], strict=True)) == {"a": 250, "b": 400}  # 50 are asked
    assert np.isnan(full["low"]).all()
