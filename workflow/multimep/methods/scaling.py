"""Targets to mean 0 and standard deviation 1 on the training rows, and predictions back to the unit of the source."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from multimep.dataset import Dataset
from multimep.methods.method import FitError
from multimep.predictions import Predictions

FEWEST_ROWS = 3
"""Below this neither a scale nor a noise level can be told from one another."""
SIZES = (1e-150, 1e150)
"""Of a fitness and its spread, but for 0: beyond them their squares are no numbers of float64."""


@dataclass(frozen=True)
class Scaling:
    """z = (y - mean) / scale, with the sample standard deviation of the training rows.

    Where they are all equal nothing is known of a scale but their size: then it is |y|, or 1 where they are all 0.
    """

    mean: float
    scale: float

    def apply(self, y: Float[np.ndarray, "n"]) -> Float[np.ndarray, "n"]:
        """From the source's unit to the standardised one."""
        return (y - self.mean) / self.scale

    def undo(
        self, mutants: Sequence[str], mean: Float[np.ndarray, "n"], variance: Float[np.ndarray, "n"], noise: float
    ) -> Predictions:
        """Predictions in the source's unit from a standardised mean, latent variance and noise variance."""
        std, noisy_std = np.sqrt(variance), np.sqrt(variance + noise)
        return Predictions(tuple(mutants), mean * self.scale + self.mean, std * self.scale, noisy_std * self.scale)


def scaling_of(train: Dataset) -> Scaling:
    """The scaling of the training rows; raises FitError for fewer than three, or numbers whose squares are none."""
    if len(train) < FEWEST_ROWS:
        raise FitError(f"{train.name}: {len(train)} training rows, at least {FEWEST_ROWS} are needed")
    y = train.fitness
    spread = require_squares(y, train.name)
    if spread == 0:  # the standard deviation of equal numbers is not always 0 in float64
        return Scaling(float(y[0]), abs(float(y[0])) or 1.0)
    return Scaling(float(np.mean(y)), float(np.std(y, ddof=1)))


def require_squares(y: Float[np.ndarray, "n"], name: str) -> float:
    """Largest minus smallest; raises FitError where squares of numbers of this size overflow or vanish in float64."""
    largest = float(np.abs(y).max())
    spread = float(np.ptp(y)) if largest <= SIZES[1] else 0.0
    if largest > SIZES[1] or 0 < spread < SIZES[0]:
        found = f"as large as {largest:.3g}" if largest > SIZES[1] else f"that differs by {spread:.3g} at most"
        raise FitError(
            f"{name}: a fitness {found} cannot be squared in float64 ({SIZES[0]:g} to {SIZES[1]:g} can); give it in "
            "another unit"
        )
    return spread
