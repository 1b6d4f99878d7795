"""The first sheet of an Excel workbook (.xlsx) as rows of text: a zip of XML, ECMA-376 part 1, SpreadsheetML."""

import io
import re
import zipfile
import zlib
from collections.abc import Iterator
from xml.etree import ElementTree

SIGNATURE = b"PK\x03\x04"
LIMIT = 1 << 28
"""Bytes of one unpacked part: a sheet of a million rows has a tenth of it."""
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
    except (zipfile.BadZipFile, zlib.error, KeyError, IndexError, ValueError, ElementTree.ParseError) as error:
        raise WorkbookError(f"no Excel workbook that can be read ({error}); save the sheet as CSV (UTF-8)") from error
    width = 1 + max((column for _, cells in found for column in cells), default=-1)
    for number, cells in found:
        if any(text.strip() for text in cells.values()):
            yield number, [cells.get(column, "") for column in range(width)]


def _part(archive: zipfile.ZipFile, name: str) -> ElementTree.Element:
    if archive.getinfo(name).file_size > LIMIT:
        raise WorkbookError(f"{name} is larger than {LIMIT} bytes")
    text = archive.read(name)
    if b"<!DOCTYPE" in text:  # entities, which no spreadsheet has, could grow without bound
        raise WorkbookError(f"{name} declares a document type")
    return ElementTree.fromstring(text)  # noqa: S314 (without a document type there are no entities)


def _first(archive: zipfile.ZipFile) -> str:
    sheet = _part(archive, "xl/workbook.xml").findall(f"{_MAIN}sheets/{_MAIN}sheet")[0]
    wanted = sheet.attrib[f"{_OFFICE}id"]
    links = _part(archive, "xl/_rels/workbook.xml.rels")
    target = next(link.attrib["Target"] for link in links if link.attrib["Id"] == wanted)
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
    number = 0
    for letter in re.match(r"[A-Z]+", reference)[0]:  # type: ignore[index]
        number = 26 * number + ord(letter) - ord("A") + 1
    return number - 1


def _value(cell: ElementTree.Element, texts: list[str]) -> str:
    kind, value = cell.attrib.get("t", "n"), cell.find(f"{_MAIN}v")
    if kind == "inlineStr":
        inner = cell.find(f"{_MAIN}is")
        return "" if inner is None else _text(inner)
    text = "" if value is None else value.text or ""
    return texts[int(text)] if kind == "s" and text else text
