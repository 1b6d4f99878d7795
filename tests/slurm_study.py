"""A small study on a real SLURM: its profile, its driver, its jobs as SLURM knows them, and their processes."""

import json
import math
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from small_study import ROOT, Workspace, study

LAB = ROOT.parent / "shared" / "slurm"
QUICK = {"latency-wait": 5, "slurm-init-seconds-before-status-checks": 2, "max-status-checks-per-second": 5}
ENVIRONMENT = {
    **{name: value for name, value in os.environ.items() if not name.startswith(("SLURM_JOB", "SNAKEMAKE"))},
    "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    "OMP_NUM_THREADS": "1",  # predictions are compared to the last bit
}


@dataclass(frozen=True)
class Job:
    """One job as the accounting knows it; `comment` names the rule and its wildcards."""

    number: str
    state: str
    comment: str
    asked: str
    partition: str


@dataclass(frozen=True)
class SlurmStudy(Workspace):
    """A study's folder, with a profile of its own beside it."""

    @property
    def profile(self) -> Path:
        return self.folder / "profile"

    @property
    def results(self) -> Path:
        return self.folder / "results"

    @property
    def since(self) -> str:
        """When it was made: a folder of the same name may have had jobs before."""
        return time.strftime("%Y-%m-%dT%H:%M:%S", time.localtime(self.profile.stat().st_ctime))

    @property
    def options(self) -> list[str]:
        return ["--snakefile", str(ROOT / "Snakefile"), "--configfile", str(self.folder / "config.yaml")]

    @contextmanager
    def driven(self, log: str = "driver.log", **environment: str) -> Iterator[subprocess.Popen[bytes]]:
        """The driver on the login node, as a person starts it; what is left of it at the end is stopped."""
        with (self.folder / log).open("wb") as file:
            driver = subprocess.Popen(
                ["bash", str(ROOT / "profiles/drive.sh"), str(self.profile), *self.options],
                cwd=self.folder,
                env=ENVIRONMENT | environment,
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            yield driver
        finally:
            if driver.poll() is None:
                for process in _children(driver.pid):
                    os.kill(process, signal.SIGKILL)
                driver.kill()
            self.cancel()

    def cancel(self) -> None:
        """End all of the study's jobs."""
        rows = [line.split("|") for line in slurm("squeue", "-h", "-o", "%i|%Z").splitlines()]
        numbers = [row[0] for row in rows if row[1] == str(self.folder)]
        if numbers:
            slurm("scancel", *numbers)

    def said(self, log: str = "driver.log") -> str:
        return (self.folder / log).read_text(errors="replace")

    def ends(self, driver: subprocess.Popen[bytes], seconds: float = 400) -> int:
        """The driver's exit status; of one that hangs the log is told."""
        try:
            return driver.wait(seconds)
        except subprocess.TimeoutExpired as error:
            raise AssertionError(f"the driver did not end in {seconds} s:\n{self.said()[-6000:]}") from error

    def jobs(self, word: str = "") -> list[Job]:
        """All of the study's jobs so far whose comment begins with the word, by the accounting."""
        fields = "JobIDRaw,State,Comment,AllocTRES,Partition,WorkDir"
        table = slurm("sacct", "-X", "-D", "-n", "-P", "-S", self.since, "-o", fields)
        rows = [line.split("|") for line in table.splitlines()]
        return [Job(*row[:5]) for row in rows if row[5] == str(self.folder) and row[2].startswith(word)]

    def queue(self, word: str = "") -> list[str]:
        """The numbers of the study's jobs that run now."""
        rows = [line.split("|") for line in slurm("squeue", "-h", "-t", "R", "-o", "%i|%k|%Z").splitlines()]
        return [row[0] for row in rows if row[2] == str(self.folder) and row[1].startswith(word)]

    def predictions(self) -> dict[str, bytes]:
        """Every predictions file, by its path below results/predictions."""
        folder = self.results / "predictions"
        return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*.csv"))}

    def kept(self, pattern: str) -> list[Path]:
        return sorted((self.results / "unfinished").glob(pattern))


def slurm(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout


def processes(job: str) -> Iterator[int]:
    """The commands `multimep` of a job: they alone get their work from no other process of it."""
    for folder in Path("/proc").iterdir():
        try:
            words = (folder / "cmdline").read_bytes().split(b"\0") if folder.name.isdigit() else []
            if any(Path(word.decode()).name == "multimep" for word in words[:3]) and job in _job_of(folder):
                yield int(folder.name)
        except OSError:  # it has ended meanwhile
            continue


def _children(parent: int) -> list[int]:
    told = subprocess.run(["pgrep", "-s", str(parent)], capture_output=True, text=True, check=False)
    own = subprocess.run(["pgrep", "-P", str(parent)], capture_output=True, text=True, check=False)
    return [int(number) for number in {*told.stdout.split(), *own.stdout.split()} if int(number) != parent]


def _job_of(process: Path) -> list[str]:
    variables = (process / "environ").read_bytes().decode().split("\0")
    return [value for name, _, value in (one.partition("=") for one in variables) if name == "SLURM_JOB_ID"]


def until(condition: Callable[[], Any], what: str, seconds: float = 120) -> Any:
    """Wait; returns what the condition gave."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = condition()
        if found:
            return found
        time.sleep(0.2)
    raise AssertionError(f"waited {seconds} s in vain: {what}")


def make(
    folder: Path,
    methods: dict[str, Any],
    datasets: Sequence[str] = ("alpha", "beta"),
    lead: int | None = None,
    **cluster: object,
) -> SlurmStudy:
    """A study of few tables with the slurm profile, its waits shortened; `cluster` changes cluster.yaml.

    `lead`: seconds between the warning and the time limit, where not the profile's; 0: no warning.
    """
    folder.mkdir(parents=True, exist_ok=True)
    found = SlurmStudy(folder.resolve())
    config = study(found.folder)
    config["datasets"] = {name: config["datasets"][name] for name in datasets}
    found.write(config | {"methods": methods, "splits": {"random": {"scheme": "random", "folds": 2}}})
    shutil.copytree(ROOT / "profiles/slurm", found.profile, dirs_exist_ok=True)
    options = yaml.safe_load((found.profile / "config.yaml").read_text()) | QUICK
    if lead is not None:
        options["default-resources"]["slurm_extra"] = f"'--signal=TERM@{lead}'" if lead else "''"
    (found.profile / "config.yaml").write_text(yaml.safe_dump(options, sort_keys=False))
    site = yaml.safe_load((found.profile / "cluster.yaml").read_text()) | cluster
    (found.profile / "cluster.yaml").write_text(yaml.safe_dump(site, sort_keys=False))
    return found


def undisturbed(found: SlurmStudy, folder: Path) -> dict[str, bytes]:
    """The predictions of the same study, run on this machine without SLURM."""
    shutil.copytree(found.folder, folder, ignore=shutil.ignore_patterns("results", ".snakemake", "*.log"))
    local = SlurmStudy(folder)
    names, methods = found.config["datasets"], found.config["methods"]
    local.snakemake("--", *(f"results/predictions/random/{method}/{name}.csv" for method in methods for name in names))
    return local.predictions()


def shard_running(found: SlurmStudy, unit: str) -> str:
    """The number of the running job of the shard that has this unit; empty while there is none."""
    path = found.results / "plan.json"
    plan = json.loads(path.read_text()) if path.exists() else {"shards": []}
    for number, one in enumerate(plan["shards"]):
        if any(unit in lane for lane in one["lanes"]):
            return "".join(found.queue(f"rule_shard_wildcards_{plan['identity']}_{number}")[:1])
    return ""


def trained_folds(found: SlurmStudy, dataset: str) -> list[Path]:
    """The kept folds of trainings on this dataset alone; a training gives no standard deviation."""
    wild_type = found.config["datasets"][dataset]["source"]["wild_type"]

    def belongs(path: Path) -> bool:
        parts = json.loads(path.read_text())
        mutants = [mutant for mutant in parts[0]["mutants"] if mutant != "WT"]
        return (
            len(parts) == 1
            and all(math.isnan(std) for std in parts[0]["std"])
            and all(wild_type[int(mutant[1:-1]) - 1] == mutant[0] for mutant in mutants)
        )

    return [path for path in found.kept("fold-*.json") if belongs(path)]


def epoch_of(path: Path) -> int:
    """The epochs that a training had done when its checkpoint was written."""
    raw = path.read_bytes()
    header = json.loads(raw[8 : 8 + int.from_bytes(raw[:8], "little")])
    return int(json.loads(header["__metadata__"]["run"])["epoch"])
