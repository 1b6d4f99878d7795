r"""What other protein families are worth to each one: every family in turn is asked, all others teach.

    python benchmarks/transfer.py FOLDER INDEX.csv --sizes 12 24 48 --seeds 5 --output draws.csv

Families are numbered by the names of their scans. The control's prior was tuned on those of even number
(benchmarks/tuned_prior.py), as was every choice about `shared_prior_gp`; figures are those of the odd ones, none of
which had a part in either (`--half even` shows the others). n random single mutants teach, 500 others are asked. Arms:

    weak      site_gp, prior weak, no expectation: nothing of any other protein in it
    tuned     site_gp, prior tuned, no expectation: one prior for all, tuned on the even families; slopes unknown
    site_gp   as shipped: its six slopes were learned on twenty scans, some of which are asked here (in-sample)
    shared    shared_prior_gp, taught by all other families
    same      shared_prior_gp, taught by the even families alone, like `tuned`: differs from it in what is learned
"""

import argparse
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from scans import Scans, scans
from scipy.stats import spearmanr, wilcoxon

from multimep import site_kernel
from multimep.dataset import Dataset
from multimep.methods.shared_prior_gp import SharedPriorGP
from multimep.methods.site_gp import EXPECTED, Belief, fitted
from multimep.predictions import Predictions

ASKED = 500
"""Variants of a scan that are asked after each draw: more would cost time and change little."""
TAUGHT_BY = 300
"""Rows by which each scan teaches the others."""
METRICS = ["spearman", "coverage", "nll"]

Beliefs = Mapping[str, Belief]


def drawn(data: Dataset, size: int, seed: int) -> tuple[Dataset, Dataset]:
    """Random rows that teach, and others that are asked."""
    names = np.array(data.variants.mutants)[np.random.default_rng(seed).permutation(len(data))]
    return data.select(names[:size]), data.select(names[size : size + ASKED])


def score(found: Predictions, y: np.ndarray) -> tuple[float, float, float]:
    """Rank correlation, coverage of 95 % intervals, negative log likelihood in units of the fitness's spread."""
    rho = spearmanr(found.mean, y).statistic if np.ptp(found.mean) > 0 else 0.0
    u, scale = (y - found.mean) / found.noisy_std, found.noisy_std / y.std()
    return float(rho), float(np.mean(np.abs(u) <= 1.96)), float(np.mean(u**2 + np.log(2 * np.pi * scale**2)) / 2)


def measured(
    asked: Scans, beliefs_of: Callable[[int], Beliefs], sizes: Iterable[int], seeds: Iterable[int]
) -> pd.DataFrame:
    """One row per scan, size, seed and arm; `beliefs_of` says what is held of each family."""
    rows = []
    for data, family in zip(asked.data, asked.family, strict=True):
        beliefs = beliefs_of(family)
        for size, seed in [(size, seed) for size in sizes for seed in seeds]:
            train, test = drawn(data, size, seed)
            for arm, belief in beliefs.items():
                found = fitted(train, belief, TAUGHT_BY, True, seed).predict(test.variants)
                rows.append((data.name, family, size, seed, arm, *score(found, test.fitness)))
    return pd.DataFrame(rows, columns=["scan", "family", "size", "seed", "arm", *METRICS])


def by_family(table: pd.DataFrame) -> pd.DataFrame:
    """Means over seeds, then over the scans of a family."""
    by_scan = table.groupby(["arm", "size", "family", "scan"])[METRICS].mean()
    return by_scan.groupby(["arm", "size", "family"]).mean()


def means(table: pd.DataFrame) -> pd.DataFrame:
    """Means over families: a row per arm, a column per metric and size."""
    return by_family(table).pivot_table(index="arm", columns="size")


def differences(table: pd.DataFrame, pairs: Iterable[tuple[str, str]]) -> pd.DataFrame:
    """Rank correlation of one arm minus another: mean over families, 95 % bootstrap over them, families won."""
    rho = by_family(table).pivot_table("spearman", ["size", "family"], "arm")
    rows = []
    for one, other in pairs:
        for size, values in (rho[one] - rho[other]).groupby(level="size"):
            x = values.to_numpy()
            resampled = x[np.random.default_rng(0).integers(0, len(x), (10_000, len(x)))].mean(axis=1)
            low, high = np.quantile(resampled, [0.025, 0.975])
            won = f"{(x > 0).sum()} of {len(x)}"
            rows.append((f"{one} - {other}", size, x.mean(), low, high, won, wilcoxon(x).pvalue))
    return pd.DataFrame(rows, columns=["difference", "size", "mean", "low", "high", "families won", "wilcoxon p"])


def knowledge(everything: Scans) -> Callable[[int], Beliefs]:
    """What is held of each family, from lessons that every scan gives once."""
    method = SharedPriorGP(selection_rows=TAUGHT_BY)
    told = method.lessons(everything.data, 0)
    even = {one.name for one in everything.of_half(odd=False).data}
    same = {name: lesson for name, lesson in told.items() if name in even}
    family, nothing = everything.numbers(), np.zeros(len(EXPECTED))
    fixed = {
        "weak": Belief(site_kernel.prior(), nothing),
        "tuned": Belief(site_kernel.tuned_prior(), nothing),
        "site_gp": Belief(site_kernel.prior(), EXPECTED),
    }
    return lambda own: (
        fixed
        | {
            "shared": method.belief(told, family, own),
            "same": method.belief(same, family, own),
        }
    )


def main(arguments: argparse.Namespace) -> None:
    everything = scans(arguments.folder, arguments.index)
    asked = everything.of_half(odd=arguments.half == "odd")
    print(f"{len(everything.data)} scans of {len(set(everything.family))} families; asked: {len(asked.data)}", end=" ")
    print(f"of {len(set(asked.family))}", flush=True)
    table = measured(asked, knowledge(everything), arguments.sizes, range(arguments.seeds))
    if arguments.output:
        table.to_csv(arguments.output, index=False)
    print(means(table).round(3).to_string())
    pairs = [("shared", "tuned"), ("shared", "weak"), ("same", "tuned"), ("shared", "site_gp"), ("tuned", "weak")]
    print(differences(table, pairs).round(4).to_string(index=False))
    one = by_family(table).pivot_table("spearman", ["size", "family"], "arm")
    first = asked.numbers()
    print(
        one.rename(lambda number: min(name for name in first if first[name] == number), level="family")
        .round(3)
        .to_string()
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("index", type=Path)
    parser.add_argument("--half", choices=("odd", "even"), default="odd")
    parser.add_argument("--sizes", nargs="+", type=int, default=[12, 24, 48])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--output", type=Path, help="a CSV of every draw")
    main(parser.parse_args())
