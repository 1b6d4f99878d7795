"""The driver as a job on a real SLURM: its own time limit, a requeue, a restart of slurmctld at the wrong moment."""

import os
import signal
import subprocess
from contextlib import suppress
from itertools import pairwise

import pytest

from slurm_study import (
    ENVIRONMENT,
    ROOT,
    SlurmStudy,
    environments,
    epoch_of,
    frozen,
    in_second_fold,
    slurm,
    thaw_when_told,
    trained_folds,
    until,
)

pytestmark = [pytest.mark.workflow, pytest.mark.cluster_long, pytest.mark.usefixtures("lab")]


def submitted(study: SlurmStudy, **limits: str) -> str:
    """The number of the driver's job, as a person submits it."""
    (study.folder / "profiles").symlink_to(ROOT / "profiles")
    command = ["sbatch", "--parsable", "profiles/claix/driver.sbatch", *study.options]
    limits = {"MULTIMEP_PROFILE": "profile", **limits}
    done = subprocess.run(
        command, cwd=study.folder, env=ENVIRONMENT | limits, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def legs(study: SlurmStudy) -> list[tuple[str, str]]:
    """The driver's own jobs and their states."""
    table = slurm("sacct", "-X", "-n", "-P", "-S", study.since, "-o", "JobIDRaw,State,JobName,WorkDir")
    rows = [line.split("|") for line in table.splitlines()]
    return [(row[0], row[1]) for row in rows if row[2:] == ["multimep", str(study.folder)]]


def said(study: SlurmStudy, number: str) -> str:
    path = study.folder / f"multimep-driver-{number}.log"
    return path.read_text(errors="replace") if path.exists() else ""


def completes(study: SlurmStudy) -> None:
    """Wait for the last leg."""
    until(lambda: [job for job in legs(study) if job[1] == "COMPLETED"], "the last leg", 1200)


def test_the_driver_as_a_job_submits_itself_again_and_goes_on(study: SlurmStudy, expected: dict[str, bytes]) -> None:
    try:
        first = submitted(study, SBATCH_TIMELIMIT="2", SBATCH_SIGNAL="B:USR1@40", GRACE="1")
        completes(study)
    finally:
        study.cancel()
    told = [said(study, number) for number, _ in legs(study)]
    assert len(told) > 1
    assert legs(study)[0] == (first, "FAILED")  # status 75: it was not done
    assert "multimep: leg 1 ends at its time limit" in told[0]
    assert study.predictions() == expected
    completed = [job.comment for job in study.jobs() if job.state == "COMPLETED" and job.comment]
    assert len(completed) == len(set(completed))


def test_a_leg_that_ends_cancels_its_shard_which_the_next_leg_continues_from_its_checkpoint(
    study: SlurmStudy, expected: dict[str, bytes]
) -> None:
    try:
        first = submitted(study, SBATCH_TIMELIMIT="5", SBATCH_SIGNAL="B:USR1@60", GRACE="20")
        job = in_second_fold(study)
        slow = frozen(job)  # so slow that it outlasts the leg
        (fold,) = trained_folds(study, "alpha")
        finished = fold.stat().st_mtime_ns
        until(lambda: "leg 1 ends at its time limit" in said(study, first), "the end of the leg", 600)
        thaw_when_told(slow)
        (half,) = until(lambda: study.kept("training-*.safetensors"), "the training is kept")
        assert epoch_of(half) < 60
        assert fold.stat().st_mtime_ns == finished
        completes(study)
    finally:
        study.cancel()
    *earlier, (last, state) = legs(study)  # two legs, or more on a slow machine
    assert state == "COMPLETED"
    assert {state for _, state in earlier} == {"FAILED"}  # status 75: it was not done
    assert "multimep: asked to stop; running jobs have 20 s" in said(study, first)
    assert "multimep: the report is results/report.html" in said(study, last)
    assert study.predictions() == expected
    shards = study.jobs("rule_shard")
    assert shards[0].number == job
    assert [one.state.split()[0] for one in shards] == ["CANCELLED", "COMPLETED"]
    completed = [one.comment for one in study.jobs() if one.state == "COMPLETED" and one.comment]
    assert len(completed) == len(set(completed))
    assert not study.jobs("rule_predict")
    assert not list((study.results / "unfinished").iterdir())


def test_a_driver_that_was_requeued_waits_for_what_it_left_and_removes_its_own_lock(
    study: SlurmStudy, expected: dict[str, bytes]
) -> None:
    try:
        first = submitted(study, MULTIMEP_PAUSE="5")
        in_second_fold(study)
        (fold,) = trained_folds(study, "alpha")
        finished = fold.stat().st_mtime_ns
        slurm("scontrol", "requeue", first)
        for number, variables in environments():  # as the loss of its node ends it, without a last word
            if variables.get("SLURM_JOB_ID") == first:
                with suppress(ProcessLookupError):
                    os.kill(number, signal.SIGKILL)
        until(lambda: "the driver before this one was killed" in said(study, first), "the lock is seen", 600)
        if fold.exists():
            assert fold.stat().st_mtime_ns == finished
        completes(study)
    finally:
        study.cancel()
    assert study.predictions() == expected
    assert not study.jobs("rule_predict")
    assert not list((study.folder / ".snakemake").glob("locks/*"))
    table = slurm("sacct", "-X", "-D", "-n", "-P", "-S", study.since, "-o", "Start,End,Comment,WorkDir")
    rows = sorted(line.split("|") for line in table.splitlines())
    shards = [row for row in rows if row[3] == str(study.folder) and row[2].startswith("rule_shard")]
    assert all(one[1] <= other[0] for one, other in pairwise(shards))  # never two of one
