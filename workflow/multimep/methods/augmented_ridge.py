"""augmented_ridge: ridge on the one-hot sequence and one zero-shot score, which is hardly penalised."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from jaxtyping import Float

from multimep import ridge
from multimep.dataset import Dataset, Variants
from multimep.embedder import Embedder
from multimep.methods.blocks import in_blocks
from multimep.methods.features import one_hot
from multimep.methods.method import FitError, State, Sums, only
from multimep.methods.ridge_state import arrays_of, ridge_of
from multimep.methods.scaling import Scaling, scaling_of
from multimep.methods.zero_shot_score import NONE, ZeroShotScore, score_of, zero_shot_score
from multimep.predictions import Predictions
from multimep.ridge import Ridge

FREEDOM = 1e3
"""Times the standardised score enters: its weight is penalised a million times less than those of the residues, that
is not at all (Hsu et al. 2022, doi:10.1038/s41587-021-01146-5: 1e-8 beside 0.1 to 1,000)."""


@dataclass(frozen=True)
class AugmentedRidge:
    """The augmented model of Hsu et al. 2022, penalty of the residues by closed-form leave-one-out error.

    Attributes:
        zero_shot: where the score comes from: `masked` (L forward passes a protein; the better score in Meier et al.
            2021, hence the default), `wild_type` (one pass), or the name of a covariate that the source declares.
    """

    zero_shot: str = "masked"
    joint: ClassVar[bool] = False

    def __post_init__(self) -> None:
        """Refuse to be another method."""
        if self.zero_shot == NONE:
            raise FitError("augmented_ridge without a zero-shot score is one_hot_ridge; name that, or a score")

    def fit(self, train: Sequence[Dataset], embedder: Embedder, seed: int) -> "AugmentedRidgePredictor":
        """One weight per position and amino acid, one of the score; nothing is drawn at random."""
        del seed
        data = only(train)
        scaling = scaling_of(data)
        score = zero_shot_score(self.zero_shot, data.variants, embedder)
        rows = _features(data.variants, score, embedder)
        return AugmentedRidgePredictor(ridge.fit(rows, scaling.apply(data.fitness)), score, scaling, embedder)

    def restore(self, state: State, embedder: Embedder) -> "AugmentedRidgePredictor":
        """The predictor whose state this is."""
        score = score_of(state, state.facts["zero_shot"])
        return AugmentedRidgePredictor(ridge_of(state), score, Scaling(**state.facts["scaling"]), embedder)


@dataclass(frozen=True)
class AugmentedRidgePredictor:
    """Weights of the one-hot sequence and of the score."""

    ridge: Ridge
    score: ZeroShotScore
    scaling: Scaling
    embedder: Embedder

    def predict(self, variants: Variants) -> Predictions:
        """Linear in the one-hot sequence and the score."""
        mean, variance = in_blocks(
            variants, lambda part: self.ridge.predict(_features(part, self.score, self.embedder))
        )
        return self.scaling.undo(variants.mutants, mean, variance, self.ridge.noise)

    def sums(self, variants: Variants) -> Sums | None:
        """The predicted means; None where the score is a covariate, of which nobody knows whether it is a sum."""
        return Sums(self.predict(variants).mean, "fitness") if self.score.adds_up else None

    def state(self) -> State:
        """Weights, their uncertainty, the score and the scaling."""
        arrays, facts = arrays_of(self.ridge)
        return State(
            {**arrays, **self.score.arrays}, {**facts, "zero_shot": self.score.facts, "scaling": vars(self.scaling)}
        )


def _features(variants: Variants, score: ZeroShotScore, embedder: Embedder) -> Float[np.ndarray, "n d"]:
    return np.column_stack([one_hot(variants, embedder).astype(np.float64), FREEDOM * score(variants)])
