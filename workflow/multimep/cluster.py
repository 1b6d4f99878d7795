"""A cluster: the form of its GPU requests, its limits, prices and watts; none of it is part of a result."""

import os
from collections.abc import Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from multimep import costs
from multimep.documents import DocumentError, from_yaml, text

VARIABLE = "MULTIMEP_CLUSTER"
"""Environment variable with the path of a cluster.yaml: it reaches the jobs on the nodes, where there is no profile."""


class ClusterError(ValueError):
    """A limit or price that no allocation could have; the message says what to set."""


@dataclass(frozen=True)
class Cluster:
    """Settings of a site, given by its profile; they change where jobs run, never what they give.

    Attributes:
        gres: what one GPU job asks for, as `gpu:h100:1`; empty: no job asks for a GPU.
        gpu_partition: partition of the GPU jobs; empty: SLURM's default.
        partition: partition of the other jobs; empty: SLURM's default.
        gpus_per_allocation: GPUs of one allocation; 4 where whole nodes are billed (JUWELS Booster).
        gpu_memory: GiB of one GPU.
        cores_per_gpu: cores that come with one GPU.
        workers: processes that share one GPU, by MPS or time slices; more than one pays only where `slowdown` is less.
        slowdown: how many times longer a piece takes beside `workers` - 1 others on its GPU, measured: 1, they do not
            disturb each other; empty: as many times as there are workers, so that sharing is no gain unmeasured.
        cores: cores of an allocation without GPU: so many fits run side by side in it.
        cores_charged: cores charged for an allocation without GPU at least; those of a node where whole nodes are.
        memory: GiB of an allocation without GPU.
        walltime: minutes that one allocation may last.
        start: seconds of an allocation before its work: the scheduler's step, Snakemake on the node, imports, the model
            read once; 30 is a guess for a parallel file system (6 were measured on one host with local disks).
        allocations: GPU allocations that run at the same time, by the site's limit or its queue: shards are packed for
            so many; empty: as few shards as the walltime allows.
        watts_per_gpu: of a busy GPU, for the energy estimate; 700 is the limit of an H100 SXM (NVIDIA data sheet).
        watts_per_core: of a busy core with its share of memory and fans; 7.3 is 350 W / 48 cores of a Xeon 8468.
        price_per_gpu_hour: in `currency`; 0 where nobody is billed.
        price_per_core_hour: in `currency`.
        currency: of the prices; core-h where a site bills in core-hours.
    """

    gres: str = ""
    gpu_partition: str = ""
    partition: str = ""
    gpus_per_allocation: int = 1
    gpu_memory: float = 80.0
    cores_per_gpu: int = 8
    workers: int = 1
    slowdown: float | None = None
    cores: int = 8
    cores_charged: int = 1
    memory: float = 32.0
    walltime: int = 720
    start: float = 30.0
    allocations: int | None = None
    watts_per_gpu: float = 700.0
    watts_per_core: float = 7.3
    price_per_gpu_hour: float = 0.0
    price_per_core_hour: float = 0.0
    currency: str = "EUR"

    def __post_init__(self) -> None:
        """Refuse what no allocation could be."""
        whole = ("gpus_per_allocation", "cores_per_gpu", "workers", "cores", "cores_charged", "walltime")
        above = (*whole, "gpu_memory", "memory")
        faults = [f"{name} is {getattr(self, name)}; set it above 0" for name in above if getattr(self, name) <= 0]
        if self.allocations is not None and self.allocations < 1:
            faults.append(f"allocations is {self.allocations}; set it to 1 or more, or leave it out")
        if self.slowdown is not None and not 1 <= self.slowdown <= max(self.workers, 1):
            faults.append(
                f"slowdown is {self.slowdown}; set it between 1 (no loss) and workers (no gain), or leave it out"
            )
        if not 0 <= self.start < 60 * max(self.walltime, 1):
            faults.append(f"start is {self.start}; set it to 0 s or more and below the walltime")
        paid = ("watts_per_gpu", "watts_per_core", "price_per_gpu_hour", "price_per_core_hour")
        faults += [f"{name} is {getattr(self, name)}; set it to 0 or more" for name in paid if getattr(self, name) < 0]
        if faults:
            raise ClusterError("cluster: " + "; ".join(faults))

    @property
    def shared(self) -> float:
        """How many times longer a piece takes beside the other workers of its GPU."""
        return float(self.workers if self.slowdown is None else self.slowdown)


def of(config: Mapping[str, Any], cores: int | None = None) -> Cluster:
    """The cluster of a study; without one this machine, or so many of its cores."""
    return Cluster(**config["cluster"]) if config.get("cluster") else here(cores)


def here(cores: int | None = None) -> Cluster:
    """This machine: each core is an allocation, none has to wait or start, and nine tenths of the memory are theirs."""
    cores = cores or (len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)
    return Cluster(start=0.0, cores=1, allocations=cores, memory=costs.megabytes_here() * 1e6 / 2**30)


def site(words: Sequence[str], environment: MutableMapping[str, str]) -> dict[str, Any]:
    """The settings in the cluster.yaml beside the profile that a command line's words name, or of an outer call's.

    They stand in a file of their own, for the command line's --config or --configfile would replace a profile's.
    """
    parts = [part for word in words for part in word.split("=", 1)]
    for option, value in pairwise(parts):
        if option.endswith("-profile") and Path(value, "cluster.yaml").is_file():
            environment[VARIABLE] = str(Path(value, "cluster.yaml").resolve())
    if VARIABLE not in environment:
        return {}
    found = _settings(Path(environment[VARIABLE]))
    if not isinstance(found, dict):
        raise ClusterError(f"{environment[VARIABLE]}: no settings of a cluster; write `name: value` lines")
    return found


def _settings(path: Path) -> Any:
    try:
        return from_yaml(text(path))
    except DocumentError as error:
        raise ClusterError(f"{path}: {error}") from error
