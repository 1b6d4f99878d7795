"""Laws of splits: nothing on both sides, rows in any order, ProteinGym's folds, nested training sets."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from multimep.dataset import Dataset
from multimep.mutations import parse
from multimep.schemes import SCHEMES
from multimep.schemes.family_out import FamilyOut
from multimep.schemes.low_n import LowN
from multimep.schemes.low_to_high import LowToHigh
from multimep.schemes.mutation_count import MutationCount
from multimep.schemes.random_folds import RandomFolds
from multimep.schemes.sites import Contiguous, Modulo, UnseenPosition
from multimep.schemes.source import Source
from multimep.schemes.unseen_substitution import UnseenSubstitution
from multimep.splits import Fold, Split, SplitError, read, write
from toy_datasets import KIN, STRANGER, mixed, singles, toy

EVERY = [
    RandomFolds(),
    RandomFolds(folds=3, by="sequence"),
    Modulo(),
    Modulo(by="sequence"),
    Contiguous(),
    Contiguous(by="sequence"),
    UnseenPosition(),
    UnseenPosition(by="dataset"),
    UnseenSubstitution(),
    UnseenSubstitution(by="dataset"),
    MutationCount(),
    MutationCount(train_up_to=1, test_from=2, test_up_to=2),
    LowToHigh(),
    LowToHigh(wild_type=False, quantile=0.3),
    LowN(sizes=(5, 12, "full"), seeds=3),
    LowN(sizes=(5, 12, "full"), seeds=3, by="sequence"),
    FamilyOut(sizes=(0, 5, 12), rows=30).among({"kin": KIN, "stranger": STRANGER}),
    Source("authors"),
]
every = pytest.mark.parametrize("scheme", EVERY, ids=str)


@pytest.fixture
def dataset() -> Dataset:
    mutants = mixed()
    return toy(mutants, splits={"authors": tuple("train" if row % 3 else "test" for row in range(len(mutants)))})


@every
def test_the_order_of_the_rows_does_not_change_a_split(scheme, dataset: Dataset) -> None:
    shuffled = np.random.default_rng(1).permutation(dataset.variants.mutants)
    assert scheme.split(dataset.select(shuffled), 3) == scheme.split(dataset, 3)


@every
def test_a_file_gives_back_the_split_that_was_written(scheme, dataset: Dataset, tmp_path: Path) -> None:
    split = scheme.split(dataset, 0)
    write(split, tmp_path / "split.csv")
    assert read(tmp_path / "split.csv") == split


@every
def test_no_fold_teaches_what_it_asks_and_every_variant_is_listed(scheme, dataset: Dataset) -> None:
    split = scheme.split(dataset, 0)
    assert sorted(split.mutants) == sorted(dataset.variants.mutants)
    for fold in split.folds:
        assert not set(fold.train) & set(fold.test)


def test_every_scheme_of_the_issue_has_its_name() -> None:
    first = {"random", "modulo", "contiguous", "mutation_count", "low_n", "source"}
    assert set(SCHEMES) == first | {"unseen_position", "unseen_substitution", "low_to_high", "family_out"}


def test_random_folds_ask_every_variant_once_and_are_balanced(dataset: Dataset) -> None:
    folds = RandomFolds(folds=4).split(dataset, 0).folds
    sizes = [len(fold.test) for fold in folds]
    assert sorted(mutant for fold in folds for mutant in fold.test) == sorted(dataset.variants.mutants)
    assert max(sizes) - min(sizes) <= 1
    assert all(len(fold.train) + len(fold.test) == len(dataset) for fold in folds)


def test_seed_and_name_change_a_random_split_and_nothing_else_does(dataset: Dataset) -> None:
    other_name = toy(mixed(), name="other")
    assert RandomFolds().split(dataset, 0) == RandomFolds().split(dataset, 0)
    assert RandomFolds().split(dataset, 0) != RandomFolds().split(dataset, 1)
    assert RandomFolds().split(dataset, 0) != RandomFolds().split(other_name, 0)


def test_the_random_split_is_the_same_on_every_machine() -> None:
    fold = RandomFolds(folds=3).split(toy(singles(range(2, 5))), 0).folds[0]
    assert fold.test == ("K2C", "T3W", "A4D", "A4G")


def _slow_proteingym_folds(mutants: list[str], k: int) -> tuple[dict[str, int], dict[str, int]]:
    """Folds of single mutants, restated from the definition with plain loops over the observed positions."""
    positions = sorted({int(mutant[1:-1]) for mutant in mutants})
    lengths = [len(positions) // k + (1 if fold < len(positions) % k else 0) for fold in range(k)]
    runs = [fold for fold, length in enumerate(lengths) for _ in range(length)]
    modulo, contiguous = {}, {}
    for mutant in mutants:
        index = positions.index(int(mutant[1:-1]))
        modulo[mutant], contiguous[mutant] = index % k, runs[index]
    return modulo, contiguous


@pytest.mark.parametrize("sites", [range(1, 21), range(2, 20, 2), range(3, 16)], ids=["all", "gaps", "uneven"])
def test_modulo_and_contiguous_are_proteingyms_folds_on_observed_sites(sites: range) -> None:
    mutants = singles(sites)
    for scheme, oracle in zip((Modulo(), Contiguous()), _slow_proteingym_folds(mutants, 5), strict=True):
        folds = scheme.split(toy(mutants), 0).folds
        assert {mutant: fold for fold, part in enumerate(folds) for mutant in part.test} == oracle


@pytest.mark.parametrize("scheme", [Modulo(), Contiguous()])
def test_multi_mutants_are_asked_inside_a_fold_taught_outside_and_unused_between(scheme, dataset: Dataset) -> None:
    folds = scheme.split(dataset, 0).folds
    sites_of = [{mutation.position for m in fold.test for mutation in parse(m)} for fold in folds]
    for fold, sites in zip(folds, sites_of, strict=True):
        assert "WT" in fold.train
        for mutant in dataset.variants.mutants:
            own = {mutation.position for mutation in parse(mutant)}
            assert (mutant in fold.test) == (bool(own) and own <= sites)
            assert (mutant in fold.train) == (not own & sites)


def test_mutation_count_learns_from_few_and_asks_about_more(dataset: Dataset) -> None:
    (fold,) = MutationCount(train_up_to=2).split(dataset, 0).folds
    assert fold.test == ("K2C:T3D:A4G",)
    assert {"WT", "M1C:K2D"} <= set(fold.train)


def test_mutation_count_says_why_singles_alone_cannot_be_split() -> None:
    with pytest.raises(SplitError, match=r"toy: mutation_count .* all variants have 1 mutations .* use another split"):
        MutationCount().split(toy(singles()), 0)


def test_low_n_training_sets_are_nested_and_share_one_test_set(dataset: Dataset) -> None:
    folds = {fold.name: fold for fold in LowN(sizes=(24, 5, "full"), seeds=3).split(dataset, 0).folds}
    assert set(folds) == {f"n{n}_seed{seed}" for n in (5, 24) for seed in range(3)} | {"nfull_seed0"}
    assert len({fold.test for fold in folds.values()}) == 1
    assert len(folds["n5_seed0"].test) == round(0.3 * len(dataset))
    for seed in range(3):
        small, large = set(folds[f"n5_seed{seed}"].train), set(folds[f"n24_seed{seed}"].train)
        assert (len(small), len(large)) == (5, 24)
        assert small < large < set(folds["nfull_seed0"].train)
    assert folds["n24_seed0"].train != folds["n24_seed1"].train
    assert len(folds["nfull_seed0"].train) + len(folds["nfull_seed0"].test) == len(dataset)


def test_low_n_draws_each_size_as_often_as_it_says(dataset: Dataset) -> None:
    several = {fold.name: fold for fold in LowN(sizes=(5, 12, "full"), seeds=(3, 2, 7)).split(dataset, 0).folds}
    assert list(several) == ["n5_seed0", "n5_seed1", "n5_seed2", "n12_seed0", "n12_seed1", "nfull_seed0"]
    same = {fold.name: fold for fold in LowN(sizes=(5, 12, "full"), seeds=3).split(dataset, 0).folds}
    assert all(same[name] == fold for name, fold in several.items())
    with pytest.raises(SplitError, match="2 sizes with seeds for 1; give one for each"):
        LowN(sizes=(5, 12), seeds=(3,))
    with pytest.raises(SplitError, match="must be above 0"):
        LowN(sizes=(5, 12), seeds=(3, 0))


def test_low_n_keeps_its_test_set_when_sizes_and_seeds_change(dataset: Dataset) -> None:
    before = LowN(sizes=(8,), seeds=1).split(dataset, 5).folds[0]
    after = LowN(sizes=(4, 8, 16), seeds=4).split(dataset, 5).folds
    assert before in after


def test_low_n_leaves_out_sizes_that_do_not_fit_and_says_so_when_none_is_left(dataset: Dataset) -> None:
    assert {fold.name for fold in LowN(sizes=(5, 5000), seeds=1).split(dataset, 0).folds} == {"n5_seed0"}
    with pytest.raises(SplitError, match="toy: low_n has 60 variants"):
        LowN(sizes=(5000,)).split(dataset, 0)


def test_source_uses_the_authors_column_and_names_those_that_exist(dataset: Dataset) -> None:
    (fold,) = Source("authors").split(dataset, 0).folds
    assert fold.name == "authors"
    assert {
        mutant
        for mutant, part in zip(dataset.variants.mutants, dataset.splits["authors"], strict=True)
        if part == "test"
    } == set(fold.test)
    with pytest.raises(SplitError, match=r"no split 'A75' in its source \(it has: authors\)"):
        Source("A75").split(dataset, 0)


def test_numbers_of_a_source_are_folds_each_asked_once_and_what_has_none_is_unused(dataset: Dataset) -> None:
    numbers = tuple(("2", "0", "")[row % 3] for row in range(len(dataset)))
    numbered = replace(dataset, splits={"published": numbers})
    found = Source().split(numbered, 0)
    of = dict(zip(dataset.variants.mutants, numbers, strict=True))
    assert [fold.name for fold in found.folds] == ["fold0", "fold2"]
    for fold, number, other in zip(found.folds, ("0", "2"), ("2", "0"), strict=True):
        assert {of[mutant] for mutant in fold.test} == {number}
        assert {of[mutant] for mutant in fold.train} == {other}
        assert len(fold.test) + len(fold.train) == len(dataset) - numbers.count("")
    with pytest.raises(SplitError, match=r"fold1.* has no variant in train"):
        Source().split(replace(dataset, splits={"published": ("1",) * len(dataset)}), 0)


def test_folds_that_cannot_be_filled_are_refused_with_a_remedy() -> None:
    few = toy(["M1C", "K2C", "T3C"])
    for scheme in (RandomFolds(), Modulo(), Contiguous()):
        with pytest.raises(SplitError, match="cannot fill 5 folds; set folds lower"):
            scheme.split(few, 0)
    pairs = toy(["M1C:K2C", "T3C"])
    with pytest.raises(SplitError, match="toy: 'fold0' has no variant in test; choose another split"):
        Contiguous(folds=3).split(pairs, 0)
    for settings in (
        lambda: RandomFolds(folds=1),
        lambda: LowN(sizes=(0,)),
        lambda: LowN(seeds=0),
        lambda: LowN(test_fraction=1.0),
    ):
        with pytest.raises(SplitError):
            settings()


def test_folds_and_splits_are_valid_from_birth() -> None:
    with pytest.raises(SplitError, match="both in train and in test: M1C"):
        Fold("a", ("M1C",), ("M1C", "K2C"))
    with pytest.raises(SplitError, match="no variant teaches and none is asked"):
        Fold("a", (), ())
    with pytest.raises(SplitError, match="no fold asks a variant: a; choose another split"):
        Split(("M1C",), (Fold("a", ("M1C",), ()),))
    with pytest.raises(SplitError, match="not among the variants: K2C"):
        Split(("M1C",), (Fold("a", ("M1C",), ("K2C",)),))
    with pytest.raises(SplitError, match="distinct"):
        Split(("M1C", "K2C"), (Fold("a", ("M1C",), ("K2C",)), Fold("a", ("K2C",), ("M1C",))))


def test_a_file_with_another_word_is_refused_with_its_name_and_row(tmp_path: Path) -> None:
    path = tmp_path / "split.csv"
    path.write_text("mutant,fold0\nM1C,train\nK2C,exam\n")
    with pytest.raises(SplitError, match=r"split.csv: 'fold0' must say .* for K2C"):
        read(path)
    path.write_text("variant,fold0\nM1C,train\n")
    with pytest.raises(SplitError, match="first column must be 'mutant'"):
        read(path)
