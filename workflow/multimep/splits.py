"""Which variants teach and which are asked, fold by fold: Fold, Split and its CSV. `schemes` makes them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from multimep import text_table
from multimep.mutations import parse

TRAIN, TEST, UNUSED = "train", "test", ""
WITHIN = "/"
"""Between the name of a fold and those of the folds within it."""


class SplitError(ValueError):
    """A split that cannot be made, or a file that is none; the message says what to change."""


@dataclass(frozen=True)
class Fold:
    """One question: learn from `train`, then be asked about `test`; without a mutant in common, not both empty.

    A fold that asks nothing only teaches: its variants are for methods that learn several datasets at once, in the
    questions of the others. One that teaches nothing is for methods that can do without training data.
    """

    name: str
    train: tuple[str, ...]
    test: tuple[str, ...]

    def __post_init__(self) -> None:
        if not self.train and not self.test:
            raise SplitError(f"fold {self.name!r}: no variant teaches and none is asked")
        for side, mutants in ((TRAIN, self.train), (TEST, self.test)):
            if len(set(mutants)) != len(mutants):
                raise SplitError(f"fold {self.name!r}: {side} names a variant twice")
        both = sorted(set(self.train) & set(self.test))
        if both:
            raise SplitError(f"fold {self.name!r}: both in train and in test: {', '.join(both[:5])}")

    def belongs_to(self, question: str) -> bool:
        """Whether it takes part in the fold of that name: by its own name or, where it asks nothing, in those within.

        So `D` of one dataset, which only teaches, teaches in `D/n24_seed0` and `D/n96_seed0` of another.
        """
        return self.name == question or (not self.test and question.startswith(self.name + WITHIN))


@dataclass(frozen=True)
class Split:
    """The folds of one dataset.

    Attributes:
        mutants: all variants of the dataset in canonical order, used or not.
        folds: with distinct names, at least one of which asks something; their mutants are among `mutants`.
    """

    mutants: tuple[str, ...]
    folds: tuple[Fold, ...]

    def __post_init__(self) -> None:
        names = [fold.name for fold in self.folds]
        if not names or len(set(names)) != len(names) or "mutant" in names:
            raise SplitError(f"fold names must be distinct and not 'mutant', got: {', '.join(names) or 'none'}")
        if not self.questions:
            raise SplitError(f"no fold asks a variant: {', '.join(names)}; choose another split")
        known = set(self.mutants)
        for fold in self.folds:
            unknown = sorted({*fold.train, *fold.test} - known)
            if unknown:
                raise SplitError(f"fold {fold.name!r}: not among the variants: {', '.join(unknown[:5])}")

    @property
    def questions(self) -> tuple[Fold, ...]:
        """The folds that ask something."""
        return tuple(fold for fold in self.folds if fold.test)


def write(split: Split, path: Path) -> None:
    """Write one CSV, whole or not at all: `mutant`, then `train`, `test` or nothing in one column per fold."""
    columns = {"mutant": split.mutants}
    for fold in split.folds:
        part = dict.fromkeys(fold.train, TRAIN) | dict.fromkeys(fold.test, TEST)
        columns[fold.name] = tuple(part.get(mutant, UNUSED) for mutant in split.mutants)
    text_table.write(columns, path)


def read(path: Path) -> Split:
    """Read a split written by `write`; raises SplitError, naming the file, for anything else."""
    table = text_table.read(path, (), SplitError)
    if list(table.columns[:1]) != ["mutant"]:
        raise SplitError(f"{path}: the first column must be 'mutant', not {', '.join(table.columns[:1])!r}")
    mutants = table["mutant"]
    columns = {name: dict(zip(mutants, table[name], strict=True)) for name in table.columns[1:]}
    try:
        return Split(mutants, tuple(fold_of(name, part_of) for name, part_of in columns.items()))
    except SplitError as error:
        raise SplitError(f"{path}: {error}") from error


def canonical_order(mutants: Sequence[str]) -> tuple[str, ...]:
    """The mutants sorted by their mutations (wild type first), whatever order they came in."""
    return tuple(sorted(mutants, key=parse))


def fold_of(name: str, part_of: Mapping[str, str]) -> Fold:
    """The fold in which each mutant has the part `train`, `test` or nothing; raises SplitError for another word."""
    wrong = sorted(mutant for mutant, part in part_of.items() if part not in (TRAIN, TEST, UNUSED))
    if wrong:
        raise SplitError(f"{name!r} must say 'train', 'test' or nothing for {', '.join(wrong[:5])}")
    train, test = (tuple(m for m, part in part_of.items() if part == side) for side in (TRAIN, TEST))
    return Fold(name, train, test)
