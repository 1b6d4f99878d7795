"""fine_tune_together: one copy of the PLM trained on all datasets, a fresh linear head for each (the seed study's)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

from multimep.dataset import Dataset
from multimep.embedder import Embedder
from multimep.methods.fine_tune import FineTunedPredictor, fit, restore
from multimep.methods.method import State
from multimep.training import FineTuningError, Training


@dataclass(frozen=True)
class FineTuneTogether(Training):
    """One trunk with a head per dataset; its settings are those of `Training` and one of its own.

    Attributes:
        scope: which datasets are trained together, for the caller to choose them: all of the study, or those of one
            group (type of protein) at a time. `fit` takes whatever it is given.
    """

    scope: Literal["all", "group"] = "all"

    joint: ClassVar[bool] = True

    def __post_init__(self) -> None:
        """Refuse another scope, and what `Training` refuses."""
        super().__post_init__()
        if self.scope not in ("all", "group"):
            raise FineTuningError(f"scope must be all or group, not {self.scope!r}")

    def fit(self, train: Sequence[Dataset], embedder: Embedder, seed: int) -> FineTunedPredictor:
        """Fine-tune on all the given datasets at once; raises FitError where there are none or one has no rows."""
        return fit(train, embedder, self, seed)

    def restore(self, state: State, embedder: Embedder) -> FineTunedPredictor:
        """The predictor whose `state` this is; raises FineTuningError for another language model."""
        return restore(state, embedder.language_model)
