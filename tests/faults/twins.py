"""Two at once: two pipelines on one results folder, and two commands with one output."""

import random
import time
from dataclasses import dataclass

from faults.kills import differences
from faults.station import require_success, start
from faults.study import Study, end
from faults.table import Table, require

PIPELINES, COMMANDS = "two pipelines on one results folder", "two commands at once with one output"


@dataclass(frozen=True)
class Twins:
    """A study that is run twice at the same time."""

    study: Study
    expected: dict[str, bytes]
    table: Table
    random: random.Random

    def commands(self, tries: int) -> None:
        """Each station twice at the same time; both may succeed, and what they leave is whole."""
        for station in self.study.stations():
            for _ in range(tries):
                with self.table.attempt(COMMANDS, station.name):
                    for name in station.outputs:
                        (self.study.folder / name).unlink(missing_ok=True)
                    logs = [self.study.folder / f"log{number}" for number in range(2)]
                    both = []
                    for log in logs:
                        both.append(start(station.words, self.study.folder, log))
                        time.sleep(self.random.uniform(0, 0.05))
                    for process in both:
                        require_success(process.wait(), station)
                    found = self.study.tables()
                    require(found == self.expected, differences(found, self.expected))

    def pipelines(self, fresh: Study) -> None:
        """The second is refused at once; the first ends as ever."""
        with self.table.attempt(PIPELINES) as row:
            first = fresh.snakemake()
            try:
                locks = fresh.folder / ".snakemake" / "locks"
                while not any(locks.glob("*")):
                    require(first.poll() is None, f"the first ended: {fresh.said[-600:]}")
                    time.sleep(0.02)
                second = fresh.snakemake(log="second.log")
                require(second.wait(300) != 0, "the second was let in")
                told = (fresh.folder / "second.log").read_text()
                require("Directory cannot be locked" in told and "--unlock" in told, told[-600:])
                row.refused += 1
                require(first.wait(900) == 0, fresh.said[-1500:])
                found = fresh.tables()
                require(found == self.expected, differences(found, self.expected))
            finally:
                end(first)
