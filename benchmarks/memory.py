"""Predicted against measured memory of every station and method, each in a process of its own, at three sizes.

    OMP_NUM_THREADS=1 python benchmarks/memory.py FOLDER
    python benchmarks/memory.py FOLDER --table                     # what was measured before, against the prices of now

Simulated scans of protein G (54 residues) with 400, 1,600 and 3,200 variants in two folds, `mini` as the language
model, settings that save time and no memory. Measured is the command's largest resident set under the environment of
the rules; predicted is the price of `multimep.prices`, from the same files as in a study. Snakemake's own processes,
which `costs` adds for a job, are in neither. Figures are kept in FOLDER/VARIANTS.json.
"""

import argparse
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from peak import peak

from multimep import costs, forecast

SIZES = (400, 1600, 3200)
JOINT = ("shared_prior_gp", "coregional_gp", "fine_tune_together", "likelihood_tune_together")
METHODS: dict[str, dict[str, Any]] = {
    "additive": {},
    "one_hot_ridge": {},
    "augmented_ridge": {},
    "site_gp": {"selection_rows": 100},
    "epistasis_gp": {"selection_rows": 100, "rounds": 1},
    "combination_gp": {"selection_rows": 100},
    "plm_gp": {"selection_rows": 100},
    "shared_prior_gp": {"selection_rows": 100},
    "coregional_gp": {"selection_rows": 100},
    "zero_shot": {},
    "embedding_gp": {"selection_rows": 100},
    "sparse_gp": {"selection_rows": 100},
    "transmep": {"features": "one_hot", "alpha_steps": 3, "gamma_steps": 3, "repeats": 10},
    "fine_tune": {"epochs": 1},
    "fine_tune_together": {"epochs": 1},
    "likelihood_tune": {"steps": 3},
    "likelihood_tune_together": {"steps": 3},
    "recalibrated": {"of": {"site_gp": {"selection_rows": 100}}},
    "stack": {"of": {"one_hot_ridge": {}, "site_gp": {"selection_rows": 100}}},
}
SLOW = ("fine_tune", "fine_tune_together", "recalibrated", "stack")
"""Methods that are measured at the smallest size alone, for their time."""


@dataclass(frozen=True)
class Files:
    """Where the files of one size stand."""

    folder: Path

    def of(self, name: str) -> str:
        """A file below the folder."""
        return str(self.folder / name)


def stations(files: Files, variants: int) -> Iterator[tuple[str, list[str]]]:
    """Name and command of each station, in the order in which they need one another."""
    table, split = files.of("datasets/d.csv"), files.of("splits/random/d.csv")
    store = files.of("embeddings/d.h5")
    options = {"protein": "gb1", "variants": variants, "multi_fraction": 0.9}
    simulated = {"reader": "simulation", "options": options}
    yield "dataset", ["dataset", "d", "--spec", json.dumps({"source": simulated}), "--output", table]
    yield "checkpoint", ["checkpoint", "--output", files.of("checkpoint.json")]
    yield "split", ["split", table, "--settings", "{scheme: random, folds: 2}", "--output", split]
    yield "embed", ["embed", table, "--output", store]
    for name, settings in METHODS.items():
        if variants == SIZES[0] or name not in SLOW:
            stores = ["--store", store] if name not in JOINT else []
            asked = ["--settings", json.dumps(settings), "--dataset", table, "--split", split, *stores]
            yield name, ["cross-predict", name, *asked, "--output", files.of(f"predictions/random/{name}/d.csv")]
    made = [
        files.of(f"predictions/random/{name}/d.csv") for name in METHODS if variants == SIZES[0] or name not in SLOW
    ]
    yield "evaluate", ["evaluate", table, *made, "--split", split, "--settings", "{bootstrap: 100}",
                       "--output", files.of("metrics/d.csv")]  # fmt: skip
    config = {
        "study": "memory",
        "datasets": {"d": {"source": simulated}},
        "splits": {"random": {"scheme": "random", "folds": 2}},
        "methods": {name: values for name, values in METHODS.items() if variants == SIZES[0] or name not in SLOW},
        "evaluation": {"bootstrap": 100},
    }
    study = ["--config", json.dumps(config), "--results", str(files.folder)]
    yield "leaks", ["leaks", *study, "--output", files.of("leaks.json")]
    yield "report", ["report", *study, "--output", files.of("report.html")]


def predicted(files: Files, station: str) -> float:
    """MiB of the command that the price list says."""
    record, model = files.of("datasets/d.json"), files.of("checkpoint.json")
    if station in METHODS:
        work = forecast.read_work(station, METHODS[station], [record], [files.of("splits/random/d.csv")], model)
    else:
        tables = len(list(files.folder.glob("predictions/random/*/d.csv")))
        settings = {"tables": tables, "bootstrap": 100, "rows": "all"}
        work = forecast.read_work(station, settings, [record], model=model)
    return costs.predict(work).memory - costs.SNAKEMAKE


def measure(folder: Path, sizes: tuple[int, ...], wanted: list[str]) -> None:
    """Run what is wanted and was not measured yet; one line each."""
    for variants in sizes:
        files, record, known = Files(folder / str(variants)), folder / f"{variants}.json", measured(folder, variants)
        files.folder.mkdir(parents=True, exist_ok=True)
        for name, arguments in stations(files, variants):
            if name not in known and (not wanted or name in wanted):
                found = peak([sys.executable, "-m", "multimep", *arguments])
                known[name] = found.memory
                record.write_text(json.dumps(known, indent=2), encoding="utf-8")
                print(f"{name} {variants}: {found.memory:.0f} MiB, {found.processor:.1f} s of a core", flush=True)


def measured(folder: Path, variants: int) -> dict[str, float]:
    """MiB of each station that was measured at this size."""
    record = folder / f"{variants}.json"
    return dict(json.loads(record.read_text(encoding="utf-8"))) if record.exists() else {}


def table(folder: Path) -> None:
    """Print predicted / measured for each station at each size."""
    known = {size: measured(folder, size) for size in SIZES}
    print("| station | " + " | ".join(f"{size:,} variants" for size in SIZES) + " |\n| --- |" + " ---: |" * len(SIZES))
    for name in dict.fromkeys(name for found in known.values() for name in found):
        cells = []
        for size in SIZES:
            found = known[size].get(name)
            if found is None:
                cells.append("")
            elif name in ("dataset", "checkpoint"):
                cells.append(f"{found:.0f}")
            else:
                guess = predicted(Files(folder / str(size)), name)
                cells.append(f"{guess:.0f} / {found:.0f} = {guess / found:.2f}")
        print(f"| `{name}` | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--sizes", default=",".join(map(str, SIZES)))
    parser.add_argument("--stations", default="", help="those to measure, with commas between them; all if not given")
    parser.add_argument("--table", action="store_true", help="measure nothing")
    given = parser.parse_args()
    if not given.table:
        names = given.stations.split(",") if given.stations else []
        measure(given.folder, tuple(map(int, given.sizes.split(","))), names)
    table(given.folder)
