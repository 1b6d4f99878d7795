"""shared_prior_gp: the GP of `site_gp`, whose prior each protein learns from the proteins of other families.

What carries over from one protein to another is not a value of the fitness but how rough landscapes are and which
exchanges they suffer: the hyperparameters theta and the slopes w of the features of substitutions. Over families g
    theta_g ~ N(mu, diag(tau^2)),  w_g ~ N(m, C)
and (mu, tau), (m, C) are their posterior means given the other families, starting from the weak prior of `site_gp`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from jaxtyping import Float
from scipy.linalg import cho_factor, cho_solve

from multimep import site_kernel
from multimep.dataset import Dataset, Variants
from multimep.embedder import Embedder
from multimep.evidence import Prior, maximise
from multimep.families import families
from multimep.methods.method import FitError, State
from multimep.methods.scaling import FEWEST_ROWS
from multimep.methods.site_gp import Belief, SiteGPPredictor, fitted, lesson, restored, selection
from multimep.predictions import Predictions
from multimep.site_kernel import LINEAR, NAMES, mutations_of, site_covariance

WEAK_FAMILIES = 2.0
"""How many families the weak prior counts for, both in means and in spreads: one other family moves a median a third
of the way, twenty leave a tenth of it."""

SLOPES = 0.25
"""Prior variance of each slope of one protein, in variances of the fitness: they are of the size of a half, weakly."""

_LINEAR = NAMES.index("linear.variance")


@dataclass(frozen=True)
class Lesson:
    """What one dataset tells of all proteins.

    Attributes:
        theta: logarithms of its hyperparameters under the weak prior, in the order of site_kernel.NAMES.
        slopes: of the features of substitutions, in standard deviations of the fitness (higher is better).
    """

    theta: Float[np.ndarray, "k"]
    slopes: Float[np.ndarray, "6"]


@dataclass(frozen=True)
class SharedPriorGP:
    """Hyperparameters and mean slopes of the other protein families as prior of each protein; multitask.

    Attributes:
        identity: two proteins of more than this sequence identity, and those linked by a chain of such pairs, are one
            family and teach each other nothing, for their assays share more than a prior (the default, 0.3, is where
            alignments of unrelated proteins end).
        selection_rows: each dataset teaches the others, and chooses its own hyperparameters, by at most this many of
            its rows, drawn with the seed; all of them teach its final model.
        warp: learn on a scale halfway to normal scores, as `site_gp` does; False: on the fitness itself.
    """

    identity: float = 0.3
    selection_rows: int = 300
    warp: bool = True
    joint: ClassVar[bool] = True

    def __post_init__(self) -> None:
        """Refuse what is no identity, and a sample that could not even be scaled."""
        if not 0 <= self.identity <= 1:
            raise FitError(f"identity must be between 0 and 1, not {self.identity}")
        if self.selection_rows < FEWEST_ROWS:
            raise FitError(f"selection_rows must be at least {FEWEST_ROWS}, not {self.selection_rows}")

    def fit(self, train: Sequence[Dataset], embedder: Embedder, seed: int) -> "SharedPriorPredictor":
        """One model per dataset, each with the prior that the other families teach; raises FitError for no dataset."""
        del embedder
        data = _team(train)
        family = families([one.wild_type for one in data], self.identity)
        told = self.lessons(data, seed) if len(set(family)) > 1 else {}
        of = {one.name: number for one, number in zip(data, family, strict=True)}
        models = {
            one.name: fitted(one, belief_from(told, of, of[one.name]), self.selection_rows, self.warp, seed)
            for one in data
        }
        return SharedPriorPredictor(models)

    def lessons(self, data: Sequence[Dataset], seed: int) -> dict[str, Lesson]:
        """What each dataset tells; one whose rows are all equal tells nothing. Raises FitError for too few rows."""
        found = {one.name: lesson_of(one, self.selection_rows, self.warp, seed) for one in data}
        return {name: told for name, told in found.items() if told is not None}

    def restore(self, state: State, embedder: Embedder) -> "SharedPriorPredictor":
        """The predictor whose state this is."""
        del embedder
        return SharedPriorPredictor(
            {name: restored(_part(state, index)) for index, name in enumerate(state.facts["datasets"])}
        )


@dataclass(frozen=True)
class SharedPriorPredictor:
    """One posterior per dataset.

    Attributes:
        models: name of the dataset -> its posterior.
    """

    models: Mapping[str, SiteGPPredictor]

    def predict(self, variants: Variants) -> Predictions:
        """Posterior mean and standard deviations; raises FitError for a dataset that it was not taught."""
        if variants.dataset not in self.models:
            raise FitError(f"{variants.dataset} is none of the datasets of this model: {', '.join(self.models)}")
        return self.models[variants.dataset].predict(variants)

    def state(self) -> State:
        """The states of all models, arrays numbered by dataset."""
        states = [model.state() for model in self.models.values()]
        arrays = {f"{index}.{name}": array for index, one in enumerate(states) for name, array in one.arrays.items()}
        return State(arrays, {"datasets": list(self.models), "models": [dict(one.facts) for one in states]})


def _team(train: Sequence[Dataset]) -> list[Dataset]:
    # by name, so that the order in which they come changes no sum
    names = sorted(one.name for one in train)
    if not names:
        raise FitError("shared_prior_gp needs at least one dataset, 0 were given")
    if len(set(names)) < len(names):
        raise FitError(f"a dataset is given twice: {', '.join(names)}; give each once")
    return sorted(train, key=lambda one: one.name)


def _part(state: State, index: int) -> State:
    start = f"{index}."
    arrays = {name.removeprefix(start): array for name, array in state.arrays.items() if name.startswith(start)}
    return State(arrays, state.facts["models"][index])


def lesson_of(given: Dataset, selection_rows: int, warp: bool, seed: int) -> Lesson | None:
    """What one dataset tells of all proteins; None where its rows are all equal."""
    data, _, targets = lesson(given, warp)
    spread = float(np.std(targets, ddof=1))
    if spread == 0:
        return None
    chosen = selection(len(data), selection_rows, seed)
    variants = data.variants.select(data.variants.mutants[row] for row in chosen)
    rows = mutations_of(variants, site_kernel.unit_of(data.variants))
    covariance, y = site_covariance(rows), targets[chosen]
    theta = maximise(covariance, y, site_kernel.prior())
    without = theta.copy()
    without[_LINEAR] = -np.inf  # what slopes explain is theirs
    slopes = ridge_slopes(rows.incidence @ rows.features, y / spread, covariance(without)[0])
    return Lesson(theta, slopes if data.higher_is_better else -slopes)


def ridge_slopes(
    x: Float[np.ndarray, "n 6"], y: Float[np.ndarray, "n"], a: Float[np.ndarray, "n n"]
) -> Float[np.ndarray, "6"]:
    """Expected slopes w of y = X w + e, e ~ N(0, A), w ~ N(0, SLOPES I)."""
    # w = (X^T A^-1 X + I / SLOPES)^-1 X^T A^-1 y
    factor = cho_factor(a, lower=True)
    precision = x.T @ cho_solve(factor, x) + np.eye(x.shape[1]) / SLOPES
    return np.asarray(np.linalg.solve(precision, x.T @ cho_solve(factor, y)))


def belief_from(told: Mapping[str, Lesson], family: Mapping[str, int], own: int) -> Belief:
    """What the families other than `own` teach; the weak prior and no expectation where there are none.

    A family counts once, by the mean of its datasets' lessons, however many there are.
    """
    members: dict[int, list[Lesson]] = {}
    for name in sorted(told):
        if family[name] != own:
            members.setdefault(family[name], []).append(told[name])
    weak = site_kernel.prior()
    if not members:
        return Belief(weak, np.zeros(len(site_kernel.UNMIXED)))
    thetas = np.array([np.mean([one.theta for one in group], axis=0) for group in members.values()])
    slopes = np.array([np.mean([one.slopes for one in group], axis=0) for group in members.values()])
    medians, spreads = pooled(thetas, np.log(weak.medians), np.diag(weak.spreads**2))
    expected, covariance = pooled(slopes, np.zeros(slopes.shape[1]), LINEAR * site_kernel.UNMIXED)
    return _belief(medians, np.sqrt(np.diag(spreads)), expected, covariance)


def _belief(
    medians: Float[np.ndarray, "k"],
    spreads: Float[np.ndarray, "k"],
    expected: Float[np.ndarray, "6"],
    covariance: Float[np.ndarray, "6 6"],
) -> Belief:
    # s_l M = C with tr M = 6: what is left to learn of the slopes is their size, as unknown as it was
    variance = float(np.trace(covariance)) / len(covariance)
    medians, spreads = medians.copy(), spreads.copy()
    medians[_LINEAR], spreads[_LINEAR] = np.log(variance), site_kernel.SPREADS["variance"]
    return Belief(Prior(np.exp(medians), spreads), expected, covariance / variance)


def pooled(
    values: Float[np.ndarray, "g k"], centre: Float[np.ndarray, "k"], spread: Float[np.ndarray, "k k"]
) -> tuple[Float[np.ndarray, "k"], Float[np.ndarray, "k k"]]:
    """Mean and covariance over families, shrunk to a prior that counts for WEAK_FAMILIES of them.

    That of the normal-inverse-Wishart prior (Gelman et al., Bayesian Data Analysis, section 3.6), in closed form.
    """
    # m = (v c + sum_g x_g) / (v + G)
    families_, weak = len(values), WEAK_FAMILIES
    total = weak + families_
    mean = (weak * centre + values.sum(axis=0)) / total
    # C = (v S + sum_g (x_g - x)(x_g - x)^T + v G / (v + G) (x - c)(x - c)^T) / (v + G), x the mean of the x_g
    middle = values.mean(axis=0)
    around, away = values - middle, middle - centre
    scatter = around.T @ around + weak * families_ / total * np.outer(away, away)
    return mean, (weak * spread + scatter) / total
