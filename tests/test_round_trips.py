"""What is written is what is read: the grammar, the tables and the records, with any text that a file can hold."""

import dataclasses
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from multimep import dataset, predictions, splits
from multimep.dataset import Dataset, Record, Variants
from multimep.mutations import AMINO_ACIDS, Mutation, apply, compare, format_genotype, parse
from multimep.predictions import Predictions
from multimep.splits import Fold, Split

SIDES = ("train", "test", "")
WILD_TYPE = "MKTAYIAKQRQISFVKSH"
FEW = settings(
    max_examples=25,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
# any text but lone surrogates, which UTF-8 cannot hold
texts = st.text(st.characters(exclude_categories=("Cs",)), max_size=12)
names = texts.filter(lambda text: text not in ("", "mutant"))
numbers = st.floats(allow_nan=False, allow_infinity=False, width=64)
positive = st.floats(min_value=1e-300, max_value=1e300)


@st.composite
def genotypes(draw: st.DrawFn) -> tuple[Mutation, ...]:
    sites = draw(st.sets(st.integers(1, len(WILD_TYPE)), max_size=6))
    return tuple(
        Mutation(site, old, draw(st.sampled_from(AMINO_ACIDS.replace(old, ""))))
        for site, old in ((site, WILD_TYPE[site - 1]) for site in sorted(sites))
    )


mutants = st.lists(genotypes().map(format_genotype), min_size=1, max_size=8, unique=True).map(tuple)


@given(genotypes(), st.sampled_from(":+,"), st.sampled_from(["", " ", "\t"]), st.randoms())
@FEW
def test_any_order_separator_and_space_is_the_same_genotype(genotype, separator, space, random) -> None:
    parts = [f"{space}{one}{space}" for one in genotype]
    random.shuffle(parts)
    assert parse(separator.join(parts)) == genotype
    assert parse(format_genotype(genotype)) == genotype


@given(genotypes())
@FEW
def test_comparing_undoes_applying_and_the_way_back_leads_to_the_wild_type(genotype) -> None:
    mutated = apply(genotype, WILD_TYPE)
    assert compare(WILD_TYPE, mutated) == genotype
    back = tuple(Mutation(one.position, one.substitute, one.reference) for one in genotype)
    assert apply(back, mutated) == WILD_TYPE
    assert compare(mutated, WILD_TYPE) == back


@given(st.data(), mutants)
@FEW
def test_a_dataset_is_read_as_it_was_written_to_the_last_bit(tmp_path: Path, data, chosen) -> None:
    def column(kind: st.SearchStrategy[float]) -> np.ndarray:
        return np.array(data.draw(st.lists(kind, min_size=len(chosen), max_size=len(chosen))))

    covariates = {name: column(numbers) for name in data.draw(st.sets(texts, max_size=2))}
    sides = {
        name: tuple(data.draw(st.lists(st.sampled_from(SIDES), min_size=len(chosen), max_size=len(chosen))))
        for name in data.draw(st.sets(texts, max_size=2))
    }  # fmt: skip
    written = Dataset(
        Variants("toy", WILD_TYPE, chosen, covariates),
        column(numbers), column(positive | st.just(math.nan)), np.ones(len(chosen), dtype=np.int64), data.draw(texts),
        splits=sides,
    )  # fmt: skip
    words = [data.draw(texts) for _ in range(5)]
    record = Record(
        "toy", written.group, WILD_TYPE, True, words[0], words[1], {"variants": len(chosen)}, {"1": len(chosen)},
        {words[2]: 1}, {words[3]: "ab"}, words[4], words[0], False, (words[1],),
    )  # fmt: skip
    path = tmp_path / "toy.csv"
    dataset.write(written, record, path)
    found = dataset.read(path)
    assert found.variants == written.variants and found.splits == sides and found.group == written.group
    assert np.array_equal(found.fitness, written.fitness) and np.array_equal(found.std, written.std, equal_nan=True)
    assert all(np.array_equal(found.variants.covariates[name], covariates[name]) for name in covariates)
    again = dataset.read_record(path)
    assert dataclasses.replace(again, notes=tuple(again.notes)) == record


@given(st.data(), mutants)
@FEW
def test_a_split_is_read_as_it_was_written_whatever_its_folds_are_called(tmp_path: Path, data, chosen) -> None:
    folds = []
    for name in data.draw(st.lists(names, min_size=1, max_size=4, unique=True)):
        parts = data.draw(st.lists(st.sampled_from(SIDES), min_size=len(chosen), max_size=len(chosen)))
        parts[0] = "test"
        train, test = (
            tuple(mutant for mutant, part in zip(chosen, parts, strict=True) if part == side)
            for side in ("train", "test")
        )
        folds.append(Fold(name, train, test))
    written = Split(chosen, tuple(folds))
    splits.write(written, tmp_path / "split.csv")
    assert splits.read(tmp_path / "split.csv") == written


@given(st.data(), mutants)
@FEW
def test_predictions_are_read_as_they_were_written_to_nine_digits(tmp_path: Path, data, chosen) -> None:
    folds = []
    for name in data.draw(st.lists(texts, min_size=1, max_size=3, unique=True)):
        mean = np.array(data.draw(st.lists(numbers, min_size=len(chosen), max_size=len(chosen))))
        std = np.array(data.draw(st.lists(positive, min_size=len(chosen), max_size=len(chosen))))
        folds.append(
            (name, Predictions(chosen, mean, std if data.draw(st.booleans()) else np.full(len(std), np.nan), std))
        )
    predictions.write(folds, tmp_path / "predictions.csv")
    found = predictions.read(tmp_path / "predictions.csv")
    assert list(found) == [name for name, _ in folds]
    for name, part in folds:
        assert found[name].mutants == part.mutants
        np.testing.assert_allclose(found[name].mean, part.mean, rtol=1e-8)
        np.testing.assert_allclose(found[name].std, part.std, rtol=1e-8, equal_nan=True)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("mutant,f,f\nM1A,test,train\n", "column 'f' stands twice"),
        ("mutant,f\nM1A,test,train\n", "row 2 has 3 cells under a header of 2"),
        ("mutant,f\nM1A\n", "row 2 has 1 cells under a header of 2"),
        ('mutant,f\n"M1A,test\n', "no table"),
        ("", "empty"),
    ],
)
def test_a_table_of_another_shape_is_refused_and_not_guessed_at(tmp_path: Path, table: str, message: str) -> None:
    path = tmp_path / "split.csv"
    path.write_text(table)
    with pytest.raises(splits.SplitError, match=rf"split\.csv.*{message}"):
        splits.read(path)
