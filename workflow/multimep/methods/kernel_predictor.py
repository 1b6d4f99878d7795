"""The predictor of every method that is a GP with an RBF kernel on one feature row per variant."""

from dataclasses import asdict, dataclass

import numpy as np
from jaxtyping import Float

from multimep.dataset import Variants
from multimep.embedder import Embedder
from multimep.gaussian_process import Hyperparameters, Posterior, condition, rbf, squared_distances
from multimep.methods.blocks import MeanAndVariance, in_blocks
from multimep.methods.features import FEATURES
from multimep.methods.method import Joint, Reading, Recall, State
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
        mutants: of the training rows; none where an older file does not name them.
    """

    features: str
    rows: Float[np.ndarray, "n d"]
    targets: Float[np.ndarray, "n"]
    posterior: Posterior
    scaling: Scaling
    embedder: Embedder
    mutants: tuple[str, ...] = ()

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

    def recall(self, variants: Variants) -> Recall:
        """What each training row adds to the standardised mean."""
        distances = squared_distances(FEATURES[self.features](variants, self.embedder), self.rows)
        chosen = self.posterior.hyperparameters
        # A = s (K / s + (noise / s) I): its factor is that of the posterior times sqrt(s)
        factor, weights = np.sqrt(chosen.signal) * self.posterior.factor, self.posterior.weights / chosen.signal
        cross = chosen.signal * rbf(distances, chosen.gamma)
        _, variance = self.posterior.predict(distances)
        return Recall(self.mutants, np.zeros(len(variants)), cross, variance, factor, weights, self._fitness)

    def _fitness(self, mean: Float[np.ndarray, "m"], variance: Float[np.ndarray, "m"]) -> Float[np.ndarray, "m"]:
        del variance
        return mean * self.scaling.scale + self.scaling.mean

    def reading(self, dataset: str) -> Reading | None:
        """How the mean follows from the language model's last states; None for `one_hot`."""
        del dataset
        if self.features not in ("pooled", "flattened"):
            return None
        return Reading(self.embedder.language_model, self.features == "pooled", self._value, self.scaling.scale)

    def _value(self, features: Float[np.ndarray, "b d"]) -> tuple[Float[np.ndarray, "b"], Float[np.ndarray, "b d"]]:
        # mean = sum_i w_i k_i with k_i = exp(-gamma |x - x_i|^2 / d);  gradient = -2 gamma / d sum_i w_i k_i (x - x_i)
        gamma, x = self.posterior.hyperparameters.gamma, np.asarray(features, np.float64)
        each = rbf(squared_distances(x, self.rows), gamma) * self.posterior.weights
        total = each.sum(axis=1)
        gradient = -2 * gamma / x.shape[1] * (total[:, None] * x - each @ self.rows)
        return total * self.scaling.scale + self.scaling.mean, gradient * self.scaling.scale

    def state(self) -> State:
        """Training rows, targets and hyperparameters; the factorisation is made again on loading."""
        facts = {
            "features": self.features,
            "mutants": list(self.mutants),
            "hyperparameters": asdict(self.posterior.hyperparameters),
            "scaling": asdict(self.scaling),
        }
        return State({"rows": self.rows, "targets": self.targets}, facts)


def restore(state: State, embedder: Embedder) -> KernelPredictor:
    """The predictor whose state this is."""
    rows, targets = state.arrays["rows"], state.arrays["targets"]
    hyperparameters = Hyperparameters(**state.facts["hyperparameters"])
    posterior = condition(squared_distances(rows, rows), targets, hyperparameters)
    scaling, mutants = Scaling(**state.facts["scaling"]), tuple(state.facts.get("mutants", ()))
    return KernelPredictor(state.facts["features"], rows, targets, posterior, scaling, embedder, mutants)
