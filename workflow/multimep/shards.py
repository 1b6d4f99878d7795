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
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from multimep import chosen_model, interruption, is_refusal, seals
from multimep.embedding_job import EmbeddingJob
from multimep.layout import STAMP
from multimep.planning import Plan
from multimep.prediction_job import PredictionJob
from multimep.seals import checksum
from multimep.units import EMBED, Unit
from multimep.whole_files import alone, alone_now, write_whole


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
        there = {*Path(unit.outputs[0]).parent.glob("*.h5"), *self.ahead.glob(f"{EMBED}/*/*.h5")} - {output}
        rows = unit.settings["rows"]
        EmbeddingJob(Path(unit.tables[0]), output, self.plan.language_model, rows, sorted(there)).run(
            self.mirror, self.cache, loader
        )

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

    def attempt(self, unit: Unit, loader: chosen_model.Loader, *, wait: bool = False) -> list[str]:
        """Make one unit that is not finished, its stores first; what is wrong is returned in a line: others go on.

        A unit that another worker makes is left to it, or waited for.
        """
        lock = alone(self.folder(unit)) if wait else alone_now(self.folder(unit))
        if lock is None:
            return []
        with lock:
            try:
                if self.is_finished(unit):
                    return []
                makers = [self.plan.maker[path] for path in unit.stores if path in self.plan.maker]
                if faults := [fault for maker in makers for fault in self.attempt(maker, loader, wait=True)]:
                    return [f"{unit.name}: {fault}" for fault in faults]
                self.make(unit, loader)
            except ValueError as error:
                if not is_refusal(error):
                    raise
                return [f"{unit.name}: {error}"]
        sys.stdout.write(f"{unit.name} is done\n")
        sys.stdout.flush()
        return []


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
    """Make the units of one lane, one after the other; raises ShardError that names those that failed, at the end.

    Where the plan is shared, then those of other lanes that nobody has begun and that need no more memory.
    """
    loader, failed = functools.cache(chosen_model.load), []
    with interruption.watch(workshop.unfinished, workshop.plan.identity):
        for unit in [*(workshop.plan.unit[name] for name in lane), *_others(workshop.plan, lane)]:
            interruption.stop_if_requested()
            failed += workshop.attempt(unit, loader)
    if failed:
        raise ShardError("; ".join(failed))


def _others(plan: Plan, lane: Sequence[str]) -> list[Unit]:
    """Units of other lanes that this one may take over, the longest first."""
    room = max((plan.unit[name].memory for name in lane), default=0.0)
    found = [unit for unit in plan.units if plan.shared and unit.name not in lane and unit.memory <= room]
    return sorted(found, key=lambda unit: -unit.seconds)


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
