"""Hyperparameters of a Gaussian process by evidence: the maximum a posteriori, with exact gradients.

For any kernel whose covariance A(theta) over the training rows comes with the derivative of tr(G^T A), whatever it is
made of. theta holds logarithms of positive hyperparameters, each with a normal prior. float64 throughout.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.linalg import LinAlgError, cho_solve, cholesky
from scipy.optimize import Bounds, minimize

Pullback = Callable[[Float[np.ndarray, "n n"]], Float[np.ndarray, "k"]]
"""G -> (sum_ij G_ij dA_ij / dtheta_1, ..., sum_ij G_ij dA_ij / dtheta_k)."""

Covariance = Callable[[Float[np.ndarray, "k"]], tuple[Float[np.ndarray, "n n"], Pullback]]
"""theta -> A(theta), noise included, and its pullback."""

FARTHEST = 6.0
"""Standard deviations of the prior that theta may go: exp(6) = 400 times the median at a spread of 1; within that every
covariance that has noise can be factorised."""


@dataclass(frozen=True)
class Prior:
    """theta_k ~ N(log median_k, spread_k^2), independent.

    Attributes:
        medians: of the hyperparameters, above 0, shape (k,).
        spreads: standard deviations of their logarithms, above 0, shape (k,).
    """

    medians: Float[np.ndarray, "k"]
    spreads: Float[np.ndarray, "k"]

    def __post_init__(self) -> None:
        """Refuse columns of unequal length and what is not above 0."""
        if self.medians.shape != self.spreads.shape or not (np.all(self.medians > 0) and np.all(self.spreads > 0)):
            raise ValueError("a prior needs one median and one spread above 0 for each hyperparameter")

    def log_density(self, theta: Float[np.ndarray, "k"]) -> tuple[float, Float[np.ndarray, "k"]]:
        """Log p(theta) up to a constant, and its gradient."""
        # log p = -sum_k u_k^2 / 2 with u_k = (theta_k - log median_k) / spread_k
        u = (theta - np.log(self.medians)) / self.spreads
        return float(-u @ u / 2), -u / self.spreads


def log_evidence(
    covariance: Covariance, y: Float[np.ndarray, "n"], theta: Float[np.ndarray, "k"]
) -> tuple[float, Float[np.ndarray, "k"]]:
    """Log p(y | theta) in nats and its gradient; raises LinAlgError where A is not positive definite."""
    a, pullback = covariance(theta)
    factor = cholesky(a, lower=True)
    weights = cho_solve((factor, True), y)
    value = _value(y, weights, factor)
    # d log p(y) = sum_ij G_ij dA_ij with G = (w w^T - A^-1) / 2 and w = A^-1 y
    gradient = pullback((np.outer(weights, weights) - cho_solve((factor, True), np.eye(len(y)))) / 2)
    return value, gradient


def evidence_alone(covariance: Covariance, y: Float[np.ndarray, "n"], theta: Float[np.ndarray, "k"]) -> float:
    """Log p(y | theta) without its gradient; raises LinAlgError where A is not positive definite."""
    factor = cholesky(covariance(theta)[0], lower=True)
    return _value(y, cho_solve((factor, True), y), factor)


def _value(y: Float[np.ndarray, "n"], weights: Float[np.ndarray, "n"], factor: Float[np.ndarray, "n n"]) -> float:
    # log p(y) = -(y A^-1 y + log|A| + n log 2 pi) / 2
    return float(-(y @ weights + 2 * np.sum(np.log(np.diag(factor))) + len(y) * np.log(2 * np.pi)) / 2)


def maximise(covariance: Covariance, y: Float[np.ndarray, "n"], prior: Prior) -> Float[np.ndarray, "k"]:
    """The theta of largest log p(y | theta) + log p(theta), by L-BFGS from the prior's medians; deterministic."""

    def objective(theta: Float[np.ndarray, "k"]) -> tuple[float, Float[np.ndarray, "k"]]:
        try:
            value, gradient = log_evidence(covariance, y, theta)
        except LinAlgError:  # rounding at the edge of the box: a step that must be taken shorter
            return 1e10, np.zeros_like(theta)
        expected, pull = prior.log_density(theta)
        return -value - expected, -gradient - pull

    middle, reach = np.log(prior.medians), FARTHEST * prior.spreads
    found = minimize(
        objective,
        middle,
        jac=True,
        method="L-BFGS-B",
        bounds=Bounds(middle - reach, middle + reach),
        options={"maxiter": 200, "ftol": 1e-13, "gtol": 1e-6},
    )
    return np.asarray(found.x)
