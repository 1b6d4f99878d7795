r"""A study of ProteinGym's supervised substitution benchmark, on its own folds, and what it is expected to cost.

    python benchmarks/proteingym_study.py DMS_substitutions.csv --folds cv_folds_singles_substitutions.zip \
        --structures AF2_STRUCTURES --output proteingym.yaml
    bash profiles/drive.sh profiles/claix --configfile proteingym.yaml

The reference file is ProteinGym's (reference_files/DMS_substitutions.csv); the folds of the single mutants are
cv_folds_singles_substitutions.zip and the structures ProteinGym_AF2_structures.zip, unpacked, of
https://marks.hms.harvard.edu/proteingym/ProteinGym_v1.3/. A protein beyond ESM-2's 1022 residues is cropped to a
window round its mutated region; an assay whose region is longer than that is left out and named. Without --structures
the arms that need one are left out. Prints the expected GPU-hours and core-hours of each method: predictions of
multimep.costs for an H100, no measurements.
"""

import argparse
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from multimep import costs
from multimep.job_sizes import Model, Work

SCHEMES = ("fold_random_5", "fold_modulo_5", "fold_contiguous_5")
WINDOW = 1022
BARE = {"zero_shot": "none", "profile": False, "attention": False, "embedding": False}
ESM2_650M = Model(parameters=651_043_254, layers=33, width=1280)


def window(length: int, region: str) -> tuple[int, int] | None:
    """First and last residue of the window that holds a region such as 291-794; None where it is too long."""
    first, last = (int(part) for part in region.split("-"))
    if last - first + 1 > WINDOW:
        return None
    start = min(max(1, (first + last - WINDOW) // 2 + 1), max(1, length - WINDOW + 1))
    return start, min(length, start + WINDOW - 1)


def entry(row: Mapping[str, Any], folds: Path, structures: Path | None) -> dict[str, Any]:
    """The dataset of one row of the reference file."""
    member = f"{folds.stem}/{row['DMS_id']}.csv"
    file = (
        {"path": str(folds), "member": member} if folds.suffix == ".zip" else {"path": str(folds / Path(member).name)}
    )
    source: dict[str, Any] = {
        "reader": "proteingym",
        "files": {"variants": file},
        "wild_type": row["target_seq"],
        "columns": {"splits": {name: name for name in SCHEMES}},
    }
    if structures is not None:
        source["structure"] = {"path": str(structures / row["pdb_file"])}
    if row["seq_len"] > WINDOW:
        source["region"] = list(window(row["seq_len"], row["region_mutated"]) or ())
    return {
        "group": row["coarse_selection_type"],
        "target": row["selection_assay"] or row["selection_type"],
        "unit": "as published",
        "higher_is_better": True,
        "licence": "see ProteinGym",
        "citation": f"{row['title']} ({row['year']})",
        "source": source,
    }


def methods(structures: bool) -> dict[str, dict[str, Any]]:
    """Baselines without a language model, then what ESM-2 adds, then what a structure adds."""
    found: dict[str, dict[str, Any]] = {
        "additive": {},
        "site_gp": {},
        "augmented_ridge": {},
        "embedding_gp": {},
        "plm_gp": {"structure": False},
    }
    if structures:
        found |= {"structure_gp": {"method": "plm_gp", **BARE}, "plm_structure_gp": {"method": "plm_gp"}}
    return found


def study(rows: Sequence[Mapping[str, Any]], folds: Path, structures: Path | None) -> dict[str, Any]:
    """The whole configuration."""
    return {
        "study": "proteingym",
        "datasets": {row["DMS_id"]: entry(row, folds, structures) for row in rows},
        "language_model": {"name": "esm2_t33_650M_UR50D", "precision": "bf16"},
        "splits": {name: {"scheme": "source", "column": name} for name in SCHEMES},
        "methods": methods(structures is not None),
        "evaluation": {"bootstrap": 0},
        "leaks": {"methods": ["additive", "site_gp"]},
        "pathvars": {"results": "results/proteingym"},
    }


def expected(rows: Sequence[Mapping[str, Any]], chosen: Mapping[str, Any]) -> Iterator[tuple[str, float, float]]:
    """Each method, and embedding: GPU-hours and core-hours of all assays and schemes."""
    stations = {label: (str((values or {}).get("method", label)), values or {}) for label, values in chosen.items()}
    for label, (name, values) in {"embed": ("embed", {"precision": "bf16"}), **stations}.items():
        settings = {key: value for key, value in values.items() if key != "method"}
        hours = [0.0, 0.0]
        for row in rows:
            n, length = int(row["DMS_number_single_mutants"]), min(int(row["seq_len"]), WINDOW)
            folds = ((0, n),) if name == "embed" else ((n - n // 5, n // 5),) * 5
            cost = costs.predict(Work(name, folds, length, ESM2_650M, settings), gpus=True)
            hours[0 if cost.gpu else 1] += cost.seconds / 3600 * (1 if name == "embed" else len(SCHEMES))
        yield label, hours[0], hours[1]


def main(arguments: argparse.Namespace) -> None:
    """Write the study, name what is left out, print the expected hours."""
    table = pd.read_csv(arguments.reference, keep_default_na=False).to_dict("records")
    too_long = [
        row["DMS_id"] for row in table if row["seq_len"] > WINDOW and not window(row["seq_len"], row["region_mutated"])
    ]
    rows = [row for row in table if row["DMS_id"] not in too_long]
    whole = study(rows, arguments.folds.resolve(), arguments.structures and arguments.structures.resolve())
    arguments.output.write_text(yaml.safe_dump(whole, sort_keys=False, width=120), encoding="utf-8")
    print(f"{arguments.output}: {len(rows)} assays, {len(whole['methods'])} methods")
    if too_long:
        print(f"left out, their mutated region being longer than {WINDOW} residues: {', '.join(too_long)}")
    print("| | GPU-hours | core-hours |\n| --- | ---: | ---: |")
    for label, on_gpu, on_cores in expected(rows, whole["methods"]):
        print(f"| `{label}` | {on_gpu:.2f} | {on_cores:.1f} |")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("reference", type=Path)
    parser.add_argument("--folds", type=Path, required=True, help="the zip archive, or its folder")
    parser.add_argument("--structures", type=Path, help="folder of the PDB files that the reference names")
    parser.add_argument("--output", type=Path, required=True)
    sys.exit(main(parser.parse_args()))
