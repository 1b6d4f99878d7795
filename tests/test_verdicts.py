"""Verdicts: the grammar word for word on cases whose truth is known; claims no more often wrong than the level says."""

from dataclasses import replace

import numpy as np
import pytest

from multimep import inference
from multimep.comparisons import Comparison, adjusted
from multimep.verdicts import BETTER, EQUIVALENT, OPEN, WORSE, claim, sentence, verdict

NAMES = tuple("abcdefghijklmnop")


def of(values: np.ndarray, margin: float = 0.02, **changes: object) -> Comparison:
    """The comparison over families with these differences, one dataset each."""
    families = dict(zip(NAMES, values.tolist(), strict=False))
    wins, losses = int((values > 1e-8).sum()), int((values < -1e-8).sum())
    low, high = inference.bootstrap_mean(values)
    p, same = inference.wilcoxon(values), inference.equivalence(values, margin)
    found = Comparison(
        "new", "old", "spearman", "random", families, families, float(values.mean()), low, high, wins,
        len(values) - wins - losses, losses, p, inference.sign_test(values), same, margin, 1, p, same,
    )  # fmt: skip
    return replace(found, **changes)


def test_a_better_method_is_called_better_with_its_numbers() -> None:
    assert sentence(of(np.full(7, 0.03))) == (
        "Over 7 protein families (random), new minus old in Spearman is +0.030 [+0.030, +0.030], better on 7, worse on"
        " 0 (Wilcoxon p = 0.016): new is better."
    )
    worse = of(np.array([-0.03, -0.05, -0.04, -0.06, -0.02, 0.0, -0.05, -0.03]))
    assert sentence(worse) == (
        "Over 8 protein families (random), new minus old in Spearman is \u22120.035 [\u22120.049, \u22120.021], better"
        " on 0, equal on 1, worse on 7 (Wilcoxon p = 0.016): new is worse."
    )


def test_a_difference_that_is_sure_but_small_is_called_so() -> None:
    assert claim(of(np.full(7, 0.003))) == "new is better, by less than 0.02"


def test_equal_methods_are_called_equivalent_only_by_their_own_test() -> None:
    values = np.array([0.004, -0.003, 0.002, -0.005, 0.001, 0.003, -0.002, -0.001])
    assert sentence(of(values)) == (
        "Over 8 protein families (random), new minus old in Spearman is \u22120.000 [\u22120.002, +0.002], better on 4,"
        " worse on 4 (Wilcoxon p = 0.98): new and old are equivalent within \u00b10.02 (two one-sided tests p ="
        " 2.1e-07)."
    )
    assert verdict(of(values, margin=0.0005)) == OPEN


def test_a_study_that_decides_nothing_says_what_it_could_have_missed() -> None:
    values = np.array([0.10, -0.08, 0.05, -0.06, 0.07, -0.02, 0.03, -0.04])
    found = of(values)
    assert sentence(found) == (
        "Over 8 protein families (random), new minus old in Spearman is +0.006 [\u22120.039, +0.051], better on 4,"
        " worse on 4 (Wilcoxon p = 0.84): not decided (with 8 families a difference below 0.077 would be missed in one"
        " study of five or more)."
    )
    assert found.detectable == pytest.approx(inference.detectable(values.std(ddof=1), 8))


def test_too_few_families_decide_nothing_and_the_sentence_says_how_many_would() -> None:
    assert sentence(of(np.full(5, 0.2))) == (
        "Over 5 protein families (random), new minus old in Spearman is +0.200 [+0.200, +0.200], better on 5, worse on"
        " 0 (Wilcoxon p = 0.062): not decided (5 families cannot decide, at least 6 are needed)."
    )
    assert sentence(of(np.array([0.2]))).startswith(
        "Over 1 protein family (random), new minus old in Spearman is +0.200, better on 1"
    )
    three = adjusted([of(np.full(6, 0.2))] * 3)[0]
    assert sentence(three).endswith(
        "(Wilcoxon p = 0.031, adjusted for 3 comparisons 0.094): not decided (6 families cannot decide, at least 7 are"
        " needed)."
    )


def test_an_interval_that_holds_zero_against_the_test_decides_nothing() -> None:
    values = np.array([0.01, 0.02, 0.03, 0.02, 0.01, 0.03, 0.02, 0.01, 0.02, -0.2])
    found = replace(of(values), p=0.04, p_adjusted=0.04)
    assert found.low < 0 < found.high
    assert sentence(found).endswith("not decided (test and interval disagree).")


def test_one_outlier_that_moves_the_mean_is_not_decided_by_the_interval_alone() -> None:
    found = of(np.array([0.5, 0.5, 0.4, 0.3, -0.01, -0.02, -0.03]))
    assert found.low > 0
    assert verdict(found) == OPEN


def test_several_datasets_of_a_family_are_counted_and_parts_listed() -> None:
    found = of(np.full(7, 0.03), parts=(("type", {"enzyme": 0.04, "binding": -0.01}),))
    found = replace(found, differences=dict(found.families) | {"again": 0.03})
    assert sentence(found).startswith("Over 7 protein families, 8 datasets (random), new minus old")
    assert sentence(found).endswith("new is better. By type: enzyme +0.040, binding \u22120.010.")


def test_a_smaller_error_is_better() -> None:
    found = of(np.full(7, -0.03), metric="rmse", margin=float("nan"), p_equivalent_adjusted=float("nan"))
    assert verdict(found) == BETTER
    assert verdict(replace(found, metric="spearman")) == WORSE


@pytest.fixture
def fewer_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inference, "BOOTSTRAP", 500)


@pytest.mark.usefixtures("fewer_resamples")
def test_of_500_simulated_studies_without_a_difference_at_most_one_in_twenty_claims_one() -> None:
    studies = np.random.default_rng(5).normal(0, 0.05, size=(500, 12))
    said = [verdict(of(study)) for study in studies]
    assert 5 <= sum(one in (BETTER, WORSE) for one in said) <= 39


@pytest.mark.usefixtures("fewer_resamples")
def test_of_500_simulated_studies_with_a_difference_of_the_margin_at_most_one_in_twenty_claims_equivalence() -> None:
    studies = np.random.default_rng(6).normal(0.02, 0.015, size=(500, 12))
    assert sum(verdict(of(study)) == EQUIVALENT for study in studies) <= 39


@pytest.mark.usefixtures("fewer_resamples")
def test_of_200_simulated_studies_of_three_true_null_comparisons_at_most_one_in_twenty_has_a_false_claim() -> None:
    studies = np.random.default_rng(7).normal(0, 0.05, size=(200, 3, 12))
    wrong = [
        any(verdict(one) in (BETTER, WORSE) for one in adjusted([of(values) for values in study])) for study in studies
    ]
    assert sum(wrong) <= 20
