"""One's own table before anything is learnt from it: every fault row by row, and what a colleague would remark."""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from multimep import paths
from multimep.dataset import Dataset, read, record_path
from multimep.documents import content
from multimep.mutations import Genotype, MutationError, parse
from multimep.readers import table
from multimep.readers.detection import Detected, detect
from multimep.readers.faults import SourceError
from multimep.readers.measurements import merge
from multimep.readers.reader import Columns, Inputs, Text, protein, rows, sequence

FEW = 24
"""Variants below which rank correlations inside the table say next to nothing."""
OUTLYING = 6.0
"""Robust standard deviations (1.4826 median absolute deviations) beyond which a value is remarked on."""
UNEVEN = 3.0
"""Times the typical standard deviation between replicates at which one is remarked on."""
SHOWN = 5


class InspectionError(ValueError):
    """A table with faults; the message lists every one of them."""


@dataclass(frozen=True)
class Table:
    """One's own table and how it is to be read.

    Attributes:
        name: of the dataset.
        path: CSV (comma, semicolon or tab) or Excel workbook, of which the first sheet is read.
        wild_type: the sequence, or the path of a FASTA file.
        columns: that the user names; the others are detected.
        offset: added to every position.
        higher_is_better: False where a lower value is the better mutant.
    """

    name: str
    path: Path
    wild_type: str
    columns: Columns
    offset: int = 0
    higher_is_better: bool = True

    @property
    def inputs(self) -> Inputs:
        """For the readers."""
        files, literal = {"variants": Text(str(self.path), content(self.path))}, self.wild_type
        if Path(self.wild_type).suffix:
            files["wild_type"], literal = Text(self.wild_type, content(Path(self.wild_type))), ""
        return Inputs(self.name, files, literal, self.offset)


@dataclass(frozen=True)
class Inspected:
    """A table without faults.

    Attributes:
        dataset: what it holds, replicates averaged.
        detected: its columns.
        remarks: what to look at before it is used.
    """

    dataset: Dataset
    detected: Detected
    remarks: tuple[str, ...]


def table_of(
    path: Path, wild_type: str, columns: Columns, name: str = "", offset: int = 0, higher_is_better: bool = True
) -> Table:
    """The table in `path`, named after the file where no name is given; raises PathError for what cannot be read.

    A file's name may hold what the name of a dataset may not: its other characters become `_`.
    """
    files = [path, *([Path(wild_type)] if Path(wild_type).suffix else [])]
    paths.check(files, [])
    chosen = name or re.sub(r"[^A-Za-z0-9_.-]+", "_", path.stem).lstrip("_.-")[:100] or "table"
    paths.check_name(chosen)
    return Table(chosen, path, wild_type, columns, offset, higher_is_better)


def inspect(own: Table) -> Inspected:
    """The dataset with remarks; raises InspectionError that lists every fault of every row."""
    try:
        detected = detect(own.inputs, own.columns)
        inputs = replace(own.inputs, delimiter=detected.delimiter, columns=detected.columns)
        reading = table.read_multimep(inputs)
        dataset, notes = merge(own.name, reading, "ungrouped", own.higher_is_better)
    except SourceError as error:
        raise InspectionError(_all_faults(own, error)) from error
    repeated = Counter(one.genotype for one in reading.measurements)
    twice = sum(number > 1 for number in repeated.values())
    averaged = (f"{twice} variants stand in several rows; their values are averaged",) if twice else ()
    return Inspected(dataset, detected, (*notes, *averaged, *_remarks(dataset)))


def _all_faults(own: Table, error: SourceError) -> str:
    lines = [f"{own.path}: {len(error.faults)} fault{'s' * (len(error.faults) != 1)}, nothing was written"]
    lines += [f"  {fault}" for fault in error.faults]
    if (shift := _shift(own)) is not None:
        lines.append(f"  every mutation would fit the wild type with --offset {shift}")
    return "\n".join(lines)


def _shift(own: Table) -> int | None:
    """The only offset under which all readable mutations fit the wild type.

    None where none or several do, or where it is the one that was given.
    """
    try:
        detected = detect(own.inputs, own.columns)
        letters = protein(own.inputs, sequence(own.inputs))
        names = [detected.columns.mutant] if detected.columns.mutant else []
        sound = (
            row for row in rows(own.inputs, own.inputs.file("variants"), names, detected.delimiter) if not row.fault
        )
        found = [row[names[0]] for row in sound]
    except (SourceError, IndexError):
        return None
    genotypes = [one for one in map(_readable, found) if one]
    positions = [one.position for genotype in genotypes for one in genotype]
    if not positions:
        return None
    fitting = [
        shift
        for shift in range(1 - min(positions), len(letters) - max(positions) + 1)
        if all(letters[one.position + shift - 1] == one.reference for genotype in genotypes for one in genotype)
    ]
    return fitting[0] if len(fitting) == 1 and fitting[0] != own.offset else None


def _readable(text: str) -> Genotype:
    try:
        return parse(text)
    except MutationError:
        return ()


def _remarks(dataset: Dataset) -> Iterator[str]:
    depths = Counter(map(int, dataset.variants.depths))
    if len(dataset) < FEW:
        yield f"{len(dataset)} variants: with fewer than {FEW} no comparison of methods says much"
    if not depths[0]:
        yield "the wild type (WT) was not measured: predictions have no anchor; add its row if you have it"
    if np.ptp(dataset.fitness) == 0:
        yield "all fitness values are equal: nothing can be learnt"
    if np.isnan(dataset.std).all() and (dataset.replicates == 1).all():
        yield "neither standard deviations nor replicates: nothing says how noisy a value is"
    yield from _outlying(dataset)
    yield from _uneven(dataset)
    values, counts = np.unique(dataset.fitness, return_counts=True)
    if counts.max() > max(3, len(dataset) / 5):
        yield f"{counts.max()} variants have the same fitness {values[counts.argmax()]:g}: a limit of detection?"


def _outlying(dataset: Dataset) -> Iterator[str]:
    middle = np.median(dataset.fitness)
    size = 1.4826 * np.median(np.abs(dataset.fitness - middle))
    far = np.flatnonzero(np.abs(dataset.fitness - middle) > OUTLYING * size) if size > 0 else np.zeros(0, dtype=int)
    if len(far):
        yield f"{len(far)} values lie far from all others: {_few(dataset, far)}; a slip of the decimal point?"


def _uneven(dataset: Dataset) -> Iterator[str]:
    known = ~np.isnan(dataset.std)
    typical = float(np.median(dataset.std[known])) if known.any() else 0.0
    wide = np.flatnonzero(known & (dataset.std > UNEVEN * typical)) if typical > 0 else np.zeros(0, dtype=int)
    if len(wide):
        how = "times as much between replicates as is usual"
        yield f"{len(wide)} variants vary {UNEVEN:g} {how}: {_few(dataset, wide)}"


def _few(dataset: Dataset, found: Sequence[int] | np.ndarray) -> str:
    shown = [f"{dataset.variants.mutants[row]} ({dataset.fitness[row]:g})" for row in found[:SHOWN]]
    return ", ".join([*shown, *(["..."] if len(found) > SHOWN else [])])


def summary(found: Inspected) -> str:
    """What the table holds, then the remarks, a line each."""
    data = found.dataset
    depths = Counter(map(int, data.variants.depths))
    sites = {one.position for genotype in data.variants.genotypes for one in genotype}
    lines = [
        f"columns: {found.detected.told}",
        f"{found.detected.rows} rows, {len(data)} variants at {len(sites)} of {len(data.wild_type)} sites; by number "
        f"of mutations: {', '.join(f'{depth}: {depths[depth]}' for depth in sorted(depths))}",
        f"fitness from {data.fitness.min():g} to {data.fitness.max():g}, median {np.median(data.fitness):g}",
        *(f"remark: {one}" for one in found.remarks),
    ]
    return "\n".join(lines)


def named(mutant: str = "", sequence: str = "", fitness: str = "", std: str = "", replicates: str = "") -> Columns:
    """The columns that a person names; those without a name are detected."""
    return Columns(mutant or None, fitness or None, std or None, replicates or None, sequence or None)


def dataset_of(
    path: Path, wild_type: str, columns: Columns | None = None, offset: int = 0, higher_is_better: bool = True
) -> Dataset:
    """The dataset that `multimep dataset` wrote, or one's own table where its wild type is given.

    Raises InspectionError where a dataset's record is not there, and for words on how to read one that has a record.
    """
    told = columns or Columns()
    if wild_type:
        return inspect(table_of(path, wild_type, told, "", offset, higher_is_better)).dataset
    if told != Columns() or offset or not higher_is_better:
        raise InspectionError(
            f"{path}: columns, offset and direction are of a table of your own: give its --wild-type too; a dataset's "
            "record says them itself"
        )
    if not (record := record_path(path)).exists():
        raise InspectionError(
            f"{path}: its record {record.name} is not beside it; give --wild-type for a table of your own, or make "
            "both with `multimep dataset`"
        )
    return read(path)
