"""What a command reads and writes, looked at before any work: an hour's result must not fail at its last line."""

import os
import re
from collections.abc import Sequence
from pathlib import Path

from multimep.documents import shown

NAME = "^[A-Za-z0-9][A-Za-z0-9_.-]{0,99}$"
"""Names of datasets, splits and methods: they become names of files and folders."""


class PathError(ValueError):
    """A file that cannot be read or written, or would be lost; the message names it and the remedy."""


def check(inputs: Sequence[Path], outputs: Sequence[Path]) -> None:
    """Raise PathError unless every input is a file and every output can be written, once, over none of the inputs."""
    for path in inputs:
        _check_input(path)
    for path in outputs:
        _check_output(path)
    places = [path.resolve() for path in outputs]
    for path, place in zip(outputs, places, strict=True):
        if place in [one.resolve() for one in inputs]:
            raise PathError(f"{path}: --output would overwrite what is read; choose another name")
        if places.count(place) > 1:
            raise PathError(f"{path}: given as --output twice; choose a file for each dataset")


def _check_input(path: Path) -> None:
    if not path.exists():
        raise PathError(f"{path}: no such file; correct the path (it starts from {Path.cwd()})")
    if not path.is_file():
        raise PathError(f"{path}: not a file; name the file itself")


def _check_output(path: Path) -> None:
    if path.is_dir():
        raise PathError(f"{path}: is a folder; give --output the name of a file in it")
    parent = next(one for one in path.absolute().parents if one.exists())
    if not parent.is_dir():
        raise PathError(f"{path}: {parent} is a file, not a folder; choose another --output")
    if not os.access(parent, os.W_OK):
        raise PathError(f"{path}: the folder {parent} is not writable; choose another --output")


def check_name(name: str) -> None:
    """Raise PathError for a name that could not stand in a path: the schema of config.yaml has the same pattern."""
    if fault := fault_of_name(name):
        raise PathError(f"dataset {fault}")


def fault_of_name(name: str) -> str:
    """Why a name could not stand in a path; empty where it could."""
    if re.fullmatch(NAME, name):
        return ""
    return f"name {shown(name)}: use letters, digits, '_', '.' and '-', at most 100, and begin with a letter or digit"


def by_split_and_method(files: Sequence[Path]) -> dict[tuple[str, str], Path]:
    """Predictions by their folders .../SPLIT/METHOD/, or by their own name where they lie in no two folders.

    Raises PathError for two files of one split and method.
    """
    keys = [(path.parent.parent.name, path.parent.name) for path in files]
    found = {key if all(key) else ("", path.stem): path for key, path in zip(keys, files, strict=True)}
    if len(found) < len(files):
        twice = ", ".join(map(str, files))
        raise PathError(f"two of the same split and method among {twice}; name them .../SPLIT/METHOD/DATASET.csv")
    return found
