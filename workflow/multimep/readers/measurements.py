"""What was read: one measurement per row; cropped to a region, replicates of one genotype averaged."""

import math
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field, replace

import numpy as np

from multimep.dataset import Dataset, Variants
from multimep.mutations import Genotype, format_genotype
from multimep.readers.faults import refusal
from multimep.structure import Structure


@dataclass(frozen=True)
class Measurement:
    """One measured row: genotype on the wild type (counted from 1), value, its standard deviation (NaN: unknown).

    `covariates` are what the source knows of the genotype beside the measurement: name -> finite number.
    """

    genotype: Genotype
    fitness: float
    std: float = math.nan
    replicates: int = 1
    splits: Mapping[str, str] = field(default_factory=dict)
    covariates: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Reading:
    """All that a reader found.

    Attributes:
        wild_type: the sequence that positions refer to.
        measurements: one per row kept, replicates still apart.
        dropped: reason -> number of rows left out.
        notes: remarks for the record.
        structure: CA positions along the wild type, where there is a structure.
    """

    wild_type: str
    measurements: tuple[Measurement, ...]
    dropped: Mapping[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    structure: Structure | None = None


def crop(name: str, reading: Reading, region: tuple[int, int]) -> Reading:
    """Keep positions first to last: cut the wild type, drop variants mutated elsewhere, count from 1 again."""
    first, last = region
    length = len(reading.wild_type)
    if not 1 <= first <= last <= length:
        raise refusal(name, "region", f"{first} to {last} does not lie within the wild type (1 to {length})")
    inside = [one for one in reading.measurements if all(first <= part.position <= last for part in one.genotype)]
    if not inside:
        raise refusal(name, "region", f"no variant is mutated only between {first} and {last}")
    kept = tuple(replace(one, genotype=_renumbered(one.genotype, 1 - first)) for one in inside)
    left_out = len(reading.measurements) - len(kept)
    outside = {"mutated outside the region": left_out} if left_out else {}
    note = f"cropped to positions {first} to {last} of {length}, renumbered from 1"
    structure = None if reading.structure is None else reading.structure.crop(first, last)
    dropped, notes = {**reading.dropped, **outside}, (*reading.notes, note)
    return Reading(reading.wild_type[first - 1 : last], kept, dropped, notes, structure)


def merge(name: str, reading: Reading, group: str, higher_is_better: bool) -> tuple[Dataset, tuple[str, ...]]:
    """The dataset with replicates of one genotype averaged, and the notes: the reader's and of leaks removed."""
    if not reading.measurements:
        raise refusal(name, "source", "no rows are left")
    rows: dict[str, list[Measurement]] = {}
    for one in reading.measurements:
        rows.setdefault(format_genotype(one.genotype), []).append(one)
    names = reading.measurements[0].splits
    for split in names:
        _check_split(name, split, {one.splits[split] for one in reading.measurements})
    covariates = {
        covariate: np.array([_mean(same, [one.covariates[covariate] for one in same]) for same in rows.values()])
        for covariate in reading.measurements[0].covariates
    }
    dataset = Dataset(
        Variants(name, reading.wild_type, tuple(rows), covariates, reading.structure),
        np.array([_mean(same, [one.fitness for one in same]) for same in rows.values()]),
        np.array([_std(same) for same in rows.values()]),
        np.array([sum(one.replicates for one in same) for same in rows.values()], dtype=np.int64),
        group,
        higher_is_better,
        {split: tuple(_side(same, split) for same in rows.values()) for split in names},
    )
    leaks = (_leak_note(split, list(rows.values())) for split in names)
    return dataset, (*reading.notes, *(note for note in leaks if note))


def _mean(same: Sequence[Measurement], values: Sequence[float]) -> float:
    """sum_i r_i y_i / sum_i r_i over rows i with r_i replicates each."""
    if len(same) == 1:
        return values[0]
    return float(np.average(values, weights=[one.replicates for one in same]))


def _std(same: Sequence[Measurement]) -> float:
    """Root mean square of the source's standard deviations where every row has one, else that between the rows."""
    if len(same) == 1:
        return same[0].std
    given = [one.std for one in same]
    if not any(map(math.isnan, given)):
        return math.sqrt(float(np.mean(np.square(given))))
    return float(np.std([one.fitness for one in same], ddof=1))


def _side(same: Sequence[Measurement], split: str) -> str:
    """A genotype with a row that teaches teaches: asking for it as well would be a leak. Of several folds the first."""
    sides = {one.splits[split] for one in same}
    numbered = sorted((side for side in sides if side.isdecimal()), key=int)
    return next((side for side in ("train", "test", *numbered) if side in sides), "")


def _check_split(name: str, split: str, sides: Set[str]) -> None:
    if {"train", "test"} & sides and any(side.isdecimal() for side in sides):
        raise refusal(name, split, "has both train or test and numbers of folds; use one of them")


def _leak_note(split: str, genotypes: Sequence[Sequence[Measurement]]) -> str:
    sides = ([one.splits[split] for one in same] for same in genotypes)
    both = [found for found in sides if {"train", "test"} <= set(found)]
    if not both:
        return ""
    rows = sum(found.count("test") for found in both)
    return (
        f"{split}: {rows} test rows are replicates of {len(both)} genotypes that teach; these genotypes teach only "
        f"(leak removed)"
    )


def _renumbered(genotype: Genotype, by: int) -> Genotype:
    return tuple(one.shifted(by) for one in genotype)
