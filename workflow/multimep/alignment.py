"""Which residue of one sequence stands for which of another: the best global alignment, walked back."""

import numpy as np
from jaxtyping import Float, Int

from multimep.mutations import COLUMN
from multimep.substitutions import BLOSUM62

OPEN, EXTEND = 11.0, 1.0
"""Cost of a gap of n residues: OPEN + EXTEND n, with BLOSUM62 the default of the NCBI's BLASTP (existence 11,
extension 1)."""
UNKNOWN = "X"
"""A residue of a structure that is none of the twenty; it scores -1 against every other."""

_SCORES: Float[np.ndarray, "21 21"] = np.pad(BLOSUM62, (0, 1), constant_values=-1.0)


def scores(one: str, other: str) -> Float[np.ndarray, "n p"]:
    """H: the score of the best alignment of each prefix of `one` with each of `other`; gaps at the start are free."""
    rows, columns = _indices(one), _indices(other)
    pair, ramp = _SCORES[np.ix_(rows, columns)], EXTEND * np.arange(1, len(columns) + 1)
    table = np.zeros((len(rows) + 1, len(columns) + 1))
    gap = np.full(len(columns), -np.inf)
    for i in range(len(rows)):
        # F_ij = max(F_i-1j, H_i-1j - open) - extend;  E_ij = max_k<j H_ik - open - extend (j - k)
        gap = np.maximum(gap, table[i, 1:] - OPEN) - EXTEND
        here = np.maximum(table[i, :-1] + pair[i], gap)
        before = np.maximum.accumulate(np.concatenate([[0.0], here + ramp]))[:-1]
        table[i + 1, 1:] = np.maximum(here, before - OPEN - ramp)
    return table


def align(one: str, other: str) -> list[tuple[int, int]]:
    """Pairs (row of `one`, row of `other`) that stand against each other, counted from 0, in rising order.

    Needleman & Wunsch (1970) with affine gaps; gaps at either end are free, so a part is found within its whole.
    """
    table = scores(one, other)
    i, j = _end(table)
    pairs: list[tuple[int, int]] = []
    while i and j:
        if table[i, j] == table[i - 1, j - 1] + _score(one[i - 1], other[j - 1]):
            i, j = i - 1, j - 1
            pairs.append((i, j))
        else:
            i, j = _before_gap(table, i, j)
    return pairs[::-1]


def _end(table: Float[np.ndarray, "n p"]) -> tuple[int, int]:
    """Where the best alignment ends: in the last row or the last column."""
    column, row = int(np.argmax(table[-1])), int(np.argmax(table[:, -1]))
    return (len(table) - 1, column) if table[-1, column] >= table[row, -1] else (row, table.shape[1] - 1)


def _before_gap(table: Float[np.ndarray, "n p"], i: int, j: int) -> tuple[int, int]:
    # H_ij = H_i-g,j - open - g extend, or the same along j; scores are whole numbers, so they are equal exactly
    up = table[i, j] == table[:i, j] - OPEN - EXTEND * np.arange(i, 0, -1)
    if up.any():
        return int(np.flatnonzero(up)[-1]), j
    left = table[i, j] == table[i, :j] - OPEN - EXTEND * np.arange(j, 0, -1)
    return i, int(np.flatnonzero(left)[-1])


def _score(one: str, other: str) -> float:
    return float(_SCORES[_index(one), _index(other)])


def _index(letter: str) -> int:
    return COLUMN.get(letter, len(COLUMN))


def _indices(sequence: str) -> Int[np.ndarray, "length"]:
    return np.array([_index(letter) for letter in sequence], dtype=np.int64)
