"""Variants that nobody has measured yet: all single mutants, or those in a file."""

from pathlib import Path

import numpy as np

from multimep.mutations import AMINO_ACIDS, MutationError, apply, format_genotype, parse
from multimep.readers.faults import CellError, Fault, SourceError
from multimep.readers.reader import Inputs, Row, Text, header_of, number, table
from multimep.variants import COVARIATE_PREFIX, Variants

MUTANT = "mutant"
TRANSMEP = "mutations"
"""What TransMEP calls that column."""


def single_mutants(dataset: str, wild_type: str) -> Variants:
    """All 19 L single mutants of the wild type."""
    names = [f"{old}{site}{new}" for site, old in enumerate(wild_type, start=1) for new in AMINO_ACIDS if new != old]
    return Variants(dataset, wild_type, tuple(names))


def read_variants(dataset: str, wild_type: str, path: Path) -> Variants:
    """The columns `mutant` (or TransMEP's `mutations`) and `covariate_NAME` of a CSV, repeated genotypes once.

    Raises SourceError that lists every row it cannot read, and a genotype that is repeated with other covariates.
    """
    inputs, file = Inputs(dataset, {}), Text(str(path), path.read_bytes())
    header = header_of(inputs, file)
    columns = [name for name in header if name.startswith(COVARIATE_PREFIX)]
    mutant = TRANSMEP if TRANSMEP in header and MUTANT not in header else MUTANT
    found: dict[str, list[float]] = {}
    faults = []
    for row in table(inputs, file, [mutant, *columns]):
        try:
            name, values = _name(row, mutant, wild_type), [number(row[column], column) for column in columns]
            _require_same(name, found.setdefault(name, values), values)
        except (MutationError, CellError) as error:
            faults.append(Fault(str(path), row.line, ", ".join(row.cells.values()), str(error)))
    if faults:
        raise SourceError(dataset, faults)
    cells = np.array(list(found.values()), dtype=np.float64).reshape(len(found), len(columns))
    covariates = {name.removeprefix(COVARIATE_PREFIX): cells[:, i] for i, name in enumerate(columns)}
    return Variants(dataset, wild_type, tuple(found), covariates)


def _require_same(name: str, above: list[float], here: list[float]) -> None:
    if above != here:
        raise CellError(f"{name} stands above with other covariates; keep one of them")


def _name(row: Row, column: str, wild_type: str) -> str:
    if row.fault:
        raise CellError(f"{row.fault}; quote a mutant that contains the separator")
    genotype = parse(row[column])
    apply(genotype, wild_type)
    return format_genotype(genotype)
