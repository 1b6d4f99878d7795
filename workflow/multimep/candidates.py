"""Variants that nobody has measured yet: all single mutants, or those in a file."""

from pathlib import Path

from multimep.dataset import Variants
from multimep.mutations import AMINO_ACIDS, MutationError, apply, format_genotype, parse
from multimep.readers.faults import CellError, Fault, SourceError
from multimep.readers.reader import Inputs, Row, Text, table

MUTANT = "mutant"


def single_mutants(dataset: str, wild_type: str) -> Variants:
    """All 19 L single mutants of the wild type."""
    names = [f"{old}{site}{new}" for site, old in enumerate(wild_type, start=1) for new in AMINO_ACIDS if new != old]
    return Variants(dataset, wild_type, tuple(names))


def read_variants(dataset: str, wild_type: str, path: Path) -> Variants:
    """The column `mutant` of a CSV, repeated genotypes once; raises SourceError that lists every row it cannot read."""
    names, faults = [], []
    for row in table(Inputs(dataset, {}), Text(str(path), path.read_bytes()), [MUTANT]):
        try:
            names.append(_name(row, wild_type))
        except (MutationError, CellError) as error:
            faults.append(Fault(str(path), row.line, ", ".join(row.cells.values()), str(error)))
    if faults:
        raise SourceError(dataset, faults)
    return Variants(dataset, wild_type, tuple(dict.fromkeys(names)))


def _name(row: Row, wild_type: str) -> str:
    if row.fault:
        raise CellError(f"{row.fault}; quote a mutant that contains the separator")
    genotype = parse(row[MUTANT])
    apply(genotype, wild_type)
    return format_genotype(genotype)
