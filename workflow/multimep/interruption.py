"""Interruption: signals that ask this process to stop soon, and the folder in which its unfinished work waits.

A cluster ends jobs at their walltime and for more urgent ones: SIGTERM (or SIGUSR1, where a job asks for an earlier
warning) comes some seconds before SIGKILL. Inside `watch` these signals only leave a note. Work that can be continued
looks for the note between two of its steps, keeps its state in the folder and raises `Interrupted`; the same command
given again continues from there. Signals belong to the whole process, so this state does too.

Files in the folder are named by the sha256 of all that decides their content. They live while their command is
unfinished: a command that succeeds removes what it placed there. What an abandoned command left may be deleted.
"""

import dataclasses
import hashlib
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

SIGNALS = (signal.SIGTERM, signal.SIGUSR1)
EXIT_STATUS = 75  # EX_TEMPFAIL of BSD's sysexits.h: not done, but may succeed when tried again
EVERY_SECONDS = 120.0  # between two states kept without a signal: what SIGKILL or a lost node costs at most


class Interrupted(SystemExit):
    """Work stopped on request, its state kept; an exit (status 75) that nothing takes for a failure of the work."""

    def __init__(self, folder: Path) -> None:
        super().__init__(EXIT_STATUS)
        self.folder = folder

    def __str__(self) -> str:
        return f"interrupted; checkpoint kept in {self.folder}, the same command continues from it"


@dataclasses.dataclass
class _Watch:
    folder: Path
    context: str
    requested: bool = False
    placed: list[Path] = dataclasses.field(default_factory=list)

    def note(self, number: int) -> None:
        """Remember that a signal asked to stop."""
        del number
        self.requested = True


_WATCHES: list[_Watch] = []  # the innermost last


@contextmanager
def watch(folder: Path | None, context: str = "") -> Iterator[None]:
    """Keep unfinished work in `folder` and let SIGTERM and SIGUSR1 ask for an interruption, until the block ends.

    `context` is what decides the results and the work itself does not see (a version, the words that choose a language
    model). Without a folder nothing is kept and signals act as before. In another thread than the main one, where
    Python allows no handlers, states are kept from time to time only. What the block placed in the folder goes when it
    succeeds, and stays when it is interrupted or fails. Watches may be nested, for one unit of work after the other: a
    request that came in the last moments of one unit is known to the watch around it, and to the next unit.
    """
    if folder is None:
        yield
        return
    folder.mkdir(parents=True, exist_ok=True)  # now, not only when the first state must be kept in a hurry
    state = _Watch(folder, context, requested())
    _WATCHES.append(state)
    try:
        with handled(state.note):
            yield
            _remove(state.placed)
    finally:
        _WATCHES.pop()
        if _WATCHES and state.requested:
            _WATCHES[-1].requested = True


@contextmanager
def handled(handler: Callable[[int], object]) -> Iterator[None]:
    """Let `handler` have SIGTERM and SIGUSR1 until the block ends; in another thread than the main one it gets none."""
    in_main = threading.current_thread() is threading.main_thread()
    before = {number: signal.signal(number, lambda caught, _: handler(caught)) for number in SIGNALS if in_main}
    try:
        yield
    finally:
        for number, old in before.items():
            signal.signal(number, signal.SIG_DFL if old is None else old)  # None: not installed from Python


def folder() -> Path | None:
    """Where unfinished work is kept; None outside `watch`: nothing is kept."""
    return _WATCHES[-1].folder if _WATCHES else None


def requested() -> bool:
    """Whether a signal has asked this process to stop."""
    return bool(_WATCHES) and _WATCHES[-1].requested


def stop_if_requested() -> None:
    """Raise Interrupted where a signal asked for it; for moments at which all that is worth keeping is kept."""
    if requested():
        raise Interrupted(_WATCHES[-1].folder)


def place(kind: str, suffix: str, *facts: object, shared: bool = False) -> Path | None:
    """The file, there or not, of unfinished work that is decided by these facts; None where nothing is kept.

    The facts are hashed with the watch's context, see `fingerprint`. What is `shared` is on the way to several pieces
    of work: it stays until the watch ends, whichever of them is whole.
    """
    if not _WATCHES:
        return None
    current = _WATCHES[-1]
    path = current.folder / f"{kind}-{fingerprint(current.context, *facts)}{suffix}"
    current.placed.insert(0 if shared else len(current.placed), path)
    return path


def completed(path: Path) -> None:
    """Say that the work placed at `path` is whole: whatever was placed since was on the way to it, and is removed."""
    placed = _WATCHES[-1].placed
    position = placed.index(path) + 1
    _remove(placed[position:])
    del placed[position:]


def _remove(paths: list[Path]) -> None:
    for path in paths:
        for file in path.parent.glob(f"*{path.name}*"):  # with the halves that a killed process left beside it
            file.unlink(missing_ok=True)


@runtime_checkable
class _Array(Protocol):  # numpy's, without importing it: the door needs this room before it knows its command
    dtype: Any
    shape: tuple[int, ...]

    def tobytes(self) -> bytes: ...


def fingerprint(*values: object) -> str:
    """The sha256 of values down to their last bit: dataclasses, arrays, mappings, sequences, text, numbers, None.

    Raises TypeError for anything else, whose text need not tell all.
    """
    digest = hashlib.sha256()
    for chunk in _chunks(values):
        digest.update(len(chunk).to_bytes(8, "big") + chunk)
    return digest.hexdigest()


def _chunks(value: object) -> Iterator[bytes]:
    yield type(value).__qualname__.encode()
    if isinstance(value, str | int | float) or value is None:
        yield repr(value).encode()
    elif isinstance(value, _Array) and value.dtype.kind in ("b", "i", "u", "f"):
        yield f"{value.dtype.str} {value.shape}".encode()
        yield value.tobytes()
    else:
        parts = list(_parts(value))
        yield str(len(parts)).encode()
        for part in parts:
            yield from _chunks(part)


def _parts(value: object) -> Iterator[object]:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        yield from (part for field in dataclasses.fields(value) for part in (field.name, getattr(value, field.name)))
    elif isinstance(value, Mapping):
        yield from (part for item in value.items() for part in item)
    elif isinstance(value, list | tuple):
        yield from value
    else:
        raise TypeError(f"no fingerprint of a {type(value).__qualname__}: {value!r}")
