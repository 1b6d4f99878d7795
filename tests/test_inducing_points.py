"""Inducing points: all rows as points are the exact posterior, blocks change nothing, few points lose little."""

import numpy as np
import pytest

from multimep import inducing_points
from multimep.gaussian_process import Hyperparameters, condition, rbf, squared_distances
from multimep.inducing_points import project
from multimep.methods import METHODS, FitError

CHOSEN = Hyperparameters(0.5, 2.0, 0.3)


def drawn(n: int = 60) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Training rows, their targets, rows to be asked."""
    random = np.random.default_rng(0)
    rows, asked = random.normal(size=(n, 4)), random.normal(size=(9, 4))
    return rows, np.sin(rows @ random.normal(size=4)) + 0.1 * random.normal(size=n), asked


def test_with_all_rows_as_inducing_points_the_posterior_is_the_exact_one():
    rows, y, asked = drawn()
    mean, variance = condition(squared_distances(rows, rows), y, CHOSEN).predict(squared_distances(asked, rows))
    found = project(rows, y, rows[::-1].copy(), CHOSEN).predict(asked)
    np.testing.assert_allclose(found[0], mean, rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(found[1], variance, rtol=1e-5)


def test_few_points_give_what_the_projected_process_is_defined_to_be():
    rows, y, asked = drawn()
    points = rows[:10]
    ratio = CHOSEN.noise / CHOSEN.signal
    inside = rbf(squared_distances(points, points), CHOSEN.gamma) + inducing_points.JITTER * np.eye(10)
    cross, ask = (rbf(squared_distances(x, points), CHOSEN.gamma) for x in (rows, asked))
    # mean = k (lambda K + sum_n k_n k_n^T)^-1 sum_n k_n y_n,  variance = s (1 - k K^-1 k + lambda k (...)^-1 k)
    whole = ratio * inside + cross.T @ cross
    mean = ask @ np.linalg.solve(whole, cross.T @ y)
    spread = 1 - np.sum(ask * np.linalg.solve(inside, ask.T).T, axis=1)
    spread += ratio * np.sum(ask * np.linalg.solve(whole, ask.T).T, axis=1)
    found = project(rows, y, points, CHOSEN).predict(asked)
    np.testing.assert_allclose(found[0], mean, rtol=1e-8)
    np.testing.assert_allclose(found[1], CHOSEN.signal * spread, rtol=1e-8)


def test_the_size_of_the_blocks_changes_nothing(monkeypatch):
    rows, y, asked = drawn()
    whole = project(rows, y, rows[:10], CHOSEN).predict(asked)
    monkeypatch.setattr(inducing_points, "BLOCK", 7)
    np.testing.assert_allclose(project(rows, y, rows[:10], CHOSEN).predict(asked), whole, rtol=1e-9)


def test_with_enough_points_sparse_gp_is_embedding_gp(landscape, embedder):
    data = landscape("first", rows=60)
    train, asked = data.select(data.variants.mutants[:45]), data.select(data.variants.mutants[45:]).variants
    exact, sparse = (METHODS[name]().fit([train], embedder, 0).predict(asked) for name in ("embedding_gp", "sparse_gp"))
    np.testing.assert_allclose(sparse.mean, exact.mean, atol=1e-3 * exact.mean.std())
    np.testing.assert_allclose(sparse.noisy_std, exact.noisy_std, rtol=1e-3)


@pytest.mark.parametrize("setting", ["inducing", "selection_rows"])
def test_a_sample_of_two_rows_is_refused(setting):
    with pytest.raises(FitError, match=f"{setting} must be at least 3, not 2"):
        METHODS["sparse_gp"](**{setting: 2})
