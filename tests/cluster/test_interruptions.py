"""What a real SLURM does to a study, provoked one by one: each time it completes, as if nothing had happened."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

from slurm_study import (
    ENVIRONMENT,
    METHODS,
    TRAINING,
    SlurmStudy,
    frozen,
    in_second_fold,
    make,
    shard_running,
    slurm,
    trained_folds,
    until,
)

pytestmark = [pytest.mark.workflow, pytest.mark.cluster_long, pytest.mark.usefixtures("lab")]


def node_of(job: str) -> str:
    """Where it runs; empty while it does not."""
    rows = [line.split("|") for line in slurm("squeue", "-h", "-t", "R", "-o", "%i|%N").splitlines()]
    return "".join(row[1] for row in rows if row[0] == job)


@pytest.fixture
def put_back() -> Iterator[None]:
    """All nodes as they were."""
    yield
    for node in slurm("sinfo", "-h", "-N", "-t", "drain,draining,drained,down", "-o", "%N").split():
        slurm("scontrol", "update", f"nodename={node}", "state=resume")


@pytest.mark.usefixtures("put_back")
def test_a_drained_node_finishes_what_it_has_and_a_lost_one_is_left_for_another(
    study: SlurmStudy, expected: dict[str, bytes]
) -> None:
    with study.driven() as driver:
        job = in_second_fold(study)
        node = node_of(job)
        slurm("scontrol", "update", f"nodename={node}", "state=drain", "reason=test")
        time.sleep(1)
        assert job in study.queue()  # what runs may end
        slurm("scontrol", "update", f"nodename={node}", "state=down", "reason=test")
        elsewhere = until(lambda: node_of(shard_running(study, TRAINING)), "it runs elsewhere", 600)
        assert elsewhere != node
        assert trained_folds(study, "alpha")
        assert study.ends(driver) == 0, study.said()[-6000:]
    assert study.predictions() == expected
    states = [one.state for one in study.jobs("rule_shard")]
    assert states.count("COMPLETED") == 1
    assert len(states) == 2
    assert not study.jobs("rule_predict")
    assert not study.orphans()  # on the lost node neither


def test_a_training_that_stands_still_until_its_time_is_up_is_submitted_again(
    tmp_path: Path, expected: dict[str, bytes]
) -> None:
    study = make(tmp_path / "study", METHODS, ["alpha"], lead=0, walltime=1)  # no warning
    with study.driven() as driver:
        job = in_second_fold(study)
        frozen(job)
        until(lambda: [one for one in study.jobs() if (one.number, one.state) == (job, "TIMEOUT")], "the time-out")
        assert study.ends(driver) == 0, study.said()[-6000:]
    assert study.predictions() == expected
    assert [one.state for one in study.jobs("rule_shard")] == ["TIMEOUT", "COMPLETED"]
    assert not study.orphans()


def test_a_job_out_of_memory_gets_more_and_completes(study: SlurmStudy, expected: dict[str, bytes]) -> None:
    options = yaml.safe_load((study.profile / "config.yaml").read_text())
    options["set-resources"] = {"shard": {"mem_mb": "450 * attempt"}}
    (study.profile / "config.yaml").write_text(yaml.safe_dump(options))
    with study.driven() as driver:
        assert study.ends(driver) == 0, study.said()[-6000:]
    assert study.predictions() == expected
    jobs = study.jobs("rule_shard")
    assert [job.state for job in jobs] == ["FAILED", "COMPLETED"]  # OUT_OF_MEMORY is said with cgroups only
    logs = (study.results / "logs" / "slurm").rglob("*.log")
    assert any("exceeded memory limit" in log.read_text() for log in logs)
    assert ["mem=450M" in jobs[0].asked, "mem=900M" in jobs[1].asked] == [True, True]


def test_a_restart_of_slurmctld_is_not_noticed(study: SlurmStudy, expected: dict[str, bytes]) -> None:
    settings = dict(line.split("=", 1) for line in slurm("scontrol", "show", "config").splitlines() if "=" in line)
    place = next(value.strip() for name, value in settings.items() if name.strip() == "SlurmctldPidFile")
    with study.driven() as driver:
        job = in_second_fold(study)
        number = int(Path(place).read_text())
        os.kill(number, signal.SIGTERM)
        try:
            until(lambda: not Path(f"/proc/{number}").exists(), "slurmctld has ended")
            time.sleep(20)
            assert driver.poll() is None
        finally:
            subprocess.run(["slurmctld", "-i"], env=ENVIRONMENT, check=True, timeout=120)
        assert study.ends(driver) == 0, study.said()[-6000:]
    assert study.predictions() == expected
    assert [(one.number, one.state) for one in study.jobs("rule_shard")] == [(job, "COMPLETED")]
    assert not study.jobs("rule_predict")


@pytest.fixture
def small_disk(study: SlurmStudy) -> Iterator[Callable[[str], None]]:
    """A disk of 64 MB for the results; the function gives it another size."""
    study.results.mkdir()

    def mount(options: str) -> subprocess.CompletedProcess[str]:
        command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(study.results)]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    if (done := mount("size=64m")).returncode != 0:
        pytest.skip(f"no disk may be mounted here: {done.stderr.strip()}")
    yield lambda size: None if mount(f"remount,size={size}").returncode == 0 else pytest.fail("no remount")
    subprocess.run(["umount", "--lazy", str(study.results)], check=True)


def test_a_full_disk_is_told_in_one_line_and_the_study_completes_after_room_is_made(
    study: SlurmStudy, expected: dict[str, bytes], small_disk: Callable[[str], None]
) -> None:
    options = yaml.safe_load((study.profile / "config.yaml").read_text())
    (study.profile / "config.yaml").write_text(yaml.safe_dump(options | {"retries": 1}))
    with study.driven() as driver:
        in_second_fold(study)
        (first,) = trained_folds(study, "alpha")
        kept = first.read_bytes()
        with (study.results / "filler").open("wb", buffering=0) as file, pytest.raises(OSError, match="No space"):
            while True:
                file.write(bytes(4096))
        assert study.ends(driver) == 2, study.said()[-6000:]
    (line,) = [line for line in study.said().splitlines() if "no space left on the device" in line]
    assert line.startswith("multimep: results: ")
    assert line.endswith("; make room there, then give the same command again")
    assert not study.predictions()
    assert not (study.results / "report.html").exists()
    assert first.read_bytes() == kept
    small_disk("256m")
    with study.driven("second.log") as driver:
        assert study.ends(driver) == 0, study.said("second.log")[-6000:]
    assert study.predictions() == expected
    assert (study.results / "report.html").exists()
