"""site_gp: a Gaussian process over mutations - their sites and residues - without language model or alignment."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from typing import ClassVar, Literal

import numpy as np
from jaxtyping import Float, Int

from multimep import site_kernel
from multimep.dataset import Dataset, Variants
from multimep.embedder import Embedder
from multimep.evidence import Prior, maximise
from multimep.gaussian_process import Solution, solved
from multimep.landscape import Landscape
from multimep.landscape_making import around_maximum
from multimep.methods.blocks import MeanAndVariance, in_blocks
from multimep.methods.method import FitError, Joint, Recall, State, Sums, only
from multimep.methods.scaling import FEWEST_ROWS
from multimep.methods.warping import Warping, rewarped, unwarped_of, warping_of
from multimep.mutations import AMINO_ACIDS
from multimep.predictions import Predictions
from multimep.site_kernel import Mutations, kernel, mutations_of, noise_of, site_covariance, variances

EXPECTED: Float[np.ndarray, "6"] = np.array([0.0, 0.25, -0.125, -0.25, -0.25, -0.1])
"""Expected slopes of `substitutions.FEATURES`, in standard deviations of the fitness (higher is better): conservative
exchanges are milder; hydrophobic and aromatic residues are buried, and so is what stands among hydrophobic ones;
proline breaks the fold. Rounded from a regression on twenty scans of proteins other than those on which
benchmarks/low_n.py is reported."""

NOTHING: Float[np.ndarray, "20 20"] = np.zeros((len(AMINO_ACIDS), len(AMINO_ACIDS)))
"""Expected of exchanges beyond their features."""


@dataclass(frozen=True)
class Belief:
    """What is held of a protein before its first measurement.

    Attributes:
        prior: of the hyperparameters.
        slopes: expected ones of the features, in standard deviations of the fitness (higher is better), shape (6,).
        mixing: how slopes vary together around them, in units of `linear.variance`, shape (6, 6).
        residues: expected effect of each residue by each other beyond the features, in the unit of the slopes.
    """

    prior: Prior
    slopes: Float[np.ndarray, "6"]
    mixing: Float[np.ndarray, "6 6"] = field(default_factory=lambda: site_kernel.UNMIXED)
    residues: Float[np.ndarray, "20 20"] = field(default_factory=lambda: NOTHING)

    def turned(self, by: float) -> "Belief":
        """The same with every expected effect times a number."""
        return replace(self, slopes=self.slopes * by, residues=self.residues * by)


@dataclass(frozen=True)
class SiteGP:
    """Hyperparameters by evidence with weak priors; the mean is linear in the kind of exchange.

    Attributes:
        expectation: start from the slopes that substitutions have in most proteins (the default: it is worth 0.06 of
            rank correlation at 24 rows, 0.006 at 240); False: from no effect of anything.
        selection_rows: hyperparameters are chosen on at most this many rows, drawn with the seed, since each of the
            some fifty steps costs O(n^3) and eighteen numbers need no more; all rows teach the final model.
        warp: learn on a scale halfway to normal scores (the default: worth 0.005 of rank correlation at 240 rows, and
            intervals that follow a skewed fitness); False: on the fitness itself.
        prior: of the hyperparameters. `weak`: medians chosen by hand; `tuned`: those of largest evidence over small
            samples of twenty families of proteins, the same for every protein. With `expectation: false` the two are
            the controls of `shared_prior_gp`: what a prior is worth without anything learnt of substitutions.
    """

    expectation: bool = True
    selection_rows: int = 500
    warp: bool = True
    prior: Literal["weak", "tuned"] = "weak"
    joint: ClassVar[bool] = False

    def __post_init__(self) -> None:
        """Refuse a sample that could not even be scaled."""
        if self.selection_rows < FEWEST_ROWS:
            raise FitError(f"selection_rows must be at least {FEWEST_ROWS}, not {self.selection_rows}")

    def fit(self, train: Sequence[Dataset], embedder: Embedder, seed: int) -> "SiteGPPredictor":
        """Choose hyperparameters, then condition on every row."""
        del embedder
        belief = Belief(site_kernel.PRIORS[self.prior](), EXPECTED * self.expectation)
        return fitted(only(train), belief, self.selection_rows, self.warp, seed)

    def landscape(self, predictor: "SiteGPPredictor", seed: int) -> Landscape:
        """The posterior density of the hyperparameters, on the rows on which they were chosen."""
        chosen = selection(len(predictor.targets), self.selection_rows, seed)
        variants, belief = predictor.variants, predictor.belief
        rows = mutations_of(variants.select(variants.mutants[row] for row in chosen), predictor.unit, belief.mixing)
        y = predictor.targets[chosen] - expected_of(rows, belief)
        prior = site_kernel.PRIORS[self.prior]()
        return around_maximum(site_covariance(rows), y, prior, predictor.theta, site_kernel.NAMES)

    def restore(self, state: State, embedder: Embedder) -> "SiteGPPredictor":
        """The predictor whose state this is; the factorisation is made again."""
        del embedder
        return restored(state)


@dataclass(frozen=True)
class SiteGPPredictor:
    """A posterior with the training variants that it needs.

    Attributes:
        variants: of the training rows.
        targets: their fitness on that scale, shape (n,).
        theta: logarithms of the hyperparameters, in the order of site_kernel.NAMES.
        belief: before them, its expected effects in standardised units.
        unit: weight of one mutation.
        scale: of the targets.
        mutations: of the training variants.
        solution: of the training rows.
    """

    variants: Variants
    targets: Float[np.ndarray, "n"]
    theta: Float[np.ndarray, "k"]
    belief: Belief
    unit: float
    scale: Warping
    mutations: Mutations
    solution: Solution

    def predict(self, variants: Variants) -> Predictions:
        """Posterior mean and standard deviations."""
        mean, variance = in_blocks(variants, self._predict_block)
        return self.scale.undo(variants.mutants, mean, variance, noise_of(self.theta))

    def _predict_block(self, variants: Variants) -> MeanAndVariance:
        asked = mutations_of(variants, self.unit, self.belief.mixing)
        cross = kernel(asked, self.mutations, self.theta)
        beyond, variance = self.solution.predict(cross, variances(asked, self.theta))
        return expected_of(asked, self.belief) + beyond, variance

    def joint(self, variants: Variants) -> Joint:
        """Joint posterior on the scale of the targets."""
        asked = mutations_of(variants, self.unit, self.belief.mixing)
        cross, own = kernel(asked, self.mutations, self.theta), kernel(asked, asked, self.theta)
        beyond, covariance = self.solution.joint(cross, own)
        return Joint(expected_of(asked, self.belief) + beyond, covariance)

    def sums(self, variants: Variants) -> Sums | None:
        """The posterior mean on the scale of the targets: k(x, x') is a sum over the mutations of x."""
        mean, _ = in_blocks(variants, self._predict_block)
        if self.scale.straight:
            return Sums(self.scale.mean(mean, np.zeros(len(mean)), 0.0), "fitness")
        return Sums(mean, "latent")

    def recall(self, variants: Variants) -> Recall:
        """What each training row adds on the scale of the targets."""
        asked = mutations_of(variants, self.unit, self.belief.mixing)
        cross = kernel(asked, self.mutations, self.theta)
        _, variance = self.solution.predict(cross, variances(asked, self.theta))
        expected, fitness = expected_of(asked, self.belief), partial(self.scale.mean, noise=noise_of(self.theta))
        return Recall(self.variants.mutants, expected, cross, variance, *self.solution.parts, fitness)

    def state(self) -> State:
        """Training rows and hyperparameters."""
        facts = {
            "dataset": self.variants.dataset,
            "wild_type": self.variants.wild_type,
            "mutants": list(self.variants.mutants),
            "unit": self.unit,
            "scaling": asdict(self.scale.scaling),
        }
        arrays = {"targets": self.targets, "theta": self.theta}
        expected = {name: getattr(self.belief, name) for name in ("slopes", "mixing", "residues")}
        return State({**arrays, **expected, **self.scale.arrays}, facts)


def expected_of(rows: Mutations, belief: Belief) -> Float[np.ndarray, "n"]:
    """m(x) = sum_{m in x} phi(m).w + E_ab."""
    each = rows.features @ belief.slopes + belief.residues[rows.references, rows.substitutes]
    return np.asarray(rows.incidence @ each)


def lesson(given: Dataset, warp: bool) -> tuple[Dataset, Warping, Float[np.ndarray, "n"]]:
    """The rows sorted, so that sums are the same whatever the order given; their scale; their targets on it."""
    data = given.select(sorted(given.variants.mutants))
    scale = warping_of(data) if warp else unwarped_of(data)
    return data, scale, scale.apply(data.fitness)


def selection(rows: int, most: int, seed: int) -> Int[np.ndarray, "k"]:
    """At most so many of the rows, drawn with the seed, rising."""
    return np.sort(np.random.default_rng(seed).permutation(rows)[:most])


def fitted(given: Dataset, belief: Belief, selection_rows: int, warp: bool, seed: int) -> SiteGPPredictor:
    """The posterior of one dataset under a belief; raises FitError for fewer than three rows."""
    data, scale, targets = lesson(given, warp)
    unit = site_kernel.unit_of(data.variants)
    # in units of the fitness's own standard deviation, which is 0 where all rows are equal
    held = belief.turned((1 if data.higher_is_better else -1) * float(np.std(targets, ddof=1)))
    chosen = selection(len(data), selection_rows, seed)
    rows = mutations_of(data.variants.select(data.variants.mutants[row] for row in chosen), unit, belief.mixing)
    theta = maximise(site_covariance(rows), targets[chosen] - expected_of(rows, held), belief.prior)
    return _conditioned(data.variants, targets, theta, held, unit, scale)


def restored(state: State) -> SiteGPPredictor:
    """The predictor whose state this is."""
    arrays, facts = state.arrays, state.facts
    variants = Variants(facts["dataset"], facts["wild_type"], tuple(facts["mutants"]))
    scale = rewarped(facts["scaling"], arrays)
    belief = Belief(site_kernel.prior(), *(arrays[name] for name in ("slopes", "mixing", "residues")))
    return _conditioned(variants, arrays["targets"], arrays["theta"], belief, facts["unit"], scale)


def _conditioned(
    variants: Variants,
    targets: Float[np.ndarray, "n"],
    theta: Float[np.ndarray, "k"],
    belief: Belief,
    unit: float,
    scale: Warping,
) -> SiteGPPredictor:
    rows = mutations_of(variants, unit, belief.mixing)
    a = kernel(rows, rows, theta) + noise_of(theta) * np.eye(len(targets))
    solution = solved(a, targets - expected_of(rows, belief))
    return SiteGPPredictor(variants, targets, theta, belief, unit, scale, rows, solution)
