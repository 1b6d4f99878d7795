"""On one machine shards make stores as well, and who has done the own units takes over what others have not begun."""

import json
import re
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from multimep import cluster, dataset, layout, planning, settings, shards, sources, splits, store_making, units
from multimep.embedding_job import EmbeddingJob
from multimep.embeddings import open_store
from multimep.planning import Plan, PlanError
from multimep.prediction_job import PredictionJob
from multimep.shards import ShardError, Worker, Workshop
from multimep.typed_values import build
from multimep.units import Unit
from multimep.whole_files import alone, write_whole
from small_study import study

MODEL = {"parameters": 1_268_854, "layers": 4, "width": 160}
STORES = [f"results/embeddings/{name}.h5" for name in ("alpha", "beta", "gamma")]


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """A study whose tables and splits are made, in the current folder."""
    monkeypatch.chdir(tmp_path)
    config = study(tmp_path)
    config["methods"] = {"additive": {}, "embedding_gp": {}, "fine_tune_together": {"splits": ["random"], "epochs": 1}}
    for name, spec in config["datasets"].items():
        found, record = sources.collect(name, build(sources.DatasetSpec, spec, name), tmp_path, None, tmp_path)
        dataset.write(found, record, Path(f"results/datasets/{name}.csv"))
        for split in config["splits"]:
            scheme = settings.scheme(config["splits"][split], split)
            splits.write(scheme.split(found, 0), Path(f"results/splits/{split}/{name}.csv"))
    write_whole(Path("results/checkpoint.json"), json.dumps(MODEL))
    return config


def made(config: dict[str, Any], cores: int = 2, memory: float = 8.0, outdated: list[str] | None = None) -> Plan:
    files = [f"results/{path}" for path in layout.predictions(config, list(config["datasets"]))]
    site = replace(cluster.here(cores), memory=memory)
    return planning.make(config, Path("results"), [*files, *(STORES if outdated is None else outdated)], {}, site)


def workshop(config: dict[str, Any], **asked: Any) -> Workshop:
    return Workshop(made(config, **asked), Path("results/ahead"), cache=Path("cache"))


def with_large_stores(monkeypatch: pytest.MonkeyPatch, memory: float) -> None:
    plain = units.store
    monkeypatch.setattr(units, "store", lambda *given: replace(plain(*given), memory=memory))


def counted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the units that workers of this process begin."""
    begun, plain = [], Workshop.make

    def make(self: Workshop, unit: Unit, *given: Any) -> None:
        begun.append(unit.name)
        plain(self, unit, *given)

    monkeypatch.setattr(Workshop, "make", make)
    return begun


def lane(shop: Workshop, *names: str) -> None:
    """Make these units alone, with room for all that they need."""
    worker = Worker(shop, names)
    worker.room = 8.0
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Worker, "others", lambda _: [])
        worker.run()
    if worker.faults:
        raise ShardError("; ".join(worker.faults.values()))


def is_done(shop: Workshop) -> list[str]:
    return sorted(unit.name for unit in shop.plan.units if shop.is_finished(unit))


# the plan


def test_a_plan_of_this_machine_has_outdated_stores_too_and_one_shard_for_each_core(config: dict[str, Any]) -> None:
    plan = made(config)
    names = [name for shard in plan.shards for lane in shard.lanes for name in lane]
    assert sorted(names) == sorted(plan.unit)
    assert [name for name in plan.unit if name.startswith("embed/")] == ["embed/alpha", "embed/beta", "embed/gamma"]
    assert (len(plan.shards), plan.shared) == (2, True)
    assert list(made(config, outdated=STORES[:1]).maker) == STORES[:1]
    planning.write(plan, Path("plan.json"))
    assert planning.read(Path("plan.json")) == plan
    assert re.match(r"\d+ cross-predictions and 3 other jobs to do", planning.sentence(plan, cluster.here(2)))


def test_on_a_cluster_stores_are_jobs_of_their_own_and_every_lane_keeps_its_units(config: dict[str, Any]) -> None:
    files = [f"results/{path}" for path in layout.predictions(config, list(config["datasets"]))]
    plan = planning.make({**config, "cluster": {"cores": 2}}, Path("results"), [*files, *STORES], {})
    assert (dict(plan.maker), plan.shared) == ({}, False)


def test_a_store_for_which_there_is_no_room_is_left_to_snakemake_with_its_predictions(
    config: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    with_large_stores(monkeypatch, 6.0)
    assert made(config).unit["random/additive/alpha"].memory < 1.0
    less = made(config, memory=5.0)
    assert dict(less.maker) == {}
    assert {unit.method for unit in less.units} == {"fine_tune_together"}  # it reads no store


def test_without_a_summary_what_is_missing_is_planned_stores_too(config: dict[str, Any]) -> None:
    Path("config.json").write_text(json.dumps(config))
    command = [sys.executable, "-m", "multimep", "plan", "--config", "config.json", "--output", "plan.json"]
    subprocess.run(command, check=True, capture_output=True)
    assert list(planning.read(Path("plan.json")).maker) == STORES


@pytest.mark.parametrize("place", ["results/embeddings/beta.h5", "elsewhere/alpha.h5", "results/predictions/alpha.h5"])
def test_a_plan_whose_store_would_stand_elsewhere_is_refused(place: str, config: dict[str, Any]) -> None:
    plan = made(config)
    stranger = replace(plan.unit["embed/alpha"], outputs=[place])
    planning.write(replace(plan, units=[stranger, *plan.units[1:]]), Path("plan.json"))
    with pytest.raises(PlanError, match="none of its files"):
        planning.read(Path("plan.json"))


# stores


def test_a_store_made_by_a_shard_is_that_of_embed_and_waits_ahead(config: dict[str, Any]) -> None:
    shop = workshop(config)
    lane(shop, "embed/alpha")
    assert not Path(STORES[0]).exists()
    EmbeddingJob(Path("results/datasets/alpha.csv"), Path("alone/alpha.h5"), "{name: mini}", "all").run("", Path("c"))
    found, expected = open_store(shop.ahead / "embed/alpha/alpha.h5"), open_store(Path("alone/alpha.h5"))
    assert found.maker == expected.maker
    assert list(found.row_of) == list(expected.row_of)
    assert (found.rows("pooled", list(found.row_of)) == expected.rows("pooled", list(found.row_of))).all()
    assert list(shards.collect(shop)) == STORES[:1]
    assert open_store(Path(STORES[0])).maker == expected.maker
    assert float(Path("results/benchmarks/embed/alpha.tsv").read_text().splitlines()[1].split("\t")[0]) > 0


def test_a_prediction_makes_the_store_that_it_lacks_and_reads_it_where_it_waits(config: dict[str, Any]) -> None:
    shop = workshop(config)
    lane(shop, "random/embedding_gp/alpha")
    assert is_done(shop) == ["embed/alpha", "random/embedding_gp/alpha"]
    unit = shop.plan.unit["random/embedding_gp/alpha"]
    (output,) = unit.outputs
    ahead = (shop.folder(unit) / "alpha.csv").read_bytes()
    assert sorted(shards.collect(shop)) == sorted([STORES[0], output])
    again = Path("again/alpha.csv")
    files = [[Path(path) for path in paths] for paths in (unit.tables, unit.splits)]
    job = PredictionJob(unit.method, unit.settings, *files, [again], [Path(STORES[0])], shop.plan.language_model)
    job.run("", Path("cache"))
    assert ahead == again.read_bytes() == Path(output).read_bytes()


def test_a_store_in_place_gives_its_rows_to_the_one_that_takes_its_place(
    config: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    lane(shop := workshop(config), "embed/alpha")
    list(shards.collect(shop))
    with Path("alpha.csv").open("a") as file:
        file.write("M1A,0.5\n")
    spec = build(sources.DatasetSpec, config["datasets"]["alpha"], "alpha")
    found, record = sources.collect("alpha", spec, Path("cache"), None, Path())
    dataset.write(found, record, Path("results/datasets/alpha.csv"))
    computed: list[int] = []
    plain = EmbeddingJob.run

    def run(self: EmbeddingJob, *given: Any) -> tuple[int, int]:
        result = plain(self, *given)
        computed.append(result[0])
        return result

    monkeypatch.setattr(EmbeddingJob, "run", run)
    lane(workshop(config), "embed/alpha")
    assert computed == [1]


def test_a_store_that_fails_is_tried_once_and_named_for_each_prediction_that_needed_it(
    config: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("results/datasets/alpha.csv").write_text("nonsense\n")
    shop, begun = workshop(config), counted(monkeypatch)
    alpha, other = "random/additive/alpha", "random/embedding_gp/alpha"
    with pytest.raises(ShardError, match=rf"{alpha}: embed/alpha: .*alpha\.csv.*; {other}: embed/alpha: "):
        lane(shop, alpha, "random/additive/beta", other)
    assert is_done(shop) == ["embed/beta", "random/additive/beta"]
    assert begun == ["embed/alpha", "embed/beta", "random/additive/beta"]


def test_a_prediction_whose_store_needs_more_room_is_left_to_the_worker_that_makes_the_store(
    config: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    with_large_stores(monkeypatch, 6.0)
    shop = workshop(config)
    shards.run_lane(shop, ["random/additive/alpha", "random/fine_tune_together/all"])
    assert is_done(shop) == ["random/fine_tune_together/all"]
    shards.run_lane(shop, ["embed/beta"])
    assert is_done(shop) == sorted(shop.plan.unit)


def test_blocks_of_a_store_that_was_interrupted_serve_whoever_makes_it_next(
    config: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_making, "BLOCK", 8)
    shop, written, plain = workshop(config), [], store_making._computed

    def computed(*given: Any) -> Any:
        written.append(1)
        if len(written) == 3:
            raise OSError("killed")
        return plain(*given)

    monkeypatch.setattr(store_making, "_computed", computed)
    with pytest.raises(OSError, match="killed"):
        lane(shop, "embed/alpha")
    blocks = len(list(Path("results/embeddings/.alpha.h5.parts").glob("*.npy")))
    assert blocks >= 1
    monkeypatch.setattr(store_making, "_computed", lambda *given: written.append(1) or plain(*given))
    table, place = Path("results/datasets/alpha.csv"), Path(STORES[0])
    written.clear()
    EmbeddingJob(table, place, shop.plan.language_model, "all").run("", Path("cache"))
    assert len(written) == -(-len(open_store(place).row_of) // 8) - blocks


# taking over


def test_a_worker_that_has_done_its_own_units_makes_those_that_nobody_has_begun(config: dict[str, Any]) -> None:
    shop = workshop(config)
    shards.run_lane(shop, ["embed/alpha"])
    room = shop.plan.unit["embed/alpha"].memory
    assert is_done(shop) == sorted(unit.name for unit in shop.plan.units if unit.memory <= room)
    assert len(is_done(shop)) > 5
    shards.run_lane(shop, [max(shop.plan.units, key=lambda unit: unit.memory).name])
    assert is_done(shop) == sorted(shop.plan.unit)


def test_a_unit_that_failed_elsewhere_is_not_taken_over(
    config: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("results/splits/random/alpha.csv").write_text("nonsense\n")
    shop, begun, wrong = workshop(config), counted(monkeypatch), "random/additive/alpha"
    with pytest.raises(ShardError, match=rf"{wrong}: .*alpha\.csv"):
        shards.run_lane(shop, ["embed/alpha", wrong])
    shards.run_lane(shop, ["embed/beta"])
    assert begun.count(wrong) == 1
    with pytest.raises(ShardError, match=wrong):  # its own lane tries again
        shards.run_lane(shop, [wrong])
    assert begun.count(wrong) == 2


def test_what_another_worker_is_making_is_left_to_it(config: dict[str, Any]) -> None:
    shop = workshop(config)
    with alone(shop.folder(shop.plan.unit["random/additive/alpha"])):
        lane(shop, "random/additive/alpha", "random/additive/beta")
        assert is_done(shop) == ["embed/beta", "random/additive/beta"]
    lane(shop, "random/additive/alpha")
    assert "random/additive/alpha" in is_done(shop)


def test_two_workers_at_once_make_every_unit_once(config: dict[str, Any]) -> None:
    plan = made(config, cores=2)
    planning.write(plan, Path("plan.json"))
    commands = [
        [sys.executable, "-m", "multimep", "shard", "plan.json", "--shard", str(number), "--ahead", "results/ahead"]
        for number in range(2)
    ]
    running = [subprocess.Popen(one, stdout=subprocess.PIPE, text=True) for one in commands]
    told = [one.communicate(timeout=300)[0] for one in running]
    assert [one.returncode for one in running] == [0, 0]
    done = Counter(line.removesuffix(" is done") for text in told for line in text.splitlines())
    assert done == Counter(plan.unit.keys())


def test_units_of_a_cluster_are_not_taken_over_and_wait_for_no_lock(config: dict[str, Any]) -> None:
    shop = workshop(config, outdated=[])
    shop = replace(shop, plan=replace(shop.plan, shared=False))
    name = "random/fine_tune_together/all"
    with alone(shop.folder(shop.plan.unit[name])):
        shards.run_lane(shop, [name])
    assert is_done(shop) == [name]
