import dataclasses
import os
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

from multimep import finished_folds
from multimep.cross_prediction import cross_predict
from multimep.dataset import Dataset
from multimep.finished_folds import FinishedFoldsError
from multimep.interruption import Interrupted, watch
from multimep.methods import METHODS
from multimep.predictions import Predictions
from multimep.schemes.random_folds import RandomFolds
from multimep.splits import Split

FITS: list[str] = []


@dataclass(frozen=True)
class Counted:
    """The additive method, which notes its fits and is sent a signal during one of them."""

    joint: ClassVar[bool] = False
    signal_at: ClassVar[int] = 0
    setting: float = 1.0

    def fit(self, train: Sequence[Dataset], embedder: Any, seed: int) -> Any:
        FITS.append(train[0].name)
        if len(FITS) == self.signal_at:
            os.kill(os.getpid(), signal.SIGTERM)
        return METHODS["additive"]().fit(train, embedder, seed)


@pytest.fixture
def datasets(landscape) -> list[Dataset]:
    return [landscape("first", rows=40), landscape("second", rows=32, seed=1)]


@pytest.fixture
def splits(datasets) -> list[Split]:
    return [RandomFolds(3).split(dataset, 0) for dataset in datasets]


def run(method, datasets, splits, embedder, folder: Path | None, signal_at: int = 0, context: str = "", seed: int = 0):
    FITS.clear()
    Counted.signal_at = signal_at
    with watch(folder, context):
        return cross_predict(method, datasets, splits, embedder, seed)


def assert_same_bits(found, expected) -> None:
    assert list(found) == list(expected)
    for name, folds in found.items():
        for (fold, mine), (other, theirs) in zip(folds, expected[name], strict=True):
            assert (fold, mine.mutants) == (other, theirs.mutants)
            for column in ("mean", "std", "noisy_std"):
                np.testing.assert_array_equal(getattr(mine, column), getattr(theirs, column))


@pytest.mark.parametrize("at", [1, 4, 5])
def test_a_fold_that_was_finished_before_the_interruption_is_not_fitted_again(at, datasets, splits, embedder, tmp_path):
    expected = run(Counted(), datasets, splits, embedder, None)
    with pytest.raises(Interrupted):
        run(Counted(), datasets, splits, embedder, tmp_path, signal_at=at)
    assert len(FITS) == at == len(list(tmp_path.glob("fold-*")))
    found = run(Counted(), datasets, splits, embedder, tmp_path)
    assert len(FITS) == 6 - at
    assert_same_bits(found, expected)
    assert not list(tmp_path.iterdir())


def test_a_signal_during_the_last_fold_lets_the_command_end(datasets, splits, embedder, tmp_path):
    expected = run(Counted(), datasets, splits, embedder, None)
    assert_same_bits(run(Counted(), datasets, splits, embedder, tmp_path, signal_at=6), expected)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("change", ["setting", "seed", "context", "rows", "fold"])
def test_a_fold_of_another_study_is_not_taken_back(change, datasets, splits, embedder, tmp_path):
    with pytest.raises(Interrupted):
        run(Counted(), datasets[:1], splits[:1], embedder, tmp_path, signal_at=2)
    method = Counted(2.0) if change == "setting" else Counted()
    dataset, split = datasets[0], splits[0]
    if change == "rows":
        dataset = dataclasses.replace(dataset, fitness=dataset.fitness + 1)
    if change == "fold":
        split = RandomFolds(3).split(dataset, 1)
    context, seed = ("another model" if change == "context" else ""), int(change == "seed")
    run(method, [dataset], [split], embedder, tmp_path, context=context, seed=seed)
    assert len(FITS) == 3
    assert len(list(tmp_path.glob("fold-*"))) == 2, "the unfinished command's folds must stay"


def test_predictions_come_back_to_the_last_bit(tmp_path):
    random = np.random.default_rng(0)
    nothing = np.full(3, np.nan)
    parts = [
        Predictions(("A1C", "A1D", "WT"), random.normal(size=3) * 1e-7, random.random(3) / 3, random.random(3) * 1e9),
        Predictions(("A1C", "A1D", "WT"), random.normal(size=3), nothing, nothing),
    ]
    with watch(tmp_path):
        path = finished_folds.interruption.place("fold", ".json", "x")
        finished_folds.keep(parts, path)
        back = finished_folds.take_back(path)
    for mine, theirs in zip(back, parts, strict=True):
        assert mine.mutants == theirs.mutants
        for column in finished_folds.COLUMNS:
            np.testing.assert_array_equal(getattr(mine, column), getattr(theirs, column))


@pytest.mark.parametrize("content", ["", "{", "[{}]", '[{"mutants": ["WT"], "mean": [null]}]'])
def test_a_damaged_fold_is_refused_by_name_with_the_remedy(content, datasets, splits, embedder, tmp_path):
    with pytest.raises(Interrupted):
        run(Counted(), datasets, splits, embedder, tmp_path, signal_at=1)
    (kept,) = tmp_path.glob("fold-*")
    kept.write_text(content)
    with pytest.raises(FinishedFoldsError, match=rf"{kept.name}: .*delete the file"):
        run(Counted(), datasets, splits, embedder, tmp_path)


def test_the_checkpoint_of_a_training_goes_when_its_fold_is_finished(datasets, splits, embedder, tmp_path, monkeypatch):
    monkeypatch.setattr("multimep.interruption.EVERY_SECONDS", 0.0)
    monkeypatch.setattr("multimep.training_run.WORTH", 0)
    seen = []
    keep = finished_folds.keep

    def watched(answers, path):
        before = sorted(file.name.split("-")[0] for file in tmp_path.glob("[a-z]*"))
        keep(answers, path)
        seen.append((before, sorted(file.name.split("-")[0] for file in tmp_path.glob("[a-z]*"))))

    monkeypatch.setattr(finished_folds, "keep", watched)
    run(METHODS["fine_tune"](epochs=1), datasets[:1], splits[:1], embedder, tmp_path)
    assert seen == [([*["fold"] * n, "training"], ["fold"] * (n + 1)) for n in range(3)]
    assert not list(tmp_path.iterdir())
