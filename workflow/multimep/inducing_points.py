"""Gaussian processes of hundreds of thousands of rows: the posterior that m of them can carry.

The projected process (Seeger, Williams & Lawrence 2003; the predictive equations of Titsias 2009): with Z the inducing
points, every row's latent value is its conditional mean given those at Z. Rows are read in blocks, so memory is that of
m x m matrices and one block whatever the number of rows; with all rows as inducing points it is the exact posterior.
K = k(Z, Z), k_n = k(x_n, Z), lambda = noise / signal.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.linalg import cho_solve, cholesky, solve_triangular

from multimep.gaussian_process import SMALLEST_VARIANCE, Hyperparameters, rbf, squared_distances

BLOCK = 4096
"""Rows at once."""
JITTER = 1e-10
"""Always added to the diagonal of K (which is 1), so that points which coincide can be factorised; predictor files say
so. It is the only one: exact processes are factorised with their noise alone."""


@dataclass(frozen=True)
class Projected:
    """What the inducing points know of the training rows (targets already centred and scaled).

    Attributes:
        hyperparameters: of the kernel.
        points: Z, shape (m, d).
        factor: lower Cholesky factor L of K + jitter, shape (m, m).
        inner: that of B = I + L^-1 (sum_n k_n k_n^T) L^-T / lambda, shape (m, m).
        weights: of the mean, shape (m,).
    """

    hyperparameters: Hyperparameters
    points: Float[np.ndarray, "m d"]
    factor: Float[np.ndarray, "m m"]
    inner: Float[np.ndarray, "m m"]
    weights: Float[np.ndarray, "m"]

    def predict(self, rows: Float[np.ndarray, "p d"]) -> tuple[Float[np.ndarray, "p"], Float[np.ndarray, "p"]]:
        """Mean and latent variance of p feature rows."""
        # mean = k w,  variance = s (1 - |L^-1 k|^2 + |M^-1 L^-1 k|^2) with B = M M^T
        cross = rbf(squared_distances(rows, self.points), self.hyperparameters.gamma)
        half = solve_triangular(self.factor, cross.T, lower=True)
        known = solve_triangular(self.inner, half, lower=True)
        variance = 1 - np.sum(half**2, axis=0) + np.sum(known**2, axis=0)
        return cross @ self.weights, self.hyperparameters.signal * np.maximum(variance, SMALLEST_VARIANCE)


def project(
    rows: Float[np.ndarray, "n d"],
    y: Float[np.ndarray, "n"],
    points: Float[np.ndarray, "m d"],
    hyperparameters: Hyperparameters,
) -> Projected:
    """What n rows with centred targets y teach the inducing points: O(n m^2) operations, O(m^2) memory."""
    factor = _factor(points, hyperparameters.gamma)
    gram, known = np.zeros((len(points), len(points))), np.zeros(len(points))
    for start in range(0, len(rows), BLOCK):
        block = slice(start, start + BLOCK)
        cross = rbf(squared_distances(rows[block], points), hyperparameters.gamma)
        # L^-1 k_n of each row before they are summed: of the sum it would be rounding where points are nearly equal
        half = solve_triangular(factor, cross.T, lower=True, overwrite_b=True, check_finite=False)
        gram += half @ half.T
        known += half @ y[block]
    ratio = hyperparameters.noise / hyperparameters.signal
    inner = cholesky(np.eye(len(points)) + gram / ratio, lower=True)
    # w = L^-T B^-1 sum_n L^-1 k_n y_n / lambda
    solved = cho_solve((inner, True), known) / ratio
    return Projected(hyperparameters, points, factor, inner, solve_triangular(factor, solved, lower=True, trans=1))


def restored(
    points: Float[np.ndarray, "m d"],
    inner: Float[np.ndarray, "m m"],
    weights: Float[np.ndarray, "m"],
    hyperparameters: Hyperparameters,
) -> Projected:
    """The same from what cannot be made again without the rows."""
    return Projected(hyperparameters, points, _factor(points, hyperparameters.gamma), inner, weights)


def _factor(points: Float[np.ndarray, "m d"], gamma: float) -> Float[np.ndarray, "m m"]:
    kernel = rbf(squared_distances(points, points), gamma) + JITTER * np.eye(len(points))
    return np.asfortranarray(cholesky(kernel, lower=True))
