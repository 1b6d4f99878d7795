"""zero_shot: the language model's log-odds of the mutations; no measurement is used but the direction of the target."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
from jaxtyping import Float

from multimep.dataset import Dataset, Variants
from multimep.embedder import Embedder
from multimep.methods.method import State, Sums, only
from multimep.mutations import COLUMN, Genotype
from multimep.predictions import Predictions, without_std


@dataclass(frozen=True)
class ZeroShot:
    """Sum over the mutations of log p(substitute) - log p(reference) at the wild type.

    Attributes:
        marginals: `masked` hides each position in turn (L forward passes a protein; the better score in Meier et al.
            2021, hence the default), `wild_type` needs one pass.
    """

    marginals: Literal["masked", "wild_type"] = "masked"
    joint: ClassVar[bool] = False

    def fit(self, train: Sequence[Dataset], embedder: Embedder, seed: int) -> "ZeroShotPredictor":
        """Look at the wild type; the fitness is ignored, only its direction is taken over."""
        del seed
        data = only(train)
        sign = 1.0 if data.higher_is_better else -1.0
        return ZeroShotPredictor(data.wild_type, embedder.marginals(data.wild_type, self.marginals), sign)

    def restore(self, state: State, embedder: Embedder) -> "ZeroShotPredictor":
        """The predictor whose state this is."""
        del embedder
        return ZeroShotPredictor(state.facts["wild_type"], state.arrays["log_probabilities"], state.facts["sign"])


@dataclass(frozen=True)
class ZeroShotPredictor:
    """Log-probabilities at one wild type."""

    wild_type: str
    log_probabilities: Float[np.ndarray, "length 20"]
    sign: float

    def predict(self, variants: Variants) -> Predictions:
        """Log-odds in nats, turned so that they rise with the target; comparable by rank, not by value."""
        return without_std(variants.mutants, self.sign * scores(self.log_probabilities, variants.genotypes))

    def sums(self, variants: Variants) -> Sums | None:
        """The scores, which are sums of log-odds."""
        return Sums(self.predict(variants).mean, "fitness")

    def state(self) -> State:
        """The log-probabilities and the direction."""
        return State({"log_probabilities": self.log_probabilities}, {"wild_type": self.wild_type, "sign": self.sign})


def scores(
    log_probabilities: Float[np.ndarray, "length 20"], genotypes: Sequence[Genotype]
) -> Float[np.ndarray, " variants"]:
    """The zero-shot score of each genotype: how much likelier its residues are than the wild type's, in nats."""
    # s(g) = sum over mutations of log p(substitute | position) - log p(reference | position), in float64
    table = np.asarray(log_probabilities, np.float64)
    return np.array(
        [
            sum(
                table[m.position - 1, COLUMN[m.substitute]] - table[m.position - 1, COLUMN[m.reference]]
                for m in genotype
            )
            for genotype in genotypes
        ],
        dtype=float,
    )
