"""Markdown tables of a finished study, as in docs/results.md: python benchmarks/study_tables.py RESULTS METRIC."""

import sys
from pathlib import Path

import pandas as pd

from multimep import comparisons, dataset, families, metrics, verdicts
from multimep.questions import by_usual_labels


def main(results: Path, metric: str) -> None:
    """Print methods x datasets of one metric (per training size for low-N splits), then the verdicts."""
    table = pd.concat([metrics.read(path) for path in sorted((results / "metrics").glob("*.csv"))], ignore_index=True)
    chosen = table[(table["metric"] == metric) & (table["aggregation"] == "fold")]
    part = chosen["fold"].str.extract(r"^(n\d+)_seed", expand=False).fillna("")
    by = chosen.assign(size=part).pivot_table("value", ["size", "dataset"], "method", sort=False)
    by = by[[name for name in dict.fromkeys(table["method"]) if name in by]]
    for size, rows in by.groupby("size", sort=False):
        shown = rows.droplevel("size")
        print(f"\n{metric}{f', {size[1:]} training variants' if size else ''}\n")
        print(pd.concat([shown, shown.mean().to_frame("mean").T]).round(3).to_markdown(floatfmt=".3f"))
    records = [dataset.read_record(path) for path in sorted((results / "datasets").glob("*.csv"))]
    family = families.named({record.name: record.wild_type for record in records})
    kin = comparisons.Kin(family, {record.name: record.group for record in records})
    print()
    for _, found in comparisons.answers(table, by_usual_labels(list(by.columns)), kin=kin):
        print(f"- {verdicts.sentence(found)}")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
