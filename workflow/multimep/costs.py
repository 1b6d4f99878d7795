"""What a job is going to take: seconds and memory, from its price and the rate of the machine, before it runs.

The rules ask SLURM for what is predicted here, and the planner packs by it. Imports nothing but the standard library,
for the Snakefile imports it. The rates are first guesses; `calibrated` corrects them by the run times of past jobs.
"""

import csv
import itertools
import json
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from multimep.job_sizes import MIB, Model, Work
from multimep.prices import PRICES, uses_gpu


class SizeError(ValueError):
    """A file that should tell the size of a job and does not; the message names it and the remedy."""


CORE = 5e10
"""Operations a second of one processor core in matrix products: fine-tuning `mini` (fp32) and embedding with it (bf16)
gave 4.7e10 and 6.4e10 on one core of an AMD EPYC with AVX-512."""
GPU = 1.2e14
"""Operations a second of one data-centre GPU: 30 % of the 4e14 that NVIDIA states for dense bf16 on an A100 to H100
scale; an assumption until run times of the machine at hand calibrate it."""
START = 2.0
"""Seconds before the first operation: the interpreter and its imports (1 s without torch, 3 s with it)."""
AGAIN = 0.1
"""Seconds of the same in a process that has started for an earlier job: files (0.05 to 0.3 s in a study of 81 jobs)."""
SNAKEMAKE = 260.0
"""MiB: Snakemake's own two processes in a job on a cluster (130 each); the command itself is in its price."""

RUN = 10_000
"""Rows of a split that are read at once."""
LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))
"""Where Linux says, in bytes, what a container may use of its machine's memory: cgroups of version 2 and 1."""


@dataclass(frozen=True)
class Cost:
    """What one job takes: seconds, MiB of memory of the node, and whether its seconds are a GPU's."""

    seconds: float
    memory: float
    gpu: bool


def predict(work: Work, *, gpus: bool = False, factors: Mapping[str, float] | None = None) -> Cost:
    """The cost of a job on one core, or on one GPU where `gpus` are there and the method uses one.

    `factors` are those of `calibrated`: how much longer jobs of a method took than predicted.
    """
    price = PRICES[work.method]
    on_gpu = gpus and uses_gpu(work.method, work.settings)
    seconds = price.operations(work) / (GPU if on_gpu else CORE)
    return Cost(START + (factors or {}).get(work.method, 1.0) * seconds, SNAKEMAKE + price.memory(work), on_gpu)


def in_a_shard(cost: Cost) -> float:
    """The seconds of a job whose process has started for another one before."""
    return cost.seconds - START + AGAIN


def calibrated(past: Sequence[tuple[Work, float]], *, gpus: bool = False) -> dict[str, float]:
    """For each method the factor by which its past jobs (work, seconds) took longer than predicted: sum over sum.

    Jobs that took, or should have taken, less than twice the start tell nothing but the start and are left out.
    """
    told = [(work, seconds) for work, seconds in past if min(seconds, predict(work, gpus=gpus).seconds) > 2 * START]
    factors = {}
    for method in dict.fromkeys(work.method for work, _ in told):
        taken = sum(seconds - START for work, seconds in told if work.method == method)
        expected = sum(predict(work, gpus=gpus).seconds - START for work, _ in told if work.method == method)
        factors[method] = round(taken / expected, 3)
    return factors


def minutes(cost: Cost, attempt: int = 1, longest: int | None = None) -> int:
    """The run time to ask for: three times the predicted one and five minutes, as often as it was tried before.

    Three, for machines of one partition differ and the rates are guesses until calibrated. `longest`: the walltime.
    """
    asked = attempt * math.ceil(5 + 3 * cost.seconds / 60)
    return min(asked, longest) if longest else asked


def megabytes(cost: Cost, attempt: int = 1) -> int:
    """The memory to ask for: half as much again as predicted, as often as it was tried before, in MB."""
    return attempt * math.ceil(1.5 * cost.memory * MIB / 1e6)


def megabytes_here(limits: Sequence[Path] = LIMITS) -> int:
    """The memory for jobs that run side by side on this machine, or in this container: a tenth is left, in MB."""
    told = [path.read_text(encoding="utf-8").strip() for path in limits if path.exists()]
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return min([machine, *(int(one) for one in told if one.isdigit())]) * 9 // 10**7


def read_model(path: str) -> Model:
    """The size of the language model in the record that `multimep checkpoint` wrote."""
    return _model(path, _state(path))


@cache
def _model(path: str, _: object) -> Model:
    with _reading(path):
        record = _read_json(path)
        return Model(record["parameters"], record["layers"], record["width"])


def read_size(path: str) -> tuple[int, int]:
    """Variants and residues of a dataset, from its record."""
    return _size(path, _state(path))


@cache
def _size(path: str, _: object) -> tuple[int, int]:
    with _reading(path):
        record = _read_json(path)
        return record["counts"]["variants"], len(record["wild_type"])


@contextmanager
def _reading(path: str) -> Iterator[None]:
    try:
        yield
    except (KeyError, TypeError, ValueError, csv.Error) as error:
        raise SizeError(f"{path}: damaged ({type(error).__name__}: {error}); delete it and make it again") from error


def _state(path: str) -> tuple[int, int]:
    # every job of a dataset asks for the same files, twice: they are read once, and again when they have changed
    found = os.stat(path)  # noqa: PTH116 (Snakemake knows a missing input by its name as a string)
    return found.st_mtime_ns, found.st_size


def _read_json(path: str) -> Any:
    with open(path, encoding="utf-8") as file:  # noqa: PTH123 (Snakemake knows a missing input by its name as a string)
        return json.load(file)


def read_folds(path: str) -> dict[str, tuple[int, int]]:
    """Rows that teach and rows that are asked in each fold of a split's file, by the fold's name."""
    return dict(_folds(path, _state(path)))


@cache
def _folds(path: str, _: object) -> dict[str, tuple[int, int]]:
    # in runs of rows: a split of half a million variants as lists of its cells is half a gigabyte
    with _reading(path), open(path, encoding="utf-8", newline="") as file:  # noqa: PTH123
        rows = csv.reader(file)
        names = next(rows, [])[1:]
        counts = [(0, 0)] * len(names)
        while run := list(itertools.islice(rows, RUN)):
            columns = list(zip(*run, strict=True))[1:]
            found = [(column.count("train"), column.count("test")) for column in columns]
            counts = [(a + c, b + d) for (a, b), (c, d) in zip(counts, found, strict=True)]
        return dict(zip(names, counts, strict=True))


def read_run(path: str) -> tuple[float, int]:
    """Seconds in a benchmark file (NaN where it tells none), and how many workers its shard had on a GPU, or 0.

    0: the job was no part of a shard and started for itself.
    """
    with _reading(path), open(path, encoding="utf-8", newline="") as file:  # noqa: PTH123
        rows = list(csv.DictReader(file, delimiter="\t"))
        return (float(rows[-1]["s"]), int(rows[-1].get("workers") or 0)) if rows else (math.nan, 0)
