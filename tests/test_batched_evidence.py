"""Many small Gaussian processes at once, held against one at a time."""

import numpy as np
import pytest
from scipy.optimize import approx_fprime

from multimep.batched_evidence import Batch, evidence, joined, local, select_many
from multimep.gaussian_process import RATIOS, log_evidence, select, spectrum, squared_distances


def drawn(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Distances of rows, and their targets."""
    random = np.random.default_rng(seed)
    rows = random.normal(size=(n, 3))
    y = np.sin(rows @ random.normal(size=3)) + 0.3 * random.normal(size=n)
    return squared_distances(rows, rows), y - y.mean()


PROBLEMS = [drawn(n, seed) for seed, n in enumerate((12, 30, 7, 30, 25))]
THETA = np.log(np.array([[0.3, 0.1], [1.0, 1.0], [2.0, 0.01], [0.05, 0.3], [3.0, 5.0]]))


def test_the_evidence_of_a_batch_is_that_of_each_problem_alone():
    slow = [
        spectrum(*problem, gamma).profile_evidence(ratio)
        for problem, (gamma, ratio) in zip(PROBLEMS, np.exp(THETA), strict=True)
    ]
    np.testing.assert_allclose(evidence(joined(PROBLEMS), THETA), slow, rtol=1e-9)
    np.testing.assert_allclose(local(joined(PROBLEMS), THETA).value, slow, rtol=1e-9)


def alone(batch: Batch, row: int, theta: np.ndarray):
    return local(batch.take(np.array([row])), theta[None])


@pytest.mark.parametrize("row", range(5))
def test_the_derivatives_are_those_of_finite_differences(row):
    batch, theta = joined(PROBLEMS), THETA[row]
    found = alone(batch, row, theta)
    gradient = approx_fprime(theta, lambda at: alone(batch, row, at).value[0], 1e-6)
    hessian = approx_fprime(theta, lambda at: alone(batch, row, at).gradient[0], 1e-6)
    np.testing.assert_allclose(found.gradient[0], gradient, atol=1e-4)
    np.testing.assert_allclose(found.hessian[0], hessian, atol=1e-4)


def test_selection_reaches_the_evidence_of_a_grid_of_length_scales_and_more():
    problems = [drawn(n, seed) for seed, n in enumerate((12, 20, 20, 33, 40))]
    for problem, found in zip(problems, select_many(problems), strict=True):
        grid = log_evidence(*problem, select(*problem))
        assert log_evidence(*problem, found) >= grid - 1e-6


def test_a_problem_is_solved_alike_in_any_company():
    together = select_many(PROBLEMS)
    for problem, one in zip(PROBLEMS, together, strict=True):
        (other,) = select_many([problem])
        np.testing.assert_allclose(
            [one.gamma, one.signal, one.noise], [other.gamma, other.signal, other.noise], rtol=1e-5
        )


@pytest.mark.filterwarnings("error")
def test_targets_that_are_all_equal_and_rows_that_are_all_equal_have_variances_above_zero():
    distances, _ = drawn(10, 0)
    for found in select_many([(distances, np.zeros(10)), (np.zeros((4, 4)), np.array([1.0, -1.0, 2.0, -2.0]))]):
        assert found.signal > 0
        assert RATIOS[0] * 0.999 <= found.noise / found.signal <= RATIOS[1] * 1.001


def test_no_problem_at_all_has_no_answer():
    assert select_many([]) == []
