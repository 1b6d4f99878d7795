"""What SLURM charged for a study: the elapsed time of every attempt times what was allocated to it, as `sacct` tells.

Beside the benchmark files, which `accounting` reads and which tell of last successes only: here failed, cancelled and
requeued attempts count too, and the driver where it was a job. Imports nothing but the standard library and its light
neighbours.
"""

import re
import shutil
import subprocess
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from multimep import accounting, forecast
from multimep.accounting import hours, kilowatt_hours
from multimep.cluster import Cluster

FIELDS = "JobIDRaw,State,ElapsedRaw,AllocTRES,JobName,WorkDir,Comment"
"""sacct: number, state, seconds, what was allocated, name, working directory, comment; the last may hold any sign."""
SACCT = ("sacct", "--allocations", "--duplicates", "--noheader", "--parsable2", f"--format={FIELDS}")
PATIENCE = 30.0  # seconds that sacct has to answer: its database may be busy
LINE = 160  # letters of a message shown
DRIVER = "multimep"  # name of the driver's job, see driver.sbatch
RUN = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")
"""End of the name that the SLURM plugin gives its jobs: tells them where a site stores no comments."""
UNENDED = ("PENDING", "RUNNING", "SUSPENDED", "RESIZING")


@dataclass(frozen=True)
class Charge:
    """One attempt at a job.

    Attributes:
        state: SLURM's word, such as COMPLETED, FAILED, TIMEOUT, NODE_FAIL, CANCELLED.
        seconds: elapsed in the allocation, so far if it runs.
        cores: allocated.
        gpus: allocated; 0 also where the site does not account for them.
        driver: whether it was the driver and no job of a rule.
    """

    state: str
    seconds: float
    cores: int
    gpus: int = 0
    driver: bool = False

    @property
    def is_lost(self) -> bool:
        """Whether it ended without success; a driver's leg that handed over has not failed."""
        return self.state not in ("COMPLETED", *UNENDED) and not self.driver


@dataclass(frozen=True)
class Charges:
    """All attempts of the jobs of a folder, or why nothing is known of them."""

    attempts: Sequence[Charge] = ()
    silence: str = ""


def gpu_seconds(attempts: Iterable[Charge]) -> float:
    """Elapsed times GPUs."""
    return sum(one.seconds * one.gpus for one in attempts)


def core_seconds(attempts: Iterable[Charge]) -> float:
    """Elapsed times cores, of attempts without a GPU: the cores beside a GPU are in its hours, as in `accounting`."""
    return sum(one.seconds * one.cores for one in attempts if not one.gpus)


def charged(table: str, folders: Sequence[Path]) -> Iterator[Charge]:
    """The attempts in the output of SACCT that Snakemake, or the driver, made in one of these folders."""
    ours = {path.resolve() for path in folders}
    for line in filter(str.strip, table.splitlines()):
        _, state, seconds, resources, name, folder, comment = [*line.split("|", 6), *[""] * 6][:7]
        driver = name == DRIVER and not comment
        if Path(folder).resolve() in ours and (driver or comment.startswith("rule_") or RUN.search(name)):
            cores, gpus = allocated(resources)
            yield Charge(state.split()[0] if state else "", float(seconds or 0), cores, gpus, driver)


def allocated(resources: str) -> tuple[int, int]:
    """Cores and GPUs in SLURM's list of trackable resources: cpu=8,gres/gpu=2,gres/gpu:h100=2,mem=4G,node=1."""
    found = dict(part.split("=", 1) for part in resources.split(",") if "=" in part)
    by_type = sum(int(number) for name, number in found.items() if name.startswith("gres/gpu:"))
    return int(found.get("cpu", 0)), int(found.get("gres/gpu", by_type))


def ask(folders: Sequence[Path]) -> Charges:
    """What SLURM's accounting knows of the folders, since Snakemake ran there first; where it is silent, why."""
    if shutil.which(SACCT[0]) is None:
        return Charges(silence="no sacct on the PATH")
    since = began(folders)
    if not since:
        return Charges(silence="Snakemake left no log in .snakemake that tells since when to ask")
    try:
        command = [*SACCT, f"--starttime={since}"]
        asked = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)  # noqa: S603
    except subprocess.TimeoutExpired:
        return Charges(silence=f"sacct gave no answer in {PATIENCE:.0f} s; ask again later")
    if asked.returncode:
        return Charges(silence=f"sacct failed: {' '.join((asked.stderr or asked.stdout).split())[:LINE]}")
    return Charges(tuple(charged(asked.stdout, folders)))


def began(folders: Sequence[Path]) -> str:
    """When Snakemake was first started in these folders, in sacct's form: its logs are named by local time."""
    logs = (path.name for folder in folders for path in (folder / ".snakemake" / "log").glob("*.snakemake.log"))
    times = sorted(found.groups() for name in logs if (found := re.match(r"(\S{10}T)(\d\d)(\d\d)(\d\d)\.", name)))
    return "{}{}:{}:{}".format(*times[0]) if times else ""


def sentences(found: Charges, cluster: Cluster) -> list[str]:
    """What SLURM charged, at the site's prices and stated watts; what of it was lost, and what the driver took."""
    if found.silence:
        return [f"what SLURM charged is not known: {found.silence}"]
    if not found.attempts:
        return ["SLURM's accounting knows no job of this folder"]
    lost, driver = [one for one in found.attempts if one.is_lost], [one for one in found.attempts if one.driver]
    jobs = len(found.attempts) - len(driver)
    told = [f"SLURM charged {_sum(found.attempts, cluster)} (attempts: {jobs})"]
    if lost:
        told.append(f"of it {_sum(lost, cluster)} for attempts that failed or were cancelled ({len(lost)})")
    if driver:
        told.append(f"of it {_sum(driver, cluster)} for the driver (jobs: {len(driver)})")
    return told


def _sum(attempts: Sequence[Charge], cluster: Cluster) -> str:
    gpus, cores = gpu_seconds(attempts), core_seconds(attempts)
    paid = accounting.paid(forecast.price(gpus / 3600, cores / 3600, cluster), cluster.currency)
    energy = kilowatt_hours(forecast.energy(gpus / 3600, cores / 3600, cluster))
    return f"{hours(gpus, 'GPU')}, {hours(cores, 'core')}{paid}, about {energy}"
