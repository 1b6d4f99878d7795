"""Inference: closed forms, slow counts and simulated studies whose truth is known say what the tests must say."""

import itertools
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from multimep import inference
from multimep.inference import (
    LEVEL,
    bootstrap_mean,
    detectable,
    equivalence,
    fewest,
    holm,
    needed,
    power,
    sign_test,
    wilcoxon,
)

BENCHMARK = Path(__file__).parents[2] / "shared" / "data" / "proteingym_supervised"


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


def test_the_sign_test_is_the_count_over_all_signs_without_ties() -> None:
    wins = [sum(signs) for signs in itertools.product([0, 1], repeat=8)]
    assert sign_test(np.array([1.0] * 7 + [-1.0, 0.0])) == pytest.approx(2 * np.mean(np.array(wins) >= 7))
    assert sign_test(np.zeros(3)) == 1
    assert np.isnan(sign_test(np.array([])))


def test_holm_equals_the_step_down_procedure_at_every_level() -> None:
    random = np.random.default_rng(0)
    for p in random.uniform(0, 0.1, size=(50, 5)):
        order, refused = np.argsort(p), set()
        level = 0.05
        for rank, place in enumerate(order):
            if p[place] > level / (5 - rank):
                break
            refused.add(place)
        assert {place for place, value in enumerate(holm(list(p))) if value <= level} == refused
    adjusted = holm([0.01, math.nan, 0.04, 0.03])
    assert adjusted[0] == pytest.approx(0.03) and adjusted[2:] == pytest.approx([0.06, 0.06])
    assert math.isnan(adjusted[1])


def test_two_one_sided_tests_agree_with_the_90_percent_interval() -> None:
    random = np.random.default_rng(1)
    for _ in range(50):
        values = random.normal(0.008, 0.02, size=12)
        low, high = stats.ttest_1samp(values, 0).confidence_interval(0.9)
        assert (equivalence(values, 0.02) < LEVEL) == (low > -0.02 and high < 0.02)
        lower = stats.ttest_1samp(values, -0.02, alternative="greater").pvalue
        upper = stats.ttest_1samp(values, 0.02, alternative="less").pvalue
        assert equivalence(values, 0.02) == pytest.approx(max(lower, upper))


def test_equivalence_without_spread_is_a_matter_of_the_margin_and_of_one_unit_unknown() -> None:
    assert equivalence(np.full(6, 0.01), 0.02) == 0
    assert equivalence(np.full(6, 0.03), 0.02) == 1
    assert math.isnan(equivalence(np.array([0.0]), 0.02))
    assert math.isnan(equivalence(np.zeros(6), math.nan))


def test_in_500_studies_without_a_difference_about_5_percent_claim_one() -> None:
    studies = np.random.default_rng(2).normal(size=(500, 14))
    claims = sum(wilcoxon(study) < LEVEL for study in studies)
    assert 12 <= claims <= 39  # 99.9 % of Binomial(500, 0.05)


def test_in_500_studies_with_a_difference_of_the_margin_at_most_5_percent_claim_equivalence() -> None:
    studies = np.random.default_rng(3).normal(0.02, 0.02, size=(500, 14))
    claims = sum(equivalence(study, 0.02) < LEVEL for study in studies)
    assert 12 <= claims <= 39


@pytest.mark.parametrize("families", [6, 7, 8, 14, 30])
def test_a_difference_that_counts_as_detectable_is_found_in_four_of_five_simulated_studies(families: int) -> None:
    studies = np.random.default_rng(families).normal(detectable(1.0, families), 1.0, size=(400, families))
    found = np.mean([wilcoxon(study) < LEVEL for study in studies])
    assert found == pytest.approx(0.8, abs=0.08)  # four standard errors


def test_the_number_needed_is_the_first_that_reaches_the_power() -> None:
    count = needed(0.05, 0.02)
    assert power(0.02, 0.05, count) >= 0.8 > power(0.02, 0.05, count - 1)
    assert detectable(0.05, count) <= 0.02 < detectable(0.05, count - 1)
    assert needed(0.05, 1.0) == fewest()


def test_too_few_units_find_nothing_however_large() -> None:
    assert fewest(0.05) == 6  # 2 / 2^5 = 0.0625
    assert fewest(0.05 / 3) == 7
    assert stats.wilcoxon(np.arange(1.0, 7)).pvalue < 0.05 < stats.wilcoxon(np.arange(1.0, 6)).pvalue
    assert power(100.0, 1.0, 5) == 0
    assert detectable(1.0, 5) == math.inf
    assert detectable(0.0, 6) == 0


def test_the_bootstrap_interval_of_a_mean_matches_theory_and_is_seeded() -> None:
    values = np.random.default_rng(0).normal(size=200)
    low, high = bootstrap_mean(values, seed=3)
    assert (low, high) == bootstrap_mean(values, seed=3)
    assert (high - low) == pytest.approx(2 * 1.96 * values.std() / np.sqrt(200), rel=0.05)
    assert np.isnan(bootstrap_mean(np.array([1.0]))).all()


def test_the_variance_of_the_resampled_mean_is_unbiased_also_inside_small_strata() -> None:
    values, strata = np.array([0.1, 0.3, 1.0, 1.4, 1.5]), ["a", "a", "b", "b", "b"]
    random = np.random.default_rng(0)
    parts = [inference._resampled_means(values[:2], random), inference._resampled_means(values[2:], random)]
    variance = np.var(0.4 * parts[0] + 0.6 * parts[1])
    theory = 0.4**2 * values[:2].var(ddof=1) / 2 + 0.6**2 * values[2:].var(ddof=1) / 3
    assert variance == pytest.approx(theory, rel=0.05)
    inside, across = bootstrap_mean(values, 0, strata), bootstrap_mean(values, 0)
    assert inside[1] - inside[0] < across[1] - across[0]


def test_a_stratum_of_one_value_is_not_taken_to_have_no_spread() -> None:
    values = np.array([0.1, 0.3, 1.0])
    assert bootstrap_mean(values, 0, ["a", "a", "b"]) == bootstrap_mean(values, 0)


def test_drawing_seeds_again_inside_drawn_families_would_count_their_spread_twice() -> None:
    # families that do not differ, four seeds each: the variance of the mean is s^2 / 40
    random = np.random.default_rng(0)
    seeds = random.normal(size=(400, 10, 4))
    families = seeds.mean(axis=2)
    once = families.var(axis=1, ddof=1) / 10
    inner = seeds.var(axis=2, ddof=1).mean(axis=1) / 40
    assert once.mean() == pytest.approx(1 / 40, rel=0.05)
    assert (once + inner).mean() == pytest.approx(2 / 40, rel=0.05)


@pytest.mark.mirror
@pytest.mark.parametrize(
    ("scheme", "share", "low", "high"),
    [("random", 0.54, 0.055, 0.065), ("modulo", 0.77, 1e-16, 3e-16), ("contiguous", 0.74, 1e-12, 3e-12)],
)
def test_kermut_against_proteinnpt_comes_out_as_their_published_scores_say(
    scheme: str, share: float, low: float, high: float
) -> None:
    path = BENCHMARK / f"DMS_supervised/substitutions/Spearman/DMS_substitutions_Spearman_DMS_level_fold_{scheme}_5.csv"
    if not path.exists():
        pytest.skip(f"no per-assay scores of ProteinGym's supervised benchmark: {path}")
    scores = pd.read_csv(path)
    differences = (scores["Kermut"] - scores["ProteinNPT"]).to_numpy()
    assert len(differences) == 217
    assert np.mean(differences > 0) == pytest.approx(share, abs=0.005)
    assert low < wilcoxon(differences) < high


@pytest.mark.mirror
def test_on_published_scores_with_their_outliers_the_stated_power_is_a_lower_bound() -> None:
    path = BENCHMARK / "DMS_supervised/substitutions/Spearman/DMS_substitutions_Spearman_DMS_level_fold_modulo_5.csv"
    if not path.exists():
        pytest.skip(f"no per-assay scores of ProteinGym's supervised benchmark: {path}")
    scores = pd.read_csv(path)
    differences = (scores["Kermut"] - scores["ProteinNPT"]).to_numpy()
    random = np.random.default_rng(0)
    seen = np.mean([wilcoxon(random.choice(differences, 20, replace=False)) < LEVEL for _ in range(200)])
    assert 0.3 < power(differences.mean(), differences.std(ddof=1), 20) < seen
