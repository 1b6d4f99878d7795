from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import pytest

from multimep.cross_prediction import cross_predict
from multimep.dataset import Dataset, Variants
from multimep.methods import METHODS, FitError, State
from multimep.methods.method import Batched
from multimep.predictions import Predictions, without_std
from multimep.schemes.random_folds import RandomFolds
from multimep.splits import Fold, Split


@dataclass(frozen=True)
class Diary:
    """A method that notes which variants taught it and which it was asked about, and predicts their depth."""

    joint: ClassVar[bool] = False
    fits: list[dict[str, set[str]]] = field(default_factory=list)
    asked: list[tuple[dict[str, set[str]], Variants]] = field(default_factory=list)

    def fit(self, train: Sequence[Dataset], embedder: Any, seed: int) -> "Reader":
        taught = {part.name: set(part.variants.mutants) for part in train}
        self.fits.append(taught)
        return Reader(self, taught)

    def restore(self, state: State, embedder: Any) -> "Reader":
        raise NotImplementedError


@dataclass(frozen=True)
class JointDiary(Diary):
    joint: ClassVar[bool] = True


@dataclass(frozen=True)
class Reader:
    diary: Diary
    taught: dict[str, set[str]]

    def predict(self, variants: Variants) -> Predictions:
        self.diary.asked.append((self.taught, variants))
        return without_std(variants.mutants, variants.depths.astype(float))

    def state(self) -> State:
        raise NotImplementedError


@pytest.fixture
def datasets(landscape) -> list[Dataset]:
    return [landscape("first", rows=30), landscape("second", rows=24, seed=1)]


@pytest.fixture
def splits(datasets) -> list[Split]:
    """`second` has a fold more than `first`."""
    return [RandomFolds(3).split(datasets[0], 0), RandomFolds(4).split(datasets[1], 0)]


@pytest.mark.parametrize("kind", [Diary, JointDiary])
def test_no_variant_is_asked_that_taught_its_model(kind, datasets, splits, embedder):
    method = kind()
    cross_predict(method, datasets, splits, embedder, 0)
    assert len(method.asked) == 7
    for taught, variants in method.asked:
        assert taught[variants.dataset]
        assert not taught[variants.dataset] & set(variants.mutants)


@pytest.mark.parametrize("kind", [Diary, JointDiary])
def test_every_fold_is_answered_for_exactly_its_asked_variants(kind, datasets, splits, embedder):
    found = cross_predict(kind(), datasets, splits, embedder, 0)
    assert list(found) == ["first", "second"]
    for dataset, split in zip(datasets, splits, strict=True):
        asked = {name: part.mutants for name, part in found[dataset.name]}
        assert asked == {fold.name: fold.test for fold in split.folds}
        for _, part in found[dataset.name]:
            np.testing.assert_array_equal(part.mean, dataset.variants.select(part.mutants).depths)


def test_a_method_of_one_protein_is_fitted_for_each_dataset_and_fold(datasets, splits, embedder):
    method = Diary()
    cross_predict(method, datasets, splits, embedder, 0)
    expected = [
        {dataset.name: set(fold.train)} for dataset, split in zip(datasets, splits, strict=True) for fold in split.folds
    ]
    assert len(method.fits) == 7
    assert all(fit in expected for fit in method.fits)


def test_a_joint_method_is_fitted_once_for_each_fold_name(datasets, splits, embedder):
    method = JointDiary()
    cross_predict(method, datasets, splits, embedder, 0)
    trains = [{fold.name: set(fold.train) for fold in split.folds} for split in splits]
    shared = [{"first": trains[0][name], "second": trains[1][name]} for name in trains[0]]
    assert method.fits == [*shared, {"second": trains[1]["fold3"]}]


def test_a_real_method_predicts_the_same_as_by_hand(datasets, splits, embedder):
    method = METHODS["additive"]()
    found = cross_predict(method, datasets, splits, embedder, 0)["second"]
    for (name, part), fold in zip(found, splits[1].folds, strict=True):
        by_hand = method.fit([datasets[1].select(fold.train)], embedder, 0).predict(
            datasets[1].variants.select(fold.test)
        )
        assert name == fold.name
        np.testing.assert_array_equal(part.mean, by_hand.mean)


def test_a_dataset_without_a_split_is_refused(datasets, splits, embedder):
    with pytest.raises(ValueError, match="zip"):
        cross_predict(Diary(), datasets, splits[:1], embedder, 0)


def test_a_fold_too_small_to_learn_from_is_an_error_and_no_gap(datasets, embedder):
    mutants = datasets[0].variants.mutants
    split = Split(mutants, (Fold("small", mutants[:2], mutants[2:]),))
    with pytest.raises(FitError, match="first: 2 training rows"):
        cross_predict(METHODS["additive"](), datasets[:1], [split], embedder, 0)


@pytest.fixture
def left_out(landscape) -> tuple[list[Dataset], list[Split]]:
    """Three proteins; the second is left out of what is asked about the first, each asks with two training sets."""
    datasets = [landscape(name, rows=12, seed=seed) for seed, name in enumerate(("first", "kin", "far"))]
    strangers = {"first": ["far"], "kin": ["far"], "far": ["first", "kin"]}
    splits = []
    for dataset in datasets:
        name, mutants = dataset.name, dataset.variants.mutants
        questions = [Fold(f"{name}/n{n}_seed0", mutants[4 : 4 + n], mutants[:4]) for n in (0, 5)]
        splits.append(Split(mutants, (*questions, *(Fold(other, mutants, ()) for other in strangers[name]))))
    return datasets, splits


def test_a_joint_method_learns_from_those_that_only_teach_and_is_asked_about_one(left_out, embedder):
    datasets, splits = left_out
    method = JointDiary()
    found = cross_predict(method, datasets, splits, embedder, 0)
    whole = {dataset.name: set(dataset.variants.mutants) for dataset in datasets}
    rows = [{name: len(taught) for name, taught in fit.items()} for fit in method.fits]
    few = [(0, "first", ["far"]), (5, "first", ["far"]), (0, "kin", ["far"]), (5, "kin", ["far"])]
    few += [(0, "far", ["first", "kin"]), (5, "far", ["first", "kin"])]
    assert rows == [{own: n} | dict.fromkeys(others, 12) for n, own, others in few]
    for fit, (_, own, others) in zip(method.fits, few, strict=True):
        assert all(fit[name] == whole[name] for name in others)
        assert not fit[own] & set(splits[[d.name for d in datasets].index(own)].questions[0].test)
    assert {name: [fold for fold, _ in folds] for name, folds in found.items()} == {
        name: [f"{name}/n0_seed0", f"{name}/n5_seed0"] for name in found
    }


def test_a_method_of_one_protein_gets_the_member_that_is_asked_and_no_other(left_out, embedder):
    method = Diary()
    cross_predict(method, *left_out, embedder, 0)
    assert [list(fit) for fit in method.fits] == [[name] for name in ("first", "kin", "far") for _ in (0, 5)]
    for taught, variants in method.asked:
        assert set(taught) == {variants.dataset}


def test_who_teaches_in_questions_that_nobody_of_the_team_asks_is_not_fitted(left_out, embedder):
    datasets, splits = left_out
    method = JointDiary()
    cross_predict(method, datasets[1:], splits[1:], embedder, 0)  # without `first`, as in a group of its own
    assert [set(fit) for fit in method.fits] == [{"kin", "far"}] * 4


def test_nothing_to_learn_from_is_refused_by_a_method_that_needs_it(left_out, embedder):
    with pytest.raises(FitError, match="first"):
        cross_predict(METHODS["additive"](), *left_out, embedder, 0)


def test_folds_that_are_fitted_as_one_batch_are_predicted_as_one_by_one(datasets, splits, embedder):
    method = METHODS["embedding_gp"]()
    assert isinstance(method, Batched)
    found = cross_predict(method, datasets, splits, embedder, 0)
    for dataset, split in zip(datasets, splits, strict=True):
        for (name, answer), fold in zip(found[dataset.name], split.folds, strict=True):
            alone = method.fit([dataset.select(fold.train)], embedder, 0).predict(dataset.variants.select(fold.test))
            assert name == fold.name
            for column in ("mean", "std", "noisy_std"):
                np.testing.assert_allclose(getattr(answer, column), getattr(alone, column), rtol=1e-5)
