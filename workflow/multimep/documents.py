r"""Files that others wrote, read within bounds: their bytes, YAML and JSON of bounded size and depth, every key once.

YAML knows more than a configuration needs: one key twice (the last would win), aliases that grow without end, numbers
that are none. JSON is read as JSON, for to YAML its `\ud83d\ude00` is no letter.
"""

import json
import math
import sys
from collections.abc import Hashable, Iterator, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import yaml

LIMIT = 1 << 30
"""Bytes of one file that is held in memory: hundreds of times the largest published scan."""
WORDS = 1 << 24
"""Letters of one YAML text: it is read at about a MiB in ten seconds, and the largest study has a tenth of a MiB."""
DEPTH = 64
"""Lists and mappings within each other: a configuration has ten."""
VALUES = 10_000_000
"""Values in one document when all its aliases are written out."""


class DocumentError(ValueError):
    """A file or text that is beyond its bounds, or no YAML or JSON; the message says what to change."""


def content(path: Path, limit: int | None = None) -> bytes:
    """The bytes of a file; raises DocumentError for one larger than `limit` (LIMIT if not given) before it is read."""
    most, size = LIMIT if limit is None else limit, path.stat().st_size
    if size > most:
        raise DocumentError(f"{path}: has {size} bytes, at most {most} are read; divide it or take out what is no data")
    return path.read_bytes()


def text(path: Path, limit: int | None = None) -> str:
    """The text of a UTF-8 file within the limit, a byte order mark removed; raises DocumentError."""
    return _decoded(content(path, limit), str(path))


def _decoded(found: bytes, where: str) -> str:
    try:
        return found.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DocumentError(f"{where}: not UTF-8 ({error.reason} at byte {error.start}); save it as UTF-8") from error


def standard_input(limit: int) -> str:
    """The text that comes through a pipe, without the end of its last line; raises DocumentError as `text` does."""
    found = sys.stdin.buffer.read(limit + 1)
    if len(found) > limit:
        raise DocumentError(f"the standard input: has more than {limit} bytes; divide it or take out what is no data")
    return _decoded(found, "the standard input").removesuffix("\n")


def shown(words: str, most: int = 60) -> str:
    """Words from a file as they stand in a message: in quotes, on one line, cut after `most` letters."""
    return repr(words if len(words) <= most else f"{words[:most]}...")


def printable(words: str) -> str:
    r"""Words on one line: what would move a terminal's cursor, or speak to the terminal, is written out (\x1b)."""
    return words if words.isprintable() else "".join(one if one.isprintable() else ascii(one)[1:-1] for one in words)


def quoted(words: str) -> str:
    """Words as YAML in double quotes, on one line, which are read as they were."""
    inner = json.dumps(words, ensure_ascii=False)
    return "".join(one if one.isprintable() else f"\\U{ord(one):08x}" for one in inner)


def from_json(words: str) -> Any:
    """The value of JSON; raises DocumentError for other text, a key twice, and letters that no file could hold."""
    try:
        value = json.loads(words, object_pairs_hook=_once)
    except (RecursionError, ValueError) as error:
        reason = "nested too deep" if isinstance(error, RecursionError) else str(error)
        raise DocumentError(f"not JSON ({reason})") from error
    if "\\u" in words:
        check(value, finite=False)
    return value


def from_yaml(words: str) -> Any:
    """The value of YAML or, where it begins with a brace or bracket and is JSON, of JSON; raises DocumentError."""
    if len(words) > WORDS:
        raise DocumentError(f"has {len(words)} letters, at most {WORDS} are read")
    value = _json_or_yaml(words)
    check(value)
    return value


def faults(path: Path) -> Iterator[str]:
    """What is wrong with a file of YAML or JSON that another reader has read: it would not tell of a key twice."""
    try:
        from_yaml(text(path, WORDS))
    except DocumentError as error:
        yield str(error) if str(path) in str(error) else f"{path}: {error}"


def _json_or_yaml(words: str) -> Any:
    if words.lstrip()[:1] not in ("{", "["):
        return _yaml(words)
    try:
        return json.loads(words, object_pairs_hook=_once)
    except json.JSONDecodeError:
        return _yaml(words)  # a mapping such as {scheme: random}
    except (RecursionError, ValueError) as error:
        raise _too_deep(error) from error


def _too_deep(error: Exception) -> DocumentError:
    if isinstance(error, RecursionError):
        return DocumentError(f"more than {DEPTH} lists and mappings within each other")
    return DocumentError(str(error))


def _yaml(words: str) -> Any:
    try:
        return yaml.load(words, _Loader)  # noqa: S506 (a SafeLoader with bounds)
    except DocumentError:
        raise
    except (yaml.YAMLError, ValueError, LookupError, AttributeError, OverflowError, TypeError) as error:
        # PyYAML lets all but the first out for scalars such as 0x_, 2001-99-99, !!bool x and !!int ""
        raise DocumentError(f"not YAML or JSON ({' '.join(str(error).split())[:300]})") from error


def _once(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise DocumentError(f"key {shown(next(name for name in names if names.count(name) > 1))} stands twice")
    return found


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader, with each key once in a mapping and bounds on depth and on merged mappings."""

    def __init__(self, stream: str) -> None:
        super().__init__(stream)
        self.depth = 0
        self.merged: set[int] = set()

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        """Count how deep the node lies."""
        self.depth += 1
        if self.depth > DEPTH:
            raise DocumentError(f"more than {DEPTH} lists and mappings within each other")
        found: yaml.Node | None = super().compose_node(parent, index)
        self.depth -= 1
        return found

    def fetch_flow_collection_start(self, kind: type[yaml.Token]) -> None:
        """Count open brackets as they are met: PyYAML reads all of them before it composes the first."""
        if self.flow_level >= DEPTH:
            raise DocumentError(f"more than {DEPTH} lists and mappings within each other")
        super().fetch_flow_collection_start(kind)

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        """Look for keys that stand twice before `<<` brings those of other mappings, which may stand here as well."""
        if id(node) in self.merged:
            return
        self.merged.add(id(node))
        names = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        if len(set(names)) < len(names):
            twice = next(name for name in names if names.count(name) > 1)
            raise DocumentError(f"key {shown(twice)} stands twice (line {node.start_mark.line + 1})")
        super().flatten_mapping(node)
        if len(node.value) > VALUES:
            raise DocumentError(f"more than {VALUES} values when its aliases are written out")


def check(value: Any, *, finite: bool = True) -> None:
    """Raise DocumentError for a plain value beyond the bounds, with itself inside, or with text that no file can hold.

    With `finite` also for numbers that are not finite.
    """
    _size(value, {}, finite, 0)


def _size(value: Any, known: dict[int, int], finite: bool, depth: int) -> int:
    """Values in `value`, aliases written out: each part is looked at once, however often it stands there."""
    if depth > DEPTH:
        raise DocumentError(f"more than {DEPTH} lists and mappings within each other, or one with itself inside")
    if not isinstance(value, Mapping | list):
        _check_scalar(value, finite)
        return 1
    if id(value) not in known:
        known[id(value)] = 1 + sum(_size(one, known, finite, depth + 1) for one in _inside(value))
    if known[id(value)] > VALUES:
        raise DocumentError(f"more than {VALUES} values when its aliases are written out")
    return known[id(value)]


def _inside(value: Mapping[Hashable, Any] | list[Any]) -> Iterator[Any]:
    yield from value
    if isinstance(value, Mapping):
        yield from value.values()


def _check_scalar(value: Any, finite: bool) -> None:
    if not isinstance(value, str | int | float | date | None):
        raise DocumentError(
            f"{shown(str(value))} is no plain value but a {type(value).__name__}; write it without a tag"
        )
    if isinstance(value, float) and finite and not math.isfinite(value):
        raise DocumentError(f"{value} is not a finite number")
    if isinstance(value, str) and not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError as error:
            raise DocumentError(f"{shown(value)} holds half a letter (a lone surrogate); write it whole") from error
