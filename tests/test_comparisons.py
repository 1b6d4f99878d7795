"""Comparisons: the dataset is the unit, differences are paired, the sentence says its numbers, no verdict too many."""

import itertools

import numpy as np
import pandas as pd
import pytest

from multimep.comparisons import (
    QUESTIONS,
    ComparisonError,
    bootstrap_mean,
    compare,
    learning_curve,
    learning_curves,
    low_n_splits,
    seed_study,
    warnings,
    wilcoxon,
)

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
    assert found.differences == pytest.approx(gaps)
    assert found.mean == pytest.approx(0.02)
    assert (found.wins, found.ties, found.losses) == (5, 1, 1)


def test_swapping_the_methods_turns_every_sign() -> None:
    gaps = dict(zip(DATASETS, [0.03, 0.01, 0.02, 0.04, -0.01, 0.05, 0.02], strict=True))
    forth, back = compare(_table(gaps), "new", "old", "random"), compare(_table(gaps), "old", "new", "random")
    assert (back.mean, back.wins, back.losses, back.p) == (-forth.mean, forth.losses, forth.wins, forth.p)
    assert (back.low, back.high) == pytest.approx((-forth.high, -forth.low), abs=2e-3)


def test_the_sentence_says_its_numbers_and_decides_only_what_interval_and_test_agree_on() -> None:
    better = compare(_table(dict.fromkeys(DATASETS, 0.03)), "new", "old", "random").sentence
    assert better == (
        "Over 7 datasets (random), new minus old in Spearman: 0.030 [0.030, 0.030], better on 7 of 7"
        " (Wilcoxon p = 0.016): new is better."
    )
    mixed = dict(zip(DATASETS, [0.03, -0.04, 0.02, -0.03, 0.01, -0.02, 0.0], strict=True))
    assert compare(_table(mixed), "new", "old", "random").sentence.endswith(": no difference shown.")
    assert "better on 3 of 7, equal on 1 (" in compare(_table(mixed), "new", "old", "random").sentence
    worse = compare(_table(dict.fromkeys(DATASETS, -0.03)), "new", "old", "random")
    assert worse.verdict == "new is worse"


def test_fewer_than_six_datasets_decide_nothing() -> None:
    found = compare(_table(dict.fromkeys(DATASETS[:5], 0.2)), "new", "old", "random")
    assert found.verdict == "not decided (fewer than 6 datasets)"
    alone = compare(_table({"a": 0.2}), "new", "old", "random")
    assert np.isnan([alone.low, alone.high]).all()
    assert alone.sentence.startswith("Over 1 dataset (random), new minus old in Spearman: 0.200, better on 1 of 1")


def test_one_outlier_that_moves_the_mean_is_not_decided_by_the_interval_alone() -> None:
    gaps = dict(zip(DATASETS, [0.5, 0.5, 0.4, 0.3, -0.01, -0.02, -0.03], strict=True))
    assert compare(_table(gaps), "new", "old", "random").verdict == "not decided (interval and test disagree)"


def test_a_smaller_error_is_a_win() -> None:
    found = compare(_table(dict.fromkeys(DATASETS, -0.03), "rmse"), "new", "old", "random", metric="rmse")
    assert (found.wins, found.verdict) == (7, "new is better")
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


def test_wilcoxon_equals_the_count_over_all_signs() -> None:
    values = np.array([0.05, -0.02, 0.11, 0.07, 0.3, -0.01, 0.08])
    ranks = np.abs(values).argsort().argsort() + 1
    sums = [
        sum(rank for rank, sign in zip(ranks, signs, strict=True) if sign)
        for signs in itertools.product([0, 1], repeat=7)
    ]
    smaller = min(ranks[values > 0].sum(), ranks[values < 0].sum())
    assert wilcoxon(values) == pytest.approx(2 * np.mean(np.array(sums) <= smaller))
    assert wilcoxon(np.zeros(6)) == 1
    assert np.isnan(wilcoxon(np.array([])))


def test_the_bootstrap_interval_of_a_mean_matches_theory_and_is_seeded() -> None:
    values = np.random.default_rng(0).normal(size=200)
    low, high = bootstrap_mean(values, seed=3)
    assert (low, high) == bootstrap_mean(values, seed=3)
    assert (high - low) == pytest.approx(2 * 1.96 * values.std() / np.sqrt(200), rel=0.05)


def test_the_three_questions_use_the_split_that_they_are_about_and_tell_the_parts() -> None:
    random = pd.DataFrame(
        _row(name, "random", method, f"fold{k}", value)
        for name in "ab"
        for k in range(2)
        for method, value in {"fine_tune": 0.3, "fine_tune_together": 0.2, "fine_tune_by_group": 0.35}.items()
    )
    found = seed_study(pd.concat([_curve_table(), random]), groups={"a": "enzyme", "b": "binding"})
    assert list(found) == list(QUESTIONS)
    assert {name: part.split for name, part in found.items()} == {
        "together": "random",
        "by_group": "random",
        "gp_low_n": "low_n",
    }
    assert {name: part.mean for name, part in found.items()} == pytest.approx(
        {"together": -0.1, "by_group": 0.05, "gp_low_n": 0.1}
    )
    assert found["by_group"].sentence.endswith(" By type: enzyme +0.050, binding +0.050.")
    assert found["gp_low_n"].sentence.endswith(" By training size: n = 24 +0.100, n = 96 +0.100.")


def test_a_question_without_results_says_so() -> None:
    found = seed_study(_table({"a": 0.1}))
    assert {part.sentence.partition(": ")[2] for part in found.values()} == {
        "not asked, no split has results of both on the same dataset."
    }
    assert found["together"].differences == {}


def test_the_learning_curve_averages_seeds_then_datasets() -> None:
    curve = learning_curve(_curve_table(), "low_n").set_index(["method", "size"])
    assert set(curve.index) == {(method, size) for method in ("embedding_gp", "fine_tune") for size in (24, 96)}
    assert curve.loc[("fine_tune", 24), "mean"] == pytest.approx(0.2 + 0.005 + 0.05)
    assert set(curve["n"]) == {4}
    assert ((curve["low"] <= curve["mean"]) & (curve["mean"] <= curve["high"])).all()


def test_the_curves_of_single_datasets_span_their_seeds() -> None:
    table = _curve_table()
    curves = learning_curves(table).set_index(["split", "dataset", "method", "size"])
    values = curves.loc[("low_n", "b", "embedding_gp", 96), ["value", "low", "high"]].tolist()
    assert values == pytest.approx([0.605, 0.6, 0.61])
    assert low_n_splits(table) == ("low_n",)
    assert learning_curves(_table({"a": 0.1})).empty
    single = learning_curves(table[table["fold"].str.endswith("seed0")])
    assert single[["low", "high"]].isna().all(axis=None)


def test_every_method_that_does_not_beat_additive_is_warned_of_with_its_numbers() -> None:
    rows = [
        _row(name, "random", method, "all", value)
        for name, values in {"a": (0.45, 0.31, 0.5), "b": (0.4, 0.4, 0.6)}.items()
        for method, value in zip(("additive", "fine_tune", "embedding_gp"), values, strict=True)
    ]
    table = pd.DataFrame(rows)
    assert warnings(table) == [
        "fine_tune does not beat additive on 2 of 2 datasets (random, Spearman): a 0.31 vs 0.45, b 0.40 vs 0.40"
    ]
    assert warnings(table[table["dataset"] == "a"]) == [
        "fine_tune does not beat additive on a (random, Spearman 0.31 vs 0.45)"
    ]
    assert warnings(table[table["method"] != "additive"]) == []


def test_warnings_ask_each_training_size_on_its_own_and_take_an_undefined_score_for_no_success() -> None:
    values = {("24", "additive"): 0.3, ("24", "zero_shot"): 0.4, ("96", "additive"): 0.5, ("96", "zero_shot"): np.nan}
    table = pd.DataFrame(
        _row("a", "low_n", method, f"n{size}_seed0", value) for (size, method), value in values.items()
    )
    assert warnings(table) == ["zero_shot does not beat additive on a (low_n with n = 96, Spearman a constant vs 0.50)"]


def test_warnings_prefer_the_pooled_value_to_the_folds() -> None:
    rows = [_row("a", "random", method, fold, value) for method, fold, value in (
        ("additive", "fold0", 0.9), ("additive", "all", 0.2), ("fine_tune", "fold0", 0.1), ("fine_tune", "all", 0.3)
    )]  # fmt: skip
    assert warnings(pd.DataFrame(rows)) == []
