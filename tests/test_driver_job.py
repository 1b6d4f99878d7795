"""The driver as a job, without SLURM: other commands stand for sbatch, squeue, scancel, Snakemake and the driver."""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
WAITS = "trap 'echo drive stopped >>told; exit 75' TERM; echo drive >>told; touch up; while :; do sleep 0.05; done"


def command(path: Path, script: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/usr/bin/env bash\n{script}\n")
    path.chmod(0o755)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A checkout whose driver waits to be stopped; every command writes a line into `told`."""
    shutil.copy(ROOT / "profiles/claix/driver.sbatch", tmp_path / "driver.sbatch")
    command(tmp_path / "profiles/drive.sh", WAITS)
    command(tmp_path / "bin/squeue", ":")
    command(tmp_path / "bin/sbatch", 'echo "sbatch $*" >>told')
    command(tmp_path / "bin/scancel", 'echo "scancel $*" >>told')
    command(tmp_path / "bin/snakemake", 'echo "snakemake $*" >>told')
    return tmp_path


@contextmanager
def leg(folder: Path, **variables: str) -> Iterator[subprocess.Popen[bytes]]:
    """A leg of the driver as SLURM starts it."""
    variables = {"SLURM_SUBMIT_DIR": str(folder), "SLURM_JOB_ID": "7", "MULTIMEP_PAUSE": "0.05"} | variables
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("SLURM", "MULTIMEP"))}
    environment |= {"PATH": f"{folder / 'bin'}:/usr/bin:/bin", **variables}
    driver = subprocess.Popen(["bash", "driver.sbatch", "--quiet"], cwd=folder, env=environment, start_new_session=True)
    try:
        yield driver
    finally:
        told = subprocess.run(["pgrep", "-s", str(driver.pid)], capture_output=True, text=True, check=False)
        for number in told.stdout.split():
            with suppress(ProcessLookupError):  # it has ended meanwhile
                os.kill(int(number), signal.SIGKILL)
        driver.wait(60)


def warned(folder: Path, **variables: str) -> tuple[int, list[str]]:
    """Exit status and lines of a leg that is told that its time is over once its driver runs."""
    with leg(folder, **variables) as driver:
        until(folder / "up")
        driver.send_signal(signal.SIGUSR1)
        return driver.wait(60), (folder / "told").read_text().splitlines()


def until(path: Path) -> None:
    end = time.monotonic() + 60
    while not path.exists():
        assert time.monotonic() < end, f"waited in vain for {path}"
        time.sleep(0.05)


NEXT = "sbatch --dependency=afterany:7 profiles/claix/driver.sbatch --quiet"


def test_a_leg_stops_its_driver_and_submits_the_next_one_though_slurmctld_is_away_for_a_while(folder: Path) -> None:
    command(folder / "bin/squeue", "exit 1")
    command(folder / "bin/sbatch", 'echo "sbatch $*" >>told; test "$(grep -c sbatch told)" -gt 3')
    status, told = warned(folder)
    assert status == 75
    assert sorted(told) == ["drive", "drive stopped", *[NEXT] * 4]


def test_a_next_leg_that_is_in_the_queue_is_not_submitted_again(folder: Path) -> None:
    command(folder / "bin/sbatch", 'echo "sbatch $*" >>told; exit 1')  # its answer was lost
    command(
        folder / "bin/squeue", 'echo "afterany:77(unfulfilled)"; grep -q sbatch told && echo "afterany:7(unfulfilled)"'
    )
    assert warned(folder)[1].count(NEXT) == 1


def test_a_leg_gives_up_to_submit_after_a_number_of_tries(folder: Path) -> None:
    command(folder / "bin/sbatch", 'echo "sbatch $*" >>told; exit 1')
    assert warned(folder, MULTIMEP_TRIES="3")[1].count(NEXT) == 3


def test_after_the_last_leg_no_other_is_submitted(folder: Path) -> None:
    assert NEXT not in warned(folder, MULTIMEP_LEG="1", MULTIMEP_LEGS="2")[1]


QUEUE = """
jobs=$(for one in "5|rule_shard_wildcards_0a1b_0|$PWD" "6|rule_x|/elsewhere" "7||$PWD"; do echo "$one"; done)
case "$*" in *PENDING*) echo "4|rule_report|$PWD"; exit ;; esac
echo asked >>asked
[ "$(wc -l <asked)" -gt 3 ] || echo "$jobs"
echo "6|rule_x|/elsewhere"
"""


@pytest.mark.parametrize("again", [{"SLURM_RESTART_COUNT": "1"}, {"MULTIMEP_LEG": "1"}])
def test_a_lock_of_a_killed_driver_is_removed_when_none_of_its_jobs_is_left(
    folder: Path, again: dict[str, str]
) -> None:
    command(folder / "bin/squeue", QUEUE)
    (folder / ".snakemake/locks").mkdir(parents=True)
    (folder / ".snakemake/locks/0.output.lock").touch()
    with leg(folder, **again):
        until(folder / "up")
        told = (folder / "told").read_text().splitlines()
    assert told == ["scancel 4", "snakemake --workflow-profile profiles/claix --quiet --unlock", "drive"]
    assert len((folder / "asked").read_text().splitlines()) == 4


@pytest.mark.parametrize("lock", [True, False])
def test_another_lock_is_left_alone(folder: Path, lock: bool) -> None:
    (folder / ".snakemake/locks").mkdir(parents=True)
    if lock:  # somebody else's driver, for this is a first leg
        (folder / ".snakemake/locks/0.output.lock").touch()
    with leg(folder, **({} if lock else {"SLURM_RESTART_COUNT": "1"})):
        until(folder / "up")
        assert (folder / "told").read_text() == "drive\n"
