"""Several small models trained as one batch: each ends as `fine_tuning.fine_tune` would leave it, but for rounding.

Trainings that make equally many steps over sequences of one length go side by side: folds, sizes and seeds of a
dataset. Each has its own rows, order of batches, clipping, early stopping and head; a batch that is a row shorter than
its neighbour's is filled up with a row that counts nothing.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from multimep import interruption, low_rank
from multimep.dataset import Dataset
from multimep.fine_tuning import (
    TOKENS_PER_BATCH,
    FineTuned,
    Lesson,
    copy_of,
    facts,
    fine_tune,
    fresh_head,
    generator,
    in_order,
    interleave,
    learning,
    lesson_of,
    parts,
    prefix_of,
)
from multimep.language_model import LanguageModel
from multimep.model_stack import Stack, stack
from multimep.stacked_run import StackedRun, StackedStopping
from multimep.training import Training
from multimep.training_run import Checkpointing, optimiser_of, rate

WEIGHT, BIAS = "head.weight", "head.bias"

Values = Mapping[str, Tensor]


def fine_tune_each(
    language_model: LanguageModel, trains: Sequence[Dataset], settings: Training, models_at_once: int, seed: int
) -> list[Callable[[], FineTuned]]:
    """For each of these datasets, in their order, what gives the model that `fine_tune` on it alone gives.

    At most `models_at_once` are trained together, when the first of them is called; the others wait until they are. One
    that has no companion is trained alone. Raises FineTuningError as `fine_tune`, at once or when called.
    """
    alone = [partial(fine_tune, language_model, [part], settings, seed) for part in trains]
    found: list[Callable[[], FineTuned]] = list(alone)
    for numbers in _groups([in_order([part])[0] for part in trains], settings, models_at_once):
        together = Together(language_model, [trains[number] for number in numbers], settings, seed)
        for place, number in enumerate(numbers):
            found[number] = partial(together.model, place)
    return found


def _groups(trains: Sequence[Dataset], settings: Training, most: int) -> Iterator[list[int]]:
    """Which trainings go together, two or more: those of equal length and steps."""
    alike: dict[tuple[int, int], list[int]] = {}
    for number, part in enumerate(trains):
        if np.ptp(part.fitness) > 0.0:  # a constant fitness teaches nothing
            taught = len(part) - settings.kept(len(part))
            alike.setdefault((len(part.wild_type), math.ceil(taught / settings.batch_size)), []).append(number)
    for numbers in alike.values():
        for start in range(0, len(numbers), most):
            if len(chunk := numbers[start : start + most]) > 1:
                yield chunk


@dataclass
class Together:
    """Trainings of one stack; what each learnt is kept until it is asked for.

    Attributes:
        language_model: that all begin from.
        trains: the datasets, one for each model.
        settings, seed: of all.
    """

    language_model: LanguageModel
    trains: Sequence[Dataset]
    settings: Training
    seed: int

    def __post_init__(self) -> None:
        """Nothing is trained yet."""
        self._waiting: dict[int, Values] = {}

    def model(self, number: int) -> FineTuned:
        """The trained model of one of the datasets."""
        if number not in self._waiting:
            self._waiting = self._trained()
        learnt, part = self._waiting.pop(number), in_order([self.trains[number]])[0]
        trunk = copy_of(self.language_model, self.settings)
        with torch.no_grad():
            for name, value in learning(trunk.model, self.settings, self.seed).items():
                value.copy_(learnt[name])
        low_rank.merge(trunk.model)
        trunk.model.requires_grad_(False)
        head = fresh_head(part, trunk, self.seed)
        return FineTuned(trunk, {part.name: replace(head, weight=learnt[WEIGHT], bias=learnt[BIAS])})

    def _trained(self) -> dict[int, Values]:
        settings, seed = self.settings, self.seed
        trunk = copy_of(self.language_model, settings)
        datasets = [in_order([part])[0] for part in self.trains]
        heads = [fresh_head(part, trunk, seed) for part in datasets]
        lessons = [lesson_of(part, head, trunk, settings, seed) for part, head in zip(datasets, heads, strict=True)]
        single = learning(trunk.model, settings, seed)
        trunk.model.requires_grad_(False)
        prefix = prefix_of(self.language_model, settings)
        copies = stack(trunk, single, len(datasets), settings.first(trunk.layers), prefix)
        course = Course(copies, lessons, settings, seed)
        decided = facts(trunk, settings, seed, datasets)
        course.run(Checkpointing(course.training, interruption.place("stack", ".safetensors", *decided, shared=True)))
        learnt = {**copies.learned, **course.heads}
        return {
            number: {name: value[number].detach().clone() for name, value in learnt.items()}
            for number in range(len(datasets))
        }


class Course:
    """The common course of a stack's trainings."""

    def __init__(self, copies: Stack, lessons: Sequence[Lesson], settings: Training, seed: int) -> None:
        self.copies, self.lessons, self.settings = copies, lessons, settings
        self.heads = {
            WEIGHT: torch.stack([lesson.head.weight for lesson in lessons]).requires_grad_(),
            BIAS: torch.stack([lesson.head.bias for lesson in lessons]).requires_grad_(),
        }
        learnt = {**copies.learned, **self.heads}
        optimiser = optimiser_of(copies.learned.values(), self.heads.values(), settings.rates, stacked=True)
        randoms = [generator(seed, "order of the batches") for _ in lessons]
        stopping = StackedStopping(list(learnt.values()), settings.patience, len(lessons))
        self.training = StackedRun(learnt, optimiser, randoms, stopping)

    def run(self, checkpointing: Checkpointing) -> None:
        """Train all; each model has its best weights in the end."""
        run, settings = self.training, self.settings
        each = math.ceil(parts(self.lessons[0], settings.batch_size) / settings.accumulate)
        while run.epoch < settings.epochs and not run.stopping.over:
            batches = [
                [rows for _, rows in interleave([lesson], settings.batch_size, random)]
                for lesson, random in zip(self.lessons, run.randoms, strict=True)
            ]
            for step in range(run.batch, each):
                self._descend([own[step * settings.accumulate : (step + 1) * settings.accumulate] for own in batches])
                run.make_step(rate(settings.warm_up, run.step, settings.epochs * each), settings.clip)
                checkpointing.between_steps()
            run.end_epoch(self.validation_losses())
        checkpointing.finished()  # the models are predicted with one by one, and that may be interrupted
        run.stopping.take_back_best()

    def _descend(self, groups: Sequence[Sequence[Int[np.ndarray, "_"]]]) -> None:
        """Gradients of a step: for each model the batches whose rows are averaged into it."""
        totals = [sum(len(rows) for rows in own) for own in groups]
        for rows in zip(*groups, strict=True):
            errors, real = self._errors(rows, self.settings.gradient_checkpointing)
            # L = sum over models and rows of (h w + b - z)^2 / all rows of the model's step
            (errors * real / torch.tensor(totals, device=errors.device)[:, None]).sum().backward()  # type: ignore[no-untyped-call]

    @torch.no_grad()
    def validation_losses(self) -> Float[np.ndarray, " models"]:
        """Each model's mean squared error on its kept rows; NaN where it kept none."""
        kept = [lesson.kept for lesson in self.lessons]
        longest = max(len(rows) for rows in kept)
        size = max(1, TOKENS_PER_BATCH // (self.lessons[0].tokens.shape[1] * len(kept)))
        sums = np.zeros(len(kept))
        for start in range(0, longest, size):
            errors, real = self._errors([rows[start : start + size] for rows in kept], checkpointing=False)
            sums += (errors * real).sum(dim=1).double().cpu().numpy()
        counts = np.array([len(rows) for rows in kept], dtype=np.float64)
        found: Float[np.ndarray, " models"] = np.divide(sums, counts, out=np.full(len(kept), np.nan), where=counts > 0)
        return found

    def _errors(
        self, rows: Sequence[Int[np.ndarray, "_"]], checkpointing: bool
    ) -> tuple[Float[Tensor, "models batch"], Float[Tensor, "models batch"]]:
        """Squared errors of these rows of each model, and 1 where they are its own, 0 where they fill up."""
        longest = max(len(own) for own in rows)
        device = self.lessons[0].tokens.device
        filled = [torch.from_numpy(np.resize(own, longest) if len(own) else np.zeros(longest, int)) for own in rows]
        index = [one.to(device) for one in filled]
        tokens = torch.stack([lesson.tokens[own] for lesson, own in zip(self.lessons, index, strict=True)])
        targets = torch.stack([lesson.targets[own] for lesson, own in zip(self.lessons, index, strict=True)])
        real = torch.tensor([[place < len(own) for place in range(longest)] for own in rows], device=device)
        pooled = self.copies.pooled(tokens, checkpointing)
        found = torch.einsum("mbw,mw->mb", pooled, self.heads[WEIGHT]) + self.heads[BIAS][:, None]
        return (found - targets) ** 2, real.float()
