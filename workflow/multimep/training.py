"""The settings of fine-tuning, and what is said of ones that do not fit."""

import math
from dataclasses import dataclass
from typing import Literal

from multimep import low_rank
from multimep.low_rank import Places
from multimep.precision import Precision
from multimep.training_run import Rates

LEAST_ROWS_TO_VALIDATE = 20
"""With fewer, a validation loss over two or three rows would stop a training at random."""
WORDS = {"precision": ("fp32", "bf16"), "adapt": ("full", "lora"), "places": tuple(low_rank.PLACES)}


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
        adapt: what learns: `full` the weights themselves, `lora` low-rank matrices beside them, which are merged into
            the weights afterwards, so that a prediction costs what it did. `lora` spares the gradient, the moments and
            the best copy of every weight; use a learning rate some ten times as high for it.
        places: lora: `qv`, all `attention` projections, or `all` with the feed-forward layers.
        rank: lora: of the matrices; 2 to 128 made no difference in Schmirler et al. (2024).
        alpha: lora: the matrices count alpha / rank times.
        layers: how many of the last layers learn; 0: all of them, with `full` the embedding too. The layers below run
            once for each sequence instead of once in each epoch, and never backward.
        prefix_memory: GiB at most for what the layers below gave, over all fits of one process; 4 x tokens x width
            bytes a sequence. What has no room is computed again when it is needed: the same numbers, more time.
        gradient_checkpointing: keep one state a layer for the backward pass and compute the rest again there: a third
            more operations for a fraction of the memory. The same numbers; use it where a batch does not fit.
        accumulate: batches, of whichever datasets, whose rows are averaged into one step; the step of a batch so many
            times as large, in the memory of one. With several datasets a step then sees more than one of them.
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
    adapt: Literal["full", "lora"] = "full"
    places: Places = "attention"
    rank: int = 8
    alpha: float = 8.0
    layers: int = 0
    prefix_memory: float = 1.0
    gradient_checkpointing: bool = False
    accumulate: int = 1

    def __post_init__(self) -> None:
        """Refuse settings with which nothing could be learnt, each by its name."""
        rates = ("learning_rate", "head_learning_rate", "clip", "alpha")
        positive = (*rates, "epochs", "batch_size", "patience", "rank", "accumulate")
        limits = {name: (0 < getattr(self, name) < math.inf, "above 0") for name in positive}
        other = ("weight_decay", "layers", "prefix_memory")
        limits |= {name: (0 <= getattr(self, name) < math.inf, "0 or above") for name in other}
        limits |= {name: (0 <= getattr(self, name) < 1, "in [0, 1)") for name in ("warm_up", "validation_fraction")}
        limits |= {name: (getattr(self, name) in known, " or ".join(known)) for name, known in WORDS.items()}
        faults = [
            f"{name} must be {limit}, not {getattr(self, name)!r}" for name, (fits, limit) in limits.items() if not fits
        ]
        if faults:
            raise FineTuningError("; ".join(faults))

    @property
    def rates(self) -> Rates:
        """What the optimiser is set to."""
        return Rates(self.learning_rate, self.head_learning_rate, self.weight_decay)

    def kept(self, rows: int) -> int:
        """How many of so many rows are kept from learning."""
        return round(self.validation_fraction * rows) if rows >= LEAST_ROWS_TO_VALIDATE else 0

    def first(self, layers: int) -> int:
        """The first of so many layers that learns."""
        return max(0, layers - self.layers) if self.layers else 0
