"""Exact Gaussian processes with an RBF kernel: distances, evidence, closed-form cross-validation, posterior.

Everything is float64 numpy over a matrix of squared distances, so the same code serves pooled embeddings, flattened
embeddings and one-hot sequences. Throughout: K = k(X, X), A = K + lambda I, y centred.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.linalg import LinAlgError, cho_factor, cho_solve, cholesky, solve_triangular
from scipy.optimize import minimize_scalar

SMALLEST_VARIANCE = 1e-12
"""A posterior variance below this is rounding, not certainty."""
COLUMNS = 2048
"""Features in one product: their float64 copies stay small whatever the dimension."""
EXACT_ROWS = 256
"""Rows of a covariance at once in more digits than float64."""


class SolveError(ValueError):
    """A covariance that float64 cannot factorise; the message says of how many rows and what to change."""


def squared_distances(a: Float[np.ndarray, "n d"], b: Float[np.ndarray, "m d"]) -> Float[np.ndarray, "n m"]:
    """|a_i - b_j|^2 / d by matrix products over blocks of features, centred first so that nothing cancels.

    Dividing by the dimension d, as TransMEP does, keeps one range of length scales valid for any embedding. A row is
    at 0 from itself where a and b are the same array.
    """
    centre = b.mean(axis=0, dtype=np.float64)
    squares = np.zeros((len(a), len(b)))
    for start in range(0, a.shape[1], COLUMNS):
        block = slice(start, start + COLUMNS)
        right = b[:, block] - centre[block]
        left = right if a is b else a[:, block] - centre[block]
        # |a - b|^2 = |a|^2 + |b|^2 - 2 a.b
        squares -= 2 * (left @ right.T)
        squares += np.einsum("nd,nd->n", left, left)[:, None]
        squares += np.einsum("nd,nd->n", right, right)
    if a is b:
        np.fill_diagonal(squares, 0)
    return np.asarray(np.maximum(squares, 0, out=squares) / a.shape[1])


def rbf(distances: Float[np.ndarray, "n m"], gamma: float) -> Float[np.ndarray, "n m"]:
    """exp(-gamma D) for squared distances D."""
    return np.exp(-gamma * distances)


@dataclass(frozen=True)
class Solution:
    """Of A w = y - m, whatever the kernel: all that predictions need of the training rows.

    Attributes:
        factor: lower Cholesky factor of A = K + noise, shape (n, n).
        weights: A^-1 (y - m), shape (n,).
    """

    factor: Float[np.ndarray, "n n"]
    weights: Float[np.ndarray, "n"]

    @property
    def parts(self) -> tuple[Float[np.ndarray, "n n"], Float[np.ndarray, "n"]]:
        """Factor and weights."""
        return self.factor, self.weights

    def predict(
        self, cross: Float[np.ndarray, "p n"], prior: Float[np.ndarray, "p"]
    ) -> tuple[Float[np.ndarray, "p"], Float[np.ndarray, "p"]]:
        """Posterior mean beyond m, and latent variance, of p points: their kernel with the rows and with themselves."""
        # mean - m(x) = k A^-1 (y - m),  variance = k(x, x) - |L^-1 k|^2
        half = solve_triangular(self.factor, cross.T, lower=True)
        return cross @ self.weights, np.maximum(prior - np.sum(half**2, axis=0), SMALLEST_VARIANCE * prior)

    def joint(
        self, cross: Float[np.ndarray, "p n"], prior: Float[np.ndarray, "p p"]
    ) -> tuple[Float[np.ndarray, "p"], Float[np.ndarray, "p p"]]:
        """Posterior mean beyond m, and latent covariance, of p points: their kernel with the rows and each other."""
        # C = k(x, x') - (L^-1 k)^T (L^-1 k')
        half = solve_triangular(self.factor, cross.T, lower=True)
        return cross @ self.weights, prior - half.T @ half

    def left_out(self, cross: Float[np.ndarray, "p n"]) -> tuple[Float[np.ndarray, "p n"], Float[np.ndarray, "p n"]]:
        """What posterior mean and latent variance of p points gain when row i alone is left out, all else the same.

        From the inverse of a matrix without one row and column (Rasmussen & Williams 2006, section 5.4.2).
        """
        # mean_-i - mean = -(A^-1 k)_i (A^-1 (y - m))_i / (A^-1)_ii,  variance_-i - variance = (A^-1 k)_i^2 / (A^-1)_ii
        own = np.sum(solve_triangular(self.factor, np.eye(len(self.weights)), lower=True) ** 2, axis=0)
        shares = np.asarray(cho_solve((self.factor, True), cross.T)).T
        return -shares * (self.weights / own), shares**2 / own


def solved(a: Float[np.ndarray, "n n"], residuals: Float[np.ndarray, "n"]) -> Solution:
    """The solution for A = K + noise and residuals y - m, by one Cholesky factorisation.

    Nothing is added to the diagonal of A: noise alone makes it positive definite. Raises SolveError where it is not.
    """
    try:
        factor = cholesky(a, lower=True)
    except LinAlgError as error:
        raise SolveError(
            f"the covariance of {len(a)} training rows is not positive definite in float64 ({error}): their noise is "
            "too small for rows so alike, and no jitter is added; average rows that are alike, or choose another method"
        ) from error
    return Solution(factor, _weights(a, factor, residuals))


def _weights(
    a: Float[np.ndarray, "n n"], factor: Float[np.ndarray, "n n"], y: Float[np.ndarray, "n"]
) -> Float[np.ndarray, "n"]:
    """A^-1 y with |A w - y| below 1e-8 |y|: one step of refinement, its residual summed in more digits than float64.

    Without it the residual grows with the rows: 3e-8 for 2,000 that are alike, at the smallest noise of RATIOS. Where
    the platform's long double is no longer than float64 the step does little.
    """
    # w = w_0 + A^-1 (y - A w_0)
    first = cho_solve((factor, True), y)
    exact = first.astype(np.longdouble)
    rows = [slice(start, start + EXACT_ROWS) for start in range(0, len(y), EXACT_ROWS)]
    left = np.concatenate([y[block] - a[block].astype(np.longdouble) @ exact for block in rows])
    return np.asarray(first + cho_solve((factor, True), left.astype(np.float64)))


@dataclass(frozen=True)
class Hyperparameters:
    """Of k(x, x') = signal exp(-gamma D(x, x')) with independent noise.

    Attributes:
        gamma: inverse squared length scale, in units of 1 / D.
        signal: prior variance of the latent function, in units of y^2.
        noise: variance of a measurement around it, in units of y^2.
    """

    gamma: float
    signal: float
    noise: float


@dataclass(frozen=True)
class Posterior:
    """A GP conditioned on training rows (targets already centred and scaled).

    Attributes:
        hyperparameters: of the kernel.
        factor: lower Cholesky factor of K / signal + (noise / signal) I, shape (n, n).
        weights: A^-1 y with the same scaling, shape (n,).
    """

    hyperparameters: Hyperparameters
    factor: Float[np.ndarray, "n n"]
    weights: Float[np.ndarray, "n"]

    def predict(self, distances: Float[np.ndarray, "m n"]) -> tuple[Float[np.ndarray, "m"], Float[np.ndarray, "m"]]:
        """Mean and latent variance at m points, given their squared distances to the training rows."""
        # mean = k A^-1 y,  variance = s (1 - |L^-1 k|^2)
        kernel = rbf(distances, self.hyperparameters.gamma)
        half = solve_triangular(self.factor, kernel.T, lower=True)
        variance = self.hyperparameters.signal * (1 - np.sum(half**2, axis=0))
        return kernel @ self.weights, np.maximum(variance, SMALLEST_VARIANCE * self.hyperparameters.signal)

    def joint(
        self, distances: Float[np.ndarray, "m n"], between: Float[np.ndarray, "m m"]
    ) -> tuple[Float[np.ndarray, "m"], Float[np.ndarray, "m m"]]:
        """Mean and latent covariance at m points, given squared distances to the training rows and between them."""
        # C = s (k(x, x') - (L^-1 k)^T (L^-1 k'))
        kernel, gamma = rbf(distances, self.hyperparameters.gamma), self.hyperparameters.gamma
        half = solve_triangular(self.factor, kernel.T, lower=True)
        return kernel @ self.weights, self.hyperparameters.signal * (rbf(between, gamma) - half.T @ half)


def condition(
    distances: Float[np.ndarray, "n n"], y: Float[np.ndarray, "n"], hyperparameters: Hyperparameters
) -> Posterior:
    """The posterior of centred targets y, by one Cholesky factorisation."""
    a, rows = rbf(distances, hyperparameters.gamma), range(len(y))
    a[rows, rows] += hyperparameters.noise / hyperparameters.signal
    solution = solved(a, y)
    return Posterior(hyperparameters, solution.factor, solution.weights)


def log_evidence(
    distances: Float[np.ndarray, "n n"], y: Float[np.ndarray, "n"], hyperparameters: Hyperparameters
) -> float:
    """Log p(y), the logarithm of the marginal likelihood, in nats."""
    # log p(y) = -(y A^-1 y + log|A| + n log 2 pi) / 2 with A = s K + noise I
    covariance = hyperparameters.signal * rbf(distances, hyperparameters.gamma) + hyperparameters.noise * np.eye(len(y))
    factor = cho_factor(covariance, lower=True)
    log_determinant = 2 * np.sum(np.log(np.diag(factor[0])))
    return float(-(y @ cho_solve(factor, y) + log_determinant + len(y) * np.log(2 * np.pi)) / 2)


@dataclass(frozen=True)
class Spectrum:
    """K = U diag(w) U^T at one length scale: every noise level is then a diagonal away.

    Attributes:
        values: eigenvalues w, not below 0, shape (n,).
        vectors: U, columns are eigenvectors, shape (n, n).
        projected: U^T y, shape (n,).
    """

    values: Float[np.ndarray, "n"]
    vectors: Float[np.ndarray, "n n"]
    projected: Float[np.ndarray, "n"]

    def profile_evidence(self, ratio: float) -> float:
        """Log p(y) with the signal variance at its maximum, for noise / signal = ratio; up to a constant."""
        # s = y (K + r I)^-1 y / n;  log p = -(n log s + sum log(w + r)) / 2
        shifted = self.values + ratio
        return float(-(len(shifted) * np.log(self.signal(ratio)) + np.sum(np.log(shifted))) / 2)

    def signal(self, ratio: float) -> float:
        """The signal variance that maximises the evidence at this noise / signal ratio; above 0 for any targets."""
        return max(float(np.mean(self.projected**2 / (self.values + ratio))), SMALLEST_VARIANCE)

    def leave_one_out(self, ratio: float) -> Float[np.ndarray, "n"]:
        """Residuals y_i - mean_i of the GP that has not seen row i, in closed form."""
        # r_i = (A^-1 y)_i / (A^-1)_ii
        diagonal = (self.vectors**2) @ (1 / (self.values + ratio))
        return np.asarray(self.solved(ratio) / diagonal)

    def solved(self, ratio: float) -> Float[np.ndarray, "n"]:
        """A^-1 y = (K + ratio I)^-1 y."""
        return np.asarray(self.vectors @ (self.projected / (self.values + ratio)))

    def inverse(self, ratio: float) -> Float[np.ndarray, "n n"]:
        """A^-1 = (K + ratio I)^-1."""
        return np.asarray((self.vectors / (self.values + ratio)) @ self.vectors.T)


NOTHING_SHARED = 1e-20
"""A kernel below this is 0 to the last bit beside its diagonal; numbers whose squares underflow are slow."""


def spectrum(distances: Float[np.ndarray, "n n"], y: Float[np.ndarray, "n"], gamma: float) -> Spectrum:
    """Eigendecomposition of the kernel at one length scale."""
    kernel = rbf(distances, gamma)
    kernel[kernel < NOTHING_SHARED] = 0
    if np.count_nonzero(kernel) == len(y) and np.all(np.diag(kernel) == 1):
        return Spectrum(np.ones(len(y)), np.eye(len(y)), y)
    values, vectors = np.linalg.eigh(kernel)  # by divide and conquer; scipy's lets no other thread work meanwhile
    return Spectrum(np.maximum(values, 0), vectors, vectors.T @ y)


RATIOS = (1e-6, 1e3)
"""Range of noise / signal: below, the kernel matrix is singular in float64; above, there is nothing but noise."""


def _best_ratio(one: Spectrum, selection: str) -> tuple[float, float]:
    """(objective, noise / signal) at the minimum over the ratio, by bounded search in its logarithm."""

    def objective(log_ratio: float) -> float:
        ratio = float(np.exp(log_ratio))
        return float(np.mean(one.leave_one_out(ratio) ** 2)) if selection == "loo" else -one.profile_evidence(ratio)

    found = minimize_scalar(objective, bounds=tuple(np.log(RATIOS)), method="bounded", options={"xatol": 1e-3})
    return float(found.fun), float(np.exp(found.x))


def gamma_grid(distances: Float[np.ndarray, "n n"], steps: int) -> Float[np.ndarray, "steps"]:
    """Length scales worth trying: exp(-gamma D) at the median distance runs from nearly 0 to nearly 1."""
    off_diagonal = distances[np.triu_indices_from(distances, 1)]
    positive = off_diagonal[off_diagonal > 0]
    median = float(np.median(positive)) if len(positive) else 1.0
    return np.geomspace(1e-3 / median, 20 / median, steps)


def select(
    distances: Float[np.ndarray, "n n"], y: Float[np.ndarray, "n"], selection: str = "evidence", steps: int = 24
) -> Hyperparameters:
    """Hyperparameters by `evidence` (marginal likelihood) or `loo` (closed-form leave-one-out error).

    The length scale runs over a grid, the noise over a bounded search at each of its points, the signal variance is
    its maximum in closed form: global, deterministic, no gradient. Rasmussen & Williams 2006, chapter 5.
    """
    best = (np.inf, Hyperparameters(1.0, 1.0, 1.0))
    for gamma in gamma_grid(distances, steps):
        one = spectrum(distances, y, float(gamma))
        objective, ratio = _best_ratio(one, selection)
        if objective < best[0]:
            signal = one.signal(ratio)
            best = (objective, Hyperparameters(float(gamma), signal, ratio * signal))
    return best[1]
