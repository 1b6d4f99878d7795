"""Tables with one variant per row: multimep's own CSV, ProteinGym's, TransMEP's; others by naming their columns."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from multimep.dataset import SPLIT_PREFIX
from multimep.documents import shown
from multimep.mutations import Genotype, MutationError, apply, check, compare, parse
from multimep.readers.faults import CellError
from multimep.readers.measurements import Measurement, Reading
from multimep.readers.reader import (
    Columns,
    Inputs,
    Row,
    Text,
    count,
    gather,
    header_of,
    is_whole,
    number,
    protein,
    sequence,
    spread,
    table,
)
from multimep.variants import COVARIATE_PREFIX

MULTIMEP = Columns(mutant="mutant", fitness="fitness", std="std", replicates="replicates", sequence="sequence")
PROTEINGYM = Columns(mutant="mutant", fitness="DMS_score", sequence="mutated_sequence")
TRANSMEP = Columns(mutant="mutations", fitness="y")
SIDES = ("train", "test", "")


@dataclass(frozen=True)
class _Layout:
    """The columns that a file really has; None where it has none of that kind."""

    fitness: str
    mutant: str | None
    sequence: str | None
    std: str | None
    replicates: str | None
    splits: Mapping[str, str]
    covariates: Mapping[str, str]

    @property
    def names(self) -> list[str]:
        own = [self.mutant, self.sequence, self.fitness, self.std, self.replicates]
        return [*(name for name in own if name is not None), *self.splits.values(), *self.covariates.values()]

    @property
    def copied(self) -> frozenset[str]:
        """Columns that nothing but covariates are read from."""
        others = replace(self, covariates={}).names
        return frozenset(self.covariates.values()) - set(others)


def read_multimep(inputs: Inputs) -> Reading:
    """Mutant or sequence (or both), fitness, optionally std, replicates, split_NAME and covariate_NAME columns.

    ``+``, ``,`` and ``:`` separate mutations; ``WT`` and an empty cell are the wild type. A split's cells are train,
    test or empty, or numbers of folds (0, 1, ...) and empty; a covariate's are finite numbers.
    """
    header = header_of(inputs, inputs.file("variants"))
    splits, covariates = (
        {name.removeprefix(prefix): name for name in header if name.startswith(prefix)}
        for prefix in (SPLIT_PREFIX, COVARIATE_PREFIX)
    )
    columns = replace(
        inputs.columns,
        splits={**splits, **inputs.columns.splits},
        covariates={**covariates, **inputs.columns.covariates},
    )
    return _read(replace(inputs, columns=columns), MULTIMEP)


def read_proteingym(inputs: Inputs) -> Reading:
    """mutant, DMS_score and, where the file has it, mutated_sequence, which must be what the mutant says.

    The files do not hold the wild type: stated nowhere else, it is the first row's sequence with its mutations undone,
    and every other row is checked against that.
    """
    return _read(inputs, PROTEINGYM)


def read_transmep(inputs: Inputs) -> Reading:
    """`mutations` (A123B+C234D, empty = wild type) and `y`."""
    return _read(inputs, TRANSMEP)


def _read(inputs: Inputs, defaults: Columns) -> Reading:
    file = inputs.file("variants")
    layout = _layout(inputs, file, defaults)
    rows = table(inputs, file, layout.names, copied=layout.copied)
    wild_type = _wild_type(inputs, rows, layout)
    measurements = gather(inputs, file, rows, lambda row: _measurement(row, layout, inputs.offset, wild_type))
    return Reading(wild_type, tuple(measurements))


def _layout(inputs: Inputs, file: Text, defaults: Columns) -> _Layout:
    """Named columns must exist; the reader's own are used where they exist, but mutant or sequence and fitness must."""
    header, named = header_of(inputs, file), inputs.columns
    mutant = named.mutant or _present(defaults.mutant, header)
    residues = named.sequence or _present(defaults.sequence, header)
    return _Layout(
        fitness=named.fitness or defaults.fitness or "fitness",
        mutant=mutant if mutant or residues else defaults.mutant,
        sequence=residues,
        std=named.std or _present(defaults.std, header),
        replicates=named.replicates or _present(defaults.replicates, header),
        splits=named.splits,
        covariates=named.covariates,
    )


def _present(name: str | None, header: Sequence[str]) -> str | None:
    return name if name in header else None


def _wild_type(inputs: Inputs, rows: Sequence[Row], layout: _Layout) -> str:
    if inputs.wild_type or "wild_type" in inputs.files or not (layout.mutant and layout.sequence):
        return protein(inputs, sequence(inputs))
    first = rows[0]
    if first.fault:
        raise inputs.refuse("wild_type", f"not stated, and the first row has {first.fault}")
    try:
        return protein(inputs, _undone(parse(first[layout.mutant]), first[layout.sequence].strip(), inputs.offset))
    except MutationError as error:
        raise inputs.refuse("wild_type", f"not stated, and the first row does not tell it: {error}") from error


def _undone(genotype: Genotype, mutated: str, offset: int) -> str:
    """The wild type that the genotype turned into `mutated`."""
    reverse = tuple(type(one)(one.position + offset, one.substitute, one.reference) for one in genotype)
    return apply(reverse, mutated)


def _measurement(row: Row, layout: _Layout, offset: int, wild_type: str) -> Measurement:
    return Measurement(
        _genotype(row, layout, offset, wild_type),
        number(row[layout.fitness], layout.fitness),
        spread(row[layout.std]) if layout.std else math.nan,
        count(row[layout.replicates]) if layout.replicates else 1,
        {name: _side(row[column], column) for name, column in layout.splits.items()},
        {name: number(row[column], column) for name, column in layout.covariates.items()},
    )


def _genotype(row: Row, layout: _Layout, offset: int, wild_type: str) -> Genotype:
    if layout.mutant is None:
        return compare(wild_type, row[layout.sequence or ""].strip())
    genotype = tuple(one.shifted(offset) for one in parse(row[layout.mutant]))
    check(genotype, wild_type)
    if layout.sequence is not None and apply(genotype, wild_type) != row[layout.sequence].strip():
        raise CellError(f"{layout.sequence} is not the wild type with {row[layout.mutant][:80]}")
    return genotype


def _side(text: str, column: str) -> str:
    if text not in SIDES and not is_whole(text):
        raise CellError(f"{column} is {shown(text)}, not train, test, the number of a fold or empty")
    return text
