"""Variants of one wild type, without any measurement: what a predictor may see."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from jaxtyping import Float, Int

from multimep.mutations import Genotype, apply, check_residues, format_genotype, parse
from multimep.structure import Structure

COVARIATE_PREFIX = "covariate_"
"""Of the columns of covariates in every table that multimep writes, and in files of candidates."""


class DatasetError(ValueError):
    """A table that cannot become a dataset; the message lists every fault."""


@dataclass(frozen=True)
class Variants:
    """Distinct genotypes of one wild type, with what is known of them before any measurement.

    Attributes:
        dataset: name of the dataset they belong to (a multitask model chooses its head by it).
        wild_type: the sequence that positions refer to.
        mutants: canonical genotype texts (``A23V:C45D``, ``WT``), each once.
        covariates: name -> a number that the source gives for each variant (another model's score), shape (n,),
            finite; in the unit of the source. Two sets of variants may be equal and differ in them.
        structure: CA positions along the wild type, where the source gives them.
    """

    dataset: str
    wild_type: str
    mutants: tuple[str, ...]
    covariates: Mapping[str, Float[np.ndarray, "n"]] = field(default_factory=dict, compare=False)
    structure: Structure | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        """Refuse what is not readable, not canonical, given twice, or of another length than the rest."""
        check_residues(self.wild_type)
        _require_distinct(self.dataset, self.mutants)
        for mutant, genotype in zip(self.mutants, self.genotypes, strict=True):
            if format_genotype(genotype) != mutant:
                raise DatasetError(f"{self.dataset}: {mutant!r} is not in canonical form ({format_genotype(genotype)})")
        self._check_covariates()
        if self.structure is not None and len(self.structure) != len(self.wild_type):
            raise DatasetError(
                f"{self.dataset}: a structure of {len(self.structure)} residues for a wild type of "
                f"{len(self.wild_type)}; align and crop it as the wild type"
            )

    def _check_covariates(self) -> None:
        for name, values in self.covariates.items():
            if np.shape(values) != (len(self.mutants),):
                raise DatasetError(
                    f"{self.dataset}: {np.size(values)} values of covariate {name} for {len(self.mutants)} variants"
                )
            if not np.isfinite(values).all():
                first = self.mutants[int(np.argmin(np.isfinite(values)))]
                raise DatasetError(f"{self.dataset}: covariate {name} of {first} is not finite")

    def __len__(self) -> int:
        return len(self.mutants)

    @cached_property
    def genotypes(self) -> tuple[Genotype, ...]:
        """The mutations of each variant, sorted by position."""
        return tuple(map(parse, self.mutants))

    @cached_property
    def sequences(self) -> tuple[str, ...]:
        """The full sequence of each variant; raises MutationError where a genotype does not fit the wild type."""
        return tuple(apply(genotype, self.wild_type) for genotype in self.genotypes)

    @cached_property
    def depths(self) -> Int[np.ndarray, "n"]:
        """Number of mutations of each variant (0 for the wild type)."""
        return np.array([len(genotype) for genotype in self.genotypes], dtype=np.int64)

    @cached_property
    def row_of(self) -> Mapping[str, int]:
        """The row of each mutant."""
        return {mutant: row for row, mutant in enumerate(self.mutants)}

    def select(self, mutants: Iterable[str]) -> "Variants":
        """The named variants in the given order; raises DatasetError for a mutant that is not here."""
        wanted = tuple(mutants)
        _require_known(self.dataset, wanted, self.row_of)
        _require_distinct(self.dataset, wanted)
        rows = [self.row_of[mutant] for mutant in wanted]
        covariates = {name: values[np.array(rows, dtype=np.int64)] for name, values in self.covariates.items()}
        found = object.__new__(Variants)  # a part of what was checked: its texts are neither read nor checked again
        vars(found).update(
            dataset=self.dataset,
            wild_type=self.wild_type,
            mutants=wanted,
            covariates=covariates,
            structure=self.structure,
            genotypes=tuple(self.genotypes[row] for row in rows),
        )
        return found


def _require_distinct(name: str, mutants: Sequence[str]) -> None:
    if len(set(mutants)) != len(mutants):
        repeated = [mutant for mutant, count in Counter(mutants).items() if count > 1]
        raise DatasetError(f"{name}: genotypes given twice: {', '.join(sorted(repeated)[:5])}")


def _require_known(name: str, mutants: Sequence[str], known: Mapping[str, int]) -> None:
    missing = [mutant for mutant in mutants if mutant not in known]
    if missing:
        raise DatasetError(f"{name}: no such variants: {', '.join(missing[:5])}")
