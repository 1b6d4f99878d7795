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


@dataclass(frozen=True)
class Scaling:
    """z = (y - mean) / scale, with the sample standard deviation of the training rows (1 where they are all equal)."""

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
    """The scaling of the training rows; raises FitError for fewer than three."""
    if len(train) < FEWEST_ROWS:
        raise FitError(f"{train.name}: {len(train)} training rows, at least {FEWEST_ROWS} are needed")
    scale = float(np.std(train.fitness, ddof=1))
    return Scaling(float(np.mean(train.fitness)), scale if scale > 0 else 1.0)
