"""The HDF5 store of representations, keyed by sequence; resumable; written whole or not at all.

A store holds, for one language model: one row per sequence (`keys`, `pooled`, on request `residues`), and under
`marginals/<key>` and `attention/<key>` what it says of a wild type. Its attributes say by what it was made. While it is
made, every finished block stands as a file of its own in a folder beside it, so that a killed job resumes; the store
itself appears in one rename.
"""

import hashlib
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
from jaxtyping import Float

from multimep.dataset import Variants

if TYPE_CHECKING:  # torch takes 1.5 s to import, and a reader of a store needs none of it
    from multimep.language_model import LanguageModel

FORMAT = 1
BLOCK = 512
"""Sequences per block: what a killed job loses at most."""


class StoreError(ValueError):
    """A store that cannot be used; the message names the file and the remedy."""


@dataclass(frozen=True)
class Maker:
    """What made the representations: two stores agree if and only if these do.

    Attributes:
        model: name of the language model.
        sha256: checksum of its checkpoint.
        layer: hidden layer that was taken (the last one is `layers`).
        precision: arithmetic of the forward pass (fp32 or bf16); rows are kept in float32.
        format: version of the layout of the file.
    """

    model: str
    sha256: str
    layer: int
    precision: str
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
        with h5py.File(self.path) as file:
            return {text.decode(): row for row, text in enumerate(file["keys"][:])}

    @cached_property
    def has_residues(self) -> bool:
        """Whether per-residue rows were stored."""
        with h5py.File(self.path) as file:
            return "residues" in file

    def rows(self, name: str, keys: Sequence[str]) -> Float[np.ndarray, "n ..."]:
        """The rows of `pooled` or `residues` for these keys, in their order."""
        rows = np.array([self.row_of[text] for text in keys], dtype=np.int64)
        order, inverse = np.unique(rows, return_inverse=True)
        with h5py.File(self.path) as file:
            return np.asarray(file[name][order])[inverse]

    def marginals(self, wild_type: str, kind: str) -> Float[np.ndarray, "length 20"] | None:
        """Stored log-probabilities at a wild type, None if they are not there."""
        with h5py.File(self.path) as file:
            name = f"marginals/{key(wild_type)}/{kind}"
            return np.asarray(file[name]) if name in file else None

    def attention(self, wild_type: str) -> Float[np.ndarray, "length length"] | None:
        """Stored attention between the residues of a wild type, None if it is not there."""
        with h5py.File(self.path) as file:
            name = f"attention/{key(wild_type)}"
            return np.asarray(file[name]) if name in file else None


def open_store(path: Path) -> Store:
    """Open a whole store; raises StoreError for a file that is not one or has another format."""
    try:
        with h5py.File(path) as file:
            attributes = {name: _plain(value) for name, value in file.attrs.items()}
    except OSError as error:
        raise StoreError(
            f"{path} is not a readable embedding store ({error}); delete it and run `multimep embed` again"
        ) from error
    if attributes.get("format") != FORMAT:
        raise StoreError(
            f"{path} has format {attributes.get('format')}, this version reads {FORMAT}: "
            "delete it and run `multimep embed` again"
        )
    return Store(path, Maker(**attributes))


def _plain(value: Any) -> Any:
    """A number of HDF5 as one of Python."""
    return value.item() if isinstance(value, np.generic) else value


def pool(hidden: Float[np.ndarray, "n length width"]) -> Float[np.ndarray, "n width"]:
    """Mean over the residues."""
    return np.asarray(hidden.mean(axis=1))


@dataclass(frozen=True)
class _Plan:
    """What a store is to hold, and where its rows come from: an older store, and parts of this or a killed job."""

    path: Path
    wild_type: str
    language_model: "LanguageModel"
    residues: bool
    old: Store | None
    kept: tuple[str, ...]
    blocks: tuple[tuple[str, ...], ...]

    @property
    def parts(self) -> Path:
        """The folder of finished blocks."""
        return self.path.with_name(f".{self.path.name}.parts")

    def part(self, block: Sequence[str]) -> Path:
        """The file of one block: named by all that decides its content, so that a wrong one is never read."""
        content = "\n".join([*map(str, asdict(maker(self.language_model)).values()), str(self.residues), *block])
        return self.parts / f"{key(content)}.npy"


def embed(variants: Variants, language_model: "LanguageModel", path: Path, *, residues: bool, batch_size: int) -> int:
    """Make or complete the store of a dataset at `path`; returns how many sequences were missing from it.

    Rows of an older store by the same maker are taken over. Every variant and the wild type get a row; the wild type
    also gets its wild-type and masked marginals, shape (length, 20), and its attention, shape (length, length).
    """
    sequences = tuple(dict.fromkeys((variants.wild_type, *variants.sequences)))
    old = _reusable(path, maker(language_model), residues)
    kept = tuple(text for text in sequences if old is not None and key(text) in old.row_of)
    new = tuple(text for text in sequences if old is None or key(text) not in old.row_of)
    blocks = tuple(new[start : start + BLOCK] for start in range(0, len(new), BLOCK))
    plan = _Plan(path, variants.wild_type, language_model, residues, old, kept, blocks)
    plan.parts.mkdir(parents=True, exist_ok=True)
    for block in blocks:
        if not plan.part(block).exists():
            _compute(plan, block, batch_size)
    _assemble(plan)
    shutil.rmtree(plan.parts)
    return len(new)


def _reusable(path: Path, wanted: Maker, residues: bool) -> Store | None:
    if not path.exists():
        return None
    store = open_store(path)
    return store if store.maker == wanted and (store.has_residues or not residues) else None


def _compute(plan: _Plan, block: Sequence[str], batch_size: int) -> None:
    """Write the rows of one block, shape (n, length, width) or pooled (n, width), whole or not at all."""
    batches = [block[start : start + batch_size] for start in range(0, len(block), batch_size)]
    hidden = (plan.language_model.hidden_states(batch).cpu().numpy() for batch in batches)
    rows = np.concatenate([states if plan.residues else pool(states) for states in hidden])
    partial = plan.part(block).with_suffix(f".{os.getpid()}.partial")
    with partial.open("wb") as file:
        np.save(file, rows, allow_pickle=False)
    partial.replace(plan.part(block))


def _assemble(plan: _Plan) -> None:
    """Write the store from the older one's rows and the parts, then put it in place by one rename."""
    partial = plan.path.with_name(f".{plan.path.name}.{os.getpid()}.partial")
    names = [key(text) for text in (*plan.kept, *(text for block in plan.blocks for text in block))]
    with h5py.File(partial, "w") as file:
        file.attrs.update(asdict(maker(plan.language_model)))
        file["keys"] = np.array(names, dtype="S64")
        width = plan.language_model.width
        file.create_dataset("pooled", (len(names), width), np.float32)
        if plan.residues:
            file.create_dataset("residues", (len(names), len(plan.wild_type), width), np.float32)
        _copy_rows(plan, file)
        _add_parts(plan, file)
        _add_marginals(plan, file)
    partial.replace(plan.path)


def _copy_rows(plan: _Plan, file: h5py.File) -> None:
    keys = [key(text) for text in plan.kept]
    for name in ("pooled", "residues"):
        if plan.old is not None and keys and name in file:
            file[name][: len(keys)] = plan.old.rows(name, keys)


def _add_parts(plan: _Plan, file: h5py.File) -> None:
    row = len(plan.kept)
    for block in plan.blocks:
        rows = np.load(plan.part(block), allow_pickle=False)
        file["pooled"][row : row + len(block)] = pool(rows) if plan.residues else rows
        if plan.residues:
            file["residues"][row : row + len(block)] = rows
        row += len(block)


def _add_marginals(plan: _Plan, file: h5py.File) -> None:
    for kind, compute in MARGINALS.items():
        stored = None if plan.old is None else plan.old.marginals(plan.wild_type, kind)
        values = compute(plan.language_model, plan.wild_type) if stored is None else stored
        file[f"marginals/{key(plan.wild_type)}/{kind}"] = values
    attention = None if plan.old is None else plan.old.attention(plan.wild_type)
    file[f"attention/{key(plan.wild_type)}"] = (
        plan.language_model.attention(plan.wild_type).cpu().numpy() if attention is None else attention
    )


MARGINALS: Mapping[str, Callable[["LanguageModel", str], Float[np.ndarray, "length 20"]]] = {
    "wild_type": lambda language_model, wild_type: language_model.wild_type_marginals(wild_type).cpu().numpy(),
    "masked": lambda language_model, wild_type: language_model.masked_marginals(wild_type).cpu().numpy(),
}
"""Log-probabilities at the wild type: from one unmasked forward pass, or with each position masked in turn."""
