"""A large study stays one small page: 50 datasets of 3,000 variants, eight methods, every metric, in under 15 MB.

All parts of a page but a fixed one grow with the number of datasets, so that ten datasets must take a fifth of that;
MULTIMEP_LONG=1 makes all fifty (half a minute).
"""

import os

import numpy as np
import pandas as pd
import pytest

from multimep import metrics, report
from multimep.dataset import Record
from multimep.figures import Pairs
from multimep.findings import SHOWN, Findings, Provenance
from multimep.mutations import AMINO_ACIDS, Mutation
from multimep.portraits import Portrait

DATASETS = 50 if os.environ.get("MULTIMEP_LONG") == "1" else 10
VARIANTS, RESIDUES = 3000, 300
METHODS = ("additive", "site_gp", "one_hot_ridge", "zero_shot", "embedding_gp", "transmep", "plm_gp", "combination_gp")
LIMIT = 15e6 * DATASETS / 50  # bytes


def scan(number: int, random: np.random.Generator) -> Portrait:
    """2,400 single and 600 double mutants of a random wild type, measured and predicted."""
    wild_type = "".join(random.choice(list(AMINO_ACIDS), RESIDUES))
    singles = [
        Mutation(site + 1, residue, other)
        for site, residue in enumerate(wild_type)
        for other in AMINO_ACIDS
        if other != residue
    ]
    chosen = [singles[place] for place in sorted(random.choice(len(singles), VARIANTS, replace=False))]
    one, two = chosen[:2400], chosen[2400:]
    doubles = [f"{a}:{b}" for a, b in zip(one[:600], two, strict=True) if a.position < b.position]
    mutants = (*map(str, one), *doubles)
    measured = random.normal(size=len(mutants))
    predicted = 0.7 * measured + 0.5 * random.normal(size=len(mutants))
    std = random.uniform(0.3, 0.7, size=len(mutants))
    return Portrait(f"protein_{number}", wild_type, "random", "plm_gp", mutants, measured, predicted, std, 1.2 * std)


def record(one: Portrait) -> Record:
    return Record(one.dataset, "enzyme", one.wild_type, True, "activity", "a.u.", {"variants": len(one.mutants)},
                  {"1": 2400, "2": len(one.mutants) - 2400}, sha256={"scan.csv": "ab" * 32})  # fmt: skip


def table(random: np.random.Generator) -> pd.DataFrame:
    """Every metric of every method and dataset on a random split, and Spearman by training size."""
    names = [f"protein_{number}" for number in range(DATASETS)]
    index = pd.MultiIndex.from_product([names, METHODS, metrics.METRICS], names=["dataset", "method", "metric"])
    pooled = index.to_frame(index=False).assign(split="random", fold="all", aggregation="pooled", n=VARIANTS)
    folds = [f"n{size}_seed{seed}" for size in (24, 96, 384) for seed in range(3)]
    index = pd.MultiIndex.from_product([names, METHODS, folds], names=["dataset", "method", "fold"])
    sized = index.to_frame(index=False).assign(split="low_n", metric="spearman", aggregation="fold", n=VARIANTS - 384)
    whole = pd.concat([pooled, sized], ignore_index=True)
    value = random.uniform(0.2, 0.9, size=len(whole))
    return whole.assign(value=value, low=value - 0.05, high=value + 0.05)


@pytest.fixture(scope="module")
def large() -> Findings:
    random = np.random.default_rng(0)
    portraits = tuple(scan(number, random) for number in range(DATASETS))
    pairs = {
        (one.dataset, method): Pairs(one.mutants[:SHOWN], random.normal(size=SHOWN), one.measured[:SHOWN], VARIANTS)
        for one in portraits
        for method in METHODS
    }
    return Findings("Fifty proteins", "How large?", table(random), tuple(map(record, portraits)), Provenance("today"),
                    {"random": pairs}, portraits=portraits)  # fmt: skip


def test_fifty_datasets_of_three_thousand_variants_take_less_than_15_megabytes(large: Findings) -> None:
    page = report.render(large)
    assert len(page.encode()) < LIMIT
    assert page.count('class="portrait"') == DATASETS
    assert "a seeded sample of 1,000 of" in page
