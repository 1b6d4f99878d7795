"""How a score of hyperparameters looks around the chosen ones: over a grid of two of them, the others held."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

EVIDENCE, LEFT_OUT, HELD_OUT, POSTERIOR = "log_evidence", "leave_one_out_error", "holdout_error", "log_posterior"


@dataclass(frozen=True)
class Axis:
    """A hyperparameter.

    Attributes:
        name: with its unit, if any.
        values: above 0, rising, shape (a,).
        chosen: one of them.
    """

    name: str
    values: Float[np.ndarray, "a"]
    chosen: float

    @property
    def place(self) -> int:
        """Which of the values was chosen."""
        return int(np.argmin(np.abs(np.log(self.values / self.chosen))))


@dataclass(frozen=True)
class Landscape:
    """A score over a grid.

    Attributes:
        x, y: the hyperparameters.
        scores: shape (a, b).
        score: what it is: EVIDENCE or POSTERIOR in nats (the larger the better; POSTERIOR up to a constant), or
            LEFT_OUT or HELD_OUT, mean squared errors in units of the training variance (the smaller the better).
        rows: training rows by which the choice was made.
    """

    x: Axis
    y: Axis
    scores: Float[np.ndarray, "a b"]
    score: str
    rows: int

    @property
    def heights(self) -> Float[np.ndarray, "a b"]:
        """The scores, turned so that higher is better."""
        return self.scores if self.score in (EVIDENCE, POSTERIOR) else -self.scores

    @property
    def chosen(self) -> float:
        """The score of the choice."""
        return float(self.scores[self.x.place, self.y.place])

    @property
    def missed(self) -> float:
        """By how much the best of the grid is better than the choice; 0 where the choice is the best."""
        return float(np.nanmax(self.heights) - self.heights[self.x.place, self.y.place])
