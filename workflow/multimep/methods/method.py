"""The contract of every method: settings in, `fit` on datasets, a predictor that never sees a fitness."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float

from multimep.dataset import Dataset, Variants
from multimep.embedder import Embedder
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


Fit = Callable[[], Predictor]
"""The rest of a fit, to be done when its predictor is needed: predictors of all folds at once would fill the memory."""


def only(train: Sequence[Dataset]) -> Dataset:
    """The one dataset that a single-protein method was given."""
    if len(train) != 1:
        raise FitError(
            f"this method fits one dataset, {len(train)} were given: {', '.join(part.name for part in train)}"
        )
    return train[0]
