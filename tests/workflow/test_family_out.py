"""The split that leaves a family out depends on the other datasets' wild types, and not on their rows."""

import os
from pathlib import Path

import pytest

from multimep import splits
from small_study import PEPTIDES, Workspace, study, table

pytestmark = pytest.mark.workflow

SPLITS = {name: f"results/splits/transfer/{name}.csv" for name in PEPTIDES}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """The splits of a small study; `beta` has its wild type in a file of its own."""
    workspace = Workspace(tmp_path_factory.mktemp("family out"))
    config = study(workspace.folder)
    config["splits"] = {"transfer": {"scheme": "family_out", "sizes": [6], "seeds": 1}}
    config["methods"] = {"shared_prior_gp": {}}
    source = config["datasets"]["beta"]["source"]
    (workspace.folder / "beta.fasta").write_text(">beta\n" + source.pop("wild_type") + "\n")
    source["files"]["wild_type"] = {"path": "beta.fasta"}
    workspace.write(config)
    workspace.snakemake(*SPLITS.values())
    return workspace


def remade(workspace: Workspace) -> set[str]:
    paths = {name: workspace.folder / path for name, path in SPLITS.items()}
    before = {name: path.stat().st_mtime_ns for name, path in paths.items()}
    workspace.snakemake(*SPLITS.values())
    return {name for name, path in paths.items() if path.stat().st_mtime_ns != before[name]}


def later(path: Path, text: str) -> None:
    path.write_text(text)
    os.utime(path)


def test_every_dataset_teaches_in_the_folds_of_the_others(made: Workspace) -> None:
    for name, path in SPLITS.items():
        folds = splits.read(made.folder / path).folds
        assert [fold.name for fold in folds if fold.test] == [f"{name}/n6_seed0"]
        assert [fold.name for fold in folds if not fold.test] == sorted(set(PEPTIDES) - {name})


def test_a_changed_row_of_one_dataset_makes_its_own_split_anew_and_no_other(made: Workspace) -> None:
    rows = (made.folder / "beta.csv").read_text().splitlines()
    later(made.folder / "beta.csv", "\n".join(rows[:-1]) + "\n")
    assert remade(made) == {"beta"}
    rows = (made.folder / "gamma.csv").read_text().splitlines()
    later(made.folder / "gamma.csv", "\n".join(rows[:-1]) + "\n")
    assert remade(made) == {"gamma"}
    assert remade(made) == set()


def test_another_wild_type_of_one_dataset_makes_every_split_anew(made: Workspace) -> None:
    kin = PEPTIDES["alpha"][1]
    later(made.folder / "beta.csv", table(kin, 1))
    later(made.folder / "beta.fasta", f">beta\n{kin}\n")
    assert remade(made) == set(SPLITS)
    assert [fold.name for fold in splits.read(made.folder / SPLITS["alpha"]).folds] == ["alpha/n6_seed0", "gamma"]
    config = made.config
    config["datasets"]["gamma"]["source"]["wild_type"] = kin
    later(made.folder / "gamma.csv", table(kin, 2))
    made.write(config)
    assert remade(made) == set(SPLITS)
