"""Which column of one's own table holds what, told from its name and cells; what is unclear is asked, not guessed."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from multimep.mutations import AMINO_ACIDS, WILD_TYPE, MutationError, parse
from multimep.readers.faults import CellError
from multimep.readers.reader import Columns, Inputs, Text, cells_of, has_decimal_comma, number
from multimep.variants import COVARIATE_PREFIX

DELIMITERS = (",", ";", "\t")
LOOKED_AT = 200
"""Rows whose cells are looked at."""
MOST = 0.5
"""Share of a column's filled cells that must be of a kind; the others are faults that `check` lists."""
SHORTEST = 10
"""Residues of a cell that may be a sequence: shorter ones may be words."""
NAMES: Mapping[str, tuple[str, ...]] = {
    "fitness": ("fitness", "score", "dms_score", "activity", "y", "value", "measurement", "target", "readout"),
    "std": ("std", "sd", "stdev", "stddev", "standard deviation", "standard_deviation"),
    "replicates": ("replicates", "n", "reps"),  # `replicate` is mostly the number of the repeat, not of repeats
}
"""Names by which a column is known, best first; capitals do not matter."""


Kind = Callable[[str], bool]


@dataclass(frozen=True)
class Detected:
    """What a table's columns are.

    Attributes:
        header: all names.
        delimiter: between cells.
        columns: by their role.
        rows: below the header.
    """

    header: tuple[str, ...]
    delimiter: str
    columns: Columns
    rows: int

    @property
    def told(self) -> str:
        """The roles and their columns, for a reader."""
        roles = ("mutant", "sequence", "fitness", "std", "replicates")
        named = [f"{role}: {getattr(self.columns, role) or '-'}" for role in roles]
        used = {getattr(self.columns, role) for role in roles}
        others = [name for name in self.header if name not in used]
        return "; ".join([*named, f"not read: {', '.join(others) or '-'}"])


def detect(inputs: Inputs, named: Columns) -> Detected:
    """The columns of the file `variants`; those that `named` names are taken as they are.

    Raises SourceError where a column is missing, or several could be the fitness, naming them.
    """
    file = inputs.file("variants")
    delimiter = inputs.delimiter or _delimiter(inputs, file)
    lines = [cells for _, cells in cells_of(inputs, file, delimiter)]
    if len(lines) < 2:
        raise inputs.refuse(file.name, "no rows below a header; save the table with a header line and its rows")
    header = [name.strip() for name in lines[0]]
    sample = [line for line in lines[1 : LOOKED_AT + 1] if len(line) == len(header)]
    columns = {name: [line[place].strip() for line in sample] for place, name in enumerate(header)}
    unknown = [name for name in _named(named) if name not in header]
    if unknown:
        raise inputs.refuse(file.name, f"no column {unknown[0]!r}; the header has {', '.join(header)}")
    mutant = named.mutant or _first(columns, _is_mutant, _named(named))
    sequence = named.sequence or _first(columns, _is_sequence, _named(named))
    if not (mutant or sequence):
        raise inputs.refuse(file.name, f"no column with mutations such as A23V or sequences among {', '.join(header)}")
    std, replicates = (
        next((name for name in header if name.lower() in NAMES[role]), None) for role in ("std", "replicates")
    )
    found = replace(
        named, mutant=mutant, sequence=sequence, std=named.std or std, replicates=named.replicates or replicates
    )
    fitness = named.fitness or _fitness(inputs, file, columns, _named(found))
    return Detected(tuple(header), delimiter, replace(found, fitness=fitness), len(lines) - 1)


def _named(columns: Columns) -> list[str]:
    roles = (columns.mutant, columns.fitness, columns.std, columns.replicates, columns.sequence)
    return [name for name in roles if name]


def _delimiter(inputs: Inputs, file: Text) -> str:
    """The one that cuts the header into most cells."""
    widths = {one: len(next(cells_of(inputs, file, one), (0, []))[1]) for one in DELIMITERS}
    return max(widths, key=lambda one: widths[one])


def _first(columns: Mapping[str, Sequence[str]], kind: Kind, taken: Sequence[str]) -> str | None:
    shares = {name: _share(cells, kind) for name, cells in columns.items() if name not in taken}
    best = max(shares, key=lambda name: shares[name], default=None)
    return best if best is not None and shares[best] > MOST else None


def _fitness(inputs: Inputs, file: Text, columns: Mapping[str, Sequence[str]], taken: Sequence[str]) -> str:
    known = {name.lower(): name for name in columns if name not in taken}
    by_name = next((known[one] for one in NAMES["fitness"] if one in known), None)
    if by_name is not None:
        return by_name
    left = {name: cells for name, cells in columns.items() if name not in taken and not _prefixed(name)}
    numeric = [name for name, cells in left.items() if _share(cells, _is_number) > MOST]
    if len(numeric) != 1:
        what = f"{', '.join(numeric)} all hold numbers" if numeric else f"none of {', '.join(columns)} holds numbers"
        raise inputs.refuse(file.name, f"which column is the fitness? {what}; name it with --fitness")
    return numeric[0]


def _prefixed(name: str) -> bool:
    return name.startswith((COVARIATE_PREFIX, "split_"))


def _share(cells: Sequence[str], kind: Kind) -> float:
    filled = [one for one in cells if one and one != WILD_TYPE]
    return sum(map(kind, filled)) / len(filled) if filled else 0.0


def _is_mutant(text: str) -> bool:
    try:
        return bool(parse(text))
    except MutationError:
        return False


def _is_sequence(text: str) -> bool:
    return len(text) >= SHORTEST and set(text.upper()) <= set(AMINO_ACIDS)


def _is_number(text: str) -> bool:
    try:
        number(text, "")
    except CellError:
        return has_decimal_comma(text)  # told row by row when it is read
    return True
