"""How far candidates are from what was measured: substitutions to the nearest training variant, and sites never varied.

A model extrapolates where it was taught nothing near; its standard deviation says so only as well as its kernel does.
This room looks at the sequences alone, so that the warning does not depend on the method.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float, Int
from scipy.sparse import csr_array

from multimep.mutations import Genotype, Mutation, parse

QUANTILE = 0.95
"""Of the training variants' own distances to their nearest: what is beyond it is far."""
SAMPLE = 2000
"""Training variants whose distance to all others is asked for it."""
PAIRS = 4_000_000
"""Distances that are held at once."""
NEAR, DISTANT, SITE, BOTH = "", "distance", "site", "distance and site"
"""Words for a candidate: near; more substitutions from all training variants than these from one another; mutated where
no training variant is; both."""


@dataclass(frozen=True)
class Training:
    """The variants that taught a predictor.

    Attributes:
        mutants: canonical genotype texts.
    """

    mutants: tuple[str, ...]

    @cached_property
    def genotypes(self) -> tuple[Genotype, ...]:
        """Their mutations."""
        return tuple(map(parse, self.mutants))

    @cached_property
    def sites(self) -> frozenset[int]:
        """Positions that any of them mutates."""
        return frozenset(one.position for genotype in self.genotypes for one in genotype)

    @cached_property
    def reach(self) -> float:
        """Substitutions within which QUANTILE of the training variants have their nearest other one; 0 for one row.

        Of more than SAMPLE variants every k-th by name is held against all.
        """
        if len(self.mutants) < 2:
            return 0.0
        rows = sorted(range(len(self.mutants)), key=self.mutants.__getitem__)[:: -(-len(self.mutants) // SAMPLE)]
        nearest = _nearest([self.genotypes[row] for row in rows], self.genotypes, rows)
        return float(np.quantile(nearest, QUANTILE, method="inverted_cdf"))

    def nearest(self, genotypes: Sequence[Genotype]) -> Int[np.ndarray, "n"]:
        """Substitutions between each genotype and the nearest training variant."""
        return _nearest(genotypes, self.genotypes)

    def remarks(self, genotypes: Sequence[Genotype], nearest: Int[np.ndarray, "n"]) -> tuple[str, ...]:
        """NEAR, DISTANT, SITE or BOTH for each genotype."""
        new = [any(one.position not in self.sites for one in genotype) for genotype in genotypes]
        words = {(False, False): NEAR, (True, False): DISTANT, (False, True): SITE, (True, True): BOTH}
        return tuple(words[bool(d > self.reach), site] for d, site in zip(nearest, new, strict=True))


def _nearest(
    left: Sequence[Genotype], right: Sequence[Genotype], own: Sequence[int] | None = None
) -> Int[np.ndarray, "n"]:
    """Distance of each on the left to the nearest on the right, but for its own row there."""
    step, found = max(1, PAIRS // max(len(right), 1)), [np.zeros(0, dtype=np.int64)]
    for start in range(0, len(left), step):
        table = distances(left[start : start + step], right)
        if own is not None:
            table[np.arange(len(table)), own[start : start + step]] = np.iinfo(table.dtype).max
        found.append(table.min(axis=1))
    return np.concatenate(found)


def distances(left: Sequence[Genotype], right: Sequence[Genotype]) -> Int[np.ndarray, "n p"]:
    """Sites at which variants of one wild type differ, for every pair."""
    everything = {one for genotype in (*left, *right) for one in genotype}
    mutations = {one: column for column, one in enumerate(sorted(everything))}
    sites = {site: column for column, site in enumerate({one.position for one in everything})}
    # d(x, y) = |x| + |y| - |sites that both mutate| - |mutations that both carry|
    shared = np.zeros((len(left), len(right)))
    for columns in ({one: sites[one.position] for one in everything}, mutations):
        shared += _shared(left, right, columns)
    depths = [np.array([len(genotype) for genotype in side], dtype=np.int64) for side in (left, right)]
    return np.asarray(depths[0][:, None] + depths[1][None, :] - shared.astype(np.int64))


def _shared(
    left: Sequence[Genotype], right: Sequence[Genotype], columns: Mapping[Mutation, int]
) -> Float[np.ndarray, "n p"]:
    """Columns that both of a pair have."""
    width = max(columns.values(), default=0) + 1
    return np.asarray((_incidence(left, columns, width) @ _incidence(right, columns, width).T).toarray())


def _incidence(rows: Sequence[Genotype], columns: Mapping[Mutation, int], width: int) -> csr_array:
    starts = np.cumsum([0, *map(len, rows)])
    places = np.array([columns[one] for genotype in rows for one in genotype], dtype=np.int64)
    return csr_array((np.ones(len(places)), places, starts), shape=(len(rows), width))
