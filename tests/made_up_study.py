"""A study of made-up scans and made-up predictions with computed metrics, for the tests of the report."""

from dataclasses import replace

import numpy as np
import pandas as pd

from multimep import accounting, campaign, metrics
from multimep.cluster import Cluster
from multimep.dataset import Dataset, Record, Variants
from multimep.findings import Findings, Provenance, pair
from multimep.mutations import AMINO_ACIDS, Mutation, format_genotype
from multimep.plate_files import PICK_COLUMNS, Plate
from multimep.plate_map import Well, picture
from multimep.portraits import portrait
from multimep.predictions import Predictions

EVIL = "<script>alert(1)</script>"
METHODS = ("additive", "one_hot_ridge", "zero_shot", "embedding_gp", "transmep", "fine_tune", "fine_tune_together")
SKILL = {
    "additive": 0.62,
    "one_hot_ridge": 0.64,
    "zero_shot": 0.41,
    "embedding_gp": 0.75,
    "transmep": 0.7,
    "fine_tune": 0.68,
    "fine_tune_together": 0.78,
}
UNSURE = {"embedding_gp": 1.0, "transmep": 0.7, "additive": 1.1}


def scan(name: str, size: int, group: str, rng: np.random.Generator) -> tuple[Dataset, Record]:
    """A made-up scan: singles to triples of a random wild type."""
    wild_type = "".join(rng.choice(list(AMINO_ACIDS), 80))
    mutants: dict[str, None] = {}
    while len(mutants) < size:
        sites = sorted(rng.choice(80, size=rng.choice([1, 2, 3], p=[0.5, 0.35, 0.15]), replace=False))
        letters = [rng.choice([letter for letter in AMINO_ACIDS if letter != wild_type[site]]) for site in sites]
        genotype = tuple(Mutation(int(s) + 1, wild_type[s], str(a)) for s, a in zip(sites, letters, strict=True))
        mutants[format_genotype(genotype)] = None
    variants = Variants(name, wild_type, tuple(mutants))
    fitness = 1 / (1 + np.exp(variants.depths - 1.5 + rng.normal(size=size)))
    dataset = Dataset(variants, fitness, np.full(size, np.nan), np.ones(size, dtype=np.int64), group)
    depths = {str(depth): int(np.sum(variants.depths == depth)) for depth in (1, 2, 3)}
    record = Record(
        name, group, wild_type, True, "fraction folded", "", {"variants": size}, depths, {"wild type given twice": 2},
        {"simulation": "3f" * 32}, "MIT", "multimep, simulated scan (https://www.uniprot.org)", True,
        ("thermodynamic model with pairwise epistasis",),
    )  # fmt: skip
    return dataset, record


def guess(dataset: Dataset, method: str, rng: np.random.Generator) -> Predictions:
    """Predictions whose correlation with the fitness is about the method's skill."""
    skill = np.clip(SKILL[method] + rng.normal() * 0.05, 0.05, 0.97)
    spread_of_fitness = dataset.fitness.std()
    z = (dataset.fitness - dataset.fitness.mean()) / spread_of_fitness
    mean = dataset.fitness.mean() + spread_of_fitness * (
        skill**2 * z + skill * np.sqrt(1 - skill**2) * rng.normal(size=len(z))
    )
    if method == "zero_shot":
        mean = -8 + 6 * z * skill + 5 * rng.normal(size=len(z))
    std = np.full(len(z), UNSURE.get(method, np.nan) * spread_of_fitness * np.sqrt(1 - skill**2))
    return Predictions(dataset.variants.mutants, mean, std, std)


def scored(dataset: Dataset, split: str, method: str, said: Predictions) -> pd.DataFrame:
    found = metrics.evaluate(dataset, {"0": said}, bootstrap=20)
    return found.assign(dataset=dataset.name, split=split, method=method)


def learning(dataset: Dataset, method: str, rng: np.random.Generator) -> pd.DataFrame:
    """Folds of a low-N split: the fewer variants taught, the nearer the predictions are to noise."""
    folds = {}
    for size, noise in ((24, 1.4), (96, 0.7), (384, 0.1)):
        for seed in range(3):
            said = guess(dataset, method, rng)
            level = 0 if method == "zero_shot" else noise * said.mean.std() * rng.uniform(0.8, 1.2)
            blurred = said.mean + level * rng.normal(size=len(dataset))
            folds[f"n{size}_seed{seed}"] = replace(said, mean=blurred)
    return metrics.evaluate(dataset, folds, bootstrap=2).assign(dataset=dataset.name, split="low_n", method=method)


def replayed(rng: np.random.Generator) -> pd.DataFrame:
    """Campaigns of two policies and three seeds over three rounds: one finds the best soon, chance does not."""
    rows = [
        (policy, seed, step, 24 * (step + 1), 1 - regret, regret, 1 - regret, 1 - regret)
        for policy, pace in (("random", 0.9), (EVIL, 0.4))
        for seed in range(3)
        for step in range(4)
        for regret in [pace**step * (0.9 + 0.1 * rng.random())]
    ]
    return pd.DataFrame(rows, columns=list(campaign.COLUMNS))


def next_plate() -> Plate:
    """Two mutants in three wells; the remark of one is hostile, the other has no standard deviation."""
    rows = [
        ("1", "M1A:K2C", "1:A1 1:B7", "1.5", "0.25", "0.5", "2", "1", EVIL),
        ("2", "M1A:K2D", "1:C3", "1.25", "nan", "nan", "1.25", "2", ""),
    ]
    about = {"mutants": 2, "method": "additive", "candidates": 1200, "scored": 1200, "exhaustive": True, "gap": 0.001}
    wells = [Well(1, name, mutant, "mutant", 1) for name, mutant in (("A1", "M1A:K2C"), ("C3", "M1A:K2D"))]
    drawn = picture(wells, {"M1A:K2C": 1.5, "M1A:K2D": 1.25}, 96, "Next plate")
    return Plate([dict(zip(PICK_COLUMNS, row, strict=True)) for row in rows], about, str(drawn))


def demo(names: list[str], methods: tuple[str, ...] = METHODS, size: int = 420) -> Findings:
    """A study of made-up scans and made-up predictions with computed metrics."""
    rng = np.random.default_rng(1)
    scans = [scan(name, size, ("enzyme", "binding")[place % 2], rng) for place, name in enumerate(names)]
    parts, pairs, portraits = [], {}, []
    for dataset, _ in scans:
        for method in methods:
            said = guess(dataset, method, rng)
            parts += [scored(dataset, "random", method, said), learning(dataset, method, rng)]
            pairs[dataset.name, method] = pair([said], dataset)
        portraits.append(portrait(dataset, "random", methods[-1], {"0": said}))
    provenance = Provenance(
        "2026-01-31 12:00 UTC",
        {"multimep": "0.1.0", "Python": "3.12.3", "torch": "2.13.0", "Snakemake": "9.27.0"},
        {"name": "mini", "sha256": "ab" * 32, "parameters": "1.4 million"},
        {"splits": "0", "methods": "0", "bootstrap": "0"},
        {"processors": "2", "memory": "8 GB", "platform": "Linux-6.8-x86_64"},
        "datasets:\n  first: {source: simulation}\nmethods: [additive, '<b>bold</b>']\n",
    )
    jobs = {
        "dataset": [accounting.Run(2.0, 1.5, 310.0)] * 6,
        "embed": [accounting.Run(8.0, 7.5, 820.5, cores=2)] * 6,
        f"predict: {EVIL}": [accounting.Run(50.1, 98.0, 1430.0, cores=12, gpus=1)] * 84,
        "evaluate": [accounting.Run(2.2)],
    }
    account = accounting.account(jobs, Cluster(price_per_gpu_hour=2.0))
    campaigns, plates = {names[0]: replayed(rng)}, {names[0]: next_plate()}
    return Findings(
        "Six simulated scans",
        "Which way of using a protein language model predicts these mutants best: zero-shot, a Gaussian process on "
        "embeddings, fine-tuning per protein, or one multitask model with a head per protein? And how sure are we?",
        pd.concat(parts, ignore_index=True), tuple(record for _, record in scans), provenance, {"random": pairs},
        account, portraits=tuple(portraits), campaigns=campaigns, plates=plates,
    )  # fmt: skip
