"""Files of earlier versions: each is read as it was meant, or refused with the command that makes it again."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
import yaml
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from multimep import (
    chosen_model,
    contradictions,
    costs,
    dataset,
    embeddings,
    leaks,
    metrics,
    planning,
    predictions,
    settings,
    splits,
)
from multimep.dataset import DatasetError
from multimep.embedder import Embedder
from multimep.embeddings import StoreError
from multimep.methods import METHODS, predictor_file
from multimep.methods.predictor_file import PredictorFileError
from multimep.planning import PlanError
from multimep.splits import SplitError
from multimep.typed_values import SettingsError
from multimep.variants import Variants

VERSIONS = sorted(path for path in (Path(__file__).parent / "versions").iterdir() if path.is_dir())


def never() -> object:
    raise AssertionError("the language model was loaded without need")


@pytest.fixture(params=VERSIONS, ids=lambda path: path.name)
def version(request: pytest.FixtureRequest) -> Path:
    """The files that a version of multimep left, made by its own commands from one small table."""
    found: Path = request.param
    return found


def test_a_dataset_its_split_predictions_and_metrics_are_read(version: Path) -> None:
    data = dataset.read(version / "dataset" / "toy.csv")
    assert (data.name, data.wild_type, len(data)) == ("toy", "MKTAYIAKQR", 31)
    assert data.fitness[data.variants.row_of["M1A:K2G"]] == 0.25
    split = splits.read(version / "split" / "toy.csv")
    assert [fold.name for fold in split.folds] == ["fold0", "fold1"] and set(split.mutants) == set(
        data.variants.mutants
    )
    said = predictions.read_of(data.variants, version / "random" / "additive" / "toy.csv")
    assert [set(part.mutants) for part in said.values()] == [set(fold.test) for fold in split.folds]
    scores = metrics.read(version / "metrics.csv")
    assert set(scores["method"]) == {"additive"} and scores["value"].notna().any()


def test_a_predictor_says_what_it_said_then(version: Path) -> None:
    path = version / "additive.safetensors"
    header = predictor_file.read_header(path)
    assert header.datasets == {"toy": "MKTAYIAKQR"} and header.taught["toy"]["M1A:K2G"] == 0.25
    predictor = predictor_file.load(path, METHODS[header.method](**header.settings), Embedder(never))
    then = pd.read_csv(version / "predicted.csv")
    found = predictor.predict(Variants("toy", "MKTAYIAKQR", tuple(then["mutant"])))
    np.testing.assert_allclose(found.mean, then["mean"], rtol=1e-6)
    np.testing.assert_allclose(found.std, then["std"], rtol=1e-6)


def test_a_store_is_read_and_is_what_the_shipped_model_says_today(version: Path) -> None:
    stored = embeddings.open_store(version / "store.h5")
    model = chosen_model.load("mini", "", Path("unused"))
    assert stored.maker == embeddings.maker(model)
    kept = stored.marginals("MKTAYIAKQR", "masked")
    assert kept is not None
    np.testing.assert_allclose(model.masked_marginals("MKTAYIAKQR").numpy(), kept, atol=1e-4)
    assert costs.read_model(str(version / "checkpoint.json")).layers == model.layers


def test_findings_of_leaks_a_plan_and_a_configuration_are_read(version: Path) -> None:
    assert [one.severity for one in leaks.read(version / "leaks.json")] == ["passed"]
    plan = planning.read(version / "plan.json")
    assert plan.identity == json.loads((version / "plan.json").read_text())["identity"]
    assert settings.study(settings.parse((version / "config.yaml").read_text(), "config.yaml")).datasets


def changed_store(path: Path, stated: object) -> None:
    with h5py.File(path, "r+") as file:
        del file.attrs["format"]
        if stated is not None:
            file.attrs["format"] = stated


def changed_predictor(path: Path, stated: object) -> None:
    with safe_open(path, framework="numpy") as file:
        metadata = dict(file.metadata())
    del metadata["format"]
    save_file(load_file(path), path, metadata | ({} if stated is None else {"format": str(stated)}))


def read_predictor(path: Path) -> None:
    predictor_file.load(path, METHODS["additive"](), Embedder(never))


FORMATS: dict[str, tuple[Callable[[Path, object], None], Callable[[Path], object], type[ValueError], str]] = {
    "store.h5": (changed_store, embeddings.open_store, StoreError, "delete it and run `multimep embed` again"),
    "additive.safetensors": (
        changed_predictor, read_predictor, PredictorFileError, "fit it again with `multimep fit`",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("stated", [None, 0, 2, 99, "1.5", "later"])
def test_a_format_that_is_older_newer_or_absent_is_refused_with_the_command_that_makes_it_again(
    tmp_path: Path, name: str, stated: object
) -> None:
    change, read, refused, remedy = FORMATS[name]
    path = tmp_path / name
    shutil.copy(VERSIONS[-1] / name, path)
    read(path)
    change(path, stated)
    with pytest.raises(refused, match=f"{name}.* format .*{remedy}"):
        read(path)


def without(path: Path, key: str) -> None:
    values = json.loads(path.read_text())
    del values[key]
    path.write_text(json.dumps(values))


def beside(path: Path, key: str) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | {key: 1}))


@pytest.mark.parametrize(
    ("name", "read", "key", "refused", "remedy"),
    [
        ("plan.json", planning.read, "units", PlanError, "make it again with `multimep plan`"),
        ("leaks.json", leaks.read, "findings", leaks.LeakError, "make it again"),
        ("dataset/toy.json", lambda path: dataset.read(path.with_suffix(".csv")), "wild_type", DatasetError,
         "make it with `multimep dataset`"),
    ],
)  # fmt: skip
def test_a_record_that_lacks_what_this_version_needs_or_has_what_a_later_one_wrote_is_refused_with_the_command(
    tmp_path: Path, name: str, read: Callable[[Path], object], key: str, refused: type[ValueError], remedy: str
) -> None:
    for change, word in ((without, key), (beside, "of_a_later_version")):
        if name == "leaks.json" and change is beside:
            continue  # its record of the search may grow, and nothing reads it
        folder = tmp_path / change.__name__
        shutil.copytree(VERSIONS[-1], folder)
        change(folder / name, word)
        with pytest.raises(refused, match=f"{Path(name).name}.*{remedy}"):
            read(folder / name)


def test_what_has_no_format_number_is_made_anew_when_the_version_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    # unfinished folds and trainings, and the stamps of shards, are named by a fingerprint with the version in it
    before = chosen_model.identity("mini")
    monkeypatch.setattr(chosen_model, "__version__", "9.9.9")
    assert chosen_model.identity("mini") != before


def test_a_table_of_a_later_version_is_refused_by_its_words(tmp_path: Path) -> None:
    (tmp_path / "toy.csv").write_text("mutant,fold0\nM1A,validation\n")
    with pytest.raises(SplitError, match=r"toy\.csv: 'fold0' must say 'train', 'test' or nothing"):
        splits.read(tmp_path / "toy.csv")


@pytest.mark.parametrize("stated", [2, 0, -1, "1", None, 1.5])
def test_a_configuration_of_another_format_is_refused_before_its_unknown_keys(stated: object) -> None:
    values = yaml.safe_load((VERSIONS[-1] / "config.yaml").read_text())
    assert settings.study(values | {"format": contradictions.FORMAT}).format == 1
    with pytest.raises(SettingsError, match=r"^config\.format: .*this version reads \(1 to 1\): update multimep"):
        settings.study(values | {"format": stated, "of_a_later_version": {}})
    assert contradictions.newer(values) == ""
