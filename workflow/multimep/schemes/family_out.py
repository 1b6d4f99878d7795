"""family_out: for each protein a question in which its family teaches nothing and all other proteins teach."""

from collections.abc import Mapping
from dataclasses import dataclass

from multimep.dataset import Dataset
from multimep.families import kin
from multimep.schemes.draws import generator
from multimep.schemes.low_n import Seeds, Sizes, check_curve, curve, drawn
from multimep.splits import WITHIN, Fold, Split, SplitError, canonical_order


@dataclass(frozen=True)
class FamilyOut:
    """Leave the protein family out: what the other families teach, beside few of a protein's own variants.

    In the folds `D/n24_seed0`, `D/n24_seed1`, ... dataset D is asked about a fixed test set and teaches so many of its
    other variants; every dataset of another family teaches (its fold `D`), those of D's family do not. Methods of one
    protein see only D's own variants, as in low_n.

    Attributes:
        sizes: 24 and 96, how many of its own variants D teaches; 0 for methods that can do without any, "full" for all
            that is not in the test set.
        seeds: 2, draws of those variants; 10 or more for a claim; a list gives each size its own number.
        test_fraction: 0.3, shared by all sizes and seeds.
        rows: at most so many variants of each other dataset teach, drawn with the seed; by default all of them.
        identity: proteins of more than this sequence identity, and those linked by a chain of such pairs, are one
            family; 0.3 is where alignments of unrelated proteins end.
    """

    sizes: Sizes = (24, 96)
    seeds: Seeds = 2
    test_fraction: float = 0.3
    rows: int | None = None
    identity: float = 0.3

    def __post_init__(self) -> None:
        check_curve("family_out", self.sizes, self.seeds, self.test_fraction, fewest=0)
        if not 0 <= self.identity <= 1 or (self.rows is not None and self.rows < 1):
            raise SplitError(f"family_out: identity={self.identity} must be in [0, 1], rows={self.rows} above 0")

    def split(self, dataset: Dataset, seed: int) -> Split:
        """Refused: the families are those of a study."""
        raise SplitError(f"{dataset.name}: family_out must know the study's other datasets; give them as --kin")

    def among(self, others: Mapping[str, str]) -> "FamilyOutAmong":
        """The scheme in a study with these other datasets, name -> wild type."""
        return FamilyOutAmong(self, others)


@dataclass(frozen=True)
class FamilyOutAmong:
    """family_out in a study.

    Attributes:
        settings: of the scheme.
        others: name -> wild type of every other dataset.
    """

    settings: FamilyOut
    others: Mapping[str, str]

    def split(self, dataset: Dataset, seed: int) -> Split:
        """The dataset's own questions, then a fold for each dataset of another family, in which it only teaches."""
        wanted = self.settings
        test, pool, order = drawn(dataset, wanted.test_fraction, seed)
        questions = tuple(curve(test, pool, order, wanted.sizes, wanted.seeds, dataset.name + WITHIN))
        if not questions:
            raise SplitError(f"{dataset.name}: family_out has {len(pool)} variants to learn from; set sizes up to that")
        others = {name: sequence for name, sequence in self.others.items() if name != dataset.name}
        strangers = sorted(set(others) - kin(dataset.wild_type, others, wanted.identity))
        mutants = canonical_order(dataset.variants.mutants)
        chosen = generator(dataset.name, seed, -1).permutation(len(mutants))[: wanted.rows]
        lesson = canonical_order([mutants[row] for row in chosen])
        return Split(mutants, (*questions, *(Fold(name, lesson, ()) for name in strangers)))
