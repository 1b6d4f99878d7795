"""The noise ceiling: how well a perfect prediction of the true fitness could agree with noisy measurements of it.

It takes the errors of the measurements as known: the standard error of each fitness follows from the standard deviation
that the source gives, errors are independent, normal and independent of the truth. What a source's standard deviation
leaves out (batch effects, selection that is not the fitness) is not in the ceiling, so that it is too high rather than
too low; an error that was estimated from two or three replicates is itself uncertain by half of its size.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from multimep.agreement import constant, spearman
from multimep.dataset import Dataset

DRAWS = 200
"""Simulated measurements behind the Spearman correlation: their mean is known to a tenth of one's spread or better."""
ENOUGH = 0.5
"""Part of the variants that must have a standard error: those without are taken to have the mean error of these."""


@dataclass(frozen=True)
class Ceiling:
    """The expected scores of a perfect prediction; 1 without noise.

    Attributes:
        pearson, r2: in closed form.
        spearman: simulated.
    """

    pearson: float
    r2: float
    spearman: float


def standard_errors(dataset: Dataset) -> Float[np.ndarray, "n"]:
    """Of each variant's mean fitness: its standard deviation over the root of its number of replicates, NaN unknown."""
    # e_i = s_i / sqrt(r_i)
    return np.asarray(dataset.std / np.sqrt(np.maximum(dataset.replicates, 1)))


def ceiling(dataset: Dataset, seed: int = 0) -> Ceiling | None:
    """The ceiling of these variants; None where too few have an error, or all have the same fitness."""
    error = standard_errors(dataset)
    known = np.isfinite(error)
    if known.mean() < ENOUGH or len(dataset) < 3 or constant(dataset.fitness):
        return None
    order = np.argsort(dataset.variants.mutants)  # the same draws whatever the order of the rows
    filled = np.where(known, error, np.sqrt(np.mean(error[known] ** 2)))[order]
    return of_errors(dataset.fitness[order], filled, seed)


def of_errors(y: Float[np.ndarray, "n"], error: Float[np.ndarray, "n"], seed: int) -> Ceiling:
    """The ceiling of measurements y with these standard errors.

    The truth of the simulation has the shape of the measurements, drawn together until its variance is that of the
    measurements less that of the noise.
    """
    # V = N + var f with N = mean e^2;  R2 = 1 - N / V, r = sqrt(R2);  f = ybar + sqrt(1 - N / V) (y - ybar)
    explained = max(0.0, 1 - float(np.mean(error**2) / np.var(y)))
    if explained == 0:
        return Ceiling(0.0, 0.0, 0.0)
    truth = y.mean() + np.sqrt(explained) * (y - y.mean())
    draw = np.random.default_rng(seed)
    found = [spearman(truth + error * draw.normal(size=len(y)), truth, error) for _ in range(DRAWS)]
    return Ceiling(float(np.sqrt(explained)), explained, float(np.mean(found)))
