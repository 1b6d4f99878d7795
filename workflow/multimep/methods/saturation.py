"""A sigmoid between a hidden scale and the fitness, and what is seen through it: tangents, the mode, the bounds.

    z = g(h) + e,  g(h) = low + range / (1 + exp(-STEEPNESS h)),  e ~ N(0, noise)
Laplace's approximation with Gauss-Newton steps: at the mode of h the link is replaced by its tangents, which makes of
every row a measurement of h itself, of its own variance.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.linalg import cho_solve, cholesky
from scipy.special import expit

from multimep.evidence import Pullback
from multimep.gaussian_process import SMALLEST_VARIANCE
from multimep.methods.blocks import MeanAndVariance
from multimep.site_kernel import SiteCovariance, noise_of

STEEPNESS = 2.0
"""Of g per unit of h, whose prior standard deviation is about 1: two of them reach from the middle to 98 %."""
MARGIN = 0.05
"""How far beyond the observed range g starts to level off at first, in ranges."""
FLATTEST = 1e-2
"""Smallest slope of g that a row is taken to have: beyond it the row says next to nothing of h."""
MOST_STEPS, ENOUGH = 50, 1e-8
"""Of the search for the mode: it ends after so many steps, or where one lowers -log p by less than this."""
_NODES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(32)


@dataclass(frozen=True)
class Link:
    """g from the hidden scale to standardised fitness.

    Attributes:
        low: fitness far below.
        range: of the fitness, above 0.
    """

    low: float
    range: float

    def __call__(self, h: Float[np.ndarray, "..."]) -> Float[np.ndarray, "..."]:
        """g(h)."""
        return np.asarray(self.low + self.range * expit(STEEPNESS * h))

    def slope(self, h: Float[np.ndarray, "..."]) -> Float[np.ndarray, "..."]:
        """g'(h), at least FLATTEST."""
        # g' = STEEPNESS range p (1 - p),  p = 1 / (1 + exp(-STEEPNESS h))
        p = expit(STEEPNESS * h)
        return np.asarray(np.maximum(STEEPNESS * self.range * p * (1 - p), FLATTEST))


def first_link(z: Float[np.ndarray, "n"]) -> Link:
    """The link that levels off MARGIN beyond what was observed."""
    width = float(np.ptp(z)) or 1.0
    middle = float(z.min() + z.max()) / 2
    return Link(middle - (0.5 + MARGIN) * width, (1 + 2 * MARGIN) * width)


def through(link: Link, mean: Float[np.ndarray, "n"], variance: Float[np.ndarray, "n"]) -> MeanAndVariance:
    """Mean and variance of g(h), h ~ N(mean, variance), by Gauss-Hermite quadrature with 32 nodes."""
    values = link(mean[:, None] + np.sqrt(variance)[:, None] * _NODES[None, :])
    weights = _WEIGHTS / _WEIGHTS.sum()
    centre = values @ weights
    spread = ((values - centre[:, None]) ** 2) @ weights
    return centre, np.maximum(spread, SMALLEST_VARIANCE)


Tangents = tuple[Float[np.ndarray, "n"], Float[np.ndarray, "n"]]


def tangents_at(h: Float[np.ndarray, "n"], z: Float[np.ndarray, "n"], link: Link, noise: float) -> Tangents:
    """Targets and variances on the hidden scale by the tangents of g at h."""
    # z = g(h_0) + g'(h_0) (h - h_0) + e  <=>  t = h_0 + (z - g(h_0)) / g'(h_0) = h + e / g'(h_0)
    slope = link.slope(h)
    return h + (z - link(h)) / slope, noise / slope**2


def mode(
    k: Float[np.ndarray, "n n"], m: Float[np.ndarray, "n"], z: Float[np.ndarray, "n"], link: Link, noise: float
) -> Float[np.ndarray, "n"]:
    """The most probable h of the rows, by Gauss-Newton steps that are halved until they help."""

    def energy(u: Float[np.ndarray, "n"]) -> float:
        # -log p(h | z) = |z - g(h)|^2 / (2 noise) + u K u / 2,  h = m + K u
        error = z - link(m + k @ u)
        return float(error @ error / noise + u @ k @ u) / 2

    u = np.zeros(len(z))
    value = energy(u)
    for _ in range(MOST_STEPS):
        targets, doubts = tangents_at(m + k @ u, z, link, noise)
        away = cho_solve((cholesky(k + np.diag(doubts), lower=True), True), targets - m) - u
        lower = next((one for one in (0.5**n * away for n in range(12)) if energy(u + one) < value), None)
        if lower is None:
            break
        u, before = u + lower, value
        value = energy(u)
        if before - value < ENOUGH:
            break
    return np.asarray(m + k @ u)


@dataclass(frozen=True)
class TangentCovariance:
    """A = K + noise diag(1 / g'^2): of rows whose link is replaced by its tangents.

    Attributes:
        covariance: K + noise I.
        slopes: g' at each row, shape (n,).
    """

    covariance: SiteCovariance
    slopes: Float[np.ndarray, "n"]

    def __call__(self, theta: Float[np.ndarray, "k"]) -> tuple[Float[np.ndarray, "n n"], Pullback]:
        """A, and the derivatives of tr(G^T A): d / dlog noise = noise sum_i G_ii / g_i'^2."""
        a, pullback = self.covariance(theta)
        noise, each = noise_of(theta), 1 / self.slopes**2
        a = a + noise * np.diag(each - 1)

        def pull(g: Float[np.ndarray, "n n"]) -> Float[np.ndarray, "k"]:
            return np.concatenate([pullback(g)[:-1], [noise * float(np.diag(g) @ each)]])

        return a, pull


BOUND_ROWS = 5.0
"""How many rows the first guess of the bounds counts for."""


def bounds(
    z: Float[np.ndarray, "n"], mean: Float[np.ndarray, "n"], variance: Float[np.ndarray, "n"], first: Link
) -> Link:
    """The bounds that minimise the expected squared error over the posterior of h, and never a third of the first."""
    # min E sum_i (z_i - low - range p_i)^2 + BOUND_ROWS ((low - low_1)^2 + (range - range_1)^2),  p = expit(..h_i)
    p, spread = through(Link(0.0, 1.0), mean, variance)
    cross = float(p.sum())
    left = np.array([[len(z), cross], [cross, float((p**2 + spread).sum())]]) + BOUND_ROWS * np.eye(2)
    low, width = np.linalg.solve(left, [z.sum() + BOUND_ROWS * first.low, p @ z + BOUND_ROWS * first.range])
    return Link(float(low), max(float(width), first.range / 3))
