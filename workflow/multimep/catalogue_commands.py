"""The commands that list what can be chosen: methods and split schemes, each with its settings and their defaults."""

import dataclasses
import inspect
import json
import re
import sys
from collections.abc import Iterator, Mapping
from typing import Annotated, Any

import typer

ENTRY = re.compile(r"^ {8}((?:\w+, )*\w+): ")  # a name below `Attributes:` in a class's docstring


class CatalogueError(ValueError):
    """A name that stands in no table; the message lists those that do."""


def methods(
    name: Annotated[str, typer.Argument(help="One of them: its settings with their defaults.")] = "",
) -> None:
    """List the methods, or the settings of one."""
    from multimep.methods import METHODS

    if name:
        _describe(_entry(METHODS, name, "method"))
    for one, kind in METHODS.items() if not name else ():
        typer.echo(f"{one:24s} {(sys.modules[kind.__module__].__doc__ or '').splitlines()[0].partition(': ')[2]}")


def schemes(
    name: Annotated[str, typer.Argument(help="One of them: its settings with their defaults.")] = "",
) -> None:
    """List the split schemes, or the settings of one."""
    from multimep.schemes import SCHEMES

    if name:
        _describe(_entry(SCHEMES, name, "split scheme"))
    for one, kind in SCHEMES.items() if not name else ():
        typer.echo(f"{one:24s} {(kind.__doc__ or '').splitlines()[0]}")


COMMANDS = (methods, schemes)


def _entry(table: Mapping[str, Any], name: str, what: str) -> Any:
    if name not in table:
        raise CatalogueError(f"no {what} {name!r}; choose from {', '.join(table)}")
    return table[name]


def _describe(kind: Any) -> None:
    typer.echo((kind.__doc__ or "").splitlines()[0])
    texts = descriptions(kind)
    for one in dataclasses.fields(kind):
        typer.echo(f"\n{one.name}: {_default(one)}\n    {texts.get(one.name, '')}")


def _default(one: "dataclasses.Field[Any]") -> str:
    if one.default is not dataclasses.MISSING:
        return json.dumps(one.default)
    return "required" if one.default_factory is dataclasses.MISSING else json.dumps(one.default_factory())


def descriptions(kind: type) -> dict[str, str]:
    """Name of a setting -> what the docstring of its class, or of a class above, says of it under `Attributes:`."""
    found: dict[str, str] = {}
    for one in reversed(inspect.getmro(kind)):
        for names, text in _entries((one.__dict__.get("__doc__") or "").partition("Attributes:")[2]):
            found.update(dict.fromkeys(names, text))
    return found


def _entries(block: str) -> Iterator[tuple[list[str], str]]:
    names: list[str] = []
    words: list[str] = []
    for line in block.splitlines():
        started = ENTRY.match(line)
        if started:
            yield names, " ".join(words)
            names, words = started[1].split(", "), [line[started.end() :].strip()]
        else:
            words.append(line.strip())
    yield names, " ".join(words).strip()
