"""The language model that a command was told to use: from a name, a path or settings as JSON to the model itself."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from multimep import settings
from multimep.embedder import Embedder, EmbedderError
from multimep.embeddings import open_store
from multimep.settings import LanguageModelSettings

if TYPE_CHECKING:  # imported where it is loaded: most commands find all they ask for in the stores
    from multimep.language_model import LanguageModel

OPTION = "--language-model"


def words(text: str) -> LanguageModelSettings:
    """The settings in `text`: a name or path alone, or JSON; raises SettingsError."""
    values = settings.parse(text, OPTION) if text.lstrip().startswith("{") else {"name": text}
    return settings.build(LanguageModelSettings, values, OPTION)


def load(text: str, mirror: str, cache: Path) -> "LanguageModel":
    """The language model; raises CheckpointError or LanguageModelError with the remedy."""
    from multimep import language_model

    chosen = words(text)
    return language_model.load(
        chosen.name,
        directory=Path(chosen.directory) if chosen.directory else None,
        cache=cache,
        mirror=mirror or None,
        sha256=chosen.sha256,
        precision=chosen.precision,
        device=chosen.device,
    )


def embedder(text: str, stores: Sequence[Path], mirror: str, cache: Path) -> Embedder:
    """The door to it, stores first; raises EmbedderError where a store was made by another language model."""
    chosen = words(text)
    for store in stores:
        made = open_store(store).maker
        if (made.model, made.precision) != (chosen.name, chosen.precision):
            asked = f"{OPTION} is {chosen.name} ({chosen.precision})"
            raise EmbedderError(f"{store} was made by {made.model} ({made.precision}), {asked}: give the same to both")
    return Embedder(lambda: load(text, mirror, cache), tuple(stores), chosen.batch_size)
