"""Sources: from a study's words to a dataset and its record; both real studies against the tidy tables."""

import hashlib
import math
import zipfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

from multimep.dataset import Dataset, Record, read, write
from multimep.downloads import DownloadError
from multimep.readers.coordinates import LETTER
from multimep.readers.faults import SourceError
from multimep.readers.reader import Columns
from multimep.simulation import SimulationError
from multimep.sources import DatasetSpec, File, Source, SpecError, collect

ROOT = Path(__file__).parents[1]
SHARED = ROOT.parent / "shared"
WILD_TYPE = "ACDEFGHIKL"
TABLE = "mutant,fitness\nWT,0\nA1C,1\nD3E,2\nA1C:D3E,3\n"


def spec(reader: str = "multimep", text: str | None = None, folder: Path | None = None, **settings: Any) -> DatasetSpec:
    if text is not None and folder is not None:
        (folder / "own.csv").write_text(text)
    known: dict[str, Any] = {"files": {"variants": File(path="own.csv")}, "wild_type": WILD_TYPE, **settings}
    return DatasetSpec(Source(reader, **known), "demo group", "activity", "s", False, "MIT", "A paper")


def gathered(text: str, folder: Path, **settings: Any) -> tuple[Dataset, Record]:
    return collect("demo", spec(text=text, folder=folder, **settings), folder / "cache", None, folder)


def spec_of(block: Mapping[str, Any]) -> DatasetSpec:
    """The dataclasses that a dataset's block of a study says."""
    source = dict(block["source"])
    source["files"] = {role: File(**file) for role, file in source["files"].items()}
    source["columns"] = Columns(**source.get("columns", {}))
    source["structure"] = File(**source["structure"]) if "structure" in source else None
    source["region"] = tuple(source["region"]) if "region" in source else None
    return DatasetSpec(Source(**source), **{key: value for key, value in block.items() if key != "source"})


def test_a_local_table_becomes_a_dataset_and_a_record(tmp_path: Path) -> None:
    dataset, record = gathered(TABLE, tmp_path)
    assert dataset.variants.mutants == ("WT", "A1C", "D3E", "A1C:D3E")
    assert (dataset.name, dataset.group, dataset.higher_is_better) == ("demo", "demo group", False)
    assert (record.target, record.unit, record.licence, record.citation) == ("activity", "s", "MIT", "A paper")
    assert record.depths == {"0": 1, "1": 2, "2": 1}
    assert record.counts == {"rows_read": 4, "rows_dropped": 0, "variants": 4, "replicates_averaged": 0}
    assert record.sha256 == {"own.csv": hashlib.sha256(TABLE.encode()).hexdigest()}
    assert not record.simulated


def test_what_was_written_is_read_back_by_the_own_reader(tmp_path: Path) -> None:
    text = "mutant,fitness,std,replicates,split_own\nA1C,0.1,0.25,3,train\nD3E,2,,1,test\n"
    dataset, record = gathered(text, tmp_path)
    write(dataset, record, tmp_path / "again" / "own.csv")
    again, _ = collect("demo", spec(), tmp_path / "cache", None, tmp_path / "again")
    for found in (again, read(tmp_path / "again" / "own.csv")):
        assert found.variants == dataset.variants
        np.testing.assert_array_equal(found.fitness, dataset.fitness)
        np.testing.assert_array_equal(found.std, dataset.std)
        np.testing.assert_array_equal(found.replicates, dataset.replicates)
        assert found.splits == dataset.splits


def test_replicates_are_averaged_and_counted_as_a_slow_loop_does(tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    names = draw.choice(["A1C", "D3E", "A1C:D3E", "WT"], 40)
    values = draw.normal(size=40)
    text = "mutant,fitness\n" + "".join(
        f"{name},{value!r}\n" for name, value in zip(names, map(float, values), strict=True)
    )
    dataset, record = gathered(text, tmp_path)
    for mutant, mean, std, replicates in zip(
        dataset.variants.mutants, dataset.fitness, dataset.std, dataset.replicates, strict=True
    ):
        mine = [value for name, value in zip(names, values, strict=True) if name == mutant]
        assert mean == pytest.approx(sum(mine) / len(mine))
        assert std == pytest.approx(math.sqrt(sum((one - mean) ** 2 for one in mine) / (len(mine) - 1)))
        assert replicates == len(mine)
    assert record.counts["replicates_averaged"] == 36


def test_the_order_of_mutations_in_a_text_does_not_make_another_genotype(tmp_path: Path) -> None:
    dataset, _ = gathered("mutant,fitness\nD3E:A1C,1\nA1C+D3E,3\n", tmp_path)
    assert (dataset.variants.mutants, list(dataset.fitness)) == (("A1C:D3E",), [2.0])


def test_means_are_weighted_by_replicates_and_given_deviations_pooled(tmp_path: Path) -> None:
    dataset, _ = gathered("mutant,fitness,std,replicates\nA1C,1,3,3\nA1C,5,4,1\n", tmp_path)
    assert (dataset.fitness[0], dataset.replicates[0]) == (2.0, 4)
    assert dataset.std[0] == pytest.approx(math.sqrt((9 + 16) / 2))


def test_a_genotype_on_both_sides_of_a_split_teaches_and_is_noted(tmp_path: Path) -> None:
    text = "mutant,fitness,split_own\nA1C,1,train\nA1C,2,test\nD3E,3,test\nA1D,4,\n"
    dataset, record = gathered(text, tmp_path)
    assert dataset.splits["own"] == ("train", "test", "")
    assert len(record.notes) == 1
    assert "own: 1 test rows are replicates of 1 genotypes" in record.notes[0]


def test_a_region_cuts_the_wild_type_and_keeps_every_mutated_sequence(tmp_path: Path) -> None:
    text = "mutant,fitness\nWT,0\nA1C,1\nD3E,2\nD3E:K9A,3\nE4F:H7A,4\n"
    whole, _ = gathered(text, tmp_path)
    dataset, record = gathered(text, tmp_path, region=(3, 8))
    assert dataset.wild_type == "DEFGHI"
    assert dataset.variants.mutants == ("WT", "D1E", "E2F:H5A")
    kept = [whole.variants.sequences[row][2:8] for row in (0, 2, 4)]
    assert list(dataset.variants.sequences) == kept
    assert record.dropped == {"mutated outside the region": 2}
    assert (record.counts["rows_read"], record.counts["rows_dropped"]) == (5, 2)
    assert "renumbered" in record.notes[0]


@pytest.mark.parametrize(
    ("region", "reason"), [((0, 3), "does not lie"), ((5, 11), "does not lie"), ((8, 9), "no variant")]
)
def test_a_region_that_keeps_nothing_is_refused(region: tuple[int, int], reason: str, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=reason):
        gathered("mutant,fitness\nA1C,1\n", tmp_path, region=region)


def test_a_bad_row_outside_the_region_is_still_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"own.csv line 3: C1A"):
        gathered("mutant,fitness\nD3E,1\nC1A,1\n", tmp_path, region=(3, 5))


def test_bad_input_leaves_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="nothing was written"):
        gathered("mutant,fitness\nD121E;W122A,1\n", tmp_path)
    assert [path.name for path in tmp_path.rglob("*")] == ["own.csv"]


def zipped(folder: Path, members: Mapping[str, str]) -> File:
    with zipfile.ZipFile(folder / "many.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in members.items():
            archive.writestr(name, text)
    return File(path="many.zip", member="assays/own.csv")


def test_a_member_of_a_zip_is_read_without_unpacking_anything(tmp_path: Path) -> None:
    file = zipped(tmp_path, {"../../evil.csv": "x", "assays/own.csv": TABLE})
    dataset, record = gathered(TABLE, tmp_path, files={"variants": file})
    assert len(dataset) == 4
    assert list(record.sha256) == ["many.zip#assays/own.csv"]
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["many.zip", "own.csv"]


def test_a_zip_without_the_member_or_that_is_none_says_so(tmp_path: Path) -> None:
    file = zipped(tmp_path, {"other.csv": TABLE})
    with pytest.raises(SourceError, match=r"no member 'assays/own.csv'; the archive has other.csv"):
        gathered(TABLE, tmp_path, files={"variants": file})
    (tmp_path / "many.zip").write_text(TABLE)
    with pytest.raises(SourceError, match="not a readable zip"):
        gathered(TABLE, tmp_path, files={"variants": file})


def test_a_broken_member_is_refused(tmp_path: Path) -> None:
    file = zipped(tmp_path, {"assays/own.csv": TABLE * 50})
    path = tmp_path / "many.zip"
    content = bytearray(path.read_bytes())
    content[60] ^= 0xFF
    path.write_bytes(bytes(content))
    with pytest.raises(SourceError, match="not a readable zip"):
        gathered(TABLE, tmp_path, files={"variants": file})


def test_a_local_file_is_looked_for_from_the_studys_folder_and_checked(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"none.csv: no such file .*folder of the config file"):
        gathered(TABLE, tmp_path, files={"variants": File(path="none.csv")})
    good = File(path=str(tmp_path / "own.csv"), sha256=hashlib.sha256(TABLE.encode()).hexdigest())
    assert len(gathered(TABLE, tmp_path, files={"variants": good})[0]) == 4
    with pytest.raises(SourceError, match="sha256 is"):
        gathered(TABLE, tmp_path, files={"variants": replace(good, sha256="0" * 64)})


def test_a_url_is_read_from_the_mirror_and_only_with_its_checksum(tmp_path: Path) -> None:
    copy = tmp_path / "mirror" / "example.org" / "own.csv"
    copy.parent.mkdir(parents=True)
    copy.write_text(TABLE)
    file = File(url="https://example.org/own.csv", sha256=hashlib.sha256(TABLE.encode()).hexdigest())
    mirror = (tmp_path / "mirror").as_uri()
    dataset, record = collect("demo", spec(files={"variants": file}), tmp_path / "cache", mirror, tmp_path)
    assert len(dataset) == 4
    assert record.sha256 == {file.url: file.sha256}
    copy.write_text(TABLE + "A1D,9\n")
    with pytest.raises(DownloadError, match="expected"):
        collect("demo", spec(files={"variants": file}), tmp_path / "other", mirror, tmp_path)


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"reader": "excel"}, "no reader 'excel'; choose one of multimep"),
        ({"reader": "multimep", "files": {}}, r"lacks the files \['variants'\]"),
        ({"reader": "lineage_e", "files": {"train": File(path="a")}}, r"lacks the files \['test', 'validation'\]"),
        ({"reader": "transmep", "files": {"variants": File(path="a"), "more": File(path="b")}}, r"know \['more'\]"),
        ({"reader": "transmep", "files": {"variants": File(path="a")}, "options": {"seed": 1}}, "options belong to"),
        ({"reader": "simulation", "wild_type": "ACD"}, "takes options: and nothing else"),
    ],
)
def test_a_source_that_cannot_be_read_is_refused_at_once(settings: dict[str, Any], reason: str) -> None:
    with pytest.raises(SpecError, match=reason):
        Source(**settings)


@pytest.mark.parametrize(
    "settings", [{}, {"url": "https://example.org/a"}, {"url": "https://a/b", "path": "c", "sha256": "d"}]
)
def test_a_file_stands_in_one_place_and_a_url_has_a_checksum(settings: dict[str, str]) -> None:
    with pytest.raises(SpecError, match=r"either url|sha256"):
        File(**settings)


def simulated(**options: Any) -> DatasetSpec:
    return DatasetSpec(Source("simulation", options=options), "demo group", "simulated activity", "a.u.")


def test_a_simulation_says_everywhere_that_it_is_one(tmp_path: Path) -> None:
    from multimep.simulation import PROTEINS  # noqa: PLC0415

    dataset, record = collect("demo", simulated(protein=next(iter(PROTEINS)), variants=30), tmp_path, None, tmp_path)
    assert len(dataset) == 30
    assert (dataset.group, record.group, record.simulated) == ("demo group", "demo group", True)
    assert "simulated by multimep, not measured" in record.notes[0]


def test_unknown_options_of_a_simulation_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SimulationError, match=r"demo: .*known options: protein, variants"):
        collect("demo", simulated(protien="x"), tmp_path, None, tmp_path)


def blocks(study: str) -> dict[str, Any]:
    text = (ROOT / "workflow" / "studies" / f"{study}.yaml").read_text(encoding="utf-8")
    found: dict[str, Any] = yaml.safe_load(text)["datasets"]
    return found


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


def from_mirror(study: str, name: str, cache: Path) -> tuple[Dataset, Record]:
    if not (SHARED / "mirror").is_dir():
        pytest.skip("the mirror of public files is not here (../shared/mirror)")
    return collect(name, spec_of(blocks(study)[name]), cache, (SHARED / "mirror").as_uri(), ROOT)


def test_every_dataset_of_the_studies_has_a_licence_and_a_citation_and_pinned_files() -> None:
    for study in ("lineage", "dms"):
        for block in blocks(study).values():
            found = spec_of(block)
            assert found.licence
            assert found.citation
            assert all(len(file.sha256) == 64 for file in found.source.files.values())


def test_the_study_for_a_gpu_has_the_datasets_of_the_dms_study() -> None:
    expected = blocks("dms")
    for block in expected.values():
        block["source"].pop("structure", None)
        block["source"].get("columns", {}).pop("covariates", None)
    assert blocks("low_n_gpu") == expected


def test_the_dms_study_has_four_types_with_three_proteins_each_and_no_protein_twice() -> None:
    names = blocks("dms")
    groups = pd.Series([block["group"] for block in names.values()]).value_counts()
    assert len(groups) >= 4
    assert groups.min() >= 3
    proteins = [name.split("_")[0] for name in names]
    assert len(set(proteins)) == len(proteins) >= 12


@pytest.mark.mirror
@pytest.mark.parametrize("name", list(blocks("dms")))
def test_each_assay_of_the_dms_study_is_the_tidy_table_in_other_numbers(name: str, cache: Path) -> None:
    dataset, record = from_mirror("dms", name, cache)
    expected = pd.read_csv(SHARED / "data" / "dms" / f"{name}.csv.gz")
    first, last = spec_of(blocks("dms")[name]).source.region or (1, len(expected["mutated_sequence"][0]))
    by_sequence = dict(zip(expected["mutated_sequence"].str[first - 1 : last], expected["DMS_score"], strict=True))
    assert set(by_sequence) == set(dataset.variants.sequences)
    scores = [by_sequence[sequence] for sequence in dataset.variants.sequences]
    np.testing.assert_allclose(dataset.fitness, scores, rtol=1e-5)  # the tidy tables have six digits
    assert len(dataset) == len(expected)
    assert record.counts["rows_dropped"] == 0
    assert len(dataset.wild_type) <= 270


@pytest.mark.mirror
@pytest.mark.parametrize("name", list(blocks("lineage")))
def test_each_dataset_of_the_lineage_study_is_the_tidy_table_with_replicates_averaged(name: str, cache: Path) -> None:
    dataset, record = from_mirror("lineage", name, cache)
    path = SHARED / "data" / "lineage" / (f"{name}.csv.gz" if name == "D" else f"{name}.csv")
    expected = pd.read_csv(path, keep_default_na=False)
    if name == "C":
        expected = expected[expected["placeholder_y"] == 0]
    expected["mutant"] = [canonical(text) for text in expected["mutations"]]
    means = expected.groupby("mutant")["y"].mean()
    assert set(means.index) == set(dataset.variants.mutants)
    np.testing.assert_allclose(dataset.fitness, means[list(dataset.variants.mutants)], rtol=1e-12)
    leaks = {"B": "4 test rows", "C": "7 test rows"}
    assert [leaks.get(name, "removed") in note for note in record.notes if "leak" in note] == [True] * (name in leaks)
    split = dataset.splits["Dr500" if name == "D" else f"{name}75"]
    teaching = set(expected["mutant"][expected["split"] == "train"])
    assert {mutant for mutant, side in zip(dataset.variants.mutants, split, strict=True) if side == "train"} == teaching


def canonical(text: str) -> str:
    return ":".join(sorted(text.split("+"), key=lambda one: int(one[1:-1] or 0))) or "WT"


def structure_file(folder: Path, sequence: str = WILD_TYPE) -> File:
    codes = {letter: code for code, letter in reversed(LETTER.items())}
    lines = [
        f"ATOM  {row:>5}  CA  {codes[letter]} A{row:>4}    {row:8.3f}{0:8.3f}{0:8.3f}{1:6.2f}{50:6.2f}           C"
        for row, letter in enumerate(sequence, start=1)
    ]
    (folder / "own.pdb").write_text("\n".join(lines))
    return File(path="own.pdb", sha256=hashlib.sha256((folder / "own.pdb").read_bytes()).hexdigest())


def test_a_structure_is_laid_along_the_wild_type_cropped_with_it_and_recorded(tmp_path: Path) -> None:
    file = structure_file(tmp_path)
    dataset, record = gathered("mutant,fitness\nD3E,2\nE4D,3\n", tmp_path, structure=file, region=(3, 6))
    assert dataset.variants.structure is not None
    np.testing.assert_array_equal(dataset.variants.structure.coordinates[:, 0], [3, 4, 5, 6])
    assert record.sha256["own.pdb"] == file.sha256
    assert any("chain A of own.pdb, CA positions of 10 of 10 residues" in note for note in record.notes)
    write(dataset, record, tmp_path / "demo.csv")
    again = read(tmp_path / "demo.csv").variants.structure
    assert again is not None
    np.testing.assert_array_equal(again.coordinates, dataset.variants.structure.coordinates)


def test_a_structure_of_another_protein_and_a_chain_of_no_file_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"own.pdb: its best chain A is another protein"):
        gathered(TABLE, tmp_path, structure=structure_file(tmp_path, WILD_TYPE[::-1]))
    with pytest.raises(SpecError, match="chain: B is of no file"):
        Source("multimep", {"variants": File(path="own.csv")}, chain="B")
    with pytest.raises(SpecError, match="a simulation takes options: and nothing else"):
        Source("simulation", structure=File(path="own.pdb"))
