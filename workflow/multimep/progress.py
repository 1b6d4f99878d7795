"""How far a study is: what is done, what waits in the queue, what it took, what is left, what failed.

Imports nothing but the standard library and its light neighbours. A file that is there counts as done: whether it is
outdated is Snakemake's to say (`snakemake --dry-run`).
"""

import json
import re
import shutil
import subprocess
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from multimep import accounting, charges, cluster, forecast, layout, units
from multimep.accounting import Account, duration, hours, kilowatt_hours
from multimep.charges import Charges
from multimep.cluster import Cluster
from multimep.costs import Cost
from multimep.layout import Config

FORMAT = "%i|%T|%r|%Z|%k"
"""squeue: id, state, reason of waiting, working directory, comment; a comment may hold the sign between them."""
SQUEUE = ("squeue", "--me", "--array", "--noheader", f"--format={FORMAT}")
PATIENCE = 30.0  # seconds that squeue has to answer: a busy controller takes some, a lost one would take minutes
SHOWN = 8  # failures listed; the rest is counted
LINE = 160  # letters of a message shown
GOING = ("RUNNING", "COMPLETING", "SUSPENDED", "CONFIGURING", "STOPPED")


class ProgressError(ValueError):
    """A file that should tell how far a study is and does not; the message names it and the remedy."""


@dataclass(frozen=True)
class Station:
    """How many of a station's files are there."""

    name: str
    done: int
    files: int


@dataclass(frozen=True)
class Queued:
    """A job in SLURM's queue: id, state, why it waits, the folder in which it runs, rule and wildcards."""

    number: str
    state: str
    reason: str
    folder: str
    rule: str
    wildcards: str = ""

    @property
    def is_running(self) -> bool:
        """Whether it has an allocation."""
        return self.state in GOING


@dataclass(frozen=True)
class Queue:
    """This study's jobs in the queue, or why nothing is known of them."""

    jobs: Sequence[Queued] = ()
    silence: str = ""


@dataclass(frozen=True)
class Rest:
    """What is left to do.

    Attributes:
        costs: forecasts of the cross-predictions, None where there is none yet.
        waiting: finished in shards, but not collected.
        lanes: how many of the missing predictions the running jobs make side by side.
        others: forecasts of the other stations' jobs.
        planned: whether the cross-predictions are made in shards.
        shards: whether shards are in the queue: what they finished is not to be collected yet.
    """

    costs: Sequence[Cost | None]
    waiting: int = 0
    lanes: int = 0
    others: Sequence[Cost | None] = ()
    planned: bool = False
    shards: bool = False

    @property
    def seconds(self) -> float:
        """The shortest time in which so many lanes can do it: the work shared evenly, or the longest job."""
        known = [cost.seconds for cost in self.costs if cost is not None]
        return max([sum(known) / max(self.lanes, 1), *known], default=0.0)


def stations(config: Config, results: Path) -> list[Station]:
    """Every station with the number of its files that are there."""
    return [
        Station(name, sum((results / path).exists() for path in paths), len(paths))
        for name, paths in layout.expected(config).items()
    ]


def queued(listing: str) -> Iterator[Queued]:
    """The jobs in the output of SQUEUE. A comment of Snakemake's names rule and wildcards: rule_R_wildcards_W."""
    for line in filter(str.strip, listing.splitlines()):
        number, state, reason, folder, comment = [*line.strip().split("|", 4), "", "", "", ""][:5]
        named = re.fullmatch(r"rule_(.+?)(?:_wildcards_(.*))?", comment)
        rule, wildcards = named.groups(default="") if named else ("another job", "")
        yield Queued(number, state, reason, folder, rule, wildcards)


def ask_queue(folders: Sequence[Path]) -> Queue:
    """This user's jobs whose working directory is one of `folders`; where SLURM gives no answer, the queue says so."""
    if shutil.which(SQUEUE[0]) is None:
        return Queue(silence="no squeue on the PATH: no SLURM here")
    try:
        asked = subprocess.run(SQUEUE, capture_output=True, text=True, timeout=PATIENCE, check=False)  # noqa: S603
    except subprocess.TimeoutExpired:
        return Queue(silence=f"squeue gave no answer in {PATIENCE:.0f} s; ask again later")
    if asked.returncode:
        return Queue(silence=f"squeue failed: {' '.join(asked.stderr.split())[:LINE]}")
    ours = {path.resolve() for path in folders}
    return Queue([job for job in queued(asked.stdout) if Path(job.folder).resolve() in ours])


def rest(config: Config, results: Path, queue: Queue) -> Rest:
    """What is left, forecast with the factors in calibration.json, by the jobs that run now."""
    factors = _read_json(results / "calibration.json", {})
    missing = list(forecast.missing(config, results))
    left = [job for job in missing if not _waits(results, job.name)]
    found = [forecast.cost(config, forecast.work(config, results, job), factors) for job in left]
    plan = _read_json(results / "plan.json", {"shards": []})
    waiting = {
        units.store_of(results, name) for name in config["datasets"] if _waits(results, f"{layout.EMBED}/{name}")
    }
    others = list(forecast.others(config, results, planned=waiting))
    shards, made = any(job.rule == "shard" for job in queue.jobs), len(missing) - len(left) + len(waiting)
    return Rest(found, made, lanes(queue, plan), others, bool(plan["shards"]), shards)


def _waits(results: Path, unit: str) -> bool:
    """Whether a shard has finished the unit of this name and its files are not in place yet: its stamp is there."""
    return (results / "ahead" / unit / layout.STAMP).exists()


def _read_json(path: Path, otherwise: Any) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8")) if path.exists() else otherwise
    except ValueError as error:
        raise ProgressError(f"{path}: damaged ({error}); delete it, which costs time and no result") from error


def lanes(queue: Queue, plan: Mapping[str, Any]) -> int:
    """Predictions that the running jobs make side by side: one each, of a shard one for each of its lanes.

    A shard's number ends its wildcards; where it is not in the plan, it counts one.
    """
    sizes = {str(number): len(shard["lanes"]) for number, shard in enumerate(plan["shards"])}
    running = [job for job in queue.jobs if job.is_running]
    shards = sum(sizes.get(job.wildcards.split("_")[-1], 1) for job in running if job.rule == "shard")
    return shards + sum(job.rule.startswith("predict") for job in running)


def failures(config: Config, results: Path) -> Iterator[str]:
    """The last complaint in the log of each cross-prediction, or shard of the plan, whose files are not there."""
    logs = results / "logs"
    for job in forecast.missing(config, results):
        if not _waits(results, job.name):
            yield from _failure(logs / "predict" / f"{job.name}.log")
    plan = _read_json(results / "plan.json", {"shards": []})
    for number in range(len(plan["shards"])):
        name = f"{plan['identity']}/{number}"
        if not (results / "shards" / f"{name}.done").exists():
            yield from _failure(logs / "shard" / f"{name}.log")


def _failure(log: Path) -> Iterator[str]:
    if log.exists():
        said = complaint(log.read_text(encoding="utf-8", errors="replace"))
        if said:
            yield f"{log}: {said}"


def complaint(text: str) -> str:
    """The last complaint in a log: what multimep says, or the last line of a traceback; an interruption is none."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    ends = lines[-1:] if any(line.startswith("Traceback ") for line in lines) else []
    ours = [line.removeprefix("multimep: ") for line in lines if line.startswith("multimep: ")]
    said = [line for line in (*ends, *ours) if not line.removeprefix("multimep: ").startswith("interrupted;")]
    return said[-1][:LINE] if said else ""


def status(config: Config, results: Path, benchmarks: Path, folders: Sequence[Path]) -> str:
    """All that is known of a study, as text."""
    site = cluster.of(config)
    queue, account = ask_queue(folders), accounting.read(benchmarks, site)
    parts = (
        progress_lines(stations(config, results)),
        queue_lines(queue),
        [*used_lines(account), *charged_lines(charges.ask(folders), site)],
        rest_lines(rest(config, results, queue), site),
        failure_lines(list(failures(config, results))),
    )
    return "\n\n".join("\n".join(part) for part in parts if part)


def progress_lines(found: Sequence[Station]) -> list[str]:
    """A line for each station, and their sum."""
    whole = Station("all files", sum(one.done for one in found), sum(one.files for one in found))
    wide = max(len(one.name) for one in (*found, whole))
    digits = len(str(whole.files))
    return [
        f"{one.name:{wide}}  {one.done:{digits}} / {one.files:{digits}}  {_bar(one)}".rstrip()
        for one in (*found, whole)
    ]


def _bar(one: Station) -> str:
    # a tenth for each full tenth of the files: the last one shows only when all is done
    tenths = 10 * one.done // one.files if one.files else 10
    return "#" * tenths + "." * (10 - tenths)


def queue_lines(queue: Queue) -> list[str]:
    """A line for each rule: how many of its jobs run and how many wait for what."""
    if queue.silence:
        return [f"queue: {queue.silence}"]
    if not queue.jobs:
        return ["queue: no job of this study"]
    lines = []
    for rule in dict.fromkeys(job.rule for job in queue.jobs):
        jobs = [job for job in queue.jobs if job.rule == rule]
        waiting = Counter(job.reason for job in jobs if not job.is_running)
        why = f" ({', '.join(f'{reason}: {number}' for reason, number in waiting.items())})" if waiting else ""
        lines.append(f"queue: {rule}: {len(jobs) - waiting.total()} running, {waiting.total()} waiting{why}")
    return lines


def used_lines(account: Account) -> list[str]:
    """What finished jobs have taken, in a line; what their files do not tell in further ones."""
    if not account.usages:
        return ["used: nothing yet"]
    total, site = account.total, account.cluster
    paid = accounting.paid(account.money(total), site.currency)
    return [
        f"used: {hours(total.gpu_seconds, 'GPU')}, {hours(total.core_seconds, 'core')}{paid}, "
        f"about {kilowatt_hours(account.energy(total))} ({len(total.runs)} finished jobs)",
        *(f"  {gap}" for gap in account.gaps),
    ]


def charged_lines(found: Charges, site: Cluster) -> list[str]:
    """What SLURM charged for all attempts, beside what the finished jobs measured."""
    first, *more = charges.sentences(found, site)
    return [f"charged: {first}".replace("charged: SLURM charged", "charged by SLURM:"), *(f"  {one}" for one in more)]


def rest_lines(left: Rest, site: Cluster) -> list[str]:
    """What is left, what it will take, and how long."""
    when = "are put in place when all shards have ended" if left.shards else "wait to be collected: multimep collect"
    waiting = [f"{left.waiting} predictions of shards {when}"] * bool(left.waiting)
    if not left.costs and not left.others:
        return [*waiting, "rest: nothing is left"]
    total = (forecast.packed if left.planned else forecast.alone)(left.costs, left.others, site)
    unknown = f" ({total.unknown} not foreseeable before `make fetch`)" if total.unknown else ""
    money = forecast.price(total.gpu_hours, total.core_hours, site)
    gpus, cores = hours(3600 * total.gpu_hours, "GPU"), hours(3600 * total.core_hours, "core")
    energy = kilowatt_hours(forecast.energy(total.gpu_hours, total.core_hours, site))
    return [
        *waiting,
        f"rest: {total.jobs}{unknown}: about {gpus}, {cores}{accounting.paid(money, site.currency)}, {energy}",
        *([f"rest: predictions: about {duration(left.seconds)} {_pace(left.lanes)}"] if left.costs else []),
    ]


def _pace(lanes: int) -> str:
    return f"with {lanes} side by side, as now" if lanes else "one after the other: none runs in SLURM now"


def failure_lines(found: Sequence[str]) -> list[str]:
    """The first failures, and how many more there are."""
    more = [f"failed: {len(found) - SHOWN} more; see the logs"] * (len(found) > SHOWN)
    return [*(f"failed: {one}" for one in found[:SHOWN]), *more]
