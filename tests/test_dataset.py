import dataclasses
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from multimep import dataset as datasets
from multimep import seals
from multimep.dataset import Dataset, DatasetError, Record, Variants, read, read_record, record_path, write
from multimep.mutations import MutationError
from multimep.structure import Structure
from multimep.whole_files import write_whole

WILD_TYPE = "MKTAYIAKQR"
MUTANTS = ("WT", "M1A", "K2R:T3A", "Y5F")


def variants(*mutants: str) -> Variants:
    return Variants("toy", WILD_TYPE, mutants or MUTANTS)


def toy(fitness=(0.1, -2.5, 1 / 3, 1e-300), std=(np.nan, 0.1, 0.2, np.nan), **more) -> Dataset:
    columns = np.array(fitness, dtype=float), np.array(std, dtype=float), np.array([1, 2, 3, 40])
    return Dataset(variants(), *columns, **more)


def record(dataset: Dataset) -> Record:
    return Record(
        dataset.name, dataset.group, dataset.wild_type, dataset.higher_is_better, "kcat", "1/s",
        {"rows": 5, "variants": 4}, {"0": 1, "1": 2, "2": 1}, {"not finite": 1}, {"a.csv": "0" * 64},
        "CC0", "doi:10.1000/ä", True, ["from 1"],
    )  # fmt: skip


def assert_equal(one: Dataset, other: Dataset) -> None:
    for name in ("fitness", "std", "replicates"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name), strict=True)
    for name in ("variants", "group", "higher_is_better", "splits"):
        assert getattr(one, name) == getattr(other, name)


def test_a_dataset_survives_its_file_exactly(tmp_path):
    splits = {"authors": ("train", "", "test", "train"), "none": ("", "", "", "")}
    dataset = toy(group="enzyme", higher_is_better=False, splits=splits)
    path = tmp_path / "folder" / "toy.csv"
    write(dataset, record(dataset), path)
    assert_equal(read(path), dataset)
    assert read_record(path) == record(dataset)


@settings(deadline=None)
@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=4, max_size=4))
def test_every_finite_number_survives_to_the_last_bit(tmp_path_factory, numbers):
    dataset = toy(fitness=numbers, std=[abs(number) for number in numbers])
    path = tmp_path_factory.mktemp("numbers") / "toy.csv"
    write(dataset, record(dataset), path)
    assert_equal(read(path), dataset)


def test_the_same_dataset_gives_the_same_bytes(tmp_path):
    for name in ("one.csv", "two.csv"):
        write(toy(), record(toy()), tmp_path / name)
    for suffix in (".csv", ".json"):
        assert (tmp_path / f"one{suffix}").read_bytes() == (tmp_path / f"two{suffix}").read_bytes()


def test_the_record_stands_beside_the_table_as_plain_json(tmp_path):
    write(toy(), record(toy()), tmp_path / "toy.csv")
    assert record_path(tmp_path / "toy.csv") == tmp_path / "toy.json"
    assert json.loads((tmp_path / "toy.json").read_text(encoding="utf-8"))["citation"] == "doi:10.1000/ä"


@pytest.mark.parametrize(
    ("mutants", "error", "words"),
    [
        (("M1A", "K2R", "M1A"), DatasetError, "toy: genotypes given twice: M1A"),
        (("K2R+M1A",), DatasetError, r"toy: 'K2R\+M1A' is not in canonical form \(M1A:K2R\)"),
        (("",), DatasetError, r"toy: '' is not in canonical form \(WT\)"),
        (("M01A",), DatasetError, "not in canonical form"),
        (("M1",), MutationError, "'M1'"),
    ],
)
def test_variants_in_another_spelling_or_twice_are_refused(mutants, error, words):
    with pytest.raises(error, match=words):
        variants(*mutants)


def test_an_unreadable_wild_type_is_refused():
    with pytest.raises(MutationError, match="unknown amino acid 'X' at position 2"):
        Variants("toy", "MXT", ("M1A",))


def test_a_genotype_of_another_wild_type_has_no_sequence():
    with pytest.raises(MutationError, match="K1A: the wild type has M at position 1"):
        _ = variants("K1A").sequences


def test_sequences_depths_and_rows_belong_to_the_mutants():
    assert variants().sequences == (WILD_TYPE, "AKTAYIAKQR", "MRAAYIAKQR", "MKTAFIAKQR")
    np.testing.assert_array_equal(variants().depths, [0, 1, 2, 1])
    assert variants().row_of == {mutant: row for row, mutant in enumerate(MUTANTS)}


@pytest.mark.wrong_shapes
@pytest.mark.parametrize("name", ["fitness", "std", "replicates"])
def test_a_column_of_another_length_is_refused(name):
    with pytest.raises(DatasetError, match=f"toy: 3 values of {name} for 4 variants"):
        dataclasses.replace(toy(), **{name: getattr(toy(), name)[:3]})


def test_a_split_of_another_length_is_refused():
    with pytest.raises(DatasetError, match="toy: 1 values of authors for 4 variants"):
        toy(splits={"authors": ("train",)})


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_fitness_that_is_not_finite_is_refused_by_its_mutant(value):
    with pytest.raises(DatasetError, match="toy: fitness of K2R:T3A is not finite"):
        toy(fitness=(0, 1, value, 3))


def test_rows_are_selected_by_name_in_the_order_asked():
    dataset = toy(splits={"authors": ("train", "", "test", "train")})
    chosen = dataset.select(["Y5F", "M1A"])
    assert chosen.variants.mutants == ("Y5F", "M1A")
    np.testing.assert_array_equal(chosen.fitness, dataset.fitness[[3, 1]])
    np.testing.assert_array_equal(chosen.std, dataset.std[[3, 1]])
    np.testing.assert_array_equal(chosen.replicates, [40, 2])
    assert chosen.splits == {"authors": ("train", "")}
    assert variants().select(["Y5F", "M1A"]) == chosen.variants


def test_what_is_selected_is_what_would_be_read_from_its_texts_and_no_row_comes_twice():
    chosen = toy().variants.select(["Y5F", "M1A"])
    read = Variants(chosen.dataset, chosen.wild_type, chosen.mutants)
    assert chosen == read and hash(chosen) == hash(read)
    assert (chosen.genotypes, chosen.sequences, chosen.row_of) == (read.genotypes, read.sequences, read.row_of)
    with pytest.raises(DatasetError, match="genotypes given twice: M1A"):
        toy().variants.select(["Y5F", "M1A", "M1A"])


def test_selecting_everything_changes_nothing_and_selecting_nothing_is_empty():
    assert_equal(toy().select(MUTANTS), toy())
    assert len(toy().select([])) == 0


def test_a_variant_that_is_not_there_cannot_be_selected():
    for whole in (toy(), variants()):
        with pytest.raises(DatasetError, match="toy: no such variants: Q9A"):
            whole.select(["M1A", "Q9A"])


def test_text_is_replaced_whole_and_leaves_nothing_beside_it(tmp_path):
    path = tmp_path / "folder" / "text.csv"
    for text in ("old\n" * 1000, "new\n"):
        write_whole(path, text)
        assert path.read_text(encoding="utf-8") == text
        assert [entry.name for entry in path.parent.iterdir()] == ["text.csv"]


def test_a_reader_of_the_old_text_still_has_all_of_it(tmp_path):
    path = tmp_path / "text.csv"
    write_whole(path, "old")
    with path.open(encoding="utf-8") as file:
        write_whole(path, "new")
        assert file.read() == "old"


def test_a_write_that_fails_leaves_the_old_text_and_nothing_beside_it(tmp_path):
    path = tmp_path / "text.csv"
    write_whole(path, "old")
    with pytest.raises(UnicodeEncodeError):
        write_whole(path, "new \ud800")
    assert path.read_text(encoding="utf-8") == "old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["text.csv"]


def test_the_record_is_there_before_the_table(tmp_path, monkeypatch):
    written = []
    monkeypatch.setattr(datasets.seals, "write", lambda path, text: written.append(path.suffix))
    write(toy(), record(toy()), tmp_path / "toy.csv")
    assert written == [".json", ".csv"]


def with_covariates(values=(0.5, -1.0, 1 / 3, 2.0), structure: Structure | None = None) -> Dataset:
    known = Variants("toy", WILD_TYPE, MUTANTS, {"esm_if1": np.array(values, dtype=float)}, structure)
    return dataclasses.replace(toy(), variants=known)


def test_covariates_and_structure_survive_the_file_to_the_last_bit(tmp_path):
    places = np.round(np.random.default_rng(0).normal(size=(10, 3)), 3)
    places[[0, 4]] = np.nan
    dataset = with_covariates(structure=Structure(places))
    known = dataclasses.replace(record(dataset), structure=Structure(places).lines)
    write(dataset, known, tmp_path / "toy.csv")
    found = read(tmp_path / "toy.csv").variants
    assert "covariate_esm_if1" in (tmp_path / "toy.csv").read_text().splitlines()[0]
    np.testing.assert_array_equal(found.covariates["esm_if1"], dataset.variants.covariates["esm_if1"])
    np.testing.assert_array_equal(found.structure.coordinates, places)


def test_selecting_keeps_covariates_at_their_mutants():
    dataset = with_covariates()
    for part in (dataset.select(("Y5F", "WT", "M1A")), dataset.select(("M1A",)), dataset.select(())):
        expected = [dict(zip(MUTANTS, (0.5, -1.0, 1 / 3, 2.0), strict=True))[name] for name in part.variants.mutants]
        np.testing.assert_array_equal(part.variants.covariates["esm_if1"], expected)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ((1.0, 2.0), "toy: 2 values of covariate esm_if1 for 4 variants"),
        ((1.0, np.nan, 2.0, 3.0), "toy: covariate esm_if1 of M1A is not finite"),
    ],
)
@pytest.mark.wrong_shapes
def test_a_covariate_of_another_length_or_not_finite_is_refused(values, words):
    with pytest.raises(DatasetError, match=words):
        with_covariates(values)


def test_a_structure_of_another_length_is_refused():
    with pytest.raises(DatasetError, match="toy: a structure of 9 residues for a wild type of 10"):
        with_covariates(structure=Structure(np.zeros((9, 3))))


def test_a_covariate_that_is_missing_in_the_file_is_refused(tmp_path):
    dataset = with_covariates()
    write(dataset, record(dataset), tmp_path / "toy.csv")
    text = (tmp_path / "toy.csv").read_text()
    seals.break_seal(tmp_path / "toy.csv")
    (tmp_path / "toy.csv").write_text(text.replace(",-1.0\n", ",\n"))
    with pytest.raises(DatasetError, match=r"toy.csv: toy: covariate esm_if1 of M1A is not finite; make it again"):
        read(tmp_path / "toy.csv")
