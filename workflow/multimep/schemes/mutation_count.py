"""mutation_count: learn from variants of few mutations, be asked about those of more."""

from dataclasses import dataclass
from typing import ClassVar

from multimep.dataset import Dataset
from multimep.schemes.scheme import By
from multimep.splits import Fold, Split, SplitError, canonical_order


@dataclass(frozen=True)
class MutationCount:
    """From few mutations to more: 1 -> 2, 1 + 2 -> 3 and deeper, and other regimes.

    Attributes:
        train_up_to: 1, single mutants (and the wild type) teach.
        test_from: fewest mutations of what is asked; by default all that is deeper than what teaches. Variants between
            the two are unused.
        test_up_to: most mutations of what is asked; by default no limit.
    """

    train_up_to: int = 1
    test_from: int | None = None
    test_up_to: int | None = None
    by: ClassVar[By] = "sequence"  # equal sequences of one wild type are equally deep

    def __post_init__(self) -> None:
        if not 0 <= self.train_up_to < self._first or (self.test_up_to is not None and self.test_up_to < self._first):
            raise SplitError(
                f"mutation_count: train_up_to={self.train_up_to}, test_from={self._first}, "
                f"test_up_to={self.test_up_to} must rise in this order (the last two may be equal)"
            )

    def split(self, dataset: Dataset, seed: int) -> Split:
        """One fold, `up_to_1`, `up_to_1_asked_2`, `up_to_2_asked_3_up`, ...; `seed` changes nothing."""
        depth = dict(zip(dataset.variants.mutants, dataset.variants.depths.tolist(), strict=True))
        mutants = canonical_order(dataset.variants.mutants)
        train = tuple(mutant for mutant in mutants if depth[mutant] <= self.train_up_to)
        test = tuple(mutant for mutant in mutants if self._first <= depth[mutant] <= (self.test_up_to or depth[mutant]))
        if not (train and test):
            found = " or ".join(map(str, sorted(set(depth.values()))))
            raise SplitError(
                f"{dataset.name}: mutation_count leaves nothing to learn from or to ask, as all variants have"
                f" {found} mutations and {self.name} is wanted (train_up_to={self.train_up_to}); use another split"
            )
        return Split(mutants, (Fold(self.name, train, test),))

    @property
    def name(self) -> str:
        """Of the fold."""
        if self.test_from is None and self.test_up_to is None:
            return f"up_to_{self.train_up_to}"
        last = "_up" if self.test_up_to is None else f"_to_{self.test_up_to}" * (self.test_up_to != self._first)
        return f"up_to_{self.train_up_to}_asked_{self._first}{last}"

    @property
    def _first(self) -> int:
        return self.train_up_to + 1 if self.test_from is None else self.test_from
