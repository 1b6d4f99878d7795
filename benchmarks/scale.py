"""A dataset of many variants through every station, with seconds and peak memory of each.

    python benchmarks/scale.py FOLDER --variants 500000
    OMP_NUM_THREADS=1 python benchmarks/scale.py FOLDER --stations split,evaluate

The landscape is invented (additive effects on twenty residues, noise of a fifth of their spread), the sequences are
embedded with `mini`. Figures are kept in FOLDER/scale.json, so that stations can be measured one after another. This
process imports no numpy, see `peak`.
"""

import argparse
import json
import random
import sys
from dataclasses import asdict
from pathlib import Path

from peak import peak

WILD_TYPE = "MKTAYIAKQRQISFVKSHFS"
LETTERS = "ACDEFGHIKLMNPQRSTVWY"
MOST = 5
"""Mutations of a variant at most."""
METHODS = {"additive": "{}", "sparse_gp": "{}"}


def write_table(path: Path, variants: int) -> None:
    """Distinct variants of one to five mutations with an additive fitness, in a fixed order."""
    draw = random.Random(0)
    effect = {(site, letter): draw.gauss(0, 1) for site in range(len(WILD_TYPE)) for letter in LETTERS}
    seen: set[tuple[tuple[int, str], ...]] = set()
    with path.open("w", encoding="utf-8") as file:
        file.write("mutant,fitness\n")
        while len(seen) < variants:
            sites = sorted(draw.sample(range(len(WILD_TYPE)), draw.randint(1, MOST)))
            one = tuple((site, draw.choice(LETTERS.replace(WILD_TYPE[site], ""))) for site in sites)
            if one not in seen:
                seen.add(one)
                text = ":".join(f"{WILD_TYPE[site]}{site + 1}{letter}" for site, letter in one)
                file.write(f"{text},{sum(effect[each] for each in one) + draw.gauss(0, 0.2):.6f}\n")


def commands(folder: Path) -> dict[str, list[str]]:
    """The command of each station, by its name, in the order in which they need one another."""
    table, store, split = folder / "big.csv", folder / "big.h5", folder / "splits" / "random" / "big.csv"
    spec = {
        "source": {
            "reader": "multimep",
            "files": {"variants": {"path": str(folder / "source.csv")}},
            "wild_type": WILD_TYPE,
            "columns": {"mutant": "mutant", "fitness": "fitness"},
        }
    }
    found = {
        "dataset": ["dataset", "big", "--spec", json.dumps(spec), "--output", str(table)],
        "embed": ["embed", str(table), "--output", str(store)],
        "split": ["split", str(table), "--settings", "{scheme: random, folds: 2}", "--output", str(split)],
    }
    outputs = {name: folder / "predictions" / "random" / name / "big.csv" for name in METHODS}
    for name, settings in METHODS.items():
        stores = ["--store", str(store)] if name != "additive" else []
        found[name] = ["cross-predict", name, "--settings", settings, "--dataset", str(table), "--split", str(split),
                       *stores, "--output", str(outputs[name])]  # fmt: skip
    found["evaluate"] = ["evaluate", str(table), *map(str, outputs.values()), "--split", str(split),
                         "--settings", "{bootstrap: 2}", "--output", str(folder / "metrics.csv")]  # fmt: skip
    return found


def main(folder: Path, variants: int, wanted: list[str]) -> None:
    """Run what is wanted and print one row of a table for each station."""
    folder.mkdir(parents=True, exist_ok=True)
    source, record = folder / "source.csv", folder / "scale.json"
    if not source.exists():
        write_table(source, variants)
    known = json.loads(record.read_text(encoding="utf-8")) if record.exists() else {}
    for name, arguments in commands(folder).items():
        if name in wanted:
            known[name] = asdict(peak([sys.executable, "-m", "multimep", *arguments]))
            record.write_text(json.dumps(known, indent=2), encoding="utf-8")
            print(f"{name}: {known[name]}", flush=True)
    print("| station | seconds | peak, GiB |\n| --- | ---: | ---: |")
    for name in known:
        print(f"| `{name}` | {known[name]['seconds']:.0f} | {known[name]['memory'] / 1024:.2f} |")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--variants", type=int, default=500_000)
    parser.add_argument("--stations", help="those to run, with commas between them; all if not given")
    given = parser.parse_args()
    main(given.folder, given.variants, (given.stations or ",".join(commands(given.folder))).split(","))
