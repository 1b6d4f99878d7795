r"""What an assay gains from another assay of the same protein: mean Spearman with and without it.

    python benchmarks/coregional.py FOLDER --pairs ASSAY,OTHER ASSAY,OTHER --size 48 --other 200 --seeds 3

n random single mutants of the first assay teach, 400 others are asked. `site_gp` sees them alone; `coregional_gp` sees
200 variants of the other assay too: `disjoint`, without any that is asked, or `shared`, as they come, some of which
are asked in the first assay: the gain that a study of new variants must not claim.
"""

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
from low_n import door, read
from scipy.stats import spearmanr

from multimep.dataset import Dataset
from multimep.methods import METHODS
from multimep.mutations import Mutation

ASKED = 400


def sites(data: Dataset, start: int) -> list[Mutation]:
    """The mutation of each single mutant, in the numbering of the protein that starts `start` residues before."""
    return [genotype[0].shifted(start) for genotype in data.variants.genotypes]


def offsets(first: Dataset, other: Dataset) -> tuple[int, int]:
    """How far each is shifted in the numbering of the longer wild type."""
    if first.wild_type in other.wild_type:
        return other.wild_type.index(first.wild_type), 0
    if other.wild_type in first.wild_type:
        return 0, first.wild_type.index(other.wild_type)
    raise SystemExit(f"{first.name} and {other.name}: neither wild type is a part of the other; choose another pair")


def arms(first: Dataset, other: Dataset, size: int, taught: int, seed: int) -> dict[str, float]:
    """Spearman of each arm on the same asked rows."""
    random = np.random.default_rng(seed)
    names = np.array(first.variants.mutants)[random.permutation(len(first))]
    train, asked = first.select(names[:size]), first.select(names[size : size + ASKED])
    start, start_other = offsets(first, other)
    hidden = set(sites(asked, start))
    order = random.permutation(len(other))
    mutations = sites(other, start_other)
    outside = [row for row in order if mutations[row] not in hidden]
    found = {"site_gp": METHODS["site_gp"]().fit([train], door(None), seed)}
    for arm, rows in (("disjoint", outside[:taught]), ("shared", order[:taught])):
        team = [train, other.select(np.array(other.variants.mutants)[rows])]
        found[arm] = METHODS["coregional_gp"]().fit(team, door(None), seed)
    return {
        arm: float(spearmanr(one.predict(asked.variants).mean, asked.fitness).statistic) for arm, one in found.items()
    }


def main(arguments: argparse.Namespace) -> None:
    rows = []
    for pair in arguments.pairs:
        first, other = (read(arguments.folder / f"{name}.csv.gz") for name in pair.split(","))
        found = [arms(first, other, arguments.size, arguments.other, seed) for seed in range(arguments.seeds)]
        rows.extend({"pair": pair.replace(",", " + "), **one} for one in found)
        print(rows[-1], flush=True)
    table = pd.DataFrame(rows).groupby("pair").mean()
    print(pd.concat([table, table.mean().to_frame("mean").T]).round(3).to_string())


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--pairs", nargs="+", required=True)
    parser.add_argument("--size", type=int, default=48)
    parser.add_argument("--other", type=int, default=200)
    parser.add_argument("--seeds", type=int, default=3)
    main(parser.parse_args())
