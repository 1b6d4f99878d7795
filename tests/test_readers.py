"""Readers: every layout read as its authors meant it, every kind of bad input refused with its line."""

import math
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from multimep.mutations import format_genotype
from multimep.readers import lineage, table
from multimep.readers.faults import Fault, SourceError
from multimep.readers.measurements import Reading, merge
from multimep.readers.reader import Columns, Inputs, Text

SHARED = Path(__file__).parents[1].parent / "shared"
COMMIT = "2fe9d56dbdba66e1e0ece2776c13e0a9d07ce366"
STUDY = SHARED / f"mirror/raw.githubusercontent.com/Turakar/mutation-prediction/{COMMIT}/data/datasets"
WILD_TYPE = "ACDEFGHIKL"


def inputs(content: str | bytes, columns: Columns | None = None, **settings: object) -> Inputs:
    raw = content if isinstance(content, bytes) else content.encode()
    known: dict[str, object] = {"wild_type": WILD_TYPE, **settings}
    return Inputs("demo", {"variants": Text("demo.csv", raw)}, columns=columns or Columns(), **known)  # type: ignore[arg-type]


def rows(reading: Reading) -> list[tuple[str, float]]:
    return [(format_genotype(one.genotype), one.fitness) for one in reading.measurements]


def refused(read: Callable[[Inputs], Reading], given: Inputs) -> tuple[Fault, ...]:
    with pytest.raises(SourceError) as caught:
        read(given)
    return caught.value.faults


def test_own_csv_takes_all_separators_and_both_spellings_of_the_wild_type() -> None:
    text = 'mutant,fitness\nA1C:D3E,1\nC2D+D3F,2.5\n"A1V, D3G",-3e-1\nWT,0\n,0.25\n'
    assert rows(table.read_multimep(inputs(text))) == [
        ("A1C:D3E", 1.0),
        ("C2D:D3F", 2.5),
        ("A1V:D3G", -0.3),
        ("WT", 0.0),
        ("WT", 0.25),
    ]


def test_full_sequences_give_the_same_rows_as_mutations() -> None:
    by_name = table.read_multimep(inputs("mutant,fitness\nA1C:D3E,1\nWT,2\n"))
    by_sequence = table.read_multimep(inputs("sequence,fitness\nCCEEFGHIKL,1\nACDEFGHIKL,2\n"))
    assert by_name == by_sequence


def test_standard_deviations_replicates_and_splits_are_kept() -> None:
    reading = table.read_multimep(inputs("mutant,fitness,std,replicates,split_own\nA1C,1,0.5,3,train\nA1D,2,,1,\n"))
    first, second = reading.measurements
    assert (first.std, first.replicates, dict(first.splits)) == (0.5, 3, {"own": "train"})
    assert math.isnan(second.std)
    assert dict(second.splits) == {"own": ""}


def test_byte_order_mark_windows_line_ends_blank_lines_and_spaced_headers_do_no_harm() -> None:
    plain = table.read_multimep(inputs("mutant,fitness\nA1C,1\nA1D,2\n"))
    assert table.read_multimep(inputs(b"\xef\xbb\xbfmutant, fitness\r\nA1C,1\r\n\r\nA1D,2\r\n")) == plain


def test_columns_may_have_any_name() -> None:
    columns = Columns(mutant="variant", fitness="score", splits={"mine": "side"})
    reading = table.read_multimep(inputs("variant\tscore\tside\nA0C\t1\ttest\n", columns, delimiter="\t", offset=1))
    assert rows(reading) == [("A1C", 1.0)]
    assert reading.measurements[0].splits == {"mine": "test"}


def test_the_offset_is_added_to_every_position() -> None:
    reading = table.read_transmep(inputs("mutations,y\nA0C+D2E,1\n", offset=1))
    assert rows(reading) == [("A1C:D3E", 1.0)]
    assert "position outside" in refused(table.read_transmep, inputs("mutations,y\nA0C,1\n"))[0].reason


def test_proteingym_tells_its_wild_type_by_undoing_the_mutations() -> None:
    text = "mutant,mutated_sequence,DMS_score\nA1C:D3E,CCEEFGHIKL,1\nL10A,ACDEFGHIKA,2\n"
    reading = table.read_proteingym(inputs(text, wild_type=""))
    assert reading.wild_type == WILD_TYPE
    assert rows(reading) == [("A1C:D3E", 1.0), ("L10A", 2.0)]


def test_a_sequence_that_contradicts_its_mutant_is_refused() -> None:
    text = "mutant,mutated_sequence,DMS_score\nA1C,CCDEFGHIKL,1\nA1D,CCDEFGHIKL,2\n"
    faults = refused(table.read_proteingym, inputs(text))
    assert [(fault.line, "not the wild type with A1D" in fault.reason) for fault in faults] == [(3, True)]


def test_a_repeated_header_harms_only_where_it_is_read() -> None:
    columns = Columns(fitness="score")
    text = "mutant,score,other,other\nA1C,1,2,2\n"
    assert rows(table.read_proteingym(inputs(text, columns))) == [("A1C", 1.0)]
    faults = refused(table.read_multimep, inputs("mutant,fitness,fitness\nA1C,1,2\n"))
    assert (faults[0].line, "stands twice" in faults[0].reason) == (1, True)


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("C1A,1", "the wild type has A at position 1"),
        ("L11A,1", "position outside the wild type"),
        ("A0C,1", "position outside the wild type"),
        ("A1B,1", "unknown amino acid 'B'"),
        ("A1C:A1D,1", "two mutations at site 1"),
        ("A1A,1", "does not change the residue"),
        ("A1C;D3E,1", "'A1C;D3E' in 'A1C;D3E' is not a mutation"),
        ("a1c,1", "is not a mutation"),
        ("A1C,NaN", "fitness is 'NaN', not a finite number"),
        ("A1C,inf", "not a finite number"),
        ("A1C,1e999", "not a finite number"),
        ("A1C,", "fitness is empty"),
        ("A1C,high", "fitness is 'high', not a finite number"),
        (
            'A1C,"1,5"',
            "fitness is '1,5', not a finite number; write a decimal point for the comma, or give the Excel workbook",
        ),
        ("A1C,1_000", "not a finite number"),
        ("A1C", "1 cells under a header of 2"),
        ("A1C,1,2", "3 cells under a header of 2"),
    ],
)
def test_a_bad_row_is_refused_with_its_line_and_text(row: str, reason: str) -> None:
    faults = refused(table.read_multimep, inputs(f"mutant,fitness\nA1C,1\n{row}\nA1D,2\n"))
    assert [fault.line for fault in faults] == [3]
    assert reason in faults[0].reason
    assert faults[0].file == "demo.csv"
    assert row.split(",", maxsplit=1)[0] in faults[0].text


def test_every_bad_row_is_listed_and_the_message_shows_twenty() -> None:
    text = "mutant,fitness\n" + "".join(f"A1C,{'x' if row % 2 else row}\n" for row in range(100))
    with pytest.raises(SourceError, match=r"demo: 50 faults in its source") as caught:
        table.read_multimep(inputs(text))
    assert [fault.line for fault in caught.value.faults] == list(range(3, 102, 2))
    assert str(caught.value).count("demo.csv line") == 20
    assert "and 30 more" in str(caught.value)


def test_lines_are_counted_as_an_editor_does_even_with_cells_of_several_lines() -> None:
    text = 'mutant,fitness,note\nA1C,1,"two\nlines"\n\nA1D,x,\n'
    assert [fault.line for fault in refused(table.read_multimep, inputs(text))] == [5]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "the file is empty"),
        (b"\n\n", "the file is empty"),
        (b"mutant,fitness\n", "no rows below the header"),
        (b"mutant,score\nA1C,1\n", "no column 'fitness'"),
        (b"name,fitness\nA1C,1\n", "no column 'mutant'"),
        (b"mutant,mutant,fitness\nA1C,A1C,1\n", "column 'mutant' stands twice"),
        (b"mutant,fitness,fitness\nA1C,1,2\n", "column 'fitness' stands twice"),
        ("mutant,fitness\nA1C,1\nA1D,2 µ\n".encode("latin-1"), "is not UTF-8"),
        ("mutant,fitness\nA1C,1\n".encode("utf-16"), "is not UTF-8"),
        (b'mutant,fitness\n"A1C,1\n', "broken table"),
        (b"mutant;fitness\nA1C;1\n", "no column 'mutant'"),
    ],
)
def test_a_table_that_is_none_is_refused(content: bytes, reason: str) -> None:
    assert reason in refused(table.read_multimep, inputs(content))[0].reason


def test_the_line_of_a_wrong_byte_is_named() -> None:
    assert refused(table.read_multimep, inputs(b"mutant,fitness\nA1C,1\nA1D,\xff\n"))[0].line == 3


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("A1C,1,-1,1,train", "below 0"),
        ("A1C,1,nan,1,train", "standard deviation is 'nan'"),
        ("A1C,1,1,0,train", "whole number from 1"),
        ("A1C,1,1,2.5,train", "whole number from 1"),
        ("A1C,1,1,1,Train", "not train, test, the number of a fold or empty"),
    ],
)
def test_bad_extra_columns_are_refused(row: str, reason: str) -> None:
    faults = refused(table.read_multimep, inputs(f"mutant,fitness,std,replicates,split_own\n{row}\n"))
    assert reason in faults[0].reason


@pytest.mark.parametrize(
    ("fasta", "literal", "reason"),
    [
        (b">one\nACDE\n>two\nACDE\n", "", "2 FASTA records"),
        (b">one\n", "", "no sequence"),
        (b"ACDX", "", "unknown amino acid 'X' at position 4"),
        (b"ACDE", "ACDE", "state the wild type once"),
        (None, "", "state the wild type once"),
    ],
)
def test_a_wild_type_that_is_none_is_refused(fasta: bytes | None, literal: str, reason: str) -> None:
    files = {"variants": Text("demo.csv", b"mutant,fitness\nA1C,1\n")}
    files |= {} if fasta is None else {"wild_type": Text("wt.fasta", fasta)}
    assert reason in refused(table.read_multimep, Inputs("demo", files, wild_type=literal))[0].reason


def test_a_wild_type_is_read_from_fasta_and_plain_text_over_several_lines() -> None:
    for content in (b">demo a protein\nACDEF\nGHIKL\n", b"acdef ghikl\r\n"):
        files = {"variants": Text("demo.csv", b"mutant,fitness\nA1C,1\n"), "wild_type": Text("wt.txt", content)}
        assert table.read_multimep(Inputs("demo", files)).wild_type == WILD_TYPE


def study(read: Callable[[Inputs], Reading], files: Mapping[str, str]) -> Reading:
    return read(Inputs("demo", {role: Text(role, content.encode()) for role, content in files.items()}))


def test_a_split_of_numbered_folds_is_kept_and_may_not_be_mixed_with_sides() -> None:
    text = "mutant,DMS_score,fold_random_5\nA1C,1,0\nA1C,2,3\nA1D,2,1\nA1E,2,\n"
    columns = Columns(splits={"random": "fold_random_5"})
    reading = table.read_proteingym(inputs(text, columns))
    found, _ = merge("own", reading, "enzyme", True)
    assert dict(zip(found.variants.mutants, found.splits["random"], strict=True)) == {"A1C": "0", "A1D": "1", "A1E": ""}
    mixed = table.read_proteingym(inputs(text.replace("A1D,2,1", "A1D,2,test"), columns))
    with pytest.raises(SourceError, match=r"random.* has both train or test and numbers of folds"):
        merge("own", mixed, "enzyme", True)


def test_layout_a_translates_its_wild_type_and_splits_at_slashes() -> None:
    files = {"variants": "variant,lmax,pumping\nWT,500,1\nA1C/D3E,510,0\n", "wild_type": "gcttgtgac\n"}
    reading = study(lineage.read_a, files)
    assert reading.wild_type == "ACD"
    assert rows(reading) == [("WT", 500.0), ("A1C:D3E", 510.0)]


def test_layout_b_reads_residues_with_positions_and_ignores_the_wild_types_own() -> None:
    header = "id," + ",".join(f"mutation_{site}" for site in range(1, 9)) + ",E\n"
    text = header + "x,Ala 1,Glu 3,-,,-,-,-,-,4\n" + "y,-,-,-,-,-,-,-,-,5\n"
    assert rows(study(lineage.read_b, {"variants": text, "wild_type": "ACD"})) == [("D3E", 4.0), ("WT", 5.0)]
    for cell, reason in (("Xyz 1", "not a residue"), ("Glu 9", "position outside"), ("Glu1", "not a residue")):
        files = {"variants": header + f"x,{cell},-,-,-,-,-,-,-,4\n", "wild_type": "ACD"}
        with pytest.raises(SourceError, match=reason):
            study(lineage.read_b, files)
    with pytest.raises(SourceError, match="two mutations at site 3"):
        study(lineage.read_b, {"variants": header + "x,Glu 3,Phe 3,-,-,-,-,-,-,4\n", "wild_type": "ACD"})


def test_layout_c_passes_over_residues_that_replace_themselves_and_checks_the_sequence() -> None:
    text = "Sequence,Description,Data\nACE,A1A+D3E,0.5\n"
    assert rows(study(lineage.read_c, {"variants": text, "wild_type": "ACD"})) == [("D3E", 0.5)]
    with pytest.raises(SourceError, match="line 2: Sequence is not the wild type with A1A"):
        study(lineage.read_c, {"variants": text.replace("ACE", "ACF"), "wild_type": "ACD"})


def test_layout_d_counts_from_one_and_drops_stop_codons() -> None:
    text = "aaMutations\tuniqueBarcodes\tmedianBrightness\tstd\n\t9\t3.7\t0.1\nSA0C:SD2E\t1\t1.3\t\nSC1*\t1\t1.3\t\n"
    reading = study(lineage.read_d, {"variants": text, "wild_type": "GCTTGTGACTGA"})
    assert rows(reading) == [("WT", 3.7), ("A1C:D3E", 1.3)]
    assert reading.measurements[0].replicates == 9
    assert reading.dropped == {"stop codon": 1}
    with pytest.raises(SourceError, match="line 2: 'A0C' is not a list of substitutions"):
        study(lineage.read_d, {"variants": text.splitlines()[0] + "\nA0C\t1\t1\t\n", "wild_type": "GCT"})


def test_layout_e_keeps_positions_above_256() -> None:
    wild_type = "A" * 300
    parts = {"train": "WT", "validation": "A300C_A5D", "test": "A257C"}
    files = {role: f",mutations,E,ddG\n0,{text},4,-1\n" for role, text in parts.items()}
    reading = study(lineage.read_e, {**files, "wild_type": wild_type})
    assert [text for text, _ in rows(reading)] == ["WT", "A5D:A300C", "A257C"]


def test_layout_e_lists_the_bad_rows_of_all_its_files() -> None:
    files = dict.fromkeys(("train", "validation", "test"), ",mutations,E,ddG\n0,A1C,4,x\n1,A2C,4,1\n2,C1A,4,1\n")
    with pytest.raises(SourceError) as caught:
        study(lineage.read_e, {**files, "wild_type": "AAAA"})
    found = [(fault.file, fault.line) for fault in caught.value.faults]
    assert found == [(role, line) for role in files for line in (2, 4)]


def test_the_fixed_layouts_take_no_settings_that_they_would_ignore() -> None:
    with pytest.raises(SourceError, match="layout is fixed"):
        lineage.read_a(inputs("variant,lmax\nWT,1\n", wild_type="GCT", offset=1))


@pytest.mark.parametrize(
    ("bases", "reason"), [("GC", "not whole codons"), ("TGAGCT", "unknown amino acid"), ("GCN", "unknown amino acid")]
)
def test_dna_that_codes_for_no_protein_is_refused(bases: str, reason: str) -> None:
    with pytest.raises(SourceError, match=reason):
        lineage.translate(inputs(""), bases)


def test_translation_agrees_with_the_published_code_table() -> None:
    # NCBI genetic code 1, its three base lines and its amino-acid line
    first = "".join(base * 16 for base in "TCAG")
    second = "".join(base * 4 for base in "TCAG") * 4
    third = "TCAG" * 16
    residues = "FFLLSSSSYY**CC*WLLLLPPPPHHQQRRRRIIIMTTTTNNKKSSRRVVVVAAAADDEEGGGG"
    for a, b, c, residue in zip(first, second, third, residues, strict=True):
        if residue != "*":
            assert lineage.translate(inputs(""), a + b + c) == residue


@pytest.mark.mirror
@pytest.mark.parametrize("name", ["A", "B", "C", "D", "E"])
def test_the_lineage_files_give_the_authors_rows_values_and_splits(name: str) -> None:
    if not (SHARED / "data" / "lineage").is_dir():
        pytest.skip("the lineage tables are not here (../shared/data/lineage)")
    expected = lineage_table(name)
    reading = lineage_reading(name)
    assert reading.wild_type == (SHARED / "data" / "lineage" / f"{name}.wt.txt").read_text().strip()
    canonical = ["+".join(map(str, one.genotype)) for one in reading.measurements]
    assert canonical == [sorted_by_position(text) for text in expected["mutations"]]
    np.testing.assert_array_equal([one.fitness for one in reading.measurements], expected["y"])
    split = "Dr500" if name == "D" else f"{name}75"
    assert [one.splits[split] for one in reading.measurements] == list(expected["split"])


def lineage_table(name: str) -> pd.DataFrame:
    path = SHARED / "data" / "lineage" / (f"{name}.csv.gz" if name == "D" else f"{name}.csv")
    found = pd.read_csv(path, keep_default_na=False)
    return found if name != "C" else found[found["placeholder_y"] == 0]


def lineage_reading(name: str) -> Reading:
    one_table = {"A": "mutations.csv", "B": "data2.csv", "C": "data.csv", "D": "amino_acid_genotypes_to_brightness.tsv"}
    wild_types = {"A": "base-genom.txt", "B": "sequence2.txt"}
    parts = {"train": "train.csv", "validation": "validation.csv", "test": "test.csv"}
    files = {"variants": one_table[name]} if name in one_table else parts
    files = {**files, "wild_type": wild_types.get(name, "sequence.txt")}
    read: Callable[[Inputs], Reading] = getattr(lineage, f"read_{name.lower()}")
    return read(Inputs(name, {role: Text(file, (STUDY / name / file).read_bytes()) for role, file in files.items()}))


def sorted_by_position(text: str) -> str:
    return "+".join(sorted(filter(None, text.split("+")), key=lambda one: int(one[1:-1])))


GIVEN = Columns(covariates={"esm_if1": "score_if1"})


def test_covariates_are_read_from_the_named_column_and_from_own_tables():
    named = table.read_proteingym(inputs("mutant,DMS_score,score_if1\nA1C,1,-0.5\nA1D,2,3e-1\n", GIVEN))
    own = table.read_multimep(inputs("mutant,fitness,covariate_esm_if1\nA1C,1,-0.5\nA1D,2,3e-1\n"))
    for reading in (named, own):
        assert [dict(one.covariates) for one in reading.measurements] == [{"esm_if1": -0.5}, {"esm_if1": 0.3}]


def test_a_covariate_whose_column_stands_twice_is_one_where_its_copies_agree():
    text = "mutant,DMS_score,score_if1,score_if1\nA1C,1,-0.5,-0.5\nA1D,2,3, 3\n"
    reading = table.read_proteingym(inputs(text, GIVEN))
    assert [one.covariates["esm_if1"] for one in reading.measurements] == [-0.5, 3]
    differ = text.replace(", 3", ",4")
    (fault,) = refused(table.read_proteingym, inputs(differ, GIVEN))
    assert (fault.line, fault.reason) == (3, "the columns 'score_if1' differ; remove or rename all but one")


def test_a_column_that_stands_twice_is_refused_for_any_other_use():
    text = "mutant,score_if1,score_if1\nA1C,1,1\n"
    for columns in (
        Columns(fitness="score_if1"),
        Columns(fitness="score_if1", covariates={"esm_if1": "score_if1"}),
    ):
        (fault,) = refused(table.read_proteingym, inputs(text, columns))
        assert "column 'score_if1' stands twice in the header" in fault.reason


def test_covariates_that_are_no_finite_numbers_are_refused_with_their_lines():
    text = "mutant,DMS_score,score_if1\nA1C,1,\nA1D,2,nan\nA1E,2,0.5\nA1F,2,low\n"
    faults = refused(table.read_proteingym, inputs(text, GIVEN))
    assert [fault.line for fault in faults] == [2, 3, 5]
    assert faults[0].reason == "score_if1 is empty"
    (missing,) = refused(table.read_proteingym, inputs("mutant,DMS_score\nA1C,1\n", GIVEN))
    assert "no column 'score_if1'" in missing.reason


def test_covariates_of_replicates_are_averaged_as_their_fitness_is():
    text = "mutant,fitness,replicates,covariate_x\nA1C,1,1,0\nA1C,4,2,3\nA1D,2,1,5\n"
    dataset, _ = merge("demo", table.read_multimep(inputs(text)), "", True)
    np.testing.assert_allclose(dataset.variants.covariates["x"], [2, 5])
    np.testing.assert_allclose(dataset.fitness, [3, 2])
