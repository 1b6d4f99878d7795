"""sparse_gp: embedding_gp for hundreds of thousands of variants, through inducing points."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import ClassVar, Literal

import numpy as np

from multimep import inducing_points
from multimep.batched_evidence import select_many
from multimep.dataset import Dataset, Variants
from multimep.embedder import Embedder
from multimep.gaussian_process import Hyperparameters, squared_distances
from multimep.inducing_points import Projected
from multimep.methods.blocks import MeanAndVariance, in_blocks
from multimep.methods.features import FEATURES
from multimep.methods.method import FitError, State, only
from multimep.methods.scaling import FEWEST_ROWS, Scaling, scaling_of
from multimep.predictions import Predictions


@dataclass(frozen=True)
class SparseGP:
    """Time grows with the rows, not with their cube, and memory with the square of the inducing points alone.

    Attributes:
        features: as in `embedding_gp`.
        inducing: how many training rows, drawn with the seed, carry what all of them teach; twice as many take four
            times as long. With no fewer than there are rows it is `embedding_gp`. Drawn at random because rows chosen
            to cover the space (greedily by their variance) predicted worse in every trial.
        selection_rows: hyperparameters are chosen by evidence on at most this many rows, drawn with the seed.
    """

    features: Literal["pooled", "flattened", "one_hot"] = "pooled"
    inducing: int = 1024
    selection_rows: int = 1000
    joint: ClassVar[bool] = False

    def __post_init__(self) -> None:
        """Refuse samples that could not even be scaled."""
        for name in ("inducing", "selection_rows"):
            if getattr(self, name) < FEWEST_ROWS:
                raise FitError(f"{name} must be at least {FEWEST_ROWS}, not {getattr(self, name)}")

    def fit(self, train: Sequence[Dataset], embedder: Embedder, seed: int) -> "SparseGPPredictor":
        """Choose hyperparameters on a sample, then let every row teach the inducing points."""
        data = only(train)
        scaling = scaling_of(data)
        rows, targets = FEATURES[self.features](data.variants, embedder), scaling.apply(data.fitness)
        # one order whatever the order given: the first of it are the samples, and sums are the same
        order = np.random.default_rng(seed).permutation(np.argsort(np.array(data.variants.mutants)))
        chosen = np.sort(order[: self.selection_rows])
        (best,) = select_many([(squared_distances(rows[chosen], rows[chosen]), targets[chosen])])
        projected = inducing_points.project(rows, targets, rows[order[: self.inducing]], best)
        return SparseGPPredictor(self.features, projected, scaling, embedder)

    def restore(self, state: State, embedder: Embedder) -> "SparseGPPredictor":
        """The predictor whose state this is."""
        arrays, facts = state.arrays, state.facts
        hyperparameters = Hyperparameters(**facts["hyperparameters"])
        projected = inducing_points.restored(arrays["points"], arrays["inner"], arrays["weights"], hyperparameters)
        return SparseGPPredictor(facts["features"], projected, Scaling(**facts["scaling"]), embedder)


@dataclass(frozen=True)
class SparseGPPredictor:
    """The inducing points and what they know; no other row is needed any more.

    Attributes:
        features: name in FEATURES.
        projected: in standardised units.
        scaling: of the targets.
        embedder: where features of new variants come from.
    """

    features: str
    projected: Projected
    scaling: Scaling
    embedder: Embedder

    def predict(self, variants: Variants) -> Predictions:
        """Posterior mean and standard deviations."""
        mean, variance = in_blocks(variants, self._predict_block)
        return self.scaling.undo(variants.mutants, mean, variance, self.projected.hyperparameters.noise)

    def _predict_block(self, variants: Variants) -> MeanAndVariance:
        return self.projected.predict(FEATURES[self.features](variants, self.embedder))

    def state(self) -> State:
        """The inducing points, their factor and weights, and the jitter of their kernel, factorised anew on loading."""
        one = self.projected
        facts = {
            "features": self.features,
            "hyperparameters": asdict(one.hyperparameters),
            "scaling": asdict(self.scaling),
            "jitter": inducing_points.JITTER,
        }
        return State({"points": one.points, "inner": one.inner, "weights": one.weights}, facts)
