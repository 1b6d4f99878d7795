"""Files that appear whole or not at all: written beside their place, then put there by one rename."""

import errno
import fcntl
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

LOCK = "lock"
ROOM = "make room there, then give the same command again"
RIGHTS = "make it writable, or choose another place"
REMEDIES = {
    errno.ENOSPC: ROOM,
    errno.EDQUOT: ROOM,
    errno.EFBIG: "raise the limit of a file's size (ulimit -f), then give the same command again",
    errno.EROFS: RIGHTS,
    errno.EACCES: RIGHTS,
    errno.EPERM: RIGHTS,
}
ELSE = "look at that disk, then give the same command again"
_NUMBER = re.compile(r"os error (\d+)")
"""How safetensors tells the number of the system's error, which has no attribute for it."""


class WritingError(ValueError):
    """A file that could not be written; the message names it, the reason and the remedy."""


def refused(path: Path, error: Exception) -> WritingError:
    """What to say where `path` could not be written."""
    told = _NUMBER.search(str(error))
    number = error.errno if isinstance(error, OSError) else int(told[1]) if told else None
    reason = os.strerror(number) if number else str(error)
    return WritingError(f"{path}: cannot be written ({reason}); {REMEDIES.get(number or 0, ELSE)}")


def _rights() -> int:
    """Those of a new file of this process."""
    umask = os.umask(0)
    os.umask(umask)
    return 0o666 & ~umask


@contextmanager
def whole(path: Path, *failures: type[Exception]) -> Iterator[Path]:
    """A file beside `path` to be written, which takes its place when the block succeeds and is gone when it fails.

    A process that is killed leaves it behind, hidden; nothing reads it. Raises WritingError where there is no room or
    no right to write: for an OSError of this file, or one of `failures`, the errors of a library that writes it. Errors
    of other files, which the block reads, stay as they are.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield partial
        partial.chmod(_rights())  # safetensors gives its files to their owner alone
        partial.replace(path)
    except OSError as error:
        if error.filename is None or Path(error.filename) in (partial, path, *path.parents):
            raise refused(path, error) from error
        raise
    except failures as error:
        raise refused(path, error) from error
    finally:
        partial.unlink(missing_ok=True)


def write_whole(path: Path, text: str) -> None:
    """Write `text` so that `path` either keeps its old content or has all of the new one."""
    with whole(path) as partial:
        partial.write_text(text, encoding="utf-8", newline="\n")


def alone(folder: Path) -> IO[str]:
    """Make a folder and have it for this process until what is given back is closed; who has it before is waited for.

    Raises WritingError where it cannot be made.
    """
    lock = None
    while lock is None:
        lock = _locked(folder, fcntl.LOCK_EX)
    return lock


def alone_now(folder: Path) -> IO[str] | None:
    """The same without waiting: None where another process has the folder."""
    return _locked(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _locked(folder: Path, how: int) -> IO[str] | None:
    """The lock of a folder; None where it is another's, or went with its folder while it was waited for."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with suppress(FileNotFoundError):  # who has just had the folder removed it
            lock = (folder / LOCK).open("w")
            if not _taken(lock, how) and os.path.samestat(os.fstat(lock.fileno()), (folder / LOCK).stat()):
                return lock
            lock.close()
    except OSError as error:
        raise refused(folder / LOCK, error) from error
    return None


def _taken(lock: IO[str], how: int) -> bool:
    try:
        fcntl.flock(lock, how)
    except BlockingIOError:
        return True
    except OSError:  # a file system without locks: of two at once one may end with an error there
        return False
    return False
