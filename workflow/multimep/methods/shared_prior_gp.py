"""shared_prior_gp: the GP of `site_gp`, whose prior each protein learns from the proteins of other families.

What carries over from one protein to another is not a value of the fitness but which exchanges proteins suffer, how
much proteins differ in that, and how rough landscapes are. Of each protein g of a family other than the target's
    the effect of each exchange of residues (`exchange_effects`), expected the same for all;
    its own slopes w_g of the features of substitutions, w_g ~ N(m, C): C is how far the target may be from the others;
    with `hyperparameters` those of the kernel too, theta_g ~ N(mu, diag(tau^2)).
(m, C) and (mu, tau) are posterior means given the other families, starting from the weak prior of `site_gp`.
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
from multimep.methods.exchange_effects import SLOPES, Exchanges, effects_from, exchanges_of, mean_of
from multimep.methods.method import FitError, Joint, Recall, State, Sums
from multimep.methods.scaling import FEWEST_ROWS
from multimep.methods.site_gp import Belief, SiteGPPredictor, fitted, lesson, restored, selection
from multimep.predictions import Predictions
from multimep.site_kernel import LINEAR, NAMES, mutations_of, site_covariance

WEAK_FAMILIES = 2.0
"""How many families the weak prior counts for, both in means and in spreads: one other family moves a median a third
of the way, twenty leave a tenth of it."""

_LINEAR = NAMES.index("linear.variance")


@dataclass(frozen=True)
class Lesson:
    """What one dataset tells of all proteins.

    Attributes:
        theta: logarithms of its hyperparameters under the weak prior, in the order of site_kernel.NAMES.
        slopes: of the features of substitutions, in standard deviations of the fitness (higher is better).
        exchanges: what its rows say of the effects that all proteins share.
    """

    theta: Float[np.ndarray, "k"]
    slopes: Float[np.ndarray, "6"]
    exchanges: Exchanges


@dataclass(frozen=True)
class SharedPriorGP:
    """What exchanges of residues do in the other protein families as prior of each protein; multitask.

    Attributes:
        identity: two proteins of more than this sequence identity, and those linked by a chain of such pairs, are one
            family and teach each other nothing, for their assays share more than a prior (the default, 0.3, is where
            alignments of unrelated proteins end).
        selection_rows: each dataset teaches the others, and chooses its own hyperparameters, by at most this many of
            its rows, drawn with the seed; all of them teach its final model.
        warp: learn on a scale halfway to normal scores, as `site_gp` does; False: on the fitness itself.
        hyperparameters: True: learn those of the kernel from the others too; False (the default): the weak prior of
            `site_gp`, for at a dozen rows theirs made intervals too narrow (coverage .91) and ranks no better.
    """

    identity: float = 0.3
    selection_rows: int = 300
    warp: bool = True
    hyperparameters: bool = False
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
            one.name: fitted(one, self.belief(told, of, of[one.name]), self.selection_rows, self.warp, seed)
            for one in data
        }
        return SharedPriorPredictor(models)

    def belief(self, told: Mapping[str, Lesson], family: Mapping[str, int], own: int) -> Belief:
        """What the lessons of the families other than `own` say of a protein of that family."""
        return belief_from(told, family, own, self.hyperparameters)

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
        return self._model(variants).predict(variants)

    def joint(self, variants: Variants) -> Joint:
        """Joint posterior on the scale of the dataset's targets; raises FitError as `predict`."""
        return self._model(variants).joint(variants)

    def sums(self, variants: Variants) -> Sums | None:
        """The posterior mean on the scale of the dataset's targets; raises FitError as `predict`."""
        return self._model(variants).sums(variants)

    def recall(self, variants: Variants) -> Recall:
        """What each training row of the dataset adds; raises FitError as `predict`."""
        return self._model(variants).recall(variants)

    def _model(self, variants: Variants) -> SiteGPPredictor:
        if variants.dataset not in self.models:
            raise FitError(f"{variants.dataset} is none of the datasets of this model: {', '.join(self.models)}")
        return self.models[variants.dataset]

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
    a, sign = covariance(without)[0], 1 if data.higher_is_better else -1
    slopes = ridge_slopes(rows.incidence @ rows.features, sign * y / spread, a)
    return Lesson(theta, slopes, exchanges_of(rows, sign * y / spread, a))


def ridge_slopes(
    x: Float[np.ndarray, "n 6"], y: Float[np.ndarray, "n"], a: Float[np.ndarray, "n n"]
) -> Float[np.ndarray, "6"]:
    """Expected slopes w of y = X w + e, e ~ N(0, A), w ~ N(0, SLOPES I)."""
    # w = (X^T A^-1 X + I / SLOPES)^-1 X^T A^-1 y
    factor = cho_factor(a, lower=True)
    precision = x.T @ cho_solve(factor, x) + np.eye(x.shape[1]) / SLOPES
    return np.asarray(np.linalg.solve(precision, x.T @ cho_solve(factor, y)))


def belief_from(told: Mapping[str, Lesson], family: Mapping[str, int], own: int, hyperparameters: bool) -> Belief:
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
    effects = effects_from([mean_of([one.exchanges for one in group]) for group in members.values()])
    slopes = np.array([np.mean([one.slopes for one in group], axis=0) for group in members.values()])
    _, covariance = pooled(slopes, np.zeros(slopes.shape[1]), LINEAR * site_kernel.UNMIXED)
    # s_l M = C with tr M = 6: what is left to learn of the slopes is their size, as unknown as it was
    variance = float(np.trace(covariance)) / len(covariance)
    prior = _with_linear(_pooled_prior(list(members.values()), weak) if hyperparameters else weak, variance)
    return Belief(prior, effects.slopes, covariance / variance, effects.residues)


def _pooled_prior(groups: Sequence[Sequence[Lesson]], weak: Prior) -> Prior:
    thetas = np.array([np.mean([one.theta for one in group], axis=0) for group in groups])
    medians, spreads = pooled(thetas, np.log(weak.medians), np.diag(weak.spreads**2))
    return Prior(np.exp(medians), np.sqrt(np.diag(spreads)))


def _with_linear(prior: Prior, variance: float) -> Prior:
    medians, spreads = prior.medians.copy(), prior.spreads.copy()
    medians[_LINEAR], spreads[_LINEAR] = variance, site_kernel.SPREADS["variance"]
    return Prior(medians, spreads)


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
