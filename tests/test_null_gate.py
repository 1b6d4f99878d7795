"""The null gate: what does not beat the nulls is named, once for each case, with its numbers."""

import numpy as np
import pandas as pd
import pytest

from multimep.comparisons import Kin
from multimep.null_gate import cases, hurdles, missing, nulls, warnings

NULLS = ("additive", "site_gp")


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


def _scores(by_dataset: dict[str, tuple[float, ...]], methods: tuple[str, ...], **more: str) -> pd.DataFrame:
    return pd.DataFrame(
        _row(name, "random", method, "all", value, **more)
        for name, values in by_dataset.items()
        for method, value in zip(methods, values, strict=True)
    )


def test_a_method_that_does_not_beat_a_null_is_warned_of_with_its_numbers() -> None:
    table = _scores({"a": (0.45, 0.31, 0.5), "b": (0.4, 0.4, 0.61)}, ("additive", "fine_tune", "embedding_gp"))
    assert warnings(table, NULLS) == [
        "fine_tune does not beat additive (random, Spearman): \u22120.070 [\u22120.140, 0.000] over 2 protein families,"
        " not better on 2 of 2 datasets: a 0.31 vs 0.45, b 0.40 vs 0.40"
    ]
    assert warnings(table[table["dataset"] == "a"], NULLS) == [
        "fine_tune does not beat additive (random, Spearman): \u22120.140 over 1 protein family, not better on 1 of 1"
        " dataset: a 0.31 vs 0.45"
    ]
    assert warnings(table[table["method"] != "additive"], NULLS) == []


def test_a_gain_that_may_be_none_is_not_shown() -> None:
    table = _scores({"a": (0.4, 0.6), "b": (0.4, 0.35), "c": (0.4, 0.41)}, ("additive", "fine_tune"))
    (told,) = warnings(table, NULLS)
    assert told.startswith("fine_tune is not shown to beat additive (random, Spearman): +0.053 [\u2212")
    assert told.endswith("not better on 1 of 3 datasets: b 0.35 vs 0.40")


def test_every_method_meets_both_nulls_and_the_first_null_meets_none() -> None:
    table = _scores({"a": (0.4, 0.3, 0.2), "b": (0.4, 0.3, 0.2)}, ("additive", "site_gp", "fine_tune"))
    assert [text.partition(" (")[0] for text in warnings(table, NULLS)] == [
        "site_gp does not beat additive", "fine_tune does not beat additive", "fine_tune does not beat site_gp"
    ]  # fmt: skip


def test_an_incomplete_gate_says_what_to_add() -> None:
    known = {"additive": ("additive", {}), "plain": ("site_gp", {"expectation": False})}
    assert (nulls(known), missing(known)) == (("additive", "plain"), ())
    assert missing({"additive": ("additive", {})}) == ("site_gp",)
    table = _scores({"a": (0.4, 0.5)}, ("additive", "fine_tune"))
    assert warnings(table, ("additive",), ("site_gp",)) == [
        "The null gate is incomplete: site_gp is not among the methods; add `site_gp: {}` to methods"
    ]


def test_the_unit_is_the_family() -> None:
    table = _scores({"a": (0.4, 0.5), "b": (0.4, 0.7), "c": (0.4, 0.3)}, ("additive", "fine_tune"))
    found = hurdles(cases(table, "spearman"), "random", "additive", "spearman", Kin({"b": "a"}))["fine_tune"]
    assert found.difference.value == pytest.approx((0.2 - 0.1) / 2)
    assert (found.families, found.asked, list(found.behind)) == (2, 3, ["c"])


def test_each_training_size_is_a_case_and_a_constant_prediction_counts_as_0() -> None:
    values = {("24", "additive"): 0.3, ("24", "zero_shot"): 0.4, ("96", "additive"): 0.5, ("96", "zero_shot"): np.nan}
    table = pd.DataFrame(
        _row("a", "low_n", method, f"n{size}_seed0", value, metric=metric)
        for (size, method), correlation in values.items()
        for metric, value in (("spearman", correlation), ("r2", 0.1))
    )
    assert warnings(table, NULLS) == [
        "zero_shot does not beat additive (low_n with n = 96, Spearman): \u22120.500 over 1 protein family, not better"
        " on 1 of 1 dataset: a 0.00 vs 0.50"
    ]


def test_the_pooled_value_comes_before_the_folds() -> None:
    rows = [_row("a", "random", method, fold, value) for method, fold, value in (
        ("additive", "fold0", 0.9), ("additive", "all", 0.2), ("fine_tune", "fold0", 0.1), ("fine_tune", "all", 0.3)
    )]  # fmt: skip
    assert warnings(pd.DataFrame(rows), NULLS) == []


def test_a_smaller_error_passes_and_a_coverage_is_never_warned_of() -> None:
    table = _scores({"a": (0.4, 0.3), "b": (0.4, 0.2)}, ("additive", "fine_tune"), metric="rmse")
    assert warnings(table, NULLS, metric="rmse") == []
    assert warnings(table.assign(metric="coverage_95"), NULLS, metric="coverage_95") == []
