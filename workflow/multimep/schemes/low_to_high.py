"""low_to_high: learn from the worse variants, be asked about the better ones (FLIP's `low_vs_high`)."""

from dataclasses import dataclass

import numpy as np

from multimep.dataset import Dataset
from multimep.mutations import WILD_TYPE
from multimep.splits import Fold, Split, SplitError, canonical_order

FOLD = "low_to_high"


@dataclass(frozen=True)
class LowToHigh:
    """What is at most as good as a border teaches, what is better is asked; better as the dataset says.

    The border depends on the measurements, so a genotype that two assays measure may stand on different sides.

    Attributes:
        wild_type: the border is the fitness of the wild type where the dataset has measured it, as in FLIP; else, and
            with `wild_type: false`, the quantile.
        quantile: share of the variants that teach, 0.5, for the rank correlation needs variants to rank.
    """

    wild_type: bool = True
    quantile: float = 0.5

    def __post_init__(self) -> None:
        if not 0 < self.quantile < 1:
            raise SplitError(f"low_to_high: quantile={self.quantile} must be between 0 and 1")

    def split(self, dataset: Dataset, seed: int) -> Split:
        """One fold, `low_to_high`; `seed` changes nothing."""
        signed = dataset.fitness if dataset.higher_is_better else -dataset.fitness
        goodness = dict(zip(dataset.variants.mutants, signed.tolist(), strict=True))
        border = self._border(goodness)
        mutants = canonical_order(dataset.variants.mutants)
        train = tuple(mutant for mutant in mutants if goodness[mutant] <= border)
        test = tuple(mutant for mutant in mutants if goodness[mutant] > border)
        if not test:
            better = "the wild type: set wild_type: false" if border == goodness.get(WILD_TYPE) else "the quantile"
            raise SplitError(f"{dataset.name}: low_to_high has no variant better than {better}, or use another split")
        return Split(mutants, (Fold(FOLD, train, test),))

    def _border(self, goodness: dict[str, float]) -> float:
        if self.wild_type and WILD_TYPE in goodness:
            return goodness[WILD_TYPE]
        # the value of a variant, so that it does not depend on rounding between two
        return float(np.quantile(list(goodness.values()), self.quantile, method="inverted_cdf"))
