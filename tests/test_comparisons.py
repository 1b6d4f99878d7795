"""Comparisons: the protein family is the unit, differences are paired, p-values are adjusted, constants count as 0."""

import itertools

import numpy as np
import pandas as pd
import pytest

from multimep.comparisons import (
    ComparisonError,
    Kin,
    adjusted,
    answers,
    chosen_among,
    compare,
    constant_as_zero,
    low_n_splits,
    split_of,
)
from multimep.inference import holm
from multimep.questions import Question, by_usual_labels

DATASETS = tuple("abcdefg")


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


def _table(gaps: dict[str, float], metric: str = "spearman", folds: int = 3) -> pd.DataFrame:
    """Folds that vary by more than the methods do: fold k has 0.1 k + gap for `new`, 0.1 k for `old`."""
    return pd.DataFrame(
        _row(name, "random", method, f"fold{k}", 0.1 * k + (gap if method == "new" else 0), metric=metric)
        for name, gap in gaps.items()
        for k in range(folds)
        for method in ("new", "old")
    )


def _curve_table() -> pd.DataFrame:
    sizes, methods = {"24": 0.2, "96": 0.4, "full": 0.6}, {"embedding_gp": 0.1, "fine_tune": 0.0}
    return pd.DataFrame(
        _row(name, "low_n", method, f"n{size}_seed{seed}", base + more + 0.01 * seed + 0.1 * place)
        for place, name in enumerate("ab")
        for (size, base), (method, more) in itertools.product(sizes.items(), methods.items())
        for seed in range(1 if size == "full" else 2)
    )


def test_the_difference_is_paired_over_folds_and_averaged_over_datasets() -> None:
    gaps = dict(zip(DATASETS, [0.03, 0.01, 0.02, 0.04, -0.01, 0.05, 0.0], strict=True))
    found = compare(_table(gaps), "new", "old", "random")
    assert found.differences == found.families == pytest.approx(gaps)
    assert found.mean == pytest.approx(0.02)
    assert (found.wins, found.ties, found.losses) == (5, 1, 1)


def test_swapping_the_methods_turns_every_sign() -> None:
    gaps = dict(zip(DATASETS, [0.03, 0.01, 0.02, 0.04, -0.01, 0.05, 0.02], strict=True))
    forth, back = compare(_table(gaps), "new", "old", "random"), compare(_table(gaps), "old", "new", "random")
    assert (back.mean, back.wins, back.losses, back.p) == (-forth.mean, forth.losses, forth.wins, forth.p)
    assert (back.low, back.high) == pytest.approx((-forth.high, -forth.low), abs=2e-3)


def test_datasets_of_one_family_count_once() -> None:
    gaps = dict(zip(DATASETS, [0.3, 0.1, 0.02, 0.04, -0.01, 0.05, 0.0], strict=True))
    found = compare(_table(gaps), "new", "old", "random", kin=Kin({"a": "a", "b": "a"}))
    assert found.families == pytest.approx({"a": 0.2} | {name: gaps[name] for name in "cdefg"})
    assert found.mean == pytest.approx((0.2 + 0.02 + 0.04 - 0.01 + 0.05) / 6)
    alone = compare(_table({"a": 0.2, "b": 0.1}), "new", "old", "random", kin=Kin({"a": "a", "b": "a"}))
    assert np.isnan([alone.low, alone.high, alone.sd]).all()


def test_the_interval_draws_families_inside_their_types() -> None:
    gaps = dict(zip(DATASETS, [0.31, 0.29, 0.3, 0.32, 0.01, 0.0, 0.02], strict=True))
    types = dict.fromkeys("abcd", "enzyme") | dict.fromkeys("efg", "binding")
    plain, inside = (compare(_table(gaps), "new", "old", "random", kin=Kin({}, kinds)) for kinds in ({}, types))
    assert inside.mean == plain.mean
    assert inside.high - inside.low < 0.1 < plain.high - plain.low
    assert dict(inside.parts)["type"] == pytest.approx({"enzyme": 0.305, "binding": 0.01})


def test_every_training_size_weighs_the_same_however_many_seeds_it_has() -> None:
    sizes = {"12": (0.1, 6), "384": (0.3, 2)}
    table = pd.DataFrame(
        _row("a", "low_n", method, f"n{size}_seed{seed}", gap * (method == "new"))
        for size, (gap, seeds) in sizes.items()
        for seed in range(seeds)
        for method in ("new", "old")
    )
    found = compare(table, "new", "old", "low_n")
    assert found.mean == pytest.approx(0.2)
    assert dict(found.parts)["training size"] == pytest.approx({"n = 12": 0.1, "n = 384": 0.3})


def test_the_p_values_of_a_study_are_adjusted_for_all_its_comparisons() -> None:
    gaps = [0.03, 0.01, 0.02, 0.04, -0.01, 0.05, 0.02]
    parts = [_table(dict(zip(DATASETS, gaps, strict=True))), _table(dict.fromkeys(DATASETS, 0.001))]
    both = adjusted([compare(part, "new", "old", "random") for part in parts])
    assert [one.p_adjusted for one in both] == pytest.approx(holm([one.p for one in both]))
    assert [one.p_equivalent_adjusted for one in both] == pytest.approx(holm([one.p_equivalent for one in both]))
    assert {one.among for one in both} == {2}
    assert chosen_among(both[0], 4).p_adjusted == pytest.approx(4 * both[0].p)


def test_a_prediction_that_tells_no_variants_apart_counts_as_a_correlation_of_0() -> None:
    rows = [_row("a", "random", "old", "fold0", np.nan), _row("a", "random", "old", "fold0", -0.1, metric="r2"),
            _row("a", "random", "new", "fold0", 0.3), _row("a", "random", "new", "fold0", 0.1, metric="r2"),
            _row("b", "random", "old", "fold0", np.nan), _row("b", "random", "old", "fold0", np.nan, metric="r2"),
            _row("b", "random", "new", "fold0", np.nan), _row("b", "random", "new", "fold0", np.nan, metric="r2"),
    ]  # fmt: skip
    table = pd.DataFrame(rows)
    settled = constant_as_zero(table).query("metric == 'spearman'")["value"]
    assert settled.tolist()[:2] == [0.0, 0.3] and settled.isna().tolist()[2:] == [True, True]
    assert compare(table, "new", "old", "random").differences == {"a": 0.3}


def test_a_smaller_error_is_a_win() -> None:
    found = compare(_table(dict.fromkeys(DATASETS, -0.03), "rmse"), "new", "old", "random", metric="rmse")
    assert (found.wins, found.direction) == (7, 1)
    assert np.isnan([found.margin, found.p_equivalent]).all()  # the margin is one of rank correlations
    with pytest.raises(ComparisonError, match="compare nll instead"):
        compare(_table({"a": 0.1}, "coverage_50"), "new", "old", "random", metric="coverage_50")


def test_only_folds_that_both_methods_have_are_compared() -> None:
    table = _table({"a": 0.02, "b": 0.04})
    missing = table[~((table["dataset"] == "a") & (table["method"] == "new") & (table["fold"] == "fold2"))].copy()
    missing.loc[(missing["dataset"] == "b") & (missing["fold"] == "fold0") & (missing["method"] == "old"), "value"] = (
        np.nan
    )
    assert compare(missing, "new", "old", "random").differences == pytest.approx({"a": 0.02, "b": 0.04})


def test_the_order_of_the_rows_does_not_change_a_comparison() -> None:
    table = _table(dict(zip(DATASETS, [0.03, 0.01, 0.02, 0.04, -0.01, 0.05, 0.0], strict=True)))
    upside_down = table.iloc[::-1].sort_values("dataset", kind="stable")
    assert compare(table, "new", "old", "random") == compare(upside_down, "new", "old", "random")


def test_questions_are_asked_of_the_split_that_they_are_about() -> None:
    random = pd.DataFrame(
        _row(name, "random", method, f"fold{k}", value)
        for name in "ab"
        for k in range(2)
        for method, value in {"fine_tune": 0.3, "fine_tune_together": 0.2, "fine_tune_by_group": 0.35}.items()
    )
    table = pd.concat([_curve_table(), random])
    labels = list(dict.fromkeys(table["method"]))
    found = answers(table, by_usual_labels(labels), kin=Kin({}, {"a": "enzyme", "b": "binding"}))
    assert {one.method: (one.split, round(one.mean, 9)) for _, one in found} == {
        "fine_tune_together": ("random", -0.1),
        "fine_tune_by_group": ("random", 0.05),
        "embedding_gp": ("low_n", 0.1),
    }
    assert dict(found[1][1].parts) == {"type": pytest.approx({"enzyme": 0.05, "binding": 0.05})}
    assert dict(found[2][1].parts)["training size"] == pytest.approx({"n = 24": 0.1, "n = 96": 0.1})


def test_of_several_rivals_the_best_is_the_baseline() -> None:
    better = _table({"a": 0.05, "b": 0.01}).query("method == 'new'").assign(method="third")
    table = pd.concat([_table({"a": 0.1, "b": 0.2}), better])
    ((question, found),) = answers(table, [Question("new", "old", rivals=("old", "third", "nobody"))])
    assert question.baseline == found.baseline == "third"
    assert found.mean == pytest.approx(0.12)


def test_a_question_that_the_metrics_cannot_answer_is_left_out() -> None:
    table = _table({"a": 0.1})
    asked = [Question("new", "old"), Question("new", "other"), Question("new", "old", "elsewhere"),
             Question("new", "old", low_n="only")]  # fmt: skip
    assert [question for question, _ in answers(table, asked)] == asked[:1]
    assert answers(table, []) == []


def test_without_a_split_of_its_own_a_question_goes_to_the_first_in_its_order() -> None:
    table = pd.concat([_curve_table().assign(method=lambda t: t["method"].map({"embedding_gp": "new"}).fillna("old")),
                       _table({"a": 0.1})])  # fmt: skip
    splits = {order: split_of(table, Question("new", "old", low_n=order)) for order in ("last", "first", "only")}
    assert splits == {"last": "random", "first": "low_n", "only": "low_n"}
    assert split_of(table, Question("new", "old", "low_n")) == "low_n"
    assert low_n_splits(table) == ("low_n",)
