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
from pathlib import Path

import esm
import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional

from multimep import __version__, interruption, low_rank
from multimep.dataset import Dataset, Variants
from multimep.forward_pass import autocast
from multimep.language_model import LanguageModel
from multimep.prefix import Prefix
from multimep.trainable import above, below
from multimep.training import FineTuningError, Training
from multimep.training_run import Checkpointing, EarlyStopping, TrainingRun, optimiser_of, rate

TOKENS_PER_BATCH = 2048  # of a prediction; larger batches leave the processor's cache and are slower
BEYOND_TRUNK = ("lm_head.", "contact_head.")

Batch = tuple["Lesson", Int[np.ndarray, "_"]]


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
        head = self.head_of(variants.dataset)
        if not len(variants):
            return np.empty(0)
        standardised = _predict(self.trunk, head, self.trunk.tokens(variants.sequences))
        # y = mean + scale * z
        return head.mean + head.scale * standardised.double().cpu().numpy()

    def head_of(self, dataset: str) -> Head:
        """The head of this dataset; raises FineTuningError where it has none."""
        head = self.heads.get(dataset)
        if head is None:
            raise FineTuningError(f"no head for dataset {dataset!r}, only for {', '.join(self.heads)}")
        return head


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
    trunk = copy_of(language_model, settings)
    heads = {part.name: fresh_head(part, trunk, seed) for part in datasets}
    lessons = [lesson_of(part, heads[part.name], trunk, settings, seed) for part in datasets if heads[part.name].scale]
    if lessons:
        kept = interruption.place("training", ".safetensors", *facts(trunk, settings, seed, datasets))
        _learn(trunk, lessons, settings, seed, kept, prefix_of(language_model, settings))
        low_rank.merge(trunk.model)
    trunk.model.requires_grad_(False)
    taught = {name: replace(head, weight=head.weight.detach(), bias=head.bias.detach()) for name, head in heads.items()}
    return FineTuned(trunk, taught)


def copy_of(language_model: LanguageModel, settings: Training) -> LanguageModel:
    """The trunk that a training begins with: a copy of the model in which nothing learns yet."""
    model = copy.deepcopy(language_model.model).requires_grad_(False)
    return replace(language_model, model=model, precision=settings.precision)


def prefix_of(language_model: LanguageModel, settings: Training) -> Prefix | None:
    """The layers below what learns, of the model that was given: other folds, sizes and seeds find what it keeps."""
    first = settings.first(language_model.layers)
    before = replace(language_model, precision=settings.precision)
    return Prefix(before, first, settings.prefix_memory) if first or settings.adapt == "lora" else None


def facts(trunk: LanguageModel, settings: Training, seed: int, datasets: Sequence[Dataset]) -> tuple[object, ...]:
    """All that decides what a training of this trunk on these datasets learns, and how its state is kept."""
    kind = torch.device(trunk.device).type
    return (__version__, torch.__version__, trunk.sha256, trunk.precision, kind, settings, seed, list(datasets))


def trunk_parameters(model: esm.ESM2) -> dict[str, nn.Parameter]:
    """All parameters that the last hidden states depend on: embedding, layers, final norm."""
    return {name: value for name, value in model.named_parameters() if not name.startswith(BEYOND_TRUNK)}


def pool(
    trunk: LanguageModel,
    tokens: Int[Tensor, "batch tokens"],
    prefix: Prefix | None = None,
    checkpointing: bool = False,
) -> Float[Tensor, "batch width"]:
    """Mean over the residues (no BOS, no EOS) of the last hidden states, in fp32; differentiable above the prefix."""
    with autocast(trunk.device, trunk.precision):
        x = prefix(tokens) if prefix else below(trunk.model, tokens, 0)
        states = above(trunk.model, x, prefix.first if prefix else 0, checkpointing)
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


def fresh_head(dataset: Dataset, trunk: LanguageModel, seed: int) -> Head:
    """The head that a training of this dataset begins with."""
    constant = float(np.ptp(dataset.fitness)) == 0.0
    mean, scale = (float(dataset.fitness[0]), 0.0) if constant else (dataset.fitness.mean(), dataset.fitness.std())
    # w, b ~ U(-1, 1) / sqrt(width), as a linear layer of torch begins
    numbers = generator(seed, f"head of {dataset.name}").uniform(-1, 1, trunk.width + 1) / math.sqrt(trunk.width)
    layer = torch.tensor(numbers, dtype=torch.float32, device=trunk.device)
    return Head(layer[:-1].clone(), layer[-1].clone(), float(mean), float(scale))


def lesson_of(dataset: Dataset, head: Head, trunk: LanguageModel, settings: Training, seed: int) -> Lesson:
    """The rows of a dataset on the device, divided into those that teach and those that validate."""
    kept = settings.kept(len(dataset))
    order = generator(seed, f"validation of {dataset.name}").permutation(len(dataset))
    targets = torch.tensor(head.standardise(dataset.fitness), dtype=torch.float32, device=trunk.device)
    return Lesson(head, trunk.tokens(dataset.variants.sequences), targets, np.sort(order[kept:]), np.sort(order[:kept]))


def _learn(
    trunk: LanguageModel,
    lessons: Sequence[Lesson],
    settings: Training,
    seed: int,
    kept: Path | None,
    prefix: Prefix | None,
) -> None:
    each = math.ceil(sum(parts(lesson, settings.batch_size) for lesson in lessons) / settings.accumulate)
    run = _run(trunk, lessons, settings, seed)
    checkpointing = Checkpointing(run, kept)
    while run.epoch < settings.epochs:
        batches = list(interleave(lessons, settings.batch_size, run.random))
        for step in range(run.batch, each):
            group = batches[step * settings.accumulate : (step + 1) * settings.accumulate]
            _descend(trunk, group, settings, prefix)
            run.make_step(rate(settings.warm_up, run.step, settings.epochs * each), settings.clip)
            checkpointing.between_steps()
        if run.ends_with_epoch(validation_loss(trunk, lessons, prefix)):
            break
    run.stopping.take_back_best()


def _descend(trunk: LanguageModel, group: Sequence[Batch], settings: Training, prefix: Prefix | None) -> None:
    # L = sum over batches of (rows / all rows) L_batch, batch by batch
    total = sum(len(rows) for _, rows in group)
    for lesson, rows in group:
        loss = _loss(trunk, lesson, rows, prefix, settings.gradient_checkpointing)
        (loss * (len(rows) / total)).backward()  # type: ignore[no-untyped-call]


def _loss(
    trunk: LanguageModel,
    lesson: Lesson,
    rows: Int[np.ndarray, " batch"],
    prefix: Prefix | None,
    checkpointing: bool,
) -> Float[Tensor, ""]:
    # mean over the rows of (h w + b - z)^2, in units of the training variance
    index = torch.from_numpy(rows).to(trunk.device)
    pooled = pool(trunk, lesson.tokens[index], prefix, checkpointing)
    return functional.mse_loss(lesson.head(pooled), lesson.targets[index])


def _run(trunk: LanguageModel, lessons: Sequence[Lesson], settings: Training, seed: int) -> TrainingRun:
    layers = learning(trunk.model, settings, seed)
    heads = {
        f"head.{index}.{name}": value.requires_grad_()
        for index, lesson in enumerate(lessons)
        for name, value in (("weight", lesson.head.weight), ("bias", lesson.head.bias))
    }
    optimiser = optimiser_of(layers.values(), heads.values(), settings.rates)
    learnt = {**layers, **heads}
    stopping = EarlyStopping(list(learnt.values()), settings.patience)
    return TrainingRun(learnt, optimiser, [generator(seed, "order of the batches")], stopping)


def learning(model: esm.ESM2, settings: Training, seed: int) -> dict[str, nn.Parameter]:
    """What learns beside the heads, by name; with `lora` the model gets its matrices here."""
    first = settings.first(len(model.layers))
    if settings.adapt == "lora":
        random = generator(seed, "low-rank matrices")
        return low_rank.adapt(model, settings.places, settings.rank, settings.alpha, random, first)
    frozen = ("embed_tokens.", *(f"layers.{index}." for index in range(first))) if first else ()
    found = {name: value for name, value in trunk_parameters(model).items() if not name.startswith(frozen)}
    for value in found.values():
        value.requires_grad_()
    return found


def interleave(lessons: Sequence[Lesson], batch_size: int, random: np.random.Generator) -> Iterator[Batch]:
    """One epoch: every teaching row once, in batches of one dataset and nearly equal size, datasets in random order."""
    batches = [
        (lesson, rows)
        for lesson in lessons
        for rows in np.array_split(random.permutation(lesson.taught), parts(lesson, batch_size))
    ]
    yield from (batches[index] for index in random.permutation(len(batches)))


def parts(lesson: Lesson, batch_size: int) -> int:
    """Batches of an epoch."""
    return math.ceil(len(lesson.taught) / batch_size)


def validation_loss(trunk: LanguageModel, lessons: Sequence[Lesson], prefix: Prefix | None = None) -> float:
    """Mean over the datasets of the squared error on their kept rows; NaN where none kept any."""
    errors = [
        functional.mse_loss(
            _predict(trunk, lesson.head, lesson.tokens[lesson.kept], prefix), lesson.targets[lesson.kept]
        )
        for lesson in lessons
        if len(lesson.kept)
    ]
    return float(torch.stack(errors).mean()) if errors else math.nan


@torch.no_grad()
def _predict(
    trunk: LanguageModel, head: Head, tokens: Int[Tensor, "n tokens"], prefix: Prefix | None = None
) -> Float[Tensor, " n"]:
    size = max(1, TOKENS_PER_BATCH // tokens.shape[1])
    return torch.cat([head(pool(trunk, chunk, prefix)) for chunk in torch.split(tokens, size)])
