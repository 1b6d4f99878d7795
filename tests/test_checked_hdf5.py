"""A flipped bit anywhere in a store is refused or harmless, and a disk that is full is told, never lost or fatal."""

import os
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest

from multimep import checked_hdf5, embeddings
from multimep.embeddings import StoreError

ROOT = Path(__file__).parents[1]


def make(path: Path) -> np.ndarray:
    rows = np.random.default_rng(0).normal(size=(30, 40)).astype(np.float32)
    with checked_hdf5.made(path) as file:
        made = {"model": "mini", "sha256": "ab" * 32, "layer": 6, "precision": "fp32", "pooling": "mean", "format": 1}
        checked_hdf5.describe(file, made)
        checked_hdf5.put(file, "keys", np.array([f"{row:064x}" for row in range(30)], dtype="S64"))
        checked_hdf5.put(file, "pooled", rows)
        checked_hdf5.put(file, f"attention/{'c' * 64}", rows[:20, :20])
    return rows


def told(path: Path) -> tuple[object, ...]:
    store = embeddings.open_store(path)
    with embeddings.opened(path) as file:
        return (
            *vars(store.maker).values(), tuple(store.row_of), file["pooled"][()].tobytes(),
            file[f"attention/{'c' * 64}"][()].tobytes(),
        )  # fmt: skip


def test_a_flipped_bit_anywhere_is_refused_or_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "one.h5"
    make(path)
    content, expected, random = path.read_bytes(), told(path), np.random.default_rng(1)
    refused = 0
    for place in random.integers(8 * len(content), size=150):
        damaged = bytearray(content)
        damaged[place // 8] ^= 1 << (place % 8)
        path.write_bytes(damaged)
        try:
            assert told(path) == expected
        except StoreError as error:
            assert "one.h5" in str(error)
            assert "delete it and run" in str(error)
            refused += 1
    assert refused > 120


def test_a_file_cut_short_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "one.h5"
    make(path)
    content = path.read_bytes()
    for length in range(0, len(content), 97):
        path.write_bytes(content[:length])
        with pytest.raises(StoreError, match=r"one\.h5"):
            told(path)


def test_the_same_rows_make_the_same_file(tmp_path: Path) -> None:
    make(tmp_path / "one.h5")
    make(tmp_path / "two.h5")
    assert (tmp_path / "one.h5").read_bytes() == (tmp_path / "two.h5").read_bytes()


def test_rows_come_in_the_order_asked_however_far_apart(tmp_path: Path) -> None:
    rows, random = make(tmp_path / "one.h5"), np.random.default_rng(0)
    with h5py.File(tmp_path / "one.h5") as file:
        for count in (0, 1, 3, 30, 50):
            asked = random.integers(30, size=count)
            np.testing.assert_array_equal(checked_hdf5.rows_of(file["pooled"], asked), rows[asked])


@pytest.mark.parametrize("limit", [3000, 200_000])
def test_a_store_without_room_is_refused_by_name_and_the_process_lives(tmp_path: Path, limit: int) -> None:
    code = f"""
import resource, sys
import numpy as np
from pathlib import Path
from multimep import checked_hdf5
resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))
try:
    with checked_hdf5.made(Path("one.h5")) as file:
        data = checked_hdf5.create(file, "rows", (500, 300), "f4")
        for row in range(0, 500, 50):
            data[row : row + 50] = np.ones((50, 300), "f4")
except ValueError as error:
    print(error)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False,
        env=os.environ | {"PYTHONPATH": str(ROOT / "workflow")},
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("one.h5: cannot be written (File too large); raise the limit")
    assert list(tmp_path.iterdir()) == []
