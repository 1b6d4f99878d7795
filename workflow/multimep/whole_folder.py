"""A new folder of texts, written whole or not at all, and never over another one."""

import csv
import io
import os
import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from multimep.whole_files import refused


class FolderError(ValueError):
    """A folder that cannot be made; the message names it and the remedy."""


def check_new(folder: Path) -> None:
    """Raise FolderError where the folder could not be made: it is there already, or lies below a file."""
    if folder.exists():
        raise FolderError(f"{folder}: is there already; choose another --output, no folder is overwritten")
    parent = next(one for one in folder.absolute().parents if one.exists())
    if not parent.is_dir() or not os.access(parent, os.W_OK):
        raise FolderError(f"{folder}: {parent} is no folder that can be written to; choose another --output")


def write(files: Mapping[str, str], folder: Path) -> None:
    """Write all files into a new folder, or none; raises FolderError as `check_new`, WritingError without room."""
    check_new(folder)
    partial = folder.with_name(f".{folder.name}.{os.getpid()}.partial")
    partial.mkdir(parents=True)
    try:
        for name, text in files.items():
            (partial / name).write_text(text, encoding="utf-8", newline="\n")
        partial.rename(folder)
    except OSError as error:
        raise refused(folder, error) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def table(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """The text of a CSV."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return text.getvalue()
