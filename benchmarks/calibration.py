"""Coverage and calibration errors of methods and of their recalibrated versions on a study's own splits.

    python benchmarks/calibration.py workflow/studies/lineage.yaml --mirror file:///path/to/mirror

Each dataset of the study is fetched, each of its source's splits predicted once: by the method, by `recalibrated` with
`kind: scale` and with `kind: conformal`. Nothing is chosen on the rows asked. Of more than --most asked rows, and of
more than --taught teaching rows, a seeded sample is used (D of the lineage study has 51,215 and 500 of them). Methods
that ask a language model cannot be measured here.
"""

import argparse
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import yaml

from multimep import metrics, sources
from multimep.dataset import Dataset
from multimep.embedder import Embedder
from multimep.methods import METHODS, Method
from multimep.methods.recalibrated import Recalibrated
from multimep.schemes.source import Source
from multimep.sources import DatasetSpec
from multimep.typed_values import build

SHOWN = ("r2", "spearman", "coverage_50", "coverage_80", "coverage_95", "ece", "ence", "chi_square", "nll", "width_95")


def no_language_model() -> None:
    raise SystemExit("this benchmark has no language model")


def methods(name: str) -> Iterator[tuple[str, Method]]:
    yield name, METHODS[name]()
    for kind in ("scale", "conformal"):
        yield f"{name}, {kind}", Recalibrated({name: None}, kind)  # type: ignore[arg-type]


def sample(mutants: tuple[str, ...], most: int) -> list[str]:
    chosen = np.sort(np.random.default_rng(0).permutation(len(mutants))[:most])
    return [mutants[row] for row in chosen]


def cases(data: Dataset, args: argparse.Namespace) -> Iterator[tuple[str, Dataset, Dataset]]:
    for column in data.splits:
        fold = Source(column).split(data, 0).folds[0]
        yield column, data.select(sample(fold.train, args.taught)), data.select(sample(fold.test, args.most))


def measure(case: str, train: Dataset, asked: Dataset, names: list[str]) -> None:
    for name in names:
        for label, method in methods(name):
            start = time.perf_counter()
            predictor = method.fit([train], Embedder(no_language_model), 0)  # type: ignore[arg-type]
            said = predictor.predict(asked.variants)
            seconds = time.perf_counter() - start
            table = metrics.evaluate(asked, {"asked": said}, bootstrap=0).drop_duplicates("metric").set_index("metric")
            scale = f"{getattr(predictor, 'scale', 1.0):.2f}" if isinstance(method, Recalibrated) else ""
            values = [f"{table.loc[metric, 'value']:.3f}" for metric in SHOWN]
            cells = [case, str(len(train)), str(len(asked)), label, *values, scale, f"{seconds:.1f}"]
            print("| " + " | ".join(cells) + " |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("study", type=Path)
    parser.add_argument("--mirror")
    parser.add_argument("--cache", type=Path, default=Path("results/cache"))
    parser.add_argument("--methods", nargs="+", default=["additive", "one_hot_ridge", "site_gp"])
    parser.add_argument("--datasets", nargs="*", default=[])
    parser.add_argument("--most", type=int, default=5000)
    parser.add_argument("--taught", type=int, default=5000)
    args = parser.parse_args()
    study = yaml.safe_load(args.study.read_text(encoding="utf-8"))
    heads = ["split", "taught", "asked", "method", *SHOWN, "scale", "s"]
    print("| " + " | ".join(heads) + " |\n" + "|" + " --- |" * len(heads), flush=True)
    for name in args.datasets or study["datasets"]:
        spec = build(DatasetSpec, study["datasets"][name], f"datasets.{name}")
        data, _ = sources.collect(name, spec, args.cache, args.mirror, Path())
        for case in cases(data, args):
            measure(*case, args.methods)


if __name__ == "__main__":
    sys.exit(main())
