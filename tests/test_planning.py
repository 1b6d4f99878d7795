"""Plans hold every outdated cross-prediction once; shards make them, go on after an interruption, and are collected."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from multimep import costs, dataset, forecast, layout, planning, settings, shards, sources, splits
from multimep.cluster import Cluster, ClusterError
from multimep.planning import PlanError
from multimep.prediction_job import PredictionJob
from multimep.shards import ShardError, Workshop
from multimep.typed_values import build
from small_study import study

MODEL = {"parameters": 1_268_854, "layers": 4, "width": 160}


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """A study whose tables and splits are made, in the current folder."""
    monkeypatch.chdir(tmp_path)
    config = study(tmp_path)
    config["methods"] = {"additive": {}, "zero_shot": {}, "fine_tune_by_group": config["methods"]["fine_tune_by_group"]}
    for name, spec in config["datasets"].items():
        found, record = sources.collect(name, build(sources.DatasetSpec, spec, name), tmp_path, None, tmp_path)
        dataset.write(found, record, Path(f"results/datasets/{name}.csv"))
        split = settings.scheme(config["splits"]["random"], "random").split(found, 0)
        splits.write(split, Path(f"results/splits/random/{name}.csv"))
    dataset.write_whole(Path("results/checkpoint.json"), json.dumps(MODEL))
    return config


def every(config: dict[str, Any]) -> list[str]:
    return [f"results/{path}" for path in layout.predictions(config, list(config["datasets"]))]


def made(config: dict[str, Any], **cluster: Any) -> planning.Plan:
    return planning.make({**config, "cluster": cluster}, Path("results"), every(config), {})


def test_a_plan_holds_every_job_of_the_study_in_one_lane(config: dict[str, Any]) -> None:
    plan = made(config, cores=2)
    names = [name for shard in plan.shards for lane in shard.lanes for name in lane]
    assert sorted(names) == sorted(plan.unit) == sorted(job.name for job in layout.jobs(config))
    assert {path for unit in plan.units for path in unit.outputs} == set(every(config))


def test_a_joint_method_is_one_unit_for_each_team(config: dict[str, Any]) -> None:
    plan = made(config)
    binding = plan.unit["random/fine_tune_by_group/binding"]
    assert [Path(path).stem for path in binding.tables] == ["alpha", "beta"]
    assert len(binding.splits) == len(binding.outputs) == 2
    assert not binding.stores


def test_what_is_up_to_date_is_not_planned(config: dict[str, Any]) -> None:
    needed = ["results/predictions/random/fine_tune_by_group/beta.csv", "results/report.html"]
    plan = planning.make(config, Path("results"), needed, {})
    assert [unit.name for unit in plan.units] == ["random/fine_tune_by_group/binding"]


def test_nothing_to_do_is_a_plan_without_shards(config: dict[str, Any]) -> None:
    plan = planning.make(config, Path("results"), [], {})
    assert (plan.units, plan.shards) == ([], [])
    assert "nothing to pack" in planning.sentence(plan, Cluster())


def test_fine_tuning_goes_to_gpus_where_there_are_some(config: dict[str, Any]) -> None:
    plan = made(config, gres="gpu:1")
    by_gpu = {shard.gpu: {plan.unit[name].method for lane in shard.lanes for name in lane} for shard in plan.shards}
    assert by_gpu == {True: {"fine_tune_together"}, False: {"additive", "zero_shot"}}
    assert not any(shard.gpu for shard in made(config).shards)


def test_a_plan_for_so_many_allocations_keeps_every_unit(config: dict[str, Any]) -> None:
    plan = made(config, gres="gpu:1", allocations=2)
    assert len([name for shard in plan.shards for lane in shard.lanes for name in lane]) == len(plan.units)


def test_a_plan_is_the_same_after_writing_and_reading(config: dict[str, Any]) -> None:
    plan = made(config, cores=2)
    planning.write(plan, Path("plan.json"))
    assert planning.read(Path("plan.json")) == plan
    assert json.loads(Path("plan.json").read_text())["identity"] == plan.identity
    assert plan.identity == made(config, cores=2).identity != replace(plan, seed=1).identity


def test_another_file_is_no_plan(tmp_path: Path) -> None:
    path = tmp_path / "plan.json"
    path.write_text("{}")
    with pytest.raises(PlanError, match=r"plan.json: not a plan .*multimep plan"):
        planning.read(path)


def test_a_plan_before_the_splits_are_made_says_what_to_run(config: dict[str, Any]) -> None:
    Path("results/splits/random/beta.csv").unlink()
    with pytest.raises(PlanError, match="snakemake prepared"):
        made(config)


def test_the_summary_of_snakemake_tells_what_is_outdated() -> None:
    head = "output_file\tdate\trule\tlog-file(s)\tstatus\tplan\n"
    table = f"some message\n{head}a.csv\t-\tpredict\t\tmissing\tupdate pending\nb.csv\tx\tpredict\t\tok\tno update\n"
    assert list(planning.outdated(table)) == ["a.csv"]
    with pytest.raises(PlanError, match="--summary"):
        list(planning.outdated("nothing of the kind"))


def workshop(config: dict[str, Any]) -> Workshop:
    return Workshop(made(config, cores=1), Path("results/ahead"), cache=Path("cache"))


def test_a_shards_predictions_are_those_of_cross_predict_to_the_last_bit(config: dict[str, Any]) -> None:
    shop = workshop(config)
    unit = shop.plan.unit["random/fine_tune_by_group/binding"]
    without = replace(shop.plan, units=[replace(one, stores=[]) for one in shop.plan.units])
    shards.run_lane(replace(shop, plan=without), [unit.name])
    alone = [Path("alone") / Path(path).name for path in unit.outputs]
    tables, folds = ([Path(path) for path in paths] for paths in (unit.tables, unit.splits))
    PredictionJob(unit.method, unit.settings, tables, folds, alone).run("", Path("cache"))
    for path in alone:
        assert (shop.folder(unit) / path.name).read_bytes() == path.read_bytes()


def test_finished_units_are_collected_and_nothing_else(config: dict[str, Any]) -> None:
    shop = without_stores(workshop(config))
    shards.run_lane(shop, ["random/additive/alpha", "random/additive/beta"])
    collected = list(shards.collect(shop))
    assert collected == [f"results/predictions/random/additive/{name}.csv" for name in ("alpha", "beta")]
    assert all(Path(path).exists() for path in collected)
    assert costs.read_seconds("results/benchmarks/predict/random/additive/alpha.tsv") > 0
    assert list(shards.collect(shop)) == []


def without_stores(shop: Workshop) -> Workshop:
    return replace(shop, plan=replace(shop.plan, units=[replace(unit, stores=[]) for unit in shop.plan.units]))


def test_a_shard_that_is_tried_again_makes_only_what_it_lacks(config: dict[str, Any]) -> None:
    shop = without_stores(workshop(config))
    shards.run_lane(shop, ["random/additive/alpha"])
    stamp = shop.folder(shop.plan.unit["random/additive/alpha"]) / shards.STAMP
    before = stamp.stat().st_mtime_ns
    shards.run_lane(shop, ["random/additive/alpha", "random/additive/gamma"])
    assert stamp.stat().st_mtime_ns == before
    assert shop.is_finished(shop.plan.unit["random/additive/gamma"])


def test_a_unit_whose_input_changed_since_is_not_collected(config: dict[str, Any]) -> None:
    shop = without_stores(workshop(config))
    shards.run_lane(shop, ["random/additive/alpha", "random/additive/beta"])
    with Path("results/splits/random/alpha.csv").open("a") as file:
        file.write("\n")
    assert list(shards.collect(shop)) == ["results/predictions/random/additive/beta.csv"]


def test_a_unit_that_fails_is_named_and_the_others_are_made(config: dict[str, Any]) -> None:
    Path("results/datasets/alpha.csv").write_text("nonsense\n")
    shop = without_stores(workshop(config))
    with pytest.raises(ShardError, match=r"random/additive/alpha: .*alpha\.csv"):
        shards.run_lane(shop, ["random/additive/alpha", "random/additive/beta"])
    assert shop.is_finished(shop.plan.unit["random/additive/beta"])


def test_a_shard_that_the_plan_does_not_have_is_refused(config: dict[str, Any]) -> None:
    with pytest.raises(ShardError, match="no shard 99"):
        shards.lanes(made(config), 99)


def test_the_forecast_counts_what_is_missing_and_adds_up(config: dict[str, Any]) -> None:
    jobs = list(layout.jobs(config))
    assert list(forecast.missing(config, Path("results"))) == jobs
    known = [costs.Cost(7200.0, 1.0, gpu=True), costs.Cost(3600.0, 1.0, gpu=False), None]
    total = forecast.of(known, Cluster())
    assert (total.jobs, total.unknown, total.gpu_hours, total.core_hours) == (3, 1, 2.0, 1.0)
    site = Cluster(
        watts_per_gpu=500, watts_per_core=10, cores_per_gpu=10, price_per_gpu_hour=2, price_per_core_hour=0.5
    )
    assert forecast.energy(2.0, 1.0, site) == pytest.approx(2 * 0.6 + 0.01)
    assert "4.50 EUR" in total.sentence(site)
    Path("results/splits/random/beta.csv").unlink()  # of beta's two alone and of the team with alpha
    assert "3 of them not foreseeable" in forecast.study(config, Path("results"), {})


@pytest.mark.parametrize("values", [{"walltime": 0}, {"allocations": 0}, {"watts_per_gpu": -1.0}, {"workers": 0}])
def test_a_cluster_that_could_not_be_is_refused_by_name(values: dict[str, Any]) -> None:
    with pytest.raises(ClusterError, match=next(iter(values))):
        Cluster(**values)
