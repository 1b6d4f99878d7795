"""A small study on a real SLURM: its profile, its driver, its jobs as SLURM knows them, and their processes."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
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
    gres: str
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
    def options(self) -> list[str]:
        return ["--snakefile", str(ROOT / "Snakefile"), "--configfile", str(self.folder / "config.yaml")]

    def drive(self, log: str = "driver.log", **environment: str) -> subprocess.Popen[bytes]:
        """The driver on the login node, as a person starts it."""
        with (self.folder / log).open("wb") as file:
            return subprocess.Popen(
                ["bash", str(ROOT / "profiles/drive.sh"), str(self.profile), *self.options],
                cwd=self.folder,
                env=ENVIRONMENT | environment,
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def said(self, log: str = "driver.log") -> str:
        return (self.folder / log).read_text(errors="replace")

    def ends(self, driver: subprocess.Popen[bytes], seconds: float = 400) -> int:
        """The driver's exit status; a driver that hangs is stopped, and its log told."""
        try:
            return driver.wait(seconds)
        except subprocess.TimeoutExpired as error:
            os.killpg(driver.pid, signal.SIGINT)
            raise AssertionError(f"the driver did not end in {seconds} s:\n{self.said()[-6000:]}") from error

    def jobs(self, word: str = "") -> list[Job]:
        """All of the study's jobs so far whose comment has the word, by the accounting."""
        fields = "JobIDRaw,State,Comment,ReqTRES,Partition,WorkDir"
        table = slurm("sacct", "-X", "-D", "-n", "-P", "-S", "now-1hour", "-o", fields)
        rows = [line.split("|") for line in table.splitlines()]
        return [Job(*row[:5]) for row in rows if row[5] == str(self.folder) and word in row[2]]

    def queue(self, word: str = "") -> list[str]:
        """The numbers of the study's jobs that run now."""
        rows = [line.split("|") for line in slurm("squeue", "-h", "-t", "R", "-o", "%i|%k|%Z").splitlines()]
        return [row[0] for row in rows if row[2] == str(self.folder) and word in row[1]]

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
            if any(Path(word.decode()).name == "multimep" for word in words[:3]):
                if f"SLURM_JOB_ID={job}".encode() in (folder / "environ").read_bytes().split(b"\0"):
                    yield int(folder.name)
        except OSError:  # it has ended meanwhile
            continue


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
    folder: Path, methods: dict[str, Any], datasets: Sequence[str] = ("alpha", "beta"), **cluster: object
) -> SlurmStudy:
    """A study of few tables with the slurm profile, its waits shortened; `cluster` changes cluster.yaml."""
    folder.mkdir(parents=True, exist_ok=True)
    found = SlurmStudy(folder.resolve())
    config = study(found.folder)
    config["datasets"] = {name: config["datasets"][name] for name in datasets}
    found.write(config | {"methods": methods})
    shutil.copytree(ROOT / "profiles/slurm", found.profile, dirs_exist_ok=True)
    options = yaml.safe_load((found.profile / "config.yaml").read_text()) | QUICK
    (found.profile / "config.yaml").write_text(yaml.safe_dump(options, sort_keys=False))
    site = yaml.safe_load((found.profile / "cluster.yaml").read_text()) | cluster
    (found.profile / "cluster.yaml").write_text(yaml.safe_dump(site, sort_keys=False))
    return found


def undisturbed(found: SlurmStudy, folder: Path) -> dict[str, bytes]:
    """The predictions of the same study, run on this machine without SLURM."""
    shutil.copytree(found.folder, folder, ignore=shutil.ignore_patterns("results", ".snakemake"))
    local = SlurmStudy(folder)
    outputs = [str(path) for path in sorted(found.results.glob("predictions/*/*/*.csv"))]
    targets = [str(Path(path).relative_to(found.folder)) for path in outputs]
    local.snakemake(*targets)
    return local.predictions()


def checkpointed(path: Path) -> dict[str, Any]:
    """Epoch, batch and step of a training checkpoint."""
    raw = path.read_bytes()
    header = json.loads(raw[8 : 8 + int.from_bytes(raw[:8], "little")])
    facts: dict[str, Any] = json.loads(header["__metadata__"]["run"])
    return facts
