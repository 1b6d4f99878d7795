"""A straight line from scores to fitness whose slope is not negative: its posterior in closed form.

y = b + a (s - c) + noise, with flat priors on b and on a >= 0, and c the mean score of the rows that taught.
"""

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.special import log_ndtr

LEAST_NOISE = 1e-12
"""Variance below which noise is not told from rounding; targets are standardised and rounded to 1e-6."""


@dataclass(frozen=True)
class Affine:
    """The posterior of a line.

    Attributes:
        centre: mean score of the rows that taught.
        slope, offset: posterior means of a >= 0 and of b.
        slope_variance, offset_variance: their posterior variances; the two are independent, for scores are centred.
        noise: variance of a measurement about the line.
    """

    centre: float
    slope: float
    offset: float
    slope_variance: float
    offset_variance: float
    noise: float

    def mean(self, scores: Float[np.ndarray, " m"]) -> Float[np.ndarray, " m"]:
        """Fitness at each score, b + a (s - c)."""
        return self.offset + self.slope * (scores - self.centre)

    def variance(self, scores: Float[np.ndarray, " m"]) -> Float[np.ndarray, " m"]:
        """Variance of the line at each score, without noise."""
        # var b + (s - c)^2 var a
        return self.offset_variance + (scores - self.centre) ** 2 * self.slope_variance


def fit(scores: Float[np.ndarray, " n"], y: Float[np.ndarray, " n"]) -> Affine:
    """The posterior of the line through n >= 3 points; its slope is that of least squares unless this is about 0.

    A slope that least squares finds to be negative is noise, where scores were made to rise with the fitness. The mean
    over positive slopes keeps the order of the scores, with a slope of about its standard error.
    """
    x, centred = scores - scores.mean(), y - y.mean()
    total = float(x @ x)
    # a = x.y / x.x;  noise = |y - a x|^2 / (n - 2);  var a = noise / x.x;  var b = noise / n
    slope = float(x @ centred) / total if total > 0 else 0.0
    noise = max(float(np.sum((centred - slope * x) ** 2)) / max(len(y) - 2, 1), LEAST_NOISE)
    mean, variance = _positive(slope, noise / total) if total > 0 else (0.0, 0.0)
    return Affine(float(scores.mean()), mean, float(y.mean()), variance, noise / len(y), noise)


FAR = -1e3
"""Standard deviations below 0 beyond which the tail of a normal is an exponential, to 1e-6."""


def _positive(mean: float, variance: float) -> tuple[float, float]:
    """Mean and variance of a normal variable that is known to be positive."""
    # t = m / s, l = phi(t) / Phi(t):  mean = m + s l,  variance = s^2 (1 - l (l + t))
    spread = math.sqrt(variance)
    t = mean / spread
    if t < FAR:  # l + t = -1/t (1 - 2/t^2 ...), of which the difference of two large numbers leaves nothing
        return max(-spread / t, spread * 1e-3), variance / t**2
    ratio = math.exp(-(t**2) / 2 - math.log(2 * math.pi) / 2 - float(log_ndtr(t)))
    return max(mean + spread * ratio, spread * 1e-3), max(variance * (1 - ratio * (ratio + t)), 0.0)
