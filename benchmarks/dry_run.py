"""A dry run of 217 assays with 2.5 million variants, before and after `make fetch`: seconds, memory, jobs.

    python benchmarks/dry_run.py FOLDER

The sizes are drawn so that they are spread and add up as those of ProteinGym's substitution assays do; tables are
empty, for a dry run opens none, records and splits are whole, for the forecast reads all of them. This process imports
no numpy, see `peak`.
"""

import json
import math
import random
import sys
from pathlib import Path

from peak import peak

from multimep import layout

ASSAYS, VARIANTS, LENGTH = 217, 2_500_000, 300
SPLITS = ("random", "modulo", "contiguous")
METHODS = ("additive", "site_gp", "augmented_ridge", "embedding_gp", "plm_gp", "sparse_gp")
FOLDS = 5
ROOT = Path(__file__).parents[1]


def sizes() -> list[int]:
    """Variants of each assay: log-normal, the largest half a million."""
    draw = random.Random(0)
    drawn = [math.exp(draw.gauss(0, 1.3)) for _ in range(ASSAYS - 1)]
    rest = VARIANTS - 500_000
    return [500_000, *(max(100, round(one / sum(drawn) * rest)) for one in drawn)]


def write_study(folder: Path) -> Path:
    """The configuration; nothing is fetched yet."""
    source = {"reader": "multimep", "files": {"variants": {"url": "https://example.org/assay.csv"}}, "wild_type": "M"}
    study = {
        "study": "scale",
        "datasets": {f"assay{number}": {"source": source} for number in range(ASSAYS)},
        "language_model": {"name": "esm2_t33_650M_UR50D"},
        "splits": {name: {"scheme": "random", "folds": FOLDS} for name in SPLITS},
        "methods": {name: {} for name in METHODS},
        "evaluation": {"bootstrap": 0},
    }
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "study.yaml"
    path.write_text(json.dumps(study), encoding="utf-8")
    return path


def write_fetched(results: Path) -> int:
    """Tables, records, splits and the model's record as `make fetch` leaves them; returns how many variants."""
    found = sizes()
    for folder in ("datasets", *(f"splits/{name}" for name in SPLITS)):
        (results / folder).mkdir(parents=True, exist_ok=True)
    for number, variants in enumerate(found):
        record = {"wild_type": "M" * LENGTH, "counts": {"variants": variants}}
        (results / f"datasets/assay{number}.csv").write_text("mutant,fitness,std,replicates\n", encoding="utf-8")
        (results / f"datasets/assay{number}.json").write_text(json.dumps(record), encoding="utf-8")
        for name in SPLITS:
            with (results / f"splits/{name}/assay{number}.csv").open("w", encoding="utf-8") as file:
                file.write("mutant," + ",".join(f"fold{fold}" for fold in range(FOLDS)) + "\n")
                for row in range(variants):
                    parts = ("test" if row % FOLDS == fold else "train" for fold in range(FOLDS))
                    file.write(f"M{row}A," + ",".join(parts) + "\n")
    model = {"name": "esm2_t33_650M_UR50D", "parameters": 651_043_254, "layers": 33, "width": 1280, "sha256": "0" * 64}
    (results / "checkpoint.json").write_text(json.dumps(model), encoding="utf-8")
    return sum(found)


def main(folder: Path) -> None:
    """Print one row for each of the two dry runs."""
    study = write_study(folder)
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile"), "--directory", str(folder),
               "--configfile", str(study), "--cores", "2", "--dry-run", "--quiet", "rules"]  # fmt: skip
    config = json.loads(study.read_text(encoding="utf-8"))
    predictions = len(list(layout.jobs(config)))
    others = sum(len(files) for name, files in layout.expected(config).items() if not name.startswith("predict"))
    print(f"{predictions:,} cross-predictions and {others:,} other jobs")
    print("| dry run | seconds | of a core | peak, GiB |\n| --- | ---: | ---: | ---: |")
    for state in ("nothing is there yet", "after `make fetch`"):
        if state != "nothing is there yet":
            print(f"<!-- {write_fetched(folder / 'results'):,} variants -->")
        found = peak(command)
        print(f"| {state} | {found.seconds:.0f} | {found.processor:.0f} | {found.memory / 1024:.2f} |", flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
