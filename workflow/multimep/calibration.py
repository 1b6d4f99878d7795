"""How honest standard deviations are: coverage, calibration errors, likelihood and CRPS, width, ranks of the errors.

Every function takes measured fitness `y`, predicted `mean` and the standard deviation `std` of a new measurement over
the last axis: leading axes are bootstrap resamples. NaN without `std`.
"""

import numpy as np
from scipy import special

from multimep.agreement import Scores, Values, spearman

LEVELS = tuple(percent / 100 for percent in range(5, 100, 5))
"""The levels of the expected calibration error: 5 %, 10 %, ... 95 %."""
BINS = 5
"""Bins of the expected normalised calibration error, as in Kermut (Groth et al. 2024)."""


def coverage(y: Values, mean: Values, std: Values, level: float) -> Scores:
    """Share of measurements inside the central `level` interval of N(mean, std^2); NaN without std."""
    # |y - m| <= Phi^-1((1 + level) / 2) s
    inside = np.abs(y - mean) <= special.ndtri((1 + level) / 2) * std
    return _known(inside.mean(axis=-1), std)


def nll(y: Values, mean: Values, std: Values) -> Scores:
    """Mean negative log likelihood of y under N(mean, std^2), in nats; NaN without std."""
    # -log N(y; m, s^2) = ((y - m) / s)^2 / 2 + log s + log(2 pi) / 2
    return np.asarray((((y - mean) / std) ** 2 / 2 + np.log(std) + np.log(2 * np.pi) / 2).mean(axis=-1))


def crps(y: Values, mean: Values, std: Values) -> Scores:
    """Mean continuous ranked probability score of N(mean, std^2), in the unit of y: 0 at best, |y - m| for std -> 0.

    Gneiting and Raftery 2007, equation 21.
    """
    # CRPS = s (z (2 Phi(z) - 1) + 2 phi(z) - 1 / sqrt(pi)), z = (y - m) / s
    z = (y - mean) / std
    density = np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi)
    return np.asarray((std * (z * special.erf(z / np.sqrt(2)) + 2 * density - 1 / np.sqrt(np.pi))).mean(axis=-1))


def ece(y: Values, mean: Values, std: Values) -> Scores:
    """Expected calibration error of intervals: mean difference of coverage and level over LEVELS, 0 at best."""
    # ECE = mean over p of |mean_i [2 Phi(|z_i|) - 1 <= p] - p|
    reach = special.erf(np.abs(y - mean) / std / np.sqrt(2))
    gaps = [np.abs((reach <= level).mean(axis=-1) - level) for level in LEVELS]
    return _known(np.mean(gaps, axis=0), std)


def ence(y: Values, mean: Values, std: Values) -> Scores:
    """Expected normalised calibration error over BINS equally filled bins of std, 0 at best (Levi et al. 2022).

    Variants of equal std fall into bins in the order in which they stand. NaN for fewer variants than bins.
    """
    if y.shape[-1] < BINS:
        return np.full(y.shape[:-1], np.nan)
    order = np.argsort(std, axis=-1, kind="stable")
    squares = [np.take_along_axis(x, order, axis=-1) for x in (std**2, (y - mean) ** 2)]
    bins = zip(*(np.array_split(x, BINS, axis=-1) for x in squares), strict=True)
    # ENCE = mean over bins of |S - E| / S, S = sqrt(mean s^2), E = sqrt(mean (y - m)^2)
    roots = [(np.sqrt(s.mean(axis=-1)), np.sqrt(e.mean(axis=-1))) for s, e in bins]
    return np.asarray(np.mean([np.abs(s - e) / s for s, e in roots], axis=0))


def chi_square(y: Values, mean: Values, std: Values) -> Scores:
    """Mean squared error in units of std (chi-square per degree of freedom): 1 is right, above it std is too small."""
    # X^2 / n = mean ((y - m) / s)^2
    return np.asarray((((y - mean) / std) ** 2).mean(axis=-1))


def width(y: Values, mean: Values, std: Values, level: float) -> Scores:
    """Mean width of the central `level` interval, in the unit of y: how sharp the predictions are."""
    return np.asarray(2 * special.ndtri((1 + level) / 2) * std.mean(axis=-1))


def error_spearman(y: Values, mean: Values, std: Values) -> Scores:
    """Spearman correlation of |y - mean| and std: do larger errors have larger std; NaN for a constant std."""
    return _known(spearman(np.abs(y - mean), std, std), std)


def _known(scores: Scores, std: Values) -> Scores:
    return np.where(np.isnan(std).any(axis=-1), np.nan, scores)
