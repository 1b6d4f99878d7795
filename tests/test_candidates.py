import numpy as np
import pytest

from multimep.candidates import read_variants, single_mutants
from multimep.mutations import AMINO_ACIDS, compare
from multimep.readers.faults import SourceError

WILD_TYPE = "MKTAYIAK"


def read(tmp_path, text: str | bytes):
    path = tmp_path / "wanted.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_variants("toy", WILD_TYPE, path)


def test_every_single_mutant_is_there_once():
    found = single_mutants("toy", WILD_TYPE)
    slow = {f"{old}{site}{new}" for site, old in enumerate(WILD_TYPE, start=1) for new in AMINO_ACIDS if new != old}
    assert len(found) == 19 * len(WILD_TYPE)
    assert set(found.mutants) == slow
    assert all(len(compare(WILD_TYPE, sequence)) == 1 for sequence in found.sequences)


def test_variants_are_read_in_order_each_once_in_canonical_spelling(tmp_path):
    found = read(tmp_path, "note,mutant\na,K2R+M1A\nb,WT\nc,M1A:K2R\nd,T3V\n")
    assert found.mutants == ("M1A:K2R", "WT", "T3V")
    assert (found.dataset, found.wild_type) == ("toy", WILD_TYPE)


def test_a_byte_order_mark_is_no_part_of_the_header(tmp_path):
    assert read(tmp_path, b"\xef\xbb\xbfmutant\nM1A\n").mutants == ("M1A",)


def test_every_row_that_cannot_be_read_is_listed_with_its_line(tmp_path):
    with pytest.raises(SourceError) as error:
        read(tmp_path, "mutant\nM1A\nM1;A\nK1A\nT99V\nK2R\n")
    message = str(error.value)
    for words in (
        "wanted.csv line 3: 'M1;A'",
        "wanted.csv line 4: K1A: the wild type has M at position 1",
        "wanted.csv line 5: T99V: position outside",
    ):
        assert words in message
    assert [fault.line for fault in error.value.faults] == [3, 4, 5]


def test_lines_are_counted_as_an_editor_counts_them(tmp_path):
    with pytest.raises(SourceError, match="line 4: "):
        read(tmp_path, "mutant,note\nM1A,a\n\nnonsense,b\n")


def test_a_comma_between_mutations_must_be_quoted(tmp_path):
    assert read(tmp_path, 'mutant\n"M1A,K2R"\n').mutants == ("M1A:K2R",)
    with pytest.raises(SourceError, match="line 2: 2 cells under a header of 1; quote"):
        read(tmp_path, "mutant\nM1A,K2R\n")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("variant\nM1A\n", r"wanted\.csv line 1: no column 'mutant'"),
        ("mutant,mutant\nM1A,K2R\n", r"wanted\.csv line 1: column 'mutant' stands twice"),
        ("mutant\n", r"wanted\.csv: no rows"),
        ("", r"wanted\.csv: the file is empty"),
        (b"mutant\nM\xff1A\n", r"wanted\.csv line 2: .*not UTF-8"),
        ('mutant\nM1A\n"', r"wanted\.csv line 3: broken table"),
    ],
)
def test_a_file_that_is_no_list_of_variants_is_refused_by_its_name(tmp_path, text, words):
    with pytest.raises(SourceError, match=words):
        read(tmp_path, text)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere"):
        read_variants("toy", WILD_TYPE, tmp_path / "nowhere.csv")


def test_covariates_of_candidates_are_read_beside_them(tmp_path):
    found = read(tmp_path, "mutant,covariate_esm_if1\nK2R,0.5\nM1A,-1\nK2R,0.5\n")
    assert found.mutants == ("K2R", "M1A")
    np.testing.assert_array_equal(found.covariates["esm_if1"], [0.5, -1])


def test_a_candidate_twice_with_other_covariates_and_one_without_are_refused(tmp_path):
    with pytest.raises(SourceError) as error:
        read(tmp_path, "mutant,covariate_esm_if1\nK2R,0.5\nK2R,0.6\nM1A,\n")
    assert "line 3: K2R stands above with other covariates" in str(error.value)
    assert "line 4: covariate_esm_if1 is empty" in str(error.value)
