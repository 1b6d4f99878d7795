"""Landscapes of hyperparameters: by which score, over which two of them, how far around the choice.

For an RBF kernel the length scale and the noise, the signal variance at its maximum; for any kernel with a prior the
two hyperparameters of which the rows say most beyond it.
"""

from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Float

from multimep.evidence import Covariance, Prior, evidence_alone, log_evidence
from multimep.gaussian_process import RATIOS, Hyperparameters, Spectrum, gamma_grid, spectrum
from multimep.landscape import EVIDENCE, LEFT_OUT, POSTERIOR, Axis, Landscape

SCALES, NOISES = 24, 28
"""Of the grid for an RBF kernel, over all that its search may choose."""
SIDE, REACH = 15, 3.0
"""Points of each axis around a maximum a posteriori, and how far it reaches in standard deviations; odd, so that the
choice stands in the middle."""
STEP = 1e-3
"""In a logarithm, of the difference quotient of the gradient."""


def of_length_scales(
    gammas: Float[np.ndarray, "g"],
    noises: Axis,
    scores: Float[np.ndarray, "g a"],
    gamma: float,
    score: str,
    rows: int,
) -> Landscape:
    """A score over inverse squared length scales and noise levels; both rising, `gamma` one of `gammas`."""
    # l = gamma^(-1/2), in root mean squared differences of a feature
    scales = Axis("length_scale", np.asarray(gammas[::-1] ** -0.5), gamma**-0.5)
    return Landscape(scales, noises, scores[::-1], score, rows)


def of_rbf(
    distances: Float[np.ndarray, "n n"], y: Float[np.ndarray, "n"], chosen: Hyperparameters, selection: str
) -> Landscape:
    """Over all that `select` may choose, by `evidence` or `loo`; y centred; the chosen point is on the grid."""
    ratio = chosen.noise / chosen.signal
    gammas = np.unique(np.append(gamma_grid(distances, SCALES), chosen.gamma))
    ratios = np.unique(np.append(np.geomspace(*RATIOS, NOISES), ratio))
    score = {"evidence": _evidence, "loo": _left_out}[selection]
    scores = np.array([_along(spectrum(distances, y, float(gamma)), ratios, score) for gamma in gammas])
    name = EVIDENCE if selection == "evidence" else LEFT_OUT
    return of_length_scales(gammas, Axis("noise_to_signal", ratios, ratio), scores, chosen.gamma, name, len(y))


def _along(one: Spectrum, ratios: Float[np.ndarray, "r"], score: Callable[[Spectrum, float], float]) -> list[float]:
    return [score(one, float(ratio)) for ratio in ratios]


def _evidence(one: Spectrum, ratio: float) -> float:
    # log p(y) = -(n log s + sum log(w + r) + n + n log 2 pi) / 2 at s = y (K + r I)^-1 y / n
    return one.profile_evidence(ratio) - len(one.values) * (1 + float(np.log(2 * np.pi))) / 2


def _left_out(one: Spectrum, ratio: float) -> float:
    return float(np.mean(one.leave_one_out(ratio) ** 2))


def around_maximum(
    covariance: Covariance,
    y: Float[np.ndarray, "n"],
    prior: Prior,
    theta: Float[np.ndarray, "k"],
    names: Sequence[str],
) -> Landscape:
    """Log p(y | theta) + log p(theta) around the maximum that `evidence.maximise` found, by its two most telling names.

    Telling is a hyperparameter whose prior the rows narrow most; the axes reach 3 standard deviations of each, given
    the others, to both sides.
    """
    bends = curvatures(covariance, y, theta)
    first, second = sorted(np.argsort(-bends * prior.spreads**2, kind="stable")[:2].tolist())
    # sd_k = (-d^2 log p(y | theta) / d theta_k^2 + 1 / spread_k^2)^(-1/2)
    widths = 1 / np.sqrt(np.maximum(bends, 0) + prior.spreads**-2)
    steps = REACH * np.linspace(-1, 1, SIDE)
    scores = np.empty((SIDE, SIDE))
    for row, column in np.ndindex(SIDE, SIDE):
        there = theta.copy()
        there[first] += widths[first] * steps[row]
        there[second] += widths[second] * steps[column]
        scores[row, column] = evidence_alone(covariance, y, there) + prior.log_density(there)[0]
    x, other = (Axis(names[k], np.exp(theta[k] + widths[k] * steps), float(np.exp(theta[k]))) for k in (first, second))
    return Landscape(x, other, scores, POSTERIOR, len(y))


def curvatures(
    covariance: Covariance, y: Float[np.ndarray, "n"], theta: Float[np.ndarray, "k"]
) -> Float[np.ndarray, "k"]:
    """-d^2 log p(y | theta) / d theta_k^2 for each k, from differences of the exact gradient."""
    found = np.empty(len(theta))
    for k, one in enumerate(STEP * np.eye(len(theta))):
        above, below = (log_evidence(covariance, y, theta + sign * one)[1][k] for sign in (1, -1))
        found[k] = (below - above) / (2 * STEP)
    return found
