"""What reruns after a change: counted by dry runs of a finished study, and shown as a table in docs/cluster.md."""

import os
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from small_study import PEPTIDES, ROOT, Workspace, table

pytestmark = pytest.mark.workflow

Config = dict[str, Any]
COLUMNS = ("dataset", "checkpoint", "embed", "split", "predict", "together", "by group", "evaluate", "leaks", "report")
DOCUMENT = ROOT / "docs" / "cluster.md"


def unchanged(config: Config, folder: Path) -> None:
    del config, folder


def a_row(config: Config, folder: Path) -> None:
    path = folder / "alpha.csv"
    path.write_text(path.read_text() + "M1H,0.5\n")


def a_dataset(config: Config, folder: Path) -> None:
    (folder / "delta.csv").write_text(table("HIKLMNPQRS", 9))
    source = {"reader": "multimep", "files": {"variants": {"path": "delta.csv"}}, "wild_type": "HIKLMNPQRS"}
    config["datasets"]["delta"] = {"group": "enzyme", "source": source}


def a_method_setting(config: Config, folder: Path) -> None:
    config["methods"]["transmep"]["repeats"] += 1


def a_joint_setting(config: Config, folder: Path) -> None:
    config["methods"]["fine_tune_by_group"]["epochs"] += 1


def a_method(config: Config, folder: Path) -> None:
    config["methods"]["one_hot_ridge"] = {"splits": ["random"]}


def seeds_of_a_split(config: Config, folder: Path) -> None:
    config["splits"]["low_n"]["seeds"] += 1


def the_seed(config: Config, folder: Path) -> None:
    config["seed"] = 1


def bootstrap(config: Config, folder: Path) -> None:
    config["evaluation"]["bootstrap"] += 1


def precision(config: Config, folder: Path) -> None:
    config["language_model"] = {"precision": "bf16"}


def how_the_model_is_run(config: Config, folder: Path) -> None:
    config["language_model"] = {"device": "cpu", "batch_size": 7}


def where_the_study_is_run(config: Config, folder: Path) -> None:
    config |= {"cluster": {"gres": "gpu:1", "walltime": 60}, "mirror": "file:///another/place"}


CHANGES: dict[str, Callable[[Config, Path], None]] = {
    "nothing": unchanged,
    "one row of one dataset (binding)": a_row,
    "a dataset more (enzyme)": a_dataset,
    "a setting of `transmep`": a_method_setting,
    "a setting of `fine_tune_by_group`": a_joint_setting,
    "a method more, on one split": a_method,
    "the seeds of the split `low_n`": seeds_of_a_split,
    "the study's `seed`": the_seed,
    "`bootstrap` of the evaluation": bootstrap,
    "`precision` of the language model": precision,
    "`device` and `batch_size` of the language model": how_the_model_is_run,
    "cluster settings and the mirror": where_the_study_is_run,
}
WHOLE = {"dataset": 3, "checkpoint": 1, "embed": 3, "split": 6, "predict": 9, "together": 1, "by group": 2}
WHOLE |= {"evaluate": 3, "leaks": 1, "report": 1}
TAIL = {"evaluate": 3, "report": 1}
SEARCHED = {"evaluate": 3, "leaks": 1, "report": 1}
EXPECTED: dict[str, dict[str, int]] = {
    "nothing": {},
    "one row of one dataset (binding)": {
        "dataset": 1,
        "embed": 1,
        "split": 2,
        "predict": 3,
        "together": 1,
        "by group": 1,
    }
    | SEARCHED,
    "a dataset more (enzyme)": {"dataset": 1, "embed": 1, "split": 2, "predict": 3, "together": 1, "by group": 1}
    | {"evaluate": 4, "leaks": 1, "report": 1},
    "a setting of `transmep`": {"predict": 3} | SEARCHED,
    "a setting of `fine_tune_by_group`": {"by group": 2} | SEARCHED,
    "a method more, on one split": {"predict": 3} | SEARCHED,
    "the seeds of the split `low_n`": {"split": 3, "predict": 3} | SEARCHED,
    "the study's `seed`": {
        name: count for name, count in WHOLE.items() if name not in ("dataset", "checkpoint", "embed")
    },
    "`bootstrap` of the evaluation": TAIL,
    "`precision` of the language model": {
        name: count for name, count in WHOLE.items() if name not in ("dataset", "split", "leaks")
    },
    "`device` and `batch_size` of the language model": {},
    "cluster settings and the mirror": {},
    "the version of multimep": WHOLE,
}


def column(rule: str) -> str:
    """The column of a rule, as Snakemake's table of jobs names it."""
    words = rule.replace("_", " ")
    found = re.match(r"predict fine tune (together|by group)", words)
    return found[1] if found else words


def counts(printed: str) -> dict[str, int]:
    """Jobs per column in the table that a dry run prints."""
    part = printed.partition("Job stats")[2].partition("total")[0]
    found: Counter[str] = Counter()
    for rule, count in re.findall(r"^ *([a-z][a-z_ ]*?) +(\d+) *$", part, flags=re.MULTILINE):
        found[column(rule)] += int(count)
    return {name: count for name, count in found.items() if name in COLUMNS}


@pytest.fixture(scope="module")
def complete(finished: Workspace) -> Workspace:
    """The finished study, whatever the tests of other files have changed since."""
    finished.snakemake()
    return finished


@pytest.fixture
def restored(complete: Workspace) -> Iterator[Workspace]:
    """The finished study; what a test changes is put back, times of change included, for the tests run it dry."""
    files = [complete.folder / name for name in ("config.yaml", *(f"{name}.csv" for name in PEPTIDES))]
    kept = {path: (path.read_bytes(), path.stat()) for path in files}
    yield complete
    for path, (content, stat) in kept.items():
        path.write_bytes(content)
        os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_reruns_what_depends_on_it_and_nothing_else(restored: Workspace, change: str) -> None:
    config = restored.config
    CHANGES[change](config, restored.folder)
    restored.write(config)
    done = restored.snakemake("--dry-run")
    assert counts(done.stdout + done.stderr) == EXPECTED[change]


def test_a_table_that_is_replaced_by_an_older_one_is_a_change(restored: Workspace) -> None:
    a_row(restored.config, restored.folder)
    os.utime(restored.folder / "alpha.csv", (0, 0))  # as `cp -p`, an unpacked archive or a clock set back leaves it
    done = restored.snakemake("--dry-run")
    assert counts(done.stdout + done.stderr) == EXPECTED["one row of one dataset (binding)"]


def test_a_damaged_calibration_is_named_with_the_way_out(restored: Workspace) -> None:
    path = restored.folder / "results" / "calibration.json"
    path.write_text("{")
    done = restored.snakemake("--dry-run", check=False)
    path.unlink()
    assert done.returncode != 0
    told = " ".join((done.stdout + done.stderr).split())
    assert re.search(r"calibration\.json: damaged .*delete it, which costs time and no result", told)


def test_a_new_version_reruns_everything(restored: Workspace) -> None:
    code = "import sys, multimep; multimep.__version__ = 'next'; from snakemake.cli import main; main(sys.argv[1:])"
    done = restored.snakemake("--dry-run", python=[sys.executable, "-c", code])
    assert counts(done.stdout + done.stderr) == WHOLE


def test_the_table_in_the_documentation_is_this_one() -> None:
    lines = [f"| change | {' | '.join(COLUMNS)} |", f"| --- |{' ---: |' * len(COLUMNS)}"]
    for change, jobs in EXPECTED.items():
        lines.append(f"| {change} | {' | '.join(str(jobs.get(name, '')) for name in COLUMNS)} |".replace("  ", " "))
    assert "\n".join(lines) in DOCUMENT.read_text()
