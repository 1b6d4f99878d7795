"""One station as a process of its own that can be killed, limited, or have its disk filled."""

import os
import resource
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from faults.table import Loss, require

LONGEST = 300.0
"""Seconds after which a station that has not ended is a loss."""


@dataclass(frozen=True)
class Station:
    """A command of multimep, given in the folder of a study.

    Attributes:
        name: of the station.
        words: the command line after `multimep`.
        outputs: files that it makes, below the folder.
    """

    name: str
    words: tuple[str, ...]
    outputs: tuple[str, ...]


@dataclass(frozen=True)
class Ended:
    """How a station ended: its status (negative: the signal that killed it) and all it said."""

    status: int
    said: str

    @property
    def complaint(self) -> str:
        """The line of a refusal; empty where it was none."""
        lines = [line for line in self.said.splitlines() if line.strip()]
        return lines[-1] if self.status == 2 and lines and lines[-1].startswith("multimep: ") else ""


@dataclass(frozen=True)
class Process:
    """A running station."""

    number: int
    log: Path

    def wait(self, seconds: float = LONGEST) -> Ended:
        """Wait for its end; Loss where it does not come."""
        limit = time.monotonic() + seconds
        while time.monotonic() < limit:
            done, status = os.waitpid(self.number, os.WNOHANG)
            if done:
                return Ended(os.waitstatus_to_exitcode(status), self.log.read_text(errors="replace"))
            time.sleep(0.005)
        self.kill()
        raise Loss(f"did not end within {seconds:.0f} s")

    def kill(self) -> Ended:
        """SIGKILL, at once."""
        os.kill(self.number, signal.SIGKILL)
        _, status = os.waitpid(self.number, 0)
        return Ended(os.waitstatus_to_exitcode(status), self.log.read_text(errors="replace"))


def warm_up(*, language_model: bool = True) -> None:
    """Import what the stations need, so that a moment of a process is a moment of its work and not of its start."""
    from multimep import (  # noqa: F401, PLC0415
        cli,
        cross_prediction,
        evaluation_job,
        prediction_job,
        schemes,
        settings,
        sources,
    )
    from multimep.methods import METHODS  # noqa: PLC0415

    METHODS["additive"]
    if language_model:
        from multimep import language_model as _, planning, shards, store_making, study_leaks, study_report  # noqa: F401, I001, PLC0415

        for name in ("embedding_gp", "fine_tune_together"):
            METHODS[name]


def start(
    words: Sequence[str],
    folder: Path,
    log: Path,
    environment: Mapping[str, str] | None = None,
    before: Callable[[], object] = lambda: None,
) -> Process:
    """The command in a fork of this process, with all that is imported here."""
    sys.stdout.flush()
    sys.stderr.flush()
    if number := os.fork():
        return Process(number, log)
    status = 1
    try:
        status = _command(words, folder, log, environment or {}, before)
    finally:
        os._exit(status)


def _command(
    words: Sequence[str], folder: Path, log: Path, environment: Mapping[str, str], before: Callable[[], object]
) -> int:
    """What the process does; all that `multimep` prints goes to the log."""
    os.chdir(folder)
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(output, 1)
    os.dup2(output, 2)
    sys.stdout, sys.stderr = os.fdopen(1, "w"), os.fdopen(2, "w")
    os.environ.update(environment)
    sys.argv = ["multimep", *words]
    before()
    status = 0
    try:
        from multimep.cli import main  # noqa: PLC0415

        main()
    except SystemExit as stop:
        status = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    except BaseException:  # noqa: BLE001 (a defect: its traceback is what the harness looks for)
        traceback.print_exc()
        status = 1
    sys.stdout.flush()
    sys.stderr.flush()
    return status


def run(station: Station, folder: Path, log: Path, **options: object) -> Ended:
    """The station from its start to its end."""
    return start(station.words, folder, log, **options).wait()  # type: ignore[arg-type]


def require_success(ended: Ended, station: Station) -> None:
    require(ended.status == 0, f"{station.name} ended with {ended.status}: {ended.said[-600:]}")


def require_refusal(ended: Ended, station: Station, names: Iterable[str], way_out: Sequence[str]) -> None:
    """One line, status 2, the name of a file and a way out."""
    line = ended.complaint
    require(bool(line), f"{station.name} ended with {ended.status}, no refusal: {ended.said[-600:]}")
    require("Traceback" not in ended.said, f"{station.name}: a traceback beside the line")
    require(any(name in line for name in names), f"{station.name} does not name {' or '.join(names)}: {line}")
    require(any(word in line for word in way_out), f"{station.name} names no way out: {line}")


def limit_files(size: int) -> Callable[[], None]:
    """No file may grow beyond so many bytes: a full disk that needs no mount."""
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
