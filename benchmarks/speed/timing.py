"""Ways of doing the same work, timed in turns in one process, so that a busy neighbour slows all of them alike."""

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from statistics import median

Ways = Mapping[str, Callable[[], object]]


@dataclass(frozen=True)
class Ratio:
    """Of a peer's seconds to ours, round by round: above 1 we are faster.

    Attributes:
        median, low, high: over the rounds.
    """

    median: float
    low: float
    high: float


@dataclass(frozen=True)
class Row:
    """One line of the table: one piece of work, done by us and by a peer.

    Attributes:
        stage: `embedding`, `gaussian process`, `fine-tuning` or `start`.
        work: what was done, with its sizes.
        peer: who did it beside us.
        seconds: ours, median over the rounds.
        ratio: the peer's seconds over ours.
        asked: the ratio that is aimed for, None where none is.
        share: of the machine's limit that we reach, 0 to 1; None where no limit is meaningful.
        limit: what that limit is (`fp32 matrix rate`, `bf16 matrix rate`, `bandwidth`, ...), empty without a share.
        exactness: how far our result is from the reference, in words with numbers.
    """

    stage: str
    work: str
    peer: str
    seconds: float
    ratio: Ratio
    asked: float | None = None
    share: float | None = None
    limit: str = ""
    exactness: str = ""


@dataclass(frozen=True)
class Point:
    """One measurement of a scaling plot.

    Attributes:
        stage: as in `Row`.
        curve: what grows, in words: one fitted exponent per curve.
        size: along the axis.
        seconds: median.
        bytes: peak memory beyond the empty process, None where it was not measured.
    """

    stage: str
    curve: str
    size: float
    seconds: float
    bytes: float | None = None


@dataclass(frozen=True)
class Measured:
    """What one stage gives back."""

    rows: tuple[Row, ...]
    points: tuple[Point, ...] = ()


def in_turns(ways: Ways, rounds: int = 5, warm: int = 1) -> dict[str, tuple[float, ...]]:
    """Wall-clock seconds of each way in every round; the ways take turns, after `warm` rounds that do not count."""
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(warm + rounds):
        for name, spent in _round(ways):
            if number >= warm:
                seconds[name].append(spent)
    return {name: tuple(spent) for name, spent in seconds.items()}


def _round(ways: Ways) -> Iterator[tuple[str, float]]:
    for name, way in ways.items():
        begin = time.perf_counter()
        way()
        yield name, time.perf_counter() - begin


def ratio(peer: tuple[float, ...], ours: tuple[float, ...]) -> Ratio:
    """The peer's seconds over ours, round by round; ways that were timed in the same rounds."""
    ratios = [theirs / mine for theirs, mine in zip(peer, ours, strict=True)]
    return Ratio(median(ratios), min(ratios), max(ratios))
