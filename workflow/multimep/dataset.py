"""A Dataset: variants of one wild type with their measured fitness; its CSV and its JSON record."""

import dataclasses
import json
from collections.abc import Iterable, Mapping, Sequence, Sized
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

from multimep import paths, seals, text_table
from multimep.documents import DocumentError, from_json, text
from multimep.mutations import MutationError, check, check_residues
from multimep.structure import StructureError, from_lines
from multimep.text_table import TextTable
from multimep.typed_values import SettingsError, build
from multimep.variants import COVARIATE_PREFIX, DatasetError, Variants

SPLIT_PREFIX = "split_"


__all__ = ["Dataset", "DatasetError", "Record", "Variants"]  # the first two rooms of a dataset, one door


@dataclass(frozen=True)
class Dataset:
    """Distinct variants of one wild type with one measured fitness each.

    Attributes:
        variants: the genotypes; `variants.dataset` is the name.
        fitness: mean over replicates, in the unit of the source, shape (n,), finite.
        std: standard deviation given by the source or found between replicates, NaN where unknown, shape (n,).
        replicates: number of measurements behind each fitness, shape (n,).
        group: type of protein (enzyme, binding, ...), the unit of "per group" models.
        higher_is_better: False where a lower value is the better mutant.
        splits: the source's own splits, name -> "train"/"test"/"" or number of a fold/"" per variant.
    """

    variants: Variants
    fitness: Float[np.ndarray, "n"]
    std: Float[np.ndarray, "n"]
    replicates: Int[np.ndarray, "n"]
    group: str = "ungrouped"
    higher_is_better: bool = True
    splits: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse columns of another length and a fitness that is not finite."""
        columns: dict[str, Sized] = {
            "fitness": self.fitness,
            "std": self.std,
            "replicates": self.replicates,
            **self.splits,
        }
        for name, column in columns.items():
            if len(column) != len(self.variants):
                raise DatasetError(f"{self.name}: {len(column)} values of {name} for {len(self.variants)} variants")
        if not (np.isnan(self.std) | (np.isfinite(self.std) & (self.std >= 0))).all():
            raise DatasetError(f"{self.name}: a standard deviation is below 0 or not finite")
        if (self.replicates < 1).any():
            raise DatasetError(f"{self.name}: a number of replicates is below 1")
        if not np.isfinite(self.fitness).all():
            first = self.variants.mutants[int(np.argmin(np.isfinite(self.fitness)))]
            raise DatasetError(f"{self.name}: fitness of {first} is not finite")

    def __len__(self) -> int:
        return len(self.variants)

    @property
    def name(self) -> str:
        """The name under which studies, files and heads know this dataset."""
        return self.variants.dataset

    @property
    def wild_type(self) -> str:
        """The wild-type sequence."""
        return self.variants.wild_type

    def select(self, mutants: Iterable[str]) -> "Dataset":
        """The named rows in the given order; raises DatasetError for a mutant that is not here."""
        variants = self.variants.select(mutants)
        rows = np.array([self.variants.row_of[mutant] for mutant in variants.mutants], dtype=np.int64)
        splits = {name: tuple(column[row] for row in rows) for name, column in self.splits.items()}
        return dataclasses.replace(
            self,
            variants=variants,
            fitness=self.fitness[rows],
            std=self.std[rows],
            replicates=self.replicates[rows],
            splits=splits,
        )


@dataclass(frozen=True)
class Record:
    """What is known of a dataset beside its rows: written as JSON next to its CSV.

    Attributes:
        name, group, wild_type, higher_is_better: as in Dataset.
        target, unit: what was measured.
        counts: rows read, rows dropped, variants kept, replicates averaged.
        depths: number of variants by number of mutations.
        dropped: why rows were left out, reason -> number of rows.
        sha256: checksum of each input file, file name -> hex digest.
        licence, citation: as the source states them.
        simulated: True for scans that multimep made itself.
        notes: remarks of the reader (numbering, replicates that the source's split had on both sides, ...).
        structure: CA positions along the wild type, one text ``x y z`` in angstrom per residue, empty where unknown;
            none at all without a structure.
    """

    name: str
    group: str
    wild_type: str
    higher_is_better: bool
    target: str
    unit: str
    counts: Mapping[str, int]
    depths: Mapping[str, int]
    dropped: Mapping[str, int] = field(default_factory=dict)
    sha256: Mapping[str, str] = field(default_factory=dict)
    licence: str = ""
    citation: str = ""
    simulated: bool = False
    notes: Sequence[str] = ()
    structure: Sequence[str] = ()


def write(dataset: Dataset, record: Record, path: Path) -> None:
    """Write `path` (CSV: mutant, fitness, std, replicates, split_*, covariate_*), whole, after the record beside it."""
    columns: text_table.Columns = {
        "mutant": dataset.variants.mutants,
        "fitness": dataset.fitness,
        "std": dataset.std,
        "replicates": dataset.replicates,
        **{SPLIT_PREFIX + name: column for name, column in dataset.splits.items()},
        **{COVARIATE_PREFIX + name: values for name, values in dataset.variants.covariates.items()},
    }
    if path.suffix == record_path(path).suffix:
        raise DatasetError(f"{path}: that name is the record's, which stands beside the table; end the table in .csv")
    seals.write(record_path(path), json.dumps(dataclasses.asdict(record), indent=2, ensure_ascii=False) + "\n")
    text_table.write(columns, path)


def read(path: Path) -> Dataset:
    """Read a dataset written by `write`, its record beside it; raises DatasetError that names the file and the line."""
    record = read_record(path)
    table = text_table.read(path, ("mutant", "fitness", "std", "replicates"), DatasetError)
    if len(table) != record.counts.get("variants", len(table)):
        raise DatasetError(
            f"{path}: {len(table)} variants, its record says {record.counts['variants']}: cut short or edited; "
            "make it again with `multimep dataset`"
        )
    splits = {name.removeprefix(SPLIT_PREFIX): table[name] for name in _with_prefix(table, SPLIT_PREFIX)}
    covariates = {
        name.removeprefix(COVARIATE_PREFIX): text_table.numbers(table, name, path, DatasetError)
        for name in _with_prefix(table, COVARIATE_PREFIX)
    }
    fitness, std, replicates = (
        text_table.numbers(table, name, path, DatasetError) for name in ("fitness", "std", "replicates")
    )
    try:
        structure = from_lines(record.structure) if record.structure else None
        dataset = Dataset(
            Variants(record.name, record.wild_type, table["mutant"], covariates, structure),
            fitness,
            std,
            _whole(replicates, path),
            record.group,
            record.higher_is_better,
            splits,
        )
        for genotype in dataset.variants.genotypes:
            check(genotype, record.wild_type)
    except (MutationError, DatasetError, StructureError) as error:
        raise DatasetError(f"{path}: {error}; make it again with `multimep dataset`") from error
    return dataset


def _whole(replicates: Float[np.ndarray, "n"], path: Path) -> Int[np.ndarray, "n"]:
    """Numbers of measurements, 1 where none is stated; raises DatasetError for a part of one and for 2^53 or more."""
    found = np.nan_to_num(replicates, nan=1)
    if not (np.abs(found) < 2**53).all() or (found != np.floor(found)).any():
        raise DatasetError(f"{path}: replicates must be whole numbers; make it again with `multimep dataset`")
    return np.asarray(found, dtype=np.int64)


def _with_prefix(table: TextTable, prefix: str) -> list[str]:
    return [name for name in table.columns if name.startswith(prefix)]


def read_record(path: Path) -> Record:
    """The JSON record of the dataset whose CSV is `path`; raises DatasetError where there is none."""
    where = record_path(path)
    seals.check(where, DatasetError)
    try:
        fields = from_json(text(where))
        if not isinstance(fields, dict):
            raise DatasetError(f"{where}: no record of a dataset; make it with `multimep dataset`")
        record = build(Record, fields, where.name)
        paths.check_name(record.name)
        return dataclasses.replace(record, structure=tuple(record.structure))
    except FileNotFoundError as error:
        reason = f"its record {where.name} is not beside it" if path.exists() else "no such file"
        raise DatasetError(f"{path}: {reason}; make both with `multimep dataset`") from error
    except (DocumentError, SettingsError, paths.PathError) as error:
        raise DatasetError(f"{where}: no record of a dataset ({error}); make it with `multimep dataset`") from error


def read_wild_type(path: Path) -> tuple[str, str]:
    """Name and wild type of a dataset from its record, or from the file of `multimep wild-type`."""
    seals.check(path, DatasetError)
    try:
        fields = from_json(text(path))
        name, wild_type = str(fields["name"]), str(fields["wild_type"])
        check_residues(wild_type)
    except (DocumentError, MutationError, KeyError, TypeError) as error:
        raise DatasetError(f"{path}: no name and wild type of a dataset ({error}); make it again") from error
    return name, wild_type


def record_path(path: Path) -> Path:
    """Where the record of the dataset CSV `path` stands."""
    return path.with_suffix(".json")
