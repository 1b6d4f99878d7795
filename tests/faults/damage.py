"""Files cut short and bits flipped: what reads them refuses them, or finds the same."""

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from faults.kills import differences
from faults.station import Ended, Station, require_refusal, run
from faults.study import Study
from faults.table import Row, Table, require

WAY_OUT = ("again", "delete", "make", "remove", "fetch", "run")


@dataclass(frozen=True)
class Target:
    """A file and the station that reads it.

    Attributes:
        kind: of the file, as the table has it.
        path: below the folder of the study.
        reader: the station; its outputs are compared.
    """

    kind: str
    path: str
    reader: Station


def cut(content: bytes, chance: random.Random) -> bytes:
    """Only the first bytes."""
    return content[: chance.randrange(len(content))]


def flip(content: bytes, chance: random.Random) -> bytes:
    """One bit in another state."""
    damaged, place = bytearray(content), chance.randrange(8 * len(content))
    damaged[place // 8] ^= 1 << (place % 8)
    return bytes(damaged)


def zeros(content: bytes, chance: random.Random) -> bytes:
    """A stretch of zeros, as a lost page leaves it."""
    start = chance.randrange(len(content))
    length = min(chance.randint(1, 4096), len(content) - start)
    return content[:start] + bytes(length) + content[start + length :]


DAMAGES: dict[str, Callable[[bytes, random.Random], bytes]] = {"cut short": cut, "a bit flipped": flip, "zeros": zeros}


def targets(study: Study) -> Iterator[Target]:
    """Every file that one station writes and another reads, with its readers."""
    own, results = study.names[-1], "results"  # below, a name finds the last station that has it
    files = {
        "dataset, CSV": (f"{results}/datasets/{own}.csv", ("split", "evaluate", "cross-predict additive", "report")),
        "record of a dataset, JSON": (f"{results}/datasets/{own}.json", ("split", "evaluate", "report")),
        "split, CSV": (
            f"{results}/splits/random/{own}.csv",
            ("cross-predict additive", "cross-predict fine_tune_together", "evaluate", "leaks"),
        ),
        "embedding store, HDF5": (f"{results}/embeddings/{own}.h5", ("cross-predict embedding_gp", "embed")),
        "predictions, CSV": (f"{results}/predictions/random/additive/{own}.csv", ("evaluate", "report")),
        "metrics, CSV": (f"{results}/metrics/{own}.csv", ("report",)),
        "findings on leaks, JSON": (f"{results}/leaks.json", ("report",)),
    }
    stations = {station.name: station for station in study.stations()}
    for kind, (path, readers) in files.items():
        for reader in readers:
            if reader in stations:
                yield Target(kind, path, stations[reader])


@dataclass(frozen=True)
class Damage:
    """Damage to one study, again and again."""

    study: Study
    expected: dict[str, bytes]
    table: Table
    random: random.Random

    def all(self, tries: int) -> None:
        """So many tries for each file, reader and kind of damage."""
        for target in targets(self.study):
            for kind, damage in DAMAGES.items():
                for _ in range(tries):
                    self.one(target, kind, damage)

    def one(self, target: Target, kind: str, damage: Callable[[bytes, random.Random], bytes]) -> None:
        """Damage the file, run its reader, put everything back."""
        path = self.study.folder / target.path
        whole = path.read_bytes()
        kept = {name: (self.study.folder / name).read_bytes() for name in target.reader.outputs}
        damaged = damage(whole, self.random)
        with self.table.attempt(f"{target.kind}: {kind}", f"{target.path} read by {target.reader.name}") as row:
            path.write_bytes(damaged)
            try:
                if damaged != whole:
                    self.judge(target, run_apart(self.study, target.reader), row)
            finally:
                for name, content in kept.items():
                    (self.study.folder / name).write_bytes(content)
                path.write_bytes(whole)

    def judge(self, target: Target, ended: Ended, row: Row) -> None:
        """Refused by name with a way out, or the same tables as ever."""
        if ended.status == 0:
            # what was only read is as we left it
            but = "" if target.path in target.reader.outputs else target.path.removeprefix("results/")
            found = self.study.tables(but)
            expected = {name: told for name, told in self.expected.items() if name != but}
            require(found == expected, f"silently another result ({differences(found, expected)})")
            return
        require_refusal(ended, target.reader, (Path(target.path).name,), WAY_OUT)
        row.refused += 1


def run_apart(study: Study, station: Station) -> Ended:
    """The station without its outputs of before, as Snakemake runs it; a store is updated, so it stays."""
    for name in station.outputs:
        if not name.endswith(".h5"):
            (study.folder / name).unlink(missing_ok=True)
    return run(station, study.folder, study.folder / "log", environment={"MULTIMEP_CACHE": "results/cache"})
