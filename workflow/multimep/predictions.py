"""Predictions: mean and standard deviation per variant; their file."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float

from multimep import text_table
from multimep.dataset import Variants

COLUMNS = ("fold", "mutant", "mean", "std", "noisy_std")
ROUNDING = 1e-14
"""A spread of means below this, in units of the largest, is rounding: in the file they are equal."""


class PredictionsError(ValueError):
    """Predictions that do not fit together; the message names both sides."""


@dataclass(frozen=True)
class Predictions:
    """What a predictor says of variants, joined to anything else by the mutant text alone.

    Attributes:
        mutants: canonical genotype texts, each once.
        mean: predicted fitness in the unit of the training data, shape (n,), finite.
        std: standard deviation of the latent fitness (how unsure of the true value), shape (n,), positive or all NaN.
        noisy_std: standard deviation of a new measurement (latent and noise), shape (n,), positive or all NaN.
    """

    mutants: tuple[str, ...]
    mean: Float[np.ndarray, "n"]
    std: Float[np.ndarray, "n"]
    noisy_std: Float[np.ndarray, "n"]

    def __post_init__(self) -> None:
        """Refuse unequal lengths, repeated mutants, means that are not finite and standard deviations <= 0."""
        lengths = {len(self.mutants), len(self.mean), len(self.std), len(self.noisy_std)}
        if len(lengths) != 1 or len(set(self.mutants)) != len(self.mutants):
            raise PredictionsError(
                f"{len(self.mutants)} mutants (distinct: {len(set(self.mutants))}), columns of length {sorted(lengths)}"
            )
        if not np.isfinite(self.mean).all():
            raise PredictionsError(f"the mean of {self.mutants[int(np.argmin(np.isfinite(self.mean)))]} is not finite")
        for name, column in (("std", self.std), ("noisy_std", self.noisy_std)):
            if not (np.isnan(column).all() or (np.isfinite(column) & (column > 0)).all()):
                raise PredictionsError(f"{name} must be positive and finite for every variant or NaN for all")

    def __len__(self) -> int:
        return len(self.mutants)

    def select(self, mutants: Iterable[str]) -> "Predictions":
        """The rows of the named mutants, in the given order."""
        row_of = {mutant: row for row, mutant in enumerate(self.mutants)}
        wanted = tuple(mutants)
        missing = [mutant for mutant in wanted if mutant not in row_of]
        if missing:
            raise PredictionsError(f"no prediction for {', '.join(missing[:5])}")
        rows = np.array([row_of[mutant] for mutant in wanted], dtype=np.int64)
        return Predictions(wanted, self.mean[rows], self.std[rows], self.noisy_std[rows])


def without_std(mutants: Sequence[str], mean: Float[np.ndarray, "n"]) -> Predictions:
    """Predictions of a method that gives no uncertainty."""
    unknown = np.full(len(mutants), np.nan)
    return Predictions(tuple(mutants), np.asarray(mean, dtype=np.float64), unknown, unknown)


def write(folds: Sequence[tuple[str, Predictions]], path: Path) -> None:
    """Write one CSV (fold, mutant, mean, std, noisy_std) for the named folds, whole or not at all."""
    columns: text_table.Columns = {
        "fold": [fold for fold, part in folds for _ in part.mutants],
        "mutant": [mutant for _, part in folds for mutant in part.mutants],
        **{name: np.concatenate([getattr(part, name) for _, part in folds] or [np.zeros(0)]) for name in COLUMNS[2:]},
    }
    text_table.write(columns, path, _digits([part.mean for _, part in folds]))


def _digits(means: Sequence[Float[np.ndarray, "_"]]) -> int:
    """Significant digits of a file: 9, and more where means stand so far from 0 that fewer than 7 tell them apart."""
    both = np.concatenate([*means, np.zeros(1)])[:-1]
    largest = float(np.abs(both).max(initial=0.0))
    spread = float(np.std(both / largest)) if largest > 0 else 0.0
    # d = 7 - log10(spread / max |mean|); of 17 digits, all that float64 has, the last are rounding
    return min(17, max(9, math.ceil(7 - math.log10(spread)))) if spread > ROUNDING else 9


def read(path: Path) -> dict[str, Predictions]:
    """The predictions of every fold of a file written by `write`, in its order; raises PredictionsError."""
    table = text_table.read(path, COLUMNS, PredictionsError)
    columns = [text_table.numbers(table, name, path, PredictionsError) for name in COLUMNS[2:]]
    rows: dict[str, list[int]] = {}
    for row, fold in enumerate(table["fold"]):
        rows.setdefault(fold, []).append(row)
    mutants = table["mutant"]
    try:
        return {
            fold: Predictions(tuple(mutants[row] for row in own), *(column[own] for column in columns))
            for fold, own in rows.items()
        }
    except PredictionsError as error:
        raise PredictionsError(f"{path}: {error}; make the predictions again") from error


def read_of(variants: Variants, path: Path) -> dict[str, Predictions]:
    """As `read`; raises PredictionsError where the file asks about a mutant that is not among `variants`."""
    found = read(path)
    unknown = [mutant for part in found.values() for mutant in part.mutants if mutant not in variants.row_of]
    if unknown:
        few = ", ".join(unknown[:5])
        raise PredictionsError(
            f"{path}: {len(unknown)} predicted variants are not measured in {variants.dataset} ({few}); "
            "these predictions are of another dataset, or of new variants"
        )
    return found
