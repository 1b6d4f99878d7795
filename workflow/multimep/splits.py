"""Which variants teach and which are asked: random, by position, by mutation count, low-N, the source's own; the CSV.

Every scheme first sorts the mutants, so the order of a dataset's rows does not matter. Seeded schemes draw from a
generator made of the study's seed and the dataset's name through SHA-256: datasets get different shuffles, and the same
ones on every machine.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import pandas as pd

from multimep.dataset import Dataset, read_table, write_whole
from multimep.mutations import parse

TRAIN, TEST, UNUSED = "train", "test", ""
FULL = "full"


class SplitError(ValueError):
    """A split that cannot be made, or a file that is none; the message says what to change."""


@dataclass(frozen=True)
class Fold:
    """One question: learn from `train`, then be asked about `test`; both non-empty, without a mutant in common."""

    name: str
    train: tuple[str, ...]
    test: tuple[str, ...]

    def __post_init__(self) -> None:
        for side, mutants in ((TRAIN, self.train), (TEST, self.test)):
            if not mutants:
                raise SplitError(f"fold {self.name!r}: no variant in {side}")
            if len(set(mutants)) != len(mutants):
                raise SplitError(f"fold {self.name!r}: {side} names a variant twice")
        both = sorted(set(self.train) & set(self.test))
        if both:
            raise SplitError(f"fold {self.name!r}: both in train and in test: {', '.join(both[:5])}")


@dataclass(frozen=True)
class Split:
    """The folds of one dataset.

    Attributes:
        mutants: all variants of the dataset in canonical order, used or not.
        folds: at least one, with distinct names; their mutants are among `mutants`.
    """

    mutants: tuple[str, ...]
    folds: tuple[Fold, ...]

    def __post_init__(self) -> None:
        names = [fold.name for fold in self.folds]
        if not names or len(set(names)) != len(names) or "mutant" in names:
            raise SplitError(f"fold names must be distinct and not 'mutant', got: {', '.join(names) or 'none'}")
        known = set(self.mutants)
        for fold in self.folds:
            unknown = sorted({*fold.train, *fold.test} - known)
            if unknown:
                raise SplitError(f"fold {fold.name!r}: not among the variants: {', '.join(unknown[:5])}")


class Scheme(Protocol):
    """A frozen dataclass whose fields are its settings in config.yaml."""

    def split(self, dataset: Dataset, seed: int) -> Split:
        """The folds of `dataset`; raises SplitError where the scheme does not fit it."""
        ...


@dataclass(frozen=True)
class RandomFolds:
    """Balanced k-fold cross-validation, 5 as in ProteinGym; each variant is asked once, sizes differ by <= 1."""

    folds: int = 5

    def __post_init__(self) -> None:
        _require_folds(self.folds)

    def split(self, dataset: Dataset, seed: int) -> Split:
        """Folds `fold0`, `fold1`, ... of a seeded shuffle."""
        mutants = canonical_order(dataset.variants.mutants)
        if len(mutants) < self.folds:
            raise SplitError(f"{dataset.name}: {len(mutants)} variants cannot fill {self.folds} folds; set folds lower")
        parts = np.array_split(_generator(dataset.name, seed).permutation(len(mutants)), self.folds)
        fold_of = {mutants[row]: fold for fold, part in enumerate(parts) for row in part}
        return _cross_validation({mutant: {fold_of[mutant]} for mutant in mutants}, self.folds, dataset.name)


@dataclass(frozen=True)
class Modulo:
    """ProteinGym's `fold_modulo`: fold = index of the site in the sorted list of mutated sites, modulo `folds`."""

    folds: int = 5

    def __post_init__(self) -> None:
        _require_folds(self.folds)

    def split(self, dataset: Dataset, seed: int) -> Split:
        """Folds by site; `seed` changes nothing. A variant is asked where all its sites belong to the fold."""
        sites = _mutated_sites(dataset, self.folds)
        return _split_by_site(dataset, self.folds, {site: index % self.folds for index, site in enumerate(sites)})


@dataclass(frozen=True)
class Contiguous:
    """ProteinGym's `fold_contiguous`: the sorted list of mutated sites cut into `folds` runs of equal length.

    The first (number of sites modulo `folds`) runs have one site more.
    """

    folds: int = 5

    def __post_init__(self) -> None:
        _require_folds(self.folds)

    def split(self, dataset: Dataset, seed: int) -> Split:
        """Folds by site; `seed` changes nothing. A variant is asked where all its sites belong to the fold."""
        runs = np.array_split(np.array(_mutated_sites(dataset, self.folds)), self.folds)
        return _split_by_site(dataset, self.folds, {int(site): fold for fold, run in enumerate(runs) for site in run})


@dataclass(frozen=True)
class MutationCount:
    """Learn from few mutations, be asked about more.

    Attributes:
        train_up_to: 1, from single mutants (and the wild type) to everything deeper.
    """

    train_up_to: int = 1

    def split(self, dataset: Dataset, seed: int) -> Split:
        """One fold, `up_to_<k>`; `seed` changes nothing."""
        depth = dict(zip(dataset.variants.mutants, dataset.variants.depths.tolist(), strict=True))
        found = sorted(set(depth.values()))
        if not found or not found[0] <= self.train_up_to < found[-1]:
            raise SplitError(
                f"{dataset.name}: mutation_count leaves nothing to learn from or to ask, as all variants have"
                f" {' or '.join(map(str, found))} mutations and train_up_to={self.train_up_to}; use another split"
            )
        mutants = canonical_order(dataset.variants.mutants)
        train, test = (tuple(m for m in mutants if (depth[m] <= self.train_up_to) is side) for side in (True, False))
        return Split(mutants, (Fold(f"up_to_{self.train_up_to}", train, test),))


@dataclass(frozen=True)
class LowN:
    """Learning curves: small training sets of several sizes and seeds, all asked about the same fixed test set.

    For one seed a smaller training set is a subset of every larger one.

    Attributes:
        sizes: 24 and 96, a quarter and a whole plate; "full" means all that is not in the test set (one fold, as every
            seed would be the same). Sizes larger than that are left out.
        seeds: 2, the least that shows a spread; 10 or more for a claim.
        test_fraction: 0.3, shared by all sizes and seeds.
    """

    sizes: tuple[int | str, ...] = (24, 96)
    seeds: int = 2
    test_fraction: float = 0.3

    def __post_init__(self) -> None:
        wrong = [size for size in self.sizes if size != FULL and not (isinstance(size, int) and size > 0)]
        if wrong or not self.sizes or len(set(self.sizes)) != len(self.sizes):
            raise SplitError(f"low_n: sizes must be distinct positive numbers or 'full', not {list(self.sizes)}")
        if self.seeds < 1 or not 0 < self.test_fraction < 1:
            raise SplitError(f"low_n: seeds={self.seeds} must be above 0, test_fraction={self.test_fraction} in (0, 1)")

    def split(self, dataset: Dataset, seed: int) -> Split:
        """Folds `n24_seed0`, `n24_seed1`, `n96_seed0`, ..., `nfull_seed0`."""
        mutants = canonical_order(dataset.variants.mutants)
        shuffled = [mutants[row] for row in _generator(dataset.name, seed).permutation(len(mutants))]
        asked = max(1, round(self.test_fraction * len(mutants)))
        test, pool = canonical_order(shuffled[:asked]), shuffled[asked:]
        folds = [
            Fold(f"n{size}_seed{repeat}", canonical_order(self._training(dataset.name, pool, size, seed, repeat)), test)
            for size in self.sizes
            for repeat in range(1 if size == FULL else self.seeds)
            if size == FULL or int(size) <= len(pool)
        ]
        if not folds:
            raise SplitError(f"{dataset.name}: low_n has {len(pool)} variants to learn from; set sizes up to that")
        return Split(mutants, tuple(folds))

    def _training(self, name: str, pool: Sequence[str], size: int | str, seed: int, repeat: int) -> list[str]:
        """The first `size` mutants of the order that (seed, repeat) gives the pool: nested by construction."""
        order = _generator(name, seed, repeat).permutation(len(pool))
        return [pool[row] for row in order[: None if size == FULL else int(size)]]


@dataclass(frozen=True)
class Source:
    """The authors' own split of a dataset.

    Attributes:
        column: name of one of the splits that the source gives; empty for the only one it has, which lets datasets
            whose splits are named differently (A75, B75, ...) stand in one study.
    """

    column: str = ""

    def split(self, dataset: Dataset, seed: int) -> Split:
        """One fold named like the column; `seed` changes nothing."""
        column = self.column or (next(iter(dataset.splits)) if len(dataset.splits) == 1 else "")
        if column not in dataset.splits:
            available = ", ".join(sorted(dataset.splits)) or "none"
            raise SplitError(f"{dataset.name}: no split {column!r} in its source (it has: {available}); set column")
        part = dict(zip(dataset.variants.mutants, dataset.splits[column], strict=True))
        ordered = {mutant: part[mutant] for mutant in canonical_order(dataset.variants.mutants)}
        return Split(tuple(ordered), (_fold(column, ordered, dataset.name),))


SCHEMES: Mapping[str, Callable[..., Scheme]] = {
    "random": RandomFolds,
    "modulo": Modulo,
    "contiguous": Contiguous,
    "mutation_count": MutationCount,
    "low_n": LowN,
    "source": Source,
}


def write(split: Split, path: Path) -> None:
    """Write one CSV, whole or not at all: `mutant`, then `train`, `test` or nothing in one column per fold."""
    columns = {"mutant": split.mutants}
    for fold in split.folds:
        part = dict.fromkeys(fold.train, TRAIN) | dict.fromkeys(fold.test, TEST)
        columns[fold.name] = tuple(part.get(mutant, UNUSED) for mutant in split.mutants)
    write_whole(path, pd.DataFrame(columns).to_csv(index=False, lineterminator="\n"))


def read(path: Path) -> Split:
    """Read a split written by `write`; raises SplitError, naming the file, for anything else."""
    table = read_table(path, (), SplitError)
    if list(table.columns[:1]) != ["mutant"]:
        raise SplitError(f"{path}: the first column must be 'mutant', not {', '.join(table.columns[:1])!r}")
    mutants = tuple(table["mutant"])
    folds = tuple(_fold(name, dict(zip(mutants, table[name], strict=True)), str(path)) for name in table.columns[1:])
    return Split(mutants, folds)


def canonical_order(mutants: Sequence[str]) -> tuple[str, ...]:
    """The mutants sorted by their mutations (wild type first), whatever order they came in."""
    return tuple(sorted(mutants, key=parse))


def _generator(name: str, *numbers: int) -> np.random.Generator:
    digest = hashlib.sha256("/".join([name, *map(str, numbers)]).encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:16], "big"))


def _require_folds(folds: int) -> None:
    if folds < 2:
        raise SplitError(f"folds={folds}: cross-validation needs at least 2")


def _fold(name: str, part_of: Mapping[str, str], where: str) -> Fold:
    wrong = sorted(mutant for mutant, part in part_of.items() if part not in (TRAIN, TEST, UNUSED))
    if wrong:
        raise SplitError(f"{where}: {name!r} must say 'train', 'test' or nothing for {', '.join(wrong[:5])}")
    train, test = (tuple(m for m, part in part_of.items() if part == side) for side in (TRAIN, TEST))
    if not (train and test):
        raise SplitError(f"{where}: {name!r} has no variant in {TEST if train else TRAIN}; choose another split")
    return Fold(name, train, test)


def _mutated_sites(dataset: Dataset, folds: int) -> list[int]:
    sites = sorted({mutation.position for genotype in dataset.variants.genotypes for mutation in genotype})
    if len(sites) < folds:
        raise SplitError(f"{dataset.name}: {len(sites)} mutated sites cannot fill {folds} folds; set folds lower")
    return sites


def _split_by_site(dataset: Dataset, folds: int, fold_of: Mapping[int, int]) -> Split:
    genotypes = {mutant: parse(mutant) for mutant in canonical_order(dataset.variants.mutants)}
    folds_of = {mutant: {fold_of[one.position] for one in genotype} for mutant, genotype in genotypes.items()}
    return _cross_validation(folds_of, folds, dataset.name)


def _cross_validation(folds_of: Mapping[str, set[int]], folds: int, where: str) -> Split:
    """Asked in the one fold that a variant touches, unused where it touches others too, taught where it does not."""

    def part(touched: set[int], fold: int) -> str:
        if fold not in touched:
            return TRAIN
        return TEST if touched == {fold} else UNUSED

    parts = [{mutant: part(touched, fold) for mutant, touched in folds_of.items()} for fold in range(folds)]
    return Split(tuple(folds_of), tuple(_fold(f"fold{fold}", part_of, where) for fold, part_of in enumerate(parts)))
