import numpy as np
import pytest
from scipy.optimize import approx_fprime
from scipy.stats import multivariate_normal, norm

from multimep.evidence import Prior, log_evidence, maximise

PRIOR = Prior(np.array([1.0, 0.5, 0.2]), np.array([1.0, 0.5, 1.0]))
THETAS = [np.log([1.0, 0.5, 0.2]), np.log([3.0, 0.1, 0.05]), np.array([-1.0, 1.0, 0.3])]


def covariance_over(points: np.ndarray):
    """s exp(-c |x - x'|) + noise I with its derivatives written out."""
    distances = np.abs(points[:, None] - points[None, :])

    def covariance(theta):
        s, c, noise = np.exp(theta)
        kernel = s * np.exp(-c * distances)

        def pullback(g):
            return np.array([np.sum(g * kernel), -c * np.sum(g * kernel * distances), noise * np.trace(g)])

        return kernel + noise * np.eye(len(points)), pullback

    return covariance


def drawn(n: int = 40, seed: int = 0, theta: np.ndarray = THETAS[1]):
    """A covariance and a draw from it."""
    random = np.random.default_rng(seed)
    covariance = covariance_over(random.uniform(0, 30, n))
    return covariance, np.linalg.cholesky(covariance(theta)[0]) @ random.normal(size=n)


@pytest.mark.parametrize("theta", THETAS)
def test_the_evidence_is_the_density_of_a_normal_distribution(theta):
    covariance, y = drawn()
    oracle = multivariate_normal(np.zeros(len(y)), covariance(theta)[0]).logpdf(y)
    assert log_evidence(covariance, y, theta)[0] == pytest.approx(oracle, rel=1e-10)


@pytest.mark.parametrize("theta", THETAS)
def test_the_gradient_is_that_of_finite_differences(theta):
    covariance, y = drawn()
    slow = approx_fprime(theta, lambda at: log_evidence(covariance, y, at)[0], 1e-6)
    np.testing.assert_allclose(log_evidence(covariance, y, theta)[1], slow, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("theta", THETAS)
def test_the_prior_is_a_normal_density_of_the_logarithms(theta):
    value, gradient = PRIOR.log_density(theta)
    oracle = norm(np.log(PRIOR.medians), PRIOR.spreads).logpdf
    median = np.log(PRIOR.medians)
    assert value == pytest.approx(oracle(theta).sum() - oracle(median).sum())
    slow = approx_fprime(theta, lambda at: PRIOR.log_density(at)[0], 1e-7)
    np.testing.assert_allclose(gradient, slow, atol=1e-4)


def test_no_nearby_theta_is_more_probable_than_the_one_found():
    covariance, y = drawn()
    found = maximise(covariance, y, PRIOR)

    def posterior(theta):
        return log_evidence(covariance, y, theta)[0] + PRIOR.log_density(theta)[0]

    best = posterior(found)
    assert best > posterior(np.log(PRIOR.medians))
    for step in 0.05 * np.concatenate([np.eye(3), -np.eye(3)]):
        assert posterior(found + step) < best


def test_many_rows_overrule_the_prior():
    truth = np.log([2.0, 0.3, 0.1])
    covariance, y = drawn(400, theta=truth)
    assert np.abs(maximise(covariance, y, PRIOR) - truth).max() < 0.8


def test_a_narrow_prior_overrules_the_rows():
    covariance, y = drawn()
    narrow = Prior(PRIOR.medians, np.full(3, 1e-4))
    np.testing.assert_allclose(maximise(covariance, y, narrow), np.log(PRIOR.medians), atol=1e-3)


def test_targets_that_are_all_equal_lead_to_finite_hyperparameters():
    covariance, y = drawn()
    assert np.isfinite(maximise(covariance, np.zeros_like(y), PRIOR)).all()


@pytest.mark.parametrize(("medians", "spreads"), [([1.0, -1.0], [1.0, 1.0]), ([1.0], [0.0]), ([1.0, 1.0], [1.0])])
@pytest.mark.wrong_shapes
def test_a_prior_without_width_or_with_columns_of_two_lengths_is_refused(medians, spreads):
    with pytest.raises(ValueError, match="one median and one spread above 0"):
        Prior(np.array(medians), np.array(spreads))
