"""TransMEP's commands and files: its folder goes through what is train, split, predict and the R2 report here."""

import sys
from pathlib import Path

import pandas as pd
import pytest

from conftest import WILD_TYPE, additive_landscape
from multimep import cli, dataset, predictions

SPEC = "{source: {reader: transmep, files: {variants: {path: variants.csv}, wild_type: {path: wildtype.txt}}}}"
GRID = "{features: one_hot, alpha_steps: 6, gamma_steps: 6, repeats: 20}"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wild type as plain text, variants with `mutations` and `y`, candidates with `mutations` alone."""
    place = tmp_path_factory.mktemp("transmep")
    known = additive_landscape("mine", rows=60, noise=0.01)
    rows = zip(known.variants.mutants, known.fitness, strict=True)
    (place / "wildtype.txt").write_text(f"{WILD_TYPE}\n")
    table = "".join(f"{mutant.replace(':', '+')},{value}\n" for mutant, value in rows)
    (place / "variants.csv").write_text(f"mutations,y\n{table}")
    (place / "candidates.csv").write_text("mutations\nK2A\nK2A+T3V\n")
    return place


def run(folder: Path, *words: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(sys, "argv", ["multimep", *words])
        with pytest.raises(SystemExit) as stop:
            cli.main()
        assert not stop.value.code, words


def test_its_tables_and_its_wild_type_are_read_as_they_are(folder):
    run(folder, "dataset", "mine", "--spec", SPEC, "--output", "mine.csv")
    found, known = dataset.read(folder / "mine.csv"), additive_landscape("mine", rows=60, noise=0.01)
    assert found.wild_type == WILD_TYPE
    measured = dict(zip(known.variants.mutants, known.fitness, strict=True))
    assert dict(zip(found.variants.mutants, found.fitness, strict=True)) == pytest.approx(measured)


def test_train_and_predict_have_counterparts_that_take_its_list_of_candidates(folder):
    run(folder, "dataset", "mine", "--spec", SPEC, "--output", "mine.csv")
    run(folder, "fit", "mine.csv", "--method", "transmep", "--settings", GRID, "--output", "model.safetensors")
    run(folder, "predict", "model.safetensors", "--variants", "candidates.csv", "--output", "predicted.csv")
    (asked,) = predictions.read(folder / "predicted.csv").values()
    assert asked.mutants == ("K2A", "K2A:T3V")
    assert (asked.std > 0).all()


def test_split_and_the_report_of_r2_have_counterparts(folder):
    run(folder, "dataset", "mine", "--spec", SPEC, "--output", "mine.csv")
    run(folder, "split", "mine.csv", "--settings", "{scheme: random, folds: 4}", "--output", "s/random/mine.csv")
    output = "p/random/transmep/mine.csv"
    files = ("--dataset", "mine.csv", "--split", "s/random/mine.csv", "--output", output)
    run(folder, "cross-predict", "transmep", "--settings", GRID, *files)
    run(folder, "evaluate", "mine.csv", output, "--split", "s/random/mine.csv", "--output", "metrics.csv")
    table = pd.read_csv(folder / "metrics.csv").query("metric == 'r2' and fold == 'all'")
    assert table["value"].item() > 0.5
    assert table["low"].item() < table["value"].item() < table["high"].item()
