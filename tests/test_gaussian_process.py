import gpytorch
import numpy as np
import pytest
import torch
from scipy.spatial.distance import cdist
from scipy.stats import multivariate_normal

from multimep.gaussian_process import (
    COLUMNS,
    Hyperparameters,
    condition,
    gamma_grid,
    log_evidence,
    rbf,
    select,
    spectrum,
    squared_distances,
)

CHOICES = [Hyperparameters(0.7, 1.0, 0.1), Hyperparameters(3.0, 2.5, 0.01), Hyperparameters(0.05, 0.3, 1.5)]


def drawn(n: int = 30, d: int = 5, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Training rows, their targets, rows to be asked."""
    random = np.random.default_rng(seed)
    rows, asked = random.normal(size=(n, d)), random.normal(size=(8, d))
    return rows, np.sin(rows @ random.normal(size=d)) + 0.1 * random.normal(size=n), asked


class Oracle(gpytorch.models.ExactGP):
    """gpytorch's own GP with zero mean; |a - b|^2 gamma / d = |a - b|^2 / (2 l^2)."""

    def __init__(self, rows: np.ndarray, y: np.ndarray, chosen: Hyperparameters) -> None:
        likelihood = gpytorch.likelihoods.GaussianLikelihood(gpytorch.priors.NormalPrior(0, 1)).double()
        likelihood.noise = chosen.noise
        super().__init__(torch.tensor(rows), torch.tensor(y), likelihood)
        self.mean_module = gpytorch.means.ZeroMean()
        self.covar_module = gpytorch.kernels.ScaleKernel(gpytorch.kernels.RBFKernel())
        self.double()
        self.covar_module.base_kernel.lengthscale = float(np.sqrt(rows.shape[1] / (2 * chosen.gamma)))
        self.covar_module.outputscale = chosen.signal

    def forward(self, x: torch.Tensor) -> gpytorch.distributions.MultivariateNormal:
        return gpytorch.distributions.MultivariateNormal(self.mean_module(x), self.covar_module(x))


@pytest.mark.parametrize("offset", [0.0, 1e4])
def test_distances_are_those_of_scipy_over_the_dimension(offset):
    rows, _, asked = drawn()
    rows, asked = rows + offset, asked + offset
    oracle = cdist(asked, rows, "sqeuclidean") / 5
    np.testing.assert_allclose(squared_distances(asked, rows), oracle, rtol=1e-10, atol=1e-10)


def test_distances_over_several_blocks_of_features_are_those_of_scipy():
    random = np.random.default_rng(0)
    rows = random.normal(size=(9, 2 * COLUMNS + 3)).astype(np.float32) + np.float32(50)
    oracle = cdist(rows[:4].astype(np.float64), rows.astype(np.float64), "sqeuclidean") / rows.shape[1]
    np.testing.assert_allclose(squared_distances(rows[:4], rows), oracle, rtol=1e-10, atol=1e-12)
    np.testing.assert_array_equal(np.diag(squared_distances(rows, rows)), 0)


def test_distances_of_float32_rows_are_computed_in_float64():
    rows = drawn()[0].astype(np.float32) + np.float32(100)
    oracle = cdist(rows.astype(np.float64), rows.astype(np.float64), "sqeuclidean") / 5
    found = squared_distances(rows, rows)
    assert found.dtype == np.float64
    np.testing.assert_allclose(found, oracle, atol=1e-12)


@pytest.mark.parametrize("chosen", CHOICES)
def test_the_evidence_is_the_density_of_a_normal_distribution(chosen):
    rows, y, _ = drawn()
    distances = squared_distances(rows, rows)
    covariance = chosen.signal * np.exp(-chosen.gamma * distances) + chosen.noise * np.eye(len(y))
    oracle = multivariate_normal(np.zeros(len(y)), covariance).logpdf(y)
    assert log_evidence(distances, y, chosen) == pytest.approx(oracle, rel=1e-9)


@pytest.mark.parametrize("chosen", CHOICES)
def test_evidence_and_posterior_are_those_of_gpytorch(chosen):
    rows, y, asked = drawn()
    oracle = Oracle(rows, y, chosen)
    likelihood = oracle.likelihood
    with torch.no_grad():
        evidence = likelihood(oracle(torch.tensor(rows))).log_prob(torch.tensor(y)).item()
        oracle.eval(), likelihood.eval()
        latent = oracle(torch.tensor(asked))
    distances = squared_distances(rows, rows)
    assert log_evidence(distances, y, chosen) == pytest.approx(evidence, rel=1e-6)
    mean, variance = condition(distances, y, chosen).predict(squared_distances(asked, rows))
    np.testing.assert_allclose(mean, latent.mean.numpy(), rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(variance, latent.variance.numpy(), rtol=1e-5, atol=1e-8)


def test_far_from_every_row_the_prior_remains():
    rows, y, _ = drawn()
    chosen = Hyperparameters(1.0, 2.0, 0.1)
    posterior = condition(squared_distances(rows, rows), y, chosen)
    mean, variance = posterior.predict(squared_distances(np.full((1, 5), 1e3), rows))
    assert mean[0] == pytest.approx(0)
    assert variance[0] == pytest.approx(2.0)


def test_without_noise_the_posterior_goes_through_the_rows():
    rows, y, _ = drawn()
    distances = squared_distances(rows, rows)
    mean, variance = condition(distances, y, Hyperparameters(1.0, 1.0, 1e-9)).predict(distances)
    np.testing.assert_allclose(mean, y, atol=1e-5)
    assert (variance > 0).all()
    assert variance.max() < 1e-6


@pytest.mark.parametrize("gamma", [0.1, 2.0])
@pytest.mark.parametrize("ratio", [1e-2, 1.0])
def test_leave_one_out_is_what_refitting_without_each_row_gives(gamma, ratio):
    rows, y, _ = drawn()
    distances = squared_distances(rows, rows)
    slow = []
    for row in range(len(y)):
        others = np.delete(np.arange(len(y)), row)
        refitted = condition(distances[np.ix_(others, others)], y[others], Hyperparameters(gamma, 1.0, ratio))
        slow.append(y[row] - refitted.predict(distances[[row]][:, others])[0][0])
    np.testing.assert_allclose(spectrum(distances, y, gamma).leave_one_out(ratio), slow, rtol=1e-7)


@pytest.mark.parametrize("gamma", [0.1, 2.0])
def test_the_profiled_evidence_is_the_evidence_at_the_best_signal_but_for_a_constant(gamma):
    rows, y, _ = drawn()
    distances = squared_distances(rows, rows)
    one = spectrum(distances, y, gamma)
    differences = []
    for ratio in (1e-3, 0.1, 1.0, 50.0):
        signal = one.signal(ratio)
        whole = log_evidence(distances, y, Hyperparameters(gamma, signal, ratio * signal))
        differences.append(whole - one.profile_evidence(ratio))
        for factor in (0.99, 1.01):
            moved = Hyperparameters(gamma, factor * signal, factor * ratio * signal)
            assert log_evidence(distances, y, moved) < whole
    # -(n log 2 pi + n) / 2
    np.testing.assert_allclose(differences, -len(y) * (np.log(2 * np.pi) + 1) / 2, rtol=1e-8)


def test_the_spectrum_holds_the_inverse():
    rows, y, _ = drawn()
    distances = squared_distances(rows, rows)
    kernel = rbf(distances, 0.5)
    np.testing.assert_allclose(
        spectrum(distances, y, 0.5).inverse(0.3), np.linalg.inv(kernel + 0.3 * np.eye(30)), atol=1e-9
    )


@pytest.mark.filterwarnings("error")
def test_the_spectrum_of_rows_that_share_nothing_is_that_of_the_identity():
    rows, y, _ = drawn()
    one = spectrum(squared_distances(rows, rows), y, 1e6)
    np.testing.assert_array_equal(one.inverse(1.0), np.eye(30) / 2)
    np.testing.assert_array_equal(one.projected, y)


def test_length_scales_are_tried_around_the_median_distance():
    distances = squared_distances(*[drawn()[0]] * 2)
    median = np.median(distances[np.triu_indices(30, 1)])
    grid = gamma_grid(distances, 7)
    np.testing.assert_allclose([grid[0] * median, grid[-1] * median, len(grid)], [1e-3, 20, 7])
    np.testing.assert_allclose(gamma_grid(np.zeros((3, 3)), 2), [1e-3, 20])


def test_noise_and_signal_of_data_drawn_from_the_prior_are_found_again():
    random = np.random.default_rng(0)
    rows = random.normal(size=(250, 2))
    distances = squared_distances(rows, rows)
    covariance = 4 * rbf(distances, 1.0) + 0.25 * np.eye(250)
    y = np.linalg.cholesky(covariance) @ random.normal(size=250)
    found = select(distances, y)
    assert found.noise == pytest.approx(0.25, rel=0.25)
    assert 1 < found.signal < 16
    assert found.gamma == pytest.approx(1.0, rel=0.6)


@pytest.mark.parametrize("selection", ["evidence", "loo"])
def test_no_nearby_choice_is_better_than_the_selected_one(selection):
    rows, y, _ = drawn(40, 2)
    y += 0.5 * np.random.default_rng(1).normal(size=40)
    distances = squared_distances(rows, rows)
    found = select(distances, y, selection)
    one, ratio = spectrum(distances, y, found.gamma), found.noise / found.signal

    def objective(at: float) -> float:
        return np.mean(one.leave_one_out(at) ** 2) if selection == "loo" else -one.profile_evidence(at)

    assert objective(ratio) <= min(objective(ratio * factor) for factor in (0.8, 1.25)) + 1e-9


@pytest.mark.parametrize("selection", ["evidence", "loo"])
def test_targets_in_another_unit_scale_the_variances_and_nothing_else(selection):
    rows, y, _ = drawn(40)
    distances = squared_distances(rows, rows)
    one, other = select(distances, y, selection), select(distances, 100 * y, selection)
    np.testing.assert_allclose(
        [other.gamma, other.signal, other.noise], [one.gamma, 1e4 * one.signal, 1e4 * one.noise], rtol=1e-2
    )


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("selection", ["evidence", "loo"])
def test_targets_that_are_all_equal_have_variances_above_zero(selection):
    found = select(squared_distances(*[drawn()[0]] * 2), np.zeros(30), selection)
    assert found.signal > 0
    assert found.noise > 0
