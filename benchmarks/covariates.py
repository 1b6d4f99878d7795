"""Rank correlation of covariates with fitness: python benchmarks/covariates.py STUDY.yaml --mirror URL."""

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import spearmanr

from multimep.settings import read_configuration, study
from multimep.sources import collect


def main(path: Path, mirror: str | None, cache: Path) -> None:
    """Print a line per dataset and covariate."""
    chosen = study({**read_configuration(str(path))[1], "mirror": mirror})
    rows = []
    for name, spec in chosen.datasets.items():
        data = collect(name, spec, cache, chosen.mirror, path.parent)[0]
        for covariate, values in data.variants.covariates.items():
            known = ~np.isnan(values)
            rho = spearmanr(values[known], data.fitness[known]).statistic
            rows.append({"dataset": name, "covariate": covariate, "spearman": rho, "n": int(known.sum())})
    print(pd.DataFrame(rows).round(3).to_markdown(index=False))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("study", type=Path)
    parser.add_argument("--mirror")
    parser.add_argument("--cache", type=Path, default=Path("results/cache"))
    arguments = parser.parse_args()
    main(arguments.study, arguments.mirror, arguments.cache)
