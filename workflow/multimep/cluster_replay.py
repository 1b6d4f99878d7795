"""A study replayed on a cluster of GPUs without a cluster: what packing is worth before anyone submits.

Shards are packed by predicted seconds and replayed with actual ones, which differ by a seeded log-normal factor.
"""

import heapq
import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from multimep.packing import PackingError, Piece, Shard


@dataclass(frozen=True)
class Job:
    """What the cluster sees: one allocation.

    Attributes:
        name: for messages.
        lanes: actual seconds of the pieces of each worker process, in order.
        gpus: GPUs that the job holds from its start to its end.
    """

    name: str
    lanes: tuple[tuple[float, ...], ...]
    gpus: int = 1

    def __post_init__(self) -> None:
        """Refuse a job that does nothing or holds nothing."""
        if not self.lanes or not all(self.lanes) or self.gpus < 1:
            raise PackingError(f"{self.name}: a job needs a piece in each lane and a GPU: {self.lanes}, {self.gpus}")
        if not all(0 < seconds < math.inf for lane in self.lanes for seconds in lane):
            raise PackingError(f"{self.name}: seconds must be positive and finite: {self.lanes}")

    @property
    def seconds(self) -> float:
        """Of the longest lane."""
        return max(map(math.fsum, self.lanes))

    @property
    def useful(self) -> float:
        """GPU-seconds in which lanes work: a lane that waits for a longer one wastes its share of the GPU."""
        return self.gpus * math.fsum(map(math.fsum, self.lanes)) / len(self.lanes)

    @property
    def longest(self) -> float:
        """Seconds of the longest piece."""
        return max(seconds for lane in self.lanes for seconds in lane)


@dataclass(frozen=True)
class Cluster:
    """The machine of a replay.

    Attributes:
        gpus: that the study has to itself.
        start: seconds of every allocation before its first piece: imports and loading the model.
        launch: seconds between a GPU's release and the next job's start; the default is SLURM's `bf_interval`, the
            time between two rounds of its backfill scheduler (slurm.conf(5)).
    """

    gpus: int
    start: float = 60.0
    launch: float = 30.0

    def __post_init__(self) -> None:
        """Refuse an empty cluster and negative times."""
        if self.gpus < 1 or not 0 <= self.start < math.inf or not 0 <= self.launch < math.inf:
            raise PackingError(f"a cluster has 1 GPU or more and no negative times: {self}")


@dataclass(frozen=True)
class Replay:
    """How it went.

    Attributes:
        makespan: seconds from the first submission to the last end.
        useful: GPU-seconds in which pieces were worked on.
        allocated: GPU-seconds that were allocated, which is what clusters charge: starts too, launches not.
        allocations: number of jobs.
        bound: seconds that any schedule of these pieces takes at least, had it no starts and no launches.
        gpus: of the cluster.
    """

    makespan: float
    useful: float
    allocated: float
    allocations: int
    bound: float
    gpus: int

    @property
    def busy(self) -> float:
        """Share of the GPUs' time, from the first submission to the last end, that was useful."""
        return self.useful / (self.gpus * self.makespan)

    @property
    def gpu_hours(self) -> float:
        """The cost."""
        return self.allocated / 3600


def replay(jobs: Sequence[Job], cluster: Cluster) -> Replay:
    """Run the jobs first in, first out: each takes the GPUs that come free first, none overtakes another.

    Raises:
        PackingError: there are no jobs, or one wants more GPUs than there are.
    """
    wide = next((job for job in jobs if job.gpus > cluster.gpus), None)
    if wide or not jobs:
        raise PackingError(f"{wide.name} wants {wide.gpus} GPUs of {cluster.gpus}" if wide else "no jobs to replay")
    free = [0.0] * cluster.gpus  # when each GPU comes free; a heap, as it is sorted
    begin, allocated = 0.0, []
    for job in jobs:
        taken = [heapq.heappop(free) for _ in range(job.gpus)]
        begin = max(begin, taken[-1])
        end = begin + cluster.launch + cluster.start + job.seconds
        for _ in taken:
            heapq.heappush(free, end)
        allocated.append(job.gpus * (cluster.start + job.seconds))
    useful = math.fsum(job.useful for job in jobs)
    # no schedule is shorter than the mean work of a GPU or than the longest piece
    bound = max(useful / cluster.gpus, *(job.longest for job in jobs))
    return Replay(max(free), useful, math.fsum(allocated), len(jobs), bound, cluster.gpus)


def jobs_of(shards: Sequence[Shard], seconds: Mapping[str, float]) -> list[Job]:
    """One job per shard, in the order of the shards, with the actual seconds of every piece by its name."""
    return [
        Job(shard.lanes[0][0], tuple(tuple(seconds[name] for name in lane) for lane in shard.lanes)) for shard in shards
    ]


def one_by_one(seconds: Mapping[str, float], fits: Mapping[str, int]) -> list[Job]:
    """One job per fit, in the order of the pieces: `fits` equal ones (folds and seeds) in each."""
    return [
        Job(f"{name}/{fit}", ((total / fits[name],),)) for name, total in seconds.items() for fit in range(fits[name])
    ]


def actual(pieces: Sequence[Piece], sigma: float, seed: int) -> dict[str, float]:
    """What the pieces take in the end: predicted seconds times a log-normal factor of mean 1.

    Args:
        pieces: with predicted seconds.
        sigma: standard deviation of the factor's logarithm; 0: predictions come true, 0.2: two thirds within 20 %.
        seed: of the factors; each belongs to a piece's name, whatever the order and number of the others.
    """
    # log f ~ N(-sigma^2 / 2, sigma^2), so that E f = 1
    drawn = {piece.name: random.Random(f"{seed} {piece.name}").gauss(0, 1) for piece in pieces}  # noqa: S311
    return {piece.name: piece.seconds * math.exp(sigma * drawn[piece.name] - sigma**2 / 2) for piece in pieces}
