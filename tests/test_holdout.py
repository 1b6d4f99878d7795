"""The criterion of TransMEP without refits, held against the published loop."""

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from multimep import holdout
from multimep.gaussian_process import rbf, spectrum, squared_distances
from multimep.holdout import direct_errors, holdout_errors, holdouts, krylov_errors, leave_one_out_errors


def drawn(n: int = 25, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Distances of rows, and their targets."""
    random = np.random.default_rng(seed)
    rows = random.normal(size=(n, 5))
    return squared_distances(rows, rows), np.sin(rows @ random.normal(size=5)) + 0.1 * random.normal(size=n)


def test_holdouts_are_distinct_rows_and_the_same_for_the_same_seed():
    held = holdouts(23, 0.1, 50, seed=3)
    assert held.shape == (50, 23 - int(23 * 0.9))
    assert all(len(set(one)) == held.shape[1] for one in held.tolist())
    assert set(held.ravel().tolist()) == set(range(23))
    np.testing.assert_array_equal(held, holdouts(23, 0.1, 50, seed=3))
    assert not np.array_equal(held, holdouts(23, 0.1, 50, seed=4))


def refit_for_every_holdout(distances, y, alpha, gamma, held) -> float:
    """The published loop: kernel ridge fitted to the rest, asked about the held-out rows, errors averaged."""
    errors = []
    for rows in held:
        rest = np.setdiff1d(np.arange(len(y)), rows)
        kernel = np.exp(-gamma * distances)
        weights = np.linalg.solve(kernel[np.ix_(rest, rest)] + alpha * np.eye(len(rest)), y[rest])
        errors.append(np.mean((y[rows] - kernel[np.ix_(rows, rest)] @ weights) ** 2))
    return float(np.mean(errors))


@pytest.mark.parametrize("steps", [1, 5, 40])
def test_holdout_errors_are_those_of_the_published_loop(steps, monkeypatch):
    monkeypatch.setattr(holdout, "STEPS", steps)
    distances, y = drawn()
    alphas, gammas, held = np.geomspace(1e-3, 1e4, 5), np.geomspace(1e-2, 1e5, 4), holdouts(25, 0.1, 30, seed=0)
    slow = [[refit_for_every_holdout(distances, y, alpha, gamma, held) for gamma in gammas] for alpha in alphas]
    np.testing.assert_allclose(holdout_errors(distances, y, alphas, gammas, held), slow, rtol=1e-8)


@pytest.mark.parametrize("gamma", [1e-2, 0.3, 20.0, 1e6])
def test_the_krylov_space_and_the_direct_solution_agree(gamma, monkeypatch):
    monkeypatch.setattr(holdout, "STEPS", 500)
    distances, y = drawn(60)
    alphas, held = np.geomspace(1e-3, 1e4, 8), holdouts(60, 0.1, 20, seed=1)
    found, converged = krylov_errors(rbf(distances, gamma), y, alphas, held)
    assert converged.all()
    one = spectrum(distances, y, gamma)
    slow = np.stack([direct_errors(one, alpha, held) for alpha in alphas], axis=1)
    np.testing.assert_allclose(found, slow, rtol=1e-7, atol=1e-9)


def test_a_krylov_space_that_was_cut_short_says_which_noise_levels_it_reached():
    distances, y = drawn(60)
    alphas, held = np.geomspace(1e-4, 1e4, 9), holdouts(60, 0.1, 20, seed=1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(holdout, "STEPS", 5)
        found, converged = krylov_errors(rbf(distances, 0.3), y, alphas, held)
    assert 0 < converged.sum() < len(alphas)
    slow = np.stack([direct_errors(spectrum(distances, y, 0.3), alpha, held) for alpha in alphas[converged]], axis=1)
    np.testing.assert_allclose(found[:, converged], slow, rtol=1e-6)


def test_rows_that_are_equal_and_targets_that_are_all_zero_have_errors():
    distances, y = np.zeros((20, 20)), np.zeros(20)
    found = holdout_errors(distances, y, np.array([1e-4, 1.0]), np.array([1.0]), holdouts(20, 0.1, 5, seed=0))
    np.testing.assert_allclose(found, 0, atol=1e-12)


def test_leave_one_out_is_the_holdout_of_every_single_row():
    distances, y = drawn()
    alphas, gammas = np.geomspace(1e-3, 10, 4), np.geomspace(1e-2, 10, 3)
    every = np.arange(25)[:, None]
    found = leave_one_out_errors(distances, y, alphas, gammas)
    np.testing.assert_allclose(found, holdout_errors(distances, y, alphas, gammas, every), rtol=1e-7)
    assert found[0, 1] == pytest.approx(refit_for_every_holdout(distances, y, alphas[0], gammas[1], every), rel=1e-7)


@pytest.mark.parametrize("criterion", ["holdout", "leave-one-out"])
def test_errors_are_the_same_to_the_last_bit_on_any_number_of_threads(criterion):
    distances, y = drawn(60)
    alphas, gammas, held = np.geomspace(1e-3, 10, 4), np.geomspace(1e-2, 10, 5), holdouts(60, 0.1, 20, seed=0)

    def errors(threads):
        with threadpool_limits(threads, user_api="blas"):
            if criterion == "holdout":
                return holdout_errors(distances, y, alphas, gammas, held)
            return leave_one_out_errors(distances, y, alphas, gammas)

    np.testing.assert_array_equal(errors(2), errors(1))
