"""epistasis_gp: effects that add up on a hidden scale, and a sigmoid between that scale and the fitness.

    z = g(h(x)) + e,  h ~ GP(m, k) of `site_gp`,  e ~ N(0, noise)
with z the standardised fitness and g the sigmoid of `saturation`. A fitness that cannot rise above a working protein's
nor fall below a dead one's makes mutations look as if they interacted (global epistasis: Otwinowski, McCandlish &
Plotkin 2018, doi:10.1073/pnas.1804015115); far from both bounds g is a line, and this is `site_gp`.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import ClassVar

import numpy as np
from jaxtyping import Float
from scipy.linalg import cholesky, solve_triangular

from multimep import site_kernel
from multimep.dataset import Dataset, Variants
from multimep.embedder import Embedder
from multimep.evidence import maximise
from multimep.gaussian_process import SMALLEST_VARIANCE, Solution, solved
from multimep.methods.blocks import MeanAndVariance, in_blocks
from multimep.methods.method import FitError, Joint, Recall, State, Sums, only
from multimep.methods.saturation import (
    Link,
    TangentCovariance,
    Tangents,
    bounds,
    first_link,
    mode,
    tangents_at,
    through,
)
from multimep.methods.scaling import FEWEST_ROWS, Scaling, scaling_of
from multimep.methods.site_gp import EXPECTED, Belief, expected_of, selection
from multimep.predictions import Predictions
from multimep.site_kernel import Mutations, kernel, mutations_of, noise_of, site_covariance, variances


@dataclass(frozen=True)
class EpistasisGP:
    """`site_gp` seen through a sigmoid whose bounds it learns; for multi-mutants of a fitness that saturates.

    Attributes:
        expectation: start from the slopes that substitutions have in most proteins, as in `site_gp`.
        selection_rows: hyperparameters and bounds are chosen on at most this many rows, drawn with the seed; all rows
            teach the final model.
        rounds: how often the sigmoid is replaced by its tangents at the posterior and hyperparameters are chosen
            anew (8: on A75, B75, C75 and E75 of the lineage study 16 change predictions by .001, .006, .004 and .014
            of their spread).
    """

    expectation: bool = True
    selection_rows: int = 500
    rounds: int = 8
    joint: ClassVar[bool] = False

    def __post_init__(self) -> None:
        """Refuse a sample that could not even be scaled, and no round at all."""
        if self.selection_rows < FEWEST_ROWS:
            raise FitError(f"selection_rows must be at least {FEWEST_ROWS}, not {self.selection_rows}")
        if self.rounds < 1:
            raise FitError(f"rounds must be at least 1, not {self.rounds}")

    def fit(self, train: Sequence[Dataset], embedder: Embedder, seed: int) -> "EpistasisPredictor":
        """Choose hyperparameters and bounds, then find the posterior of every row."""
        del embedder
        given = only(train)
        data = given.select(sorted(given.variants.mutants))
        scaling, unit = scaling_of(data), site_kernel.unit_of(data.variants)
        z = scaling.apply(data.fitness)
        size = (1 if data.higher_is_better else -1) * float(np.std(z, ddof=1))
        belief = Belief(site_kernel.prior(), EXPECTED * self.expectation).turned(size)
        chosen = selection(len(data), self.selection_rows, seed)
        some = mutations_of(data.variants.select(data.variants.mutants[row] for row in chosen), unit)
        theta, link = learned(some, z[chosen], belief, self.rounds)
        targets, doubts = tangents(mutations_of(data.variants, unit), z, belief, theta, link)
        return _conditioned(data.variants, targets, doubts, theta, belief, unit, link, scaling)

    def restore(self, state: State, embedder: Embedder) -> "EpistasisPredictor":
        """The predictor whose state this is."""
        del embedder
        arrays, facts = state.arrays, state.facts
        variants = Variants(facts["dataset"], facts["wild_type"], tuple(facts["mutants"]))
        belief, link = Belief(site_kernel.prior(), arrays["slopes"]), Link(**facts["link"])
        targets, doubts, theta = (arrays[name] for name in ("targets", "doubts", "theta"))
        scaling = Scaling(**facts["scaling"])
        return _conditioned(variants, targets, doubts, theta, belief, facts["unit"], link, scaling)


@dataclass(frozen=True)
class EpistasisPredictor:
    """A posterior of the hidden scale, and the link.

    Attributes:
        variants: of the training rows.
        targets: where the tangents of g put them on the hidden scale, shape (n,).
        doubts: variance of each of these, shape (n,).
        theta: logarithms of the hyperparameters, in the order of site_kernel.NAMES.
        belief: before the rows.
        unit: weight of one mutation.
        link: from the hidden scale to standardised fitness.
        scaling: of the fitness.
        mutations: of the training variants.
        solution: of the training rows, A = K + diag(doubts).
    """

    variants: Variants
    targets: Float[np.ndarray, "n"]
    doubts: Float[np.ndarray, "n"]
    theta: Float[np.ndarray, "k"]
    belief: Belief
    unit: float
    link: Link
    scaling: Scaling
    mutations: Mutations
    solution: Solution

    def predict(self, variants: Variants) -> Predictions:
        """Mean and standard deviation of g(h), h normal."""
        mean, variance = through(self.link, *in_blocks(variants, self._hidden))
        return self.scaling.undo(variants.mutants, mean, variance, noise_of(self.theta))

    def joint(self, variants: Variants) -> Joint:
        """Joint posterior of the hidden scale, which rises with the fitness."""
        asked = mutations_of(variants, self.unit)
        cross, own = kernel(asked, self.mutations, self.theta), kernel(asked, asked, self.theta)
        beyond, covariance = self.solution.joint(cross, own)
        return Joint(expected_of(asked, self.belief) + beyond, covariance)

    def sums(self, variants: Variants) -> Sums | None:
        """The posterior mean of the hidden scale, on which effects add up."""
        return Sums(in_blocks(variants, self._hidden)[0], "latent")

    def recall(self, variants: Variants) -> Recall:
        """What each training row, as the tangent of g puts it there, adds on the hidden scale."""
        asked = mutations_of(variants, self.unit)
        cross = kernel(asked, self.mutations, self.theta)
        _, variance = self.solution.predict(cross, variances(asked, self.theta))
        expected = expected_of(asked, self.belief)
        return Recall(self.variants.mutants, expected, cross, variance, *self.solution.parts, self._fitness)

    def _fitness(self, mean: Float[np.ndarray, "m"], variance: Float[np.ndarray, "m"]) -> Float[np.ndarray, "m"]:
        return through(self.link, mean, variance)[0] * self.scaling.scale + self.scaling.mean

    def _hidden(self, variants: Variants) -> MeanAndVariance:
        asked = mutations_of(variants, self.unit)
        cross = kernel(asked, self.mutations, self.theta)
        beyond, variance = self.solution.predict(cross, variances(asked, self.theta))
        return expected_of(asked, self.belief) + beyond, variance

    def state(self) -> State:
        """Training rows on the hidden scale, hyperparameters and link."""
        facts = {
            "dataset": self.variants.dataset,
            "wild_type": self.variants.wild_type,
            "mutants": list(self.variants.mutants),
            "unit": self.unit,
            "link": asdict(self.link),
            "scaling": asdict(self.scaling),
        }
        arrays = {name: getattr(self, name) for name in ("targets", "doubts", "theta")}
        return State(arrays | {"slopes": self.belief.slopes}, facts)


def learned(
    rows: Mutations, z: Float[np.ndarray, "n"], belief: Belief, rounds: int
) -> tuple[Float[np.ndarray, "k"], Link]:
    """Hyperparameters and link: evidence of the linearised rows and least squares for the bounds, in turn."""
    link = first = first_link(z)
    covariance, prior = site_covariance(rows), site_kernel.prior()
    theta = np.log(prior.medians)
    for _ in range(rounds if np.ptp(z) > 0 else 0):  # rows that are all equal say nothing of it
        targets, doubts = tangents(rows, z, belief, theta, link)
        steep = np.sqrt(noise_of(theta) / doubts)
        theta = maximise(TangentCovariance(covariance, steep), targets - expected_of(rows, belief), prior)
        link = bounds(z, *_posterior(rows, *tangents(rows, z, belief, theta, link), theta, belief), first)
    return theta, link


def tangents(
    rows: Mutations, z: Float[np.ndarray, "n"], belief: Belief, theta: Float[np.ndarray, "k"], link: Link
) -> Tangents:
    """Targets and variances on the hidden scale that the tangents of g give the rows at the posterior's mode."""
    k, m = kernel(rows, rows, theta), expected_of(rows, belief)
    h = mode(k, m, z, link, noise_of(theta))
    return tangents_at(h, z, link, noise_of(theta))


def _posterior(
    rows: Mutations,
    targets: Float[np.ndarray, "n"],
    doubts: Float[np.ndarray, "n"],
    theta: Float[np.ndarray, "k"],
    belief: Belief,
) -> MeanAndVariance:
    # mean = m + K A^-1 (t - m),  variance = diag(K - K A^-1 K),  A = K + diag(doubts)
    k, m = kernel(rows, rows, theta), expected_of(rows, belief)
    half = solve_triangular(cholesky(k + np.diag(doubts), lower=True), np.column_stack([targets - m, k]), lower=True)
    variance = np.diag(k) - np.sum(half[:, 1:] ** 2, axis=0)
    return m + half[:, 1:].T @ half[:, 0], np.maximum(variance, SMALLEST_VARIANCE)


def _conditioned(
    variants: Variants,
    targets: Float[np.ndarray, "n"],
    doubts: Float[np.ndarray, "n"],
    theta: Float[np.ndarray, "k"],
    belief: Belief,
    unit: float,
    link: Link,
    scaling: Scaling,
) -> EpistasisPredictor:
    rows = mutations_of(variants, unit)
    solution = solved(kernel(rows, rows, theta) + np.diag(doubts), targets - expected_of(rows, belief))
    return EpistasisPredictor(variants, targets, doubts, theta, belief, unit, link, scaling, rows, solution)
