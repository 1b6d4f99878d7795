"""Seals: the sha256 of a file that one station writes and another reads, kept beside it.

The seal of `alpha.csv` is `.alpha.csv.sha256`, one line as `sha256sum` writes it. A file that was cut short, that has a
bit flipped or was edited no longer fits its seal and is refused; one without a seal is read as it is.
"""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from multimep.whole_files import whole, write_whole


def seal_of(path: Path) -> Path:
    """Where the seal of a file stands."""
    return path.with_name(f".{path.name}.sha256")


def checksum(path: Path) -> str:
    """The sha256 of a file in hexadecimal digits."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def break_seal(path: Path) -> None:
    """Remove the seal of a file."""
    seal_of(path).unlink(missing_ok=True)


@contextmanager
def sealed(path: Path, *failures: type[Exception]) -> Iterator[Path]:
    """As `whole_files.whole`, with a seal.

    A new file has its seal before it is there. An old one loses its own before it is replaced: killed in between, a
    process leaves a whole file without a seal, which is read, and never one that does not fit.
    """
    with whole(path, *failures) as partial:
        yield partial
        line, replaced = f"{checksum(partial)}  {path.name}\n", path.exists()
        if replaced:
            break_seal(path)
        else:
            write_whole(seal_of(path), line)
    if replaced:
        write_whole(seal_of(path), line)


def write(path: Path, text: str) -> None:
    """Write a text file whole, and its seal."""
    with sealed(path) as partial:
        partial.write_text(text, encoding="utf-8", newline="\n")


def move(path: Path, place: Path) -> None:
    """Put a file, and its seal if it has one, in another place of the same disk."""
    place.parent.mkdir(parents=True, exist_ok=True)
    break_seal(place)
    path.replace(place)
    if seal_of(path).exists():
        write_whole(seal_of(place), seal_of(path).read_text(encoding="utf-8").replace(path.name, place.name))
        break_seal(path)


def check(path: Path, refusal: type[ValueError]) -> None:
    """Raise `refusal`, naming file and remedy, where the file no longer fits its seal."""
    kept = seal_of(path)
    if kept.is_file() and path.is_file() and kept.read_bytes()[:64] != checksum(path).encode():
        raise refusal(
            f"{path}: it no longer fits its seal {kept.name}: damaged or edited since multimep wrote it; delete the "
            "file and make it again, or delete the seal where the change is meant"
        )
