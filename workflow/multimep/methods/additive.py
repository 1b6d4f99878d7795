"""additive: every mutation has its own effect and effects add up; the null that every other method must beat."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from multimep import ridge
from multimep.dataset import Dataset, Variants
from multimep.embedder import Embedder
from multimep.methods.blocks import MeanAndVariance, in_blocks
from multimep.methods.features import indicators
from multimep.methods.method import State, Sums, only
from multimep.methods.ridge_state import arrays_of, ridge_of
from multimep.methods.scaling import Scaling, scaling_of
from multimep.predictions import Predictions
from multimep.ridge import Ridge


@dataclass(frozen=True)
class Additive:
    """Ridge on mutation indicators, the penalty chosen by closed-form leave-one-out error. No settings."""

    joint: ClassVar[bool] = False

    def fit(self, train: Sequence[Dataset], embedder: Embedder, seed: int) -> "AdditivePredictor":
        """One weight per mutation seen in training; nothing is drawn at random."""
        del embedder, seed
        data = only(train)
        scaling = scaling_of(data)
        mutations = tuple(sorted({str(mutation) for genotype in data.variants.genotypes for mutation in genotype}))
        posterior = ridge.fit(indicators(data.variants, mutations), scaling.apply(data.fitness))
        return AdditivePredictor(mutations, posterior, scaling)

    def restore(self, state: State, embedder: Embedder) -> "AdditivePredictor":
        """The predictor whose state this is."""
        del embedder
        return AdditivePredictor(tuple(state.facts["mutations"]), ridge_of(state), Scaling(**state.facts["scaling"]))


@dataclass(frozen=True)
class AdditivePredictor:
    """Effects of the mutations seen in training; an unseen mutation adds nothing but doubt."""

    mutations: tuple[str, ...]
    ridge: Ridge
    scaling: Scaling

    def predict(self, variants: Variants) -> Predictions:
        """Sum of effects; every unseen mutation adds the prior variance of one effect."""
        mean, variance = in_blocks(variants, self._predict_block)
        return self.scaling.undo(variants.mutants, mean, variance, self.ridge.noise)

    def _predict_block(self, variants: Variants) -> MeanAndVariance:
        table = indicators(variants, self.mutations)
        mean, variance = self.ridge.predict(table)
        unseen = variants.depths - table.sum(axis=1)
        return mean, variance + unseen * self.ridge.prior

    def sums(self, variants: Variants) -> Sums | None:
        """The predicted means, for effects add up."""
        return Sums(self.predict(variants).mean, "fitness")

    def state(self) -> State:
        """Effects, their uncertainty and the scaling."""
        arrays, facts = arrays_of(self.ridge)
        return State(arrays, {**facts, "mutations": list(self.mutations), "scaling": vars(self.scaling)})
