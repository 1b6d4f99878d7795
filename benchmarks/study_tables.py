r"""Markdown tables of a finished study, as in docs/results.md.

    python benchmarks/study_tables.py RESULTS METRIC [--datasets]

For every split: methods x training sizes (one column for splits without sizes), the mean over datasets of means over
folds and seeds. Methods that were undefined on some dataset (a constant has no rank correlation) have the number of
datasets behind their mean. With --datasets each dataset has a row. Then the verdicts of the standard questions.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from multimep import comparisons, dataset, families, metrics, verdicts
from multimep.questions import by_usual_labels

SIZE = rf"^{comparisons.LOW_N_FOLD}$"


def values(table: pd.DataFrame, metric: str) -> pd.DataFrame:
    """The metric by split, size, dataset and method."""
    chosen = table[(table["metric"] == metric) & (table["aggregation"] == "fold")]
    size = chosen["fold"].str.extract(SIZE, expand=False).fillna("all")
    by = ["split", "size", "dataset", "method"]
    return chosen.assign(size=size).groupby(by, sort=False)["value"].mean().reset_index()


def in_order(sizes: Sequence[str]) -> list[str]:
    """Sizes rising, `full` last."""
    return sorted(set(sizes), key=lambda size: (not size.isdecimal(), int(size) if size.isdecimal() else 0))


def means(found: pd.DataFrame) -> pd.DataFrame:
    """Methods x sizes: the mean over datasets, with their number where some are undefined."""
    datasets = found["dataset"].nunique()

    def cell(values: pd.Series) -> str:
        known = int(values.notna().sum())
        mean = f"{values.mean():.3f}" if known else "-"
        return mean if known in (0, datasets) else f"{mean} ({known} of {datasets})"

    wide = found.pivot_table("value", "method", "size", aggfunc=cell, sort=False, dropna=False, fill_value="-")
    return wide[in_order(list(wide.columns))]


def main(results: Path, metric: str, each: bool) -> None:
    """Print the tables, then the verdicts."""
    table = pd.concat([metrics.read(path) for path in sorted((results / "metrics").glob("*.csv"))], ignore_index=True)
    found = values(table, metric)
    for split, rows in found.groupby("split", sort=False):
        print(f"\n{metric}, split `{split}`, {rows['dataset'].nunique()} datasets\n\n{means(rows).to_markdown()}")
        if each:
            for size, part in rows.groupby("size", sort=False):
                print(f"\nsize {size}\n")
                print(part.pivot_table("value", "dataset", "method", sort=False).round(3).to_markdown(floatfmt=".3f"))
    records = [dataset.read_record(path) for path in sorted((results / "datasets").glob("*.csv"))]
    family = families.named({record.name: record.wild_type for record in records})
    kin = comparisons.Kin(family, {record.name: record.group for record in records})
    print()
    for _, one in comparisons.answers(table, by_usual_labels(list(dict.fromkeys(table["method"]))), kin=kin):
        print(f"- {verdicts.sentence(one)}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path)
    parser.add_argument("metric")
    parser.add_argument("--datasets", action="store_true", help="a row for each dataset as well")
    arguments = parser.parse_args()
    main(arguments.results, arguments.metric, arguments.datasets)
