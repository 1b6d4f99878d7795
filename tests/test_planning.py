"""Plans hold every outdated cross-prediction once; shards make them, go on after an interruption, and are collected."""

import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from multimep import cluster, costs, dataset, forecast, layout, planning, seals, settings, shards, sources, splits
from multimep.cluster import Cluster, ClusterError
from multimep.packing import PackingError
from multimep.planning import PlanError
from multimep.prediction_job import PredictionJob
from multimep.shards import ShardError, Workshop
from multimep.typed_values import build
from multimep.whole_files import write_whole
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
    write_whole(Path("results/checkpoint.json"), json.dumps(MODEL))
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


def test_without_a_cluster_a_shard_is_one_lane_and_as_many_run_at_once_as_this_machine_has_cores(
    config: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0, 1, 2})
    plan = planning.make(config, Path("results"), every(config), {})
    assert [len(shard.lanes) for shard in plan.shards] == [1, 1, 1]
    assert sorted(name for shard in plan.shards for name in shard.lanes[0]) == sorted(plan.unit)
    assert not any(shard.gpu for shard in plan.shards)
    assert list(planning.advice(plan, cluster.of(config))) == []


def test_what_needs_more_memory_than_this_machine_has_is_left_to_snakemake(config: dict[str, Any]) -> None:
    plan = planning.make(config, Path("results"), every(config), {}, cluster.here(2))
    largest = max(unit.memory for unit in plan.units)
    less = replace(cluster.here(2), memory=largest - 1e-9)
    left = planning.make(config, Path("results"), every(config), {}, less)
    assert list(left.units) == [unit for unit in plan.units if unit.memory < largest]
    with pytest.raises(PackingError, match="GiB"):  # on a cluster it is told, for no allocation could take it
        made(config, memory=0.01)


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


def test_a_plan_with_another_digit_is_refused_by_its_identity(config: dict[str, Any]) -> None:
    path = Path("plan.json")
    planning.write(made(config, cores=2), path)
    path.write_text(path.read_text().replace('"seed": 0', '"seed": 1'))
    with pytest.raises(PlanError, match=r"plan.json: damaged or edited.*multimep plan"):
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


def without_stores(shop: Workshop) -> Workshop:
    return replace(shop, plan=replace(shop.plan, units=[replace(one, stores=[]) for one in shop.plan.units]))


def test_a_shards_predictions_are_those_of_cross_predict_to_the_last_bit(config: dict[str, Any]) -> None:
    shop = workshop(config)
    unit = shop.plan.unit["random/fine_tune_by_group/binding"]
    shards.run_lane(without_stores(shop), [unit.name])
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
    assert costs.read_run("results/benchmarks/predict/random/additive/alpha.tsv")[0] > 0
    assert list(shards.collect(shop)) == []


def test_a_shard_that_is_tried_again_makes_only_what_it_lacks(config: dict[str, Any]) -> None:
    shop = without_stores(workshop(config))
    shards.run_lane(shop, ["random/additive/alpha"])
    stamp = shop.folder(shop.plan.unit["random/additive/alpha"]) / shards.STAMP
    before = stamp.stat().st_mtime_ns
    shards.run_lane(shop, ["random/additive/alpha", "random/additive/gamma"])
    assert stamp.stat().st_mtime_ns == before
    assert shop.is_finished(shop.plan.unit["random/additive/gamma"])


def test_what_a_killed_collect_left_is_collected_by_the_next_one(config: dict[str, Any]) -> None:
    shop = workshop(config)
    unit = shop.plan.unit["random/fine_tune_by_group/binding"]
    shards.run_lane(shop, [unit.name])
    first = Path(unit.outputs[0])
    first.parent.mkdir(parents=True, exist_ok=True)
    (shop.folder(unit) / first.name).replace(first)  # here it was killed: the stamp is still there
    assert list(shards.collect(shop)) == list(unit.outputs)
    assert all(Path(path).exists() for path in unit.outputs)
    assert list(shards.collect(shop)) == []


def test_a_damaged_stamp_is_refused_by_name_and_another_unit_is_made_all_the_same(config: dict[str, Any]) -> None:
    shop = without_stores(workshop(config))
    names = [f"random/additive/{name}" for name in ("alpha", "beta")]
    shards.run_lane(shop, names[:1])
    stamp = shop.folder(shop.plan.unit[names[0]]) / "stamp.json"
    for content in ("", "{}", "[1]", stamp.read_text().replace("a", "b")):
        stamp.write_text(content)
        for sealed in (True, False):
            if not sealed:
                seals.break_seal(stamp)
            if sealed or not content.startswith('{"sha'):
                with pytest.raises(ShardError, match=r"additive/alpha/stamp\.json: .*delete"):
                    shards.run_lane(shop, names)
        assert shop.is_finished(shop.plan.unit[names[1]])
    stamp.unlink()
    shards.run_lane(shop, names)
    assert shop.is_finished(shop.plan.unit[names[0]])


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


def test_hours_are_charged_from_the_start_of_each_allocation() -> None:
    known = [costs.Cost(7200.0, 1.0, gpu=True), costs.Cost(3600.0, 1.0, gpu=False), None]
    total = forecast.alone(known, [], Cluster(start=0))
    assert (total.predictions, total.others, total.unknown) == (3, 0, 1)
    assert (total.gpu_hours, total.core_hours) == (2.0, 1.0)
    begun = forecast.alone(known, [known[1]], Cluster(start=36))
    assert (begun.gpu_hours, begun.core_hours) == (pytest.approx(2.01), pytest.approx(2.02))
    site = Cluster(
        start=0,
        watts_per_gpu=500,
        watts_per_core=10,
        cores_per_gpu=10,
        price_per_gpu_hour=2,
        price_per_core_hour=0.5,
    )
    assert forecast.energy(2.0, 1.0, site) == pytest.approx(2 * 0.6 + 0.01)
    assert "4.50 EUR" in total.sentence(site)


def test_a_job_on_a_node_that_is_charged_whole_costs_all_its_gpus_or_cores() -> None:
    jobs = [costs.Cost(3600.0, 1.0, gpu=True), costs.Cost(3600.0, 1.0, gpu=False)]
    whole = Cluster(gres="gpu:4", gpus_per_allocation=4, cores_charged=48, start=0)
    assert forecast.alone(jobs, [], whole).gpu_hours == forecast.alone([], jobs, whole).gpu_hours == 4
    assert forecast.alone(jobs, [], whole).core_hours == 48
    four = forecast.packed([jobs[0]] * 4, [], whole)  # one on each GPU
    assert four.gpu_hours == pytest.approx(4, abs=4 * costs.START / 3600)


def test_packed_jobs_pay_one_start_for_as_many_as_the_walltime_holds() -> None:
    jobs = [costs.Cost(600.0 + costs.START - costs.AGAIN, 1.0, gpu=True)] * 100
    site = Cluster(gres="gpu:1", start=60, walltime=101)  # minutes: ten jobs and the start
    alone = forecast.alone(jobs, [], site)
    assert alone.gpu_hours == pytest.approx(100 * (660 + costs.START - costs.AGAIN) / 3600)
    assert forecast.packed(jobs, [], site).gpu_hours == pytest.approx((60000 + 10 * 60) / 3600)
    assert forecast.packed([], [], site).gpu_hours == 0
    many = replace(site, allocations=30)
    assert forecast.packed(jobs, [], many).gpu_hours == pytest.approx((60000 + 30 * 60) / 3600)
    assert forecast.packed(jobs[:2], [], many).gpu_hours == pytest.approx((1200 + 2 * 60) / 3600)


def test_the_forecast_counts_what_is_missing_of_every_station(config: dict[str, Any]) -> None:
    results = Path("results")
    assert list(forecast.missing(config, results)) == list(layout.jobs(config))
    rest = list(forecast.others(config, results))
    assert len(rest) == 3 + 3 + 1 + 1  # embed, evaluate, leaks, report
    assert all(one is not None for one in rest)
    write_whole(Path("results/metrics/alpha.csv"), "made")
    assert len(list(forecast.others(config, results))) == 7
    assert len(list(forecast.others(config, results, {"results/metrics/alpha.csv"}))) == 8
    Path("results/splits/random/beta.csv").unlink()  # of beta's two alone and of the team with alpha
    assert " (3 not foreseeable before `make fetch`): about " in forecast.study(config, results, {})


def test_before_anything_is_fetched_the_forecast_says_what_to_run(config: dict[str, Any]) -> None:
    assert forecast.study(config, Path("elsewhere"), {}) == (
        "8 cross-predictions and 8 other jobs to do; run `make fetch` first: then this line names GPU-hours and cost"
    )


def test_on_a_cluster_the_forecast_has_gpu_hours_and_cost_of_both_ways(config: dict[str, Any]) -> None:
    site = {
        "gres": "gpu:1",
        "start": 3600.0,
        "price_per_gpu_hour": 24.0,
        "price_per_core_hour": 1.0,
        "currency": "core-h",
    }
    each, packed = forecast.study({**config, "cluster": site}, Path("results"), {}).splitlines()
    # 2 trainings and 3 embeddings on a GPU; 6 predictions, 3 evaluations, leaks and report on a core
    assert each.startswith("8 cross-predictions and 8 other jobs to do: about 5.0")
    assert " GPU-hours and 11.0" in each
    assert " core-h, " in each
    assert each.endswith(" kWh, each job in an allocation of its own")
    assert packed.startswith("Forecast: packed by profiles/drive.sh: about 4.0")
    assert "about 0.0" in forecast.study(config, Path("results"), {})  # this machine has no allocation to start


def test_a_plan_says_in_words_what_it_will_take(config: dict[str, Any]) -> None:
    plan = made(config, gres="gpu:1", cores=2)
    shards = [planning.Shard([["a"]], 3600.0, True, 1), planning.Shard([["b"], ["c"]], 1800.0, False, 1)]
    named = replace(plan, shards=shards, solved={"GPU": "1 shards by LPT, at most 0.0% above the lower bound"})
    site = Cluster(gres="gpu:1", start=0, price_per_gpu_hour=24, price_per_core_hour=1, currency="core-h")
    assert planning.sentence(named, site, [costs.Cost(3600.0, 1.0, gpu=False)]).splitlines() == [
        "8 cross-predictions and 1 other job to do: about 1.00 GPU-hours and 2.00 core-hours, 26.00 core-h, 0.77 kWh",
        "GPU: 1 shards by LPT, at most 0.0% above the lower bound",
    ]
    whole = replace(site, gres="gpu:4", gpus_per_allocation=4, cores_charged=48)
    assert "about 4.00 GPU-hours and 24.00 core-hours" in planning.sentence(named, whole)


def test_more_allocations_than_shorten_the_makespan_are_advised_against(config: dict[str, Any]) -> None:
    plan = made(config, gres="gpu:1")
    units = [replace(plan.units[0], name=str(number), seconds=600.0, gpu=True) for number in range(7)]
    long = replace(plan.units[0], name="long", seconds=1800.0, gpu=True)
    alike = replace(plan, units=[*units, long])  # 6000 s: four GPUs and the longest is the makespan
    (found,) = planning.advice(alike, Cluster(gres="gpu:1", allocations=8))
    assert found == (
        "allocations: 8 is more than this work can use: from 4 on, the longest cross-prediction (30 min 00 s) "
        "bounds the makespan; set allocations: 4"
    )
    assert list(planning.advice(alike, Cluster(gres="gpu:1", allocations=4))) == []
    assert list(planning.advice(alike, Cluster(gres="gpu:1"))) == []
    assert "set allocations: 2" in next(
        planning.advice(alike, Cluster(gres="gpu:2", gpus_per_allocation=2, allocations=8))
    )
    shared = Cluster(gres="gpu:1", allocations=8, workers=2)  # as many lanes as two GPUs have, each half as fast
    assert "from 2 on, the longest cross-prediction (1 h 00 min)" in next(planning.advice(alike, shared))
    short = Cluster(gres="gpu:1", allocations=8, start=3000.0)
    assert "from 2 on, an allocation's start (50 min 00 s)" in next(planning.advice(alike, short))
    assert list(planning.advice(replace(plan, units=[]), Cluster(allocations=8))) == []


def test_the_command_prints_the_plan_its_cost_and_the_advice(config: dict[str, Any]) -> None:
    site = {"gres": "gpu:1", "allocations": 50, "price_per_gpu_hour": 24.0, "currency": "core-h"}
    Path("config.json").write_text(json.dumps({**config, "cluster": site}))
    command = [sys.executable, "-m", "multimep", "plan", "--config", "config.json", "--output", "results/plan.json"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    cost, packed, advice = done.stdout.splitlines()
    assert re.fullmatch(
        r"8 cross-predictions and 8 other jobs to do: about 0\.\d\d GPU-hours and 0\.\d\d core-hours, "
        r"\d\.\d\d core-h, 0\.\d\d kWh",
        cost,
    )
    assert re.fullmatch(r"GPU: 2 shards by LPT, at most .*; cores: 1 shards by LPT, at most .*", packed)
    assert advice.startswith(
        "allocations: 50 is more than this work can use: from 1 on, an allocation's start (30.0 s)"
    )
    assert len(planning.read(Path("results/plan.json")).units) == 8


def trainings(config: dict[str, Any], **cluster: Any) -> planning.Plan:
    """A plan of three trainings alone."""
    methods = {"fine_tune": {"epochs": 400}}
    return made({**config, "methods": methods}, gres="gpu:1", start=0.0, **cluster)


def test_workers_that_share_a_gpu_are_no_gain_unless_a_smaller_slowdown_was_measured(config: dict[str, Any]) -> None:
    one, shared, measured = (
        trainings(config, **workers) for workers in ({}, {"workers": 3}, {"workers": 3, "slowdown": 1.5})
    )
    alone = sum(shard.seconds for shard in one.shards)
    assert alone == pytest.approx(sum(unit.seconds for unit in one.units))
    assert [shard.workers for shard in one.shards] == [1]
    assert [shard.workers for shard in shared.shards] == [3]
    longest = max(unit.seconds for unit in one.units)
    assert [shard.seconds for shard in shared.shards] == [pytest.approx(3 * longest)]
    assert [shard.seconds for shard in measured.shards] == [pytest.approx(1.5 * longest)]
    assert 1.5 * longest < alone <= 3 * longest
    cost = {plan.identity: forecast_hours(planning.sentence(plan, Cluster(gres="gpu:1"))) for plan in (one, shared)}
    assert cost[shared.identity] >= cost[one.identity]


def forecast_hours(sentence: str) -> float:
    return float(sentence.split(" GPU-hours", maxsplit=1)[0].rsplit(maxsplit=1)[-1])


def test_a_shard_whose_lanes_have_a_gpu_each_is_not_slowed_down(config: dict[str, Any]) -> None:
    plan = trainings(config, workers=2, gpus_per_allocation=4)
    assert [(len(shard.lanes), shard.workers) for shard in plan.shards] == [(3, 1)]
    assert plan.shards[0].seconds == pytest.approx(max(unit.seconds for unit in plan.units))


def test_calibration_does_not_learn_the_slowdown(config: dict[str, Any]) -> None:
    config["methods"] = {"fine_tune": {"epochs": 400}}
    for job, workers in zip(layout.jobs(config), (1, 3, 2), strict=True):
        lines = f"s\tcpu_time\tworkers\n{150 if workers == 3 else 100}\t9\t{workers}\n"
        write_whole(Path(f"benchmarks/predict/{job.name}.tsv"), lines)

    def seconds(**site: Any) -> list[float]:
        found = forecast.past({**config, "cluster": site}, Path("results"), Path("benchmarks"))
        return [round(seconds - costs.START + costs.AGAIN, 6) for _, seconds in found]  # each has a start of its own

    assert seconds(workers=3, slowdown=1.5) == [100, 100]  # what two workers do to each other is not known here
    assert seconds(workers=3) == [100, 50]
    assert seconds() == [100]


def test_a_unit_that_a_shard_made_tells_how_many_shared_its_gpu(config: dict[str, Any]) -> None:
    shop = without_stores(workshop(config))
    three = [replace(shard, workers=3) for shard in shop.plan.shards]
    shop = replace(shop, plan=replace(shop.plan, shards=three))
    shards.run_lane(shop, ["random/additive/alpha"])
    list(shards.collect(shop))
    assert costs.read_run("results/benchmarks/predict/random/additive/alpha.tsv")[1] == 3


UNREAL = [
    {"walltime": 0}, {"allocations": 0}, {"watts_per_gpu": -1.0}, {"workers": 0}, {"cores_charged": 0}, {"start": -1.0},
    {"start": 43200.0}, {"slowdown": 0.9}, {"slowdown": 1.1}, {"slowdown": 4.5, "workers": 4},
]  # fmt: skip


@pytest.mark.parametrize("values", UNREAL)
def test_a_cluster_that_could_not_be_is_refused_by_name(values: dict[str, Any]) -> None:
    with pytest.raises(ClusterError, match=next(iter(values))):
        Cluster(**values)
