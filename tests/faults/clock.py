"""A clock that is set back: nothing is skipped that should be made, and what is made is the same."""

import os
import shutil
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from faults.kills import differences
from faults.study import NAMES, Study
from faults.table import Table, require

BACK = 3 * 86400.0


@dataclass(frozen=True)
class Clock:
    """Studies that are run while the time of day is not what it was.

    Attributes:
        changed: what the study finds where the first table has another row.
    """

    expected: dict[str, bytes]
    changed: dict[str, bytes]
    table: Table

    def set_back_between(self, study: Study) -> None:
        """Half of the study is made; the clock goes back three days: Snakemake refuses what is older than its input."""
        with self.table.attempt("the clock set back in the middle of a study, then right again") as row:
            status, said = study.completes("--", "fetch")
            require(status == 0, said[-1500:])
            monotonic = ("env", "FAKETIME_DONT_FAKE_MONOTONIC=1")
            status, said = study.completes("results/leaks.json", prefix=(*monotonic, "faketime", "-f", "-3d"))
            require(status != 0 and "has older modification time" in said, said[-1500:])
            row.refused += 1
            status, said = study.completes()
            require(status == 0, said[-1500:])
            found = study.tables()
            require(found == self.expected, differences(found, self.expected))

    def a_change_in_the_past(self, study: Study) -> None:
        """A table is changed while the clock is back: its time says that it is older than all that was made of it."""
        with self.table.attempt("a table changed while the clock was back"):
            path = study.folder / f"{NAMES[0]}.csv"
            change(path)
            past = time.time() - BACK
            os.utime(path, (past, past))
            status, said = study.completes()
            require(status == 0, said[-1500:])
            found = study.tables()
            require(found == self.changed, differences(found, self.changed))

    def files_of_the_future(self, study: Study) -> None:
        """All that was made bears a time still to come: a change is refused, and made once that is put right."""
        with self.table.attempt("a table changed while all results are of the future, then put into the past") as row:
            future = time.time() + BACK
            for path in study.results.rglob("*"):
                os.utime(path, (future, future))
            change(study.folder / f"{NAMES[0]}.csv")
            status, said = study.completes()
            require(status != 0 and "has older modification time" in said, said[-1500:])
            row.refused += 1
            into_the_past(study.results)
            status, said = study.completes()
            require(status == 0, said[-1500:])
            found = study.tables()
            require(found == self.changed, differences(found, self.changed))


def into_the_past(folder: Path) -> None:
    """What docs/reliability.md says to do."""
    words = ["find", str(folder), "-newermt", "now", "-exec", "touch", "--date=2 days ago", "{}", "+"]
    subprocess.run(words, check=True)


def change(path: Path) -> None:
    """Another fitness in the last row."""
    rows = path.read_text().splitlines()
    path.write_text("\n".join([*rows[:-1], rows[-1].split(",")[0] + ",9.75"]) + "\n")


def can_be_faked() -> bool:
    """Whether `faketime` is installed."""
    return shutil.which("faketime") is not None
