"""The HDF5 store of representations, keyed by sequence; `store_making` makes one.

A store holds, for one language model: one row per sequence (`keys`, `pooled`, on request `residues`), and under
`marginals/<key>` and `attention/<key>` what it says of a wild type. Its attributes say by what it was made. Rows are
kept in float32 or float16 and given in float32. Every part of the file has a checksum of HDF5, so that a flipped bit is
refused where it is read.
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
from jaxtyping import Float

from multimep import checked_hdf5
from multimep.documents import printable
from multimep.precision import Precision
from multimep.typed_values import SettingsError, build

if TYPE_CHECKING:  # torch takes 1.5 s to import, and a reader of a store needs none of it
    from multimep.language_model import LanguageModel

FORMAT = 1
_DAMAGED = (OSError, KeyError, RuntimeError, TypeError, AttributeError, UnicodeDecodeError, OverflowError)
"""What h5py raises for a damaged file; HDF5 has no error of its own for a checksum that differs."""


class StoreError(ValueError):
    """A store that cannot be used; the message names the file and the remedy."""


@dataclass(frozen=True)
class Maker:
    """What made the representations: two stores agree if and only if these do.

    Attributes:
        model: name of the language model.
        sha256: checksum of its checkpoint.
        layer: hidden layer that was taken (the last one is `layers`).
        precision: arithmetic of the forward pass (fp32 or bf16).
        format: version of the layout of the file.
    """

    model: str
    sha256: str
    layer: int
    precision: Precision
    pooling: str = "mean"
    format: int = FORMAT


def maker(language_model: "LanguageModel") -> Maker:
    """The maker of everything that `language_model` computes from its last layer."""
    return Maker(language_model.name, language_model.sha256, language_model.layers, language_model.precision)


def key(sequence: str) -> str:
    """The key of a sequence: its sha256 in hexadecimal."""
    return hashlib.sha256(sequence.encode()).hexdigest()


@dataclass(frozen=True)
class Store:
    """An open view of a whole store.

    Attributes:
        path: the HDF5 file.
        maker: by what it was made.
    """

    path: Path
    maker: Maker

    @cached_property
    def row_of(self) -> Mapping[str, int]:
        """The row of each sequence key."""
        with opened(self.path) as file:
            return {text.decode(): row for row, text in enumerate(file["keys"][:])}

    @cached_property
    def has_residues(self) -> bool:
        """Whether per-residue rows were stored."""
        with opened(self.path) as file:
            return "residues" in file

    @cached_property
    def storage(self) -> str:
        """The type of the rows in the file: float32 or float16."""
        with opened(self.path) as file:
            return str(file["pooled"].dtype)

    def rows(self, name: str, keys: Sequence[str]) -> Float[np.ndarray, "n ..."]:
        """The rows of `pooled` or `residues` for these keys, in their order, in float32."""
        rows = np.array([self.row_of[text] for text in keys], dtype=np.int64)
        with opened(self.path) as file:
            return checked_hdf5.rows_of(file[name], rows).astype(np.float32, copy=False)

    def marginals(self, wild_type: str, kind: str) -> Float[np.ndarray, "length 20"] | None:
        """Stored log-probabilities at a wild type, None if they are not there."""
        with opened(self.path) as file:
            name = f"marginals/{key(wild_type)}/{kind}"
            return _whole(file, name, (len(wild_type), 20)) if name in file else None

    def attention(self, wild_type: str) -> Float[np.ndarray, "length length"] | None:
        """Stored attention between the residues of a wild type, None if it is not there."""
        with opened(self.path) as file:
            name = f"attention/{key(wild_type)}"
            return _whole(file, name, (len(wild_type), len(wild_type))) if name in file else None


def open_store(path: Path) -> Store:
    """Open a whole store; raises StoreError for a file that is not one or has another format."""
    with opened(path) as file:
        found = Store(path, maker_of(file, path))
        _check_rows(file)
        return found


@contextmanager
def opened(path: Path) -> Iterator[h5py.File]:
    """The file, for reading; raises StoreError where it cannot be read, or what is read of it is damaged."""
    try:
        with h5py.File(path) as file:
            yield file
    except _DAMAGED as error:
        raise StoreError(
            f"{path} is not a readable embedding store ({error}); delete it and run `multimep embed` again"
        ) from error


def _check_rows(file: h5py.File) -> None:
    """Raise TypeError unless keys and rows are there, in the file itself, and as many of one as of the other."""
    keys = _own(file, "keys")
    if keys.dtype != np.dtype("S64") or keys.ndim != 1:
        raise TypeError("its keys are no checksums")
    for name, axes in (("pooled", 2), ("residues", 3)):
        if name == "pooled" or name in file:
            rows = _own(file, name)
            if rows.ndim != axes or len(rows) != len(keys) or str(rows.dtype) not in ("float32", "float16"):
                raise TypeError(f"{name} has shape {rows.shape} of {rows.dtype} for {len(keys)} keys")


def _own(file: h5py.File, name: str) -> h5py.Dataset:
    """The dataset of that name, all of whose numbers stand in this file as they are, beside their checksums.

    HDF5 could also take them from other files, and unpack or make up more than any memory holds. Raises TypeError.
    """
    found = file[name]
    if not isinstance(found, h5py.Dataset) or found.file != file:
        raise TypeError(f"{name} is not in it")
    made = found.id.get_create_plist()
    filters = {made.get_filter(place)[0] for place in range(made.get_nfilters())}
    plain = filters <= {h5py.h5z.FILTER_FLETCHER32} and not found.external and not found.is_virtual
    if not plain or found.nbytes > file.id.get_filesize():
        raise TypeError(f"{name} does not stand in the file as it is")
    return found


def _whole(file: h5py.File, name: str, shape: tuple[int, ...]) -> np.ndarray:
    """The numbers of a dataset; raises TypeError for another shape."""
    found = _own(file, name)
    if found.shape != shape:
        raise TypeError(f"{name} has shape {found.shape}, not {shape}")
    return np.asarray(found, np.float32)


def maker_of(file: h5py.File, path: Path) -> Maker:
    """By what an open file was made; raises StoreError for one of another format."""
    attributes = {name: _plain(value) for name, value in file.attrs.items()}
    stated = attributes.get("format")
    if type(stated) is not int or stated != FORMAT:
        raise StoreError(
            f"{path} has format {printable(str(stated)[:60])}, this version reads {FORMAT}: "
            "delete it and run `multimep embed` again"
        )
    try:
        return build(Maker, attributes, "its attributes")
    except SettingsError as error:
        raise StoreError(f"{path}: {error}; delete it and run `multimep embed` again") from error


def _plain(value: Any) -> Any:
    """A number or text of HDF5 as one of Python."""
    plain = value.item() if isinstance(value, np.generic) else value
    return plain.decode() if isinstance(plain, bytes) else plain


def pool(hidden: Float[np.ndarray, "n length width"]) -> Float[np.ndarray, "n width"]:
    """Mean over the residues."""
    return np.asarray(hidden.mean(axis=1))


MARGINALS: Mapping[str, Callable[["LanguageModel", str], Float[np.ndarray, "length 20"]]] = {
    "wild_type": lambda language_model, wild_type: language_model.wild_type_marginals(wild_type).cpu().numpy(),
    "masked": lambda language_model, wild_type: language_model.masked_marginals(wild_type).cpu().numpy(),
}
"""Log-probabilities at the wild type: from one unmasked forward pass, or with each position masked in turn."""
