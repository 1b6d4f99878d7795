"""Frozen dataclasses from plain values, as YAML and JSON give them: every key is known, every value has its type."""

import dataclasses
import types
import typing
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any, TypeVar

import pydantic

T = TypeVar("T")
TOLD = 200
"""Letters of a wrong value that a message shows."""


class SettingsError(ValueError):
    """Settings that no station could follow; the message lists each with the place where it stands."""


def build(kind: type[T], values: Mapping[str, Any], where: str) -> T:
    """The frozen dataclass `kind` from plain values; raises SettingsError for unknown keys and wrong types."""
    faults = list(_unknown(kind, values, where))
    if not faults:
        try:
            checked: T = _adapter(kind).validate_python(dict(values))  # type: ignore[arg-type]
        except pydantic.ValidationError as error:
            faults = [_fault(one, where) for one in error.errors()]
        else:
            return checked
    raise SettingsError("; ".join(faults))


@cache
def _adapter(kind: Any) -> Any:
    """The pydantic.TypeAdapter of a class; making it takes longer than using it."""
    return pydantic.TypeAdapter(kind)


def _fault(error: Any, where: str) -> str:
    place = ".".join([where, *map(str, error["loc"])])
    told = repr(error["input"])
    given = "" if isinstance(error["input"], dict) else f" (got {told if len(told) <= TOLD else told[:TOLD] + '...'})"
    return f"{place}: {error['msg'].removeprefix('Value error, ')}{given}"


def _unknown(kind: Any, values: Any, where: str) -> Iterator[str]:
    """Keys that the dataclass does not have, here and in every dataclass below."""
    for inner, value, place in _below(kind, values, where):
        yield from _unknown(inner, value, place)
    if dataclasses.is_dataclass(kind) and isinstance(values, Mapping):
        known = [entry.name for entry in dataclasses.fields(kind)]
        for name in values:
            if name not in known:
                yield f"{where}: unknown key {name!r} (known: {', '.join(known) or 'none'})"


def _below(kind: Any, values: Any, where: str) -> Iterator[tuple[Any, Any, str]]:
    if not isinstance(values, Mapping):
        return
    if dataclasses.is_dataclass(kind):
        hints = typing.get_type_hints(kind)
        yield from ((hints[name], value, f"{where}.{name}") for name, value in values.items() if name in hints)
    elif isinstance(kind, types.UnionType):
        yield from ((one, values, where) for one in typing.get_args(kind) if dataclasses.is_dataclass(one))
    elif (arguments := typing.get_args(kind)) and len(arguments) == 2:
        yield from ((arguments[1], value, f"{where}.{name}") for name, value in values.items())
