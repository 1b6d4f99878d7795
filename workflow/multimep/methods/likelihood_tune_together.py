"""likelihood_tune_together: one PLM whose log-odds rank the rows of every dataset, and a line to fitness for each."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

from multimep.dataset import Dataset
from multimep.embedder import Embedder
from multimep.likelihood_tuning import LikelihoodTuning
from multimep.methods.likelihood_tune import LikelihoodTunePredictor, fit, restored
from multimep.methods.method import State
from multimep.training import FineTuningError


@dataclass(frozen=True)
class LikelihoodTuneTogether(LikelihoodTuning):
    """One tuned language model for several datasets; its settings are those of `LikelihoodTuning` and one of its own.

    Attributes:
        scope: which datasets are tuned together, for the caller to choose them: all of the study, or those of one
            group (type of protein) at a time. `fit` takes whatever it is given.
    """

    scope: Literal["all", "group"] = "all"

    joint: ClassVar[bool] = True

    def __post_init__(self) -> None:
        """Refuse another scope, and what `LikelihoodTuning` refuses."""
        super().__post_init__()
        if self.scope not in ("all", "group"):
            raise FineTuningError(f"scope must be all or group, not {self.scope!r}")

    def fit(self, train: Sequence[Dataset], embedder: Embedder, seed: int) -> LikelihoodTunePredictor:
        """Tune on all the given datasets at once; raises FitError where there are none or one has under three rows."""
        return fit(train, embedder, self, seed)

    def restore(self, state: State, embedder: Embedder) -> LikelihoodTunePredictor:
        """The predictor whose `state` this is; it needs no language model any more."""
        del embedder
        return restored(state)
