"""The route of the person at the bench: check, fit, recommend; and what goes wrong on it."""

import csv
import hashlib
import io
import itertools
import json
import re
import shlex
import shutil
import zipfile
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
from safetensors import safe_open
from safetensors.numpy import save_file

from multimep import dataset, new_predictions, plate_files, predictions, sources, typed_values
from multimep.candidates import blocks, read_blocks, read_variants, space
from multimep.codons import HOSTS, RESIDUE, CodonError, best, reverse_complement, start_of, translated
from multimep.inspection import dataset_of
from multimep.methods.predictor_file import read_header
from multimep.mutations import AMINO_ACIDS, apply, parse
from multimep.oligos import Ordering, oligo, parts
from multimep.plate_map import SHAPES, layout, picture
from multimep.plate_rules import PlateError
from multimep.proximity import Training
from multimep.readers import workbook
from multimep.readers.faults import SourceError
from multimep.settings import parse as parse_yaml
from multimep.settings import study
from multimep.simulation import PROTEINS
from test_cli import assert_refused, call, run

__all__ = ["run"]

GB1 = PROTEINS["gb1"].sequence
GENE = "ATTAGGAGGACATC" + "".join(best("e_coli", one) for one in GB1) + "TAAGGTGGTGGTGG"
PLATE = """
candidates: recombinations
mutations: [1, 3]
acquisition: thompson
draws: 64
shortlist: 300
exhaustive: 5000
search: {population: 200, generations: 12, elite: 20}
rules:
  {wells: 48, controls: {WT: 4}, replicates: 2, site_cap: 6, distance: 2, oligo_price: 8, mutant_price: 12, budget: 500}
solver: {gap: 0.01}
"""
PACKAGE = "http://schemas.openxmlformats.org/package/2006/relationships"
DEEP = "A1C:D2E:F3G:H4K:I5L"
WISH = "recommend scan.safetensors --output out --settings"
ASK = "predict scan.safetensors --output out/p.csv"


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a spreadsheet of 96 mutants, as CSV with other column names, and as Excel workbook."""
    folder = tmp_path_factory.mktemp("bench")
    spec = {"source": {"reader": "simulation", "options": {"protein": "gb1", "variants": 96}}}
    data, _ = sources.collect("scan", typed_values.build(sources.DatasetSpec, spec, "scan"), folder, None, folder)
    table = [("well", "Variant", "kcat")]
    pairs = zip(data.variants.mutants, data.fitness, strict=True)
    table += [(f"P{row}", name, f"{value:.6f}") for row, (name, value) in enumerate(pairs)]
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(table)
    (folder / "scan.csv").write_text(text.getvalue())
    (folder / "scan.xlsx").write_bytes(excel(table))
    (folder / "wild_type.fasta").write_text(f">gb1\n{GB1}\n")
    (folder / "gene.txt").write_text(GENE)
    return folder


def excel(table: list[tuple[str, ...]]) -> bytes:
    """A workbook as Excel writes it: shared strings, numbers as numbers, a link to the sheet."""
    main = 'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'
    links = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    texts = list(dict.fromkeys(cell for row in table for cell in row if not number(cell)))
    rows = []
    for at, row in enumerate(table, start=1):
        cells = [cell_of(f"{letter}{at}", cell, texts) for letter, cell in zip("ABC", row, strict=True)]
        rows.append(f'<row r="{at}">{"".join(cells)}</row>')
    sheet = '<sheets><sheet name="a" sheetId="1" r:id="rId7"/></sheets>'
    link = '<Relationship Id="rId7" Target="worksheets/sheet1.xml"/>'
    parts_of = {
        "xl/workbook.xml": f'<workbook {main} xmlns:r="{links}">{sheet}</workbook>',
        "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{PACKAGE}">{link}</Relationships>',
        "xl/sharedStrings.xml": f"<sst {main}>{''.join(f'<si><t>{one}</t></si>' for one in texts)}</sst>",
        "xl/worksheets/sheet1.xml": f"<worksheet {main}><sheetData>{''.join(rows)}</sheetData></worksheet>",
    }
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name, text in parts_of.items():
            archive.writestr(name, text)
    return content.getvalue()


def cell_of(place: str, text: str, texts: list[str]) -> str:
    if number(text):
        return f'<c r="{place}"><v>{text}</v></c>'
    return f'<c r="{place}" t="s"><v>{texts.index(text)}</v></c>'


def number(text: str) -> bool:
    return bool(re.fullmatch(r"-?\d+\.\d+", text))


@pytest.fixture(scope="module")
def walked(bench: Path) -> Path:
    """The three commands from a CSV of 96 mutants to an order sheet."""
    call("check scan.csv --wild-type wild_type.fasta", bench)
    call("fit scan.csv --wild-type wild_type.fasta --method site_gp --output scan.safetensors", bench)
    (bench / "plate.yaml").write_text(PLATE)
    call("recommend scan.safetensors --settings plate.yaml --dna gene.txt --output plate", bench)
    return bench


def test_three_commands_lead_from_a_csv_to_an_order_sheet_that_obeys_every_rule(walked):
    plate = walked / "plate"
    assert sorted(path.name for path in plate.iterdir()) == [
        "about.json", "oligos.csv", "order.csv", "picks.csv", "plate.csv", "plate.svg",
    ]  # fmt: skip
    picks, wells, oligos, order = (pd.read_csv(plate / f"{name}.csv") for name in ("picks", "plate", "oligos", "order"))
    measured = set(pd.read_csv(walked / "scan.csv")["Variant"])
    genotypes = [parse(name) for name in picks["mutant"]]
    assert not measured & set(picks["mutant"])
    assert all(apply(one, GB1) for one in genotypes)
    sites = pd.Series([one.position for genotype in genotypes for one in genotype]).value_counts()
    assert sites.max() <= 6
    sequences = [apply(one, GB1) for one in genotypes]
    assert all(sum(a != b for a, b in zip(*pair, strict=True)) >= 2 for pair in itertools.combinations(sequences, 2))
    assert len(wells) == 2 * len(picks) + 4 <= 48
    assert wells["well"].is_unique
    assert (wells["mutant"].value_counts()[picks["mutant"]] == 2).all()
    named = {name for text in picks["wells"] for name in text.split()}
    assert named == {f"{row.plate}:{row.well}" for row in wells.itertuples() if row.role == "mutant"}
    total = 8 * len(oligos) + 12 * len(picks)
    assert order["price"].iloc[-1] == total == pytest.approx(order["price"].iloc[:-1].sum())
    assert total <= 500
    assert picks["rank"].tolist() == list(range(1, len(picks) + 1))
    assert (picks["acquisition"].diff().dropna() <= 0).all()
    about = json.loads((plate / "about.json").read_text())
    assert about["gap"] <= 0.011
    assert about["seed"] == 0


def test_a_plate_that_was_written_is_read_and_a_folder_that_is_none_is_refused(walked, tmp_path):
    found = plate_files.read(walked / "plate")
    told = pd.read_csv(walked / "plate/picks.csv")
    assert [row["mutant"] for row in found.picks] == told["mutant"].tolist()
    assert found.about["mutants"] == len(told) and found.picture.startswith("<svg")
    with pytest.raises(
        PlateError, match=r"picks\.csv: cannot be read \(.*; delete the folder and make the plate again"
    ):
        plate_files.read(tmp_path)
    shutil.copytree(walked / "plate", tmp_path / "edited")
    damages = {
        "about.json": ('{"mutants": 1}', "does not tell how"),
        "picks.csv": (told.drop(columns="wells").to_csv(index=False), "its columns are not rank, mutant, wells"),
    }
    for name, (text, words) in damages.items():
        (tmp_path / "edited" / name).write_text(text)
        with pytest.raises(PlateError, match=rf"{name}: {words}"):
            plate_files.read(tmp_path / "edited")
    (tmp_path / "edited/picks.csv").write_text(told.assign(mean="much").to_csv(index=False))
    with pytest.raises(PlateError, match=r"picks\.csv: "):
        plate_files.read(tmp_path / "edited")


def test_the_predictor_knows_what_taught_it_and_an_older_file_is_refused_for_a_plate(walked, run, monkeypatch):
    header, table = read_header(walked / "scan.safetensors"), pd.read_csv(walked / "scan.csv")
    assert header.taught["scan"] == dict(zip(table["Variant"], table["kcat"], strict=True))
    assert header.data["scan"] == hashlib.sha256((walked / "scan.csv").read_bytes()).hexdigest()
    monkeypatch.chdir(walked)
    with safe_open("scan.safetensors", framework="numpy") as file:
        arrays, metadata = {name: file.get_tensor(name) for name in file.keys()}, file.metadata()  # noqa: SIM118
    old = {key: value for key, value in json.loads(metadata["header"]).items() if key not in ("taught", "data")}
    metadata = {"format": metadata["format"], "facts": metadata["facts"], "header": json.dumps(old)}
    save_file(arrays, "old.safetensors", metadata)  # nor had its content a checksum
    assert run("predict old.safetensors --output old.csv").status == 0
    assert_refused(run("recommend old.safetensors --output out"), ["does not name the variants that taught it"])


def test_every_oligo_makes_its_mutants_and_nothing_else(walked):
    oligos = pd.read_csv(walked / "plate/oligos.csv").fillna("")
    start = len("ATTAGGAGGACATC")
    for row in oligos.itertuples():
        genotype = parse(row.oligo)
        first = start + 3 * (genotype[0].position - 1) - 15
        made = GENE[: max(first, 0)] + row.forward + GENE[max(first, 0) + len(row.forward) :]
        assert translated(made[start : start + 3 * len(GB1)]) == apply(genotype, GB1)
        assert row.reverse == reverse_complement(row.forward)


def test_the_same_seed_gives_the_same_files_and_another_one_other_wells(walked, run, monkeypatch):
    monkeypatch.chdir(walked)
    for seed, name in ((0, "again"), (1, "other")):
        done = run(f"recommend scan.safetensors --settings plate.yaml --dna gene.txt --seed {seed} --output {name}")
        assert done.status == 0, done.err
        assert "gap" in done.out
    for path in (walked / "plate").iterdir():
        assert (walked / "again" / path.name).read_bytes() == path.read_bytes(), path.name
    assert (walked / "other/plate.csv").read_bytes() != (walked / "plate/plate.csv").read_bytes()


def test_an_excel_workbook_is_read_as_the_csv_is(bench, run, monkeypatch, tmp_path):
    monkeypatch.chdir(bench)
    told = [run(f"check scan.{kind} --wild-type wild_type.fasta").out for kind in ("csv", "xlsx")]
    assert told[0] == told[1]
    assert "mutant: Variant" in told[0]
    assert "fitness: kcat" in told[0]
    with pytest.raises(workbook.WorkbookError, match="save the sheet as CSV"):
        list(workbook.rows(b"PK\x03\x04nothing"))


def test_a_configuration_written_by_init_is_a_study(bench, run, monkeypatch):
    monkeypatch.chdir(bench)
    done = run("init scan.csv --wild-type wild_type.fasta --output made/config.yaml")
    assert done.status == 0, done.err
    values = parse_yaml(Path("made/config.yaml").read_text(), "config")
    made = study(values)
    data, _ = sources.collect("scan", made.datasets["scan"], bench, None, bench / "made")
    assert len(data) == 96
    again = run("init scan.csv --wild-type wild_type.fasta --output made/config.yaml")
    assert_refused(again, ["made/config.yaml: is there already"])
    literal = run(f"init scan.csv --wild-type {GB1} --output made/other.yaml --lower-is-better")
    assert literal.status == 0
    assert f"multimep fit ../scan.csv --wild-type {GB1} --lower-is-better --method site_gp" in (
        Path("made/other.yaml").read_text().replace(str(bench), "..")
    )
    assert not study(parse_yaml(Path("made/other.yaml").read_text(), "c")).datasets["scan"].higher_is_better


def test_every_faulty_row_is_listed_however_many_and_an_offset_is_proposed(bench, run, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    rows = [f"{old}{site + 4}A,{site}" for site, old in enumerate(GB1[:40], start=1) if old != "A"]
    Path("shifted.csv").write_text("mutant,fitness\n" + "\n".join(rows) + "\n")
    done = run(f"check shifted.csv --wild-type {GB1}")
    assert_refused(done, ["shifted.csv: 3", "--offset -4"])
    assert len(done.err.splitlines()) > 30
    assert run(f"check shifted.csv --wild-type {GB1} --offset -4").status == 0
    told = "--offset -4 --fitness fitness --lower-is-better --method additive"
    assert run(f"fit shifted.csv --wild-type {GB1} {told} --output shifted.safetensors").status == 0
    header = read_header(Path("shifted.safetensors"))
    assert header.lower_is_better == ["shifted"] and header.datasets == {"shifted": GB1}
    assert next(iter(header.taught["shifted"])) == f"{GB1[0]}1A"


def test_a_table_is_named_after_its_file_whatever_that_is_called(run, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    Path("my table (2).csv").write_text("mutant,fitness,replicate\nM1A,1,1\nM1A,2,2\nK2A,1,1\nT3A,0.5,1\n")
    words = ["fit", "my table (2).csv", "--wild-type", "MKT", "--method", "additive", "--output", "out.safetensors"]
    done = run(" ".join(map(shlex.quote, words)))
    assert done.status == 0, done.err
    header = read_header(Path("out.safetensors"))
    assert header.taught == {
        "my_table_2_": {"M1A": 1.5, "K2A": 1.0, "T3A": 0.5}
    }  # `replicate` counts, it weighs nothing
    assert Path("out.safetensors").stat().st_mode & 0o777 == Path("my table (2).csv").stat().st_mode & 0o777


def test_decimal_commas_are_refused_row_by_row_with_the_way_out(run, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    Path("own.csv").write_text("variant;wert\nWT;1,00\nM1A;0,71\nK2A;-,5e1\n")
    done = run("check own.csv --wild-type MKT")
    assert_refused(done, ["own.csv: 3 faults", "wert is '0,71'", "write a decimal point for the comma"])


def test_remarks_tell_what_is_odd_about_a_sound_table(run, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    Path("odd.csv").write_text("mutant,fitness\nM1A,1\nM1A,1.2\nK2A,1.1\nT3A,1.05\nT3C,0.95\nT3D,99\n")
    told = run("check odd.csv --wild-type MKT").out
    for words in (
        "5 variants: with fewer than 24",
        "wild type (WT) was not measured",
        "1 variants stand in several rows",
        "1 values lie far from all others: T3D (99)",
    ):
        assert words in told


WRONG = {
    "no table": ("check none.csv --wild-type MKT", ["none.csv: no such file"]),
    "no wild type file": ("check scan.csv --wild-type none.fasta", ["none.fasta: no such file"]),
    "unclear fitness": ("check two.csv --wild-type MKT", ["a, b all hold numbers", "--fitness"]),
    "no such column": ("check two.csv --wild-type MKT --fitness c", ["no column 'c'", "mutant, a, b"]),
    "no mutations": ("check three.csv --wild-type MKT", ["no column with mutations"]),
    "init over a file": ("init scan.csv --wild-type wild_type.fasta --output gene.txt", ["gene.txt: is there already"]),
    "no wild type": ("fit scan.csv --output out/m.safetensors",
        ["its record scan.json is not beside", "--wild-type", "multimep dataset"]),
    "offset of a dataset": ("fit scan.csv --offset 1 --output out/m.safetensors",
        ["scan.csv: columns, offset and direction are of a table of your own", "--wild-type"]),
    "sites and a file": (f"{ASK} --variants two.csv --sites 3", ["not both"]),
    "no site": (f"{ASK} --sites 3-", ["'3-' is neither"]),
    "site outside": (f"{ASK} --sites 99", ["site 99 lies outside", "1 to 54"]),
    "too many mutations": (f"{ASK} --sites 3 --mutations 2", ["no such variant"]),
    "folder is there": ("recommend scan.safetensors --output plate", ["plate: is there already"]),
    "no predictor": ("recommend scan.csv --output out", ["scan.csv is not a predictor file"]),
    "unknown wish": (f"{WISH} {{budget: 3}}", ["unknown key 'budget'", "rules"]),
    "unknown rule": (f"{WISH} {{rules: {{well: 3}}}}", ["'well'", "wells"]),
    "unknown acquisition": (f"{WISH} {{acquisition: luck}}", ["'thompson'"]),
    "no such settings file": (f"{WISH} none.yaml", ["none.yaml: no such file"]),
    "selenocysteine": (f"{WISH} {{candidates: combinations, residues: ACU}}", ["'U' is not one of the twenty"]),
    "selenocysteine required": (f"{WISH} {{rules: {{required: {{Y1U: 1}}}}}}", ["unknown amino acid 'U'"]),
    "cannot be met": (f"{WISH} {{rules: {{mutants: 90, site_cap: 1}}, shortlist: 100}}",
        ["no plate obeys all rules", "mutants", "site_cap"]),
    "another gene": ("recommend scan.safetensors --dna two.csv --output out", ["is not one of A, C, G, T"]),
    "no gene": ("recommend scan.safetensors --dna atg.txt --output out", ["in none of its three frames"]),
    "unknown host": (f"{WISH} {{host: moss}}", ["'moss'", "e_coli"]),
    "another protein's control": (f"{WISH} {{rules: {{controls: {{Y2A: 1}}}}}}", ["Y2A: the wild type has K"]),
    "forbidden, not there": (f"{WISH} {{rules: {{forbidden: [K13Y]}}}}", ["forbidden: K13Y: the wild type has E"]),
    "cap of no site": (f"{WISH} {{rules: {{site_caps: {{99: 0}}}}}}", ["site_caps: 99 lies outside the wild type"]),
    "draws without end": (f"{WISH} {{acquisition: thompson, draws: 1000000000000}}", ["draws", "from 1 to 100,000"]),
    "search without end": (f"{WISH} {{search: {{population: 1000000000000}}}}", ["1,000,000 at most"]),
    "wishes with a tag": (f"{WISH} {{rules: {{forbidden: !!set {{E13Y}}}}}}", ["--settings", "write it without a tag"]),
    "half a brace": ("recommend scan.safetensors --output out --settings {", ["--settings: not YAML or JSON"]),
    "no site at all": (f"{ASK} --sites ,", ["names none", "3,17,20-24"]),
    "no mutant explained": ("explain scan.safetensors --output out --mutants=", ["--mutants names none"]),
    "strange plate": (f"{WISH} {{plate: 100}}", ["plate", "96"]),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_wrong_uses_end_with_one_line_and_status_2(case, walked, run, monkeypatch):
    monkeypatch.chdir(walked)
    Path("two.csv").write_text("mutant,a,b\nM1A,1,2\nK2A,2,3\n")
    Path("three.csv").write_text("a,b\n1,2\n2,3\n")
    Path("atg.txt").write_text("ATG" * 60)
    line, fragments = WRONG[case]
    assert_refused(run(line), fragments)
    assert not Path("out").exists()


def test_a_negative_seed_is_refused_by_every_command_that_takes_one(walked, run, monkeypatch):
    monkeypatch.chdir(walked)
    done = run("recommend scan.safetensors --output out --seed -1")
    assert (
        done.status == 2
        and "'--seed': Input should be greater than or equal to 0" in done.err
        and not Path("out").exists()
    )


# New variants


class Counting:
    """A predictor of lengths that remembers the largest block it was asked about."""

    def __init__(self) -> None:
        self.largest = 0

    def predict(self, variants):
        self.largest = max(self.largest, len(variants))
        return predictions.without_std(variants.mutants, variants.depths.astype(float))

    def state(self):
        raise NotImplementedError


def test_many_variants_are_predicted_in_blocks_of_bounded_size_and_the_far_ones_are_named(tmp_path):
    asked = space("toy", GB1, range(1, 12), 2, 2)
    counting = Counting()
    made = new_predictions.write(
        counting, blocks("toy", GB1, asked, 500), Training(("Y1A", "K2A", "L3A")), tmp_path / "new.csv"
    )
    assert counting.largest <= 500
    assert made.variants == asked.size == 19**2 * 55
    table = pd.read_csv(tmp_path / "new.csv", keep_default_na=False)
    assert predictions.read(tmp_path / "new.csv")["new"].mutants == tuple(asked)
    rows = table.set_index("mutant")
    assert rows.loc["Y1A:K2A", ["distance", "far"]].tolist() == [1, ""]
    assert rows.loc["Y1C:K2C", ["distance", "far"]].tolist() == [2, ""]  # the training variants are 2 apart
    assert rows.loc["Y1A:I4C", ["distance", "far"]].tolist() == [1, "site"]
    assert made.far == sum(map(bool, table["far"]))


def test_a_failed_prediction_leaves_no_file(tmp_path):
    def broken():
        yield from blocks("toy", GB1, ["Y1A"], 1)
        raise RuntimeError("the disk")

    with pytest.raises(RuntimeError):
        new_predictions.write(Counting(), broken(), None, tmp_path / "new.csv")
    assert list(tmp_path.iterdir()) == []


def test_a_file_read_in_blocks_is_the_file_read_whole(tmp_path):
    path = tmp_path / "ask.csv"
    path.write_text("mutant\nY1A\nK2A+Y1C\nY1A\nWT\nL3D\n")
    whole = read_variants("toy", GB1, path)
    parts = list(read_blocks("toy", GB1, path, 2))
    assert [len(one) for one in parts] == [2, 2]
    assert tuple(name for one in parts for name in one.mutants) == whole.mutants
    path.write_text("mutant\nY1A\nK1A\nL3D\nX3D\n")
    with pytest.raises(SourceError, match="2 faults"):
        read_blocks("toy", GB1, path, 2)
    path.write_text("mutant,covariate_a\nY1A,1\nK2A,2\nL3D,3\n")
    assert [one.covariates["a"].tolist() for one in read_blocks("toy", GB1, path, 2)] == [[1, 2], [3]]


# Codons and oligos


def test_the_codon_tables_are_shares_of_every_residue_s_codons():
    assert len(RESIDUE) == 64
    for host, table in HOSTS.items():
        assert set(table) == {*AMINO_ACIDS, "*"}
        for letter, shares in table.items():
            assert sum(shares.values()) == pytest.approx(1, abs=0.025), (host, letter)
            assert all(RESIDUE[codon] == letter for codon in shares)
    assert [best("e_coli", one) for one in "LRP"] == ["CTG", "CGC", "CCG"]
    assert [best("s_cerevisiae", one) for one in "LRP"] == ["TTG", "AGA", "CCA"]
    assert [best("human", one) for one in "LVS"] == ["CTG", "GTG", "AGC"]


def test_neighbouring_mutations_share_an_oligo_and_distant_ones_do_not():
    assert parts(parse("Y1A:K2A:E18D"), 15) == ("Y1A:K2A", "E18D")
    apart = [len(parts(parse(f"A1C:A{site}C"), 15)) for site in range(2, 10)]
    assert apart == [1, 1, 1, 1, 1, 2, 2, 2]  # from A7 on 15 bases lie between the codons


def test_an_oligo_whose_flank_is_cut_says_so_and_a_gene_that_stands_twice_is_refused():
    gene = "".join(best("human", one) for one in GB1)
    assert "flank cut" in oligo("Y1A", GB1, Ordering("human", 15, gene)).note
    assert oligo("N8A", GB1, Ordering("human", 15, gene)).note == ""
    with pytest.raises(CodonError, match="at 2 places"):
        start_of(gene + gene, GB1)
    with pytest.raises(CodonError, match="'N'"):
        start_of("NNN", GB1)


# The plate map


def test_every_content_has_a_well_of_its_own_and_the_wells_are_drawn_evenly():
    mutants = [f"A{site}C" for site in range(1, 91)]
    wells = layout(mutants, 2, {"WT": 12}, 96, 0)
    assert len(wells) == 192
    assert len({(well.plate, well.name) for well in wells}) == 192
    assert {well.plate for well in wells} == {1, 2}
    assert sum(well.role == "control" for well in wells) == 12
    columns = [
        well.column for seed in range(40) for well in layout(mutants, 1, {"WT": 6}, 96, seed) if well.mutant == "WT"
    ]
    assert np.std(np.bincount(columns, minlength=12)) < 3 * np.sqrt(240 / 12)
    with pytest.raises(PlateError, match="choose one of 96, 384"):
        layout(mutants, 1, {}, 100, 0)


@pytest.mark.parametrize("size", SHAPES)
def test_the_picture_is_sound_xml_with_a_circle_for_every_well_and_words_for_every_content(size):
    wells = layout(["A1C", "A1C:D2E", DEEP], 2, {"WT": 1}, size, 0)
    root = ElementTree.fromstring(str(picture(wells, {"A1C": 0.5, "A1C:D2E": -1.0, DEEP: 2.0}, size, "<plate>")))
    name = "{http://www.w3.org/2000/svg}"
    circles = root.findall(f".//{name}circle")
    assert len(circles) == size
    told = [one.find(f"{name}title").text for one in circles if one.find(f"{name}title") is not None]
    assert len(told) == 7
    assert sum("predicted" in one for one in told) == 6
    texts = [one.text for one in root.findall(f".//{name}text")]
    assert {"WT", "A1C", "+2", "<plate>"} <= set(texts)


def test_a_dataset_fitted_from_one_s_own_table_is_that_of_the_command_dataset(bench, run, monkeypatch):
    monkeypatch.chdir(bench)
    columns = "{source: {columns: {mutant: Variant, fitness: kcat}}}"
    assert run(f"dataset scan --variants scan.csv --wild-type {GB1} --output d/scan.csv --spec {columns}").status == 0
    one, other = dataset.read(Path("d/scan.csv")), dataset_of(Path("scan.xlsx"), "wild_type.fasta")
    assert one.variants == other.variants
    np.testing.assert_array_equal(one.fitness, other.fitness)
