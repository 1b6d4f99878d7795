"""modulo, contiguous, unseen_position: cross-validation over sites, so that what is asked is mutated where nothing was.

A variant is asked where all its sites belong to the fold, unused where only some do; the wild type always teaches.
`by: sequence` deals out all positions of the wild type, whatever a dataset measured: two assays of one protein then
have the same folds, and parts of a protein that were not measured may leave a fold without a variant.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from multimep.dataset import Dataset
from multimep.mutations import parse
from multimep.schemes.draws import dealt
from multimep.schemes.scheme import By, cross_validation, require_folds
from multimep.splits import Split, SplitError, canonical_order


@dataclass(frozen=True)
class Modulo:
    """ProteinGym's `fold_modulo`: fold = index of the site in the sorted list of mutated sites, modulo `folds`.

    Attributes:
        folds: 5 as in ProteinGym.
        by: `dataset`: the list is that of this dataset's mutated sites, as in ProteinGym; `sequence`: all sites.
    """

    folds: int = 5
    by: By = "dataset"

    def __post_init__(self) -> None:
        require_folds(self.folds)

    def split(self, dataset: Dataset, seed: int) -> Split:
        """Folds by site; `seed` changes nothing."""
        sites = _sites(dataset, self.folds, self.by)
        return _split_by_site(dataset, self.folds, {site: index % self.folds for index, site in enumerate(sites)})


@dataclass(frozen=True)
class Contiguous:
    """ProteinGym's `fold_contiguous`: the sorted list of mutated sites cut into `folds` runs of equal length.

    The first (number of sites modulo `folds`) runs have one site more.

    Attributes:
        folds: 5 as in ProteinGym.
        by: `dataset`: the list is that of this dataset's mutated sites, as in ProteinGym; `sequence`: all sites.
    """

    folds: int = 5
    by: By = "dataset"

    def __post_init__(self) -> None:
        require_folds(self.folds)

    def split(self, dataset: Dataset, seed: int) -> Split:
        """Folds by site; `seed` changes nothing."""
        runs = np.array_split(np.array(_sites(dataset, self.folds, self.by)), self.folds)
        return _split_by_site(dataset, self.folds, {int(site): fold for fold, run in enumerate(runs) for site in run})


@dataclass(frozen=True)
class UnseenPosition:
    """Sites shuffled, then dealt into `folds`: neither every fifth nor neighbours together.

    Attributes:
        folds: 5, as for the other schemes by site.
        by: `sequence`: all positions of the wild type are dealt, seeded by it, so that assays of one protein have the
            same folds; `dataset`: the mutated sites of this dataset, for folds of equal numbers of them.
    """

    folds: int = 5
    by: By = "sequence"

    def __post_init__(self) -> None:
        require_folds(self.folds)

    def split(self, dataset: Dataset, seed: int) -> Split:
        """Folds `fold0`, `fold1`, ..."""
        name = dataset.wild_type if self.by == "sequence" else dataset.name
        sites = _sites(dataset, self.folds, self.by)
        return _split_by_site(dataset, self.folds, dealt(sites, self.folds, name, seed))


def _sites(dataset: Dataset, folds: int, by: By) -> Sequence[int]:
    """The sites that are dealt out: those mutated in this dataset, or all of its wild type."""
    mutated = sorted({mutation.position for genotype in dataset.variants.genotypes for mutation in genotype})
    if len(mutated) < folds:
        raise SplitError(f"{dataset.name}: {len(mutated)} mutated sites cannot fill {folds} folds; set folds lower")
    return range(1, len(dataset.wild_type) + 1) if by == "sequence" else mutated


def _split_by_site(dataset: Dataset, folds: int, fold_of: Mapping[int, int]) -> Split:
    genotypes = {mutant: parse(mutant) for mutant in canonical_order(dataset.variants.mutants)}
    folds_of = {mutant: {fold_of[one.position] for one in genotype} for mutant, genotype in genotypes.items()}
    return cross_validation(folds_of, folds, dataset.name)
