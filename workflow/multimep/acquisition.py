"""What a candidate is worth for the next round: its mean, what it may reach, and how often a draw puts it ahead.

All values rise with what is wanted: where a lower fitness is better, mean and best are turned by the caller.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.linalg import LinAlgError, cholesky
from scipy.special import ndtr

from multimep.methods.method import Joint

JITTERS = (1e-10, 1e-8, 1e-6, 1e-4)
"""Shares of the mean variance added to the diagonal until rounding no longer spoils the factorisation."""


class AcquisitionError(ValueError):
    """An acquisition that the predictor cannot give; the message names one that it can."""


@dataclass(frozen=True)
class Wanted:
    """What an acquisition needs beside the prediction.

    Attributes:
        beta: standard deviations that `ucb` adds to the mean.
        best: the best measured fitness, which `expected_improvement` improves on.
    """

    beta: float
    best: float


Values = Float[np.ndarray, "n"]


def mean(means: Values, stds: Values, wanted: Wanted) -> Values:
    """The predicted fitness: exploits what is known."""
    del stds, wanted
    return means


def ucb(means: Values, stds: Values, wanted: Wanted) -> Values:
    """The upper confidence bound m + beta s (Srinivas et al. 2010, arXiv:0912.3995)."""
    return np.asarray(means + wanted.beta * stds)


def expected_improvement(means: Values, stds: Values, wanted: Wanted) -> Values:
    """E max(f - best, 0), f ~ N(m, s^2) (Jones, Schonlau & Welch 1998, doi:10.1023/A:1008306431147)."""
    # s (u Phi(u) + phi(u)),  u = (m - best) / s
    u = (means - wanted.best) / stds
    return np.asarray(stds * (u * ndtr(u) + np.exp(-(u**2) / 2) / np.sqrt(2 * np.pi)))


POINTWISE: Mapping[str, Callable[[Values, Values, Wanted], Values]] = {
    "mean": mean,
    "ucb": ucb,
    "expected_improvement": expected_improvement,
}
"""Acquisitions of one candidate at a time."""


def pointwise(name: str, means: Values, stds: Values, wanted: Wanted) -> Values:
    """The acquisition of that name; for `thompson`, whose draws come after a first choice, `ucb` makes that choice."""
    return POINTWISE.get(name, ucb)(means, stds, wanted)


def draws(means: Values, covariance: Float[np.ndarray, "n n"], number: int, seed: int) -> Float[np.ndarray, "number n"]:
    """Samples of a joint normal posterior."""
    # f = m + L e,  e ~ N(0, I)
    noise = np.random.default_rng(seed).standard_normal((number, len(means)))
    return np.asarray(means + noise @ _factor(covariance).T)


def _factor(covariance: Float[np.ndarray, "n n"]) -> Float[np.ndarray, "n n"]:
    size = float(np.mean(np.diag(covariance)))
    for jitter in JITTERS[:-1]:
        try:
            return np.asarray(cholesky(covariance + jitter * size * np.eye(len(covariance)), lower=True))
        except LinAlgError:
            continue
    return np.asarray(cholesky(covariance + JITTERS[-1] * size * np.eye(len(covariance)), lower=True))


def drawn(joint: Joint, sign: int, number: int, batch: int, seed: int) -> Values:
    """`thompson` of so many draws from a joint posterior; `sign` is -1 where a lower fitness is better."""
    return thompson(draws(sign * joint.mean, joint.covariance, number, seed), batch)


def thompson(samples: Float[np.ndarray, "number n"], batch: int) -> Values:
    """Share of the draws in which a candidate is among the `batch` best.

    Thompson sampling takes the best of a draw; for a batch, choosing what most draws have among their best keeps the
    draws' correlations, and every candidate keeps a value by which constraints can choose (with a batch of 1 and one
    draw it is Thompson's rule).
    """
    rank = np.argsort(np.argsort(-samples, axis=1, kind="stable"), axis=1)
    return np.asarray(np.mean(rank < batch, axis=0))
