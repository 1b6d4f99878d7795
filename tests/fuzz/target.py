"""A fuzz target: one door to bytes that others wrote, what it may raise, and inputs to begin with."""

import atexit
import os
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

LONGEST = 200_000
"""Letters of a message that a person still could read: `check` lists every fault of a table on purpose."""


@dataclass(frozen=True)
class Target:
    """One door.

    Attributes:
        name: of the target and of its folder of inputs.
        read: takes any bytes, raises `refused` for what it does not accept, and asserts what holds for all else.
        refused: the errors that its rooms promise.
        seeds: inputs to begin with, some of which are accepted.
        words: pieces from which inputs are put together.
        rooms: modules whose edges are counted; none: the package's.
    """

    name: str
    read: Callable[[bytes], None]
    refused: tuple[type[ValueError], ...]
    seeds: tuple[bytes, ...]
    words: tuple[bytes, ...] = ()
    rooms: tuple[str, ...] = field(default=("multimep",))


def accepts(target: Target, data: bytes) -> bool:
    """Whether the door takes this input; lets through whatever the door was not to raise."""
    try:
        target.read(data)
    except target.refused as error:
        message = str(error)
        assert message.strip(), "refused without a word"
        assert len(message) <= LONGEST, f"a message of {len(message)} letters"
        message.encode()
        return False
    return True


@cache
def folder() -> Path:
    """A folder of this process, in memory where the machine has one: readers of files are given files."""
    memory = Path("/dev/shm")
    found = Path(tempfile.mkdtemp(prefix="fuzz-", dir=memory if os.access(memory, os.W_OK) else None))
    atexit.register(shutil.rmtree, found, ignore_errors=True)
    return found


def file(name: str, data: bytes) -> Path:
    """A file of that name with these bytes; the same name is used again."""
    path = folder() / name
    path.write_bytes(data)
    return path
