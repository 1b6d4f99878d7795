"""The single mutants of a folder of scans, and the protein families that they make.

The folder holds SCAN.csv.gz (mutant, DMS_score) with SCAN.fasta beside it, its index one row per scan: name, region
(FIRST-LAST), superseded_by (another scan of the same experiment), higher_is_better ("no" where scores fall with it).
"""

import csv
import dataclasses
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from low_n import read

from multimep.dataset import Dataset, Variants
from multimep.families import families
from multimep.mutations import format_genotype

FEWEST = 300
"""Single mutants below which a scan has too few to ask after the largest sample."""
LONGEST = 1022
"""Residues above which a wild type is cropped to its region, as language models need it; positions count relatively."""


@dataclass(frozen=True)
class Scans:
    """Scans and the family of each, families numbered by first appearance in the order of the names.

    Attributes:
        data: single mutants of each scan, sorted by name.
        family: number of each scan's family, in the same order.
    """

    data: tuple[Dataset, ...]
    family: tuple[int, ...]

    def of_half(self, odd: bool) -> "Scans":
        """Scans of every second family."""
        kept = [row for row, number in enumerate(self.family) if self.rank(number) % 2 == odd]
        return Scans(tuple(self.data[row] for row in kept), tuple(self.family[row] for row in kept))

    def rank(self, number: int) -> int:
        """How many families come before this one."""
        return sorted(set(self.family)).index(number)

    def numbers(self) -> dict[str, int]:
        """Name of each scan -> number of its family."""
        return {one.name: number for one, number in zip(self.data, self.family, strict=True)}


def scans(folder: Path, index: Path, identity: float = 0.3) -> Scans:
    """Every scan of the index that is superseded by none, has FEWEST single mutants, and varies."""
    with index.open(encoding="utf-8") as lines:
        rows = sorted(csv.DictReader(lines), key=lambda row: row["name"])
    wanted = [row for row in rows if not row["superseded_by"] and int(row["n_singles"]) >= FEWEST]
    data = tuple(_scan(folder, row) for row in wanted)
    return Scans(data, tuple(families([one.wild_type for one in data], identity)))


def _scan(folder: Path, row: dict[str, str]) -> Dataset:
    whole = read(folder / f"{row['name']}.csv.gz")
    first, last = map(int, row["region"].split("-"))
    data = whole if len(whole.wild_type) <= LONGEST else cropped(whole, first, last)
    return dataclasses.replace(data, higher_is_better=row["higher_is_better"] != "no")


def cropped(data: Dataset, first: int, last: int) -> Dataset:
    """The rows whose mutations lie in the residues `first` to `last`, renumbered from 1."""
    inside = [
        row
        for row, genotype in enumerate(data.variants.genotypes)
        if all(first <= one.position <= last for one in genotype)
    ]
    moved = tuple(
        format_genotype(tuple(one.shifted(1 - first) for one in data.variants.genotypes[row])) for row in inside
    )
    kept = np.array(inside, dtype=np.int64)
    return Dataset(
        Variants(data.name, data.wild_type[first - 1 : last], moved),
        data.fitness[kept],
        data.std[kept],
        data.replicates[kept],
        data.group,
        data.higher_is_better,
    )
