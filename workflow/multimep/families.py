"""Protein families by sequence identity: which wild types are too alike for one to be news to the other.

Names say nothing of kinship, and two assays of one protein may be filed under different ones.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache

import numpy as np
from jaxtyping import Int

from multimep.mutations import AMINO_ACIDS
from multimep.substitutions import BLOSUM62

IDENTITY = 0.3
"""Above this part of identical residues two proteins count as one family: where alignments of unrelated ones end."""

OPEN, EXTEND = 11, 1
"""Cost of a gap of n residues: OPEN + EXTEND n, with BLOSUM62 the default of the NCBI's BLASTP (existence 11,
extension 1)."""

_TIES = 1 << 20
"""Scores are counted in this unit and identities in ones, so of the best alignments that with most identities is
found without walking back; above the length of any protein."""
_NEVER = -(1 << 50)


@lru_cache(maxsize=4096)
def identity(one: str, other: str) -> float:
    """Part of the shorter sequence that is identical to the longer one in their best global alignment, 0 to 1.

    Needleman & Wunsch (1970) with the affine gaps of Gotoh (1982); gaps at the ends are free, so that a domain is
    found within its protein: a sub-sequence has identity 1. 0 where a sequence is empty.
    """
    rows, columns = sorted((one, other), key=lambda text: (len(text), text))
    if not rows:
        return 0.0
    return (_best(_indices(rows), _indices(columns)) % _TIES) / len(rows)


def _indices(sequence: str) -> Int[np.ndarray, "length"]:
    return np.array([AMINO_ACIDS.index(letter) for letter in sequence], dtype=np.int64)


def _best(rows: Int[np.ndarray, "n"], columns: Int[np.ndarray, "p"]) -> int:
    """Largest score over alignments: that of BLOSUM62 and gaps times _TIES, plus the number of identities."""
    pair = BLOSUM62.astype(np.int64) * _TIES + np.eye(20, dtype=np.int64)
    opening, extending = OPEN * _TIES, EXTEND * _TIES
    steps = extending * np.arange(1, len(columns) + 1)
    above, gap = np.zeros(len(columns) + 1, np.int64), np.full(len(columns), _NEVER, np.int64)
    ends = 0
    for row in rows:
        # F_ij = max(F_i-1j, H_i-1j - open) - extend: row i stands against a gap
        gap = np.maximum(gap, above[1:] - opening) - extending
        # H_ij = max(H_i-1j-1 + pair_ij, F_ij, E_ij) with E_ij = max_k<j (H_ik - open - extend (j - k))
        here = np.maximum(above[:-1] + pair[row, columns], gap)
        before = np.maximum.accumulate(np.concatenate([[0], here + steps]))[:-1]  # H_i0 = 0: the end is free
        above = np.concatenate([[0], np.maximum(here, before - opening - steps)])
        ends = max(ends, int(above[-1]))
    return max(ends, int(above.max()))


def families(wild_types: Sequence[str], above: float) -> list[int]:
    """The family of each sequence, numbered by first appearance: linked by chains of pairs of identity > `above`.

    Two equal sequences, and one that is part of another, are of one family whatever `above` is.
    """
    family = list(range(len(wild_types)))
    for right, sequence in enumerate(wild_types):
        for left in range(right):
            if family[left] != family[right] and _kin(wild_types[left], sequence, above):
                joined = sorted((family[left], family[right]))
                family = [joined[0] if one == joined[1] else one for one in family]
    return family


def named(wild_types: Mapping[str, str], above: float = IDENTITY) -> dict[str, str]:
    """Name -> the first name of its family, for wild types by name."""
    names = list(wild_types)
    numbers = families(list(wild_types.values()), above)
    first = {number: name for name, number in reversed(list(zip(names, numbers, strict=True)))}
    return {name: first[number] for name, number in zip(names, numbers, strict=True)}


def kin(of: str, others: Mapping[str, str], above: float) -> set[str]:
    """The names of the sequences in the family of `of`; needs fewer alignments than the families of all."""
    found: set[str] = set()
    reached = [of]
    while reached:
        near = {
            name
            for name, sequence in others.items()
            if name not in found and any(_kin(one, sequence, above) for one in reached)
        }
        found, reached = found | near, [others[name] for name in sorted(near)]
    return found


def _kin(one: str, other: str, above: float) -> bool:
    return one in other or other in one or identity(*sorted((one, other))) > above
