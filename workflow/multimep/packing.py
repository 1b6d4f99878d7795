"""Many units of work packed into few, balanced allocations: an integer programme, and list scheduling beside it."""

import math
import operator
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, count
from typing import Literal

import pulp

from multimep.lanes import CLOSE, Lanes, Limits, PackingError, Piece, fit, listed, longest, lower_bound, positive

__all__ = ["Limits", "Packing", "PackingError", "Piece", "Shard", "pack", "pack_waves"]

COUNTS = 600
"""Integer unknowns that CBC may get: with more, it seldom improves on list scheduling within the time that it has."""
GRIDS = (1.0, 1.01, 1.03)
"""Steps of the geometric grid to which seconds are rounded up so that pieces of about equal length become one class."""

Solver = Literal["ILP", "LPT"]
ILP: Solver = "ILP"
LPT: Solver = "LPT"


@dataclass(frozen=True)
class Shard:
    """One allocation: the names of each lane's pieces, longest first; seconds = start + longest lane."""

    lanes: tuple[tuple[str, ...], ...]
    seconds: float

    def __post_init__(self) -> None:
        """Refuse an allocation for nothing, and a piece that stands twice."""
        names = [name for lane in self.lanes for name in lane]
        if not all(self.lanes) or not names or len(set(names)) < len(names):
            raise PackingError(f"a shard's lanes must hold pieces, each once: {self.lanes}")
        positive(f"shard of {names[0]}", seconds=self.seconds)


@dataclass(frozen=True)
class Packing:
    """All shards, longest first.

    Attributes:
        shards: the allocations.
        solver: whose lanes they are: the integer programme's, or those of list scheduling (longest first, MULTIFIT).
        gap: (makespan - bound) / bound; 0 is proven optimal for this number of shards.
        bound: seconds that the longest shard takes at least, however the pieces are dealt to so many shards.
    """

    shards: tuple[Shard, ...]
    solver: Solver
    gap: float
    bound: float

    @property
    def makespan(self) -> float:
        """Seconds of the longest shard."""
        return max((shard.seconds for shard in self.shards), default=0.0)


def pack(pieces: Sequence[Piece], limits: Limits, shards: int | None = None, seconds_to_solve: float = 20.0) -> Packing:
    """Deal pieces to allocations so that the longest lane is as short as possible.

    A piece longer than the walltime gets a shard of its own whose seconds exceed the walltime: trainings write
    checkpoints, so that the shard is stopped, submitted again, and continues.

    Args:
        pieces: what is to be done, in any order: the result depends on the set alone. None: no shards.
        limits: what one allocation offers.
        shards: allocations wanted; more where the walltime asks for more, fewer where there are fewer pieces. None: as
            few as hold everything within the walltime.
        seconds_to_solve: for the integer programme, once per number of shards that is tried; 0: list scheduling only.
            The result is the same on every run unless this limit stops the solver, whose best lanes are then taken if
            they are better than those of list scheduling.

    Raises:
        PackingError: a piece needs more memory than an allocation has, or two have one name.
    """
    if shards is not None and shards < 1:
        raise PackingError(f"shards={shards} must be 1 or above")
    _check(pieces, limits)
    ordered = sorted(pieces, key=lambda piece: (-piece.seconds, piece.name))
    long = [[piece] for piece in ordered if piece.seconds > limits.room]
    rest = ordered[len(long) :]
    lanes, solver, bound = _deal(rest, limits, max((shards or 1) - len(long), 1), seconds_to_solve)
    found = [_shard([lane], limits) for lane in long] + [_shard(group, limits) for group in _grouped(lanes, limits)]
    bound = limits.start + max([bound, *(lane[0].seconds for lane in long)]) if pieces else 0.0
    # gap = (makespan - bound) / bound
    gap = max(max(shard.seconds for shard in found) / bound - 1, 0.0) if pieces else 0.0
    return Packing(tuple(sorted(found, key=lambda shard: (-shard.seconds, shard.lanes))), solver, gap, bound)


def pack_waves(
    pieces: Sequence[Piece],
    limits: Limits,
    gpus: int,
    share: float = 0.4,
    shortest: float = 10.0,
    seconds_to_solve: float = 20.0,
) -> list[Packing]:
    """Waves of ever shorter shards that keep `gpus` GPUs busy although durations differ from their predictions.

    One shard per GPU is only as even as the predictions, and many equal ones leave GPUs idle while the last are done.
    So each wave takes the longest pieces of what is left, packed into one shard per GPU, and the next one is shorter:
    factoring (Hummel, Schonberg and Flynn, Communications of the ACM 35(8), 1992). Submit the waves in their order.

    Args:
        pieces: what is to be done, in any order.
        limits: what one allocation offers.
        gpus: allocations that run at the same time.
        share: of the remaining work that a wave takes. The paper has a half; in the replay of docs/cluster.md anything
            from 0.25 to 0.5 did as well up to 32 GPUs, and 0.4 a little better at 64.
        shortest: times its start that a shard works at least; 10 keeps the starts below a tenth of the last waves.
        seconds_to_solve: for the integer programme of each wave, as in `pack`.

    Raises:
        PackingError: as in `pack`, or a setting makes no sense.
    """
    if gpus < 1 or not 0 < share < 1 or not 0 <= shortest < math.inf:
        raise PackingError(f"gpus={gpus} and shortest={shortest} must be positive, share={share} between 0 and 1")
    _check(pieces, limits)
    lanes, waves = gpus * limits.workers, []
    rest = sorted(pieces, key=lambda piece: (-piece.seconds, piece.name))
    while rest:
        total = math.fsum(piece.seconds for piece in rest)
        sums = accumulate(piece.seconds for piece in rest)
        enough = next(taken for taken, done in enumerate(sums, 1) if done >= share * total * (1 - 1e-9))
        last = (1 - share) * total / lanes < shortest * limits.start or len(rest) - enough < gpus
        waves.append(pack(rest if last else rest[:enough], limits, gpus, seconds_to_solve))
        rest = [] if last else rest[enough:]
    return waves


def _check(pieces: Sequence[Piece], limits: Limits) -> None:
    names = [piece.name for piece in pieces]
    if len(set(names)) < len(names):
        raise PackingError(f"two pieces are called {next(name for name in names if names.count(name) > 1)!r}")
    large = max(pieces, key=lambda piece: piece.memory, default=None)
    if large and large.memory > limits.memory:
        raise PackingError(
            f"{large.name} needs {large.memory:g} GiB and an allocation has {limits.memory:g}: take a GPU with more, "
            "a smaller batch or a smaller language model"
        )


def _shard(lanes: Lanes, limits: Limits) -> Shard:
    tasks = (
        tuple(piece.name for piece in sorted(lane, key=lambda piece: (-piece.seconds, piece.name))) for lane in lanes
    )
    return Shard(tuple(sorted(tasks)), limits.start + longest(lanes))


def _grouped(lanes: Lanes, limits: Limits) -> Iterator[Lanes]:
    """The lanes of each shard that has any work."""
    for first in range(0, len(lanes), limits.workers):
        if group := [lane for lane in lanes[first : first + limits.workers] if lane]:
            yield group


def _deal(pieces: Sequence[Piece], limits: Limits, least: int, patience: float) -> tuple[Lanes, Solver, float]:
    """Lanes within the walltime in as few shards as possible but at least `least`; who found them; bound on a lane."""
    room = limits.room * (1 + 1e-12)
    for shards in count(least) if pieces else ():
        bound = lower_bound(pieces, limits, shards)
        if bound > room:
            continue
        lanes, solver = listed(pieces, limits, shards, bound), LPT
        if longest(lanes) > bound * (1 + CLOSE) and patience > 0:
            solved, proven = _solve(pieces, limits, lanes, bound, patience)
            bound = max(bound, proven)
            lanes, solver = (solved, ILP) if longest(solved) < longest(lanes) * (1 - 1e-9) else (lanes, LPT)
        if longest(lanes) <= room:
            return lanes, solver, bound
    return [], LPT, 0.0


def _classes(pieces: Sequence[Piece], limits: Limits, lanes: int) -> tuple[float, list[list[Piece]]]:
    """Pieces of about equal seconds and memory, longest first, on the finest grid with few enough unknowns, or [].

    Step 1 of the grid takes only equal pieces together, such as the seeds of one training.
    """
    for step in GRIDS:
        classes: dict[tuple[float, float], list[Piece]] = {}
        for piece in sorted(pieces, key=lambda piece: (-piece.seconds, -piece.memory, piece.name)):
            level = piece.seconds if step == 1 else math.ceil(math.log(piece.seconds) / math.log(step))
            memory = piece.memory if step == 1 else math.ceil(16 * piece.memory / limits.memory)
            classes.setdefault((level, memory), []).append(piece)
        if len(classes) * lanes <= COUNTS:
            return step, list(classes.values())
    return GRIDS[-1], []


def _solve(pieces: Sequence[Piece], limits: Limits, start: Lanes, bound: float, patience: float) -> tuple[Lanes, float]:
    """The integer programme's lanes and what it proves about the longest one; `start` and 0 where it finds nothing.

    Unknown: n_cl, how many pieces of class c lane l gets. Seconds are in units of the bound, for the solver's sake.
    """
    step, classes = _classes(pieces, limits, len(start))
    if not classes:
        return start, 0.0
    seconds = [max(piece.seconds for piece in group) / bound for group in classes]
    first = _counts(classes, seconds, start, limits.workers)
    most = max(math.fsum(map(operator.mul, seconds, lane)) for lane in first)
    # minimise T;  sum_c s_c n_cl <= T for every lane l;  sum_l n_cl = size of c;  earlier lanes carry no less
    problem = pulp.LpProblem("packing", pulp.LpMinimize)
    makespan = pulp.LpVariable("T", 1, most)
    makespan.setInitialValue(most)
    problem += makespan
    numbers = [
        [pulp.LpVariable(f"n_{c}_{lane}", 0, len(group), pulp.LpInteger) for c, group in enumerate(classes)]
        for lane in range(len(start))
    ]
    loads = [pulp.lpSum(map(operator.mul, seconds, lane)) for lane in numbers]
    for lane, load in enumerate(loads):
        problem += load <= makespan
        before = lane - (1 if lane % limits.workers else limits.workers)
        if before >= 0:
            problem += loads[before] >= load
        for number, value in zip(numbers[lane], first[lane], strict=True):
            number.setInitialValue(value)
    for c, group in enumerate(classes):
        problem += pulp.lpSum(lane[c] for lane in numbers) == len(group)
    _share_memory(problem, numbers, first, classes, limits)
    problem.solve(pulp.PULP_CBC_CMD(msg=False, threads=1, timeLimit=patience, gapRel=CLOSE / 10, warmStart=True))
    if problem.sol_status not in (pulp.LpSolutionOptimal, pulp.LpSolutionIntegerFeasible):
        return start, 0.0
    queues = [iter(group) for group in classes]
    lanes = [[next(queues[c]) for c, n in enumerate(lane) for _ in range(round(n.varValue))] for lane in numbers]
    if not fit(lanes, limits):  # by more than the solver's own tolerance
        return start, 0.0
    proven = problem.sol_status == pulp.LpSolutionOptimal and step == 1
    return lanes, makespan.varValue * bound / (1 + CLOSE / 10) if proven else 0.0


def _counts(classes: list[list[Piece]], seconds: list[float], lanes: Lanes, workers: int) -> list[list[int]]:
    """Pieces of each class on each lane; lanes by falling load within a shard, shards by that of their first lane."""
    of = {piece.name: c for c, group in enumerate(classes) for piece in group}
    table = [[0] * len(classes) for _ in lanes]
    for row, lane in zip(table, lanes, strict=True):
        for piece in lane:
            row[of[piece.name]] += 1

    def load(row: list[int]) -> float:
        return math.fsum(map(operator.mul, seconds, row))

    groups = [sorted(table[i : i + workers], key=load, reverse=True) for i in range(0, len(table), workers)]
    return [row for group in sorted(groups, key=lambda group: load(group[0]), reverse=True) for row in group]


def _share_memory(
    problem: pulp.LpProblem,
    numbers: list[list[pulp.LpVariable]],
    first: list[list[int]],
    classes: list[list[Piece]],
    limits: Limits,
) -> None:
    """The lanes of a shard fit into its memory together, each with its largest class (where that is a constraint)."""
    sizes = [max(piece.memory for piece in group) / limits.memory for group in classes]
    if limits.workers * max(sizes) <= 1:
        return
    # u_cl = 1 where n_cl > 0;  w_l >= m_c u_cl;  sum of w_l over the lanes of a shard <= 1
    widths = []
    for lane, (row, values) in enumerate(zip(numbers, first, strict=True)):
        widths.append(pulp.LpVariable(f"w_{lane}", 0, 1))
        widths[-1].setInitialValue(max((m for m, n in zip(sizes, values, strict=True) if n), default=0.0))
        for c, (number, value) in enumerate(zip(row, values, strict=True)):
            used = pulp.LpVariable(f"u_{c}_{lane}", cat=pulp.LpBinary)
            used.setInitialValue(int(value > 0))
            problem += number <= len(classes[c]) * used
            problem += widths[-1] >= sizes[c] * used
    for shard in range(0, len(widths), limits.workers):
        problem += pulp.lpSum(widths[shard : shard + limits.workers]) <= 1
