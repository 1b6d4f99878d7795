"""The study of ProteinGym's benchmark that `benchmarks/proteingym_study.py` writes is one that multimep runs."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pandas as pd
import pytest
import yaml

from multimep import settings, sources
from multimep.schemes.source import Source

SCRIPT = Path(__file__).parents[1] / "benchmarks" / "proteingym_study.py"
PROTEIN = "MKTAYIAKQRQISFVKSHFSRQ"


@pytest.fixture
def reference(tmp_path: Path) -> Path:
    """A protein, one of 1,200 residues, and one whose mutated region no window holds."""
    shared = {"selection_assay": "", "selection_type": "growth", "title": "A title", "year": 2020, "pdb_file": "A.pdb"}
    rows = [
        {"DMS_id": "SHORT", "target_seq": PROTEIN, "region_mutated": "1-22"},
        {"DMS_id": "LONG", "target_seq": "G" * 1178 + PROTEIN, "region_mutated": "1180-1190"},
        {"DMS_id": "WIDE", "target_seq": "G" * 1178 + PROTEIN, "region_mutated": "1-1190"},
    ]
    table = pd.DataFrame([{**shared, "coarse_selection_type": "Activity", **row} for row in rows])
    table["seq_len"] = table["target_seq"].str.len()
    table["DMS_number_single_mutants"] = 10
    path = tmp_path / "DMS_substitutions.csv"
    table.to_csv(path, index=False)
    return path


@pytest.fixture
def folds(tmp_path: Path) -> Path:
    """The archive of folds, as ProteinGym publishes it."""
    path = tmp_path / "cv_folds_singles_substitutions.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name, before in (("SHORT", ""), ("LONG", "G" * 1178)):
            lines = ["mutant,mutated_sequence,DMS_score,fold_random_5,fold_modulo_5,fold_contiguous_5"]
            for site in range(2, 12):
                mutated = f"{PROTEIN[: site - 1]}W{PROTEIN[site:]}"
                mutant = f"{PROTEIN[site - 1]}{site + len(before)}W"
                lines.append(f"{mutant},{before}{mutated},{site / 7:.3f},{site % 3},{site % 5},{(site - 2) // 2}")
            archive.writestr(f"{path.stem}/{name}.csv", "\n".join(lines) + "\n")
    return path


def test_the_study_has_the_published_folds_and_a_window_of_a_long_protein(reference: Path, folds: Path) -> None:
    output = reference.with_name("proteingym.yaml")
    command = [sys.executable, str(SCRIPT), str(reference), "--folds", str(folds), "--output", str(output)]
    told = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout
    assert "2 assays" in told
    assert "longer than 1022 residues: WIDE" in told
    study = settings.study(yaml.safe_load(output.read_text(encoding="utf-8")))
    assert study.datasets["LONG"].source.region == (179, 1200)
    for name, spec in study.datasets.items():
        data, _ = sources.collect(name, spec, reference.parent / "cache", None, reference.parent)
        assert len(data.variants.wild_type) == (22 if name == "SHORT" else 1022)
        assert [len(Source(column).split(data, 0).folds) for column in study.splits] == [3, 5, 5]
