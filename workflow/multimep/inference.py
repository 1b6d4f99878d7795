"""What paired differences allow one to say: intervals, tests of difference and of equivalence, power.

Every function takes one number per unit (a protein family), the mean of all that was measured of it, and opens no
file. NaN stands for what too few units leave unknown.
"""

import math
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from scipy import optimize, stats

BOOTSTRAP = 10_000  # resamples: an end of the interval is then good to about a hundredth of its width
LEVEL = 0.05  # of every test, two-sided
POWER = 0.8  # the share of studies that shall find what is there, by convention since Cohen (1988)
TIE = 1e-8  # metrics are written with nine digits
EFFICIENCY = 3 / math.pi  # of the signed-rank test against the t test on normal differences (Lehmann 1975)
CHUNK = 2_000_000  # resampled values held at once


def bootstrap_mean(
    values: Float[np.ndarray, "n"], seed: int = 0, strata: Sequence[str] | None = None
) -> tuple[float, float]:
    """The 2.5 and 97.5 percentiles of the mean of `values`, resampled inside the strata; NaN for fewer than two.

    A stratum of n values gives n - 1 draws, with which the variance of its mean is right and not (n - 1) / n of it
    (Rao & Wu 1988). A stratum of one value would seem to be without spread: then all values are one stratum.
    """
    if len(values) < 2:
        return np.nan, np.nan
    random, total = np.random.default_rng(seed), np.zeros(BOOTSTRAP)
    for stratum in _strata(values, strata or [""] * len(values)):
        # mean = sum_h (n_h / n) mean_h
        total += len(stratum) / len(values) * _resampled_means(stratum, random)
    low, high = np.quantile(total, [0.025, 0.975])
    return float(low), float(high)


def wilcoxon(values: Float[np.ndarray, "n"]) -> float:
    """Two-sided signed-rank p that `values` lie around 0, zeros left out; 1 if all are zero, NaN for none."""
    if not len(values):
        return np.nan
    decided = values[np.abs(values) > TIE]
    return float(stats.wilcoxon(decided).pvalue) if len(decided) else 1.0


def sign_test(values: Float[np.ndarray, "n"]) -> float:
    """Two-sided binomial p that wins and losses are equally likely, ties left out; 1 for ties alone, NaN for none."""
    if not len(values):
        return np.nan
    wins, losses = int((values > TIE).sum()), int((values < -TIE).sum())
    return float(stats.binomtest(wins, wins + losses).pvalue) if wins + losses else 1.0


def holm(p: Sequence[float]) -> list[float]:
    """Holm's (1979) adjusted p-values, which hold the chance of one false claim or more among all; NaN stays NaN."""
    known = sorted((value, place) for place, value in enumerate(p) if not math.isnan(value))
    adjusted, reached = [math.nan] * len(p), 0.0
    for rank, (value, place) in enumerate(known):
        # p~_(i) = max_{j <= i} min(1, (m - j + 1) p_(j))
        reached = max(reached, min(1.0, (len(known) - rank) * value))
        adjusted[place] = reached
    return adjusted


def equivalence(values: Float[np.ndarray, "n"], margin: float) -> float:
    """The p of two one-sided t tests (Schuirmann 1987) that the mean lies outside -margin..margin; NaN below two.

    A small p says that methods do not differ by more than the margin, which a large p of another test never says.
    """
    if len(values) < 2 or math.isnan(margin):
        return np.nan
    mean, error = float(values.mean()), float(values.std(ddof=1)) / math.sqrt(len(values))
    if error < TIE:
        return 0.0 if abs(mean) < margin else 1.0
    # p = max(P(T > (m + d) / se), P(T < (m - d) / se)) = P(T > (d - |m|) / se)
    return float(stats.t.sf((margin - abs(mean)) / error, len(values) - 1))


def fewest(level: float = LEVEL) -> int:
    """The fewest units with which the signed-rank test can reach p < level, all of one sign: 2 / 2^n < level."""
    return math.floor(math.log2(2 / level)) + 1


def power(difference: float, sd: float, n: int, level: float = LEVEL) -> float:
    """Share of studies of n units, of spread sd, in which the signed-rank test finds a mean difference above 0."""
    if n < fewest(level):
        return 0.0
    # T ~ nct(n - 1, d sqrt(e n) / s), e the efficiency of the signed-rank test
    critical, shift = stats.t.isf(level / 2, n - 1), difference * math.sqrt(EFFICIENCY * n) / sd
    found = float(stats.nct.sf(critical, n - 1, shift))
    # the fewest units decide if all have one sign: Phi(d / s)^n
    return min(found, float(stats.norm.cdf(difference / sd)) ** n) if n == fewest(level) else found


def detectable(sd: float, n: int, level: float = LEVEL) -> float:
    """The mean difference that is found with a power of 80 %; infinite where n units never decide, 0 without spread."""
    if n < fewest(level):
        return math.inf
    if not sd > TIE:
        return 0.0 if sd >= 0 else math.nan
    return float(sd * optimize.brentq(lambda effect: power(effect, 1.0, n, level) - POWER, 0.0, 30 / math.sqrt(n)))


def needed(sd: float, difference: float, level: float = LEVEL) -> int:
    """The fewest units that find a mean difference of this size with a power of 80 %; above 0."""
    low = high = fewest(level)
    while power(difference, sd, high, level) < POWER:
        low, high = high, 2 * high
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if power(difference, sd, middle, level) >= POWER else (middle + 1, high)
    return high


def _strata(values: Float[np.ndarray, "n"], names: Sequence[str]) -> list[Float[np.ndarray, "_"]]:
    of = np.array(names)
    parts = [values[of == name] for name in dict.fromkeys(names)]
    return parts if all(len(part) > 1 for part in parts) else [values]


def _resampled_means(values: Float[np.ndarray, "n"], random: np.random.Generator) -> Float[np.ndarray, "b"]:
    draws = len(values) - 1
    rows = max(1, CHUNK // draws)
    sizes = [min(rows, BOOTSTRAP - start) for start in range(0, BOOTSTRAP, rows)]
    return np.concatenate([values[random.integers(len(values), size=(size, draws))].mean(axis=1) for size in sizes])
