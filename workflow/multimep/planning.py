"""A plan: which cross-predictions (and, on one machine, stores) run in which allocation (shard); its JSON file.

Shards work ahead of the rules: each keeps what it finishes under results/ahead/, `collect` puts what still fits its
inputs in place, and Snakemake, which alone decides what is outdated, makes what is then missing one by one.
"""

import hashlib
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from multimep import cluster, costs, forecast, layout, packing, units
from multimep.accounting import duration
from multimep.cluster import Cluster
from multimep.documents import from_json, shown, text
from multimep.layout import EMBED, Config
from multimep.packing import Limits, Packing, Piece, pack, pack_waves
from multimep.typed_values import build
from multimep.units import PlanError, Unit
from multimep.whole_files import write_whole

SOLVING = 5.0
"""Seconds of the integer programme for each wave; more gained nothing over list scheduling in the replay's studies."""


@dataclass(frozen=True)
class Shard:
    """One allocation.

    Attributes:
        lanes: the names of each worker's units.
        seconds: predicted, from its start to its end, with the slowdown by workers that share a GPU.
        gpu: whether it has one (or a node of them).
        workers: that share one GPU at most; 1 without a GPU.
    """

    lanes: Sequence[Sequence[str]]
    seconds: float
    gpu: bool
    workers: int


@dataclass(frozen=True)
class Plan:
    """Units and the shards that they are packed into.

    Attributes:
        language_model: its settings as JSON.
        seed: of the study.
        units: every cross-prediction to be done and, on one machine, every store.
        shards: each unit stands in one of them.
        solved: how the GPU's and the cores' units were packed, and how far from the lower bound.
        shared: whether a worker that has done its own units makes those that others have not begun: shards of one
            machine run at the same time, those of a cluster perhaps tomorrow.
    """

    language_model: str
    seed: int
    units: Sequence[Unit]
    shards: Sequence[Shard]
    solved: Mapping[str, str]
    shared: bool = False

    @cached_property
    def unit(self) -> Mapping[str, Unit]:
        """The units by their names."""
        return {unit.name: unit for unit in self.units}

    @cached_property
    def maker(self) -> Mapping[str, Unit]:
        """The unit that makes a store, by the store's path."""
        return {path: unit for unit in self.units if unit.method == EMBED for path in unit.outputs}

    @cached_property
    def workers(self) -> Mapping[str, int]:
        """How many workers share the GPU of each unit, by the units' names."""
        return {name: shard.workers for shard in self.shards for lane in shard.lanes for name in lane}

    @cached_property
    def identity(self) -> str:
        """Twelve digits that name this plan and no other."""
        return hashlib.sha256(_text(self).encode()).hexdigest()[:12]


def make(
    config: Config, results: Path, needed: Sequence[str], factors: Mapping[str, float], site: Cluster | None = None
) -> Plan:
    """The plan of the cross-predictions of which an output is `needed`; raises PlanError where their inputs lack.

    `site`: where they run, the study's own if not given. On this machine the stores that are needed are units too, for
    a process that makes one has started once; what takes more memory than there is is left to Snakemake, which runs it
    alone.
    """
    site, here = site or cluster.of(config), not config.get("cluster")
    wanted = {str(Path(path)) for path in needed}
    found = [
        unit
        for job in layout.jobs(config)
        if wanted & set((unit := units.prediction(config, results, job, factors)).outputs)
    ]
    if here:
        names = [name for name in config["datasets"] if units.store_of(results, name) in wanted]
        found = _of_this_machine([units.store(config, results, name) for name in names], found, site.memory)
    packed = {
        "GPU": _waves([unit for unit in found if unit.gpu], _gpu_limits(site), site, site.shared),
        "cores": _waves([unit for unit in found if not unit.gpu], _core_limits(site), site, 1.0, even=not here),
    }
    shards = [
        _shard(one, name == "GPU", site) for name, waves in packed.items() for wave in waves for one in wave.shards
    ]
    solved = {name: _account(waves) for name, waves in packed.items() if waves}
    language_model = json.dumps(dict(config.get("language_model", {})), sort_keys=True)
    return Plan(language_model, config.get("seed", 0), found, shards, solved, shared=here)


def _of_this_machine(stores: Sequence[Unit], predictions: Sequence[Unit], memory: float) -> list[Unit]:
    """Stores and predictions that have room here; a prediction is left out with its store."""
    left = {unit.outputs[0] for unit in stores if unit.memory > memory}
    found = [unit for unit in (*stores, *predictions) if unit.memory <= memory]
    return [unit for unit in found if not left & set(unit.stores)]


def _waves(
    asked: Sequence[Unit], limits: Limits, site: Cluster, slowdown: float, *, even: bool = True
) -> list[Packing]:
    """Waves for so many allocations at the same time, the longest first, or the fewest shards for the walltime.

    Where workers take over what others have not begun, nothing has to come out `even`: one wave.
    """
    pieces = [Piece(unit.name, unit.seconds * slowdown, unit.memory) for unit in asked]
    if not pieces:
        return []
    gpus = site.allocations
    if gpus and even:
        return pack_waves(pieces, limits, gpus, seconds_to_solve=SOLVING)
    return [pack(pieces, limits, gpus, seconds_to_solve=SOLVING)]


def _shard(found: packing.Shard, gpu: bool, site: Cluster) -> Shard:
    """A shard; where each lane has a GPU to itself, nothing slows it down."""
    workers = math.ceil(len(found.lanes) / site.gpus_per_allocation) if gpu else 1
    seconds = found.seconds if workers > 1 or not gpu else site.start + (found.seconds - site.start) / site.shared
    return Shard([list(lane) for lane in found.lanes], seconds, gpu, workers)


def _account(waves: Sequence[Packing]) -> str:
    """How the shards were found."""
    solvers = " and ".join(dict.fromkeys(wave.solver for wave in waves))
    shards, gap = sum(len(wave.shards) for wave in waves), max(wave.gap for wave in waves)
    return f"{shards} shards by {solvers}, at most {gap:.1%} above the lower bound"


def _gpu_limits(site: Cluster) -> Limits:
    lanes = site.workers * site.gpus_per_allocation
    return Limits(60.0 * site.walltime, site.gpu_memory * site.gpus_per_allocation, lanes, site.start)


def _core_limits(site: Cluster) -> Limits:
    # where no allocation has to start, a shard's command still has
    return Limits(60.0 * site.walltime, site.memory, site.cores, max(site.start, costs.START))


def sentence(plan: Plan, site: Cluster, others: Sequence[costs.Cost | None] = ()) -> str:
    """What the plan is, what it and the jobs beside it will take, and fewer allocations where some gain nothing."""
    rest = forecast.alone((), others, site)
    gpus, cores = (
        math.fsum(forecast.held(one.seconds, gpu, site, len(one.lanes)) for one in plan.shards if one.gpu == gpu)
        for gpu in (True, False)
    )
    stores = len(plan.maker)
    total = forecast.Forecast(
        len(plan.units) - stores,
        rest.others + stores,
        rest.unknown,
        rest.gpu_hours + gpus,
        rest.core_hours + cores,
    )
    packed = "; ".join(f"{name}: {how}" for name, how in plan.solved.items()) or "nothing to pack"
    return "\n".join([total.sentence(site), packed, *advice(plan, site)])


def advice(plan: Plan, site: Cluster) -> Iterator[str]:
    """A smaller number of allocations, where the one that is set does not shorten the makespan's lower bound.

    The bound of m lanes is start + max(s_max, sum s / m). Lanes that work less than their start are no gain either.
    """
    enough = {}
    kinds = (True, site.workers * site.gpus_per_allocation, site.shared), (False, site.cores, 1.0)
    for gpu, lanes, slowdown in kinds:
        seconds = [slowdown * unit.seconds for unit in plan.units if unit.gpu == gpu]
        if seconds:
            shortest = max(*seconds, site.start)
            enough[math.ceil(math.fsum(seconds) / (lanes * shortest))] = shortest
    most = max(enough, default=0)
    if enough and site.allocations and site.allocations > most and site != cluster.here(site.allocations):
        reason = "the longest cross-prediction" if enough[most] > site.start else "an allocation's start"
        yield (
            f"allocations: {site.allocations} is more than this work can use: from {most} on, "
            f"{reason} ({duration(enough[most])}) bounds the makespan; set allocations: {most}"
        )


def outdated(summary: str) -> Iterator[str]:
    """The files that `snakemake --summary` would make; raises PlanError for another text."""
    lines = [line.split("\t") for line in summary.splitlines()]
    start = next((row for row, line in enumerate(lines) if line[0] == "output_file" and line[-1] == "plan"), None)
    if start is None:
        raise PlanError("--needed: no table of `snakemake --summary`; give its output as it is")
    yield from (line[0] for line in lines[start + 1 :] if len(line) > 1 and line[-1] != "no update")


def _values(plan: Plan) -> dict[str, Any]:
    values = asdict(plan)
    return values if plan.shared else {key: value for key, value in values.items() if key != "shared"}


def _text(plan: Plan) -> str:
    return json.dumps(_values(plan), indent=1, sort_keys=True) + "\n"


def write(plan: Plan, path: Path) -> None:
    """Write the plan as JSON, whole or not at all; its identity stands first, for the rules."""
    write_whole(path, json.dumps({"identity": plan.identity, **_values(plan)}, indent=1) + "\n")


def read(path: Path) -> Plan:
    """The plan in a file that `write` made; raises PlanError for another file."""
    try:
        values = dict(from_json(text(path)))
        told = values.pop("identity", "")
        found = build(Plan, values, "plan")
        _check_places(found)
    except (TypeError, ValueError) as error:  # errors of `documents` and `typed_values` among them
        raise PlanError(f"{path}: not a plan ({error}); make it again with `multimep plan`") from error
    if told != found.identity:
        raise PlanError(f"{path}: damaged or edited, its identity is another one; make it again with `multimep plan`")
    return found


def _check_places(plan: Plan) -> None:
    """Raise PlanError for a unit whose files could stand anywhere, or that is in no shard's reach."""
    for unit in plan.units:
        parts = [part for place in (unit.name, unit.benchmark, *unit.outputs) for part in Path(place).parts]
        if ".." in parts or Path(unit.name).is_absolute() or "\0" in "".join(parts):
            raise PlanError(f"unit {shown(unit.name)} would leave its folder")
        told, of_store = Path(unit.name).parts, unit.method == EMBED
        for place in unit.outputs:
            *folders, name = Path(place).parts
            right = folders[-1:] == ["embeddings"] if of_store else folders[-3:] == ["predictions", *told[:2]]
            if not right or (of_store and name != f"{told[-1]}.h5"):
                raise PlanError(f"unit {shown(unit.name)} would write {shown(place)}, which is none of its files")
        ends = ("benchmarks", *(() if of_store else ("predict",)), *told[:-1], f"{told[-1]}.tsv")
        if Path(unit.benchmark).parts[-len(ends) :] != ends:
            raise PlanError(f"unit {shown(unit.name)} would write {shown(unit.benchmark)}, which is no run time")
    strangers = {name for shard in plan.shards for lane in shard.lanes for name in lane} - set(plan.unit)
    if strangers:
        raise PlanError(f"a shard has the unit {shown(min(strangers))}, which the plan has not")
