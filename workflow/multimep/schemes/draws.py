"""Seeded draws through SHA-256: the same on every machine, in any order of rows, for names or for sequences."""

import hashlib
from collections.abc import Sequence
from typing import TypeVar

import numpy as np

from multimep.dataset import Dataset
from multimep.splits import canonical_order

T = TypeVar("T")


def generator(name: str, *numbers: int) -> np.random.Generator:
    """A generator of its own for each name and numbers."""
    return np.random.default_rng(int.from_bytes(_digest(name, *numbers)[:16], "big"))


def share(sequence: str, *words: int | str) -> float:
    """A number in [0, 1) of its own for each sequence and words, evenly distributed."""
    return int.from_bytes(_digest(*words, sequence)[:8], "big") / 2**64


def dealt(items: Sequence[T], folds: int, name: str, *numbers: int) -> dict[T, int]:
    """The fold of each item: shuffled by name and numbers, then cut into folds whose sizes differ by one at most."""
    parts = np.array_split(generator(name, *numbers).permutation(len(items)), folds)
    return {items[row]: fold for fold, part in enumerate(parts) for row in part}


def sequences(dataset: Dataset) -> dict[str, str]:
    """The whole mutated sequence of each mutant, in canonical order."""
    of = dict(zip(dataset.variants.mutants, dataset.variants.sequences, strict=True))
    return {mutant: of[mutant] for mutant in canonical_order(dataset.variants.mutants)}


def _digest(*words: int | str) -> bytes:
    return hashlib.sha256("/".join(map(str, words)).encode()).digest()
