"""Verdicts: what the numbers of a comparison allow one to claim, as one sentence in a fixed grammar.

A claim needs the test and the interval: `better` and `worse` an adjusted Wilcoxon p below 0.05 and a 95 % interval of
the mean on the same side of zero; `equivalent` an adjusted p of the two one-sided tests below 0.05. Everything else is
not decided, and the sentence says how large a difference could have been missed.
"""

import math

from multimep.comparisons import Comparison
from multimep.inference import LEVEL, fewest
from multimep.metrics import METRICS

BETTER, WORSE, EQUIVALENT, OPEN = "better", "worse", "equivalent", "not decided"
MINUS = "\u2212"


def verdict(found: Comparison) -> str:
    """One of BETTER, WORSE, EQUIVALENT, OPEN, about the method of the comparison."""
    if len(found.families) < fewest():
        return OPEN
    if found.p_adjusted < LEVEL and found.low * found.high > 0 and found.direction:
        return BETTER if found.direction > 0 else WORSE
    return EQUIVALENT if found.p_equivalent_adjusted < LEVEL else OPEN


def claim(found: Comparison) -> str:
    """The verdict with the names of the methods, without numbers of the tests."""
    said = verdict(found)
    if said == EQUIVALENT:
        return f"{found.method} and {found.baseline} are equivalent within \u00b1{found.margin:g}"
    if said == OPEN:
        return "not decided"
    within = f", by less than {found.margin:g}" if found.p_equivalent_adjusted < LEVEL else ""
    return f"{found.method} is {said}{within}"


def sentence(found: Comparison) -> str:
    """The comparison in one sentence with its numbers, then its parts by type of protein and training size."""
    if not found.differences:
        return f"{found.method} against {found.baseline}: no split has results of both on the same dataset."
    return f"{_numbers(found)}: {claim(found)}{_reason(found)}.{_parts(found)}"


def _numbers(found: Comparison) -> str:
    n, known = len(found.families), not math.isnan(found.low)
    interval = f" [{_signed(found.low)}, {_signed(found.high)}]" if known else ""
    datasets = f", {_count(len(found.differences), 'dataset')}" if len(found.differences) != n else ""
    tied = f", equal on {found.ties}" * bool(found.ties)
    return (
        f"Over {_count(n, 'protein family')}{datasets} ({found.split}), {found.method} minus {found.baseline} in"
        f" {METRICS[found.metric].label} is {_signed(found.mean)}{interval}, better on {found.wins}{tied}, worse on"
        f" {found.losses} (Wilcoxon p = {found.p:.2g}{_adjusted(found, found.p_adjusted)})"
    )


def _reason(found: Comparison) -> str:
    """Which test an equivalence rests on; what a study that decides nothing could have missed."""
    said = verdict(found)
    if said == EQUIVALENT:
        p = f"{found.p_equivalent:.2g}{_adjusted(found, found.p_equivalent_adjusted)}"
        return f" (two one-sided tests p = {p})"
    return f" ({_power(found)})" if said == OPEN else ""


def _power(found: Comparison) -> str:
    n, least = len(found.families), fewest(LEVEL / found.among)
    if n < least:
        return f"{_count(n, 'family')} cannot decide, at least {least} are needed"
    if found.p_adjusted < LEVEL:
        return "test and interval disagree"
    return f"with {n} families a difference below {found.detectable:.3f} would be missed in one study of five or more"


def _adjusted(found: Comparison, p: float) -> str:
    return f", adjusted for {found.among} comparisons {p:.2g}" if found.among > 1 else ""


def _parts(found: Comparison) -> str:
    listed = {word: ", ".join(f"{name} {_signed(mean)}" for name, mean in means.items()) for word, means in found.parts}
    return "".join(f" By {word}: {text}." for word, text in listed.items())


def _signed(value: float) -> str:
    return f"{value:+.3f}".replace("-", MINUS) if math.isfinite(value) else "\u2013"


def _count(number: int, noun: str) -> str:
    plural = f"{noun[:-1]}ies" if noun.endswith("y") else f"{noun}s"
    return f"{number} {noun if number == 1 else plural}"
