"""A protein's fold as methods see it: one CA position per residue of the wild type, in angstrom."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float

FAR = 1000.0
"""Angstrom from a residue without a position to everything else: beyond the reach of any kernel."""
CONTACT = 10.0
"""Angstrom between CA positions within which a residue counts as a neighbour: its first and second shell."""


class StructureError(ValueError):
    """Coordinates that are no structure of the wild type; the message names the file or the dataset, and the remedy."""


@dataclass(frozen=True)
class Structure:
    """CA positions along a wild type.

    Attributes:
        coordinates: in angstrom, shape (length, 3); a residue without a position has NaN in all three.
    """

    coordinates: Float[np.ndarray, "length 3"]

    def __post_init__(self) -> None:
        """Refuse another shape, a position of which only a part is known, and a structure without any."""
        shape, finite = self.coordinates.shape, np.isfinite(self.coordinates)
        if len(shape) != 2 or shape[1] != 3:
            raise StructureError(f"CA positions have shape (residues, 3), not {shape}")
        if (finite.any(axis=1) != finite.all(axis=1)).any() or not finite.any():
            raise StructureError("a CA position has three finite coordinates or none, and one residue at least has one")

    def __len__(self) -> int:
        return len(self.coordinates)

    @cached_property
    def known(self) -> Bool[np.ndarray, "length"]:
        """Which residues have a position."""
        return np.asarray(np.isfinite(self.coordinates).all(axis=1))

    @cached_property
    def placed(self) -> Float[np.ndarray, "length d"]:
        """Positions in a space of more dimensions, where each residue without one stands FAR off along its own axis.

        Distances in it are Euclidean, so exp(-c d) stays positive semi-definite.
        """
        missing = np.flatnonzero(~self.known)
        middle = np.nanmean(self.coordinates, axis=0)
        table = np.zeros((len(self), 3 + len(missing)))
        table[:, :3] = np.where(self.known[:, None], self.coordinates, middle)
        table[missing, 3 + np.arange(len(missing))] = FAR
        return table

    @cached_property
    def distances(self) -> Float[np.ndarray, "length length"]:
        """Between all pairs of residues, in angstrom; FAR or more from and to one without a position."""
        # d_ij^2 = sum_k (x_ik - x_jk)^2, one axis after the other: no cancellation
        squares = sum(((axis[:, None] - axis[None, :]) ** 2 for axis in self.placed.T), np.float64(0))
        return np.asarray(np.sqrt(squares))

    @cached_property
    def neighbours(self) -> Float[np.ndarray, "length"]:
        """How many other residues have their CA within CONTACT of each; NaN for a residue without a position."""
        return np.where(self.known, (self.distances < CONTACT).sum(axis=1) - 1.0, np.nan)

    def crop(self, first: int, last: int) -> "Structure":
        """Residues first to last, counted from 1; raises StructureError where none of them has a position."""
        if not self.known[first - 1 : last].any():
            raise StructureError(f"the structure has no CA position from {first} to {last}: take another file or chain")
        return Structure(self.coordinates[first - 1 : last])

    @property
    def lines(self) -> tuple[str, ...]:
        """One text per residue, ``x y z`` with the three decimals of a PDB file; empty where there is no position."""
        rows = zip(self.coordinates, self.known, strict=True)
        return tuple(" ".join(f"{value:.3f}" for value in row) if known else "" for row, known in rows)


def from_lines(lines: Sequence[str]) -> Structure:
    """The structure that `Structure.lines` wrote; raises StructureError for any other text."""
    try:
        rows = [[float(cell) for cell in line.split()] or [np.nan] * 3 for line in lines]
        return Structure(np.array(rows, dtype=np.float64).reshape(len(rows), -1))
    except ValueError as error:
        raise StructureError(f"no CA positions: {error}") from error
