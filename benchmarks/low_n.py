r"""Mean Spearman of methods taught by n random single mutants of a scan and asked about all its other single mutants.

    python benchmarks/low_n.py SCAN.csv.gz ... --methods one_hot_ridge site_gp --seeds 10

Each scan is a CSV (mutant, DMS_score; a column `higher_is_better` is not needed: the scores must rise with fitness)
with its wild type in SCAN.fasta beside it. Coverage: the part of the asked variants whose measurement lies within 1.96
`noisy_std` of the mean. Methods that ask a language model need one:

    python benchmarks/low_n.py SCAN.csv.gz ... --language-model mini --sizes 24 96 --seeds 3 \
        --methods zero_shot fine_tune likelihood_tune 'likelihood_tune:{"loss": "list_mle"}'

    python benchmarks/low_n.py SCAN.csv.gz ... --others OTHER.csv.gz ... --sizes 12 24 48 --seeds 3 \
        --methods 'site_gp:{"expectation": false}' site_gp shared_prior_gp

A method may carry its settings as JSON. `shared_prior_gp` learns its prior on the --others alone, each taught by 300
random rows (all where it has fewer), the same for every scan, size and seed; those of the asked scan's family are left
out. Differences to it are means over families of scans, with an interval from 10,000 resamples of the families.
"""

import argparse
import json
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import spearmanr

from multimep.dataset import Dataset, Variants
from multimep.embedder import Embedder
from multimep.families import families
from multimep.language_model import LanguageModel
from multimep.language_model import load as load_model
from multimep.methods import METHODS, Method, Predictor
from multimep.methods.shared_prior_gp import Lesson, SharedPriorGP
from multimep.methods.site_gp import fitted
from multimep.mutations import format_genotype, parse


def door(name: str | None) -> Embedder:
    """The way to the language model of that name (as in a study's `language_model`); without one, to none."""

    def load() -> LanguageModel:
        if name is None:
            raise SystemExit("this method asks a language model; choose one with --language-model, for example mini")
        return load_model(name, device="auto")

    return Embedder(load)


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


def draws(data: Dataset, size: float, seeds: int, asked: int | None = None) -> Iterator[tuple[int, Dataset, Dataset]]:
    """For each seed, n random rows that teach and the others, at most `asked` of them.

    A size below 1 is a fraction (0.8: as in five folds).
    """
    n = round(size * len(data)) if size < 1 else int(size)
    names = np.array(data.variants.mutants)
    for seed in range(seeds):
        order = np.random.default_rng(seed).permutation(len(data))
        yield seed, data.select(names[order[:n]]), data.select(names[order[n:][:asked]])


@dataclass(frozen=True)
class Informed:
    """`shared_prior_gp` for one target after another: what the others tell is learnt once."""

    method: SharedPriorGP
    others: list[Dataset]
    told: dict[str, Lesson]

    def fit(self, train: list[Dataset], embedder: Embedder, seed: int) -> Predictor:
        del embedder
        team = [train[0], *self.others]
        family = families([one.wild_type for one in team], self.method.identity)
        of = {one.name: number for one, number in zip(team, family, strict=True)}
        belief = self.method.belief(self.told, of, family[0])
        return fitted(train[0], belief, self.method.selection_rows, self.method.warp, seed)


def informed(settings: dict, paths: list[Path]) -> Informed:
    """Learns from at most 300 random single mutants of each of the others."""
    if not paths:
        raise SystemExit("shared_prior_gp is measured with --others: scans of other proteins")
    method, others = SharedPriorGP(**settings), [next(draws(read(path), 300, 1))[1] for path in paths]
    told = method.lessons(others, 0)
    print(f"{len(others)} others of {len(set(families([o.wild_type for o in others], method.identity)))} families")
    return Informed(method, others, told)


def method_of(label: str, arguments: argparse.Namespace) -> Method:
    """The method of NAME or NAME:JSON."""
    name, _, text = label.partition(":")
    settings = json.loads(text) if text else (arguments.settings if name == "site_gp" else {})
    return informed(settings, arguments.others) if name == "shared_prior_gp" else METHODS[name](**settings)


def differences(by_scan: pd.DataFrame, scans: dict[str, str], method: str) -> pd.DataFrame:
    """Spearman of `method` minus that of each other one: mean over families of scans, 95 % bootstrap, families won."""
    table = by_scan.pivot_table("spearman", ["size", "scan"], "method")
    family = dict(zip(scans, families(list(scans.values()), 0.3), strict=True))
    groups = [table.index.get_level_values("size"), table.index.get_level_values("scan").map(family)]
    minus = table.rsub(table[method], axis=0).drop(columns=method).groupby(groups).mean()
    rows = []
    for other in minus:
        for size, values in minus[other].groupby(level=0):
            x = values.to_numpy()
            means = x[np.random.default_rng(0).integers(0, len(x), (10_000, len(x)))].mean(axis=1)
            low, high = np.quantile(means, [0.025, 0.975])
            rows.append((f"{method} - {other}", size, x.mean(), low, high, f"{(x > 0).sum()} of {len(x)}"))
    return pd.DataFrame(rows, columns=["difference", "size", "mean", "low", "high", "families won"])


def measure(method: Method, train: Dataset, asked: Dataset, embedder: Embedder, seed: int) -> dict[str, float]:
    """Rank correlation, coverage of 95 % intervals, seconds of the fit; what is asked has no fitness."""
    start = time.perf_counter()
    predictor = method.fit([train], embedder, seed)
    seconds = time.perf_counter() - start
    found = predictor.predict(asked.variants)
    inside = np.abs(asked.fitness - found.mean) <= 1.96 * found.noisy_std
    rho = spearmanr(found.mean, asked.fitness).statistic if np.ptp(found.mean) > 0 else 0.0
    coverage = float(inside.mean()) if np.isfinite(found.noisy_std).all() else float("nan")
    return {"spearman": float(rho), "coverage": coverage, "seconds": seconds}


def main(arguments: argparse.Namespace) -> None:
    """Print one table: a row per method and size (means over scans of means over seeds), and one of the scans."""
    rows, scans = [], {}
    embedder = door(arguments.language_model)
    methods = {label: method_of(label, arguments) for label in arguments.methods}
    for path in arguments.scans:
        data = read(path)
        scans[data.name] = data.wild_type
        for size in arguments.sizes:
            for seed, train, asked in draws(data, size, arguments.seeds, arguments.asked):
                for label, method in methods.items():
                    found = measure(method, train, asked, embedder, seed)
                    rows.append({"scan": data.name, "method": label, "size": size, "seed": seed, **found})
        print(f"{data.name}: {len(data)} single mutants", file=sys.stderr, flush=True)
    table = pd.DataFrame(rows)
    by_scan = table.groupby(["method", "size", "scan"])[["spearman", "coverage", "seconds"]].mean()
    print(by_scan.groupby(["method", "size"]).mean().round(3).to_string())
    print(by_scan.pivot_table("spearman", "scan", ["method", "size"]).round(3).to_string())
    if "shared_prior_gp" in methods and len(methods) > 1:
        print(differences(by_scan, scans, "shared_prior_gp").round(3).to_string(index=False))
    if arguments.output:
        table.to_csv(arguments.output, index=False)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scans", nargs="+", type=Path)
    parser.add_argument("--methods", nargs="+", default=["one_hot_ridge", "site_gp"])
    parser.add_argument("--others", nargs="+", type=Path, default=[], help="scans that teach shared_prior_gp")
    parser.add_argument("--language-model", help="mini, a published checkpoint or a file")
    parser.add_argument("--sizes", nargs="+", type=float, default=[24, 48, 96, 240])
    parser.add_argument(
        "--asked", type=int, help="at most so many variants, drawn; fine-tuning reads each one's sequence"
    )
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--settings", type=json.loads, default={}, help="of site_gp, as JSON")
    parser.add_argument("--output", type=Path, help="a CSV of every draw")
    main(parser.parse_args())
