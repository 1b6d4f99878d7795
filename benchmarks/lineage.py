r"""One procedure on the authors' splits of the lineage datasets: R2 and coverage of 95 % intervals on the asked rows.

    python benchmarks/lineage.py --mirror file:///path/to/mirror [--published FOLDER]

The procedure is `stack` of six methods without a language model, whatever the dataset; its weights are chosen by
inner folds of the training rows and printed. The splits are those that the sources bring, without replicates on both
sides; --published FOLDER reads A.csv ... E.csv (mutations, y, split) and their wild types NAME.wt.txt instead, in
which seven rows asked of C and four of B have their genotype among the training rows, as the published figures had.

    python benchmarks/lineage.py --mirror file:///path/to/mirror --sets B C --inside site_gp combination_gp

asks nothing but the training rows: R2 of single methods (NAME or NAME:JSON) in five seeded folds of them.
"""

import argparse
import json
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import yaml

from multimep import settings, sources
from multimep.dataset import Dataset, Variants
from multimep.embedder import Embedder
from multimep.methods import METHODS
from multimep.mutations import format_genotype, parse

ROOT = Path(__file__).parents[1]
OF = {
    "additive": None,
    "one_hot_ridge": None,
    "site_gp": None,
    "epistasis_gp": {"rounds": 4},
    "combination_gp": None,
    "transmep_one_hot": {
        "method": "transmep",
        "features": "one_hot",
        "alpha_steps": 25,
        "gamma_steps": 25,
        "repeats": 100,
    },
}
ASKED = {"A": 0.905, "B": 0.605, "C": 0.721, "D": 0.647, "E": 0.716}
"""R2 of the best model that was chosen inside the training rows (thesis, ProtTrans with a support vector machine)."""


def no_language_model() -> None:
    raise SystemExit("this benchmark has no language model")


Sides = tuple[Dataset, Variants, np.ndarray]


def sides(mirror: str) -> dict[str, Sides]:
    """Training rows, asked variants and their fitness, on the splits that the sources bring."""
    study = settings.study(yaml.safe_load((ROOT / "workflow/studies/lineage.yaml").read_text(encoding="utf-8")))
    found = {}
    with tempfile.TemporaryDirectory() as cache:
        for name, spec in study.datasets.items():
            data = sources.collect(name, spec, Path(cache), mirror, ROOT)[0]
            (side,) = data.splits.values()
            mutants = np.array(data.variants.mutants)
            train, asked = (data.select(mutants[np.array(side) == word]) for word in ("train", "test"))
            found[name] = train, asked.variants, asked.fitness
    return found


def published(folder: Path) -> dict[str, Sides]:
    """The same with leaks: replicates are averaged on each side alone, and a genotype may stand on both."""
    found = {}
    for name in ASKED:
        path = next(folder.glob(f"{name}.csv*"))
        table = pd.read_csv(path, dtype={"mutations": str}, keep_default_na=False)
        wild_type = (folder / f"{name}.wt.txt").read_text(encoding="utf-8").split()[-1]
        table["mutant"] = [format_genotype(parse(text)) for text in table["mutations"]]
        train, asked = (table[table["split"] == word] for word in ("train", "test"))
        mean = train.groupby("mutant")["y"].mean()
        variants = Variants(name, wild_type, tuple(mean.index))
        unknown, once = np.full(len(mean), np.nan), np.ones(len(mean), np.int64)
        data = Dataset(variants, mean.to_numpy(np.float64), unknown, once, higher_is_better=name != "E")
        found[name] = data, Variants(name, wild_type, tuple(dict.fromkeys(asked["mutant"]))), asked
    return found


def row(name: str, train: Dataset, asked: Variants, truth: np.ndarray | pd.DataFrame) -> dict[str, object]:
    """R2, coverage, weights of one dataset; several measurements of one genotype are several rows."""
    predictor = METHODS["stack"](of=OF).fit([train], Embedder(no_language_model), 0)
    found = predictor.predict(asked)
    if isinstance(truth, pd.DataFrame):
        rows = np.array([asked.row_of[mutant] for mutant in truth["mutant"]])
        y = truth["y"].to_numpy(np.float64)
    else:
        rows, y = np.arange(len(asked)), truth
    mean, std = found.mean[rows], found.noisy_std[rows]
    r2 = 1 - np.sum((y - mean) ** 2) / np.sum((y - y.mean()) ** 2)
    coverage = np.mean(np.abs(y - mean) <= 1.96 * std)
    weights = {label: round(weight, 3) for label, weight in zip(OF, predictor.weights, strict=True)}
    return {
        "set": name,
        "taught": len(train),
        "asked": len(y),
        "R2": r2,
        "to reach": ASKED[name],
        "coverage": coverage,
        "scale": predictor.scale,
        **weights,
    }


def inside(train: Dataset, label: str) -> float:
    """R2 of a method over five folds of the training rows, out of fold."""
    name, _, text = label.partition(":")
    method, mutants = METHODS[name](**(json.loads(text) if text else {})), np.array(train.variants.mutants)
    fold, mean = np.random.default_rng(0).permutation(len(train)) % 5, np.empty(len(train))
    for one in range(5):
        predictor = method.fit([train.select(mutants[fold != one])], Embedder(no_language_model), 0)
        mean[fold == one] = predictor.predict(train.select(mutants[fold == one]).variants).mean
    y = train.fitness
    return float(1 - np.sum((y - mean) ** 2) / np.sum((y - y.mean()) ** 2))


def main(arguments: argparse.Namespace) -> None:
    data = published(arguments.published) if arguments.published else sides(arguments.mirror)
    if arguments.inside:
        table = {name: {label: inside(data[name][0], label) for label in arguments.inside} for name in arguments.sets}
        print(pd.DataFrame(table).round(3).to_string())
        return
    rows = []
    for name in arguments.sets:
        rows.append(row(name, *data[name]))
        print(rows[-1], flush=True)
    print(pd.DataFrame(rows).round(3).to_string(index=False))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mirror", default="", help="where the files of the sources are, by host and path")
    parser.add_argument("--published", type=Path, help="folder of the splits with leaks")
    parser.add_argument("--sets", nargs="+", default=list(ASKED))
    parser.add_argument("--inside", nargs="+", default=[], help="methods to be asked about the training rows alone")
    main(parser.parse_args())
