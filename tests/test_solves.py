"""Linear systems of Gaussian processes are solved to 1e-8 in float64, nothing added to them that is not told.

The residual is that of an independent sum in more digits, |A w - y| / |y|, where kernels are as singular as rows can
make them: all alike, in groups, on a line, with length scales far too long, at the smallest noise of any search.
"""

import numpy as np
import pytest

from multimep import inducing_points, site_kernel
from multimep.dataset import Variants
from multimep.evidence import FARTHEST
from multimep.gaussian_process import RATIOS, Hyperparameters, SolveError, condition, rbf, solved, squared_distances
from multimep.inducing_points import project
from multimep.methods import METHODS
from multimep.mutations import AMINO_ACIDS
from multimep.site_kernel import kernel, mutations_of, noise_of

PROMISE = 1e-8


def rows_of(kind: str, n: int) -> np.ndarray:
    random = np.random.default_rng(0)
    return {
        "random": lambda: random.normal(size=(n, 8)),
        "in groups of five": lambda: random.normal(size=(n, 8))[np.arange(n) // 5 * 5],
        "all alike": lambda: np.repeat(random.normal(size=(1, 8)), n, axis=0),
        "on a line": lambda: np.outer(np.linspace(0, 1, n), np.ones(8)),
    }[kind]()


def targets(n: int) -> np.ndarray:
    y = np.random.default_rng(1).normal(size=n)
    return (y - y.mean()) / y.std()


def residual(a: np.ndarray, w: np.ndarray, y: np.ndarray) -> float:
    """|A w - y| / |y|, summed in the longest floats of the platform."""
    exact = [a[start : start + 500].astype(np.longdouble) @ w.astype(np.longdouble) for start in range(0, len(y), 500)]
    return float(np.linalg.norm((np.concatenate(exact) - y).astype(np.float64)) / np.linalg.norm(y))


@pytest.mark.parametrize("kind", ["random", "in groups of five", "all alike", "on a line"])
@pytest.mark.parametrize(("n", "gamma"), [(50, 1e-8), (50, 1.0), (300, 1e-8), (300, 0.1), (300, 1e6)])
def test_an_exact_process_is_solved_to_the_promise_at_the_smallest_noise_of_the_search(kind, n, gamma):
    rows, y = rows_of(kind, n), targets(n)
    distances = squared_distances(rows, rows)
    found = condition(distances, y, Hyperparameters(gamma, 1.0, RATIOS[0]))
    assert residual(rbf(distances, gamma) + RATIOS[0] * np.eye(n), found.weights, y) < PROMISE


def test_two_thousand_rows_are_solved_to_the_promise():
    # without refinement 2e-8
    gamma, rows, y = 1e-4, rows_of("on a line", 2000), targets(2000)
    distances = squared_distances(rows, rows)
    found = condition(distances, y, Hyperparameters(gamma, 1.0, RATIOS[0]))
    assert residual(rbf(distances, gamma) + RATIOS[0] * np.eye(2000), found.weights, y) < PROMISE


@pytest.mark.parametrize("lengths", ["rates at their largest", "rates at their smallest"])
def test_the_kernel_over_mutations_is_solved_to_the_promise_at_the_edge_of_its_prior(lengths):
    wild_type = "MKTAYIAKQRQISFVKSHFSRQ"
    singles = [f"{old}{site}{new}" for site, old in enumerate(wild_type, 1) for new in AMINO_ACIDS if new != old]
    prior = site_kernel.prior()
    far = np.array([FARTHEST if name.endswith(".variance") else -FARTHEST for name in site_kernel.NAMES])
    far[site_kernel.NAMES.index("noise.variance")] = -FARTHEST
    if lengths == "rates at their largest":
        far = np.where([name.endswith(".variance") for name in site_kernel.NAMES], far, FARTHEST)
    theta = np.log(prior.medians) + far * prior.spreads
    rows, y = mutations_of(Variants("toy", wild_type, tuple(singles)), 1.0), targets(len(singles))
    a = kernel(rows, rows, theta) + noise_of(theta) * np.eye(len(y))
    assert residual(a, solved(a, y).weights, y) < PROMISE


@pytest.mark.parametrize("kind", ["random", "in groups of five", "all alike", "on a line"])
@pytest.mark.parametrize("gamma", [1e-8, 1e-2, 1.0])
def test_inducing_points_are_solved_to_the_promise(kind, gamma):
    rows, y = rows_of(kind, 600), targets(600)
    points, ratio = rows[:100], 1e-3
    found = project(rows, y, points, Hyperparameters(gamma, 1.0, ratio))
    # (lambda K + sum_n k_n k_n^T) w = sum_n k_n y_n, whose right side may cancel: in units of |k| |y|
    cross = rbf(squared_distances(rows, points), gamma)
    inside = rbf(squared_distances(points, points), gamma) + inducing_points.JITTER * np.eye(100)
    off = residual(ratio * inside + cross.T @ cross, found.weights, cross.T @ y) * np.linalg.norm(cross.T @ y)
    assert off / (np.linalg.norm(cross) * np.linalg.norm(y)) < PROMISE


def test_what_float64_cannot_factorise_is_refused_and_nothing_is_added_to_it():
    rows = rows_of("all alike", 40)
    distances = squared_distances(rows, rows)
    with pytest.raises(SolveError, match=r"covariance of 40 training rows is not positive definite .* no jitter"):
        condition(distances, targets(40), Hyperparameters(1.0, 1.0, 1e-18))
    factor = condition(distances, targets(40), Hyperparameters(1.0, 1.0, 1e-3)).factor
    np.testing.assert_allclose(factor @ factor.T, np.ones((40, 40)) + 1e-3 * np.eye(40), rtol=0, atol=1e-14)


def test_a_predictor_says_which_jitter_its_inducing_points_had_and_exact_ones_have_none(landscape, embedder):
    train = landscape("first", rows=20)
    facts = {name: METHODS[name]().fit([train], embedder, 0).state().facts for name in ("sparse_gp", "embedding_gp")}
    assert facts["sparse_gp"]["jitter"] == inducing_points.JITTER
    assert "jitter" not in facts["embedding_gp"]


def test_the_jitter_moves_no_prediction_by_more_than_a_millionth_of_their_spread(monkeypatch):
    rows, y, asked = rows_of("random", 200), targets(200), rows_of("random", 240)[200:]
    chosen = Hyperparameters(1.0, 1.0, 0.1)
    before = project(rows, y, rows[:60], chosen).predict(asked)[0]
    monkeypatch.setattr(inducing_points, "JITTER", 0.0)
    without = project(rows, y, rows[:60], chosen).predict(asked)[0]
    assert np.abs(before - without).max() < 1e-6 * without.std()
