"""Predictions of variants that nobody has measured, written as they are made: a million need the memory of a few."""

import csv
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from multimep.methods.method import Predictor
from multimep.predictions import COLUMNS, Predictions
from multimep.proximity import Training
from multimep.variants import Variants
from multimep.whole_files import whole

FOLD = "new"
BLOCK = 8192
"""Variants that are held at once."""


@dataclass(frozen=True)
class Written:
    """What a file of new predictions holds.

    Attributes:
        variants: how many.
        far: how many of them are far from the training variants.
    """

    variants: int
    far: int


def write(predictor: Predictor, asked: Iterable[Variants], training: Training | None, path: Path) -> Written:
    """Write one CSV, whole or not at all: columns of `predictions`, `distance` to the nearest training variant, `far`.

    Without training variants, which old predictor files lack, the last two stay empty.
    """
    total = far = 0
    with whole(path) as partial, partial.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow([*COLUMNS, "distance", "far"])
        for block in asked:
            rows = list(_rows(predictor.predict(block), block, training))
            writer.writerows((FOLD, *row) for row in rows)
            total, far = total + len(rows), far + sum(bool(row[-1]) for row in rows)
    return Written(total, far)


def _rows(found: Predictions, block: Variants, training: Training | None) -> Iterator[tuple[str, ...]]:
    nearest = training.nearest(block.genotypes) if training else np.zeros(len(block), dtype=np.int64)
    remarks = training.remarks(block.genotypes, nearest) if training else ("",) * len(block)
    distances = map(str, nearest.tolist()) if training else ("",) * len(block)
    numbers = ([_text(value) for value in column.tolist()] for column in (found.mean, found.std, found.noisy_std))
    return zip(found.mutants, *numbers, distances, remarks, strict=True)


def _text(value: float) -> str:
    return "" if math.isnan(value) else f"{value:.9g}"
