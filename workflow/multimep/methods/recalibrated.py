"""recalibrated: another method with standard deviations scaled so that its errors inside the training rows fit them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

import numpy as np
from jaxtyping import Float
from scipy.special import ndtri

from multimep import nesting
from multimep.dataset import Dataset, Variants
from multimep.embedder import Embedder
from multimep.methods.method import FitError, Method, Predictor, State, only
from multimep.methods.nested import fit_with, inner_folds, joined, methods_inside, out_of_fold, part
from multimep.methods.scaling import scaling_of
from multimep.predictions import Predictions

WEAK_ROWS = 2
"""So many imagined rows whose errors fit: the scale stays 1 where nothing is known, and above 0."""
LEVEL = 0.95
BASE = "base"


@dataclass(frozen=True)
class Recalibrated:
    """Scale the standard deviations of the method in `of` by one number, from errors of inner folds.

    The scale is fitted on training rows alone: each is predicted by a fit on the other inner folds. Then the method is
    fitted on all training rows, and its latent and noisy standard deviation are multiplied by the scale; means stay.
    A method without standard deviations gets a constant one for a new measurement. The inner folds are random: where
    the rows asked are farther from the training rows than these from one another (other positions, more mutations),
    their errors are larger than the inner ones and the intervals too narrow.

    Attributes:
        of: the method, as one label with its settings (the default: `site_gp`).
        kind: `scale` is the root of the mean squared error in units of the standard deviation (the default: it uses
            every row); `conformal` puts the 95 % interval where 95 % of the inner errors lie: for errors of which a few
            are far larger than the others. With fewer than 19 rows that is the largest error.
        folds: inner ones; five leave four fifths of the rows to the inner fits. More cost more and come closer to it.
    """

    of: Mapping[str, Mapping[str, Any] | None] = field(default_factory=lambda: {"site_gp": None})
    kind: Literal["scale", "conformal"] = "scale"
    folds: int = nesting.FOLDS
    joint: ClassVar[bool] = False

    def __post_init__(self) -> None:
        """Refuse no method or several, and folds of which none could teach."""
        if len(methods_inside(self.of)) != 1:
            raise FitError(f"{nesting.KEY} names {', '.join(self.of)}; recalibrated scales one method")
        if self.folds < 2:
            raise FitError(f"folds must be at least 2, not {self.folds}")

    @property
    def base(self) -> Method:
        """The method that is scaled."""
        return next(iter(methods_inside(self.of).values()))

    def fit(self, train: Sequence[Dataset], embedder: Embedder, seed: int) -> "RecalibratedPredictor":
        """The scale from inner folds, then the method on all rows."""
        data = only(train)
        fit, spread = fit_with(self.base, embedder, seed), scaling_of(data).scale
        folds = inner_folds(data.variants.mutants, self.folds, seed)
        scale = SCALES[self.kind](_errors(out_of_fold(fit, data, folds), data, spread)) if folds else 1.0
        return RecalibratedPredictor(fit(data), scale, spread)

    def restore(self, state: State, embedder: Embedder) -> "RecalibratedPredictor":
        """The predictor whose state this is, with that of the method inside."""
        base = self.base.restore(part(state, BASE), embedder)
        return RecalibratedPredictor(base, state.facts["scale"], state.facts["spread"])


@dataclass(frozen=True)
class RecalibratedPredictor:
    """A predictor with other standard deviations.

    Attributes:
        base: fitted on all training rows.
        scale: of its standard deviations.
        spread: standard deviation of the training fitness, which the scale is of where `base` has none.
    """

    base: Predictor
    scale: float
    spread: float

    def predict(self, variants: Variants) -> Predictions:
        """The means of `base`, its standard deviations times the scale."""
        found = self.base.predict(variants)
        return Predictions(
            found.mutants, found.mean, self.scale * found.std, self.scale * _noisy_std(found, self.spread)
        )

    def state(self) -> State:
        """Both numbers, and the state of the method inside."""
        inner = joined({BASE: self.base.state()})
        return State(inner.arrays, {**inner.facts, "scale": self.scale, "spread": self.spread})


def _noisy_std(found: Predictions, spread: float) -> Float[np.ndarray, "n"]:
    return np.full(len(found), spread) if np.isnan(found.noisy_std).all() else found.noisy_std


def _errors(found: Predictions, data: Dataset, spread: float) -> Float[np.ndarray, "n"]:
    # z = (y - m) / s
    return np.asarray((data.select(found.mutants).fitness - found.mean) / _noisy_std(found, spread))


def scale_of(z: Float[np.ndarray, "n"]) -> float:
    """The most likely scale of normal errors, with WEAK_ROWS rows that say 1."""
    # s^2 = (w + sum z^2) / (w + n)
    return float(np.sqrt((WEAK_ROWS + np.sum(z**2)) / (WEAK_ROWS + len(z))))


def conformal_scale(z: Float[np.ndarray, "n"]) -> float:
    """The scale that puts the end of the 95 % interval at the conformal quantile of the absolute errors.

    Of n errors it is the k-th smallest, k = ceil(0.95 (n + 1)), the largest where k > n (Lei et al. 2018). That a new
    error lies within it with 95 % holds for exchangeable errors; those of inner fits stand for those of the final fit,
    which has more rows, so it is a close rule here and no guarantee.
    """
    k = min(len(z), int(np.ceil(LEVEL * (len(z) + 1))))
    # s = |z|_(k) / Phi^-1((1 + 0.95) / 2)
    width = float(np.sort(np.abs(z))[k - 1] / ndtri((1 + LEVEL) / 2))
    return width if width > 0 else scale_of(z)


SCALES = {"scale": scale_of, "conformal": conformal_scale}
