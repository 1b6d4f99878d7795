"""What every reader shares: files in memory, rows that know their line, cells that become numbers."""

import csv
import io
import math
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from multimep.documents import content, shown
from multimep.mutations import MutationError, check_residues
from multimep.readers import workbook
from multimep.readers.faults import CellError, Fault, SourceError, refusal
from multimep.readers.measurements import Measurement

CELL = 80
"""Letters of a cell that a message shows."""
DIGITS = 9
"""Of a whole number in a cell: more are no count of measurements, and no fold."""


@dataclass(frozen=True)
class Text:
    """One input file in memory: the name that messages use, and its bytes."""

    name: str
    content: bytes


@dataclass(frozen=True)
class Columns:
    """Header names that differ from the reader's own; None keeps the reader's.

    Attributes:
        mutant: genotypes such as A23V:C45D.
        fitness: the measured value.
        std: standard deviation of that value (optional in every layout).
        replicates: number of measurements behind it (optional).
        sequence: full sequences: read where there is no mutant column, compared with it where there is one.
        splits: name of a split -> its column, whose cells are train, test or empty, or numbers of folds.
        covariates: name of a covariate -> its column of finite numbers: what the file says of each variant beside the
            measurement, such as another model's zero-shot score. Predictors may see them. Where the column stands
            more than once in the header, its copies must agree in every row.
    """

    mutant: str | None = None
    fitness: str | None = None
    std: str | None = None
    replicates: str | None = None
    sequence: str | None = None
    splits: Mapping[str, str] = field(default_factory=dict)
    covariates: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Inputs:
    """What a reader is given.

    Attributes:
        dataset: its name, for messages.
        files: role (variants, wild_type, ...) -> content.
        wild_type: literal sequence; empty where a file has it.
        offset: added to every position of the source.
        delimiter: of the table; empty for the reader's own.
        columns: header names that differ from the reader's own.
    """

    dataset: str
    files: Mapping[str, Text]
    wild_type: str = ""
    offset: int = 0
    delimiter: str = ""
    columns: Columns = field(default_factory=Columns)

    def file(self, role: str) -> Text:
        """The file of a role that the reader cannot do without."""
        if role not in self.files:
            raise refusal(self.dataset, role, f"the source names no file {role!r}; add it under files:")
        return self.files[role]

    def refuse(self, file: str, reason: str, text: str = "") -> SourceError:
        """The error for a fault that concerns a file as a whole."""
        return refusal(self.dataset, file, reason, text)


@dataclass(frozen=True)
class Row:
    """One row of a table: used cells by header name, the line it starts on, and what is wrong with its shape."""

    line: int
    cells: Mapping[str, str]
    fault: str = ""

    def __getitem__(self, column: str) -> str:
        return self.cells[column]

    @property
    def told(self) -> str:
        """Its cells for a message, each cut: of a table with many faults all are kept."""
        return ", ".join(cell if len(cell) <= CELL else f"{cell[:CELL]}..." for cell in self.cells.values())


def decode(inputs: Inputs, file: Text) -> str:
    """The text of a UTF-8 file, a byte order mark removed."""
    try:
        return file.content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = file.content[: error.start].count(b"\n") + 1
        fault = Fault(file.name, line, "", f"byte {error.start} is not UTF-8 ({error.reason}); save the file as UTF-8")
        raise SourceError(inputs.dataset, [fault]) from error


def table(
    inputs: Inputs, file: Text, columns: Iterable[str], delimiter: str = ",", copied: Collection[str] = ()
) -> list[Row]:
    """The rows of a delimited table, with the cells of the named columns: `rows` as a list."""
    return list(rows(inputs, file, columns, delimiter, copied))


def rows(
    inputs: Inputs, file: Text, columns: Iterable[str], delimiter: str = ",", copied: Collection[str] = ()
) -> Iterator[Row]:
    """The rows of a delimited table one after another, with the cells of the named columns.

    A column of `copied` may stand in the header several times; a row in which its copies differ has that fault.

    Raises:
        SourceError: wrong encoding, empty file, no rows, broken quotes, one of the columns missing or standing
            twice in the header (a column that nobody reads may: public assay files repeat their score columns).
    """
    lines = cells_of(inputs, file, inputs.delimiter or delimiter)
    first = next(lines, None)
    if first is None:
        raise inputs.refuse(file.name, "the file is empty; give it a header line and rows")
    header = [name.strip() for name in first[1]]
    used = list(dict.fromkeys(columns))
    _check_header(inputs, file, header, used, copied)
    where = {name: [place for place, one in enumerate(header) if one == name] for name in used}
    line = 0
    for line, cells in lines:
        yield _row(line, cells, where, len(header))
    if not line:
        raise inputs.refuse(file.name, "no rows below the header; save the table again with its rows")


def header_of(inputs: Inputs, file: Text) -> list[str]:
    """The column names of a table; empty for an empty file."""
    first = next(cells_of(inputs, file, inputs.delimiter or ","), (0, []))
    return [name.strip() for name in first[1]]


def cells_of(inputs: Inputs, file: Text, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """Line on which each row starts (quoted cells may span lines) and its cells; blank lines are passed over.

    Of an Excel workbook these are the rows of its first sheet.
    """
    if workbook.is_workbook(file.content):
        try:
            yield from workbook.rows(file.content)
        except workbook.WorkbookError as error:
            raise inputs.refuse(file.name, str(error)) from error
        return
    if len(delimiter) != 1 or delimiter in '"\r\n ':
        raise inputs.refuse(file.name, f"delimiter {shown(delimiter)} is not one letter such as ',', ';' or a tab")
    reader = csv.reader(io.StringIO(decode(inputs, file), newline=""), delimiter=delimiter, strict=True)
    start = 1
    try:
        for cells in reader:
            if cells:
                yield start, cells
            start = reader.line_num + 1
    except csv.Error as error:
        raise SourceError(inputs.dataset, [Fault(file.name, start, "", f"broken table: {error}")]) from error


def _check_header(
    inputs: Inputs, file: Text, header: Sequence[str], used: Sequence[str], copied: Collection[str]
) -> None:
    missing = [name for name in used if name not in header]
    twice = [name for name in used if header.count(name) > 1 and name not in copied]
    reasons = [f"no column {name!r} (name it under columns:, or state another delimiter:)" for name in missing]
    reasons += [f"column {name!r} stands twice in the header; remove or rename one" for name in twice]
    if reasons:
        raise SourceError(inputs.dataset, [Fault(file.name, 1, ", ".join(header), reason) for reason in reasons])


def _row(line: int, cells: list[str], where: Mapping[str, Sequence[int]], width: int) -> Row:
    if len(cells) != width:
        return Row(line, {"": ",".join(cells)}, f"{len(cells)} cells under a header of {width}")
    differ = [name for name, places in where.items() if len({cells[place].strip() for place in places}) > 1]
    fault = f"the columns {differ[0]!r} differ; remove or rename all but one" if differ else ""
    return Row(line, {name: cells[places[0]] for name, places in where.items()}, fault)


def gather(inputs: Inputs, file: Text, rows: Iterable[Row], read: Callable[[Row], Measurement]) -> list[Measurement]:
    """`read` of every row; raises SourceError with all rows that could not be read."""
    measurements: list[Measurement] = []
    faults: list[Fault] = []
    for row in rows:
        try:
            measurements.append(read(_sound(row)))
        except (MutationError, CellError) as error:
            faults.append(Fault(file.name, row.line, row.told, str(error)))
    if faults:
        raise SourceError(inputs.dataset, faults)
    return measurements


def _sound(row: Row) -> Row:
    if row.fault:
        raise CellError(row.fault)
    return row


_DECIMAL_COMMA = re.compile(r"[+-]?\d*,\d+([eE][+-]?\d+)?", re.ASCII)


def has_decimal_comma(text: str) -> bool:
    """Whether a cell holds a number such as 0,71: it is refused, for 1,234 may mean a thousand and more."""
    return _DECIMAL_COMMA.fullmatch(text.strip()) is not None


def number(text: str, name: str) -> float:
    """The finite number in a cell; raises CellError for empty, NaN, infinite and non-numeric text."""
    try:
        value = float(text) if text.isascii() and "_" not in text else math.nan
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        comma = "; write a decimal point for the comma, or give the Excel workbook" if has_decimal_comma(text) else ""
        said = f"{name} is {shown(text.strip())}, not a finite number{comma}"
        raise CellError(said if text.strip() else f"{name} is empty")
    return value


def spread(text: str) -> float:
    """The standard deviation in a cell, NaN where it is empty; raises CellError for a negative one."""
    if not text.strip():
        return math.nan
    value = number(text, "standard deviation")
    if value < 0:
        raise CellError(f"standard deviation is {shown(text.strip())}, below 0")
    return value


def count(text: str) -> int:
    """The number of measurements in a cell, at least 1."""
    if not (is_whole(text.strip()) and int(text) >= 1):
        raise CellError(f"number of replicates is {shown(text.strip())}, not a whole number from 1")
    return int(text)


def is_whole(text: str) -> bool:
    """Whether a cell is a whole number from 0, in digits."""
    return text.isascii() and text.isdecimal() and len(text) <= DIGITS


def sequence(inputs: Inputs) -> str:
    """The letters of the literal sequence or of the wild_type file (one FASTA record or plain text), as capitals.

    Raises:
        SourceError: neither or both given, more than one record, no letters.
    """
    file = inputs.files.get("wild_type")
    if (file is None) == (not inputs.wild_type):
        raise inputs.refuse("wild_type", "state the wild type once: as a file or as the literal wild_type:")
    text = inputs.wild_type if file is None else decode(inputs, file)
    name = "wild_type" if file is None else file.name
    records = [line for line in text.splitlines() if line.startswith(">")]
    if len(records) > 1:
        raise inputs.refuse(name, f"{len(records)} FASTA records; keep the one of the wild type")
    letters = "".join("".join(line.split()) for line in text.splitlines() if not line.startswith(">")).upper()
    if not letters:
        raise inputs.refuse(name, "no sequence")
    return letters


def read_sequence(path: Path) -> str:
    """The letters of a file with one FASTA record or plain text, as capitals; raises SourceError for another file."""
    return sequence(Inputs(path.name, {"wild_type": Text(str(path), content(path))}))


def protein(inputs: Inputs, letters: str) -> str:
    """`letters` if all are amino acids; raises SourceError otherwise."""
    try:
        check_residues(letters)
    except MutationError as error:
        raise inputs.refuse("wild_type", str(error), letters) from error
    return letters
