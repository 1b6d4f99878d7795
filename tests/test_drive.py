"""The driver's own decisions: a look at a study packs nothing, and nothing stays off Snakemake's record.

Other commands stand for Snakemake and multimep; the driver as a whole runs in tests/workflow and tests/cluster.
"""

import os
import subprocess
import time
from pathlib import Path

import pytest

from small_study import ROOT

ROW = "results/{}\t-\trule\t-\tmissing\tupdate pending\n"
HEAD = "output_file\tdate\trule\tlog-file(s)\tstatus\tplan\n"
FILES = ["report.html", *(f"metrics/{number}.csv" for number in range(5000))]  # more than a pipe holds
TABLE = HEAD + "".join(map(ROW.format, FILES))
SNAKEMAKE = """
echo "snakemake $*" >>"$TOLD"
case "$*" in *--summary*) cat "$TABLE" ;; *" prepared") exit "${PREPARED:-0}" ;; esac
"""
MULTIMEP = """
echo "multimep $* in $PWD" >>"$TOLD"
case $1 in
plan) echo "${PLAN-{\\"lanes\\": 1\\}}" >results/plan.json ;;
collect) echo results/predictions/a.csv ;;
esac
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A profile, the results of a study, and stand-ins that write each of their calls into `told`."""
    (tmp_path / "profile").mkdir()
    (tmp_path / "study/results/predictions").mkdir(parents=True)
    (tmp_path / "table").write_text(TABLE)
    for name, script in {"snakemake": SNAKEMAKE, "multimep": MULTIMEP}.items():
        path = tmp_path / "bin" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"#!/usr/bin/env bash\n{script}")
        path.chmod(0o755)
    return tmp_path


def drive(folder: Path, *options: str, **environment: str) -> tuple[int, list[str], str]:
    """Exit status, the calls in their order (without the profile) and what was printed."""
    told = folder / "told"
    told.unlink(missing_ok=True)
    variables = {"PATH": f"{folder / 'bin'}:{os.environ['PATH']}", "TOLD": str(told), "TABLE": str(folder / "table")}
    done = subprocess.run(
        ["bash", str(ROOT / "profiles/drive.sh"), "profile", *options],
        cwd=folder,
        env=os.environ | variables | environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    given = f"--workflow-profile {folder / 'profile'} "
    calls = told.read_text().replace(given, "").splitlines() if told.exists() else []
    return done.returncode, calls, done.stdout + done.stderr


IN = ("--directory", "study")
HERE = " ".join(IN)


def test_a_study_is_prepared_planned_worked_ahead_put_on_record_and_finished(folder: Path) -> None:
    status, calls, printed = drive(folder, *IN, "--cores", "3", MULTIMEP_LOGGER="--logger rich")
    given, place = f"{HERE} --cores 3", folder / "study"
    assert status == 0, printed
    assert calls == [
        f"snakemake --logger rich {given} -- prepared",
        f"snakemake {given} --summary",
        "multimep plan --config results/config.json --results results --needed - --output results/plan.json"
        f" --cores 3 in {place}",
        f"snakemake --logger rich {given} -- shards",
        f"multimep collect results/plan.json --ahead results/ahead in {place}",
        f"snakemake {given} --touch --force -- results/predictions/a.csv",
        f"snakemake --logger rich {given}",
    ]
    assert printed.endswith("the report is study/results/report.html\n")
    assert not (place / "results/collected.txt").exists()


@pytest.mark.parametrize("directory", [("-d", "study"), ("-dstudy",), ("--directory=study",)])
def test_the_directory_is_understood_in_all_its_spellings(folder: Path, directory: tuple[str, ...]) -> None:
    _, calls, _ = drive(folder, *directory, "--cores", "all", CDPATH=str(folder))
    assert any(call.endswith(f"--output results/plan.json in {folder / 'study'}") for call in calls)


@pytest.mark.parametrize("option", ["-n", "-np", "--dry-run", "--dryrun", "--unlock", "--lint", "--summary"])
def test_a_look_at_a_study_is_passed_on_and_packs_nothing(folder: Path, option: str) -> None:
    status, calls, _ = drive(folder, *IN, option)
    assert (status, calls) == (0, [f"snakemake {HERE} {option}"])


def test_where_nothing_is_to_be_packed_no_shard_is_asked_for(folder: Path) -> None:
    status, calls, _ = drive(folder, *IN, PLAN="{}")
    assert status == 0
    assert not any("shards" in call or "collect" in call for call in calls)


def test_on_this_machine_a_dataset_that_fails_does_not_keep_the_others_from_going_on(folder: Path) -> None:
    _, calls, printed = drive(folder, *IN, PREPARED="1")
    assert calls[-1] == f"snakemake {HERE}"
    assert not any("plan" in call for call in calls)
    assert "the others go on" in printed
    (folder / "profile/cluster.yaml").write_text("cores: 8\n")  # there each would be a job of its own
    status, calls, _ = drive(folder, *IN, PREPARED="1")
    assert status == 1
    assert calls[-1].endswith("--summary")


def test_what_an_earlier_run_put_in_place_is_put_on_record_before_anything_is_planned(folder: Path) -> None:
    results = folder / "study/results"
    (results / "plan.json").write_text("{}")
    (results / "collected.txt").write_text("results/predictions/b.csv\n")
    _, calls, printed = drive(folder, *IN, PLAN="{}")
    assert calls[2] == f"snakemake {HERE} --touch --force -- results/predictions/b.csv", printed
    assert calls[3].endswith("--summary")


def test_under_a_configuration_that_has_changed_meanwhile_it_is_made_again(folder: Path) -> None:
    results = folder / "study/results"
    (results / "plan.json").write_text("{}")
    (results / "predictions/b.csv").write_text("made by other settings\n")
    (results / "embeddings").mkdir()
    (results / "embeddings/b.h5").write_text("rows\n")
    (results / "collected.txt").write_text("results/predictions/b.csv\nresults/embeddings/b.h5\n")
    (results / "config.json").write_text("{}")
    later = time.time() + 5
    os.utime(results / "config.json", (later, later))
    _, calls, printed = drive(folder, *IN, PLAN="{}")
    assert not any("--touch" in call for call in calls)
    assert "made again" in printed
    assert not (results / "predictions/b.csv").exists()
    assert not (results / "embeddings/b.h5").exists()
    assert (results / "ahead/embed/b/b.h5").read_text() == "rows\n"  # where the next plan's shards take its rows from


def test_a_configuration_that_changes_while_the_shards_run_collects_nothing(folder: Path) -> None:
    config = folder / "other.yaml"
    config.write_text("study: x\n")
    later = time.time() + 60
    os.utime(config, (later, later))
    status, calls, printed = drive(folder, *IN, "--configfile", "other.yaml")
    assert status == 2
    assert "the configuration has changed since the plan; give the same command again" in printed
    assert not any("collect" in call or "--touch" in call for call in calls)


def test_options_that_ask_for_no_report_are_refused(folder: Path) -> None:
    (folder / "table").write_text(TABLE.replace("report.html", "other.csv"))
    status, calls, printed = drive(folder, *IN)
    assert status == 2
    assert "give what is asked for to snakemake itself" in printed
    assert not any("multimep" in call for call in calls)
