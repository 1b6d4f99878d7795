"""How settings name methods inside a method: `of: {LABEL: {method: NAME, ...}}`, as in the study's own `methods`.

Imports nothing but the standard library, for the Snakefile imports it. `methods/nested` makes methods of these words.
"""

from collections.abc import Iterator, Mapping
from typing import Any

KEY = "of"
"""The setting under which a method names those inside it."""

FOLDS = 5
"""Inner folds where `folds` says nothing: what the inner fits learn from is then close to what the final one has."""

Plain = Mapping[str, Any]


def inside(settings: Plain) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Label, name in METHODS and settings of each method directly inside the one that has these settings."""
    for label, values in (settings.get(KEY) or {}).items():
        own = dict(values or {})
        yield str(label), str(own.pop("method", label)), own


def all_names(name: str, settings: Plain) -> Iterator[str]:
    """The names in METHODS of a method and of all that are inside it, at any depth."""
    yield name
    for _, inner, values in inside(settings):
        yield from all_names(inner, values)


def fits(taught: int, asked: int, folds: int) -> Iterator[tuple[int, int]]:
    """Rows that teach and rows that are asked in each fit inside one fold: the inner ones, then the one on all rows."""
    count = min(folds, taught)
    yield from ((taught - taught // count, taught // count) for _ in range(count if count > 1 else 0))
    yield taught, asked
