"""Files are whole or absent, and where there is no room or no right to write, one line says so."""

import errno
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from safetensors import SafetensorError

from multimep.whole_files import WritingError, alone, whole, write_whole

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize(
    ("number", "remedy"),
    [
        (errno.ENOSPC, "No space left on device); make room there"),
        (errno.EDQUOT, "make room there"),
        (errno.EFBIG, "raise the limit"),
        (errno.EROFS, "make it writable"),
        (errno.EIO, "look at that disk"),
    ],
)
def test_what_cannot_be_written_is_said_with_file_reason_and_remedy(tmp_path: Path, number: int, remedy: str) -> None:
    path = tmp_path / "one.csv"
    write_whole(path, "old")
    with pytest.raises(WritingError, match=r"one.csv: cannot be written") as refused, whole(path) as partial:
        partial.write_text("half")
        raise OSError(number, os.strerror(number))
    assert remedy in str(refused.value)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_the_number_in_the_message_of_a_library_is_understood(tmp_path: Path) -> None:
    full = SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)")
    with pytest.raises(WritingError, match="make room there"), whole(tmp_path / "one", SafetensorError):
        raise full


def test_an_error_of_another_file_stays_what_it_is(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"other\.csv"), whole(tmp_path / "one.csv"):
        (tmp_path / "other.csv").read_text()


def test_a_file_that_may_not_grow_is_refused_by_its_name(tmp_path: Path) -> None:
    code = (
        "import resource; from pathlib import Path; from multimep.whole_files import write_whole\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000)); write_whole(Path('one.csv'), 'x' * 5000)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False,
        env=os.environ | {"PYTHONPATH": str(ROOT / "workflow")},
    )  # fmt: skip
    assert "WritingError: one.csv: cannot be written (File too large); raise the limit" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_who_wants_a_folder_that_another_has_waits_and_finds_it_as_that_one_leaves_it(tmp_path: Path) -> None:
    folder, found = tmp_path / "parts", []

    def second() -> None:
        with alone(folder):
            found.append((folder / "made").exists())

    with alone(folder):
        thread = threading.Thread(target=second)
        thread.start()
        (folder / "made").touch()
        assert found == []
    thread.join(10)
    assert found == [True]


def test_who_waits_while_the_folder_is_removed_makes_it_anew(tmp_path: Path) -> None:
    folder, done = tmp_path / "parts", []

    def second() -> None:
        with alone(folder):
            done.append(sorted(path.name for path in folder.iterdir()))

    with alone(folder):
        (folder / "made").touch()
        thread = threading.Thread(target=second)
        thread.start()
        shutil.rmtree(folder, ignore_errors=True)  # the other one may just put its lock there
    thread.join(10)
    assert done == [["lock"]]
