"""Damage to what waits in hiding: unfinished work, plans and what shards have made, predictors, language models."""

import json
import random
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from faults.damage import DAMAGES, WAY_OUT
from faults.kills import differences
from faults.station import Ended, Station, require_refusal, require_success, run, start
from faults.study import NAMES, Study, packed
from faults.table import Row, Table, require
from multimep import seals
from multimep.language_model import MINI


@dataclass(frozen=True)
class Unfinished:
    """A study in which something waits, and what it ends in undisturbed."""

    study: Study
    expected: dict[str, bytes]
    table: Table
    random: random.Random

    def all(self, tries: int) -> None:
        """Every kind of file, so many tries for each kind of damage."""
        self.folds_and_trainings(tries)
        self.blocks(tries)
        self.plans_and_stamps(tries)
        self.predictors(tries)
        self.language_models(tries)

    def folds_and_trainings(self, tries: int) -> None:
        """The second fold of a fine-tuning is killed: the first, and a training, wait."""
        station = next(one for one in self.study.stations() if "together" in one.name)
        self._remove(station.outputs)
        waiting = self.study.results / "unfinished"
        self._killed_when(station, lambda: any(waiting.glob("fold-*.json")))
        for pattern, kind in (("fold-*", "a finished fold, JSON"), ("training-*", "an unfinished training")):
            if files := list(waiting.glob(pattern)):
                self._each(kind, files, [station], tries)
        require_success(self._run(station), station)

    def blocks(self, tries: int) -> None:
        """A making of a store is killed when its first block is there."""
        station = next(one for one in self.study.stations() if one.name == "embed")
        self._remove(station.outputs)
        parts = self.study.results / "embeddings" / f".{Path(station.outputs[0]).name}.parts"
        self._killed_when(station, lambda: any(parts.glob("*.npy")))
        self._each("a block of an unfinished store", list(parts.glob("*.npy")), [station], tries)
        require_success(self._run(station), station)

    def plans_and_stamps(self, tries: int) -> None:
        """Predictions are made by a shard; what it made waits for `collect`."""
        self._remove([name for one in self.study.stations() if "predict" in one.name for name in one.outputs])
        plan, *rest = packed(self.study)
        require_success(self._run(plan), plan)
        follow = [*rest, *(one for one in self.study.stations() if one.name == "evaluate")]
        self._each("a plan, JSON", [self.study.results / "plan.json"], follow, tries, repair=lambda _: self._run(plan))
        require_success(self._run(rest[0]), rest[0])
        ahead = self.study.results / "ahead"
        self._each("a stamp, JSON", list(ahead.rglob("stamp.json")), follow, tries)
        self._each("predictions made ahead, CSV", list(ahead.rglob("*.csv")), follow, tries, repair=self._made_by_rule)
        for one in follow:
            require_success(self._run(one), one)

    def _made_by_rule(self, damaged: Path) -> None:
        """What Snakemake does once the file that a refusal names was deleted."""
        label, split = damaged.parents[1].name, damaged.parents[2].name
        (self.study.results / "predictions" / split / label / damaged.name).unlink()
        for one in self.study.stations():
            if "predict" in one.name and label in one.name:
                require_success(self._run(one), one)

    def predictors(self, tries: int) -> None:
        """A fitted predictor is asked about every single mutant."""
        made, told = self.study.folder / "fitted.safetensors", self.study.folder / "asked.csv"
        table = f"results/datasets/{NAMES[0]}.csv"
        fit = Station("fit", ("fit", table, "--method", "embedding_gp", "--output", made.name), (made.name,))
        ask = Station("predict", ("predict", made.name, "--output", told.name), (told.name,))
        self._outside("a fitted predictor", made, fit, ask, told, tries)

    def language_models(self, tries: int) -> None:
        """A checkpoint of one's own whose sha256 is stated."""
        own, told = self.study.folder / "own.safetensors", self.study.folder / "own.csv"
        chosen = json.dumps({"name": own.name, "sha256": seals.checksum(MINI), "precision": "fp32"})
        method = ("cross-predict", "zero_shot", "--language-model", chosen)
        files = ("--dataset", f"results/datasets/{NAMES[0]}.csv", "--split", f"results/splits/random/{NAMES[0]}.csv")
        ask = Station("cross-predict zero_shot", (*method, *files, "--output", told.name), (told.name,))
        shutil.copy(MINI, own)
        self._outside("a language model whose sha256 is stated", own, None, ask, told, tries)

    def _outside(self, kind: str, file: Path, make: Station | None, ask: Station, told: Path, tries: int) -> None:
        """Damage to a file that no results folder holds; what is asked of it is compared."""
        if make is not None:
            require_success(self._run(make), make)
        require_success(self._run(ask), ask)
        whole, expected = file.read_bytes(), told.read_bytes()
        for name, damage in DAMAGES.items():
            for _ in range(tries):
                with self.table.attempt(f"{kind}: {name}", file.name) as row:
                    file.write_bytes(damage(whole, self.random))
                    told.unlink(missing_ok=True)
                    ended = self._run(ask)
                    if ended.status == 0:
                        require(told.read_bytes() == expected, "silently another result")
                    else:
                        self._refused(ended, ask, file, row)
                        require(not told.exists(), f"{told.name} is there after a refusal")
        file.write_bytes(whole)

    def _each(
        self,
        kind: str,
        files: Sequence[Path],
        stations: Sequence[Station],
        tries: int,
        repair: Callable[[Path], object] = lambda _: None,
    ) -> None:
        """Damage one file and give the commands that follow; after a refusal do as it says and give them again."""
        state = self.study.folder / "kept"
        shutil.copytree(self.study.results, state)
        for name, damage in DAMAGES.items():
            for _ in range(tries):
                path = self.random.choice(list(files))
                with self.table.attempt(f"{kind}: {name}", str(path.relative_to(self.study.folder))) as row:
                    path.write_bytes(damage(path.read_bytes(), self.random))
                    if refused := self._follow(stations):
                        self._refused(*refused, path, row)
                        path.unlink(missing_ok=True)
                        repair(path)
                        again = self._follow(stations)
                        require(again is None, f"refused again: {again}")
                    found = self.study.tables()
                    require(found == self.expected, differences(found, self.expected))
                shutil.rmtree(self.study.results)
                shutil.copytree(state, self.study.results)
        shutil.rmtree(state)

    def _follow(self, stations: Sequence[Station]) -> tuple[Ended, Station] | None:
        """The first of the commands that did not succeed."""
        for station in stations:
            ended = self._run(station)
            if ended.status != 0:
                return ended, station
        return None

    def _refused(self, ended: Ended, station: Station, path: Path, row: Row) -> None:
        require_refusal(ended, station, (path.name,), WAY_OUT)
        row.refused += 1

    def _run(self, station: Station) -> Ended:
        return run(station, self.study.folder, self.study.folder / "log", environment=self.study.environment)

    def _killed_when(self, station: Station, seen: Callable[[], bool]) -> None:
        process = start(station.words, self.study.folder, self.study.folder / "log", self.study.environment)
        limit = time.monotonic() + 120
        while not seen():
            require(time.monotonic() < limit, f"{station.name}: nothing to go on from was seen")
            time.sleep(0.0005)
        process.kill()

    def _remove(self, names: Sequence[str]) -> None:
        for name in names:
            (self.study.folder / name).unlink(missing_ok=True)
