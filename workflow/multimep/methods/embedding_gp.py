"""embedding_gp: an exact Gaussian process with an RBF kernel on embeddings."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from multimep.dataset import Dataset
from multimep.embedder import Embedder
from multimep.gaussian_process import condition, select, squared_distances
from multimep.methods import kernel_predictor
from multimep.methods.features import FEATURES
from multimep.methods.kernel_predictor import KernelPredictor
from multimep.methods.method import State, only
from multimep.methods.scaling import scaling_of


@dataclass(frozen=True)
class EmbeddingGP:
    """Length scale, signal and noise chosen on the training rows alone.

    Attributes:
        features: `pooled` (mean over residues; one length for all proteins, small), `flattened` (position-aware, as
            TransMEP's) or `one_hot` (no language model; a control).
        selection: `evidence` (marginal likelihood; the default because it also calibrates the noise) or `loo`
            (closed-form leave-one-out error; cares for the mean alone).
        selection_rows: hyperparameters are chosen on at most this many rows, drawn with the seed, since each of the
            two dozen length scales costs one eigendecomposition, O(n^3); all rows teach the final model.
    """

    features: Literal["pooled", "flattened", "one_hot"] = "pooled"
    selection: Literal["evidence", "loo"] = "evidence"
    selection_rows: int = 1000
    joint: ClassVar[bool] = False

    def fit(self, train: Sequence[Dataset], embedder: Embedder, seed: int) -> KernelPredictor:
        """Choose hyperparameters, then condition on every row."""
        data = only(train)
        scaling = scaling_of(data)
        rows, targets = FEATURES[self.features](data.variants, embedder), scaling.apply(data.fitness)
        distances = squared_distances(rows, rows)
        chosen = _sample(data, self.selection_rows, seed)
        hyperparameters = select(distances[np.ix_(chosen, chosen)], targets[chosen], self.selection)
        return KernelPredictor(
            self.features, rows, targets, condition(distances, targets, hyperparameters), scaling, embedder
        )

    def restore(self, state: State, embedder: Embedder) -> KernelPredictor:
        """The predictor whose state this is."""
        return kernel_predictor.restore(state, embedder)


def _sample(data: Dataset, most: int, seed: int) -> np.ndarray:
    """At most `most` rows, the same ones whatever the order of the rows."""
    canonical = np.argsort(np.array(data.variants.mutants))
    if len(data) <= most:
        return canonical
    return np.sort(np.random.default_rng(seed).permutation(canonical)[:most])
