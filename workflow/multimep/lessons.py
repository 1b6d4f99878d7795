"""Lessons: the rows of an assay as a tuning sees them, which of them teach, and in which order assays are asked.

A batch is of one assay. Large assays come more often, but by the root of their size; assays of one wild type share the
attention that one of them would get, so that a protein measured five times does not teach five times as much.
"""

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from multimep import affine
from multimep.dataset import Dataset
from multimep.language_model import LanguageModel
from multimep.likelihood import Exchanges, Score, exchanges_of, scores, whole_table
from multimep.training import LEAST_ROWS_TO_VALIDATE

LEAST_SLOPE = 1e-3  # of the line that a squared error starts from, in standard deviations of the fitness a nat


@dataclass(frozen=True)
class Lesson:
    """The rows of one dataset on the device.

    Attributes:
        wild_type: its sequence.
        tokens: of the wild type.
        exchanges: the mutations of every row.
        targets: fitness, standardised, rising with the better.
        frozen: the table of the model before it is tuned.
        taught, kept: rows that teach, and rows that no gradient sees.
        log_slope, offset: of the line from scores to targets, for a squared error to learn.
    """

    wild_type: str
    tokens: Int[Tensor, " tokens"]
    exchanges: Exchanges
    targets: Float[Tensor, " n"]
    frozen: Float[Tensor, "length 20"]
    taught: Int[np.ndarray, " taught"]
    kept: Int[np.ndarray, " kept"]
    log_slope: Float[Tensor, ""]
    offset: Float[Tensor, ""]

    @property
    def watched(self) -> Int[np.ndarray, " watched"]:
        """The kept rows that may stop a training early: none of a dataset so small that they would do so at random."""
        return self.kept if len(self.targets) >= LEAST_ROWS_TO_VALIDATE else self.kept[:0]

    @property
    def teaches(self) -> bool:
        """Whether there is anything to learn: rows that differ."""
        return len(self.taught) > 1 and bool(self.targets[self.taught].max() > self.targets[self.taught].min())


def dealt(n: int, members: int, fraction: float, random: np.random.Generator) -> list[Int[np.ndarray, "_"]]:
    """The rows that each member does not learn from.

    Several members: equal parts, so that each row is kept by exactly one. One member: a share of the rows, none of
    fewer than twenty.
    """
    order = random.permutation(n)
    share = round(fraction * n) if n >= LEAST_ROWS_TO_VALIDATE else 0
    return [np.sort(part) for part in (np.array_split(order, members) if members > 1 else [order[:share]])]


def lesson_of(dataset: Dataset, kept: Int[np.ndarray, " kept"], trunk: LanguageModel, score: Score) -> Lesson:
    """The lesson of a dataset whose fitness is standardised; the line starts where the frozen scores put it."""
    tokens = trunk.tokens([dataset.wild_type])[0]
    exchanges, frozen = exchanges_of(dataset.variants, trunk.device), whole_table(trunk, tokens, score)
    targets = torch.tensor(dataset.fitness, dtype=torch.float32, device=trunk.device)
    taught = np.setdiff1d(np.arange(len(dataset)), kept)
    line = affine.fit(scores(frozen, exchanges).double().cpu().numpy()[taught], dataset.fitness[taught])
    log_slope = torch.tensor(math.log(max(line.slope, LEAST_SLOPE)), device=trunk.device)
    offset = torch.tensor(line.offset - line.slope * line.centre, dtype=torch.float32, device=trunk.device)
    return Lesson(dataset.wild_type, tokens, exchanges, targets, frozen, taught, kept, log_slope, offset)


def draws(
    lessons: Sequence[Lesson], steps: int, batch_size: int, random: np.random.Generator
) -> Iterator[tuple[Lesson, Int[np.ndarray, " batch"]]]:
    """For each step an assay, and rows of it in random order: all that teach, or as many as a batch has."""
    chances = shares(lessons)
    for _ in range(steps):
        lesson = lessons[random.choice(len(lessons), p=chances)]
        yield lesson, random.permutation(lesson.taught)[:batch_size]


def shares(lessons: Sequence[Lesson]) -> Float[np.ndarray, " lessons"]:
    """How often each assay is drawn: sqrt(rows) / assays of that wild type, as a share of all."""
    assays = Counter(lesson.wild_type for lesson in lessons)
    weights = np.array([math.sqrt(len(lesson.taught)) / assays[lesson.wild_type] for lesson in lessons])
    return np.asarray(weights / weights.sum())
