"""Bayesian linear regression on features: ridge with its evidence, its leave-one-out error and its posterior.

y = X w + noise with w ~ N(0, prior I); everything follows from one thin singular value decomposition X = U S V^T,
whichever of rows and features are fewer, and for features of unit scale from the eigenvectors of their products.
Targets are centred by the caller, features by `fit`.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.linalg import LinAlgError, eigh, svd

PENALTIES: Float[np.ndarray, "25"] = np.logspace(-3, 3, 25)
"""Penalties (noise / prior variance of a weight) among which leave-one-out chooses; indicators have unit scale."""


@dataclass(frozen=True)
class Ridge:
    """The posterior of the weights.

    Attributes:
        centre: mean of the training features, shape (d,).
        weights: posterior mean, shape (d,).
        basis: right singular vectors V of the centred features, shape (d, r).
        variances: posterior variance along each of them, shape (r,).
        prior: prior variance of a weight (posterior variance in directions never seen).
        noise: variance of a measurement.
        rows: number of training rows.
    """

    centre: Float[np.ndarray, "d"]
    weights: Float[np.ndarray, "d"]
    basis: Float[np.ndarray, "d r"]
    variances: Float[np.ndarray, "r"]
    prior: float
    noise: float
    rows: int

    def predict(self, features: Float[np.ndarray, "m d"]) -> tuple[Float[np.ndarray, "m"], Float[np.ndarray, "m"]]:
        """Mean and latent variance for m feature rows."""
        x = features - self.centre
        along = x @ self.basis
        # variance = sum_j (x.v_j)^2 c_j + prior |x - V V^T x|^2 + noise / n   (last: of the intercept)
        outside = np.sum((x - along @ self.basis.T) ** 2, axis=1)
        return x @ self.weights, along**2 @ self.variances + self.prior * outside + self.noise / self.rows


Decomposition = tuple[Float[np.ndarray, "n r"], Float[np.ndarray, "r"], Float[np.ndarray, "r d"]]

HIDDEN = 1e-4
"""Share of the smallest penalty below which no result sees an error of a squared singular value."""
UNIT = 10.0
"""Largest feature of unit scale; a larger one leaves too few digits for the directions beside it."""


def _decomposed(x: Float[np.ndarray, "n d"]) -> Decomposition:
    """U, S and V^T of x without its null space."""
    # an eigenvalue of X X^T is exact to n eps |X|^2, the singular value itself to its half of the digits
    rounding = min(x.shape) * np.finfo(np.float64).eps * float(np.sum(x**2))
    if rounding > HIDDEN * PENALTIES[0] or np.abs(x).max(initial=0.0) > UNIT:
        left, singular, right = _svd(x)
        keep = singular > max(singular[0], 1.0) * 1e-10
        return left[:, keep], singular[keep], right[keep]
    if len(x) > x.shape[1]:
        left, singular, right = _by_rows(x.T, rounding)
        return right.T, singular, left.T
    return _by_rows(x, rounding)


def _by_rows(x: Float[np.ndarray, "n d"], rounding: float) -> Decomposition:
    """By X X^T = U S^2 U^T: a quarter of the time of a singular value decomposition."""
    values, left = eigh(x @ x.T, driver="evd")
    keep = values > max(rounding, 1e-12)
    left, singular = left[:, keep], np.sqrt(values[keep])
    return left, singular, (left / singular).T @ x


def _svd(x: Float[np.ndarray, "n d"]) -> Decomposition:
    # divide and conquer is four times as fast and, on some indicators of thousands of double mutants, does not converge
    try:
        return svd(x, full_matrices=False, lapack_driver="gesdd")
    except LinAlgError:
        return svd(x, full_matrices=False, lapack_driver="gesvd")


def fit(features: Float[np.ndarray, "n d"], y: Float[np.ndarray, "n"]) -> Ridge:
    """Ridge on centred targets, the penalty chosen by closed-form leave-one-out error, variances by evidence.

    Leave-one-out picks the penalty because the indicator features of a mutation seen once make the evidence
    optimistic; the scale of prior and noise then follows from the evidence at that penalty.
    """
    # float64 from here on: in float32 the null space of one-hot features drowns in rounding
    centre = features.mean(axis=0, dtype=np.float64)
    left, singular, right = _decomposed(features - centre)
    ratio = _best_ratio(left, singular, y)
    # w = V diag(s / (s^2 + r)) U^T y
    projected = left.T @ y
    weights = right.T @ (singular / (singular**2 + ratio) * projected)
    prior = _prior_variance(singular, projected, float(y @ y), len(y), ratio)
    variances = prior * ratio / (singular**2 + ratio)
    return Ridge(centre, weights, np.ascontiguousarray(right.T), variances, prior, ratio * prior, len(y))


def _best_ratio(left: Float[np.ndarray, "n r"], singular: Float[np.ndarray, "r"], y: Float[np.ndarray, "n"]) -> float:
    errors = [np.mean(leave_one_out(left, singular, y, float(ratio)) ** 2) for ratio in PENALTIES]
    return float(PENALTIES[int(np.argmin(errors))])


def leave_one_out(
    left: Float[np.ndarray, "n r"], singular: Float[np.ndarray, "r"], y: Float[np.ndarray, "n"], ratio: float
) -> Float[np.ndarray, "n"]:
    """Residuals y_i - x_i w_(without i), intercept included, in closed form."""
    # H = U diag(s^2 / (s^2 + r)) U^T + 1/n;  r_i = (y - H y)_i / (1 - H_ii)
    shrink = singular**2 / (singular**2 + ratio)
    fitted = left @ (shrink * (left.T @ y)) + y.mean()
    leverage = left**2 @ shrink + 1 / len(y)
    return np.asarray((y - fitted) / np.maximum(1 - leverage, 1e-10))


def _prior_variance(
    singular: Float[np.ndarray, "r"], projected: Float[np.ndarray, "r"], total: float, n: int, ratio: float
) -> float:
    # prior = y (X X^T + r I)^-1 y / (n - 1): the maximum of the evidence, one degree of freedom gone to the intercept
    inside = np.sum(projected**2 / (singular**2 + ratio))
    outside = max(total - float(np.sum(projected**2)), 0.0) / ratio
    return max(float(inside + outside) / max(n - 1, 1), 1e-12)
