"""What `multimep status` counts is what is there, what runs, and what is left."""

import json
import math
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from multimep import accounting, layout, planning, progress
from multimep.accounting import Run
from multimep.cluster import Cluster
from multimep.costs import Cost
from multimep.progress import Queue, Queued, Rest, Station
from small_study import study, with_what_comes_next

SITE = Cluster(price_per_gpu_hour=2.0)


def touch(path: Path, text: str = "") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


@pytest.fixture
def config(tmp_path: Path) -> dict[str, Any]:
    found = with_what_comes_next(study(tmp_path))
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(found))
    return found


@pytest.fixture
def prepared(config: dict[str, Any], tmp_path: Path) -> Path:
    """A results folder with records, splits and checkpoint: all that a forecast reads."""
    results = tmp_path / "results"
    touch(results / "checkpoint.json", json.dumps({"parameters": 1_400_000, "layers": 6, "width": 128}))
    for name, entry in config["datasets"].items():
        record = {"counts": {"variants": 30}, "wild_type": entry["source"]["wild_type"]}
        touch(results / "datasets" / f"{name}.json", json.dumps(record))
        folds = "mutant,0,1\n" + "M1A,train,test\nM1C,test,train\n" * 15
        touch(results / "splits" / "random" / f"{name}.csv", folds)
    return results


def test_the_files_that_are_counted_are_those_that_snakemake_makes(config: dict[str, Any], tmp_path: Path) -> None:
    config["splits"]["some"] = {"scheme": "random", "datasets": ["alpha", "gamma"]}
    for label in config["methods"]:
        if layout.is_joint(config, label):
            config["methods"][label]["splits"] = [name for name in config["splits"] if name != "some"]
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    root = Path(__file__).parents[1]
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(root / "Snakefile"), "--directory", str(tmp_path)]
    options = ["--configfile", str(tmp_path / "config.yaml"), "--cores", "1", "--summary"]
    done = subprocess.run([*command, *options], capture_output=True, text=True, timeout=120, check=True)
    made = {str(Path(path).relative_to("results")) for path in planning.outdated(done.stdout)}
    counted = {path for paths in layout.expected(config).values() for path in paths}
    assert {path for path in made if path.startswith("splits/some/")} == {
        "splits/some/alpha.csv",
        "splits/some/gamma.csv",
    }
    beside = {"report.json", *(path for path in made if path.startswith("datasets/") and not path.endswith(".csv"))}
    assert counted == made - beside  # one file for each job


def test_stations_count_what_is_there(config: dict[str, Any], tmp_path: Path) -> None:
    results = tmp_path / "results"
    empty = progress.stations(config, results)
    assert [one.done for one in empty] == [0] * len(empty)
    for path in (*layout.predictions(config, ["alpha"]), "datasets/alpha.csv", "report.html", "elsewhere.csv"):
        touch(results / path)
    found = {one.name: (one.done, one.files) for one in progress.stations(config, results)}
    assert (found["dataset"], found["report"], found["split"]) == ((1, 3), (1, 1), (0, 3))
    assert {found[f"predict: {label}"] for label in config["methods"]} == {(1, 3)}
    for path in (path for paths in layout.expected(config).values() for path in paths):
        touch(results / path)
    lines = progress.progress_lines(progress.stations(config, results))
    assert all(line.endswith("#" * 10) for line in lines)


@given(st.integers(0, 999), st.integers(1, 1000))
def test_the_bar_is_full_only_when_all_is_done(done: int, files: int) -> None:
    (line, whole) = progress.progress_lines([Station("x", min(done, files), files)])
    assert (line[-1] == "#") == (done >= files)
    assert line[-10:] == whole[-10:]


def test_a_listing_of_squeue_is_read_with_rules_that_have_underscores() -> None:
    listing = (
        "12|RUNNING|None|/study|rule_predict_wildcards_random_fine_tune_alpha\n"
        "13_4|PENDING|Priority|/study|rule_shard_wildcards_0a1b_3\n"
        "14|PENDING|Resources|/study|rule_predict_fine_tune_together_all_wildcards_random\n"
        "15|RUNNING|None|/study|\n"
        "16|COMPLETING|None|/study|rule_report\n\n"
    )
    found = list(progress.queued(listing))
    assert [(job.rule, job.wildcards) for job in found] == [
        ("predict", "random_fine_tune_alpha"),
        ("shard", "0a1b_3"),
        ("predict_fine_tune_together_all", "random"),
        ("another job", ""),
        ("report", ""),
    ]
    assert [job.is_running for job in found] == [True, False, False, True, True]
    assert (found[1].number, found[1].reason) == ("13_4", "Priority")
    assert progress.queue_lines(Queue(found))[1] == "queue: shard: 0 running, 1 waiting (Priority: 1)"


def test_a_running_shard_counts_its_lanes_and_a_waiting_one_none() -> None:
    jobs = [
        Queued("1", "RUNNING", "None", "/", "shard", "0a1b_1"),
        Queued("2", "PENDING", "Priority", "/", "shard", "0a1b_0"),
        Queued("3", "RUNNING", "None", "/", "predict", "random_x"),
        Queued("4", "RUNNING", "None", "/", "evaluate", "x"),
    ]
    assert progress.lanes(Queue(jobs), {"shards": [{"lanes": [[]] * 8}, {"lanes": [[]] * 3}]}) == 4
    assert progress.lanes(Queue(jobs), {"shards": []}) == 2
    assert progress.lanes(Queue(), {"shards": []}) == 0


@given(st.lists(st.floats(1, 1e5), min_size=1, max_size=8), st.integers(0, 16))
def test_the_rest_takes_no_less_than_its_longest_job_and_no_more_than_one_after_the_other(
    seconds: list[float], lanes: int
) -> None:
    left = Rest([*(Cost(one, 100, gpu=False) for one in seconds), None], lanes=lanes).seconds
    assert max(seconds) <= left <= sum(seconds) * (1 + 1e-9)
    assert left * max(lanes, 1) >= sum(seconds) * (1 - 1e-9)
    assert math.isclose(Rest([Cost(one, 1, gpu=True) for one in seconds]).seconds, sum(seconds))


def test_a_finished_unit_of_a_shard_is_not_left_to_do(config: dict[str, Any], prepared: Path) -> None:
    before = progress.rest(config, prepared, Queue())
    assert len(before.costs) == len(list(layout.jobs(config))) == 9
    assert all(one is not None and one.seconds > 0 for one in before.costs)
    touch(prepared / "ahead" / "random" / "additive" / "alpha" / "stamp.json", "{}")
    after = progress.rest(config, prepared, Queue())
    assert (after.waiting, len(after.costs)) == (1, 8)
    assert progress.rest_lines(after, SITE)[0].endswith("wait to be collected: multimep collect")


def test_the_rest_names_every_station_its_price_and_fewer_starts_once_there_is_a_plan(
    config: dict[str, Any], prepared: Path
) -> None:
    config["cluster"] = {"gres": "gpu:1", "start": 3600.0, "price_per_gpu_hour": 2.0}
    site = Cluster(**config["cluster"])
    alone = progress.rest_lines(progress.rest(config, prepared, Queue()), site)
    assert alone[0].startswith("rest: 9 cross-predictions and 8 other jobs: about 6.0 GPU-hours, 11.0 core-hours, 12.0")
    assert alone[1].startswith("rest: predictions: about ")
    touch(prepared / "plan.json", json.dumps({"identity": "0a1b", "shards": [{"lanes": [[]]}]}))
    packed = progress.rest_lines(progress.rest(config, prepared, Queue()), site)
    assert packed[0].startswith("rest: 9 cross-predictions and 8 other jobs: about 4.0 GPU-hours, ")
    for path in (path for paths in layout.expected(config).values() for path in paths):
        touch(prepared / path)
    assert progress.rest_lines(progress.rest(config, prepared, Queue()), site) == ["rest: nothing is left"]


@pytest.mark.parametrize("state", ["RUNNING", "PENDING"])
def test_nobody_is_asked_to_collect_while_shards_are_in_the_queue(
    config: dict[str, Any], prepared: Path, state: str
) -> None:
    touch(prepared / "ahead" / "random" / "additive" / "alpha" / "stamp.json", "{}")
    shard = Queued("1", state, "None", "/", "shard", "0a1b_0")
    (line, *_) = progress.rest_lines(progress.rest(config, prepared, Queue([shard])), SITE)
    assert line == "1 predictions of shards are put in place when all shards have ended"


def test_a_calibrated_method_takes_longer_by_its_factor(config: dict[str, Any], prepared: Path) -> None:
    plain = progress.rest(config, prepared, Queue()).seconds
    touch(prepared / "calibration.json", json.dumps({"fine_tune_together": 1000.0}))
    assert progress.rest(config, prepared, Queue()).seconds > plain + 10


def test_jobs_without_splits_are_left_but_not_foreseen(config: dict[str, Any], tmp_path: Path) -> None:
    lines = progress.rest_lines(progress.rest(config, tmp_path / "nowhere", Queue()), SITE)
    assert lines[0].startswith("rest: 9 cross-predictions and 8 other jobs (17 not foreseeable before `make fetch`)")


def test_failures_are_the_last_complaints_of_what_is_missing(config: dict[str, Any], tmp_path: Path) -> None:
    results = tmp_path / "results"
    logs = results / "logs"
    touch(logs / "predict" / "random" / "additive" / "alpha.log", "fold 0\nmultimep: alpha.csv: no rows\n")
    touch(logs / "predict" / "random" / "additive" / "beta.log", "multimep: beta.csv: was bad, made since\n")
    touch(results / "predictions" / "random" / "additive" / "beta.csv")
    touch(logs / "predict" / "random" / "transmep" / "gamma.log", "multimep: interrupted; checkpoint kept in x\n")
    touch(results / "plan.json", json.dumps({"identity": "0a1b", "shards": [{"lanes": []}] * 2}))
    touch(logs / "shard" / "0a1b" / "0.log", "Traceback (most recent call last):\n  File\nMemoryError: no room\n")
    touch(logs / "shard" / "0a1b" / "1.log", "multimep: random/additive/alpha: no rows\n")
    touch(results / "shards" / "0a1b" / "1.done")
    assert list(progress.failures(config, results)) == [
        f"{logs}/predict/random/additive/alpha.log: alpha.csv: no rows",
        f"{logs}/shard/0a1b/0.log: MemoryError: no room",
    ]
    assert progress.failure_lines([str(number) for number in range(20)])[-1] == "failed: 12 more; see the logs"


def test_what_was_used_is_told_in_hours_when_it_is_hours() -> None:
    short = accounting.account({"embed": [Run(30.0, gpus=1)], "split": [Run(90.0)]}, SITE)
    used = "used: 30.0 s of GPU time, 1 min 30 s of core time, 0.0167 EUR, about 6.5 Wh (2 finished jobs)"
    assert progress.used_lines(short) == [used.replace("6.5 ", f"{short.energy(short.total) * 1000:.2f} ")]
    long = accounting.account({"shard": [Run(7200.0, gpus=4)]}, SITE)
    assert progress.used_lines(long)[0].startswith("used: 8.0 GPU-hours, no core time, 16.00 EUR, about 6.07 kWh")
    assert progress.used_lines(accounting.Account()) == ["used: nothing yet"]


def test_without_squeue_a_line_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert progress.queue_lines(progress.ask_queue([tmp_path])) == ["queue: no squeue on the PATH: no SLURM here"]


def test_the_command_tells_all_of_it(config: dict[str, Any], prepared: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "multimep", "status"], cwd=tmp_path, capture_output=True, text=True, timeout=120,
        check=False, env={**os.environ, "PATH": str(tmp_path)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert [line.split(":")[0] for line in done.stdout.splitlines() if ": " in line and "/" not in line] == [
        "queue", "used", "charged", "rest", "rest",
    ]  # fmt: skip
    assert "charged: what SLURM charged is not known: no sacct on the PATH" in done.stdout
    assert "split                         3 /  3  ##########" in done.stdout


def slurm_answers() -> bool:
    asked = progress.ask_queue([Path.cwd()])
    return not asked.silence


@pytest.mark.skipif(not slurm_answers(), reason="squeue gives no answer here: the queue of a real SLURM was not read")
def test_jobs_of_a_real_queue_are_seen_by_their_folder_and_rule(tmp_path: Path) -> None:
    comments = "rule_predict_wildcards_random_x", "rule_predict_wildcards_random_y"
    holds = [], ["--hold"]
    submit = ["sbatch", "--parsable", "--output=/dev/null", "--wrap=sleep 120", "--time=4", "--mem=10"]
    numbers = []
    try:
        for comment, hold in zip(comments, holds, strict=True):
            command = [*submit, *hold, f"--chdir={tmp_path}", f"--comment={comment}"]
            done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
            numbers.append(done.stdout.strip().split(";")[0])
        end = time.monotonic() + 120
        while not any(job.is_running for job in progress.ask_queue([tmp_path]).jobs) and time.monotonic() < end:
            time.sleep(1)
        found = progress.ask_queue([tmp_path])
        assert sorted(job.number for job in found.jobs) == sorted(numbers)
        assert progress.queue_lines(found) == ["queue: predict: 1 running, 1 waiting (JobHeldUser: 1)"]
        assert progress.ask_queue([tmp_path / "another"]).jobs == []
    finally:
        for number in numbers:
            subprocess.run(["scancel", number], check=True, timeout=120)
