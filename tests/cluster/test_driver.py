"""A study through a real SLURM by the driver on the login node: GPU requests, a scancel and a time-out."""

import os
import signal
import time
from pathlib import Path

import pytest

from slurm_study import epoch_of, make, processes, shard_running, slurm, trained_folds, undisturbed, until

pytestmark = [pytest.mark.workflow, pytest.mark.usefixtures("lab")]


def test_a_study_survives_a_scancel_and_a_time_out_with_nothing_lost_or_done_twice(tmp_path: Path) -> None:
    methods = {"additive": {}, "fine_tune": {"epochs": 60, "batch_size": 16}}
    study = make(tmp_path / "study", methods, lead=0, allocations=2, workers=1, walltime=1)
    with study.driven() as driver:
        beta = until(lambda: shard_running(study, "random/fine_tune/beta"), "the shard of beta runs")
        until(lambda: trained_folds(study, "beta"), "beta's first fold")
        frozen = list(processes(beta))
        for process in frozen:  # a node so slow that the time runs out
            os.kill(process, signal.SIGSTOP)
        assert frozen

        (of_alpha,) = until(lambda: trained_folds(study, "alpha"), "alpha's first fold")
        alpha = shard_running(study, "random/fine_tune/alpha")
        time.sleep(0.7)  # into the second fold's training: its sixty epochs take three seconds at least
        slurm("scancel", alpha)
        (half,) = until(lambda: study.kept("training-*.safetensors"), "alpha's training is kept")
        epochs, finished = epoch_of(half), of_alpha.stat().st_mtime_ns
        assert 0 < epochs < 60
        again = until(lambda: shard_running(study, "random/fine_tune/alpha"), "alpha's shard runs again")
        assert again != alpha
        assert of_alpha.stat().st_mtime_ns == finished

        expected = undisturbed(study, tmp_path / "undisturbed")  # meanwhile beta's time runs out
        until(lambda: [job for job in study.jobs() if job.number == beta and job.state == "TIMEOUT"], "the time-out")
        assert study.ends(driver) == 0, study.said()[-6000:]
    assert study.predictions() == expected
    assert (study.results / "report.html").exists()

    states = {job.number: job.state for job in study.jobs("rule_shard")}
    assert states[alpha].startswith("CANCELLED")
    assert sorted(states.values()).count("COMPLETED") == 3  # each shard once, and nothing of them one by one
    assert not study.jobs("rule_predict")
    on_gpus = [job for job in study.jobs("rule_shard") if "gres/gpu=1" in job.asked]
    assert {job.partition for job in on_gpus} == {"c23g"}
    assert len(on_gpus) == 4
    assert not list((study.results / "unfinished").iterdir())
