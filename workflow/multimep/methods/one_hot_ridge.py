"""one_hot_ridge: ridge on the one-hot sequence, the usual baseline of the field."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from multimep import ridge
from multimep.dataset import Dataset, Variants
from multimep.embedder import Embedder
from multimep.methods.blocks import in_blocks
from multimep.methods.features import one_hot
from multimep.methods.method import State, Sums, only
from multimep.methods.ridge_state import arrays_of, ridge_of
from multimep.methods.scaling import Scaling, scaling_of
from multimep.predictions import Predictions
from multimep.ridge import Ridge


@dataclass(frozen=True)
class OneHotRidge:
    """Ridge on one indicator per position and amino acid, penalty by closed-form leave-one-out error. No settings.

    It differs from `additive` in one thing: the wild-type residue has a weight too, so substitutions at one site share
    what all of them lose.
    """

    joint: ClassVar[bool] = False

    def fit(self, train: Sequence[Dataset], embedder: Embedder, seed: int) -> "OneHotRidgePredictor":
        """One weight per position and amino acid; nothing is drawn at random."""
        del seed
        data = only(train)
        scaling = scaling_of(data)
        return OneHotRidgePredictor(
            ridge.fit(one_hot(data.variants, embedder), scaling.apply(data.fitness)), scaling, embedder
        )

    def restore(self, state: State, embedder: Embedder) -> "OneHotRidgePredictor":
        """The predictor whose state this is."""
        return OneHotRidgePredictor(ridge_of(state), Scaling(**state.facts["scaling"]), embedder)


@dataclass(frozen=True)
class OneHotRidgePredictor:
    """Weights of the one-hot sequence."""

    ridge: Ridge
    scaling: Scaling
    embedder: Embedder

    def predict(self, variants: Variants) -> Predictions:
        """Linear in the one-hot sequence."""
        mean, variance = in_blocks(variants, lambda part: self.ridge.predict(one_hot(part, self.embedder)))
        return self.scaling.undo(variants.mutants, mean, variance, self.ridge.noise)

    def sums(self, variants: Variants) -> Sums | None:
        """The predicted means: each mutation takes one weight away and brings another."""
        return Sums(self.predict(variants).mean, "fitness")

    def state(self) -> State:
        """Weights, their uncertainty and the scaling."""
        arrays, facts = arrays_of(self.ridge)
        return State(arrays, {**facts, "scaling": vars(self.scaling)})
