"""Learning curves over the families of a finished study: python benchmarks/learning_curves.py RESULTS SPLIT OUT.svg."""

import argparse
from pathlib import Path

import pandas as pd

from multimep import dataset, families, figures, metrics
from multimep.comparisons import Kin
from multimep.drawing import Interval
from multimep.learning_curves import learning_curve

STYLE = Path(figures.__file__).parent / "templates" / "report.css"


def main(results: Path, split: str, output: Path, methods: list[str]) -> None:
    """Draw the mean Spearman of every method, or of those that are named, with 95 % intervals over families."""
    table = pd.concat([metrics.read(path) for path in sorted((results / "metrics").glob("*.csv"))], ignore_index=True)
    records = [dataset.read_record(path) for path in sorted((results / "datasets").glob("*.csv"))]
    family = families.named({record.name: record.wild_type for record in records})
    curve = learning_curve(table, split, kin=Kin(family, {record.name: record.group for record in records}))
    shown = methods or list(dict.fromkeys(curve["method"]))
    series = [
        figures.Series(name, place, points(curve[curve["method"] == name])) for place, name in enumerate(shown, start=1)
    ]
    drawn = str(figures.learning_chart(series, "Spearman", (0.0, 1.0)))
    output.write_text(drawn.replace(">", f"><style>{STYLE.read_text(encoding='utf-8')}</style>", 1), encoding="utf-8")


def points(curve: pd.DataFrame) -> dict[float, Interval]:
    """Size -> mean with its interval."""
    rows = curve[["size", "mean", "low", "high"]].itertuples(index=False)
    return {float(size): Interval(mean, low, high) for size, mean, low, high in rows}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("results", type=Path)
    parser.add_argument("split")
    parser.add_argument("output", type=Path)
    parser.add_argument("--methods", nargs="*", default=[])
    arguments = parser.parse_args()
    main(arguments.results, arguments.split, arguments.output, arguments.methods)
