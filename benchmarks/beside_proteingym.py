"""A study's cross-validations beside ProteinGym's official scores of the same assays, split by split.

    python benchmarks/beside_proteingym.py RESULTS SCORES

SCORES is the folder of DMS_substitutions_Spearman_DMS_level_fold_{random,modulo,contiguous}_5.csv, as the repository of
ProteinGym has them. Spearman of all folds together, standardised by fold (`spearman_official`); means over the assays
whose names both have. The folds of `random` are drawn by each for itself.
"""

import argparse
from pathlib import Path

import pandas as pd

from multimep import metrics

BESIDE = ("Kermut", "ProteinNPT", "MSA_Transformer + One-Hot Encodings", "ESM-1v Embeddings", "One-Hot Encodings")


def main(results: Path, scores: Path) -> None:
    """Print the study's own means, and those over the assays that stand in both."""
    table = pd.concat([metrics.read(path) for path in sorted((results / "metrics").glob("*.csv"))], ignore_index=True)
    table = table[table["fold"] == "all"]
    for metric in ("spearman_official", "coverage_95"):
        own = table[table["metric"] == metric].pivot_table("value", "method", "split")
        print(f"{metric}, all assays of the study\n\n{own.to_markdown(floatfmt='.3f')}\n")
    table = table[table["metric"] == "spearman_official"]
    columns = {}
    for split in ("random", "modulo", "contiguous"):
        official = pd.read_csv(scores / f"DMS_substitutions_Spearman_DMS_level_fold_{split}_5.csv", index_col="DMS_id")
        ours = table[table["split"] == split].pivot_table("value", "dataset", "method")
        both = ours.index.intersection(official.index)
        means = pd.concat([ours.loc[both].mean(), official.loc[both, list(BESIDE)].mean()])
        columns[f"{split} ({len(both)})"] = means.sort_values(ascending=False)
    print(pd.DataFrame(columns).to_markdown(floatfmt=".3f"))


if __name__ == "__main__":
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("results", type=Path)
    words.add_argument("scores", type=Path)
    given = words.parse_args()
    main(given.results, given.scores)
