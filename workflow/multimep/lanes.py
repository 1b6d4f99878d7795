"""Pieces of work on lanes: what an allocation offers, how short the longest lane can be, and list scheduling.

An allocation is one GPU, or one CPU job, for a stretch of time. In it run lanes: worker processes that share it, each
with its own list of pieces. In the language of scheduling this is P || Cmax with one constraint more, the memory.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

CLOSE = 1e-3
"""Relative gap at which a packing is good enough: predicted seconds are never that exact."""

Lanes = list[list["Piece"]]
"""Lane l belongs to shard l // workers; an empty lane is not started."""


class PackingError(ValueError):
    """Work that no allocation can hold, or a limit that makes no sense."""


def positive(owner: str, **values: float) -> None:
    """Refuse values that are not positive and finite, by their names and their owner's."""
    wrong = [f"{name}={value!r}" for name, value in values.items() if not 0 < value < math.inf]
    if wrong:
        raise PackingError(f"{owner}: {', '.join(wrong)} must be positive and finite")


@dataclass(frozen=True)
class Piece:
    """One unit of work that cannot be cut, such as one cross-prediction.

    Attributes:
        name: unique among the pieces that are packed together.
        seconds: predicted duration on one worker, with as many neighbours on the GPU as the limits allow.
        memory: peak, in GiB.
    """

    name: str
    seconds: float
    memory: float

    def __post_init__(self) -> None:
        """Refuse what is not a duration or a size."""
        positive(self.name, seconds=self.seconds, memory=self.memory)


@dataclass(frozen=True)
class Limits:
    """What one allocation offers.

    Attributes:
        walltime: seconds of one allocation at most, as the partition or the user's patience has it.
        memory: GiB of one allocation (of the GPU where there is one), shared by its workers.
        workers: processes at most that share one GPU; 1, because training fills a GPU, and only pieces that leave it
            idle (small models, Gaussian processes) gain from neighbours.
        start: seconds before an allocation's first piece: imports and one load of the model per worker.
    """

    walltime: float
    memory: float
    workers: int = 1
    start: float = 60.0

    def __post_init__(self) -> None:
        """Refuse limits under which nothing could run."""
        positive("limits", walltime=self.walltime, memory=self.memory, workers=self.workers)
        if not 0 <= self.start < self.walltime:
            raise PackingError(f"limits: start={self.start!r} must be 0 or above and below walltime={self.walltime!r}")

    @property
    def room(self) -> float:
        """Seconds of an allocation that are left for pieces."""
        return self.walltime - self.start


def longest(lanes: Lanes) -> float:
    """Seconds of the longest lane."""
    return max((math.fsum(piece.seconds for piece in lane) for lane in lanes), default=0.0)


def fit(lanes: Lanes, limits: Limits) -> bool:
    """Whether the lanes of every shard, each as large as its largest piece, fit into the memory together."""
    sizes = [max((piece.memory for piece in lane), default=0.0) for lane in lanes]
    shards = (sizes[first : first + limits.workers] for first in range(0, len(sizes), limits.workers))
    return all(math.fsum(shard) <= limits.memory * (1 + 1e-9) for shard in shards)


def lower_bound(pieces: Sequence[Piece], limits: Limits, shards: int) -> float:
    """Seconds that the longest lane takes at least when the pieces are dealt to so many shards.

    The largest of: the longest piece; the mean over lanes; two of the m + 1 longest pieces on one of m lanes; and the
    mean over as many lanes as a shard has room for, for the pieces above 1/k of the memory and for memory x seconds.
    """
    seconds = sorted((piece.seconds for piece in pieces), reverse=True)
    lanes = shards * limits.workers
    # of the j m + 1 longest pieces, some lane has j + 1, each at least as long as the last of them
    stacked = (math.fsum(seconds[m - j : m + 1]) for j in range(1, 4) if (m := j * lanes) < len(seconds))
    heavy = (
        math.fsum(piece.seconds for piece in pieces if piece.memory * k > limits.memory) / (shards * (k - 1))
        for k in range(2, limits.workers + 1)
    )
    volume = math.fsum(piece.seconds * piece.memory for piece in pieces) / (shards * limits.memory)
    return max([seconds[0], math.fsum(seconds) / lanes, volume, *stacked, *heavy])


def _sizes(pieces: Sequence[Piece], limits: Limits) -> list[Callable[[Piece], float]]:
    """Ways to round memory up for list scheduling: few levels balance well, exact sizes pack tightly; 0 if all fit."""
    memory, workers = limits.memory, limits.workers
    if workers * max(piece.memory for piece in pieces) <= memory:
        return [lambda _: 0.0]
    return [
        lambda piece: memory / min(int(memory / piece.memory), workers),
        lambda piece: math.ceil(16 * piece.memory / memory) / 16 * memory,
        lambda piece: piece.memory,
    ]


def listed(pieces: Sequence[Piece], limits: Limits, shards: int, bound: float) -> Lanes:
    """The best of list scheduling: longest first to the least loaded lane, then MULTIFIT (Coffman et al., 1978)."""
    best: Lanes = []
    for size in _sizes(pieces, limits):
        ordered = sorted(pieces, key=lambda piece: (-size(piece), -piece.seconds, piece.name))
        lanes = _place(ordered, size, limits, shards, math.inf)
        best = lanes if lanes and (not best or longest(lanes) < longest(best)) else best
        low, high = bound, longest(best)
        while best and high > low * (1 + CLOSE / 2):
            middle = (low + high) / 2
            lanes = _place(ordered, size, limits, shards, middle)
            low, high = (low, middle) if lanes else (middle, high)
            best = lanes if lanes and longest(lanes) < longest(best) else best
    return best


def _place(
    ordered: Sequence[Piece], size: Callable[[Piece], float], limits: Limits, shards: int, ceiling: float
) -> Lanes:
    """Pieces of falling size to lanes: the least loaded if there is no ceiling, else the fullest below it; [] if none.

    A lane keeps the memory of its first piece, the largest; a lane is opened where the shard has that much left.
    """
    workers, sign = limits.workers, 1 if ceiling == math.inf else -1
    lanes: Lanes = [[] for _ in range(shards * workers)]
    loads, left = [0.0] * len(lanes), [limits.memory * (1 + 1e-12)] * shards
    for piece in ordered:
        need, most = size(piece), ceiling - piece.seconds
        fits = (
            (sign * load, -left[lane // workers], lane)
            for lane, load in enumerate(loads)
            if load <= most and (lanes[lane] or left[lane // workers] >= need)
        )
        _, _, lane = min(fits, default=(0.0, 0.0, -1))
        if lane < 0:
            return []
        left[lane // workers] -= 0.0 if lanes[lane] else need
        lanes[lane].append(piece)
        loads[lane] += piece.seconds
    return lanes
