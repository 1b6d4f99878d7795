"""A shard: many units in one allocation, by workers that load the language model once each.

Every finished unit stands whole in a folder of its own under `ahead`, with a stamp: the sha256 of all that decided it.
A shard that is tried again takes up after the last of them, and `collect` puts in place what still fits its inputs.
"""

import functools
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from multimep import chosen_model, interruption, is_refusal, seals
from multimep.embedding_job import EmbeddingJob
from multimep.layout import EMBED, STAMP
from multimep.planning import Plan
from multimep.prediction_job import PredictionJob
from multimep.seals import checksum
from multimep.units import Unit
from multimep.whole_files import alone, alone_now, write_whole

BEGUN = "begun"
"""The file that says under which plan a unit was begun last, in the unit's folder."""


class ShardError(ValueError):
    """Units that failed, or a shard that the plan does not have; the message names them and where to look."""


@dataclass(frozen=True)
class Workshop:
    """Where a plan's units are made.

    Attributes:
        plan: what is to be done.
        ahead: folder of finished units.
        mirror, cache: of the language model.
        unfinished: folder for what a signal interrupts.
    """

    plan: Plan
    ahead: Path
    mirror: str = ""
    cache: Path = Path("results/cache")
    unfinished: Path | None = None

    def folder(self, unit: Unit) -> Path:
        """Where a unit's files wait."""
        return self.ahead / unit.name

    def stamp(self, unit: Unit) -> str:
        """The sha256 of all that decides a unit's predictions: its inputs' content, its settings, the version."""
        inputs = [checksum(Path(path)) for path in (*unit.tables, *unit.splits)]
        decided = unit.method, json.dumps(dict(unit.settings), sort_keys=True), self.plan.seed, list(unit.outputs)
        return interruption.fingerprint(chosen_model.identity(self.plan.language_model), *decided, inputs)

    def is_finished(self, unit: Unit) -> bool:
        """Whether a unit was made from the inputs as they are now, and its files wait or were put in place."""
        stamp, folder = self.folder(unit) / STAMP, self.folder(unit)
        made = all((folder / Path(path).name).exists() or Path(path).exists() for path in unit.outputs)
        return made and stamp.exists() and read_stamp(stamp)["sha256"] == self.stamp(unit)

    def make(self, unit: Unit, loader: chosen_model.Loader) -> None:
        """Make one unit; its stamp is written last, so that a half is never taken for the whole."""
        stamp, begin, cpu = self.stamp(unit), time.perf_counter(), time.process_time()
        outputs = [self.folder(unit) / Path(path).name for path in unit.outputs]
        _remove(self.folder(unit) / STAMP)
        if unit.method == EMBED:
            self._embed(unit, outputs[0], loader)
        else:
            self._predict(unit, outputs, loader)
        times = {"s": time.perf_counter() - begin, "cpu_time": time.process_time() - cpu}
        times["workers"] = self.plan.workers[unit.name]
        seals.write(self.folder(unit) / STAMP, json.dumps({"sha256": stamp, **times}) + "\n")

    def _embed(self, unit: Unit, output: Path, loader: chosen_model.Loader) -> None:
        """Make a store out of place, with the rows that it and others have already."""
        table, place = Path(unit.tables[0]), Path(unit.outputs[0])
        job = EmbeddingJob(table, output, self.plan.language_model, unit.settings["rows"], self.ahead, place)
        job.run(self.mirror, self.cache, loader)

    def _predict(self, unit: Unit, outputs: Sequence[Path], loader: chosen_model.Loader) -> None:
        job = PredictionJob(
            unit.method,
            unit.settings,
            [Path(path) for path in unit.tables],
            [Path(path) for path in unit.splits],
            outputs,
            [self._store(path) for path in unit.stores],
            self.plan.language_model,
            self.plan.seed,
        )
        job.run(self.mirror, self.cache, self.unfinished, loader)

    def _store(self, path: str) -> Path:
        """Where a store is: waiting ahead, or in place."""
        maker = self.plan.maker.get(path)
        waiting = self.folder(maker) / Path(path).name if maker else Path(path)
        return waiting if waiting.exists() else Path(path)

    def begin(self, unit: Unit) -> None:
        """Mark a unit as begun under this plan."""
        write_whole(self.folder(unit) / BEGUN, self.plan.identity)

    def is_begun(self, unit: Unit) -> bool:
        """Whether some worker has begun it under this plan, whatever came of it."""
        mark = self.folder(unit) / BEGUN
        return mark.exists() and mark.read_text(encoding="utf-8") == self.plan.identity


class Worker:
    """One process that makes the units of a lane and, where the plan is shared, those that nobody has begun.

    Attributes:
        workshop: where they are made.
        lane: its own units, stores first.
        room: GiB that the largest of them takes: for no other unit there is more.
        faults: what is wrong, in a line for each unit that failed; it is not tried again.
        done: names of units that are finished, as far as this worker has seen.
    """

    def __init__(self, workshop: Workshop, lane: Sequence[str]) -> None:
        own = [workshop.plan.unit[name] for name in lane]
        self.workshop, self.lane = workshop, sorted(own, key=lambda unit: unit.method != EMBED)
        self.room = max((unit.memory for unit in own), default=0.0)
        self.faults: dict[str, str] = {}
        self.done: set[str] = set()
        self._patient = False
        self._loader = functools.cache(chosen_model.load)

    def run(self) -> None:
        """Make them all, one after the other; what is wrong with one does not keep the others from being made.

        What waited for a store that another worker makes comes last.
        """
        for self._patient in (False, True):
            for unit in self.lane:
                self._try(unit)
            for unit in self.others():
                if not self.workshop.is_begun(unit):
                    self._try(unit)

    def others(self) -> list[Unit]:
        """Units of other lanes that this one may take over, the longest first."""
        plan, own = self.workshop.plan, {unit.name for unit in self.lane}
        found = [unit for unit in plan.units if plan.shared and unit.name not in own and unit.memory <= self.room]
        return sorted(found, key=lambda unit: -unit.seconds)

    def _try(self, unit: Unit, *, wait: bool = False) -> None:
        """Make a unit that is not finished, unless another worker makes it or, with `wait`, once that one has ended."""
        interruption.stop_if_requested()
        if unit.name in self.faults or unit.name in self.done:
            return
        try:
            with self._claimed(unit, wait) as mine:
                if mine and not self.workshop.is_finished(unit):
                    if not self._has_stores(unit):
                        return
                    self._make(unit)
                if mine:
                    self.done.add(unit.name)
        except ValueError as error:
            if not is_refusal(error):
                raise
            self.faults[unit.name] = f"{unit.name}: {error}"

    def _make(self, unit: Unit) -> None:
        self.workshop.begin(unit)
        self.workshop.make(unit, self._loader)
        if unit.method == EMBED:
            self._loader.cache_clear()  # the predictions' memory was reckoned without the model
        sys.stdout.write(f"{unit.name} is done\n")
        sys.stdout.flush()

    @contextmanager
    def _claimed(self, unit: Unit, wait: bool) -> Iterator[bool]:
        """Whether the unit is this worker's while the block runs; nobody else asks for it where nothing is shared."""
        if not self.workshop.plan.shared:
            yield True
            return
        lock = alone(self.workshop.folder(unit)) if wait else alone_now(self.workshop.folder(unit))
        with lock or nullcontext():
            yield lock is not None

    def _has_stores(self, unit: Unit) -> bool:
        """Whether the stores of a unit are there, made here if there is room; raises ShardError for one that failed.

        A store that needs more room is another worker's to make, and waited for in the end.
        """
        makers = [self.workshop.plan.maker[path] for path in unit.stores if path in self.workshop.plan.maker]
        for maker in makers:
            if maker.memory <= self.room:
                self._try(maker, wait=True)
            elif self._patient:
                alone(self.workshop.folder(maker)).close()
            if maker.name in self.faults:
                raise ShardError(self.faults[maker.name])
        return all(maker.name in self.done or self.workshop.is_finished(maker) for maker in makers)


def read_stamp(path: Path) -> dict[str, Any]:
    """The stamp of a finished unit; raises ShardError for a damaged one."""
    seals.check(path, ShardError)
    try:
        stamp: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if not {"sha256", "s", "cpu_time"} <= stamp.keys():
            raise ShardError(f"{path}: no stamp of a finished unit; delete it, and the unit is made again")
    except (UnicodeDecodeError, json.JSONDecodeError, AttributeError) as error:
        raise ShardError(f"{path}: no stamp of a finished unit ({error}); delete it, and it is made again") from error
    return stamp


def _remove(stamp: Path) -> None:
    stamp.unlink(missing_ok=True)
    seals.break_seal(stamp)


def run_lane(workshop: Workshop, lane: Sequence[str]) -> None:
    """Make the units of one lane, see `Worker`; raises ShardError that names those that failed, at the end."""
    worker = Worker(workshop, lane)
    with interruption.watch(workshop.unfinished, workshop.plan.identity):
        worker.run()
    if worker.faults:
        raise ShardError("; ".join(worker.faults.values()))


def lanes(plan: Plan, shard: int) -> Sequence[Sequence[str]]:
    """The lanes of a shard; raises ShardError where the plan has no such shard."""
    if not 0 <= shard < len(plan.shards):
        raise ShardError(f"no shard {shard} in this plan of {len(plan.shards)}; make the plan again")
    return plan.shards[shard].lanes


def run_workers(commands: Sequence[Sequence[str]], gpus: int) -> int:
    """Run a process for each lane side by side, signals passed on to all; returns the worst exit status.

    Lane l sees GPU l modulo `gpus` of those that the allocation has.
    """
    workers = [
        subprocess.Popen(command, env={**os.environ, **_visible(lane, gpus)})  # noqa: S603 (our own command)
        for lane, command in enumerate(commands)
    ]

    def pass_on(number: int) -> None:
        for worker in workers:
            worker.send_signal(number)

    with interruption.handled(pass_on):
        return max(abs(worker.wait()) for worker in workers)


def _visible(lane: int, gpus: int) -> dict[str, str]:
    given = os.environ.get("CUDA_VISIBLE_DEVICES", "")
    devices = [device for device in given.split(",") if device]
    return {"CUDA_VISIBLE_DEVICES": devices[lane % min(gpus, len(devices))]} if devices and gpus > 0 else {}


def collect(workshop: Workshop) -> Iterator[str]:
    """Put finished units in place, each of their files in one rename; yields the files.

    What no longer fits its inputs stays where it is, and the rules make it.
    """
    for unit in workshop.plan.units:
        if workshop.is_finished(unit):
            stamp = read_stamp(workshop.folder(unit) / STAMP)
            write_whole(Path(unit.benchmark), _benchmark(stamp["s"], stamp["cpu_time"], stamp.get("workers", 1)))
            for path in map(Path, unit.outputs):
                made = workshop.folder(unit) / path.name
                yield str(path)  # told before it is moved: one that was killed between has told it
                if made.exists():  # else a `collect` that was killed has put it in place
                    seals.move(made, path)
            _remove(workshop.folder(unit) / STAMP)


def _benchmark(seconds: float, cpu: float, workers: int) -> str:
    """A benchmark file with the columns of Snakemake's that a shard knows, and how many workers shared a GPU."""
    return f"s\tcpu_time\tworkers\n{seconds:.4f}\t{cpu:.2f}\t{workers}\n"
