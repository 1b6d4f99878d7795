"""Targets on a scale where they are nearer to normal: halfway between their own scale and that of their ranks.

The fitness of a scan has long tails or two modes; a Gaussian process then spends its variance on the tail. Halfway, for
the scale of ranks alone throws away how far apart values are.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.special import ndtri

from multimep.dataset import Dataset
from multimep.methods.scaling import Scaling, scaling_of
from multimep.predictions import Predictions

_NODES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(32)


@dataclass(frozen=True)
class Warping:
    """t = w(z), piecewise linear through (z, (z + g) / 2), with slope 1 outside; z standardised, g normal scores.

    Attributes:
        scaling: from the source's unit to z and back.
        values: distinct z of the training rows, rising, shape (k,).
        warped: t at each of them, rising, shape (k,).
    """

    scaling: Scaling
    values: Float[np.ndarray, "k"]
    warped: Float[np.ndarray, "k"]

    @property
    def arrays(self) -> dict[str, np.ndarray]:
        """Its knots by name, for a predictor's state, beside the facts of `scaling`."""
        return {"values": self.values, "warped": self.warped}

    def apply(self, y: Float[np.ndarray, "n"]) -> Float[np.ndarray, "n"]:
        """From the source's unit to t."""
        return _through(self.scaling.apply(y), self.values, self.warped)

    def undo(
        self, mutants: tuple[str, ...], mean: Float[np.ndarray, "n"], variance: Float[np.ndarray, "n"], noise: float
    ) -> Predictions:
        """Predictions in the source's unit from mean and latent variance of t and its noise variance."""
        total = variance + noise
        centre, spread = self._moments(mean, total)
        # the latent part of Var z is taken to be its part of the variance of t
        latent = spread * variance / total
        std, noisy_std = np.sqrt(latent) * self.scaling.scale, np.sqrt(spread) * self.scaling.scale
        return Predictions(mutants, centre * self.scaling.scale + self.scaling.mean, std, noisy_std)

    def mean(
        self, mean: Float[np.ndarray, "n"], variance: Float[np.ndarray, "n"], noise: float
    ) -> Float[np.ndarray, "n"]:
        """The mean of `undo` alone."""
        return self._moments(mean, variance + noise)[0] * self.scaling.scale + self.scaling.mean

    def _moments(
        self, mean: Float[np.ndarray, "n"], total: Float[np.ndarray, "n"]
    ) -> tuple[Float[np.ndarray, "n"], Float[np.ndarray, "n"]]:
        # z = w^-1(t), t ~ N(mean, v + noise): E z and Var z by Gauss-Hermite quadrature with 32 nodes
        nodes = mean[:, None] + np.sqrt(total)[:, None] * _NODES[None, :]
        z, weights = _through(nodes, self.warped, self.values), _WEIGHTS / _WEIGHTS.sum()
        centre = z @ weights
        return centre, ((z - centre[:, None]) ** 2) @ weights

    @property
    def straight(self) -> bool:
        """Whether it leaves z as it is, so that a sum of effects on t is one on the fitness too."""
        return len(self.values) == 1


def _through(
    at: Float[np.ndarray, "..."], x: Float[np.ndarray, "k"], y: Float[np.ndarray, "k"]
) -> Float[np.ndarray, "..."]:
    # linear between the knots, with slope 1 beyond the first and the last
    beyond = np.minimum(at - x[0], 0) + np.maximum(at - x[-1], 0)
    return np.asarray(np.interp(at, x, y) + beyond)


def warping_of(train: Dataset) -> Warping:
    """The warping of the training rows; raises FitError for fewer than three."""
    scaling = scaling_of(train)
    z = scaling.apply(train.fitness)
    values, counts = np.unique(z, return_counts=True)
    # g_i = Phi^-1((rank_i - 1/2) / n), equal values sharing their mean rank
    scores = ndtri((np.cumsum(counts) - counts / 2) / len(z))
    return Warping(scaling, values, (values + scores) / 2)


def rewarped(scaling: Mapping[str, float], arrays: Mapping[str, np.ndarray], before: str = "") -> Warping:
    """The warping of a predictor's state: facts of its scaling, and arrays with `before` in front of their names."""
    return Warping(Scaling(**scaling), arrays[f"{before}values"], arrays[f"{before}warped"])


def unwarped_of(train: Dataset) -> Warping:
    """The warping that leaves z as it is."""
    nothing = np.zeros(1)
    return Warping(scaling_of(train), nothing, nothing)
