"""How each metric is read: its name for people, one line of definition, where its best value lies."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

SCALE_FREE = frozenset(
    {"spearman", "spearman_within", "pearson", "ndcg", "top_recall"}
)  # what has a meaning on any scale
PRIMARY = ("spearman", "spearman_official", "r2", "ndcg", "coverage_95", "ence", "nll")
"""The metrics that a reader meets first; all others are a choice away."""


@dataclass(frozen=True)
class Measure:
    """How a metric is read: its name for people, one line of definition, and where its best value lies.

    Attributes:
        best: the value that a perfect prediction has (inf, -inf: the larger, the smaller the better).
    """

    title: str
    definition: str
    best: float

    def goodness(self, value: float) -> float:
        """A number that grows with the quality of `value`: -|value - best|, or the value itself where best is far."""
        if math.isfinite(self.best):
            return -abs(value - self.best)
        return value if self.best > 0 else -value


MEASURES: Mapping[str, Measure] = {
    "spearman": Measure(
        "Spearman correlation", "do the ranks agree: 1 where the order is right, 0 by chance", math.inf
    ),
    "spearman_official": Measure(
        "Spearman, ProteinGym's way",
        "ranks of all folds together, each fold on the scale of the rows that taught it; 1 where the order is right",
        math.inf,
    ),
    "spearman_within": Measure(
        "Spearman within folds", "mean over the folds of the rank correlation in each", math.inf
    ),
    "pearson": Measure("Pearson correlation", "do predicted and measured fitness lie on one line", math.inf),
    "r2": Measure(
        "R\u00b2", "explained share of the variance; 0 for predicting the mean, negative where worse", math.inf
    ),
    "rmse": Measure("RMSE", "root of the mean squared error, in the unit of the dataset; smaller is better", -math.inf),
    "mae": Measure("MAE", "mean absolute error, in the unit of the dataset; smaller is better", -math.inf),
    "mse_standardised": Measure(
        "Standardised MSE",
        "mean squared error in variances of the rows that taught; 1 for predicting their mean, smaller is better",
        -math.inf,
    ),
    "ndcg": Measure("NDCG", "are the best measured mutants on top of the predicted list; 1 is perfect", math.inf),
    "top_recall": Measure(
        "Top-10 % recall",
        "share of the measured best tenth that is in the predicted best tenth; 0.1 by chance",
        math.inf,
    ),
    "coverage_50": Measure("Coverage of 50 %", "share of measurements inside the 50 % interval; 0.5 is right", 0.5),
    "coverage_80": Measure("Coverage of 80 %", "share of measurements inside the 80 % interval; 0.8 is right", 0.8),
    "coverage_90": Measure("Coverage of 90 %", "share of measurements inside the 90 % interval; 0.9 is right", 0.9),
    "coverage_95": Measure("Coverage of 95 %", "share of measurements inside the 95 % interval; 0.95 is right", 0.95),
    "width_95": Measure("Width of 95 %", "mean width of the 95 % interval, in the unit of the dataset", -math.inf),
    "ece": Measure("ECE", "mean difference of coverage and level over the levels 5 %, 10 %, ... 95 %; 0 is right", 0.0),
    "ence": Measure(
        "ENCE", "how far errors are from their standard deviations, in five bins of these; 0 is right", 0.0
    ),
    "chi_square": Measure(
        "Chi-square per degree of freedom", "mean squared error in predicted variances; above 1 too sure", 1.0
    ),
    "nll": Measure("NLL", "negative log likelihood per measurement under the prediction; smaller is better", -math.inf),
    "crps": Measure(
        "CRPS", "error and honesty of the interval in one, in the unit of the dataset; smaller is better", -math.inf
    ),
    "error_spearman": Measure(
        "Spearman of error and std", "have the larger errors the larger standard deviations; 0 by chance", math.inf
    ),
}


def measure(metric: str) -> Measure:
    """How to read a metric; one that this page does not know is shown under its own name, larger taken as better."""
    return MEASURES.get(metric, Measure(metric, "", math.inf))


def goodness(metric: str, value: float) -> float:
    """How good `value` is of `metric`; below every number for NaN."""
    return measure(metric).goodness(value) if math.isfinite(value) else -math.inf
