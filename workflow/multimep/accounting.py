"""What a study has taken so far: hours of jobs, cores and GPUs for each station, from Snakemake's benchmark files.

Imports nothing but the standard library and its light neighbours. A benchmark file tells of the last success of its
job: failed attempts, earlier runs of a job that was made again, and waiting in a queue are in none of them.
"""

import ast
import csv
import io
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from multimep import forecast
from multimep.cluster import Cluster

STATIONS = (
    "dataset",
    "wild_type",
    "checkpoint",
    "embed",
    "split",
    "predict",
    "shard",
    "evaluate",
    "leaks",
    "campaign",
    "fit",
    "plate",
    "report",
)
"""In the order of the flow: folders (or single files) below benchmarks/."""
LOCAL = ("dataset", "wild_type", "checkpoint", "split")
"""Stations that work where Snakemake itself runs."""
UNSEEN = ("-", "NA", "")  # what Snakemake writes where it saw a job too briefly


class AccountingError(ValueError):
    """A file that is no benchmark of Snakemake's; the message names it and the remedy."""


@dataclass(frozen=True)
class Run:
    """One finished job.

    Attributes:
        seconds: from its start to its end.
        cpu: seconds of processors used; NaN where they were not seen.
        memory: most resident memory in MiB; NaN where it was not seen.
        cores: asked for, or of the whole node that is charged.
        gpus: asked for.
        told: whether the file tells what was asked for; without it one core and no GPU are taken.
        inside: whether it ran inside a shard, whose own run has the allocation.
    """

    seconds: float
    cpu: float = math.nan
    memory: float = math.nan
    cores: int = 1
    gpus: int = 0
    told: bool = True
    inside: bool = False


@dataclass(frozen=True)
class Usage:
    """What the jobs of a station, or of one method, have taken in sum."""

    name: str
    runs: Sequence[Run]

    @property
    def alone(self) -> list[Run]:
        """The jobs with an allocation of their own: all but the units of shards."""
        return [run for run in self.runs if not run.inside]

    @property
    def seconds(self) -> float:
        """From start to end, all jobs one after the other."""
        return sum(run.seconds for run in self.runs)

    @property
    def cpu(self) -> float:
        """Seconds of processors used, as far as they were seen."""
        return sum(run.cpu for run in self.runs if math.isfinite(run.cpu))

    @property
    def core_seconds(self) -> float:
        """Run time times cores asked for, of jobs without a GPU: the cores beside a GPU are in its hours."""
        return sum(run.seconds * run.cores for run in self.alone if not run.gpus)

    @property
    def gpu_seconds(self) -> float:
        """Run time times GPUs asked for; units of shards count in their shard."""
        return sum(run.seconds * run.gpus for run in self.alone)

    @property
    def memory(self) -> float:
        """MiB of the job that took most; NaN where none was seen."""
        return max((run.memory for run in self.runs if math.isfinite(run.memory)), default=math.nan)


@dataclass(frozen=True)
class Account:
    """What a study has taken.

    Attributes:
        usages: of the stations in the order of the flow, the predictions for each method by its label.
        cluster: watts and prices of the site.
    """

    usages: Sequence[Usage] = ()
    cluster: Cluster = field(default_factory=Cluster)

    @cached_property
    def total(self) -> Usage:
        """All stations; a unit of a shard and its shard are counted once, as the shard."""
        return Usage("all stations", [run for usage in self.usages for run in usage.alone])

    def energy(self, usage: Usage) -> float:
        """Kilowatt-hours, estimated: the stated watts of a GPU with its cores, and of a core, times their hours."""
        return forecast.energy(usage.gpu_seconds / 3600, usage.core_seconds / 3600, self.cluster)

    def money(self, usage: Usage) -> float:
        """What GPU-hours and core-hours cost at the site's prices, in its currency."""
        return forecast.price(usage.gpu_seconds / 3600, usage.core_seconds / 3600, self.cluster)

    @property
    def gaps(self) -> tuple[str, ...]:
        """What the files do not tell, in sentences."""
        jobs = [run for usage in self.usages for run in usage.runs]
        silent, inside = sum(not (run.told or run.inside) for run in jobs), sum(run.inside for run in jobs)
        found = []
        if silent:
            found.append(
                f"Of {silent} of {len(jobs)} jobs the files do not tell what was asked for (benchmark-extended was "
                "off): they count with one core and no GPU."
            )
        if inside and not any(usage.name == "shard" for usage in self.usages):
            found.append(
                f"{inside} units were made in shards that have not ended yet or were stopped: what those "
                "allocations took is not known."
            )
        return tuple(found)


def read(benchmarks: Path, cluster: Cluster, stations: Sequence[str] = STATIONS) -> Account:
    """The account of a study whose benchmark files stand below `benchmarks`; raises AccountingError for other files.

    predict/SPLIT/LABEL/TEAM.tsv below it belongs to method LABEL, STATION/... and STATION.tsv to a station.
    """
    found: dict[str, list[Run]] = {}
    for station in stations:
        single = benchmarks / f"{station}.tsv"
        for path in [*([single] if single.exists() else []), *sorted((benchmarks / station).rglob("*.tsv"))]:
            parts = path.relative_to(benchmarks).parts
            name = f"predict: {parts[2]}" if station == "predict" and len(parts) > 3 else station
            found.setdefault(name, []).extend(runs(path.read_text(encoding="utf-8"), str(path)))
    return account(found, cluster)


def account(found: Mapping[str, Sequence[Run]], cluster: Cluster | None = None) -> Account:
    """The account of runs by station, whole nodes charged as such; a station without any is left out."""
    site = cluster or Cluster()
    usages = []
    for name, jobs in found.items():
        least = 1 if name in LOCAL else site.cores_charged
        usages.append(Usage(name, tuple(replace(job, cores=max(job.cores, least)) for job in jobs)))
    return Account([usage for usage in usages if usage.runs], site)


def runs(text: str, where: str) -> Iterable[Run]:
    """The jobs that the text of a benchmark file tells of, one a line; raises AccountingError for another text."""
    lines = csv.DictReader(io.StringIO(text), delimiter="\t", quoting=csv.QUOTE_NONE)
    if "s" not in (lines.fieldnames or ()):
        raise AccountingError(f"{where}: run times without the column s; remove that file")
    return [_run(line, f"{where}, line {number}") for number, line in enumerate(lines, start=2)]


def _run(line: Mapping[str, str | None], where: str) -> Run:
    resources = _mapping(line.get("resources") or "", where)
    return Run(
        seconds=_number(line["s"], where),
        cpu=_number(line.get("cpu_time"), where),
        memory=_number(line.get("max_rss"), where),
        cores=int(resources.get("cpus_per_task") or _known(line.get("threads")) or 1),
        gpus=gpus(resources),
        told="resources" in line,
        inside="h:m:s" not in line and "resources" not in line,  # `multimep collect` writes neither
    )


def _known(cell: str | None) -> str:
    return "" if cell is None or cell.strip() in UNSEEN else cell.strip()


def _number(cell: str | None, where: str) -> float:
    try:
        return float(_known(cell) or math.nan)
    except ValueError as error:
        raise AccountingError(f"{where}: {cell!r} is no number; remove that file") from error


def _mapping(cell: str, where: str) -> Mapping[str, Any]:
    """The resources as Snakemake writes them: a dict of Python's."""
    try:
        found = ast.literal_eval(cell) if _known(cell) else {}
    except (SyntaxError, ValueError) as error:
        raise AccountingError(f"{where}: resources that are no mapping: {cell[:60]!r}; remove that file") from error
    return found if isinstance(found, dict) else {}


def gpus(resources: Mapping[str, Any]) -> int:
    """GPUs that resources ask for: `gres` as gpu, gpu:2, gpu:h100 or gpu:h100:2, or Snakemake's own `gpu`."""
    asked = str(resources.get("gres") or "")
    ends = [part.split(":")[-1] for part in asked.split(",") if part.split(":")[0] == "gpu"]
    return sum(int(end) if end.isdigit() else 1 for end in ends) if ends else int(resources.get("gpu") or 0)


def duration(seconds: float) -> str:
    """A time for a reader: 4.2 s, 3 min 20 s, 5 h 07 min, 1,234 h; a dash for NaN."""
    if not math.isfinite(seconds):
        return "\u2013"
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes:02d} min" if hours < 100 else f"{seconds / 3600:,.0f} h"


def hours(seconds: float, what: str) -> str:
    """Hours of GPUs or cores; less than one is told in minutes and seconds."""
    if not seconds:
        return f"no {what} time"
    return f"{seconds / 3600:,.1f} {what}-hours" if seconds >= 3600 else f"{duration(seconds)} of {what} time"


def kilowatt_hours(energy: float) -> str:
    """An energy in kWh for a reader, with three significant digits: 0.812 Wh, 81.2 Wh, 8.12 kWh, 812 kWh."""
    value, unit = (energy, "kWh") if energy >= 1 else (1000 * energy, "Wh")
    digits = max(0, 2 - math.floor(math.log10(value))) if value > 0 else 0
    return f"{value:,.{min(digits, 3)}f} {unit}"


def paid(money: float, currency: str) -> str:
    """Money as the next item of a list, ", 1.20 EUR"; nothing where there is no price."""
    return f", {amount(money, currency)}" if money else ""


def amount(money: float, currency: str) -> str:
    """Money for a reader: two decimals, four where it is less than one of the currency."""
    return f"{money:,.{2 if money >= 1 or not money else 4}f} {currency}"
