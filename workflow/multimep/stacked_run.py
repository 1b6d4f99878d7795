"""The state of several trainings that run as one: clipping and early stopping for each model of the stack."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from multimep.training_run import RunState

EPSILON = 1e-6
"""Added to a gradient's norm before it divides, as `torch.nn.utils.clip_grad_norm_` does."""


class StackedStopping:
    """Remembers for each model the weights of its lowest validation loss; one that has stopped remembers no others.

    Attributes:
        parameters: one model a row.
        best: the same, remembered.
        lowest, waited: of each model.
    """

    def __init__(self, parameters: Sequence[Tensor], patience: int, models: int) -> None:
        self.parameters, self.patience = parameters, patience
        self.lowest, self.waited = np.full(models, math.inf), np.zeros(models, dtype=np.int64)
        self.best: list[Tensor] = []

    @torch.no_grad()
    def note(self, losses: Float[np.ndarray, " models"]) -> None:
        """Remember the weights of the models that are better than they were; NaN: there is nothing to tell by."""
        better = (losses < self.lowest) & (self.waited < self.patience)
        if better.any() and not self.best:
            self.best = [value.detach().clone() for value in self.parameters]
        for value, best in zip(self.parameters, self.best, strict=False):
            for model in np.flatnonzero(better).tolist():
                best[model] = value[model]
        self.lowest = np.where(better, losses, self.lowest)
        self.waited = np.where(better, 0, self.waited + ~np.isnan(losses))

    @property
    def over(self) -> bool:
        """Whether each model has stopped, after `patience` epochs in a row that were no better than its best."""
        return bool((self.waited >= self.patience).all())

    @torch.no_grad()
    def take_back_best(self) -> None:
        """Put the remembered weights in place; a model without any validation loss keeps its last ones."""
        for value, best in zip(self.parameters, self.best, strict=False):
            for model in np.flatnonzero(np.isfinite(self.lowest)).tolist():
                value[model] = best[model]

    def facts(self) -> dict[str, Any]:
        """Lowest losses and epochs waited, as JSON values."""
        return {"lowest": self.lowest.tolist(), "waited": self.waited.tolist()}

    def take(self, facts: Mapping[str, Any]) -> None:
        """Enter the state of these `facts`."""
        self.lowest, self.waited = np.array(facts["lowest"], np.float64), np.array(facts["waited"], np.int64)


class StackedRun(RunState[StackedStopping]):
    """The state of a stack's training between two steps; `randoms` draw the batches of each model."""

    @torch.no_grad()
    def clip(self, limit: float) -> None:
        """Shorten each model's gradient to this norm."""
        gradients = [value.grad for value in self.parameters.values() if value.grad is not None]
        norms = torch.stack([gradient.reshape(len(gradient), -1).norm(dim=1) for gradient in gradients]).norm(dim=0)
        shares = (limit / (norms + EPSILON)).clamp(max=1.0)
        for gradient in gradients:
            gradient.mul_(shares.view(-1, *[1] * (gradient.ndim - 1)))

    def end_epoch(self, losses: Float[np.ndarray, " models"]) -> None:
        """Count the epoch, and note the validation losses in its end."""
        self.count_epoch()
        self.stopping.note(losses)
