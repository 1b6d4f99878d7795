"""combination_gp: a Gaussian process over whole combinations of residues, for combinatorial libraries."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import ClassVar

import numpy as np
from jaxtyping import Float, Int

from multimep.combination_kernel import (
    SHARED,
    Combinations,
    combinations,
    covariance,
    kernel,
    names_of,
    noise_of,
    prior,
    sites_of,
    variance_of,
)
from multimep.dataset import Dataset, Variants
from multimep.embedder import Embedder
from multimep.evidence import maximise
from multimep.gaussian_process import Solution, solved
from multimep.landscape import Landscape
from multimep.landscape_making import around_maximum
from multimep.methods.blocks import MeanAndVariance, in_blocks
from multimep.methods.method import FitError, Joint, Recall, State, only
from multimep.methods.scaling import FEWEST_ROWS
from multimep.methods.site_gp import lesson, selection
from multimep.methods.warping import Warping, rewarped
from multimep.predictions import Predictions


@dataclass(frozen=True)
class CombinationGP:
    """Effects depend on each other; each mutated site has a relevance of its own, chosen by evidence.

    Attributes:
        selection_rows: hyperparameters are chosen on at most this many rows, drawn with the seed, since each of the
            some hundred steps costs O(n^3); all rows teach the final model.
        warp: learn on a scale halfway to normal scores, as `site_gp`; False (the default, as simpler): on the fitness
            itself. In five folds of the training rows of the lineage study the two differ by .013 in R2 at most.
    """

    selection_rows: int = 500
    warp: bool = False
    joint: ClassVar[bool] = False

    def __post_init__(self) -> None:
        """Refuse a sample that could not even be scaled."""
        if self.selection_rows < FEWEST_ROWS:
            raise FitError(f"selection_rows must be at least {FEWEST_ROWS}, not {self.selection_rows}")

    def fit(self, train: Sequence[Dataset], embedder: Embedder, seed: int) -> "CombinationGPPredictor":
        """Choose hyperparameters, then condition on every row; raises FitError for fewer than three rows."""
        del embedder
        data, scale, targets = lesson(only(train), self.warp)
        sites = sites_of(data.variants)
        chosen = selection(len(data), self.selection_rows, seed)
        rows = combinations(data.variants.select(data.variants.mutants[row] for row in chosen), sites)
        theta = maximise(covariance(rows), targets[chosen], prior(rows))
        return _conditioned(data.variants, targets, theta, scale)

    def landscape(self, predictor: "CombinationGPPredictor", seed: int) -> Landscape:
        """The posterior density of the hyperparameters, on the rows on which they were chosen."""
        chosen, sites = selection(len(predictor.targets), self.selection_rows, seed), predictor.rows.sites
        part = predictor.variants.select(predictor.variants.mutants[row] for row in chosen)
        rows = combinations(part, sites)
        return around_maximum(
            covariance(rows), predictor.targets[chosen], prior(rows), predictor.theta, names_of(sites)
        )

    def restore(self, state: State, embedder: Embedder) -> "CombinationGPPredictor":
        """The predictor whose state this is; the factorisation is made again."""
        del embedder
        arrays, facts = state.arrays, state.facts
        variants = Variants(facts["dataset"], facts["wild_type"], tuple(facts["mutants"]))
        scale = rewarped(facts["scaling"], arrays)
        return _conditioned(variants, arrays["targets"], arrays["theta"], scale)


@dataclass(frozen=True)
class CombinationGPPredictor:
    """A posterior with the training variants that it needs.

    Attributes:
        variants: of the training rows.
        targets: their fitness on that scale, shape (n,).
        theta: logarithms of the hyperparameters, as `combination_kernel` orders them.
        scale: of the targets.
        rows: the training variants' residues.
        solution: of the training rows.
    """

    variants: Variants
    targets: Float[np.ndarray, "n"]
    theta: Float[np.ndarray, "k"]
    scale: Warping
    rows: Combinations
    solution: Solution

    def predict(self, variants: Variants) -> Predictions:
        """Posterior mean and standard deviations."""
        mean, variance = in_blocks(variants, self._predict_block)
        return self.scale.undo(variants.mutants, mean, variance, noise_of(self.theta))

    def _predict_block(self, variants: Variants) -> MeanAndVariance:
        cross = kernel(combinations(variants, self.rows.sites), self.rows, self.theta)
        return self.solution.predict(cross, np.full(len(cross), variance_of(self.theta)))

    def joint(self, variants: Variants) -> Joint:
        """Joint posterior on the scale of the targets; sites that no training row mutates count among the others."""
        asked, theta = combinations(variants, self.rows.sites), self.theta
        own = _widened(variants, self.rows.sites, theta)
        return Joint(*self.solution.joint(kernel(asked, self.rows, theta), own))

    def recall(self, variants: Variants) -> Recall:
        """What each training row adds on the scale of the targets."""
        cross = kernel(combinations(variants, self.rows.sites), self.rows, self.theta)
        _, variance = self.solution.predict(cross, np.full(len(cross), variance_of(self.theta)))
        fitness = partial(self.scale.mean, noise=noise_of(self.theta))
        return Recall(self.variants.mutants, np.zeros(len(cross)), cross, variance, *self.solution.parts, fitness)

    def state(self) -> State:
        """Training rows and hyperparameters."""
        facts = {
            "dataset": self.variants.dataset,
            "wild_type": self.variants.wild_type,
            "mutants": list(self.variants.mutants),
            "scaling": asdict(self.scale.scaling),
        }
        return State({"targets": self.targets, "theta": self.theta, **self.scale.arrays}, facts)


def _widened(
    variants: Variants, known: Int[np.ndarray, "s"], theta: Float[np.ndarray, "k"]
) -> Float[np.ndarray, "p p"]:
    """K among variants, whose other sites are as relevant as the prior says: the ratio 1."""
    sites = np.union1d(known, sites_of(variants))
    ratios = np.zeros(len(sites))
    ratios[np.searchsorted(sites, known)] = theta[SHARED:]
    rows = combinations(variants, sites)
    return kernel(rows, rows, np.concatenate([theta[:SHARED], ratios]))


def _conditioned(
    variants: Variants, targets: Float[np.ndarray, "n"], theta: Float[np.ndarray, "k"], scale: Warping
) -> CombinationGPPredictor:
    rows = combinations(variants, sites_of(variants))
    solution = solved(kernel(rows, rows, theta) + noise_of(theta) * np.eye(len(targets)), targets)
    return CombinationGPPredictor(variants, targets, theta, scale, rows, solution)
