"""The table of the report that says what the stations of a study took: time, memory, hours, energy and cost."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from multimep.accounting import Account, Usage, amount, duration, kilowatt_hours
from multimep.tables import MISSING, Cell


@dataclass(frozen=True)
class UsageTable:
    """What the stations of a study took.

    Attributes:
        groups: how the numbers of some columns came about, with the number of these columns.
        columns: names of the columns after the station.
        rows: of a station or method, its name and its cells.
        total: cells of the sum.
        caption: what the numbers mean and what they leave out.
    """

    groups: tuple[tuple[str, int], ...]
    columns: tuple[str, ...]
    rows: tuple[tuple[str, tuple[Cell, ...]], ...]
    total: tuple[Cell, ...]
    caption: str


USAGE = (
    "Measured by Snakemake, job by job: time from start to end (jobs may have run side by side), memory, and core time "
    "used. GPU-hours and core-hours: time from start to end, times the GPUs that a job asked for, or the cores where "
    "it asked for no GPU: the cores beside a GPU are in its hours. "
)
LEFT_OUT = (
    "A job that was tried or made again counts with its last success; waiting in queues, starting of jobs and this "
    "page are left out."
)


def usage_table(account: Account, charged: Sequence[str] = ()) -> UsageTable | None:
    """The table of what every station and method took; None where nothing is known.

    `charged`: what SLURM charged for all attempts, in sentences without their stops.
    """
    if not account.usages:
        return None
    paid = account.money(account.total) > 0
    groups = (("measured", 5), ("measured time \u00d7 asked for", 2), ("estimated", 1 + paid))
    columns = ("jobs", "all jobs", "longest job", "most memory", "core time used", "core-hours", "GPU-hours", "energy")
    rows = tuple((usage.name, _usage(account, usage, paid)) for usage in account.usages)
    cost = ("cost",) if paid else ()
    caption = _usage_caption(account, paid) + "".join(f" {one[0].upper()}{one[1:]}." for one in charged)
    return UsageTable(groups, columns + cost, rows, _usage(account, account.total, paid), caption)


def _usage(account: Account, usage: Usage, paid: bool) -> tuple[Cell, ...]:
    inside = len(usage.runs) - len(usage.alone)
    jobs = f"{len(usage.runs)} jobs" + (f", {inside} of them in shards, whose allocations count there" * bool(inside))
    seen = any(math.isfinite(run.cpu) for run in usage.runs)
    longest = max((run.seconds for run in usage.runs), default=math.nan)
    memory = f"{usage.memory:,.0f} MiB" if math.isfinite(usage.memory) else MISSING.text
    energy, money = account.energy(usage), account.money(usage)
    asked = [
        _hours(usage.core_seconds, "core-hours", "every job had a GPU, whose hours its cores are counted with"),
        _hours(usage.gpu_seconds, "GPU-hours", "no GPU was asked for"),
        Cell(kilowatt_hours(energy), f"{energy:.6f} kWh", energy),
        Cell(amount(money, account.cluster.currency), f"{money:.6f} {account.cluster.currency}", money),
    ]
    return (
        Cell(str(len(usage.runs)), jobs, len(usage.runs)),
        Cell(duration(usage.seconds), f"{usage.seconds:.1f} s", usage.seconds),
        Cell(duration(longest), f"{longest:.1f} s", longest),
        Cell(memory, memory, usage.memory),
        Cell(duration(usage.cpu), f"{usage.cpu:.1f} s", usage.cpu) if seen else MISSING,
        *([Cell("in shards", jobs, 0.0)] * 4 if not usage.alone else asked)[: 3 + paid],
    )


def _hours(seconds: float, unit: str, none: str) -> Cell:
    text = duration(seconds) if seconds else "none"
    return Cell(text, f"{seconds / 3600:.4f} {unit}" if seconds else none, seconds)


def _usage_caption(account: Account, paid: bool) -> str:
    """What was measured, what follows from what was asked for, what is an estimate, and what is left out."""
    site = account.cluster
    with_gpu = f"{site.watts_per_gpu:g} W for a GPU with {site.cores_per_gpu} cores beside it and "
    watts = with_gpu * bool(account.total.gpu_seconds) + f"{site.watts_per_core:g} W for each core"
    energy = f"Energy is an estimate: the hours times stated watts ({watts}); nothing was metered. "
    prices = f"{site.price_per_gpu_hour:g} and {site.price_per_core_hour:g} {site.currency}"
    cost = f"Cost: {prices} for each GPU-hour and core-hour. " if paid else ""
    inside = any(run.inside for usage in account.usages for run in usage.runs)
    shards = "Predictions made in a shard show their own time; its cores and GPUs count once, as the shard's. "
    gaps = "".join(f"{gap} " for gap in account.gaps)
    return USAGE + energy + cost + shards * inside + gaps + LEFT_OUT
