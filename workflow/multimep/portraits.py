"""Portraits: one dataset beside what its best method says of it, out of fold: variants, single mutants, the top."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Float

from multimep import calibration, measures
from multimep.dataset import Dataset
from multimep.mutations import AMINO_ACIDS, parse
from multimep.predictions import Predictions

TOP = 15
COLUMNS = ("mean", "std", "noisy_std")  # of predictions


@dataclass(frozen=True)
class Portrait:
    """Measured and predicted fitness of the variants of one dataset that its best method was asked about.

    Attributes:
        dataset, wild_type: the dataset's name and the sequence that positions refer to.
        split, method: where and by which method the predictions were made, out of fold.
        mutants: canonical genotype texts, each once, in the order of the dataset.
        measured: in the unit of the dataset, shape (n,).
        predicted: mean in the unit of the predictor, shape (n,).
        std: standard deviation of the latent fitness, NaN for a method that gives none, shape (n,).
        noisy_std: standard deviation of a new measurement, NaN for a method that gives none, shape (n,).
        higher_is_better: False where a lower value is the better mutant.
    """

    dataset: str
    wild_type: str
    split: str
    method: str
    mutants: tuple[str, ...]
    measured: Float[np.ndarray, "n"]
    predicted: Float[np.ndarray, "n"]
    std: Float[np.ndarray, "n"]
    noisy_std: Float[np.ndarray, "n"]
    higher_is_better: bool = True

    def __post_init__(self) -> None:
        """Refuse columns of unequal length."""
        columns = (self.measured, self.predicted, self.std, self.noisy_std)
        lengths = {len(self.mutants), *map(len, columns)}
        if len(lengths) != 1:
            raise ValueError(f"portrait of {self.dataset} with columns of length {sorted(lengths)}")

    @property
    def unsure(self) -> bool:
        """Whether the method states a standard deviation."""
        return bool(np.isfinite(self.std).any())


@dataclass(frozen=True)
class Singles:
    """The single mutants of a portrait, a column per mutated site.

    Attributes:
        positions: mutated sites, counted from 1, ascending.
        residues: the wild type's residue at each.
        sites: index among `positions` of each single mutant, shape (m,).
        letters: index among AMINO_ACIDS of its substitute, shape (m,).
        rows: its row in the portrait, shape (m,).
    """

    positions: tuple[int, ...]
    residues: str
    sites: tuple[int, ...]
    letters: tuple[int, ...]
    rows: tuple[int, ...]


@dataclass(frozen=True)
class Pick:
    """One of the variants with the best predictions.

    Attributes:
        rank: place by out-of-fold prediction, counted from 1.
        measured_rank: place by measurement among the same variants, counted from 1.
    """

    rank: int
    mutant: str
    predicted: float
    std: float
    measured: float
    measured_rank: int


def best_methods(scores: pd.DataFrame, split: str, metric: str, asked: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Dataset -> the method with the best `metric` on `split`, of those (dataset, method) that were `asked` there.

    `scores` has one row per split, dataset, method and metric. A dataset without a finite score is left out.
    """
    chosen = scores[(scores["split"] == split) & (scores["metric"] == metric)].dropna(subset=["value"])
    known = set(asked)
    best: dict[str, tuple[float, str]] = {}
    for name, method, value in zip(chosen["dataset"], chosen["method"], chosen["value"], strict=True):
        good = measures.goodness(metric, float(value))
        if (name, method) in known and good > best.get(name, (-math.inf, ""))[0]:
            best[str(name)] = (good, str(method))
    return {name: method for name, (_, method) in best.items()}


def portrait(dataset: Dataset, split: str, method: str, folds: Mapping[str, Predictions]) -> Portrait:
    """The portrait of `dataset` by the predictions of all folds; one asked in several folds counts with their mean."""
    parts = [pd.DataFrame({name: getattr(one, name) for name in COLUMNS}, index=one.mutants) for one in folds.values()]
    told = pd.concat(parts).groupby(level=0).mean() if parts else pd.DataFrame(columns=list(COLUMNS), dtype=float)
    mutants = tuple(mutant for mutant in dataset.variants.mutants if mutant in told.index)
    mean, std, noisy = (told.loc[list(mutants), name].to_numpy(np.float64) for name in COLUMNS)
    measured = dataset.select(mutants).fitness
    return Portrait(dataset.name, dataset.wild_type, split, method, mutants, measured, mean, std, noisy,
                    dataset.higher_is_better)  # fmt: skip


def singles(one: Portrait) -> Singles:
    """The single mutants of a portrait, site by site."""
    found = [(genotype[0], row) for row, text in enumerate(one.mutants) if len(genotype := parse(text)) == 1]
    found.sort(key=lambda entry: entry[0])
    residue = {mutation.position: mutation.reference for mutation, _ in found}
    place = {position: index for index, position in enumerate(residue)}
    return Singles(
        tuple(residue),
        "".join(residue.values()),
        tuple(place[mutation.position] for mutation, _ in found),
        tuple(AMINO_ACIDS.index(mutation.substitute) for mutation, _ in found),
        tuple(row for _, row in found),
    )


def top(one: Portrait, count: int = TOP) -> list[Pick]:
    """The `count` variants with the best out-of-fold predictions, the best first."""
    by_prediction, by_measurement = (_best_first(values, one) for values in (one.predicted, one.measured))
    measured_rank = {row: place for place, row in enumerate(by_measurement, start=1)}
    return [
        Pick(
            rank,
            one.mutants[row],
            predicted=float(one.predicted[row]),
            std=float(one.std[row]),
            measured=float(one.measured[row]),
            measured_rank=measured_rank[row],
        )
        for rank, row in enumerate(by_prediction[:count], start=1)
    ]


def coverage(one: Portrait) -> dict[float, float]:
    """Level -> share of the measurements inside the central interval of that level; empty without noisy_std."""
    if not np.isfinite(one.noisy_std).all() or not len(one.mutants):
        return {}
    columns = (one.measured, one.predicted, one.noisy_std)
    return {level: float(calibration.coverage(*columns, level)) for level in calibration.LEVELS}


def _best_first(values: Float[np.ndarray, "n"], one: Portrait) -> list[int]:
    """Rows with the best value first; equal ones in the order of the dataset."""
    return [int(row) for row in np.argsort(-values if one.higher_is_better else values, kind="stable")]
