"""Making an embedding store: only what no store has yet, resumable, written whole or not at all.

While a store is made, every finished block stands as a file of its own in a folder beside it, so that a killed job
resumes; a block is written while the next one is computed. The store itself appears in one rename.
"""

import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import h5py
import numpy as np
from jaxtyping import Float

from multimep import checked_hdf5, interruption, seals
from multimep.dataset import Variants
from multimep.embeddings import (
    FORMAT,
    MARGINALS,
    Maker,
    Store,
    StoreError,
    key,
    maker,
    maker_of,
    open_store,
    opened,
    pool,
)
from multimep.whole_files import alone

if TYPE_CHECKING:  # a command that finds nothing to compute needs no torch
    from multimep.language_model import BatchSize, LanguageModel

BLOCK = 512
"""Sequences per block: what a killed job loses at most."""
Rows = Literal["all", "wild_type", "none"]
Storage = Literal["float32", "float16"]
Block = tuple[str, ...]


@dataclass(frozen=True)
class _Plan:
    """What a store is to hold, and where its rows come from: an older store, and parts of this or a killed job.

    Attributes:
        parts: the folder of finished blocks.
        known: marginals and attention of the wild type that other stores have, by their names in the file.
        kept: sequences whose rows come from `old`.
        taken, blocks: those taken over from stores beside it, and those to be computed.
    """

    path: Path
    parts: Path
    wild_type: str
    language_model: "LanguageModel"
    residues: bool
    storage: Storage
    old: Store | None
    known: Mapping[str, np.ndarray]
    kept: Block
    taken: tuple[Block, ...]
    blocks: tuple[Block, ...]

    def part(self, block: Sequence[str]) -> Path:
        """The file of one block: named by all that decides its content, so that a wrong one is never read."""
        return self.parts / f"{_name(maker(self.language_model), self.residues, self.storage, block)}.npy"


def parts_of(path: Path) -> Path:
    """The folder in which blocks of the store at `path` wait."""
    return path.with_name(f".{path.name}.parts")


def _name(made: Maker, residues: bool, storage: Storage, block: Sequence[str]) -> str:
    return key("\n".join([*map(str, asdict(made).values()), str(residues), storage, *block]))


def embed(
    variants: Variants,
    language_model: "LanguageModel",
    path: Path,
    *,
    residues: bool = False,
    batch_size: "BatchSize" = "auto",
    storage: Storage = "float32",
    rows: Rows = "all",
    beside: Sequence[Path] = (),
    place: Path | None = None,
) -> int:
    """Make or complete the store of a dataset at `path`; returns how many sequences went through the model.

    Rows of an older store, and of whole stores `beside` it, are taken over where their maker is the same. Every variant
    and the wild type get a row (with `rows` wild_type only that one); the wild type also gets its wild-type and masked
    marginals, shape (length, 20), and its attention, shape (length, length). With `rows` none the language model is
    asked nothing, and the store says so by having no row: then a protein may be longer than the model takes. Finished
    blocks wait beside `place`, where the store will stand in the end, if that is not `path`: whoever makes it next
    finds them.
    """
    parts = parts_of(place or path)
    with alone(parts):
        plan = _plan(variants, language_model, path, parts, residues, storage, rows, beside)
        _make(plan, batch_size)
        shutil.rmtree(plan.parts, ignore_errors=True)  # one that waits may just put its lock there
    return sum(map(len, plan.blocks))


def _make(plan: _Plan, batch_size: "BatchSize") -> None:
    # one block waits to be written while the next is computed: no more stand in memory
    with ThreadPoolExecutor(max_workers=1) as writer:
        writing = None
        for block in plan.blocks:
            if not plan.part(block).exists():
                computed = _computed(plan, block, batch_size)
                if writing is not None:
                    writing.result()
                writing = writer.submit(_write_part, plan.part(block), computed)
        if writing is not None:
            writing.result()
    _assemble(plan)


def _plan(
    variants: Variants,
    language_model: "LanguageModel",
    path: Path,
    parts: Path,
    residues: bool,
    storage: Storage,
    rows: Rows,
    beside: Sequence[Path],
) -> _Plan:
    mutants = variants.sequences if rows == "all" else ()
    sequences = tuple(dict.fromkeys((variants.wild_type, *mutants))) if rows != "none" else ()
    made = maker(language_model)
    old = _reusable(path, made, residues, storage)
    kept = tuple(text for text in sequences if old is not None and key(text) in old.row_of)
    new = [text for text in sequences if old is None or key(text) not in old.row_of]
    known: dict[str, np.ndarray] = {}
    taken = []
    for other in beside:
        if other != path:
            for block, found in _rows_beside(other, made, residues, storage, new):
                _write_part(parts / f"{_name(made, residues, storage, block)}.npy", found)
                taken.append(block)
                found_here = set(block)
                new = [text for text in new if text not in found_here]
            known |= _known_beside(other, made, variants.wild_type)
    blocks = tuple(_blocks(new))
    return _Plan(
        path, parts, variants.wild_type, language_model, residues, storage, old, known, kept, tuple(taken), blocks
    )


def _blocks(sequences: Sequence[str]) -> Iterator[Block]:
    yield from (tuple(sequences[start : start + BLOCK]) for start in range(0, len(sequences), BLOCK))


def _reusable(path: Path, wanted: Maker, residues: bool, storage: Storage) -> Store | None:
    if not path.exists():
        return None
    store = open_store(path)
    fits = store.maker == wanted and (store.has_residues or not residues)
    return store if fits and store.storage in (storage, "float32") else None


def _rows_beside(
    path: Path, wanted: Maker, residues: bool, storage: Storage, sequences: Sequence[str]
) -> Iterator[tuple[Block, Float[np.ndarray, "n ..."]]]:
    """Rows of these sequences in another store, in blocks; through one handle, for its job may replace the file."""
    name = "residues" if residues else "pooled"
    with _opened(path, wanted) as file:
        if file is None or name not in file or str(file[name].dtype) not in (storage, "float32"):
            return
        row_of = {text.decode(): row for row, text in enumerate(file["keys"][:])}
        for block in _blocks([text for text in sequences if key(text) in row_of]):
            rows = np.array([row_of[key(text)] for text in block], dtype=np.int64)
            yield block, checked_hdf5.rows_of(file[name], rows).astype(storage)


def _known_beside(path: Path, wanted: Maker, wild_type: str) -> dict[str, np.ndarray]:
    with _opened(path, wanted) as file:
        names = [] if file is None else [name for name in _names_of(wild_type) if name in file]
        return {} if file is None else {name: np.asarray(file[name]) for name in names}


def _names_of(wild_type: str) -> list[str]:
    return [*(f"marginals/{key(wild_type)}/{kind}" for kind in MARGINALS), f"attention/{key(wild_type)}"]


@contextmanager
def _opened(path: Path, wanted: Maker) -> Iterator[h5py.File | None]:
    """A whole store by the wanted maker; None for anything else, which is its own job's matter to report."""
    try:
        h5py.File(path).close()
    except OSError:
        yield None
        return
    with opened(path) as file:
        yield file if dict(file.attrs).get("format") == FORMAT and maker_of(file, path) == wanted else None


def _computed(plan: _Plan, block: Block, batch_size: "BatchSize") -> Float[np.ndarray, "n ..."]:
    """The rows of one block, shape (n, length, width) or pooled (n, width), as they are stored."""
    size = plan.language_model.at_once(len(plan.wild_type), batch_size)
    batches = [block[start : start + size] for start in range(0, len(block), size)]
    found = []
    for batch in plan.language_model.rows(batches, pooled=not plan.residues):
        interruption.stop_if_requested()
        found.append(batch)
    rows = np.concatenate(found)
    with np.errstate(over="ignore"):  # told of below, by name
        stored = rows.astype(plan.storage)
    if not np.isfinite(stored).all():
        raise StoreError(f"{plan.path}: {np.abs(rows).max():.3g} is beyond {plan.storage}; set storage to float32")
    return stored


def _write_part(path: Path, rows: Float[np.ndarray, "n ..."]) -> None:
    with seals.sealed(path) as partial, partial.open("wb") as file:
        # by write, which tells a full disk: what np.save does with a file on disk does not
        np.lib.format.write_array(_Bytes(file.write), rows, allow_pickle=False)


@dataclass(frozen=True)
class _Bytes:
    """What numpy takes for a file that is not on disk."""

    write: Callable[[bytes], int]


def _read_part(path: Path) -> Float[np.ndarray, "n ..."]:
    seals.check(path, StoreError)
    try:
        return np.asarray(np.load(path, allow_pickle=False))
    except (EOFError, ValueError) as error:
        raise StoreError(f"{path}: no block of a store ({error}); delete it and run `multimep embed` again") from error


def _assemble(plan: _Plan) -> None:
    """Write the store from the older one's rows and the parts, then put it in place by one rename."""
    blocks = (*plan.taken, *plan.blocks)
    names = [key(text) for text in (*plan.kept, *(text for block in blocks for text in block))]
    with checked_hdf5.made(plan.path) as file:
        checked_hdf5.describe(file, asdict(maker(plan.language_model)))
        checked_hdf5.put(file, "keys", np.array(names, dtype="S64"))
        width = plan.language_model.width
        checked_hdf5.create(file, "pooled", (len(names), width), plan.storage)
        if plan.residues:
            checked_hdf5.create(file, "residues", (len(names), len(plan.wild_type), width), plan.storage)
        _copy_rows(plan, file)
        _add_parts(plan, blocks, file)
        if names:
            _add_known(plan, file)


def _copy_rows(plan: _Plan, file: h5py.File) -> None:
    keys = [key(text) for text in plan.kept]
    for name in ("pooled", "residues"):
        if plan.old is not None and keys and name in file:
            file[name][: len(keys)] = plan.old.rows(name, keys)


def _add_parts(plan: _Plan, blocks: Sequence[Block], file: h5py.File) -> None:
    row = len(plan.kept)
    for block in blocks:
        rows = _read_part(plan.part(block))
        file["pooled"][row : row + len(block)] = pool(rows.astype(np.float32)) if plan.residues else rows
        if plan.residues:
            file["residues"][row : row + len(block)] = rows
        row += len(block)


def _add_known(plan: _Plan, file: h5py.File) -> None:
    """What the language model says of the wild type, in float32 whatever the rows are in."""
    model, wild_type = plan.language_model, plan.wild_type
    for kind, compute in MARGINALS.items():
        name = f"marginals/{key(wild_type)}/{kind}"
        stored = plan.known.get(name) if plan.old is None else plan.old.marginals(wild_type, kind)
        checked_hdf5.put(file, name, compute(model, wild_type) if stored is None else stored)
    name = f"attention/{key(wild_type)}"
    stored = plan.known.get(name) if plan.old is None else plan.old.attention(wild_type)
    checked_hdf5.put(file, name, model.attention(wild_type).cpu().numpy() if stored is None else stored)
