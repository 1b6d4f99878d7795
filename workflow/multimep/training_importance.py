"""Which training rows a prediction of a Gaussian process rests on: what each adds, what its absence would change."""

from dataclasses import dataclass

import numpy as np

from multimep.gaussian_process import Solution
from multimep.methods.method import Predictor, Recall, RecallingPredictor
from multimep.variants import Variants

BLOCK = 64
"""Variants whose covariances with all training rows are held at once."""


@dataclass(frozen=True)
class Share:
    """What one training row means for a prediction.

    Attributes:
        mutant: that is predicted.
        taught: training variant.
        covariance: k(x, x_i), in squared units of the latent scale.
        contribution: k(x, x_i) w_i: with those of all other rows, and what is expected before any, the latent mean.
        influence: predicted mean with all rows less that without this one, hyperparameters and scale held; in the
            unit of the fitness.
    """

    mutant: str
    taught: str
    covariance: float
    contribution: float
    influence: float


@dataclass(frozen=True)
class Importance:
    """Training rows of one prediction.

    Attributes:
        mutant: that is predicted.
        expected: latent mean before any row.
        latent: latent mean.
        predicted: mean that follows from it.
        shares: of all rows, the most influential first.
    """

    mutant: str
    expected: float
    latent: float
    predicted: float
    shares: tuple[Share, ...]


def importance(predictor: Predictor, asked: Variants) -> tuple[Importance, ...]:
    """Of every variant, in order; nothing where the predictor keeps no training rows."""
    found: list[Importance] = []
    if isinstance(predictor, RecallingPredictor):
        for start in range(0, len(asked), BLOCK):
            part = asked.select(asked.mutants[start : start + BLOCK])
            found += _recalled(predictor.recall(part), part)
    return tuple(found)


def _recalled(recall: Recall, asked: Variants) -> list[Importance]:
    contributions = recall.cross * recall.weights
    latent = recall.expected + contributions.sum(axis=1)
    gained, doubt = Solution(recall.factor, recall.weights).left_out(recall.cross)
    found = []
    for row, mutant in enumerate(asked.mutants):
        here = recall.fitness(latent[[row]], recall.variance[[row]])
        without = recall.fitness(latent[row] + gained[row], recall.variance[row] + doubt[row])
        influence = here - without
        shares = tuple(
            Share(mutant, recall.taught[i], *(float(column[i]) for column in columns))
            for columns in [(recall.cross[row], contributions[row], influence)]
            for i in np.argsort(-np.abs(influence), kind="stable")
        )
        found.append(Importance(mutant, float(recall.expected[row]), float(latent[row]), float(here[0]), shares))
    return found
