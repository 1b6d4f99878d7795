"""Methods inside a method: which they are, what they say of rows that did not teach them, their states in one.

A method that nests others has the setting `of`, with the words of a study's `methods`: label -> settings, where
`method` names the entry of METHODS if the label is another word.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from multimep import interruption, nesting
from multimep.dataset import Dataset
from multimep.embedder import Embedder
from multimep.methods import METHODS
from multimep.methods.method import Method, Predictor, State
from multimep.methods.scaling import FEWEST_ROWS
from multimep.predictions import Predictions
from multimep.typed_values import SettingsError, build

Of = Mapping[str, Mapping[str, Any] | None]
"""Label -> settings of a method inside another, None for the defaults."""

SEPARATOR = "/"


def named(name: str, values: Mapping[str, Any], where: str) -> Method:
    """The method of that name with these settings; raises SettingsError."""
    if name not in METHODS:
        raise SettingsError(f"{where}: no method {name!r}; choose from {', '.join(METHODS)}")
    return build(METHODS[name], values, where)


def methods_inside(of: Of) -> dict[str, Method]:
    """The methods that `of` names, by label; raises SettingsError for none, unknown ones and those that are joint."""
    if not of:
        raise SettingsError(f"{nesting.KEY}: names no method; say which, as in '{{{nesting.KEY}: {{site_gp: {{}}}}}}'")
    found = {}
    for label, name, values in nesting.inside({nesting.KEY: of}):
        where = f"{nesting.KEY}.{label}"
        if not label or SEPARATOR in label:
            raise SettingsError(f"{where}: a label must have at least one character and no {SEPARATOR!r}")
        found[label] = named(name, values, where)
        if found[label].joint:
            raise SettingsError(f"{where}: {name} fits several datasets at once; choose a method of one protein")
    return found


@dataclass(frozen=True)
class InnerFold:
    """A part of the training rows that is asked, and the rest of them, which teaches: mutants of one dataset."""

    train: tuple[str, ...]
    test: tuple[str, ...]


def inner_folds(mutants: Sequence[str], folds: int, seed: int) -> list[InnerFold]:
    """The mutants in balanced parts drawn with the seed, whatever their order; one each where there are few.

    None at all where less than three would teach, for no supervised method learns from fewer.
    """
    ordered = sorted(mutants)
    count = min(folds, len(ordered))
    if count < 2 or len(ordered) - -(-len(ordered) // count) < FEWEST_ROWS:
        return []
    shuffled = [ordered[row] for row in np.random.default_rng(seed).permutation(len(ordered))]
    parts = [set(shuffled[start::count]) for start in range(count)]
    return [
        InnerFold(tuple(one for one in ordered if one not in part), tuple(one for one in ordered if one in part))
        for part in parts
    ]


Fit = Callable[[Dataset], Predictor]


def fit_with(method: Method, embedder: Embedder, seed: int) -> Fit:
    """What fits a method of one protein to a dataset."""
    return lambda data: method.fit([data], embedder, seed)


def out_of_fold(fit: Fit, data: Dataset, folds: Sequence[InnerFold]) -> Predictions:
    """What fits on the other inner folds say of each row: mutants in the order of the folds, each once.

    A signal stops this between two fits (interruption.Interrupted).
    """
    parts = list(_answers(fit, data, folds))
    columns = [np.concatenate([getattr(part, name) for part in parts]) for name in ("mean", "std", "noisy_std")]
    return Predictions(tuple(mutant for part in parts for mutant in part.mutants), *columns)


def _answers(fit: Fit, data: Dataset, folds: Sequence[InnerFold]) -> Iterator[Predictions]:
    for fold in folds:
        interruption.stop_if_requested()
        yield fit(data.select(fold.train)).predict(data.variants.select(fold.test))


def joined(states: Mapping[str, State]) -> State:
    """The states of several predictors as one: LABEL/NAME for each array, LABEL for the facts of each."""
    arrays = {
        f"{label}{SEPARATOR}{name}": array for label, state in states.items() for name, array in state.arrays.items()
    }
    return State(arrays, {label: dict(state.facts) for label, state in states.items()})


def part(state: State, label: str) -> State:
    """The state of one predictor among those that `joined` put together."""
    start = f"{label}{SEPARATOR}"
    arrays = {name.removeprefix(start): array for name, array in state.arrays.items() if name.startswith(start)}
    return State(arrays, state.facts[label])
