"""A file that no longer fits its seal is refused; one without a seal is read as it is."""

import subprocess
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from multimep import seals


class RefusedError(ValueError):
    """Of the room that reads."""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    seals.write(tmp_path / "one.csv", "mutant,fitness\nM1A,0.5\n")
    return tmp_path / "one.csv"


def test_every_flipped_bit_is_refused_by_file_seal_and_way_out(path: Path) -> None:
    content = path.read_bytes()
    seals.check(path, RefusedError)
    for place in range(8 * len(content)):
        damaged = bytearray(content)
        damaged[place // 8] ^= 1 << (place % 8)
        path.write_bytes(damaged)
        with pytest.raises(RefusedError, match=r"one.csv: .*\.one\.csv\.sha256: damaged or edited.*delete the seal"):
            seals.check(path, RefusedError)


def test_every_cut_is_refused_and_a_damaged_seal_too(path: Path) -> None:
    content = path.read_bytes()
    for length in range(len(content)):
        path.write_bytes(content[:length])
        with pytest.raises(RefusedError):
            seals.check(path, RefusedError)
    path.write_bytes(content)
    seals.seal_of(path).write_text("")
    with pytest.raises(RefusedError):
        seals.check(path, RefusedError)


def test_a_file_whose_seal_was_deleted_is_read_as_it_is(path: Path) -> None:
    path.write_text("edited\n")
    seals.break_seal(path)
    seals.check(path, RefusedError)


def test_the_seal_is_a_line_that_sha256sum_checks(path: Path) -> None:
    command = ["sha256sum", "--check", seals.seal_of(path).name]
    assert subprocess.run(command, cwd=path.parent, capture_output=True, check=False).returncode == 0


def test_a_file_that_is_moved_takes_its_seal_along(path: Path, tmp_path: Path) -> None:
    place = tmp_path / "folder" / "two.csv"
    seals.write(place, "old")
    seals.move(path, place)
    seals.check(place, RefusedError)
    assert seals.seal_of(place).read_text().endswith("  two.csv\n")
    assert sorted(one.name for one in tmp_path.rglob("*.*")) == [".two.csv.sha256", "two.csv"]


class Dying:
    """Lets so many steps be made, and none after them."""

    def __init__(self, steps: int) -> None:
        self.left = steps

    def of(self, step: Callable[..., Any]) -> Callable[..., Any]:
        def made(*words: Any, **more: Any) -> Any:
            if self.left == 0:
                raise KeyboardInterrupt
            self.left -= 1
            return step(*words, **more)

        return made


@pytest.mark.parametrize("there", ["old\n", None])
@pytest.mark.parametrize("steps", range(9))
def test_killed_after_any_step_a_writing_leaves_a_file_that_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, steps: int, there: str | None
) -> None:
    path, dying = tmp_path / "one.csv", Dying(steps)
    if there is not None:
        seals.write(path, there)
    with monkeypatch.context() as patch:
        for name in ("unlink", "replace", "write_text"):
            patch.setattr(Path, name, dying.of(getattr(Path, name)))
        with suppress(KeyboardInterrupt):
            seals.write(path, "new\n")
    assert (path.read_text() if path.exists() else None) in (there, "new\n")
    seals.check(path, RefusedError)
    assert steps < 8 or path.read_text() == "new\n"
