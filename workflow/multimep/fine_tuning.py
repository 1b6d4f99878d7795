"""Fine-tuning: a copy of the PLM's layers (the trunk), one linear head per dataset, one training loop for one or many.

The recipe is the seed study's: the last layer is replaced by a fresh linear head on the mean of the residues' last
hidden states, and the whole trunk learns with it by the squared error on standardised fitness. Nothing is drawn from
torch's generators; numbers repeat exactly for the same seed, rows, machine and number of threads.
"""

import copy
import math
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import esm
import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional

from multimep import __version__, interruption
from multimep.dataset import Dataset, Variants
from multimep.language_model import LanguageModel, Precision, autocast, encode
from multimep.training_run import Checkpointing, TrainingRun, rate

LEAST_ROWS_TO_VALIDATE = 20  # with fewer, a validation loss over two or three rows would stop at random
TOKENS_PER_BATCH = 2048  # of a prediction; larger batches leave the processor's cache and are slower
BEYOND_TRUNK = ("lm_head.", "contact_head.")


class FineTuningError(ValueError):
    """Settings, datasets or weights that do not fit together; the message names both sides."""


@dataclass(frozen=True)
class Training:
    """Settings of the training loop.

    Attributes:
        epochs: passes over the rows; 20 were no better than 10 on 24 or 96 rows of scans simulated for this choice, and
            as few rows are too few to spare some for validation.
        learning_rate: peak for the trunk. For `mini`, where 3e-4 was no better; use 2e-5 for published ESM-2 models
            (Schmirler et al., Nature Communications 15, 7407, 2024), which have more to forget.
        head_learning_rate: peak for the heads, which start from nothing and therefore learn faster than the trunk.
        weight_decay: AdamW's, on matrices only; its usual value.
        batch_size: rows of one dataset per step at most (Schmirler et al.: 8).
        warm_up: share of the steps in which the rate rises linearly; it falls linearly to zero afterwards.
        clip: largest norm of the gradient; larger ones come with the first steps of a random head.
        validation_fraction: share of each dataset's training rows kept from learning for early stopping; 0: none.
            Datasets of fewer than 20 rows keep all theirs.
        patience: epochs without a lower validation loss before training stops and takes back the best weights.
        precision: of the matrix products, in training and in prediction; bf16 pays where the processor has it.
    """

    epochs: int = 10
    learning_rate: float = 1e-3
    head_learning_rate: float = 1e-2
    weight_decay: float = 0.01
    batch_size: int = 8
    warm_up: float = 0.1
    clip: float = 1.0
    validation_fraction: float = 0.0
    patience: int = 5
    precision: Precision = "fp32"

    def __post_init__(self) -> None:
        """Refuse settings with which nothing could be learnt, each by its name."""
        positive = ("epochs", "learning_rate", "head_learning_rate", "batch_size", "clip", "patience")
        limits = {name: (0 < getattr(self, name) < math.inf, "above 0") for name in positive} | {
            "weight_decay": (0 <= self.weight_decay < math.inf, "0 or above"),
            "warm_up": (0 <= self.warm_up < 1, "in [0, 1)"),
            "validation_fraction": (0 <= self.validation_fraction < 1, "in [0, 1)"),
            "precision": (self.precision in ("fp32", "bf16"), "fp32 or bf16"),
        }
        faults = [
            f"{name} must be {limit}, not {getattr(self, name)!r}" for name, (fits, limit) in limits.items() if not fits
        ]
        if faults:
            raise FineTuningError("; ".join(faults))


@dataclass(frozen=True)
class Head:
    """A linear layer from pooled states to standardised fitness, and the unit of its dataset.

    Attributes:
        weight, bias: of the layer, shapes (width,) and ().
        mean, scale: of the training rows' fitness, in its unit; scale is 0 for a constant one.
    """

    weight: Float[Tensor, " width"]
    bias: Float[Tensor, ""]
    mean: float
    scale: float

    def __call__(self, pooled: Float[Tensor, "batch width"]) -> Float[Tensor, " batch"]:
        """Standardised fitness: h w + b."""
        return pooled @ self.weight + self.bias

    def standardise(self, fitness: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
        """(y - mean) / scale, rounded to 1e-6: the same numbers teach whatever unit the fitness was given in."""
        rounded: Float[np.ndarray, " n"] = np.round((fitness - self.mean) / self.scale, 6)
        return rounded


@dataclass(frozen=True)
class FineTuned:
    """A trained trunk with its heads.

    Attributes:
        trunk: the language model with trained layers; name and sha256 are those of the model that it came from.
        heads: dataset name -> head.
    """

    trunk: LanguageModel
    heads: Mapping[str, Head]

    def predict(self, variants: Variants) -> Float[np.ndarray, " n"]:
        """Fitness of the variants in the unit of their dataset; raises FineTuningError for one that has no head."""
        head = self.heads.get(variants.dataset)
        if head is None:
            raise FineTuningError(f"no head for dataset {variants.dataset!r}, only for {', '.join(self.heads)}")
        if not len(variants):
            return np.empty(0)
        standardised = _predict(self.trunk, head, self.trunk.tokens(variants.sequences))
        # y = mean + scale * z
        return head.mean + head.scale * standardised.double().cpu().numpy()


@dataclass(frozen=True)
class Lesson:
    """The rows of one dataset on the device: tokens, standardised fitness, and which teach and which validate."""

    head: Head
    tokens: Int[Tensor, "n tokens"]
    targets: Float[Tensor, " n"]
    taught: Int[np.ndarray, " taught"]
    kept: Int[np.ndarray, " kept"]


def fine_tune(language_model: LanguageModel, train: Sequence[Dataset], settings: Training, seed: int) -> FineTuned:
    """Train a copy of the language model with a fresh head per dataset; the model given stays as it is.

    The order of datasets and rows does not matter. A dataset with constant fitness teaches nothing; its prediction is
    that constant. Inside `interruption.watch` a training that was interrupted goes on from its checkpoint, and an
    interruption raises Interrupted. Raises FineTuningError for a dataset without rows and for two of one name.
    """
    datasets = in_order(train)
    trunk = replace(language_model, model=copy.deepcopy(language_model.model), precision=settings.precision)
    heads = {part.name: _fresh_head(part, trunk, seed) for part in datasets}
    lessons = [_lesson(part, heads[part.name], trunk, settings, seed) for part in datasets if heads[part.name].scale]
    if lessons:
        kind = torch.device(trunk.device).type
        facts = (__version__, torch.__version__, trunk.sha256, trunk.precision, kind, settings, seed, datasets)
        _learn(trunk, lessons, settings, seed, interruption.place("training", ".safetensors", *facts))
    trunk.model.requires_grad_(False)
    taught = {name: replace(head, weight=head.weight.detach(), bias=head.bias.detach()) for name, head in heads.items()}
    return FineTuned(trunk, taught)


def trunk_parameters(model: esm.ESM2) -> dict[str, nn.Parameter]:
    """All parameters that the last hidden states depend on: embedding, layers, final norm."""
    return {name: value for name, value in model.named_parameters() if not name.startswith(BEYOND_TRUNK)}


def pool(trunk: LanguageModel, tokens: Int[Tensor, "batch tokens"]) -> Float[Tensor, "batch width"]:
    """Mean over the residues (no BOS, no EOS) of the last hidden states, in fp32; differentiable."""
    with autocast(trunk.device, trunk.precision):
        states = encode(trunk.model, tokens)
    return states[:, 1:-1].float().mean(dim=1)


def in_order(train: Sequence[Dataset]) -> list[Dataset]:
    """Datasets by name, their rows by mutant; raises FineTuningError for none, one without rows and a name twice."""
    datasets = sorted((part.select(sorted(part.variants.mutants)) for part in train), key=lambda part: part.name)
    names = [part.name for part in datasets]
    if not names or len(set(names)) != len(names):
        raise FineTuningError(f"distinct datasets are needed to fine-tune on, given: {', '.join(names) or 'none'}")
    for part in datasets:
        if not len(part):
            raise FineTuningError(f"{part.name}: no rows to fine-tune on")
    return datasets


def generator(seed: int, purpose: str) -> np.random.Generator:
    """Random numbers for one purpose, whatever others are drawn."""
    return np.random.default_rng([seed, zlib.crc32(purpose.encode())])


def _fresh_head(dataset: Dataset, trunk: LanguageModel, seed: int) -> Head:
    constant = float(np.ptp(dataset.fitness)) == 0.0
    mean, scale = (float(dataset.fitness[0]), 0.0) if constant else (dataset.fitness.mean(), dataset.fitness.std())
    # w, b ~ U(-1, 1) / sqrt(width), as a linear layer of torch begins
    numbers = generator(seed, f"head of {dataset.name}").uniform(-1, 1, trunk.width + 1) / math.sqrt(trunk.width)
    layer = torch.tensor(numbers, dtype=torch.float32, device=trunk.device)
    return Head(layer[:-1].clone(), layer[-1].clone(), float(mean), float(scale))


def _lesson(dataset: Dataset, head: Head, trunk: LanguageModel, settings: Training, seed: int) -> Lesson:
    kept = round(settings.validation_fraction * len(dataset)) if len(dataset) >= LEAST_ROWS_TO_VALIDATE else 0
    order = generator(seed, f"validation of {dataset.name}").permutation(len(dataset))
    targets = torch.tensor(head.standardise(dataset.fitness), dtype=torch.float32, device=trunk.device)
    return Lesson(head, trunk.tokens(dataset.variants.sequences), targets, np.sort(order[kept:]), np.sort(order[:kept]))


def _learn(trunk: LanguageModel, lessons: Sequence[Lesson], settings: Training, seed: int, kept: Path | None) -> None:
    steps = settings.epochs * sum(_parts(lesson, settings.batch_size) for lesson in lessons)
    run = _run(trunk, lessons, settings, seed)
    checkpointing = Checkpointing(run, kept)
    while run.epoch < settings.epochs:
        for lesson, rows in islice(interleave(lessons, settings.batch_size, run.random), run.batch, None):
            _loss(trunk, lesson, rows).backward()  # type: ignore[no-untyped-call]
            run.make_step(rate(settings.warm_up, run.step, steps), settings.clip)
            checkpointing.between_steps()
        if run.ends_with_epoch(validation_loss(trunk, lessons)):
            break
    run.stopping.take_back_best()


def _loss(trunk: LanguageModel, lesson: Lesson, rows: Int[np.ndarray, " batch"]) -> Float[Tensor, ""]:
    # mean over the rows of (h w + b - z)^2, in units of the training variance
    index = torch.from_numpy(rows).to(trunk.device)
    return functional.mse_loss(lesson.head(pool(trunk, lesson.tokens[index])), lesson.targets[index])


def _run(trunk: LanguageModel, lessons: Sequence[Lesson], settings: Training, seed: int) -> TrainingRun:
    trunk.model.requires_grad_(False)
    layers = {name: value.requires_grad_() for name, value in trunk_parameters(trunk.model).items()}
    heads = {
        f"head.{index}.{name}": value.requires_grad_()
        for index, lesson in enumerate(lessons)
        for name, value in (("weight", lesson.head.weight), ("bias", lesson.head.bias))
    }
    groups = (
        ([value for value in layers.values() if value.ndim >= 2], settings.learning_rate, settings.weight_decay),
        ([value for value in layers.values() if value.ndim < 2], settings.learning_rate, 0.0),
        (list(heads.values()), settings.head_learning_rate, 0.0),
    )
    named = [{"params": values, "lr": peak, "weight_decay": decay} for values, peak, decay in groups]
    optimiser = torch.optim.AdamW(named, fused=True)
    return TrainingRun({**layers, **heads}, optimiser, generator(seed, "order of the batches"), settings.patience)


def interleave(
    lessons: Sequence[Lesson], batch_size: int, random: np.random.Generator
) -> Iterator[tuple[Lesson, Int[np.ndarray, " batch"]]]:
    """One epoch: every teaching row once, in batches of one dataset and nearly equal size, datasets in random order."""
    batches = [
        (lesson, rows)
        for lesson in lessons
        for rows in np.array_split(random.permutation(lesson.taught), _parts(lesson, batch_size))
    ]
    yield from (batches[index] for index in random.permutation(len(batches)))


def _parts(lesson: Lesson, batch_size: int) -> int:
    return math.ceil(len(lesson.taught) / batch_size)


def validation_loss(trunk: LanguageModel, lessons: Sequence[Lesson]) -> float:
    """Mean over the datasets of the squared error on their kept rows; NaN where none kept any."""
    errors = [
        functional.mse_loss(_predict(trunk, lesson.head, lesson.tokens[lesson.kept]), lesson.targets[lesson.kept])
        for lesson in lessons
        if len(lesson.kept)
    ]
    return float(torch.stack(errors).mean()) if errors else math.nan


@torch.inference_mode()
def _predict(trunk: LanguageModel, head: Head, tokens: Int[Tensor, "n tokens"]) -> Float[Tensor, " n"]:
    size = max(1, TOKENS_PER_BATCH // tokens.shape[1])
    return torch.cat([head(pool(trunk, chunk)) for chunk in torch.split(tokens, size)])
