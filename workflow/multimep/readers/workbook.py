"""The first sheet of an Excel workbook (.xlsx) as rows of text: a zip of XML, ECMA-376 part 1, SpreadsheetML."""

import io
import lzma
import re
import struct
import zipfile
import zlib
from collections.abc import Iterator
from xml.etree import ElementTree

from multimep.documents import shown

SIGNATURE = b"PK\x03\x04"
LIMIT = 1 << 28
"""Bytes of one unpacked part: a sheet of a million rows has a tenth of it."""
ELEMENTS = 1 << 23
"""Of one part: half a million rows of five cells, about 1 GiB in memory."""
ROWS, COLUMNS = 1 << 20, 1 << 14
"""Of a sheet, by Excel's own specification; a reference beyond them is no cell's."""
CELLS = 1 << 26
"""Cells of a sheet when every row is as wide as the widest: beyond, a few bytes would ask for all memory."""
_UNREADABLE = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error, EOFError, LookupError, ValueError,
               ElementTree.ParseError, RuntimeError, OverflowError)  # fmt: skip
"""What a damaged archive, an encrypted one (RuntimeError), an unknown compression or encoding and damaged XML raise."""
_MAIN = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"
_OFFICE = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}"


class WorkbookError(ValueError):
    """A workbook that cannot be read; the message says what to save instead."""


def is_workbook(content: bytes) -> bool:
    """Whether these bytes begin as a zip does: no table of text does."""
    return content.startswith(SIGNATURE)


def rows(content: bytes) -> Iterator[tuple[int, list[str]]]:
    """Number and cells of each row of the first sheet that has any, all of one width; dates come as Excel's numbers.

    Raises WorkbookError for what is no workbook.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            texts = _shared(archive)
            found = [(number, dict(cells)) for number, cells in _cells(_part(archive, _first(archive)), texts)]
    except _UNREADABLE as error:
        raise WorkbookError(f"no Excel workbook that can be read ({error}); save the sheet as CSV (UTF-8)") from error
    width = 1 + max((column for _, cells in found for column in cells), default=-1)
    if len(found) > ROWS or width > COLUMNS or len(found) * width > CELLS:
        raise WorkbookError(f"{len(found)} rows and {width} columns are too many; save the sheet as CSV (UTF-8)")
    for number, cells in found:
        if any(text.strip() for text in cells.values()):
            yield number, [cells.get(column, "") for column in range(width)]


def _part(archive: zipfile.ZipFile, name: str) -> ElementTree.Element:
    if archive.getinfo(name).file_size > LIMIT:
        raise WorkbookError(f"{name} is larger than {LIMIT} bytes")
    text = archive.read(name)
    builder = _Builder()
    parser = ElementTree.XMLParser(target=builder)  # noqa: S314 (its target refuses what could grow without bound)
    parser.feed(text)
    parser.close()
    return builder.close()


class _Builder(ElementTree.TreeBuilder):
    """A tree of bounded size, of a part without a document type: no workbook has entities, which grow without bound."""

    elements = 0

    def start(self, tag: str, attrs: dict[str, str], /) -> ElementTree.Element:
        """Count the element."""
        self.elements += 1
        if self.elements > ELEMENTS:
            raise WorkbookError(f"more than {ELEMENTS} elements")
        return super().start(tag, attrs)

    def doctype(self, *_: object) -> None:
        """Refuse it, in whatever encoding it stands."""
        raise WorkbookError("declares a document type")


def _first(archive: zipfile.ZipFile) -> str:
    sheet = _part(archive, "xl/workbook.xml").findall(f"{_MAIN}sheets/{_MAIN}sheet")[0]
    wanted = sheet.attrib[f"{_OFFICE}id"]
    links = _part(archive, "xl/_rels/workbook.xml.rels")
    targets = {link.attrib["Id"]: link.attrib["Target"] for link in links}
    target = targets[wanted]
    return target.lstrip("/") if target.startswith("/") else f"xl/{target}"


def _shared(archive: zipfile.ZipFile) -> list[str]:
    if "xl/sharedStrings.xml" not in archive.namelist():
        return []
    return [_text(item) for item in _part(archive, "xl/sharedStrings.xml").findall(f"{_MAIN}si")]


def _text(item: ElementTree.Element) -> str:
    """Runs of a text, without the phonetic ones."""
    direct = [one.text or "" for one in item.findall(f"{_MAIN}t")]
    return "".join(direct + [one.text or "" for one in item.findall(f"{_MAIN}r/{_MAIN}t")])


def _cells(sheet: ElementTree.Element, texts: list[str]) -> Iterator[tuple[int, list[tuple[int, str]]]]:
    number = 0
    for row in sheet.iterfind(f"{_MAIN}sheetData/{_MAIN}row"):
        number = int(row.attrib.get("r", number + 1))
        cells: list[tuple[int, str]] = []
        for cell in row.findall(f"{_MAIN}c"):
            place = _column(cell.attrib["r"]) if "r" in cell.attrib else (cells[-1][0] + 1 if cells else 0)
            cells.append((place, _value(cell, texts)))
        yield number, cells


def _column(reference: str) -> int:
    """B7 is in column 1."""
    if not (letters := re.match(r"[A-Z]{1,3}(?![A-Z])", reference)):
        raise WorkbookError(f"{shown(reference)} is no cell")
    number = 0
    for letter in letters[0]:
        number = 26 * number + ord(letter) - ord("A") + 1
    return number - 1


def _value(cell: ElementTree.Element, texts: list[str]) -> str:
    kind, value = cell.attrib.get("t", "n"), cell.find(f"{_MAIN}v")
    if kind == "inlineStr":
        inner = cell.find(f"{_MAIN}is")
        return "" if inner is None else _text(inner)
    text = "" if value is None else value.text or ""
    return texts[int(text)] if kind == "s" and text else text
