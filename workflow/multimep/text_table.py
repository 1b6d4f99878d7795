"""Tables as CSV with a seal, as multimep writes and reads its own: cells of text, numbers exact to the last bit.

Without pandas, whose import takes longer than most tables take to be read.
"""

import csv
import io
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from jaxtyping import Float

from multimep import seals
from multimep.documents import DocumentError, shown, text

if TYPE_CHECKING:  # for those who ask for a frame
    import pandas as pd


@dataclass(frozen=True)
class TextTable:
    """Cells of text under the names of their columns.

    Attributes:
        columns: their names, each once.
        rows: one cell for each column.
    """

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]

    def __len__(self) -> int:
        return len(self.rows)

    def __contains__(self, name: object) -> bool:
        return name in self._column

    def __getitem__(self, name: str) -> tuple[str, ...]:
        """The cells of a column; raises KeyError where there is none."""
        place = self._column[name]
        return tuple(cells[place] for cells in self.rows)

    @cached_property
    def _column(self) -> Mapping[str, int]:
        return {name: place for place, name in enumerate(self.columns)}

    def frame(self) -> "pd.DataFrame":
        """The same for pandas."""
        import pandas as pd  # noqa: PLC0415 (only for those who reckon with it)

        return pd.DataFrame(self.rows, columns=list(self.columns), dtype=str)


def read(path: Path, columns: Sequence[str], refusal: type[ValueError]) -> TextTable:
    """The table of a CSV that multimep wrote; raises `refusal`, naming the file, for any other file."""
    seals.check(path, refusal)
    try:
        header, *rows = _cells(text(path))
    except FileNotFoundError as error:
        raise refusal(f"{path}: no such file") from error
    except (DocumentError, csv.Error, ValueError) as error:
        raise refusal(f"{path}: no table that multimep wrote ({error}); make it again") from error
    twice = next((name for name in header if header.count(name) > 1), None)
    if twice is not None:
        raise refusal(f"{path}: column {shown(twice)} stands twice; make it again")
    wrong = next((row for row, cells in enumerate(rows) if len(cells) != len(header)), None)
    if wrong is not None:
        cells = len(rows[wrong])
        raise refusal(f"{path}: row {wrong + 2} has {cells} cells under a header of {len(header)}; make it again")
    missing = [name for name in columns if name not in header]
    if missing:
        raise refusal(f"{path}: no column {', '.join(missing)} (it has: {', '.join(header[:6])}); another file?")
    return TextTable(header, rows)


def _cells(words: str) -> list[list[str]]:
    """The header and the rows, blank lines left out; raises csv.Error, and ValueError where there is no header."""
    found = [cells for cells in csv.reader(io.StringIO(words, newline=""), strict=True) if cells]
    if not found:
        raise ValueError("the file is empty")
    return found


def numbers(table: TextTable, column: str, path: Path, refusal: type[ValueError]) -> Float[np.ndarray, "n"]:
    """The numbers of a column of text, NaN where empty, exact to the last bit; raises `refusal` naming the line."""
    found = np.full(len(table), np.nan)
    for row, cell in enumerate(table[column]):
        try:
            found[row] = _number(cell) if cell else np.nan
        except ValueError as error:
            raise refusal(f"{path} line {row + 2}: {column} is {shown(cell)}, not a number; make it again") from error
    return found


def _number(cell: str) -> float:
    """As `float`, which also reads 1_000 and the digits of other scripts; nobody writes such numbers on purpose."""
    if not cell.isascii() or "_" in cell:
        raise ValueError(cell)
    return float(cell)


Columns = Mapping[str, Iterable[Any]]
"""Texts and numbers by the name of their column: sequences, arrays or pandas' columns, all of one length."""


def write(columns: Columns, path: Path, digits: int | None = None) -> None:
    """Write columns as CSV with its seal, whole or not at all; `read` reads it again. NaN becomes an empty cell.

    `digits`: significant ones of floats; as many as tell them apart if not given.
    """
    seals.write(path, written(columns, digits))


def written(columns: Columns, digits: int | None = None) -> str:
    """The text of such a file."""
    cells = [[_cell(value, digits) for value in _plain(column)] for column in columns.values()]
    lines = [list(columns), *zip(*cells, strict=True)]
    words = _joined(lines, csv.QUOTE_MINIMAL)
    # a carriage return in a cell is quoted by no csv writer, and every reader takes it for the end of a line
    return _joined(lines, csv.QUOTE_ALL) if "\r" in words else words


def _joined(lines: Iterable[Sequence[str]], quoting: Literal[0, 1]) -> str:
    file = io.StringIO(newline="")
    csv.writer(file, lineterminator="\n", quoting=quoting).writerows(lines)
    return file.getvalue()


def _plain(column: Iterable[Any]) -> Iterable[Any]:
    """Python's own numbers in the place of numpy's, whose texts are others."""
    found: Iterable[Any] = column.tolist() if hasattr(column, "tolist") else column
    return found


def _cell(value: Any, digits: int | None) -> str:
    if isinstance(value, float):
        return "" if math.isnan(value) else f"{value:.{digits}g}" if digits else repr(float(value))
    return "" if value is None else str(value)
