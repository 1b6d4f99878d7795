"""`make faults`: do every fault to a tiny study, so many times, and write the table."""

import argparse
import os
import random
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from faults import station
from faults.clock import Clock, can_be_faked, change
from faults.damage import Damage
from faults.disk import Full, NoDiskError, small_disk
from faults.downloads import Downloads
from faults.kills import Kills
from faults.study import NAMES, Study
from faults.table import Table
from faults.twins import Twins
from faults.unfinished import Unfinished

Work = Callable[[random.Random], object]


class Harness:
    """A folder for all studies, what the study finds undisturbed, and the table.

    Attributes:
        kills: in all; one in five under Snakemake.
        tries: of each other fault and file.
    """

    def __init__(self, folder: Path, kills: int, tries: int, *, short: bool = False) -> None:
        self.folder, self.kills, self.tries = folder, kills, tries
        self.table = Table(told=lambda text: print(text, flush=True))
        self.undisturbed = Study(folder / "undisturbed", short).prepare()
        self.undisturbed.make(folder / "log")
        self.expected = self.undisturbed.tables()

    def kinds(self) -> dict[str, Work]:
        """What can be tried, by name; of the short study what needs neither a language model nor Snakemake."""
        if self.undisturbed.short:
            return {"kills": self._alone, "disk": self._stations_on_disk, "damage": self._damage,
                    "downloads": self._downloads, "twins": self._commands}  # fmt: skip
        return {
            "snakemake": lambda chance: self._killing(chance).under_snakemake(self.folder, self.kills // 5),
            "kills": self._kills,
            "disk": self._disk,
            "damage": self._damage,
            "unfinished": lambda chance: Unfinished(self._copy(), self.expected, self.table, chance).all(self.tries),
            "downloads": self._downloads,
            "clock": self._clock,
            "twins": self._twins,
        }

    def _copy(self) -> Study:
        return self.undisturbed.copy(Path(tempfile.mkdtemp(dir=self.folder)) / "study")

    def _fresh(self) -> Study:
        return Study(Path(tempfile.mkdtemp(dir=self.folder))).prepare()

    def _killing(self, chance: random.Random) -> Kills:
        return Kills(self.expected, self.table, chance)

    def _kills(self, chance: random.Random) -> None:
        self._killing(chance).packed(self._copy(), self.kills // 10)
        self._alone(chance)

    def _alone(self, chance: random.Random) -> None:
        self._killing(chance).alone(self._copy(), self.kills - self.kills // 5 - self.kills // 10)

    def _damage(self, chance: random.Random) -> None:
        Damage(self._copy(), self.expected, self.table, chance).all(self.tries)

    def _downloads(self, chance: random.Random) -> None:
        del chance
        Downloads(self._copy(), self.expected, self.table).all(self.tries)

    def _commands(self, chance: random.Random) -> None:
        Twins(self._copy(), self.expected, self.table, chance).commands(self.tries)

    def _stations_on_disk(self, chance: random.Random) -> None:
        study, whole = self._copy(), self._copy()
        with small_disk(study.results) as disk:
            shutil.copytree(whole.results, study.results, dirs_exist_ok=True)
            Full(study, self.expected, self.table, chance).all(disk, self.tries)

    def _disk(self, chance: random.Random) -> None:
        self._stations_on_disk(chance)
        fresh = self._fresh()
        with small_disk(fresh.results) as disk:
            Full(fresh, self.expected, self.table, chance).under_snakemake(disk)

    def _clock(self, chance: random.Random) -> None:
        del chance
        other = self._fresh()
        change(other.folder / f"{NAMES[0]}.csv")
        other.make(other.folder / "log")
        clock, study = Clock(self.expected, other.tables(), self.table), self._fresh()
        if can_be_faked():
            clock.set_back_between(study)
        else:
            print("no clock set back in the middle: faketime is not installed", flush=True)
            study.completes()
        clock.a_change_in_the_past(study)
        again = self._fresh()
        again.completes()
        clock.files_of_the_future(again)

    def _twins(self, chance: random.Random) -> None:
        twins = Twins(self._copy(), self.expected, self.table, chance)
        twins.commands(self.tries)
        twins.pipelines(self._fresh())


def main() -> None:
    words = argparse.ArgumentParser(prog="make faults", description=__doc__)
    words.add_argument("--seed", type=int, default=0, help="of all moments, bits and lengths")
    words.add_argument("--kills", type=int, default=210, help="in all; one in five under Snakemake")
    words.add_argument("--tries", type=int, default=3, help="of each other fault, file and reader")
    words.add_argument("--short", action="store_true", help="only what needs neither a language model nor Snakemake")
    words.add_argument("--only", nargs="+", help="some kinds: snakemake kills disk damage unfinished downloads ...")
    words.add_argument(
        "--output", type=Path, default=Path("results/faults"), help="folder of faults.md and faults.json"
    )
    chosen = words.parse_args()
    # torch has read it by now, and each number of threads rounds in its own way
    if os.environ.get("OMP_NUM_THREADS") != "1":
        words.error("set OMP_NUM_THREADS=1, as `make faults` does: what is compared must have run with as many threads")
    station.warm_up(language_model=not chosen.short)
    began, folder = time.monotonic(), Path(tempfile.mkdtemp(prefix="faults-"))
    harness = Harness(folder, chosen.kills, chosen.tries, short=chosen.short)
    for kind, work in harness.kinds().items():
        if not chosen.only or kind in chosen.only:
            try:
                work(random.Random(f"{chosen.seed} {kind}"))
            except NoDiskError as reason:
                print(f"{kind}: left out, no disk may be mounted here ({reason})", flush=True)
            facts = {"seed": chosen.seed, "kills": chosen.kills, "tries": chosen.tries}
            harness.table.write(chosen.output, {**facts, "seconds": round(time.monotonic() - began)})
            print(f"{kind}: {time.monotonic() - began:.0f} s after the start", flush=True)
    print(harness.table.markdown())
    if not harness.table.losses:
        shutil.rmtree(folder)
    raise SystemExit(bool(harness.table.losses))


main()
