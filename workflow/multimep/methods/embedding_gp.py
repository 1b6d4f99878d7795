"""embedding_gp: an exact Gaussian process with an RBF kernel on embeddings."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import ClassVar, Literal

import numpy as np
from jaxtyping import Float

from multimep.batched_evidence import Problem, select_many
from multimep.dataset import Dataset
from multimep.embedder import Embedder
from multimep.gaussian_process import Hyperparameters, condition, select, squared_distances
from multimep.landscape import Landscape
from multimep.landscape_making import of_rbf
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
            some forty points that are tried costs a decomposition, O(n^3); all rows teach the final model.
    """

    features: Literal["pooled", "flattened", "one_hot"] = "pooled"
    selection: Literal["evidence", "loo"] = "evidence"
    selection_rows: int = 1000
    joint: ClassVar[bool] = False

    def fit(self, train: Sequence[Dataset], embedder: Embedder, seed: int) -> KernelPredictor:
        """Choose hyperparameters, then condition on every row."""
        data = only(train)
        rows = FEATURES[self.features](data.variants, embedder)
        (chosen,) = self._chosen([self._problem(data, rows, seed)])
        return self._conditioned(data, rows, chosen, embedder)

    def fit_each(
        self, trains: Sequence[Dataset], embedder: Embedder, seed: int
    ) -> Sequence[Callable[[], KernelPredictor]]:
        """The same for several training sets: hyperparameters of all of them at once, each posterior when called.

        Features are asked twice, for those of all sets at once would fill the memory.
        """
        asked = FEATURES[self.features]
        chosen = self._chosen([self._problem(data, asked(data.variants, embedder), seed) for data in trains])

        def finished(data: Dataset, one: Hyperparameters) -> KernelPredictor:
            return self._conditioned(data, asked(data.variants, embedder), one, embedder)

        return [partial(finished, data, one) for data, one in zip(trains, chosen, strict=True)]

    def _problem(self, data: Dataset, rows: Float[np.ndarray, "n d"], seed: int) -> Problem:
        chosen = _sample(data.variants.mutants, self.selection_rows, seed)
        return squared_distances(rows[chosen], rows[chosen]), scaling_of(data).apply(data.fitness)[chosen]

    def _chosen(self, problems: Sequence[Problem]) -> list[Hyperparameters]:
        if self.selection == "evidence":
            return select_many(problems)
        return [select(distances, targets, self.selection) for distances, targets in problems]

    def _conditioned(
        self, data: Dataset, rows: Float[np.ndarray, "n d"], hyperparameters: Hyperparameters, embedder: Embedder
    ) -> KernelPredictor:
        scaling = scaling_of(data)
        targets = scaling.apply(data.fitness)
        posterior = condition(squared_distances(rows, rows), targets, hyperparameters)
        return KernelPredictor(self.features, rows, targets, posterior, scaling, embedder, data.variants.mutants)

    def landscape(self, predictor: KernelPredictor, seed: int) -> Landscape:
        """The criterion of `selection` over length scale and noise, on the rows on which they were chosen."""
        chosen = _sample(predictor.mutants, self.selection_rows, seed)
        distances = squared_distances(predictor.rows[chosen], predictor.rows[chosen])
        return of_rbf(distances, predictor.targets[chosen], predictor.posterior.hyperparameters, self.selection)

    def restore(self, state: State, embedder: Embedder) -> KernelPredictor:
        """The predictor whose state this is."""
        return kernel_predictor.restore(state, embedder)


def _sample(mutants: Sequence[str], most: int, seed: int) -> np.ndarray:
    """At most `most` rows, the same ones whatever the order of the rows."""
    canonical = np.argsort(np.array(mutants))
    if len(mutants) <= most:
        return canonical
    return np.sort(np.random.default_rng(seed).permutation(canonical)[:most])
