"""A training run: all that decides how a training goes on after a step, and the file that it can be continued from.

Continued from its file, a run makes the same steps as if it had never stopped: parameters, AdamW's moments, the best
weights so far and the generator are kept to the last bit, and the order of an epoch's batches is drawn again. On a CPU
with the same number of threads the result is therefore the same bit by bit. On a GPU the state is as exact, but kernels
that add in any order give other last bits in every run, interrupted or not; a continued run differs from an
uninterrupted one as two uninterrupted ones do. How much that is has not been measured on a GPU.
"""

import json
import math
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar, runtime_checkable

import numpy as np
import safetensors
import torch
from torch import Tensor, nn

from multimep import checkpoints, interruption, seals

WORTH = 20  # a state that takes a second to write is written every 20 s at most: keeping costs 5 % of the time or less


class TrainingRunError(ValueError):
    """A training checkpoint that cannot be read; the message names the file and the remedy."""


def rate(warm_up: float, step: int, steps: int) -> float:
    """The share of the peak learning rate at `step` (from 0) of `steps`: a linear rise, then a linear fall to zero."""
    rising = warm_up * steps
    # min(1, (t + 1) / warm, (T - t) / (T - warm))
    return min(1.0, (step + 1) / max(rising, 1.0), (steps - step) / (steps - rising))


@dataclass(frozen=True)
class Rates:
    """What AdamW is set to: peak rates of the layers and of what learns beside them, decay of the layers' matrices."""

    layers: float
    beside: float
    weight_decay: float


def optimiser_of(
    layers: Iterable[Tensor], beside: Iterable[Tensor], rates: Rates, *, stacked: bool = False
) -> torch.optim.AdamW:
    """AdamW, fused. `stacked`: the first dimension of every tensor counts models, so that a matrix has three."""
    matrices: list[Tensor] = []
    vectors: list[Tensor] = []
    for value in layers:
        (matrices if value.ndim - stacked >= 2 else vectors).append(value)
    groups = (
        (matrices, rates.layers, rates.weight_decay),
        (vectors, rates.layers, 0.0),
        (list(beside), rates.beside, 0.0),
    )
    named = [{"params": values, "lr": peak, "weight_decay": decay} for values, peak, decay in groups if values]
    return torch.optim.AdamW(named, fused=True)


class EarlyStopping:
    """Remembers the weights of the lowest validation loss; without any (NaN) it never stops and never takes back."""

    def __init__(self, parameters: Sequence[Tensor], patience: int) -> None:
        self.parameters, self.patience = parameters, patience
        self.lowest, self.waited = math.inf, 0
        self.best: list[Tensor] = []

    def should_stop(self, loss: float) -> bool:
        """True after `patience` epochs in a row that were no better than the best before."""
        if loss < self.lowest:
            self.lowest, self.waited = loss, 0
            self.best = [value.detach().clone() for value in self.parameters]
        elif not math.isnan(loss):
            self.waited += 1
        return self.waited >= self.patience

    @torch.no_grad()
    def take_back_best(self) -> None:
        """Put the remembered weights in place."""
        for value, best in zip(self.parameters, self.best, strict=False):
            value.copy_(best)

    def facts(self) -> dict[str, Any]:
        """Lowest loss and epochs waited, as JSON values."""
        return {"lowest": self.lowest, "waited": self.waited}

    def take(self, facts: Mapping[str, Any]) -> None:
        """Enter the state of these `facts`."""
        self.lowest, self.waited = float(facts["lowest"]), int(facts["waited"])


@runtime_checkable
class Stopping(Protocol):
    """What remembers the best weights, and whose state is part of the run's."""

    best: list[Tensor]

    def facts(self) -> dict[str, Any]:
        """The rest of its state, as JSON values."""
        ...

    def take(self, facts: Mapping[str, Any]) -> None:
        """Enter the state of these `facts`."""
        ...


S = TypeVar("S", bound=Stopping)


class RunState(Generic[S]):
    """The state of a training, or of several that run as one, between two steps.

    Attributes:
        parameters: by name; AdamW's moments and the best weights are kept under the same names.
        randoms: the generators that draw the batches.
        stopping: of the parameters.
        epoch, batch, step: epochs done, batches done in the epoch after them, steps done in all.
    """

    def __init__(
        self,
        parameters: Mapping[str, Tensor],
        optimiser: torch.optim.AdamW,
        randoms: Sequence[np.random.Generator],
        stopping: S,
    ) -> None:
        self.parameters, self.optimiser, self.randoms = parameters, optimiser, randoms
        self.peaks = [group["lr"] for group in optimiser.param_groups]
        self.stopping = stopping
        self.epoch, self.batch, self.step = 0, 0, 0
        self.before_epoch: Sequence[Mapping[str, Any]] = [random.bit_generator.state for random in randoms]

    def make_step(self, share: float, clip: float) -> None:
        """One step of AdamW down the gradients at hand, at this share of the peak rates; it uses them up."""
        for group, peak in zip(self.optimiser.param_groups, self.peaks, strict=True):
            group["lr"] = peak * share
        self.clip(clip)
        self.optimiser.step()
        self.optimiser.zero_grad()  # to None: a head without rows in a step stays where it is
        self.batch, self.step = self.batch + 1, self.step + 1

    def clip(self, limit: float) -> None:
        """Shorten the gradient of all parameters together to this norm."""
        nn.utils.clip_grad_norm_(list(self.parameters.values()), limit)

    def count_epoch(self) -> None:
        """One epoch more is done; the order of the next one is drawn from here."""
        self.epoch, self.batch = self.epoch + 1, 0
        self.before_epoch = [random.bit_generator.state for random in self.randoms]

    def tensors(self) -> dict[str, Tensor]:
        """Parameters, moments and best weights, as KIND/NAME."""
        found = {f"parameter/{name}": value for name, value in self.parameters.items()}
        for name, value in self.parameters.items():
            found |= {f"{kind}/{name}": moment for kind, moment in self.optimiser.state.get(value, {}).items()}
        return found | {f"best/{name}": best for name, best in zip(self.parameters, self.stopping.best, strict=False)}

    def facts(self) -> dict[str, Any]:
        """The rest of the state, as JSON values; of the generators that before an epoch's order was drawn."""
        counts = {"epoch": self.epoch, "batch": self.batch, "step": self.step}
        return {**counts, **self.stopping.facts(), "random": self._order()}

    def _order(self) -> Any:
        """The generators' states; of one its state alone, as runs were kept before there were several."""
        states = [dict(state) for state in self.before_epoch]
        return states if len(states) > 1 else states[0]

    @torch.no_grad()
    def take(self, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None:
        """Enter the state of these `tensors` and `facts`; KeyError, TypeError or ValueError for another run's."""
        found = _by_name(tensors)
        for name, value in self.parameters.items():
            kept = {kind: tensor.to(value.device, copy=True) for kind, tensor in found[name].items()}
            if kept["parameter"].shape != value.shape:
                raise ValueError(f"{name} has shape {tuple(kept['parameter'].shape)}, not {tuple(value.shape)}")
            value.copy_(kept.pop("parameter"))
            self.stopping.best += [kept.pop("best")] if "best" in kept else []
            if kept:  # a head that no batch has reached yet has no moments
                self.optimiser.state[value] = kept
        self.epoch, self.batch, self.step = (int(facts[name]) for name in ("epoch", "batch", "step"))
        self.stopping.take(facts)
        found = facts["random"]
        self.before_epoch = found if isinstance(found, list) else [found]
        for random, state in zip(self.randoms, self.before_epoch, strict=True):
            random.bit_generator.state = state


class TrainingRun(RunState[EarlyStopping]):
    """The state of one training between two steps."""

    @property
    def random(self) -> np.random.Generator:
        """The one generator."""
        return self.randoms[0]

    def ends_with_epoch(self, loss: float) -> bool:
        """Count the epoch; True where its validation loss says that no other should follow."""
        self.count_epoch()
        return self.stopping.should_stop(loss)


def _by_name(tensors: Mapping[str, Tensor]) -> dict[str, dict[str, Tensor]]:
    found: dict[str, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        kind, _, name = key.partition("/")
        found.setdefault(name, {})[kind] = value
    return found


class Checkpointing:
    """Keeps a run's state in `path` when a signal asks for it and from time to time; without a path, never."""

    def __init__(self, run: RunState[Any], path: Path | None) -> None:
        self.run, self.path = run, path
        self.due = time.monotonic() + interruption.EVERY_SECONDS
        if path is not None and path.is_file():
            read(run, path)

    def between_steps(self) -> None:
        """Write where it is due; raises Interrupted, the state kept, where a signal asked for it."""
        if self.path is not None and (interruption.requested() or time.monotonic() >= self.due):
            began = time.monotonic()
            write(self.run, self.path)
            now = time.monotonic()
            self.due = now + max(interruption.EVERY_SECONDS, WORTH * (now - began))
            interruption.stop_if_requested()

    def finished(self) -> None:
        """Write the state of a run that is over, for what follows it in the same command may be interrupted."""
        if self.path is not None:
            write(self.run, self.path)


def write(run: RunState[Any], path: Path) -> None:
    """Write the state of the run and its seal, whole or not at all; raises WritingError where there is no room."""
    state = {key: value.detach().cpu().contiguous() for key, value in run.tensors().items()}
    checkpoints.write_tensors(path, state, {"run": json.dumps(run.facts())}, seals.sealed)


def read(run: RunState[Any], path: Path) -> None:
    """Put the run into the state that `write` wrote; raises TrainingRunError for a damaged file."""
    seals.check(path, TrainingRunError)
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            run.take({key: file.get_tensor(key) for key in file.keys()}, json.loads(file.metadata()["run"]))  # noqa: SIM118
    except (safetensors.SafetensorError, KeyError, TypeError, ValueError) as error:
        raise TrainingRunError(
            f"{path}: a training cannot be continued from it ({error}); delete the file, and the training starts anew"
        ) from error
