"""The language model that a command was told to use: from a name, a path or settings as JSON to the model itself."""

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

from multimep import __version__, precision, settings
from multimep.embedder import Embedder, EmbedderError
from multimep.embeddings import open_store
from multimep.layout import RUN_BY
from multimep.settings import LanguageModelSettings
from multimep.typed_values import build

if TYPE_CHECKING:  # imported where it is loaded: most commands find all they ask for in the stores
    import esm

    from multimep.language_model import LanguageModel

OPTION = "--language-model"
HOW = "MULTIMEP_LANGUAGE_MODEL"
"""Environment variable with those of RUN_BY as JSON. The rules put them there and not into the command, for what stands
in a command reruns its job when it changes."""


def words(text: str) -> LanguageModelSettings:
    """The settings in `text`: a name or path alone, or JSON; raises SettingsError."""
    values = settings.parse(text, OPTION) if text.lstrip().startswith("{") else {"name": text}
    return build(LanguageModelSettings, {**settings.parse(os.environ.get(HOW, ""), HOW), **values}, OPTION)


def identity(text: str) -> str:
    """What of the choice decides results, and the version that computes them; a checkpoint file by size and date."""
    asked = words(text)
    chosen = {name: value for name, value in vars(asked).items() if name not in RUN_BY}
    chosen["precision"] = precision.resolved(asked.precision, asked.device)
    path = Path(str(chosen["name"]))
    state = path.stat() if path.is_file() else None
    file = [state.st_size, state.st_mtime_ns] if state else []
    return f"multimep {__version__} {json.dumps(chosen, sort_keys=True)} {file}"


def load(text: str, mirror: str, cache: Path) -> "LanguageModel":
    """The language model; raises CheckpointError or LanguageModelError with the remedy."""
    from multimep import language_model

    chosen = words(text)
    place = _place(chosen, mirror, cache)
    return language_model.load(chosen.name, **place, precision=chosen.precision, device=chosen.device)


class _Place(TypedDict):
    directory: Path | None
    cache: Path
    mirror: str | None
    sha256: str | None


def _place(chosen: LanguageModelSettings, mirror: str, cache: Path) -> _Place:
    """Where the checkpoint is looked for, and its hash."""
    directory = Path(chosen.directory) if chosen.directory else None
    return {"directory": directory, "cache": cache, "mirror": mirror or None, "sha256": chosen.sha256}


Loader = Callable[[str, str, Path], "LanguageModel"]


def embedder(text: str, stores: Sequence[Path], mirror: str, cache: Path, loader: Loader | None = None) -> Embedder:
    """The door to it, stores first; raises EmbedderError where a store was made by another language model.

    Precision `auto` is then that of the stores. `loader` is `load`, or one that keeps what it has loaded, where a
    process needs several embedders.
    """
    chosen = words(text)
    makers = {store: open_store(store).maker for store in stores}
    if chosen.precision == "auto" and makers:
        chosen = replace(chosen, precision=next(iter(makers.values())).precision)
        text = json.dumps(vars(chosen), sort_keys=True)
    for store, made in makers.items():
        if (made.model, made.precision) != (chosen.name, chosen.precision):
            asked = f"{OPTION} is {chosen.name} ({chosen.precision})"
            raise EmbedderError(f"{store} was made by {made.model} ({made.precision}), {asked}: give the same to both")
    return Embedder(lambda: (loader or load)(text, mirror, cache), tuple(stores), chosen.batch_size)


def sizes(text: str, mirror: str, cache: Path) -> tuple[int, int, int]:
    """Parameters, layers and width; of a published checkpoint without its file."""
    from multimep import checkpoints, language_model

    chosen = words(text)
    known = checkpoints.CHECKPOINTS.get(chosen.name)
    if known is not None:
        return known.parameters, known.layers, known.width
    return _sizes_of(checkpoints.read(*language_model.locate(chosen.name, **_place(chosen, mirror, cache)))[0])


def _sizes_of(model: "esm.ESM2") -> tuple[int, int, int]:
    return sum(value.numel() for value in model.parameters()), model.num_layers, model.embed_dim


def record(text: str, mirror: str, cache: Path) -> dict[str, str | int]:
    """What the checkpoint is, once it is here and verified: name, sha256, parameters, layers, width."""
    from multimep import checkpoints, language_model

    chosen = words(text)
    path, expected = language_model.locate(chosen.name, **_place(chosen, mirror, cache))
    if chosen.name in checkpoints.CHECKPOINTS:  # what is published need not be read: several GB on a login node
        found, counts = checkpoints.verified(path, expected), sizes(text, mirror, cache)
    else:
        model, found = checkpoints.read(path, expected)
        counts = _sizes_of(model)
    return {"name": chosen.name, "sha256": found, **dict(zip(("parameters", "layers", "width"), counts, strict=True))}
