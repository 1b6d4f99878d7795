"""The A23V grammar: parse a genotype, write it, apply it to a wild type, compare two sequences.

A genotype is a tuple of mutations sorted by position; the empty tuple is the wild type. Its canonical text joins the
mutations by ":" (``A23V:C45D``) and is ``WT`` for the wild type: the key by which everything in multimep is joined.
"""

import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from operator import attrgetter

from multimep.documents import shown

AMINO_ACIDS = "ACDEFGHIKLMNPQRSTVWY"
COLUMN = {letter: index for index, letter in enumerate(AMINO_ACIDS)}  # in every table over amino acids
WILD_TYPE = "WT"

_MUTATION = re.compile(r"([A-Z])([0-9]{1,9})([A-Z])")  # no protein has a position of ten digits
_SEPARATORS = re.compile(r"[:+,]")


class MutationError(ValueError):
    """A genotype that cannot be read or does not fit its wild type; the message names the offending part."""


@dataclass(frozen=True, order=True)
class Mutation:
    """One substitution: residue `reference` at `position` (counted from 1) becomes `substitute`."""

    position: int
    reference: str
    substitute: str

    def __str__(self) -> str:
        return f"{self.reference}{self.position}{self.substitute}"

    def shifted(self, by: int) -> "Mutation":
        """The same mutation under another numbering: `position + by`."""
        return Mutation(self.position + by, self.reference, self.substitute)


Genotype = tuple[Mutation, ...]
_PLACE = attrgetter("position", "reference", "substitute")


def parse(text: str) -> Genotype:
    """Read ``A23V:C45D``; ``+`` and ``,`` also separate; empty text and ``WT`` are the wild type.

    Raises MutationError for anything else, two mutations at one site and a residue that replaces itself.
    """
    stripped = text.strip()
    if stripped in ("", WILD_TYPE):
        return ()
    genotype = _ordered([_parse_one(part.strip(), text) for part in _SEPARATORS.split(stripped)])
    for left, right in itertools.pairwise(genotype):
        if left.position == right.position:
            raise MutationError(f"two mutations at site {left.position} in {shown(text)}")
    return genotype


def _ordered(mutations: Sequence[Mutation]) -> Genotype:
    return tuple(sorted(mutations, key=_PLACE)) if len(mutations) > 1 else tuple(mutations)


def _parse_one(part: str, text: str) -> Mutation:
    found = _mutation(part)
    if found is None:
        raise MutationError(
            f"{shown(part)} in {shown(text)} is not a mutation such as A23V (separate mutations by ':', '+' or ',')"
        )
    return found


@lru_cache(maxsize=1 << 16)  # a library of a million variants has some thousand mutations
def _mutation(part: str) -> Mutation | None:
    """The mutation that a text says, None where it says none."""
    match = _MUTATION.fullmatch(part)
    if match is None:
        return None
    reference, position, substitute = match[1], int(match[2]), match[3]
    for letter in (reference, substitute):
        if letter not in AMINO_ACIDS:
            raise MutationError(f"unknown amino acid {letter!r} in {part!r}")
    if reference == substitute:
        raise MutationError(f"{part!r} does not change the residue")
    return Mutation(position, reference, substitute)


def format_genotype(genotype: Genotype) -> str:
    """The canonical text of a genotype: ``A23V:C45D``, or ``WT``."""
    return ":".join(map(str, _ordered(genotype))) or WILD_TYPE


def check(genotype: Genotype, wild_type: str) -> None:
    """Raise MutationError unless every position exists in `wild_type` and holds the stated reference residue."""
    for mutation in genotype:
        if not 1 <= mutation.position <= len(wild_type):
            raise MutationError(f"{mutation}: position outside the wild type (1 to {len(wild_type)})")
        found = wild_type[mutation.position - 1]
        if found != mutation.reference:
            raise MutationError(f"{mutation}: the wild type has {found} at position {mutation.position}")


def apply(genotype: Genotype, wild_type: str) -> str:
    """The sequence of the genotype; raises MutationError where it does not fit `wild_type`."""
    check(genotype, wild_type)
    residues = list(wild_type)
    for mutation in genotype:
        residues[mutation.position - 1] = mutation.substitute
    return "".join(residues)


def compare(wild_type: str, sequence: str) -> Genotype:
    """The genotype that turns `wild_type` into `sequence`; raises MutationError for another length or letter."""
    if len(wild_type) != len(sequence):
        raise MutationError(f"sequence of length {len(sequence)}, wild type of length {len(wild_type)}")
    check_residues(sequence)
    return tuple(
        Mutation(position, old, new)
        for position, (old, new) in enumerate(zip(wild_type, sequence, strict=True), start=1)
        if old != new
    )


def check_residues(sequence: Sequence[str]) -> None:
    """Raise MutationError for a letter that is not one of the twenty amino acids, naming its position."""
    for position, letter in enumerate(sequence, start=1):
        if letter not in AMINO_ACIDS:
            raise MutationError(f"unknown amino acid {letter!r} at position {position}")
