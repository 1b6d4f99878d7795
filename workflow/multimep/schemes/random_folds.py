"""random: k-fold cross-validation over variants."""

from dataclasses import dataclass

from multimep.dataset import Dataset
from multimep.schemes.draws import dealt, sequences, share
from multimep.schemes.scheme import By, cross_validation, require_folds
from multimep.splits import Split, SplitError, canonical_order


@dataclass(frozen=True)
class RandomFolds:
    """k-fold cross-validation over variants, each asked once.

    Attributes:
        folds: 5 as in ProteinGym.
        by: `dataset`: shuffled for each dataset, sizes differ by <= 1; `sequence`: the fold follows from the seed and
            the mutated sequence, so a genotype that two datasets measure is asked in the same fold of both. Sizes are
            then those of chance, with a standard deviation of about sqrt(n / folds).
    """

    folds: int = 5
    by: By = "dataset"

    def __post_init__(self) -> None:
        require_folds(self.folds)

    def split(self, dataset: Dataset, seed: int) -> Split:
        """Folds `fold0`, `fold1`, ..."""
        mutants = canonical_order(dataset.variants.mutants)
        if len(mutants) < self.folds:
            raise SplitError(f"{dataset.name}: {len(mutants)} variants cannot fill {self.folds} folds; set folds lower")
        if self.by == "sequence":
            drawn = {mutant: int(self.folds * share(text, seed)) for mutant, text in sequences(dataset).items()}
        else:
            drawn = dealt(mutants, self.folds, dataset.name, seed)
        return cross_validation({mutant: {drawn[mutant]} for mutant in mutants}, self.folds, dataset.name)
