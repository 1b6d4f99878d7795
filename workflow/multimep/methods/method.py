"""The contract of every method: settings in, `fit` on datasets, a predictor that never sees a fitness."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, runtime_checkable

import numpy as np

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
