"""transmep: the published algorithm of TransMEP (strodel-group/TransMEP, MIT), for side-by-side comparison."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from multimep.dataset import Dataset
from multimep.embedder import Embedder
from multimep.gaussian_process import Hyperparameters, condition, squared_distances
from multimep.holdout import holdout_errors, holdouts, leave_one_out_errors
from multimep.landscape import HELD_OUT, LEFT_OUT, Axis, Landscape
from multimep.landscape_making import of_length_scales
from multimep.methods import kernel_predictor
from multimep.methods.features import FEATURES
from multimep.methods.kernel_predictor import KernelPredictor
from multimep.methods.method import State, only
from multimep.methods.scaling import scaling_of


@dataclass(frozen=True)
class TransMEP:
    """Kernel ridge regression with unit signal variance, alpha and gamma from a grid by repeated holdout.

    All defaults are TransMEP's own. Targets are centred and scaled; distances are divided by the number
    of features; the posterior standard deviation is that of the GP with unit signal variance and noise alpha.

    Attributes:
        features: `flattened` per-residue embeddings as published, or `one_hot` to compare without a language model.
        alpha_min, alpha_max, alpha_steps: logarithmic grid of the noise variance.
        gamma_min, gamma_max, gamma_steps: logarithmic grid of the inverse squared length scale.
        repeats: random holdouts per grid point.
        holdout: share of the training rows held out each time.
        criterion: `holdout` as published, or `leave_one_out`: each row predicted from all others over the same grid,
            in closed form, with no draw and in a thirtieth of the time; `repeats` and `holdout` then mean nothing.
    """

    features: Literal["flattened", "one_hot"] = "flattened"
    alpha_min: float = 1e-4
    alpha_max: float = 1e5
    alpha_steps: int = 50
    gamma_min: float = 1e-3
    gamma_max: float = 1e6
    gamma_steps: int = 50
    repeats: int = 1000
    holdout: float = 0.1
    criterion: Literal["holdout", "leave_one_out"] = "holdout"
    joint: ClassVar[bool] = False

    def fit(self, train: Sequence[Dataset], embedder: Embedder, seed: int) -> KernelPredictor:
        """Grid search on the training rows, then one fit on all of them."""
        data = only(train)
        canonical = data.select(sorted(data.variants.mutants))
        scaling = scaling_of(canonical)
        rows, targets = FEATURES[self.features](canonical.variants, embedder), scaling.apply(canonical.fitness)
        distances = squared_distances(rows, rows)
        hyperparameters = self.search(distances, targets, seed)
        posterior = condition(distances, targets, hyperparameters)
        return KernelPredictor(self.features, rows, targets, posterior, scaling, embedder, canonical.variants.mutants)

    def search(self, distances: np.ndarray, targets: np.ndarray, seed: int) -> Hyperparameters:
        """The grid point with the lowest mean squared error."""
        alphas, gammas = self._grid()
        errors = self._errors(distances, targets, seed)
        row, column = np.unravel_index(np.nanargmin(errors), errors.shape)
        return Hyperparameters(float(gammas[column]), 1.0, float(alphas[row]))

    def landscape(self, predictor: KernelPredictor, seed: int) -> Landscape:
        """The error of every grid point by the criterion that chose."""
        alphas, gammas = self._grid()
        chosen, rows = predictor.posterior.hyperparameters, predictor.rows
        errors = self._errors(squared_distances(rows, rows), predictor.targets, seed)
        score = HELD_OUT if self.criterion == "holdout" else LEFT_OUT
        return of_length_scales(
            gammas, Axis("noise_to_signal", alphas, chosen.noise), errors.T, chosen.gamma, score, len(rows)
        )

    def _grid(self) -> tuple[np.ndarray, np.ndarray]:
        alphas = np.geomspace(self.alpha_min, self.alpha_max, self.alpha_steps)
        return alphas, np.geomspace(self.gamma_min, self.gamma_max, self.gamma_steps)

    def _errors(self, distances: np.ndarray, targets: np.ndarray, seed: int) -> np.ndarray:
        """Mean squared error of each alpha and gamma."""
        alphas, gammas = self._grid()
        if self.criterion == "leave_one_out":
            return leave_one_out_errors(distances, targets, alphas, gammas)
        held = holdouts(len(targets), self.holdout, self.repeats, seed)
        return holdout_errors(distances, targets, alphas, gammas, held)

    def restore(self, state: State, embedder: Embedder) -> KernelPredictor:
        """The predictor whose state this is."""
        return kernel_predictor.restore(state, embedder)
