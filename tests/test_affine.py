"""The line from scores to fitness: least squares where there is a slope, never a negative one."""

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import norm

from multimep import affine


def rows(n: int, slope: float, noise: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    scores = random.normal(2.0, 3.0, n)
    return scores, slope * scores - 1.0 + noise * random.normal(size=n)


def test_a_clear_slope_is_that_of_least_squares_as_numpy_finds_it():
    scores, y = rows(40, 0.7, 0.3)
    line = affine.fit(scores, y)
    slope, offset = np.polyfit(scores, y, 1)
    asked = np.linspace(-5, 5, 7)
    np.testing.assert_allclose(line.mean(asked), slope * asked + offset, rtol=1e-9)


def test_variances_are_those_of_numpy_s_covariance_of_the_coefficients():
    scores, y = rows(40, 0.7, 0.3)
    line = affine.fit(scores, y)
    _, covariance = np.polyfit(scores, y, 1, cov=True)  # scaled by |residual|^2 / (n - 2)
    asked = np.linspace(-5, 5, 7)
    design = np.stack([asked, np.ones(7)], axis=1)
    np.testing.assert_allclose(line.variance(asked), np.sum(design @ covariance * design, axis=1), rtol=1e-9)
    residual = y - np.polyval(np.polyfit(scores, y, 1), scores)
    assert line.noise == pytest.approx(residual @ residual / 38)


@pytest.mark.parametrize("slope", [-0.6, -0.05, 0.0, 0.05, 0.6])
def test_the_slope_is_the_mean_over_positive_ones_of_the_posterior(slope):
    scores, y = rows(12, slope, 1.0)
    line = affine.fit(scores, y)
    free, deviation = np.polyfit(scores, y, 1)[0], np.sqrt(line.noise / np.sum((scores - scores.mean()) ** 2))
    density = lambda a: norm.pdf(a, free, deviation)  # noqa: E731
    end = max(free, 0) + 12 * deviation
    mass, first = (quad(lambda a, p=p: a**p * density(a), 0, end, epsabs=0)[0] for p in (0, 1))
    assert line.slope == pytest.approx(first / mass, rel=1e-5)
    second = quad(lambda a: (a - first / mass) ** 2 * density(a), 0, end, epsabs=0)[0]
    assert line.slope_variance == pytest.approx(second / mass, rel=1e-4)


@pytest.mark.parametrize("noise", [0.0, 1e-9, 1.0])
def test_the_order_of_the_scores_survives_whatever_the_fitness_says(noise):
    scores, y = rows(30, -2.0, noise)
    line = affine.fit(scores, y)
    assert line.slope > 0
    assert line.slope < 1e-3 * 2.0 if noise < 1 else True
    assert np.isfinite([line.slope, line.slope_variance, line.noise]).all()


def test_constant_scores_predict_the_mean_with_the_variance_of_a_mean():
    y = np.array([1.0, 2.0, 6.0])
    line = affine.fit(np.full(3, 5.0), y)
    np.testing.assert_allclose(line.mean(np.array([5.0, 9.0])), 3.0)
    np.testing.assert_allclose(line.variance(np.array([5.0, 9.0])), np.sum((y - 3) ** 2) / 3)


def test_a_constant_fitness_is_a_flat_line_with_the_noise_of_rounding():
    scores, _ = rows(10, 0.0, 0.0)
    line = affine.fit(scores, np.zeros(10))
    np.testing.assert_allclose(line.mean(scores), 0.0, atol=1e-6)
    assert line.noise == affine.LEAST_NOISE
