r"""Tunes the prior that is the same for every protein: the control that `shared_prior_gp` must beat.

    python benchmarks/tuned_prior.py FOLDER INDEX.csv

On every second family of the scans (those that benchmarks/transfer.py does not report on) it prints the medians of
`site_kernel.TUNED`: the one theta of largest sum over families of log p(y | theta), y from 48 random single mutants
(two draws a scan), slopes unknown, with the weak prior as start and prior. Draws are not those of transfer.py. Then
mean rank correlation for each width of the prior around it, from which `site_kernel.TUNED_SPREAD` was chosen.
"""

import argparse
from pathlib import Path

import numpy as np
from scans import Scans, scans
from scipy.optimize import Bounds, minimize
from transfer import drawn, means, measured

from multimep import site_kernel
from multimep.evidence import Covariance, Prior, log_evidence
from multimep.methods.site_gp import Belief, lesson
from multimep.site_kernel import NAMES, mutations_of, site_covariance

ROWS, DRAWS, FIRST_SEED = 48, 2, 100
SPREADS = (0.1, 0.3, 1.0)
NO_SLOPES = np.zeros(len(site_kernel.UNMIXED))

Problem = tuple[float, Covariance, np.ndarray]


def problems(taught: Scans) -> list[Problem]:
    """Weight (a family counts once), covariance and targets of every draw."""
    found = []
    for data, family in zip(taught.data, taught.family, strict=True):
        for seed in range(FIRST_SEED, FIRST_SEED + DRAWS):
            rows, _, targets = lesson(drawn(data, ROWS, seed)[0], warp=True)
            weight = 1 / (taught.family.count(family) * DRAWS)
            found.append((weight, site_covariance(mutations_of(rows.variants, 1.0)), targets))
    return found


def tuned(taught: list[Problem], weak: Prior) -> np.ndarray:
    """The theta of largest evidence over all draws."""

    def objective(theta: np.ndarray) -> tuple[float, np.ndarray]:
        value, gradient = weak.log_density(theta)
        for weight, covariance, targets in taught:
            one, pull = log_evidence(covariance, targets, theta)
            value, gradient = value + weight * one, gradient + weight * pull
        return -value, -gradient

    middle = np.log(weak.medians)
    box = Bounds(middle - 4 * weak.spreads, middle + 4 * weak.spreads)
    return minimize(objective, middle, jac=True, method="L-BFGS-B", bounds=box, options={"maxiter": 60}).x


def main(arguments: argparse.Namespace) -> None:
    half, weak = scans(arguments.folder, arguments.index).of_half(odd=False), site_kernel.prior()
    print(f"{len(half.data)} scans of {len(set(half.family))} families")
    theta = tuned(problems(half), weak)
    for name, before, after in zip(NAMES, weak.medians, np.exp(theta), strict=True):
        print(f"{name:30s} {before:.4f} -> {after:.4f}")
    beliefs = {"weak": Belief(weak, NO_SLOPES)}
    beliefs |= {f"{one} x spreads": Belief(Prior(np.exp(theta), one * weak.spreads), NO_SLOPES) for one in SPREADS}
    table = measured(half, lambda _: beliefs, (12, 24, 48), range(2))
    print(means(table).round(3).to_string())


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("index", type=Path)
    main(parser.parse_args())
