"""The noise ceiling against scores of the known truth, limits, and what makes it unknown."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from multimep.dataset import Dataset, Variants
from multimep.noise_ceiling import ceiling, standard_errors

WILD_TYPE = "MKTAYIAKQRQISFVKSHFSRQLEERLGLIEVQAPILSRVGDGTQDNLSGAEKAVQ"
MUTANTS = tuple(f"{old}{site}{new}" for site, old in enumerate(WILD_TYPE, 1) for new in "ACDEFGHIKL" if new != old)


def _measured(truth: np.ndarray, std: np.ndarray, replicates: int, seed: int = 0) -> Dataset:
    n = len(truth)
    fitness = truth + std / np.sqrt(replicates) * np.random.default_rng(seed).normal(size=n)
    return Dataset(Variants("toy", WILD_TYPE, MUTANTS[:n]), fitness, std, np.full(n, replicates))


def test_the_ceiling_is_what_the_truth_itself_scores() -> None:
    draw = np.random.default_rng(1)
    truth, std = draw.normal(size=400), draw.uniform(0.5, 1.5, size=400)
    scores = []
    found = []
    for seed in range(20):
        data = _measured(truth, std, 3, seed)
        residual = 1 - np.mean((data.fitness - truth) ** 2) / np.var(data.fitness)
        correlation = stats.pearsonr(data.fitness, truth).statistic
        scores.append([correlation, residual, stats.spearmanr(data.fitness, truth).statistic])
        one = ceiling(data)
        assert one is not None
        found.append([one.pearson, one.r2, one.spearman])
    np.testing.assert_allclose(np.mean(found, axis=0), np.mean(scores, axis=0), atol=0.02)


def test_without_noise_the_ceiling_is_one_and_where_all_is_noise_zero() -> None:
    truth = np.random.default_rng(2).normal(size=100)
    still = ceiling(_measured(truth, np.full(100, 1e-9), 1))
    loud = ceiling(replace(_measured(truth, np.full(100, 50.0), 1), fitness=truth))
    assert still is not None
    assert loud is not None
    assert [still.pearson, still.r2, still.spearman] == pytest.approx([1, 1, 1], abs=1e-6)
    assert [loud.pearson, loud.r2, loud.spearman] == [0, 0, 0]


def test_more_replicates_raise_it() -> None:
    truth = np.random.default_rng(3).normal(size=200)
    data = _measured(truth, np.full(200, 0.8), 1)
    once, often = ceiling(data), ceiling(replace(data, replicates=np.full(200, 9)))
    assert once is not None
    assert often is not None
    assert once.r2 < often.r2
    assert once.spearman < often.spearman
    np.testing.assert_allclose(standard_errors(replace(data, replicates=np.full(200, 4))), 0.4)


def test_the_order_of_the_rows_changes_nothing() -> None:
    draw = np.random.default_rng(4)
    data = _measured(draw.normal(size=80), draw.uniform(0.2, 1, size=80), 2)
    one, other = ceiling(data), ceiling(data.select(draw.permutation(data.variants.mutants)))
    assert one is not None
    assert other is not None
    assert vars(one) == pytest.approx(vars(other))


def test_variants_without_an_error_have_the_mean_one_and_too_many_of_them_leave_it_unknown() -> None:
    data = _measured(np.random.default_rng(5).normal(size=100), np.full(100, 0.5), 2)
    some, most = data.std.copy(), data.std.copy()
    some[::4], most[:60] = np.nan, np.nan
    assert ceiling(replace(data, std=some)) == ceiling(data)
    assert ceiling(replace(data, std=most)) is None
    assert ceiling(replace(data, fitness=np.full(100, 2.0))) is None
