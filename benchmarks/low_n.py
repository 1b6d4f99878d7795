"""Mean Spearman of methods taught by n random single mutants of a scan and asked about all its other single mutants.

    python benchmarks/low_n.py SCAN.csv.gz ... --methods one_hot_ridge site_gp --seeds 10

Each scan is a CSV (mutant, DMS_score; a column `higher_is_better` is not needed: the scores must rise with fitness)
with its wild type in SCAN.fasta beside it. Methods that ask a language model cannot be measured here. Coverage: the
part of the asked variants whose measurement lies within 1.96 `noisy_std` of the mean.
"""

import argparse
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import spearmanr

from multimep.dataset import Dataset, Variants
from multimep.embedder import Embedder
from multimep.methods import METHODS
from multimep.mutations import format_genotype, parse


def no_language_model() -> None:
    raise SystemExit("this benchmark has no language model")


def read(path: Path) -> Dataset:
    """The single mutants of a scan."""
    name = path.name.partition(".")[0]
    fasta = path.with_name(f"{name}.fasta").read_text().splitlines()
    table = pd.read_csv(path).dropna(subset=["DMS_score"])
    table = table[~table["mutant"].str.contains(":")].drop_duplicates("mutant")
    mutants = tuple(format_genotype(parse(mutant)) for mutant in table["mutant"])
    wild_type = "".join(line.strip() for line in fasta if not line.startswith(">"))
    unknown, once = np.full(len(table), np.nan), np.ones(len(table), np.int64)
    return Dataset(Variants(name, wild_type, mutants), table["DMS_score"].to_numpy(np.float64), unknown, once)


def draws(data: Dataset, size: float, seeds: int) -> Iterator[tuple[int, Dataset, Dataset]]:
    """For each seed, n random rows that teach and the others; a size below 1 is a fraction (0.8: as in five folds)."""
    n = round(size * len(data)) if size < 1 else int(size)
    names = np.array(data.variants.mutants)
    for seed in range(seeds):
        order = np.random.default_rng(seed).permutation(len(data))
        yield seed, data.select(names[order[:n]]), data.select(names[order[n:]])


def measure(method: str, settings: dict, train: Dataset, asked: Dataset, seed: int) -> dict[str, float]:
    """Rank correlation, coverage of 95 % intervals, seconds of the fit; what is asked has no fitness."""
    start = time.perf_counter()
    predictor = METHODS[method](**settings).fit([train], Embedder(no_language_model), seed)
    seconds = time.perf_counter() - start
    found = predictor.predict(asked.variants)
    inside = np.abs(asked.fitness - found.mean) <= 1.96 * found.noisy_std
    rho = spearmanr(found.mean, asked.fitness).statistic if np.ptp(found.mean) > 0 else 0.0
    return {"spearman": float(rho), "coverage": float(inside.mean()), "seconds": seconds}


def main(arguments: argparse.Namespace) -> None:
    """Print one table: a row per method and size (means over scans of means over seeds), and one of the scans."""
    rows = []
    for path in arguments.scans:
        data = read(path)
        for size in arguments.sizes:
            for seed, train, asked in draws(data, size, arguments.seeds):
                for method in arguments.methods:
                    settings = arguments.settings if method == "site_gp" else {}
                    found = measure(method, settings, train, asked, seed)
                    rows.append({"scan": data.name, "method": method, "size": size, "seed": seed, **found})
        print(f"{data.name}: {len(data)} single mutants", file=sys.stderr, flush=True)
    table = pd.DataFrame(rows)
    by_scan = table.groupby(["method", "size", "scan"])[["spearman", "coverage", "seconds"]].mean()
    print(by_scan.groupby(["method", "size"]).mean().round(3).to_string())
    print(by_scan.pivot_table("spearman", "scan", ["method", "size"]).round(3).to_string())
    if arguments.output:
        table.to_csv(arguments.output, index=False)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scans", nargs="+", type=Path)
    parser.add_argument("--methods", nargs="+", default=["one_hot_ridge", "site_gp"])
    parser.add_argument("--sizes", nargs="+", type=float, default=[24, 48, 96, 240])
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--settings", type=json.loads, default={}, help="of site_gp, as JSON")
    parser.add_argument("--output", type=Path, help="a CSV of every draw")
    main(parser.parse_args())
