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
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from small_study import ROOT, Workspace, study

LAB = ROOT.parent / "shared" / "slurm"
QUICK = {"latency-wait": 5, "slurm-init-seconds-before-status-checks": 2, "max-status-checks-per-second": 5}
METHODS = {"fine_tune": {"epochs": 60, "batch_size": 16}}
TRAINING = "random/fine_tune/alpha"
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
                    with suppress(ProcessLookupError):
                        os.kill(process, signal.SIGKILL)
                driver.kill()
                driver.wait()
            self.cancel()

    def cancel(self) -> None:
        """End all of the study's jobs and their processes, on nodes too that SLURM has given up."""
        rows = [line.split("|") for line in slurm("squeue", "-h", "-o", "%i|%Z").splitlines()]
        numbers = [row[0] for row in rows if row[1] == str(self.folder)]
        if numbers:
            slurm("scancel", *numbers)
        end = time.monotonic() + 30
        while self.orphans() and time.monotonic() < end:
            time.sleep(0.5)
        for process in self.orphans():
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)

    def orphans(self) -> list[int]:
        """The processes of the study's jobs."""
        return [number for number, variables in environments() if variables.get("SLURM_SUBMIT_DIR") == str(self.folder)]

    def said(self, log: str = "driver.log") -> str:
        return (self.folder / log).read_text(errors="replace")

    def ends(self, driver: subprocess.Popen[bytes], seconds: float = 800) -> int:
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
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout


def environments() -> Iterator[tuple[int, dict[str, str]]]:
    """The variables of every process, by its number."""
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            with suppress(OSError):  # it has ended meanwhile
                lines = (folder / "environ").read_bytes().decode(errors="replace").split("\0")
                yield int(folder.name), dict(line.split("=", 1) for line in lines if "=" in line)


def processes(job: str) -> Iterator[int]:
    """The commands `multimep` of a job: they alone get their work from no other process of it."""
    for number, variables in environments():
        if variables.get("SLURM_JOB_ID") == job:
            with suppress(OSError):
                words = Path(f"/proc/{number}/cmdline").read_bytes().split(b"\0")
                if any(Path(word.decode()).name == "multimep" for word in words[:3]):
                    yield number


def frozen(job: str) -> list[int]:
    """Stop the commands `multimep` of a job where they are; the numbers of their processes."""
    found = list(processes(job))
    for number in found:
        os.kill(number, signal.SIGSTOP)
    assert found
    return found


def thaw_when_told(stopped: Sequence[int], seconds: float = 240) -> None:
    """Wait until frozen processes have been sent SIGTERM, then let them go on.

    SLURM's warning waits for them; what ends a job (scancel, the time limit) wakes them itself.
    """
    until(lambda: not any(_is_stopped(number) and not _has_term(number) for number in stopped), "SIGTERM", seconds)
    for number in stopped:
        with suppress(ProcessLookupError):
            os.kill(number, signal.SIGCONT)


def _is_stopped(process: int) -> bool:
    return _facts(process).get("State", "").startswith("T")


def _has_term(process: int) -> bool:
    pending = int(_facts(process).get("ShdPnd", "0"), 16) | int(_facts(process).get("SigPnd", "0"), 16)
    return bool(pending & 1 << signal.SIGTERM - 1)


def _facts(process: int) -> dict[str, str]:
    """What Linux says of a process; nothing of one that has ended."""
    with suppress(OSError):
        lines = Path(f"/proc/{process}/status").read_text().splitlines()
        return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}
    return {}


def _children(parent: int) -> list[int]:
    told = subprocess.run(["pgrep", "-s", str(parent)], capture_output=True, text=True, check=False)
    own = subprocess.run(["pgrep", "-P", str(parent)], capture_output=True, text=True, check=False)
    return [int(number) for number in {*told.stdout.split(), *own.stdout.split()} if int(number) != parent]


def until(condition: Callable[[], Any], what: str, seconds: float = 240) -> Any:
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


def in_second_fold(found: SlurmStudy) -> str:
    """Wait until the first of TRAINING's two folds is finished; the number of the job."""
    until(lambda: trained_folds(found, "alpha"), "the first fold")
    return str(until(lambda: shard_running(found, TRAINING), "the shard runs"))


def trained_folds(found: SlurmStudy, dataset: str) -> list[Path]:
    """The kept folds of trainings on this dataset alone; a training gives no standard deviation."""
    wild_type = found.config["datasets"][dataset]["source"]["wild_type"]

    def belongs(path: Path) -> bool:
        try:
            parts = json.loads(path.read_text())
        except FileNotFoundError:  # its command has succeeded since the folder was listed
            return False
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
