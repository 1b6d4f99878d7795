"""unseen_substitution: cross-validation over mutations (site and new residue), METL's "mutation" split."""

from collections.abc import Sequence
from dataclasses import dataclass

from multimep.dataset import Dataset
from multimep.mutations import AMINO_ACIDS, Mutation, parse
from multimep.schemes.draws import dealt
from multimep.schemes.scheme import By, cross_validation, require_folds
from multimep.splits import Split, SplitError, canonical_order


@dataclass(frozen=True)
class UnseenSubstitution:
    """What is asked carries only mutations that nothing carries that teaches.

    A variant is asked where all its mutations belong to the fold, unused where only some do, and the wild type always
    teaches. Among single mutants this is `random`: each is a mutation of its own.

    Attributes:
        folds: 5, as for the other schemes; a multi-mutant of d mutations is asked in one of folds^(d-1) cases, so
            fewer folds ask more of them.
        by: `sequence`: all possible mutations of the wild type are dealt, seeded by it, so that assays of one protein
            have the same folds; `dataset`: those of this dataset, for folds of equal numbers of them.
    """

    folds: int = 5
    by: By = "sequence"

    def __post_init__(self) -> None:
        require_folds(self.folds)

    def split(self, dataset: Dataset, seed: int) -> Split:
        """Folds `fold0`, `fold1`, ..."""
        genotypes = {mutant: parse(mutant) for mutant in canonical_order(dataset.variants.mutants)}
        measured = sorted({mutation for genotype in genotypes.values() for mutation in genotype})
        if len(measured) < self.folds:
            raise SplitError(
                f"{dataset.name}: {len(measured)} mutations cannot fill {self.folds} folds; set folds lower"
            )
        if self.by == "sequence":
            drawn = dealt(possible(dataset.wild_type), self.folds, dataset.wild_type, seed)
        else:
            drawn = dealt(measured, self.folds, dataset.name, seed)
        folds_of = {mutant: {drawn[one] for one in genotype} for mutant, genotype in genotypes.items()}
        return cross_validation(folds_of, self.folds, dataset.name)


def possible(wild_type: str) -> Sequence[Mutation]:
    """All single mutations of a protein."""
    return [
        Mutation(site, old, new) for site, old in enumerate(wild_type, start=1) for new in AMINO_ACIDS if new != old
    ]
