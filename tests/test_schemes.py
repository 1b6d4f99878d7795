"""Laws of the schemes beyond the first: sequences instead of names, unseen mutations, regimes, families left out."""

import numpy as np
import pytest

from multimep import layout
from multimep.dataset import Dataset
from multimep.families import families
from multimep.mutations import parse
from multimep.schemes import SCHEMES, among, is_group_aware
from multimep.schemes.family_out import FamilyOut
from multimep.schemes.low_n import LowN
from multimep.schemes.low_to_high import LowToHigh
from multimep.schemes.mutation_count import MutationCount
from multimep.schemes.random_folds import RandomFolds
from multimep.schemes.scheme import SchemeAmongOthers
from multimep.schemes.sites import Contiguous, Modulo, UnseenPosition
from multimep.schemes.unseen_substitution import UnseenSubstitution, possible
from multimep.splits import Fold, Split, SplitError
from toy_datasets import KIN, STRANGER, WILD_TYPE, mixed, singles, toy

# Sequences instead of names

GROUP_AWARE = [
    RandomFolds(by="sequence"),
    Modulo(by="sequence"),
    Contiguous(folds=3, by="sequence"),
    UnseenPosition(),
    UnseenSubstitution(folds=3),
    MutationCount(),
    LowN(sizes=(5, 24), by="sequence"),
]


@pytest.fixture
def dataset() -> Dataset:
    return toy(mixed())


def sides(fold: Fold, dataset: Dataset) -> tuple[set[str], set[str]]:
    """The sequences that teach and those that are asked."""
    return set(dataset.variants.select(fold.train).sequences), set(dataset.variants.select(fold.test).sequences)


def crossings(scheme, one: Dataset, other: Dataset) -> int:
    """Sequences that are asked of one of two datasets and teach in the fold of that name of the other."""
    folds = [{fold.name: sides(fold, data) for fold in scheme.split(data, 3).folds} for data in (one, other)]
    shared = set(folds[0]) & set(folds[1])
    assert shared
    return sum(len(folds[a][name][0] & folds[1 - a][name][1]) for name in shared for a in (0, 1))


@pytest.mark.parametrize("scheme", GROUP_AWARE, ids=str)
def test_a_sequence_that_two_assays_measured_never_stands_on_both_sides(scheme, dataset: Dataset) -> None:
    assert is_group_aware(scheme)
    second = toy([*mixed()[:-9:-1], *mixed()[1:-30:2]], name="the same protein")
    assert crossings(scheme, dataset, second) == 0


@pytest.mark.parametrize("scheme", [RandomFolds(), LowN(sizes=(24,)), LowToHigh()], ids=str)
def test_folds_drawn_by_name_or_fitness_let_a_planted_duplicate_cross(scheme, dataset: Dataset) -> None:
    assert not is_group_aware(scheme)
    second = toy(mixed(), name="the same protein", fitness=[float(row % 7) for row in range(len(mixed()))])
    assert crossings(scheme, dataset, second) > 0


def test_folds_by_sequence_hold_for_one_sequence_under_two_wild_types() -> None:
    """The wild type of the second assay is a mutant of the first."""
    first = toy(["WT", "M1C", "M1C:K2C", "K2C", "M1C:T3C"])
    second = toy(["C1M", "WT", "K2C", "C1M:K2C", "T3C"], "second", "C" + WILD_TYPE[1:])
    assert set(first.variants.sequences) == set(second.variants.sequences)
    assert crossings(RandomFolds(folds=2, by="sequence"), first, second) == 0


def test_folds_by_sequence_have_sizes_of_chance_and_change_with_the_seed() -> None:
    many = toy([f"{old}{site}{new}" for site, old in enumerate(WILD_TYPE, 1) for new in "CDEFGHW" if new != old])
    sizes = np.array([len(fold.test) for fold in RandomFolds(by="sequence").split(many, 1).folds])
    # n balls in 5 bins: chi-square with 4 degrees of freedom
    expected = len(many) / 5
    assert ((sizes - expected) ** 2 / expected).sum() < 18.5  # p = 0.001
    assert RandomFolds(by="sequence").split(many, 1) != RandomFolds(by="sequence").split(many, 2)


# Unseen positions and substitutions


@pytest.mark.parametrize("by", ["sequence", "dataset"])
def test_unseen_positions_are_asked_where_nothing_that_teaches_is_mutated(by, dataset: Dataset) -> None:
    folds = UnseenPosition(folds=4, by=by).split(dataset, 0).folds
    for fold in folds:
        taught, asked = ({one.position for m in side for one in parse(m)} for side in (fold.train, fold.test))
        assert asked
        assert not taught & asked
    assert sorted(mutant for fold in folds for mutant in fold.test if ":" not in mutant) == sorted(singles())


def test_unseen_positions_are_neither_every_fifth_nor_neighbours() -> None:
    dataset, drawn = toy(singles()), UnseenPosition(by="dataset")

    def sites(scheme) -> list[list[int]]:
        return [sorted({int(m[1:-1]) for m in fold.test}) for fold in scheme.split(dataset, 0).folds]

    assert [len(one) for one in sites(drawn)] == [4] * 5
    assert sorted(sites(drawn)) not in (sorted(sites(Modulo())), sorted(sites(Contiguous())))
    assert drawn.split(dataset, 0) != drawn.split(dataset, 1)


@pytest.mark.parametrize("by", ["sequence", "dataset"])
def test_unseen_substitutions_are_asked_where_nothing_that_teaches_carries_them(by, dataset: Dataset) -> None:
    folds = UnseenSubstitution(folds=2, by=by).split(dataset, 0).folds
    for fold in folds:
        taught, asked = ({str(one) for m in side for one in parse(m)} for side in (fold.train, fold.test))
        assert asked
        assert not taught & asked
        mixed_ones = set(dataset.variants.mutants) - set(fold.train) - set(fold.test)
        assert all({str(one) for one in parse(mutant)} - asked for mutant in mixed_ones)
    assert any(len(fold.train) + len(fold.test) < len(dataset) for fold in folds)


def test_single_mutants_by_substitution_are_random_folds() -> None:
    dataset = toy(singles())
    folds = UnseenSubstitution(by="dataset").split(dataset, 0).folds
    assert all(len(fold.train) + len(fold.test) == len(dataset) for fold in folds)
    sizes = [len(fold.test) for fold in folds]
    assert max(sizes) - min(sizes) <= 1
    assert len({int(m[1:-1]) for m in folds[0].test} & {int(m[1:-1]) for m in folds[0].train}) > 5


def test_a_protein_has_nineteen_mutations_at_each_site() -> None:
    mutations = possible(WILD_TYPE)
    assert len(set(mutations)) == 19 * len(WILD_TYPE)
    assert all(WILD_TYPE[one.position - 1] == one.reference != one.substitute for one in mutations)


# Regimes


REGIMES = {
    "up_to_1_asked_2": (MutationCount(1, 2, 2), {0, 1}, {2}),
    "up_to_1_asked_2_up": (MutationCount(1, 2), {0, 1}, {2, 3}),
    "up_to_2_asked_3_up": (MutationCount(2, 3), {0, 1, 2}, {3}),
    "up_to_1_asked_3_up": (MutationCount(1, 3), {0, 1}, {3}),
    "up_to_0_asked_1_to_2": (MutationCount(0, 1, 2), {0}, {1, 2}),
}


@pytest.mark.parametrize("name", REGIMES)
def test_depth_regimes_learn_from_so_many_mutations_and_ask_about_so_many_others(name, dataset: Dataset) -> None:
    scheme, taught, asked = REGIMES[name]
    (fold,) = scheme.split(dataset, 0).folds
    assert fold.name == name
    assert set(dataset.variants.select(fold.train).depths.tolist()) == taught
    assert set(dataset.variants.select(fold.test).depths.tolist()) == asked


def test_depths_that_do_not_rise_are_refused() -> None:
    for wrong in (lambda: MutationCount(2, 2), lambda: MutationCount(1, 3, 2), lambda: MutationCount(-1)):
        with pytest.raises(SplitError, match="must rise in this order"):
            wrong()


@pytest.mark.parametrize("higher_is_better", [True, False])
def test_low_to_high_teaches_what_is_not_better_than_the_wild_type(higher_is_better: bool) -> None:
    fitness = [float(value) for value in np.random.default_rng(0).permutation(len(mixed()))]
    dataset = toy(mixed(), fitness=fitness, higher_is_better=higher_is_better)
    of = dict(zip(dataset.variants.mutants, fitness, strict=True))
    (fold,) = LowToHigh().split(dataset, 0).folds
    better = {mutant for mutant, value in of.items() if (value > of["WT"]) == higher_is_better} - {"WT"}
    assert set(fold.test) == better
    assert set(fold.train) == set(of) - better


@pytest.mark.parametrize("higher_is_better", [True, False])
def test_low_to_high_without_a_wild_type_teaches_a_share_of_the_variants(higher_is_better: bool) -> None:
    dataset = toy(singles(), higher_is_better=higher_is_better)
    (fold,) = LowToHigh(quantile=0.25).split(dataset, 0).folds
    assert len(fold.train) == np.ceil(0.25 * len(dataset))
    assert dataset.variants.mutants[0 if higher_is_better else -1] in fold.train
    whole = toy(mixed(), higher_is_better=higher_is_better)
    assert len(LowToHigh(wild_type=False).split(whole, 0).folds[0].train) == np.ceil(len(whole) / 2)


def test_low_to_high_is_the_same_when_fitness_and_direction_are_mirrored() -> None:
    fitness = [float(value) for value in np.random.default_rng(1).normal(size=len(mixed()))]
    up, down = toy(mixed(), fitness=fitness), toy(mixed(), fitness=[-one for one in fitness], higher_is_better=False)
    for scheme in (LowToHigh(), LowToHigh(wild_type=False, quantile=0.7)):
        assert scheme.split(up, 0) == scheme.split(down, 0)


def test_low_to_high_says_so_where_nothing_is_better() -> None:
    with pytest.raises(SplitError, match="no variant better than the wild type: set wild_type: false"):
        LowToHigh().split(toy(["WT", "M1C", "K2C"], fitness=[3.0, 1.0, 2.0]), 0)


# A family left out


@pytest.fixture
def study() -> dict[str, Dataset]:
    """Two assays of one protein under other names, its kin, two strangers."""
    wild_types = {"one": WILD_TYPE, "again": WILD_TYPE, "kin": KIN, "far": STRANGER, "other": "VNAELDRQTSVNAELDRQTS"}
    mutants = {
        name: ["WT", *(f"{old}{site}{new}" for site, old in enumerate(text, 1) for new in "GHI" if new != old)]
        for name, text in wild_types.items()
    }
    return {name: toy(mutants[name], name, text) for name, text in wild_types.items()}


def family_out(study: dict[str, Dataset], scheme: FamilyOut) -> dict[str, Split]:
    wild_types = {name: data.wild_type for name, data in study.items()}
    others = {name: {k: v for k, v in wild_types.items() if k != name} for name in study}
    return {name: among(scheme, others[name]).split(data, 0) for name, data in study.items()}


def test_kin_by_sequence_teach_nothing_and_every_other_protein_teaches_all(study) -> None:
    family = dict(zip(study, families([data.wild_type for data in study.values()], 0.3), strict=True))
    assert family["one"] == family["again"] == family["kin"] != family["far"] != family["other"]
    for name, split in family_out(study, FamilyOut(sizes=(0, 5), seeds=2)).items():
        assert [fold.name for fold in split.questions] == [f"{name}/n0_seed0", f"{name}/n5_seed0", f"{name}/n5_seed1"]
        assert [len(fold.train) for fold in split.questions] == [0, 5, 5]
        assert len({fold.test for fold in split.questions}) == 1
        teaching = {fold.name: fold for fold in split.folds if not fold.test}
        assert set(teaching) == {other for other in study if family[other] != family[name]}
        assert all(set(fold.train) == set(study[name].variants.mutants) for fold in teaching.values())


def test_a_planted_twin_is_refused_as_teacher_whatever_its_name(study) -> None:
    splits = family_out(study, FamilyOut(sizes=(5,)))
    for twin in ("again", "kin"):
        assert not any(fold.belongs_to("one/n5_seed0") for fold in splits[twin].folds)
    assert any(fold.belongs_to("one/n5_seed0") for fold in splits["far"].folds)


def test_a_fold_that_only_teaches_belongs_to_all_questions_within_its_name() -> None:
    teaching, asking = Fold("far", ("M1C",), ()), Fold("far/n5_seed0", (), ("M1C",))
    assert [teaching.belongs_to(name) for name in ("far", "far/n5_seed0", "farther/n5_seed0")] == [True, True, False]
    assert [asking.belongs_to(name) for name in ("far/n5_seed0", "far", "far/n5_seed0/x")] == [True, False, False]


def test_rows_bound_what_others_teach_and_the_questions_are_those_of_low_n(study) -> None:
    small = family_out(study, FamilyOut(sizes=(5,), rows=7))["one"]
    assert [len(fold.train) for fold in small.folds if not fold.test] == [7, 7]
    low_n = LowN(sizes=(5,)).split(study["one"], 0)
    assert [(fold.train, fold.test) for fold in small.questions] == [(fold.train, fold.test) for fold in low_n.folds]


def test_family_out_needs_the_others_and_no_other_scheme_takes_them(study) -> None:
    with pytest.raises(SplitError, match="one: family_out must know the study's other datasets; give them as --kin"):
        FamilyOut().split(study["one"], 0)
    with pytest.raises(SplitError, match="this scheme asks for no other dataset"):
        among(RandomFolds(), {"kin": KIN})
    with pytest.raises(SplitError, match=r"one: family_out has [0-9]+ variants to learn from"):
        among(FamilyOut(sizes=(500,)), {"kin": KIN}).split(study["one"], 0)


def test_the_rules_know_which_schemes_depend_on_other_datasets() -> None:
    assert set(layout.AMONG_OTHERS) == {name for name, kind in SCHEMES.items() if isinstance(kind(), SchemeAmongOthers)}
