"""Tables are written and read to the last bit, whatever stands in them."""

import csv
import io
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from multimep import text_table
from multimep.text_table import TextTable

WORD = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=8)


class WrongError(ValueError):
    """What the tests' tables are refused with."""


@given(st.lists(st.tuples(WORD, st.floats(), st.integers(-(2**60), 2**60)), min_size=1, max_size=5))
def test_what_is_written_is_read_again(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, float, int]]
) -> None:
    path = tmp_path_factory.mktemp("table") / "t.csv"
    words, floats, whole = zip(*rows, strict=True)
    text_table.write({"word": words, "a float": np.array(floats), "whole": whole}, path)
    found = text_table.read(path, ("word", "whole"), WrongError)
    assert (found.columns, len(found), "word" in found, "other" in found) == (
        ["word", "a float", "whole"],
        len(rows),
        True,
        False,
    )
    assert found["word"] == words
    assert found["whole"] == tuple(map(str, whole))
    np.testing.assert_array_equal(text_table.numbers(found, "a float", path, WrongError), floats)
    pd.testing.assert_frame_equal(found.frame(), pd.DataFrame({name: found[name] for name in found.columns}, dtype=str))


@given(st.lists(st.tuples(st.sampled_from(["a", "b,c", 'd"e', "", " f"]), st.floats(), st.integers(0, 9)), max_size=5))
def test_the_text_is_that_of_pandas(rows: list[tuple[str, float, int]]) -> None:
    words, floats, whole = zip(*rows, strict=True) if rows else ((), (), ())
    columns = {"word": list(words), "x": np.array(floats, dtype=np.float64), "n": np.array(whole, dtype=np.int64)}
    frame = pd.DataFrame(columns)
    assert text_table.written(columns) == frame.to_csv(index=False, lineterminator="\n")
    assert text_table.written(columns, 9) == frame.to_csv(index=False, lineterminator="\n", float_format="%.9g")


def test_numbers_of_numpy_in_a_sequence_and_nothing_at_all_are_told_as_pythons() -> None:
    told = text_table.written({"x": (np.float64(0.1), None, math.nan, np.int64(3))})
    assert [cell for (cell, *_) in csv.reader(io.StringIO(told)) if cell] == ["x", "0.1", "3"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("", "the file is empty"),
        ("a,a\n1,2\n", "column 'a' stands twice"),
        ("a,b\n1\n", "row 2 has 1 cells under a header of 2"),
        ("b\n1\n", r"no column a \(it has: b\)"),
    ],
)
def test_another_table_is_refused_by_name(words: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text(words)
    with pytest.raises(WrongError, match=rf"t\.csv: .*{said}"):
        text_table.read(path, ("a",), WrongError)


@pytest.mark.parametrize("cell", ["x", "1_000", "\u0661", "0x1"])
def test_what_is_no_number_is_refused_with_its_line(cell: str) -> None:
    with pytest.raises(WrongError, match=r"t\.csv line 3: a is .*, not a number"):
        text_table.numbers(TextTable(["a"], [["1"], [cell]]), "a", Path("t.csv"), WrongError)
