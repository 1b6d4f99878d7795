"""fine_tune: for each dataset its own copy of the PLM, trained whole with a fresh linear head (the seed study's)."""

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Float

from multimep import fine_tuning
from multimep.dataset import Dataset, Variants
from multimep.embedder import Embedder
from multimep.fine_tuning import FineTuned, Head, trunk_parameters
from multimep.language_model import LanguageModel
from multimep.methods.method import FitError, Reading, State, only
from multimep.methods.scaling import require_squares
from multimep.predictions import Predictions, without_std
from multimep.stacked_training import fine_tune_each
from multimep.training import FineTuningError, Training

TRUNK, HEAD = "trunk/", "head/"  # prefixes of the stored arrays' names


@dataclass(frozen=True)
class FineTune(Training):
    """One fine-tuned model per dataset; its settings are those of `Training` and one more.

    Attributes:
        models_at_once: how many models of equally many steps (folds, sizes, seeds) are trained as one batch. Each
            learns what it would alone, but for rounding; memory grows with their number. For small models on a GPU,
            which wait for operations to start; on a processor eight of `mini`'s size were 1.2 to 1.3 times as fast
            (docs/performance.md). Without effect inside other methods.
    """

    joint: ClassVar[bool] = False
    models_at_once: int = 1

    def __post_init__(self) -> None:
        """Refuse settings with which nothing could be learnt, each by its name."""
        super().__post_init__()
        if self.models_at_once < 1:
            raise FineTuningError(f"models_at_once must be 1 or above, not {self.models_at_once!r}")

    def fit(self, train: Sequence[Dataset], embedder: Embedder, seed: int) -> "FineTunedPredictor":
        """Fine-tune on the one dataset; raises FitError without rows. A constant fitness is predicted as it is."""
        return fit([only(train)], embedder, self, seed)

    def fit_each(
        self, trains: Sequence[Dataset], embedder: Embedder, seed: int
    ) -> Sequence[Callable[[], "FineTunedPredictor"]]:
        """The same for several training sets, `models_at_once` of them as one batch when the first is called."""
        if self.models_at_once == 1:
            return [partial(self.fit, [part], embedder, seed) for part in trains]
        for part in trains:
            require_rows([part])
        models = fine_tune_each(embedder.language_model, trains, self, self.models_at_once, seed)
        return [partial(_predictor, model) for model in models]

    def restore(self, state: State, embedder: Embedder) -> "FineTunedPredictor":
        """The predictor whose `state` this is; raises FineTuningError for another language model."""
        return restore(state, embedder.language_model)


@dataclass(frozen=True)
class FineTunedPredictor:
    """A fine-tuned model of one dataset or of several; it gives no uncertainty."""

    tuned: FineTuned

    def predict(self, variants: Variants) -> Predictions:
        """Means alone; raises FineTuningError for a dataset that was not among those taught."""
        return without_std(variants.mutants, self.tuned.predict(variants))

    def reading(self, dataset: str) -> Reading | None:
        """The head's line over pooled states; raises FineTuningError as `predict`."""
        head = self.tuned.head_of(dataset)
        weight = head.scale * head.weight.double().cpu().numpy()
        start = head.mean + head.scale * head.bias.item()

        def value(pooled: Float[np.ndarray, "b d"]) -> tuple[Float[np.ndarray, "b"], Float[np.ndarray, "b d"]]:
            return start + pooled @ weight, np.tile(weight, (len(pooled), 1))

        return Reading(self.tuned.trunk, True, value, head.scale)

    def state(self) -> State:
        """Every trained layer (float32), every head (float64), and the language model that they came from."""
        trunk = self.tuned.trunk
        layers = {TRUNK + name: value.cpu().numpy() for name, value in trunk_parameters(trunk.model).items()}
        heads = {HEAD + name: _head_array(head) for name, head in self.tuned.heads.items()}
        facts = {"language_model": trunk.name, "sha256": trunk.sha256, "precision": trunk.precision}
        return State(layers | heads, facts)


def fit(train: Sequence[Dataset], embedder: Embedder, settings: Training, seed: int) -> FineTunedPredictor:
    """Fine-tune one model on all the datasets; raises FitError where there are none, no rows, or no squares of them."""
    require_rows(train)
    return FineTunedPredictor(fine_tuning.fine_tune(embedder.language_model, train, settings, seed))


def require_rows(train: Sequence[Dataset]) -> None:
    """Refuse training sets from which nothing can be learnt: none, one without rows, one whose squares overflow."""
    empty = [part.name for part in train if not len(part)]
    if empty or not train:
        raise FitError(f"fine-tuning needs training rows, there are none for {', '.join(empty) or 'any dataset'}")
    for part in train:
        require_squares(part.fitness, part.name)


def _predictor(model: Callable[[], FineTuned]) -> FineTunedPredictor:
    return FineTunedPredictor(model())


def restore(state: State, language_model: LanguageModel) -> FineTunedPredictor:
    """The predictor whose `state` this is; raises FineTuningError for another language model."""
    facts = state.facts
    if facts["sha256"] != language_model.sha256:
        raise FineTuningError(
            f"fine-tuned from {facts['language_model']} (sha256 {facts['sha256']}), "
            f"the language model at hand is {language_model.name} (sha256 {language_model.sha256})"
        )
    model = copy.deepcopy(language_model.model).requires_grad_(False)
    for name, value in trunk_parameters(model).items():
        value.copy_(torch.from_numpy(state.arrays[TRUNK + name]))
    trunk = replace(language_model, model=model, precision=facts["precision"])
    return FineTunedPredictor(FineTuned(trunk, _heads(state.arrays, trunk.device)))


def _heads(arrays: Mapping[str, np.ndarray], device: str) -> dict[str, Head]:
    names = sorted(name.removeprefix(HEAD) for name in arrays if name.startswith(HEAD))
    return {name: _head(arrays[HEAD + name], device) for name in names}


def _head_array(head: Head) -> Float[np.ndarray, " numbers"]:
    # weight, bias, mean, scale
    return np.concatenate([head.weight.cpu().numpy(), np.array([head.bias.item(), head.mean, head.scale])])


def _head(values: Float[np.ndarray, " numbers"], device: str) -> Head:
    layer = torch.tensor(values[:-2], dtype=torch.float32, device=device)
    return Head(layer[:-1], layer[-1], float(values[-2]), float(values[-1]))
