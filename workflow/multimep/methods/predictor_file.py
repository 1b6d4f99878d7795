"""A fitted predictor as one safetensors file: named arrays, and a JSON header that says what they are."""

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from multimep.embedder import Embedder
from multimep.methods.method import Method, Predictor, State
from multimep.whole_files import whole

FORMAT = 1


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


def save(predictor: Predictor, header: Header, path: Path) -> None:
    """Write the predictor, whole or not at all."""
    state = predictor.state()
    arrays = {name: np.ascontiguousarray(array) for name, array in state.arrays.items()}
    parts = {"header": json.dumps(dataclasses.asdict(header)), "facts": json.dumps(dict(state.facts))}
    metadata = {"format": str(FORMAT), **parts, "sha256": _checksum(parts, arrays)}
    with whole(path, SafetensorError) as partial:
        save_file(arrays, partial, metadata)


def _checksum(metadata: Mapping[str, str], arrays: Mapping[str, np.ndarray]) -> str:
    """The sha256 of all that a predictor file says, so that it may go anywhere and still be known to be whole."""
    digest = hashlib.sha256(json.dumps([metadata["header"], metadata["facts"]]).encode())
    for name, array in sorted(arrays.items()):
        digest.update(f"{name} {array.dtype.str} {array.shape} ".encode() + array.tobytes())
    return digest.hexdigest()


def _read(path: Path) -> tuple[dict[str, str], dict[str, np.ndarray]]:
    """Metadata and arrays of a predictor file; raises PredictorFileError for any other and for a damaged one."""
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no mapping)
    except (SafetensorError, OSError) as error:
        raise PredictorFileError(f"{path} is not a predictor file ({error}); make one with `multimep fit`") from error
    if metadata.get("format") != str(FORMAT) or not {"header", "facts"} <= metadata.keys():
        raise PredictorFileError(f"{path} is not a predictor of format {FORMAT}; fit it again with `multimep fit`")
    if "sha256" in metadata and metadata["sha256"] != _checksum(metadata, arrays):
        raise PredictorFileError(f"{path} is damaged: its sha256 is another one; fit it again with `multimep fit`")
    return metadata, arrays


def read_header(path: Path) -> Header:
    """Who made this predictor, from what; raises PredictorFileError for any other file."""
    metadata, _ = _read(path)
    try:
        return Header(**json.loads(metadata["header"]))
    except (json.JSONDecodeError, TypeError) as error:
        raise PredictorFileError(f"{path} is of another version ({error}); fit it again with `multimep fit`") from error


def load(path: Path, method: Method, embedder: Embedder) -> Predictor:
    """The predictor in `path`, given its method (see `read_header`) and a door to the same language model.

    Raises PredictorFileError where the door leads to another one.
    """
    expected = read_header(path).sha256
    if expected and embedder.language_model.sha256 != expected:
        found = embedder.language_model
        raise PredictorFileError(
            f"{path} was fitted with the language model of sha256 {expected}, {found.name} has {found.sha256}; "
            "give the same one or fit it again with `multimep fit`"
        )
    metadata, arrays = _read(path)
    return method.restore(State(arrays, json.loads(metadata["facts"])), embedder)


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
