"""stack: several methods of one protein, averaged with weights that their errors inside the training rows choose."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Float
from scipy.optimize import nnls

from multimep import nesting
from multimep.dataset import Dataset, Variants
from multimep.embedder import Embedder
from multimep.methods.method import FitError, Predictor, State, only
from multimep.methods.nested import fit_with, inner_folds, joined, methods_inside, out_of_fold, part
from multimep.methods.recalibrated import scale_of
from multimep.methods.scaling import scaling_of
from multimep.predictions import Predictions

DOUBT = 0.5
"""Prior standard deviation of a weight around equal ones: at a few dozen rows errors differ by chance, and an average
of all is hard to beat; at a few hundred the rows decide."""
_FACTS = "/stack"  # no label has a slash


@dataclass(frozen=True)
class Stack:
    """The weighted mean of the methods in `of`, weights not below 0 with sum 1 (Wolpert 1992; Breiman 1996).

    Every training row is predicted by fits on the other inner folds; weights are those of least squared error of the
    weighted mean, drawn to equal ones by DOUBT. Then each method is fitted on all training rows. The standard deviation
    is that of the mixture - their own and how far they disagree - times one number from the inner errors. The inner
    folds are random: where the rows asked are farther from the training rows than these from one another, the weights
    are those of another task.

    Attributes:
        of: the methods, label -> settings (the default: `one_hot_ridge`, `site_gp`).
        folds: inner ones; five leave four fifths of the rows to the inner fits. More cost more and come closer to it.
    """

    of: Mapping[str, Mapping[str, Any] | None] = field(default_factory=lambda: {"one_hot_ridge": None, "site_gp": None})
    folds: int = nesting.FOLDS
    joint: ClassVar[bool] = False

    def __post_init__(self) -> None:
        """Refuse what is no method of one protein, and folds of which none could teach."""
        methods_inside(self.of)
        if self.folds < 2:
            raise FitError(f"folds must be at least 2, not {self.folds}")

    def fit(self, train: Sequence[Dataset], embedder: Embedder, seed: int) -> "StackPredictor":
        """Weights and scale from inner folds, then every method on all rows."""
        data = only(train)
        fits = {label: fit_with(method, embedder, seed) for label, method in methods_inside(self.of).items()}
        folds, equal = inner_folds(data.variants.mutants, self.folds, seed), np.full(len(fits), 1 / len(fits))
        inner = [out_of_fold(fit, data, folds) for fit in fits.values()] if folds else []
        weights = weights_of(inner, data) if inner else equal
        scale = _scale(mixture(inner, weights), data) if inner else 1.0
        return StackPredictor({label: fit(data) for label, fit in fits.items()}, tuple(map(float, weights)), scale)

    def restore(self, state: State, embedder: Embedder) -> "StackPredictor":
        """The predictor whose state this is, with those of the methods inside."""
        own = state.facts[_FACTS]
        bases = methods_inside(self.of)
        inside = {label: bases[label].restore(part(state, label), embedder) for label in own["weights"]}
        return StackPredictor(inside, tuple(own["weights"].values()), own["scale"])


@dataclass(frozen=True)
class StackPredictor:
    """A weighted mean of predictors.

    Attributes:
        inside: label -> predictor, fitted on all training rows.
        weights: of each, in that order, with sum 1.
        scale: of the mixture's standard deviations.
    """

    inside: Mapping[str, Predictor]
    weights: tuple[float, ...]
    scale: float

    def predict(self, variants: Variants) -> Predictions:
        """Mean and standard deviations of the mixture, the latter times the scale."""
        found = mixture([one.predict(variants) for one in self.inside.values()], np.array(self.weights))
        return Predictions(found.mutants, found.mean, self.scale * found.std, self.scale * found.noisy_std)

    def state(self) -> State:
        """Weights by label, scale, and the states of all methods inside."""
        inner = joined({label: one.state() for label, one in self.inside.items()})
        own = {"weights": dict(zip(self.inside, self.weights, strict=True)), "scale": self.scale}
        return State(inner.arrays, {**inner.facts, _FACTS: own})


def weights_of(inner: Sequence[Predictions], data: Dataset) -> Float[np.ndarray, "k"]:
    """Weights of least squared error over rows that did not teach, not below 0, with sum 1."""
    scaling, equal = scaling_of(data), 1 / len(inner)
    z = scaling.apply(data.select(inner[0].mutants).fitness)
    f = np.column_stack([scaling.apply(one.select(inner[0].mutants).mean) for one in inner])
    # min_w |z - F w|^2 + s^2 |w - 1/k|^2 / DOUBT^2 with s^2 the mean squared error of equal weights
    pull = np.sqrt(np.mean((z - f.mean(axis=1)) ** 2)) / DOUBT + 1e-6
    # sum_k w_k = 1 as a row that outweighs all others
    heavy = 1e4 * np.sqrt(len(z))
    left = np.vstack([f, pull * np.eye(len(inner)), np.full(len(inner), heavy)])
    w, _ = nnls(left, np.concatenate([z, np.full(len(inner), pull * equal), [heavy]]))
    return np.asarray(w / w.sum())


def mixture(parts: Sequence[Predictions], weights: Float[np.ndarray, "k"]) -> Predictions:
    """Mean and variances of the mixture of normal distributions; NaN where no part has a standard deviation."""
    mutants = parts[0].mutants
    rows = [one.select(mutants) for one in parts]
    # mean = sum_k w_k m_k,  variance = sum_k w_k (m_k - mean)^2 + mean of v_k over the parts that have one
    means = np.stack([one.mean for one in rows])
    mean = weights @ means
    apart = weights @ (means - mean) ** 2
    std, noisy = (np.sqrt(apart + _mean_variance(rows, name, weights)) for name in ("std", "noisy_std"))
    return Predictions(mutants, mean, std, noisy)


def _mean_variance(rows: Sequence[Predictions], name: str, weights: Float[np.ndarray, "k"]) -> Float[np.ndarray, "n"]:
    # over the parts that have one; a part of weight 0 counts where there is no other
    known = [index for index, one in enumerate(rows) if not np.isnan(getattr(one, name)).any()]
    own = weights[known] + 1e-12
    squares = [weight * getattr(rows[index], name) ** 2 for index, weight in zip(known, own, strict=True)]
    return np.asarray(np.sum(squares, axis=0) / own.sum()) if known else np.full(len(rows[0]), np.nan)


def _scale(found: Predictions, data: Dataset) -> float:
    # u = (y - m) / s
    if np.isnan(found.noisy_std).any():
        return 1.0
    return scale_of((data.select(found.mutants).fitness - found.mean) / found.noisy_std)
