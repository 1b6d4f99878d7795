"""A study through a real SLURM by the driver on the login node: GPU requests, a scancel, the end of a job's time."""

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from multimep import charges
from multimep.cluster import Cluster
from slurm_study import (
    ENVIRONMENT,
    SlurmStudy,
    epoch_of,
    frozen,
    make,
    shard_running,
    slurm,
    thaw_when_told,
    trained_folds,
    undisturbed,
    until,
)

pytestmark = [pytest.mark.workflow, pytest.mark.usefixtures("lab")]


def test_a_study_survives_a_scancel_and_the_end_of_its_time_with_nothing_lost_or_done_twice(tmp_path: Path) -> None:
    methods = {"additive": {}, "fine_tune": {"epochs": 60, "batch_size": 16}}
    # the profile's own warning, but one minute before the time limit instead of two
    study = make(tmp_path / "study", methods, lead=60, allocations=2, workers=1, walltime=3)
    with study.driven() as driver:
        beta = until(lambda: shard_running(study, "random/fine_tune/beta"), "the shard of beta runs")
        (of_beta,) = until(lambda: trained_folds(study, "beta"), "beta's first fold")
        slow = frozen(beta)  # a node so slow that the time runs out

        (of_alpha,) = until(lambda: trained_folds(study, "alpha"), "alpha's first fold")
        alpha = shard_running(study, "random/fine_tune/alpha")
        time.sleep(0.7)  # into the second fold's training: its sixty epochs take three seconds at least
        slurm("scancel", alpha)
        (half,) = until(lambda: study.kept("training-*.safetensors"), "alpha's training is kept")
        assert epoch_of(half) < 60
        finished = of_alpha.stat().st_mtime_ns, of_beta.stat().st_mtime_ns
        again = until(lambda: shard_running(study, "random/fine_tune/alpha"), "alpha's shard runs again")
        assert again != alpha
        assert of_alpha.stat().st_mtime_ns == finished[0]
        until(lambda: not half.exists(), "alpha's training has ended")

        thaw_when_told(slow)
        (half,) = until(lambda: study.kept("training-*.safetensors"), "beta's training is kept")
        assert epoch_of(half) < 60
        assert of_beta.stat().st_mtime_ns == finished[1]
        expected = undisturbed(study, tmp_path / "undisturbed")
        assert study.ends(driver) == 0, study.said()[-6000:]
    assert study.predictions() == expected
    assert (study.results / "report.html").exists()

    states = {job.number: job.state for job in study.jobs("rule_shard")}
    assert states[alpha].startswith("CANCELLED")
    assert states[beta] == "FAILED"  # of itself, its checkpoint written, before SLURM's time-out
    assert sorted(states.values()).count("COMPLETED") == 3  # each shard once, and nothing of them one by one
    assert not study.jobs("rule_predict")
    on_gpus = [job for job in study.jobs("rule_shard") if "gres/gpu=1" in job.asked]
    assert {job.partition for job in on_gpus} == {"c23g"}
    assert (
        len(on_gpus) >= 4
    )  # two shards, each of them interrupted once; more where the host is too slow for the walltime
    assert not list((study.results / "unfinished").iterdir())
    what_slurm_charged_is_told(study)


def what_slurm_charged_is_told(study: SlurmStudy) -> None:
    """All attempts, in `multimep status` and in the report, as a sum of one's own over sacct's listing says."""
    table = slurm("sacct", "-X", "-D", "-n", "-P", "-S", study.since, "-o", "ElapsedRaw,AllocTRES,State,WorkDir")
    rows = [line.split("|") for line in table.splitlines()]
    rows = [row for row in rows if row[3] == str(study.folder)]
    on_gpus = sum(int(row[0]) for row in rows if "gres/gpu=1" in row[1])
    lost = [row for row in rows if row[2] != "COMPLETED"]
    found = charges.ask([study.folder])
    assert charges.gpu_seconds(found.attempts) == on_gpus > 0
    assert [one.state for one in found.attempts if one.is_lost] == [row[2].split()[0] for row in lost]
    assert len(lost) == 2
    config = json.loads((study.results / "config.json").read_text())
    told, part = charges.sentences(found, Cluster(**config["cluster"]))
    command = [sys.executable, "-m", "multimep", "status", "--config", "results/config.json"]
    status = subprocess.run(command, cwd=study.folder, env=ENVIRONMENT, capture_output=True, text=True, check=True)
    assert told.replace("SLURM charged", "charged by SLURM:") in status.stdout
    assert f"  {part}" in status.stdout
    assert "SLURM charged " in (study.results / "report.html").read_text()
