"""The contract of every scheme - settings in, a split of one dataset out - and what several of them share."""

from collections.abc import Mapping
from typing import Literal, Protocol, runtime_checkable

from multimep.dataset import Dataset
from multimep.splits import TEST, TRAIN, UNUSED, Fold, Split, SplitError, fold_of

By = Literal["dataset", "sequence"]
"""Whence folds come. `dataset`: drawn for each dataset by its name, balanced. `sequence`: from the sequences alone, so
that what two assays of one protein have in common stands on one side in both; sizes are then those of chance."""


@runtime_checkable
class Scheme(Protocol):
    """A frozen dataclass whose fields are its settings in config.yaml."""

    def split(self, dataset: Dataset, seed: int) -> Split:
        """The folds of `dataset`; raises SplitError where the scheme does not fit it."""
        ...


@runtime_checkable
class SchemeAmongOthers(Protocol):
    """A scheme whose folds depend on which other proteins the study has."""

    def among(self, others: Mapping[str, str]) -> Scheme:
        """The scheme in a study with these other datasets, name -> wild type."""
        ...


def among(scheme: Scheme, others: Mapping[str, str]) -> Scheme:
    """The scheme in a study with these other datasets; raises SplitError where it does not ask for them."""
    if isinstance(scheme, SchemeAmongOthers):
        return scheme.among(others)
    if others:
        raise SplitError("--kin: this scheme asks for no other dataset; leave it out or choose scheme: family_out")
    return scheme


def is_group_aware(scheme: Scheme) -> bool:
    """Whether one sequence stands on one side in every dataset of a study."""
    return getattr(scheme, "by", "") == "sequence" or isinstance(scheme, SchemeAmongOthers)


def require_folds(folds: int) -> None:
    """Raise SplitError for fewer than two folds."""
    if folds < 2:
        raise SplitError(f"folds={folds}: cross-validation needs at least 2")


def both_sides(name: str, part_of: Mapping[str, str], where: str) -> Fold:
    """The fold with these parts; raises SplitError naming `where` if nothing teaches or nothing is asked."""
    for side in (TRAIN, TEST):
        if side not in part_of.values():
            raise SplitError(f"{where}: {name!r} has no variant in {side}; choose another split")
    return fold_of(name, part_of)


def cross_validation(folds_of: Mapping[str, set[int]], folds: int, where: str) -> Split:
    """Asked in the one fold that a variant touches, unused where it touches others too, taught where it does not."""

    def part(touched: set[int], fold: int) -> str:
        if fold not in touched:
            return TRAIN
        return TEST if touched == {fold} else UNUSED

    parts = [{mutant: part(touched, fold) for mutant, touched in folds_of.items()} for fold in range(folds)]
    return Split(
        tuple(folds_of), tuple(both_sides(f"fold{fold}", part_of, where) for fold, part_of in enumerate(parts))
    )
