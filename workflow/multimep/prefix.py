"""The frozen prefix: the layers below the first one that learns, run once for each sequence.

Their states serve every epoch, fold, size and seed that one process trains on the same model. On a CPU each sequence is
run alone, so that its numbers depend on nothing but itself: kept or computed again, they are the same bit by bit.
"""

from collections.abc import Sequence
from typing import Any
from weakref import WeakKeyDictionary

import esm
import torch
from jaxtyping import Float, Int
from torch import Tensor

from multimep.forward_pass import autocast
from multimep.language_model import LanguageModel
from multimep.trainable import below

GIB = 2**30
AT_ONCE = 2**14  # tokens in one forward pass on a GPU

_KEPT: WeakKeyDictionary[esm.ESM2, dict[tuple[Any, ...], Tensor]] = WeakKeyDictionary()


class Prefix:
    """The states that layer `first` of a frozen model reads; at most `room` GiB of them are kept with the model."""

    def __init__(self, language_model: LanguageModel, first: int, room: float) -> None:
        self.language_model, self.first, self.room = language_model, first, room * GIB
        self.kept = _KEPT.setdefault(language_model.model, {})
        self.held = sum(state.nbytes for state in self.kept.values())

    def __call__(self, tokens: Int[Tensor, "batch tokens"]) -> Float[Tensor, "batch tokens width"]:
        """The states of these sequences, from memory as far as they are there."""
        keys = [(self.first, self.language_model.precision, row.tobytes()) for row in tokens.cpu().numpy()]
        row_of = {key: row for row, key in enumerate(keys) if key not in self.kept}
        fresh = dict(zip(row_of, self._computed(tokens[list(row_of.values())]), strict=True))
        states = torch.stack([self.kept[key] if key in self.kept else fresh[key] for key in keys])
        for key, state in fresh.items():
            self._keep(key, state)
        return states

    def _keep(self, key: tuple[Any, ...], state: Tensor) -> None:
        if self.held + state.nbytes <= self.room:
            self.kept[key] = state.clone()  # a view would hold its whole batch
            self.held += state.nbytes

    @torch.no_grad()
    def _computed(self, tokens: Int[Tensor, "n tokens"]) -> Sequence[Tensor]:
        on_gpu = torch.device(self.language_model.device).type == "cuda"
        chunks = torch.split(tokens, max(1, AT_ONCE // tokens.shape[1]) if on_gpu else 1) if len(tokens) else ()
        with autocast(self.language_model.device, self.language_model.precision):
            return [state for chunk in chunks for state in below(self.language_model.model, chunk, self.first)]
