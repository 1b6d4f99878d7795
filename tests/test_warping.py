import numpy as np
import pytest
from scipy.integrate import trapezoid
from scipy.stats import norm

from multimep.dataset import Dataset, Variants
from multimep.methods.method import FitError
from multimep.methods.warping import unwarped_of, warping_of

MUTANTS = tuple(f"A{site}G" for site in range(1, 41))


def dataset(fitness: np.ndarray) -> Dataset:
    n = len(fitness)
    return Dataset(Variants("skewed", "A" * 40, MUTANTS[:n]), fitness, np.full(n, np.nan), np.ones(n, np.int64))


def skewed() -> np.ndarray:
    return np.exp(np.random.default_rng(0).normal(size=40)) + 5


def test_normal_scores_stay_where_they_are():
    scores = norm.ppf((np.arange(40) + 0.5) / 40)
    z = (scores - scores.mean()) / scores.std(ddof=1)
    np.testing.assert_allclose(warping_of(dataset(z)).apply(z), z, atol=0.05)


def test_each_training_row_stands_halfway_between_its_own_scale_and_that_of_its_rank():
    y = skewed()
    z, ranks = (y - y.mean()) / y.std(ddof=1), np.argsort(np.argsort(y)) + 1
    np.testing.assert_allclose(warping_of(dataset(y)).apply(y), (z + norm.ppf((ranks - 0.5) / 40)) / 2, rtol=1e-12)


def test_the_order_of_values_is_kept_between_and_beyond_the_rows():
    warped = warping_of(dataset(skewed())).apply(np.linspace(-10, 50, 500))
    assert (np.diff(warped) > 0).all()


def test_equal_values_stay_equal_and_a_constant_fitness_is_zero():
    y = np.repeat(skewed()[:20], 2)
    warped = warping_of(dataset(y)).apply(y)
    np.testing.assert_array_equal(warped[::2], warped[1::2])
    np.testing.assert_array_equal(warping_of(dataset(np.full(5, 3.0))).apply(np.full(5, 3.0)), 0.0)


def test_a_narrow_prediction_comes_back_to_the_value_it_was_made_of():
    warping = warping_of(dataset(skewed()))
    y = np.array([5.2, 6.0, 9.0, 30.0])
    found = warping.undo(MUTANTS[:4], warping.apply(y), np.full(4, 1e-12), 1e-12)
    np.testing.assert_allclose(found.mean, y, rtol=1e-5)


def test_mean_and_standard_deviation_are_those_of_the_distribution_that_goes_back():
    warping = warping_of(dataset(skewed()))
    mean, variance, noise = 0.4, 0.3, 0.2
    density, grid = norm(mean, np.sqrt(variance + noise)).pdf, np.linspace(-20, 60, 20001)

    warped = warping.apply(grid)
    at = np.linspace(-5, 6, 20001)
    back = np.interp(at, warped, grid)
    first = trapezoid(back * density(at), at)
    second = trapezoid((back - first) ** 2 * density(at), at)
    found = warping.undo(("A1G",), np.array([mean]), np.array([variance]), noise)
    assert found.mean[0] == pytest.approx(first, rel=2e-3)
    assert found.noisy_std[0] == pytest.approx(np.sqrt(second), rel=2e-2)
    assert found.std[0] / found.noisy_std[0] == pytest.approx(np.sqrt(0.6))


def test_without_warping_predictions_are_only_scaled():
    y = skewed()
    found = unwarped_of(dataset(y)).undo(("A1G", "A2G"), np.array([-1.0, 2.0]), np.array([0.3, 0.5]), 0.2)
    scale = y.std(ddof=1)
    np.testing.assert_allclose(found.mean, y.mean() + scale * np.array([-1, 2]), rtol=1e-10)
    np.testing.assert_allclose(found.std, scale * np.sqrt([0.3, 0.5]), rtol=1e-10)
    np.testing.assert_allclose(found.noisy_std, scale * np.sqrt([0.5, 0.7]), rtol=1e-10)


def test_fewer_than_three_rows_are_refused():
    with pytest.raises(FitError, match="at least 3"):
        warping_of(dataset(np.array([1.0, 2.0])))
