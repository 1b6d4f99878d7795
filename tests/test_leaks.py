"""A study with a planted leak is caught: twins, duplicates, kin, methods that peek; a clean one passes."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

from multimep import leaks, overlaps, seals
from multimep.controls import Trial, controls, sampled
from multimep.dataset import Dataset, Variants
from multimep.leaks import Finding, LeakError, LeakSearch
from multimep.methods import METHODS, State
from multimep.overlaps import Team
from multimep.predictions import Predictions, without_std
from multimep.schemes import among, is_group_aware
from multimep.schemes.family_out import FamilyOut
from multimep.schemes.random_folds import RandomFolds
from toy_datasets import KIN, STRANGER, WILD_TYPE, mixed, toy

SEARCH = LeakSearch(rows=48, permutations=4)


def severities(found: Sequence[Finding]) -> dict[str, str]:
    return {one.check: one.severity for one in found}


def team(data: Sequence[Dataset], scheme: Any, leaves_out: float = 1.0) -> Team:
    wild_types = {one.name: one.wild_type for one in data}
    others = [{k: v for k, v in wild_types.items() if k != one.name} for one in data]
    named = isinstance(scheme, FamilyOut)
    folds = [among(scheme, o if named else {}).split(one, 0) for one, o in zip(data, others, strict=True)]
    return Team("together", "s", data, folds, is_group_aware(scheme), leaves_out)


@pytest.fixture
def twins() -> list[Dataset]:
    """One protein twice under two names, and a stranger."""
    stranger = ["WT", *(f"{old}{site}A" for site, old in enumerate(STRANGER, 1) if old != "A")]
    return [toy(mixed(), "one"), toy(mixed()[::2], "again"), toy(stranger, "far", STRANGER)]


# Datasets and splits


def test_a_planted_duplicate_that_crosses_folds_is_a_leak(twins) -> None:
    found = overlaps.duplicates(team(twins, RandomFolds(3)))
    assert {one.severity for one in found} == {"leak"}
    assert any("one is asked about teach in the same fold in again" in one.sentence for one in found)


@pytest.mark.parametrize("scheme", [RandomFolds(3, by="sequence"), FamilyOut(sizes=(5,))], ids=str)
def test_group_aware_folds_and_a_family_left_out_have_no_duplicate(twins, scheme) -> None:
    assert severities(overlaps.duplicates(team(twins, scheme))) == {"equal sequences on both sides": "passed"}


def test_a_planted_twin_protein_on_folds_by_name_is_a_leak_that_names_the_remedy(twins) -> None:
    found = overlaps.kin_that_teach(team(twins, RandomFolds(3)))
    assert [(one.check, one.severity) for one in found] == [("one protein twice in a joint method", "leak")]
    assert "one and again (sequence identity 1.00)" in found[0].sentence
    assert "by: sequence" in found[0].sentence


def test_kin_are_a_warning_with_folds_by_sequence_and_nothing_where_they_are_left_out(twins) -> None:
    related = toy(["WT", "M1D", "K2D", "T3D", "C4D", "Y5D"], "kin", KIN)
    data = [twins[0], related, twins[2]]
    assert {one.severity for one in overlaps.kin_that_teach(team(data, RandomFolds(2, by="sequence")))} == {"warning"}
    for harmless in (team(data, FamilyOut(sizes=(3,))), team(data, RandomFolds(2), leaves_out=0.3)):
        assert {one.severity for one in overlaps.kin_that_teach(harmless)} == {"passed"}


def test_two_assays_of_one_protein_are_noted_and_two_versions_of_one_assay_a_warning(twins) -> None:
    copy = toy(mixed(), "copy")
    assert severities(overlaps.one_protein_twice([twins[0], copy])) == {"two versions of one assay": "warning"}
    random = np.random.default_rng(0).normal(size=len(mixed())).tolist()
    assert severities(overlaps.one_protein_twice([twins[0], toy(mixed(), "other", fitness=random)])) == {
        "two assays of one protein": "note"
    }
    assert severities(overlaps.one_protein_twice([twins[0], twins[2]])) == {"two assays of one protein": "passed"}


# Methods


@dataclass(frozen=True)
class Fixed:
    """A predictor that says what it was given, by mutant."""

    said: dict[str, float]

    def predict(self, variants: Variants) -> Predictions:
        return without_std(variants.mutants, np.array([self.said[mutant] for mutant in variants.mutants]))

    def state(self) -> State:
        raise NotImplementedError


@dataclass(frozen=True)
class Peeking:
    """Finds the whole dataset, asked rows included, in the frames of its callers."""

    joint: ClassVar[bool] = False

    def fit(self, train: Sequence[Dataset], embedder: Any, seed: int) -> Fixed:
        frame = sys._getframe()
        while "splits" not in frame.f_locals or "datasets" not in frame.f_locals:
            frame = frame.f_back
        (whole,) = [one for one in frame.f_locals["datasets"] if one.name == train[0].name]
        return Fixed(dict(zip(whole.variants.mutants, whole.fitness.tolist(), strict=True)))

    def restore(self, state: State, embedder: Any) -> Fixed:
        raise NotImplementedError


@dataclass(frozen=True)
class Remembering(Peeking):
    """Knows the measured fitness by heart and learns nothing."""

    memory: tuple[tuple[str, float], ...] = ()

    def fit(self, train: Sequence[Dataset], embedder: Any, seed: int) -> Fixed:
        return Fixed(dict(self.memory))


@dataclass(frozen=True)
class ByRow(Peeking):
    """Predicts the fitness of the first row, different for each asked letter."""

    def fit(self, train: Sequence[Dataset], embedder: Any, seed: int) -> Any:
        first = float(train[0].fitness[0])

        class Predictor:
            def predict(self, variants: Variants) -> Predictions:
                values = [first + mutant.count("C") for mutant in variants.mutants]
                return without_std(variants.mutants, np.array(values))

        return Predictor()


@pytest.fixture
def data(landscape) -> list[Dataset]:
    return [landscape("first", rows=80), landscape("second", rows=80, seed=1, wild_type="GSHMLEDPVNWCFTKRAQ")]


def run(method: Any, data: Sequence[Dataset], embedder: Any) -> dict[str, str]:
    return severities(list(controls(Trial(method, sampled(data, SEARCH, 0), embedder, 0), "x", SEARCH)))


CLEAN = dict.fromkeys(("the same seed", "order of rows", "what is asked", "permuted labels"), "passed")


@pytest.mark.parametrize("name", ["additive", "one_hot_ridge", "site_gp", "shared_prior_gp"])
def test_methods_without_a_leak_pass(name, data, embedder) -> None:
    found = run(METHODS[name](), data, embedder)
    assert found == CLEAN | {"needs its labels": found["needs its labels"]}
    assert found["needs its labels"] in ("passed", "note")


def test_datasets_that_are_too_small_for_the_controls_are_told_and_no_error(landscape, embedder) -> None:
    assert run(METHODS["additive"](), [landscape("tiny", rows=8)], embedder) == {"controls": "note"}


def test_a_method_that_peeks_at_what_is_asked_is_caught_twice(data, embedder) -> None:
    found = run(Peeking(), data, embedder)
    assert found["what is asked"] == found["permuted labels"] == "leak"


def test_a_method_that_knows_the_answers_by_heart_is_caught_by_labels_that_make_no_difference(data, embedder) -> None:
    memory = tuple(zip(data[0].variants.mutants, data[0].fitness.tolist(), strict=True))
    found = run(Remembering(memory), data[:1], embedder)
    assert found == CLEAN | {"needs its labels": "leak"}


def test_a_method_that_depends_on_the_order_of_its_rows_is_caught(data, embedder) -> None:
    found = run(ByRow(), data, embedder)
    assert found["order of rows"] == "leak"
    assert found["what is asked"] == found["the same seed"] == "passed"


def test_a_method_that_draws_without_the_seed_is_caught(data, embedder) -> None:
    random = np.random.default_rng(3)

    @dataclass(frozen=True)
    class Dice(Peeking):
        def fit(self, train: Sequence[Dataset], embedder: Any, seed: int) -> Fixed:
            whole = {m: random.normal() for one in data for m in one.variants.mutants}
            return Fixed(whole)

    assert run(Dice(), data, embedder)["the same seed"] == "leak"


# The file


def test_findings_come_back_from_their_file_the_worst_first(tmp_path: Path) -> None:
    found = [
        Finding("a", "x", "passed", "Nothing."),
        Finding("b", "y", "leak", "Bad."),
        Finding("c", "z", "note", "So."),
    ]
    leaks.write(found, {"seed": 0}, tmp_path / "leaks.json")
    assert [one.severity for one in leaks.read(tmp_path / "leaks.json")] == ["leak", "note", "passed"]
    (tmp_path / "leaks.json").write_text("{}")
    with pytest.raises(LeakError, match=r"leaks.json: it no longer fits its seal"):
        leaks.read(tmp_path / "leaks.json")
    seals.break_seal(tmp_path / "leaks.json")
    with pytest.raises(LeakError, match=r"leaks.json: no findings"):
        leaks.read(tmp_path / "leaks.json")
    with pytest.raises(LeakError, match="no severity 'bad'"):
        Finding("a", "x", "bad", "s")


def test_the_wild_type_of_the_toys_is_no_kin_of_the_stranger() -> None:
    assert overlaps.likeness(toy(["WT"], "a"), toy(["WT"], "b", STRANGER)) < overlaps.HOMOLOGOUS < 1
    assert overlaps.likeness(toy(["WT"], "a", WILD_TYPE[3:15]), toy(["WT"], "b")) == 1
