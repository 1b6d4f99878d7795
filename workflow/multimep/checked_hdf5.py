"""HDF5 files in which every part has a checksum, written whole or not at all.

A dataset stands in chunks with Fletcher's checksum each; the structures of the file have theirs since HDF5 1.10. A bit
that flips anywhere is an error where it is read, of the types OSError, KeyError or RuntimeError, for HDF5 has none of
its own for it.
"""

import io
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from jaxtyping import Int, Shaped

from multimep.whole_files import whole

LAYOUT = "v110"
CHUNK = 1 << 18
"""Bytes that have a checksum together, if a row is not longer."""
GAP = 8
"""Rows that are read and not asked for, where a stretch of rows goes on behind them."""


@contextmanager
def made(path: Path) -> Iterator[h5py.File]:
    """A new file, in its place when the block succeeds; raises WritingError where there is no room for it."""
    with whole(path) as partial, _Disk(partial, "w+") as disk:
        with h5py.File(disk, "w", libver=LAYOUT) as file:
            yield file
        disk.require_written()


class _Disk(io.FileIO):
    """A file for HDF5 that never fails, but notes that it did.

    HDF5 writes when it likes, at the latest when a file is closed; where that fails it loses what it had buffered
    without a word, and crashes the process when that ends.
    """

    failure: OSError | None = None

    def write(self, data: Any) -> int:
        """Write all of it, or note that it could not be written."""
        rest = memoryview(data).cast("B")
        try:
            while len(rest):
                rest = rest[super().write(rest) :]
        except OSError as error:
            self.failure = self.failure or error
        return memoryview(data).nbytes

    def truncate(self, size: int | None = None) -> int:
        """Cut or lengthen it, or note that it could not be done."""
        try:
            return super().truncate(size)
        except OSError as error:
            self.failure = self.failure or error
        return size or 0

    def flush(self) -> None:
        """Nothing is kept back."""

    def require_written(self) -> None:
        """Raise the first error that a write had."""
        if self.failure is not None:
            raise self.failure


def describe(file: h5py.File, attributes: Mapping[str, str | int]) -> None:
    """Set attributes, texts in a fixed length: HDF5 keeps others in a place of the file that has no checksum."""
    for name, value in attributes.items():
        file.attrs[name] = np.bytes_(value.encode()) if isinstance(value, str) else value


def create(file: h5py.File, name: str, shape: tuple[int, ...], kind: Any) -> h5py.Dataset:
    """A dataset to be filled, in chunks of whole rows."""
    if 0 in shape:
        return file.create_dataset(name, shape, kind)  # nothing that could be damaged
    row = math.prod(shape[1:]) * np.dtype(kind).itemsize
    rows = min(shape[0], max(1, CHUNK // row))
    return file.create_dataset(name, shape, kind, chunks=(rows, *shape[1:]), fletcher32=True)


def put(file: h5py.File, name: str, values: Shaped[np.ndarray, "n ..."]) -> None:
    """A dataset of these values."""
    create(file, name, values.shape, values.dtype)[:] = values


def rows_of(data: h5py.Dataset, rows: Int[np.ndarray, "n"]) -> Shaped[np.ndarray, "n ..."]:
    """These rows in their order, read run by run: HDF5 takes several times as long for a list of rows."""
    order, inverse = np.unique(rows, return_inverse=True)
    runs = np.split(order, np.flatnonzero(np.diff(order) > GAP) + 1)
    parts = [np.asarray(data[run[0] : run[-1] + 1])[run - run[0]] for run in runs if len(run)]
    return np.concatenate(parts)[inverse] if parts else np.empty((0, *data.shape[1:]), data.dtype)
