"""Benchmark files become hours, and every hour is counted once."""

import math
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from multimep import accounting, shards
from multimep.accounting import AccountingError, Run, account, amount, duration, gpus, kilowatt_hours, read, runs
from multimep.cluster import Cluster

PLAIN = "s\th:m:s\tmax_rss\tmax_vms\tmax_uss\tmax_pss\tio_in\tio_out\tmean_load\tcpu_time\n"
RUNS = st.lists(
    st.builds(
        Run,
        seconds=st.floats(0, 1e5),
        cpu=st.one_of(st.floats(0, 1e6), st.just(math.nan)),
        cores=st.integers(1, 96),
        gpus=st.integers(0, 4),
        inside=st.booleans(),
    ),
    max_size=6,
)
RULE = """
rule all:
    input: "done"

rule predict:
    output: "done"
    benchmark: "benchmarks/predict/random/fine_tune/x.tsv"
    threads: 2
    resources:
        gres="gpu:h100:3",
        cpus_per_task=5,
        slurm_partition="c23g",
    params:
        settings='{"a": [1, "b"]}',
    shell: "sleep 1.2; touch {output}"
"""


@pytest.mark.parametrize("extended", [True, False])
def test_a_benchmark_that_snakemake_writes_is_read(tmp_path: Path, extended: bool) -> None:
    (tmp_path / "Snakefile").write_text(RULE)
    command = [sys.executable, "-m", "snakemake", "--cores", "2", "--quiet", "all", "--directory", str(tmp_path)]
    options = ["--snakefile", str(tmp_path / "Snakefile"), *["--benchmark-extended"] * extended]
    subprocess.run([*command, *options], check=True, capture_output=True, timeout=120)
    found = read(tmp_path / "benchmarks", Cluster())
    (usage,) = found.usages
    (run,) = usage.runs
    assert usage.name == "predict: fine_tune"
    assert 1.2 <= run.seconds < 60
    assert run.memory > 0 and not run.inside
    assert (run.cores, run.gpus, run.told) == ((5, 3, True) if extended else (1, 0, False))
    assert usage.gpu_seconds == run.seconds * run.gpus
    assert len(found.gaps) == (not extended)
    assert all("one core and no GPU" in gap for gap in found.gaps)


def test_a_unit_of_a_shard_is_told_from_a_job_of_its_own(tmp_path: Path) -> None:
    unit = tmp_path / "predict" / "random" / "additive" / "x.tsv"
    unit.parent.mkdir(parents=True)
    unit.write_text(shards._benchmark(3.25, 2.5, 2))
    found = read(tmp_path, Cluster())
    assert list(found.usages[0].runs) == [Run(3.25, 2.5, told=False, inside=True)]
    assert found.total.runs == []
    assert "1 units were made in shards that have not ended" in found.gaps[0]


def test_stations_are_told_in_the_order_of_the_flow_with_the_predictions_by_method(tmp_path: Path) -> None:
    places = ("report", "checkpoint", "predict/a/fine_tune/x", "predict/b/fine_tune/x", "predict/a/additive/x",
              "shard/0123/0", "dataset/x", "embed/x", "split/a/x", "evaluate/x")  # fmt: skip
    for place in places:
        path = tmp_path / f"{place}.tsv"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(PLAIN + "2.0\t0:00:02\t100.0\t1\t1\t1\t1\t1\t1\t1.5\n")
    found = read(tmp_path, Cluster())
    names = ["dataset", "checkpoint", "embed", "split", "predict: additive", "predict: fine_tune", "shard", "evaluate",
             "report"]  # fmt: skip
    assert [usage.name for usage in found.usages] == names
    assert (len(found.total.runs), found.total.seconds, found.total.memory) == (10, 20.0, 100.0)
    assert [usage.name for usage in read(tmp_path, Cluster(), ["split"]).usages] == ["split"]


def test_what_snakemake_did_not_see_is_unknown_and_adds_nothing() -> None:
    (brief,) = runs(PLAIN + "0.3\t0:00:00\tNA\t-\t-\t-\t-\t-\t-\tNA\n", "x.tsv")
    assert math.isnan(brief.cpu) and math.isnan(brief.memory)
    usage = account({"split": [brief, Run(1.0, 0.5, 80.0)]}).usages[0]
    assert (usage.cpu, usage.memory, usage.seconds) == (0.5, 80.0, 1.3)


def test_a_job_without_a_gpu_is_charged_with_its_whole_node_unless_it_ran_where_snakemake_does() -> None:
    site = Cluster(cores_charged=48, price_per_core_hour=1.0)
    found = account({"split": [Run(3600.0)], "evaluate": [Run(3600.0)], "shard": [Run(3600.0, cores=96)]}, site)
    assert [found.money(usage) for usage in found.usages] == [1, 48, 96]


@given(st.dictionaries(st.sampled_from(["embed", "predict: a", "predict: b", "shard"]), RUNS))
def test_the_total_is_the_sum_of_the_parts_and_no_unit_of_a_shard_adds_to_it(found: dict[str, list[Run]]) -> None:
    prices = {"price_per_gpu_hour": 2.0, "price_per_core_hour": 0.01}
    site = Cluster(watts_per_gpu=500.0, watts_per_core=4.0, cores_per_gpu=10, **prices)
    told = account(found, site)
    alone = [run for jobs in found.values() for run in jobs if not run.inside]
    gpu_hours = sum(run.seconds * run.gpus for run in alone) / 3600
    core_hours = sum(run.seconds * run.cores for run in alone if not run.gpus) / 3600
    assert told.total.gpu_seconds / 3600 == pytest.approx(gpu_hours)
    assert sum(usage.core_seconds for usage in told.usages) / 3600 == pytest.approx(core_hours)
    assert told.energy(told.total) == pytest.approx((0.5 + 10 * 0.004) * gpu_hours + 0.004 * core_hours)
    assert told.money(told.total) == pytest.approx(2 * gpu_hours + 0.01 * core_hours)


@pytest.mark.parametrize(
    ("asked", "number"),
    [
        ({"gres": "gpu:h100:1"}, 1), ({"gres": "gpu:4"}, 4), ({"gres": "gpu:h100"}, 1), ({"gres": "gpu"}, 1),
        ({"gres": "nvme:2,gpu:a100:2"}, 2), ({"gres": ""}, 0), ({"gres": None}, 0), ({}, 0), ({"gpu": 2}, 2),
    ],
)  # fmt: skip
def test_gpus_are_counted_in_every_form_of_a_request(asked: dict[str, object], number: int) -> None:
    assert gpus(asked) == number


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("time\n3\n", r"x\.tsv: run times without the column s; remove that file"),
        ("s\th:m:s\nsoon\t0\n", r"x\.tsv, line 2: 'soon' is no number; remove"),
        ("s\tresources\n1\t{'gres':\n", r"x\.tsv, line 2: resources that are no mapping"),
    ],
)
def test_a_file_that_is_no_benchmark_is_refused_by_its_name(text: str, match: str) -> None:
    with pytest.raises(AccountingError, match=match):
        list(runs(text, "x.tsv"))


def test_an_empty_folder_has_taken_nothing(tmp_path: Path) -> None:
    nothing = read(tmp_path, Cluster())
    assert (nothing.usages, nothing.total.seconds, nothing.gaps) == ([], 0, ())


def test_times_energies_and_money_are_rounded_for_a_reader() -> None:
    seconds = (0.04, 59.94, 59.96, 3599.4, 3599.6, 3600 * 99.9, 3600 * 1234.4, math.nan)
    assert [duration(one) for one in seconds] == [
        "0.0 s", "59.9 s", "1 min 00 s", "59 min 59 s", "1 h 00 min", "99 h 54 min", "1,234 h", "\u2013",
    ]  # fmt: skip
    energies = (0.0, 0.000812, 0.0812, 0.9999, 8.123, 812.0, 81200.0)
    assert [kilowatt_hours(one) for one in energies] == [
        "0 Wh", "0.812 Wh", "81.2 Wh", "1,000 Wh", "8.12 kWh", "812 kWh", "81,200 kWh",
    ]  # fmt: skip
    assert [amount(one, "EUR") for one in (0.0, 0.00761, 1234.5)] == ["0.00 EUR", "0.0076 EUR", "1,234.50 EUR"]


def test_every_station_of_the_rules_is_accounted_for() -> None:
    rules = Path(__file__).parents[1] / "workflow" / "rules"
    lines = [line.strip() for path in rules.glob("*.smk") for line in path.read_text().splitlines()]
    named = {line.split("<benchmarks>/")[1].split("/")[0].split(".")[0] for line in lines if "<benchmarks>/" in line}
    assert named <= set(accounting.STATIONS)
