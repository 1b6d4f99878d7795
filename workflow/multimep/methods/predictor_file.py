"""A fitted predictor as one safetensors file: named arrays, and a JSON header that says what they are."""

import dataclasses
import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from multimep import is_refusal
from multimep.documents import DocumentError, from_json, shown
from multimep.embedder import Embedder
from multimep.methods.method import Method, Predictor, State
from multimep.mutations import MutationError, check_residues
from multimep.typed_values import SettingsError, build
from multimep.whole_files import whole

FORMAT = 1
KEYS = {"format", "header", "facts", "sha256"}
REMEDY = "fit it again with `multimep fit`"


class PredictorFileError(ValueError):
    """A file that is not a predictor that this version can read; the message says what to do."""


@dataclass(frozen=True)
class Header:
    """What a predictor file says of itself.

    Attributes:
        method: name in METHODS.
        settings: of the method.
        language_model: name or settings of the language model it was fitted with.
        sha256: of that language model; empty where the method needs none.
        datasets: name -> wild type of the datasets that taught it.
        version: of multimep.
        taught: name -> its training variants and their fitness, as JSON keeps them: to the last bit.
        lower_is_better: names of the datasets of which a lower value is the better mutant.
        data: name -> sha256 of the file that taught it.
        seed: with which it was fitted; None in an older file.
    """

    method: str
    settings: dict[str, Any]
    language_model: str
    sha256: str
    datasets: dict[str, str]
    version: str
    taught: dict[str, dict[str, float]] = field(default_factory=dict)
    lower_is_better: list[str] = field(default_factory=list)
    data: dict[str, str] = field(default_factory=dict)
    seed: int | None = None


def save(predictor: Predictor, header: Header, path: Path) -> None:
    """Write the predictor, whole or not at all."""
    state = predictor.state()
    arrays = {name: np.ascontiguousarray(array) for name, array in state.arrays.items()}
    metadata = {
        "format": str(FORMAT),
        "header": json.dumps(dataclasses.asdict(header)),
        "facts": json.dumps(dict(state.facts)),
    }
    metadata["sha256"] = digest(arrays, metadata)
    with whole(path, SafetensorError) as partial:
        save_file(arrays, partial, metadata)


def digest(arrays: Mapping[str, np.ndarray], metadata: Mapping[str, str]) -> str:
    """The sha256 of all that a predictor file holds: safetensors itself would not notice a changed bit."""
    found = hashlib.sha256("\0".join(metadata[name] for name in ("format", "header", "facts")).encode())
    for name in sorted(arrays):
        found.update(f"\0{name} {arrays[name].dtype.str} {arrays[name].shape} ".encode() + arrays[name].tobytes())
    return found.hexdigest()


def read_header(path: Path) -> Header:
    """Who made this predictor, from what; raises PredictorFileError for any other file, and for a damaged one."""
    return _header_of(_content(path)[0], path)


def _content(path: Path) -> tuple[dict[str, str], dict[str, np.ndarray]]:
    """Metadata and arrays as they were written; files of before the sha256 was among them are read as they are."""
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = dict(file.metadata() or {})
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no mapping)
    except (SafetensorError, OSError, UnicodeDecodeError, AttributeError, TypeError) as error:
        raise PredictorFileError(f"{path} is not a predictor file ({error}); make one with `multimep fit`") from error
    if metadata.get("format") != str(FORMAT) or not {"header", "facts"} <= metadata.keys():
        stated = shown(metadata.get("format", "none"))
        raise PredictorFileError(f"{path} is not a predictor of format {FORMAT} but of {stated}; {REMEDY}")
    told = metadata.get("sha256", digest(arrays, metadata))
    if metadata.keys() - KEYS or told != digest(arrays, metadata):
        raise PredictorFileError(f"{path} is damaged: its content has another sha256 than it states; {REMEDY}")
    return metadata, arrays


def _header_of(metadata: Mapping[str, str], path: Path) -> Header:
    try:
        return _header(metadata["header"])
    except (DocumentError, SettingsError, MutationError) as error:
        raise PredictorFileError(f"{path} is of another version ({error}); {REMEDY}") from error


def _header(text: str) -> Header:
    values = from_json(text)
    if not isinstance(values, dict):
        raise DocumentError("its header is no mapping")
    found = build(Header, values, "header")
    for wild_type in found.datasets.values():
        check_residues(wild_type)
    if not all(math.isfinite(value) for taught in found.taught.values() for value in taught.values()):
        raise DocumentError("a fitness that taught it is not finite")
    return found


def load(path: Path, method: Method, embedder: Embedder) -> Predictor:
    """The predictor in `path`, given its method (see `read_header`) and a door to the same language model.

    Raises PredictorFileError where the door leads to another one.
    """
    metadata, arrays = _content(path)
    expected = _header_of(metadata, path).sha256
    if expected and embedder.language_model.sha256 != expected:
        found = embedder.language_model
        raise PredictorFileError(
            f"{path} was fitted with the language model of sha256 {expected}, {found.name} has {found.sha256}; "
            "give the same one or fit it again with `multimep fit`"
        )
    try:
        return method.restore(State(arrays, _facts(metadata)), embedder)
    except (KeyError, IndexError, TypeError, AttributeError, RecursionError, ValueError) as error:
        if isinstance(error, ValueError) and is_refusal(error):
            raise
        raise PredictorFileError(
            f"{path} does not hold what its method learns ({type(error).__name__}: {error}); fit it again with "
            "`multimep fit`"
        ) from error


def _facts(metadata: Mapping[str, str]) -> dict[str, Any]:
    facts: dict[str, Any] = json.loads(metadata["facts"])
    return facts


def protein(header: Header, name: str, path: Path) -> str:
    """The dataset meant by `name`, which may be empty where the predictor knows one only."""
    if name in header.datasets or (not name and len(header.datasets) == 1):
        return name or next(iter(header.datasets))
    wrong = f" and not {name!r}" if name else ""
    raise PredictorFileError(f"{path} knows {', '.join(header.datasets)}{wrong}; choose one with --dataset")


def lesson(header: Header, name: str, path: Path) -> dict[str, float]:
    """The training variants of a dataset with their fitness; raises PredictorFileError where the file lacks them."""
    if name not in header.taught:
        raise PredictorFileError(
            f"{path} does not name the variants that taught it (multimep {header.version} wrote it); fit it again with "
            "`multimep fit`"
        )
    return header.taught[name]
