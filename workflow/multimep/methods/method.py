"""The contract of every method: settings in, `fit` on datasets, a predictor that never sees a fitness."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float

from multimep.dataset import Dataset, Variants
from multimep.embedder import Embedder
from multimep.landscape import Landscape
from multimep.predictions import Predictions


class FitError(ValueError):
    """Training data that a method cannot learn from (too few rows, no variation); the message says what it needs."""


@dataclass(frozen=True)
class State:
    """All that a predictor has learnt, ready for a file: named arrays and plain JSON values.

    Attributes:
        arrays: name -> array.
        facts: name -> JSON value (numbers, strings, lists, dicts).
    """

    arrays: Mapping[str, np.ndarray]
    facts: Mapping[str, Any]


@dataclass(frozen=True)
class Joint:
    """A joint normal posterior of a latent value of each variant that rises with its fitness: ranks are the same.

    Attributes:
        mean: on the scale on which the method learns, shape (n,).
        covariance: positive semi-definite but for rounding, shape (n, n).
    """

    mean: Float[np.ndarray, "n"]
    covariance: Float[np.ndarray, "n n"]


@runtime_checkable
class Predictor(Protocol):
    """A fitted method."""

    def predict(self, variants: Variants) -> Predictions:
        """Mean and standard deviations for the variants, in their order; never sees a fitness."""
        ...

    def state(self) -> State:
        """What `Method.restore` needs to build this predictor again in another process."""
        ...


@runtime_checkable
class JointPredictor(Predictor, Protocol):
    """A fitted method that also knows how errors of variants go together: what Thompson sampling draws from."""

    def joint(self, variants: Variants) -> Joint:
        """The joint posterior of variants that fit into memory together, in their order."""
        ...


@dataclass(frozen=True)
class Sums:
    """Values of variants that are that of the wild type plus one number for each mutation, whatever else is mutated.

    Attributes:
        values: shape (n,).
        scale: `fitness`: the predicted means; `latent`: what a curve that rises turns into them.
    """

    values: Float[np.ndarray, "n"]
    scale: Literal["fitness", "latent"]


@runtime_checkable
class SummingPredictor(Predictor, Protocol):
    """A fitted method in which mutations add up."""

    def sums(self, variants: Variants) -> Sums | None:
        """The sums of the variants, in their order; None where the method's settings make them none."""
        ...


@dataclass(frozen=True)
class Recall:
    """The latent means of p variants as sums over the n training rows: m(x) + sum_i k(x, x_i) w_i.

    Attributes:
        taught: mutants of the training rows, in the order of the arrays; none where an older file does not name them.
        expected: m of each variant before any row, shape (p,).
        cross: k(x, x_i), shape (p, n).
        variance: latent, after all rows, shape (p,).
        factor: lower Cholesky factor of A = K + noise over the training rows, shape (n, n).
        weights: w = A^-1 (y - m), shape (n,).
        fitness: predicted mean in the source's unit from latent mean and variance, element by element.
    """

    taught: tuple[str, ...]
    expected: Float[np.ndarray, "p"]
    cross: Float[np.ndarray, "p n"]
    variance: Float[np.ndarray, "p"]
    factor: Float[np.ndarray, "n n"]
    weights: Float[np.ndarray, "n"]
    fitness: Callable[[Float[np.ndarray, "m"], Float[np.ndarray, "m"]], Float[np.ndarray, "m"]]


@runtime_checkable
class RecallingPredictor(Predictor, Protocol):
    """A fitted Gaussian process that still has its training rows."""

    def recall(self, variants: Variants) -> Recall:
        """What each training row adds to the variants, which fit into memory together."""
        ...


@dataclass(frozen=True)
class Reading:
    """How a predicted mean follows from the last states of a language model.

    Attributes:
        language_model: the `LanguageModel` (not typed so, for this room does not import torch).
        pooled: whether the mean of the states over the residues is read, or all of them in one row.
        value: features -> predicted mean in the source's unit, shape (b,), and its gradient, shape (b, d); float64.
        unit: standard deviation of the training fitness.
    """

    language_model: Any
    pooled: bool
    value: Callable[[Float[np.ndarray, "b d"]], tuple[Float[np.ndarray, "b"], Float[np.ndarray, "b d"]]]
    unit: float


@runtime_checkable
class ReadingPredictor(Predictor, Protocol):
    """A fitted method that reads a language model's last states, with a gradient."""

    def reading(self, dataset: str) -> Reading | None:
        """How it reads variants of this dataset; None where its settings make it read no language model."""
        ...


@runtime_checkable
class Method(Protocol):
    """A frozen dataclass whose fields are its settings in config.yaml."""

    joint: ClassVar[bool]
    """False: fits exactly one dataset. True: fits all datasets that it is given at once."""

    def fit(self, train: Sequence[Dataset], embedder: Embedder, seed: int) -> Predictor:
        """Learn from the training rows; raises FitError where it cannot."""
        ...

    def restore(self, state: State, embedder: Embedder) -> Predictor:
        """The predictor whose `state` this is."""
        ...


@runtime_checkable
class Batched(Protocol):
    """A method of one protein that fits several training sets sooner together than one after the other."""

    def fit_each(self, trains: Sequence[Dataset], embedder: Embedder, seed: int) -> Sequence["Fit"]:
        """For each, in order, what gives the predictor of `fit([train])` when called; raises FitError as `fit`."""
        ...


@runtime_checkable
class Charted(Protocol):
    """A method that can show how it chose two of its hyperparameters."""

    def landscape(self, predictor: Any, seed: int) -> Landscape:
        """The score by which it chose, over a grid around the choice of a predictor that it fitted with this seed."""
        ...


Fit = Callable[[], Predictor]
"""The rest of a fit, to be done when its predictor is needed: predictors of all folds at once would fill the memory."""


def only(train: Sequence[Dataset]) -> Dataset:
    """The one dataset that a single-protein method was given."""
    if len(train) != 1:
        raise FitError(
            f"this method fits one dataset, {len(train)} were given: {', '.join(part.name for part in train)}"
        )
    return train[0]
