"""A disk that is full, one that may not be written, and files that may not grow: refused by name, complete after it."""

import os
import random
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from faults.kills import differences
from faults.station import Ended, Station, limit_files, require_refusal, require_success, run
from faults.study import Study
from faults.table import Table, require

FULL, LIMITED, LOCKED = "a full disk", "a file that may not grow (ulimit -f)", "a disk that may not be written"
ROOM = ("make room",)
SIZE = "64m"
LOG = 1000
"""Bytes that the log of a station needs, under the same limit as its output."""


class NoDiskError(OSError):
    """No disk may be mounted here."""


@dataclass(frozen=True)
class Disk:
    """A small disk in a folder."""

    folder: Path

    @property
    def filler(self) -> Path:
        return self.folder / "filler"

    def fill(self, left: int) -> None:
        """Leave so many bytes free, in whole pages."""
        state = os.statvfs(self.folder)
        with self.filler.open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, max(1, state.f_bavail * state.f_bsize - left))

    def make_room(self) -> None:
        self.filler.unlink(missing_ok=True)

    def lock(self, locked: bool) -> None:
        """Make it read-only, or writable again."""
        mount(f"remount,{'ro' if locked else 'rw'}", self.folder)


def mount(options: str, folder: Path) -> None:
    """Raise NoDiskError, with what `mount` said, where it is not allowed."""
    command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise NoDiskError(done.stderr.strip())


@contextmanager
def small_disk(folder: Path) -> Iterator[Disk]:
    """A disk of 64 MB; raises NoDiskError where none may be mounted."""
    folder.mkdir(parents=True, exist_ok=True)
    mount(f"size={SIZE}", folder)
    try:
        yield Disk(folder)
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@dataclass(frozen=True)
class Full:
    """A study whose results lie on a small disk."""

    study: Study
    expected: dict[str, bytes]
    table: Table
    random: random.Random

    def all(self, disk: Disk, tries: int) -> None:
        """So many tries for each station and fault."""
        for station in self.study.stations():
            for _ in range(tries):
                for fault in (self.full, self.locked):
                    with self._restored(station):
                        fault(disk, station)
                self.limited_and_restored(station)

    def full(self, disk: Disk, station: Station) -> None:
        """Less room than the outputs need, or just enough."""
        need = sum((self.study.folder / name).stat().st_size + 8192 for name in station.outputs)
        with self.table.attempt(FULL, station.name) as row:
            self._remove(station)
            disk.fill(self.random.randrange(need))
            try:
                ended = self._run(station)
            finally:
                disk.make_room()
            row.refused += self._judge(ended, station, ROOM)

    def limited(self, station: Station) -> None:
        """No file may be longer than part of the longest output."""
        longest = max((self.study.folder / name).stat().st_size for name in station.outputs)
        if longest <= LOG:
            return
        with self.table.attempt(LIMITED, station.name) as row:
            self._remove(station)
            ended = self._run(station, before=limit_files(self.random.randrange(LOG, longest)))
            row.refused += self._judge(ended, station, ("raise the limit",))

    def limited_and_restored(self, station: Station) -> None:
        with self._restored(station):
            self.limited(station)

    def locked(self, disk: Disk, station: Station) -> None:
        """Nothing may be written at all."""
        with self.table.attempt(LOCKED, station.name) as row:
            self._remove(station)
            disk.lock(True)
            try:
                ended = self._run(station)
            finally:
                disk.lock(False)
            require(ended.status != 0, "succeeded on a disk that may not be written")
            row.refused += self._judge(ended, station, ("make it writable", "choose another"))

    def _judge(self, ended: Ended, station: Station, way_out: tuple[str, ...]) -> bool:
        """Whether it was refused; then nothing half-written stands there, and the same command ends as ever."""
        refused = ended.status != 0
        if refused:
            names = [part for name in station.outputs for part in (Path(name).name, str(Path(name).parent))]
            require_refusal(ended, station, [*names, "unfinished"], way_out)
            half = [name for name, told in self.study.tables().items() if told != self.expected[name]]
            require(not half, f"half-written: {half}")
            left = [str(path) for path in self.study.results.rglob("*.partial")]
            require(not left, f"left behind: {left}")
            require_success(self._run(station), station)
        found = self.study.tables()
        require(found == self.expected, differences(found, self.expected))
        return refused

    def _remove(self, station: Station) -> None:
        for left in self.study.results.rglob("*.partial"):  # by processes that were killed before; none runs now
            left.unlink()
        for name in station.outputs:
            (self.study.folder / name).unlink(missing_ok=True)

    def _run(self, station: Station, **options: object) -> Ended:
        return run(station, self.study.folder, self.study.folder / "log", environment=self.study.environment, **options)

    @contextmanager
    def _restored(self, station: Station) -> Iterator[None]:
        """Outputs as they were, whatever a try has left."""
        kept = {name: (self.study.folder / name).read_bytes() for name in station.outputs}
        try:
            yield
        finally:
            for name, content in kept.items():
                (self.study.folder / name).write_bytes(content)

    def under_snakemake(self, disk: Disk) -> None:
        """The whole pipeline on a disk that is full before it ends; it ends when there is room."""
        with self.table.attempt("a full disk under Snakemake", "the pipeline") as row:
            disk.fill(self.random.randrange(1 << 16))
            status, said = self.study.completes()
            require(status != 0, "ended without room")
            row.refused += 1
            disk.make_room()
            status, said = self.study.completes()
            require(status == 0, said[-1500:])
            found = self.study.tables()
            require(found == self.expected, differences(found, self.expected))
