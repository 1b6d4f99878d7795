"""The predictor of every method that is a GP with an RBF kernel on one feature row per variant."""

from dataclasses import asdict, dataclass

import numpy as np
from jaxtyping import Float

from multimep.dataset import Variants
from multimep.embedder import Embedder
from multimep.gaussian_process import Hyperparameters, Posterior, condition, squared_distances
from multimep.methods.blocks import MeanAndVariance, in_blocks
from multimep.methods.features import FEATURES
from multimep.methods.method import Joint, State
from multimep.methods.scaling import Scaling
from multimep.predictions import Predictions


@dataclass(frozen=True)
class KernelPredictor:
    """A posterior with the training rows that it needs.

    Attributes:
        features: name in FEATURES.
        rows: features of the training variants, shape (n, d).
        targets: standardised training targets, shape (n,).
        posterior: conditioned on them.
        scaling: of the targets.
        embedder: where features of new variants come from.
    """

    features: str
    rows: Float[np.ndarray, "n d"]
    targets: Float[np.ndarray, "n"]
    posterior: Posterior
    scaling: Scaling
    embedder: Embedder

    def predict(self, variants: Variants) -> Predictions:
        """Posterior mean and standard deviations."""
        mean, variance = in_blocks(variants, self._predict_block)
        return self.scaling.undo(variants.mutants, mean, variance, self.posterior.hyperparameters.noise)

    def _predict_block(self, variants: Variants) -> MeanAndVariance:
        rows = FEATURES[self.features](variants, self.embedder)
        return self.posterior.predict(squared_distances(rows, self.rows))

    def joint(self, variants: Variants) -> Joint:
        """Joint posterior on the standardised scale."""
        rows = FEATURES[self.features](variants, self.embedder)
        return Joint(*self.posterior.joint(squared_distances(rows, self.rows), squared_distances(rows, rows)))

    def state(self) -> State:
        """Training rows, targets and hyperparameters; the factorisation is made again on loading."""
        facts = {
            "features": self.features,
            "hyperparameters": asdict(self.posterior.hyperparameters),
            "scaling": asdict(self.scaling),
        }
        return State({"rows": self.rows, "targets": self.targets}, facts)


def restore(state: State, embedder: Embedder) -> KernelPredictor:
    """The predictor whose state this is."""
    rows, targets = state.arrays["rows"], state.arrays["targets"]
    hyperparameters = Hyperparameters(**state.facts["hyperparameters"])
    posterior = condition(squared_distances(rows, rows), targets, hyperparameters)
    return KernelPredictor(
        state.facts["features"], rows, targets, posterior, Scaling(**state.facts["scaling"]), embedder
    )
