r"""Mean Spearman of plm_gp part by part on real assays whose source gives a covariate and a structure.

    python benchmarks/ablation.py workflow/studies/dms.yaml --mirror file:///path/to/mirror --sizes 24 48 96 --seeds 5 \
        --methods one_hot_ridge site_gp 'plm_gp:{"zero_shot": "none", ...}'
    python benchmarks/ablation.py STUDY.yaml --assays GRB2_HUMAN_Faure_2021 ... --schemes random modulo contiguous

The single mutants of each assay of the study: n random rows teach and all others are asked, or five folds of a scheme
(Spearman within each fold, averaged). `bare` before a method's name (bare:plm_gp) leaves out what needs a language
model. The fitness of what is asked reaches no method.
"""

import argparse
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from low_n import draws
from scipy.stats import spearmanr

from multimep.chosen_model import embedder as embedder_of
from multimep.dataset import Dataset
from multimep.embedder import Embedder
from multimep.methods import METHODS, Method
from multimep.settings import read_configuration, scheme, study
from multimep.sources import collect

LESS = {"profile": False, "attention": False, "embedding": False}
"""Settings of `bare:plm_gp`."""


def no_language_model() -> None:
    raise SystemExit("this method asks for a language model: give one with --language-model")


def method_of(label: str) -> Method:
    """The method of [bare:]NAME[:JSON]."""
    bare = label.startswith("bare:")
    name, _, text = label.removeprefix("bare:").partition(":")
    return METHODS[name](**{**(LESS if bare else {}), **(json.loads(text) if text else {})})


def singles(data: Dataset) -> Dataset:
    """Rows of exactly one mutation, where the source has the fitness of others too."""
    depths = data.variants.depths
    return data.select(name for name, depth in zip(data.variants.mutants, depths, strict=True) if depth == 1)


def lessons(data: Dataset, arguments: argparse.Namespace) -> Iterator[tuple[str, Dataset, Dataset]]:
    """What teaches and what is asked: (size or scheme, train, asked)."""
    for size in arguments.sizes:
        for _, train, asked in draws(data, size, arguments.seeds):
            yield f"{size:g}", train, asked
    for name in arguments.schemes:
        for fold in scheme({"scheme": name}, name).split(data, 0).folds:
            yield name, data.select(fold.train), data.select(fold.test)


def measure(method: Method, train: Dataset, asked: Dataset, embedder: Embedder) -> dict[str, float]:
    start = time.perf_counter()
    predictor = method.fit([train], embedder, 0)
    seconds = time.perf_counter() - start
    found = predictor.predict(asked.variants)
    inside = np.abs(asked.fitness - found.mean) <= 1.96 * found.noisy_std
    rho = spearmanr(found.mean, asked.fitness).statistic if np.ptp(found.mean) > 0 else 0.0
    return {"spearman": float(rho), "coverage": float(inside.mean()), "seconds": seconds}


def main(arguments: argparse.Namespace) -> None:
    """Print the mean over assays for each method and size or scheme, differences to the last method, and each assay."""
    chosen = study({**read_configuration(str(arguments.study))[1], **({"mirror": arguments.mirror})})
    methods, rows = {label: method_of(label) for label in arguments.methods}, []
    embedder = Embedder(no_language_model)
    if arguments.language_model:
        stores = sorted(arguments.stores.glob("*.h5")) if arguments.stores else []
        embedder = embedder_of(arguments.language_model, stores, "", arguments.cache)
    for name in arguments.assays or chosen.datasets:
        spec = chosen.datasets[name]
        data = singles(collect(name, spec, arguments.cache, chosen.mirror, arguments.study.parent)[0])
        for where, train, asked in lessons(data, arguments):
            for label, method in methods.items():
                rows.append({"assay": name, "where": where, "method": label, **measure(method, train, asked, embedder)})
        print(f"{name}: {len(data)} single mutants", file=sys.stderr, flush=True)
        if arguments.output:
            pd.DataFrame(rows).to_csv(arguments.output, index=False)
    report(pd.DataFrame(rows), arguments.methods)


def report(table: pd.DataFrame, methods: list[str]) -> None:
    by_assay = table.groupby(["where", "assay", "method"], sort=False)[["spearman", "coverage", "seconds"]].mean()
    means = by_assay.groupby(["where", "method"], sort=False).mean().round(3)
    print(means.to_string())
    wide = by_assay.pivot_table("spearman", ["where", "assay"], "method", sort=False)[methods]
    print(wide.round(3).to_string())
    minus = wide.sub(wide[methods[-1]], axis=0)
    spread = minus.groupby("where", sort=False).agg(["mean", "sem"])
    print(f"minus {methods[-1]}: mean over assays, its standard error\n{spread.round(3).T.to_string()}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("study", type=Path, help="a study's YAML, for its datasets")
    parser.add_argument("--assays", nargs="+", default=[], help="names of its datasets; all if not given")
    parser.add_argument("--mirror", help="as in a study")
    parser.add_argument("--cache", type=Path, default=Path("results/cache"))
    parser.add_argument("--methods", nargs="+", default=["one_hot_ridge", "site_gp", "bare:plm_gp"])
    parser.add_argument("--sizes", nargs="*", type=float, default=[])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--schemes", nargs="*", default=[], help="splits of a study: random, modulo, contiguous")
    parser.add_argument("--language-model", default="", help="as for the commands, where a method asks for one")
    parser.add_argument("--stores", type=Path, help="the embeddings of a study that has run, RESULTS/embeddings")
    parser.add_argument("--output", type=Path, help="a CSV of every fit")
    main(parser.parse_args())
