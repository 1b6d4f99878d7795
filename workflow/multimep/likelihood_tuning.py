"""Tuning a PLM's own likelihood: no fresh head; the score of a variant learns to rise with its fitness.

What starts as the zero-shot score is moved as far as the rows that teach demand and the divergence from the frozen
model allows (as FSFP, Zhou et al. 2024, and ConFit, Zhao et al. 2024, do). One model may learn many assays, each step
one of them. Nothing is drawn from torch's generators; numbers repeat exactly for the same seed, rows, machine and
number of threads.
"""

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Literal

import esm
import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from multimep import __version__, interruption, losses, low_rank
from multimep.dataset import Dataset
from multimep.fine_tuning import generator, in_order
from multimep.language_model import LanguageModel
from multimep.lessons import Lesson, dealt, draws, lesson_of
from multimep.likelihood import Score, divergence, exchanges_of, masked_rows, scores, whole_table, wild_type_rows
from multimep.low_rank import Places
from multimep.precision import Precision
from multimep.training import FineTuningError
from multimep.training_run import Checkpointing, EarlyStopping, Rates, TrainingRun, optimiser_of, rate

WORDS = {
    "score": ("wild_type", "masked"),
    "loss": ("bradley_terry", "list_mle", "mse"),
    "adapt": ("lora", "last_layers", "full"),
    "places": tuple(low_rank.PLACES),
    "precision": ("fp32", "bf16"),
}


@dataclass(frozen=True)
class LikelihoodTuning:
    """Settings of the tuning.

    Attributes:
        score: `wild_type` reads the log-odds of all mutations from one forward pass of the wild type, so that a step
            costs what one sequence costs; `masked` hides each mutated site in turn, a better score in Meier et al.
            (2021), at one forward pass for each distinct site in a batch.
        loss: within one assay. `bradley_terry` ranks pairs, `list_mle` lists, `mse` is the squared error of a line
            through the scores (slope and offset learn too). Ranking was better than squared errors of a fresh head in
            Hawkins-Hooker et al. (2024) with up to 512 single mutants.
        by_gap: bradley_terry: weigh each pair by the difference of its fitness; near ones are ordered mostly by noise.
        list_size: list_mle: rows a list (FSFP: 5 to 10).
        adapt: what learns: `lora` low-rank matrices, `last_layers` the last ones with the language-model head, `full`
            all of the model.
        places: lora: `qv` (as ConFit), all `attention` projections, or `all` with the feed-forward layers.
        rank: lora: of the matrices; 2 to 128 made no difference in Schmirler et al. (2024).
        alpha: lora: the matrices count alpha / rank times.
        layers: last_layers: how many of them.
        kl: weight of the divergence from the frozen model at the wild type, in nats a residue (ConFit: 0.1).
        steps: of AdamW for each dataset, rounded up to whole rounds; 0: the zero-shot score with a line through it.
        learning_rate: peak; for `mini`, with which 1e-3 learnt less in as many steps from 24 and from 96 rows of a scan
            kept for this choice; use about 3e-4 for published ESM-2 models (1e-4 to 5e-4 in FSFP, ConFit, Schmirler).
        line_learning_rate: mse: peak for slope and offset.
        weight_decay: AdamW's, on matrices only; its usual value.
        batch_size: rows of one assay per step at most; for `masked` 16 spare memory and time.
        warm_up: share of the steps in which the rate rises linearly; it falls linearly to zero afterwards.
        clip: largest norm of the gradient.
        validation_fraction: share of each dataset's training rows kept from learning for early stopping; 0: none.
            Datasets of fewer than 20 rows keep all theirs and make every step.
        patience: rounds without a lower validation loss before training stops and takes back the best weights.
        round: steps of each dataset between two looks at the validation rows.
        members: how many models are averaged. With two or more the rows are dealt into as many parts and each model
            learns without one of them, by which it stops early (from 20 rows on); the line and its noise follow from
            these held-out scores, else from the rows that taught, which makes intervals too narrow on few rows.
        precision: of the matrix products; bf16 pays where the processor has it.
    """

    score: Score = "wild_type"
    loss: Literal["bradley_terry", "list_mle", "mse"] = "bradley_terry"
    by_gap: bool = False
    list_size: int = 8
    adapt: Literal["lora", "last_layers", "full"] = "lora"
    places: Places = "attention"
    rank: int = 8
    alpha: float = 8.0
    layers: int = 2
    kl: float = 0.1
    steps: int = 100
    learning_rate: float = 5e-3
    line_learning_rate: float = 1e-2
    weight_decay: float = 0.01
    batch_size: int = 128
    warm_up: float = 0.1
    clip: float = 1.0
    validation_fraction: float = 0.0
    patience: int = 5
    round: int = 5
    members: int = 1
    precision: Precision = "fp32"

    def __post_init__(self) -> None:
        """Refuse settings with which nothing could be learnt, each by its name."""
        positive = ("rank", "alpha", "layers", "learning_rate", "line_learning_rate", "clip", "patience", "round")
        limits = {name: (0 < getattr(self, name) < math.inf, "above 0") for name in (*positive, "members")}
        limits |= {
            name: (0 <= getattr(self, name) < math.inf, "0 or above") for name in ("kl", "steps", "weight_decay")
        }
        limits |= {name: (getattr(self, name) >= 2, "2 or above") for name in ("list_size", "batch_size")}
        limits |= {name: (0 <= getattr(self, name) < 1, "in [0, 1)") for name in ("warm_up", "validation_fraction")}
        limits |= {name: (getattr(self, name) in known, " or ".join(known)) for name, known in WORDS.items()}
        faults = [
            f"{name} must be {limit}, not {getattr(self, name)!r}" for name, (fits, limit) in limits.items() if not fits
        ]
        if faults:
            raise FineTuningError("; ".join(faults))


@dataclass(frozen=True)
class Tuned:
    """What the tuned models say of one dataset.

    Attributes:
        tables: log-probabilities at every residue of the wild type, one table for each member.
        told: the score of each row that teaches, rows sorted by mutant: by the member that did not learn from it where
            there are several, else by the one that did.
        targets: the fitness of these rows, as it was given.
    """

    tables: Float[np.ndarray, "members length 20"]
    told: Float[np.ndarray, " n"]
    targets: Float[np.ndarray, " n"]


def tune(language_model: LanguageModel, train: Sequence[Dataset], settings: LikelihoodTuning, seed: int) -> list[Tuned]:
    """Tune copies of the language model on datasets of standardised fitness that rises with the better; by name.

    The order of datasets and rows does not matter. A dataset with constant fitness teaches nothing. Inside
    `interruption.watch` a tuning that was interrupted goes on from its checkpoint, and an interruption raises
    Interrupted. Raises FineTuningError for a dataset without rows and for two of one name.
    """
    datasets = in_order(train)
    parts = [_parts(part, settings, seed) for part in datasets]
    members = [
        _member(language_model, datasets, [one[member] for one in parts], settings, seed, member)
        for member in range(settings.members)
    ]
    return [
        _tuned(part, np.stack([tables[index] for tables in members]), kept)
        for index, (part, kept) in enumerate(zip(datasets, parts, strict=True))
    ]


def _parts(dataset: Dataset, settings: LikelihoodTuning, seed: int) -> list[Int[np.ndarray, "_"]]:
    random = generator(seed, f"validation of {dataset.name}")
    return dealt(len(dataset), settings.members, settings.validation_fraction, random)


def _tuned(
    dataset: Dataset, tables: Float[np.ndarray, "members length 20"], kept: Sequence[Int[np.ndarray, "_"]]
) -> Tuned:
    exchanges = exchanges_of(dataset.variants)
    told = np.stack([scores(torch.from_numpy(table), exchanges).numpy() for table in tables])
    author = np.zeros(len(dataset), dtype=np.int64)
    for member, rows in enumerate(kept):
        author[rows] = member
    return Tuned(tables, told[author, np.arange(len(dataset))], dataset.fitness)


def _member(
    language_model: LanguageModel,
    datasets: Sequence[Dataset],
    kept: Sequence[Int[np.ndarray, "_"]],
    settings: LikelihoodTuning,
    seed: int,
    member: int,
) -> list[Float[np.ndarray, "length 20"]]:
    """The tables of one member, dataset by dataset."""
    trunk = replace(language_model, model=copy.deepcopy(language_model.model), precision=settings.precision)
    trunk.model.requires_grad_(False)
    lessons = [lesson_of(part, rows, trunk, settings.score) for part, rows in zip(datasets, kept, strict=True)]
    teaching = [lesson for lesson in lessons if lesson.teaches]
    if teaching and settings.steps:
        kind = torch.device(trunk.device).type
        facts = (__version__, torch.__version__, trunk.sha256, trunk.precision, kind, settings, seed, member, datasets)
        own = int(generator(seed, f"member {member}").integers(2**32))
        _learn(trunk, teaching, settings, own, interruption.place("tuning", ".safetensors", *facts))
        return [whole_table(trunk, one.tokens, settings.score).double().cpu().numpy() for one in lessons]
    return [one.frozen.double().cpu().numpy() for one in lessons]


def _learn(
    trunk: LanguageModel, lessons: Sequence[Lesson], settings: LikelihoodTuning, seed: int, kept: Path | None
) -> None:
    rounds = math.ceil(settings.steps / settings.round)
    each = settings.round * len(lessons)
    run = _run(trunk, lessons, settings, seed)
    checkpointing = Checkpointing(run, kept)
    while run.epoch < rounds and run.stopping.waited < settings.patience:
        batches = draws(lessons, each, settings.batch_size, run.random)
        for lesson, rows in islice(batches, run.batch, None):
            _loss(trunk, lesson, rows, settings).backward()  # type: ignore[no-untyped-call]
            run.make_step(rate(settings.warm_up, run.step, rounds * each), settings.clip)
            checkpointing.between_steps()
        run.ends_with_epoch(validation_loss(trunk, lessons, settings))
    if settings.members > 1:
        checkpointing.finished()
    run.stopping.take_back_best()


def _loss(
    trunk: LanguageModel, lesson: Lesson, rows: Int[np.ndarray, " batch"], settings: LikelihoodTuning
) -> Float[Tensor, ""]:
    # L = misfit + k KL(frozen | tuned) over the positions that this step looked at
    positions, table = _table(trunk, lesson, rows, settings.score)
    strayed = divergence(lesson.frozen[positions], table[positions])
    return _misfit(lesson, table, rows, settings) + settings.kl * strayed


def _table(
    trunk: LanguageModel, lesson: Lesson, rows: Int[np.ndarray, " batch"], score: Score
) -> tuple[Int[Tensor, " sites"], Float[Tensor, "length 20"]]:
    """The positions looked at, and the table: as it is now at these, frozen elsewhere, where no row has a mutation."""
    if score == "wild_type":
        return torch.arange(len(lesson.frozen), device=trunk.device), wild_type_rows(trunk, lesson.tokens)
    positions = lesson.exchanges.select(rows).positions
    return positions, lesson.frozen.index_copy(0, positions, masked_rows(trunk, lesson.tokens, positions))


def _misfit(
    lesson: Lesson, table: Float[Tensor, "length 20"], rows: Int[np.ndarray, " batch"], settings: LikelihoodTuning
) -> Float[Tensor, ""]:
    found = scores(table, lesson.exchanges.select(rows))
    targets = lesson.targets[torch.from_numpy(rows).to(found.device)]
    if settings.loss == "bradley_terry":
        return losses.bradley_terry(found, targets, settings.by_gap)
    if settings.loss == "list_mle":
        return losses.list_mle(found, targets, settings.list_size)
    return losses.squared(lesson.log_slope.exp() * found + lesson.offset, targets)


@torch.no_grad()
def validation_loss(trunk: LanguageModel, lessons: Sequence[Lesson], settings: LikelihoodTuning) -> float:
    """Mean over the datasets of the loss, without divergence, on their watched rows; NaN where none has any."""
    found = [
        _misfit(one, _table(trunk, one, one.watched, settings.score)[1], one.watched, settings)
        for one in lessons
        if len(one.watched)
    ]
    return float(torch.stack(found).mean()) if found else math.nan


def _run(trunk: LanguageModel, lessons: Sequence[Lesson], settings: LikelihoodTuning, seed: int) -> TrainingRun:
    layers = adapted(trunk.model, settings, generator(seed, "low-rank matrices"))
    lines = {
        f"line.{index}.{name}": value.requires_grad_()
        for index, lesson in enumerate(lessons)
        for name, value in (("log_slope", lesson.log_slope), ("offset", lesson.offset))
        if settings.loss == "mse"
    }
    rates = Rates(settings.learning_rate, settings.line_learning_rate, settings.weight_decay)
    optimiser = optimiser_of(layers.values(), lines.values(), rates)
    learnt = {**layers, **lines}
    stopping = EarlyStopping(list(learnt.values()), settings.patience)
    return TrainingRun(learnt, optimiser, [generator(seed, "order of the batches")], stopping)


def adapted(model: esm.ESM2, settings: LikelihoodTuning, random: np.random.Generator) -> dict[str, nn.Parameter]:
    """What learns, by name, ready for a gradient; with `lora` the model gets its matrices here."""
    if settings.adapt == "lora":
        return low_rank.adapt(model, settings.places, settings.rank, settings.alpha, random)
    first = max(0, len(model.layers) - settings.layers)
    last = ("emb_layer_norm_after.", "lm_head.", *(f"layers.{index}." for index in range(first, len(model.layers))))
    return {
        name: value.requires_grad_()
        for name, value in model.named_parameters()
        if not name.startswith("contact_head.") and (settings.adapt == "full" or name.startswith(last))
    }
