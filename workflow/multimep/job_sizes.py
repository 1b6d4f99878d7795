"""The sizes of one job, and what a language model takes for them; light, for the Snakefile imports it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

PYTHON = 110.0
"""MiB of a command before its data: the interpreter, numpy, pandas, h5py (109 measured)."""
SCIPY = 50.0
"""MiB more for scipy: 20 for its decompositions alone, 45 with optimisation."""
STATISTICS = 25.0
"""MiB more for scipy's statistics and sparse matrices."""
TORCH = 230.0
"""MiB more for torch (its import alone: 200)."""
MIB = 2**20


@dataclass(frozen=True)
class Model:
    """A language model's size: parameters, layers, features per residue."""

    parameters: int
    layers: int
    width: int


NONE = Model(0, 0, 0)


@dataclass(frozen=True)
class Work:
    """The sizes of one job.

    Attributes:
        method: a name of METHODS, or another station.
        folds: rows that teach and rows that are asked in each fit; for other stations one pair (0, variants).
        length: residues of the longest protein.
        model: the language model; NONE for a station that asks none.
        settings: of the method or station, as in config.yaml; `tables`: predictions files that it reads.
    """

    method: str
    folds: tuple[tuple[int, int], ...]
    length: int
    model: Model
    settings: Mapping[str, Any] = field(default_factory=dict)

    @property
    def tokens(self) -> int:
        """Residues, BOS and EOS."""
        return self.length + 2

    @property
    def taught(self) -> int:
        """Rows that teach, over all fits."""
        return sum(taught for taught, _ in self.folds)

    @property
    def asked(self) -> int:
        """Rows that are asked, over all fits."""
        return sum(asked for _, asked in self.folds)

    @property
    def largest(self) -> int:
        """Rows that teach in the largest fit."""
        return max(taught for taught, _ in self.folds)


def texts(work: Work) -> float:
    """MiB of variants as a command reads and divides them, whatever it does with them."""
    # mutant, genotype of shared mutations, row by name: 700 B; its sequence; in every fold a word and a place: 100 B
    rows = max(taught + asked for taught, asked in work.folds)
    return rows * (700.0 + work.length + 100.0 * len(work.folds)) / MIB


def forward(work: Work) -> float:
    """Operations of one sequence."""
    # one sequence: 2 P per token, and 4 w per pair of tokens and layer for attention
    model = work.model
    return work.tokens * (2.0 * model.parameters + 4.0 * model.layers * model.width * work.tokens)


def activations(work: Work, sequences: int, layers: int) -> float:
    """MiB of what a backward pass needs of so many sequences and layers."""
    # 34 w values per token and layer, and attention's maps: two of t x t for each of about w / 64 heads
    per_token = 34 * work.model.width + 2 * max(1, work.model.width // 64) * work.tokens
    return 4.0 * sequences * work.tokens * layers * per_token / MIB


def batch(work: Work, default: int) -> int:
    """Rows of a batch."""
    asked = work.settings.get("batch_size", "auto")
    return default if asked == "auto" else int(asked)
