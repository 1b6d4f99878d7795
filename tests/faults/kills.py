"""kill -9 at random moments: stations alone, and stations or everything under the real Snakemake."""

import os
import random
import signal
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from faults.station import Ended, Station, require_success, run, start
from faults.study import Study, end, packed
from faults.table import Table, require

ALONE, STATION, EVERYTHING = (
    "kill -9 of a station given as a command",
    "kill -9 of a station under Snakemake",
    "kill -9 of Snakemake and all its jobs",
)
PATIENCE = (4, 12)
"""Kills of one command before it is left to end, at least and at most."""


@dataclass
class Kills:
    """Kills of one study, and how many each station had."""

    expected: dict[str, bytes]
    table: Table
    random: random.Random
    counted: Counter[str] = field(default_factory=Counter)
    patience: tuple[int, int] = PATIENCE

    def alone(self, study: Study, kills: int) -> None:
        """Kill each command in turn at a moment drawn from its undisturbed time, a few times, then let it end."""
        stations = study.stations()
        seconds = {station: self._seconds(station, study) for station in stations}
        before = self.table.row(ALONE).tries
        while self.table.row(ALONE).tries - before < kills:
            for station in stations:
                for name in station.outputs:
                    (study.folder / name).unlink()
                for _ in range(self.random.randint(*self.patience)):
                    self._kill(station, study, seconds[station])
                ended = self._run(station, study)
                with self.table.attempt("the same command again after kills", station.name):
                    require_success(ended, station)
                    require(study.tables() == self.expected, differences(study.tables(), self.expected))
        left = [path.name for path in study.results.rglob("*") if "unfinished" in path.parts and path.is_file()]
        with self.table.attempt("unfinished work is gone when its command has succeeded"):
            require(not left, f"left in unfinished: {left}")

    def packed(self, study: Study, kills: int) -> None:
        """Kill plan, shard and collect at random moments until the predictions are in place."""
        made = [name for one in study.stations() if "predict" in one.name for name in one.outputs]
        count = 0
        while count < kills:
            for name in made:
                (study.folder / name).unlink()
            for station in packed(study):
                for _ in range(self.random.randint(*self.patience)):
                    count += self._kill(station, study, 3.0 if station.name == "shard" else 0.5)
                require_success(self._run(station, study), station)
            with self.table.attempt("the same command again after kills", "plan, shard, collect"):
                require(study.tables() == self.expected, differences(study.tables(), self.expected))

    def _seconds(self, station: Station, study: Study) -> float:
        began = time.monotonic()
        require_success(self._run(station, study), station)
        return time.monotonic() - began

    def _run(self, station: Station, study: Study) -> Ended:
        return run(station, study.folder, study.folder / "log", environment=study.environment)

    def _kill(self, station: Station, study: Study, seconds: float) -> bool:
        """One kill, False where it came too late; whatever stands in the place of an output afterwards is all of it."""
        process = start(station.words, study.folder, study.folder / "log", study.environment)
        time.sleep(self.random.uniform(0, seconds))
        if process.kill().status != -signal.SIGKILL:
            return False
        with self.table.attempt(ALONE, station.name):
            self.counted[station.name] += 1
            self._require_none_half(study)
        return True

    def under_snakemake(self, folder: Path, kills: int) -> None:
        """Kill a station that had few kills so far, alone or with everything, again and again; then let it end."""
        number = 0
        while self.table.row(STATION).tries + self.table.row(EVERYTHING).tries < kills:
            study = Study(folder / f"study{number}").prepare()
            number += 1
            for _ in range(self.random.randint(8, 14)):
                if self._kill_one(study):
                    break
            with self.table.attempt("--rerun-incomplete after kills", study.folder.name):
                status, said = study.completes()
                require(status == 0, said[-1500:])
                require(study.tables() == self.expected, differences(study.tables(), self.expected))

    def _kill_one(self, study: Study) -> bool:
        """One start of Snakemake and one kill; True where the study ended before there was one."""
        study.unlock()
        process = study.snakemake("--rerun-incomplete")
        try:
            found = self._awaited(process.pid, process.poll)
            if found is None:
                return True
            number, name = found
            time.sleep(self.random.expovariate(1.0))
            kind = self.random.choice((STATION, EVERYTHING))
            if not kill(number):
                return False
            with self.table.attempt(kind, name):
                self.counted[name] += 1
                if kind == EVERYTHING:
                    end(process)
                process.wait(300)
                self._require_none_half(study)
        finally:
            end(process)
        return False

    def _require_none_half(self, study: Study) -> None:
        half = {name for name, told in study.tables().items() if told != self.expected[name]}
        require(not half, f"half-written: {sorted(half)}")

    def _awaited(self, group: int, poll: object) -> tuple[int, str] | None:
        """A station under way: now and then the first that is seen, else one that had fewer kills than the others."""
        waits = 0
        few = sorted(self.counted.values())[len(self.counted) // 2] if self.counted else 0
        while poll() is None:  # type: ignore[operator]
            for number, name in stations_of(group):
                if self.counted[name] <= few or waits > 400:
                    return number, name
            waits += 1
            time.sleep(0.02)
        return None


def stations_of(session: int) -> list[tuple[int, str]]:
    """The processes of `multimep` in a session, by number and the name of their station."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal():
            try:
                words = (folder / "cmdline").read_bytes().decode(errors="replace").split("\0")
                if os.getsid(int(folder.name)) == session and any(word.endswith("bin/multimep") for word in words[:3]):
                    found.append((int(folder.name), named(words)))
            except (FileNotFoundError, ProcessLookupError):
                continue
    return found


def named(words: list[str]) -> str:
    """`cross-predict additive` from a command line."""
    place = next(place for place, word in enumerate(words) if word.endswith("bin/multimep"))
    command = words[place + 1]
    return f"{command} {words[place + 2]}" if command == "cross-predict" else command


def kill(number: int) -> bool:
    """Whether there was such a process to be killed."""
    try:
        os.kill(number, signal.SIGKILL)
    except ProcessLookupError:
        return False
    return True


def differences(found: dict[str, bytes], expected: dict[str, bytes]) -> str:
    """Which tables are missing, too many or others."""
    missing, more = expected.keys() - found.keys(), found.keys() - expected.keys()
    other = {name for name in expected.keys() & found.keys() if found[name] != expected[name]}
    return f"missing {sorted(missing)}, unexpected {sorted(more)}, different {sorted(other)}"
