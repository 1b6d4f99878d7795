"""The harness of benchmarks/speed: turns, ratios, the table and fitted exponents; nothing here is timed."""

import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))

from speed import scaling
from speed.__main__ import table
from speed.timing import Point, Ratio, Row, in_turns, ratio

positive = st.floats(0.01, 100)


def test_ways_take_turns_and_warm_rounds_do_not_count() -> None:
    done: list[str] = []
    spent = in_turns({"a": lambda: done.append("a"), "b": lambda: done.append("b")}, rounds=3, warm=2)
    assert done == ["a", "b"] * 5
    assert {name: len(seconds) for name, seconds in spent.items()} == {"a": 3, "b": 3}


@given(st.lists(positive, min_size=1, max_size=9), positive)
def test_who_takes_k_times_as_long_in_every_round_has_the_ratio_k_without_spread(ours, k) -> None:
    found = ratio(tuple(k * seconds for seconds in ours), tuple(ours))
    assert (found.median, found.low, found.high) == pytest.approx((k, k, k))


def test_a_ratio_is_of_rounds_not_of_medians() -> None:
    assert ratio((2.0, 30.0, 4.0), (1.0, 10.0, 4.0)) == Ratio(2.0, 1.0, 3.0)


def test_rounds_of_different_number_are_refused() -> None:
    with pytest.raises(ValueError, match="zip"):
        ratio((1.0, 2.0), (1.0,))


def test_the_table_has_a_line_for_each_row_and_is_empty_where_nothing_is_asked() -> None:
    asked = Row("s", "w", "p", 0.5, Ratio(4, 3, 5), 2, 0.25, "bandwidth", "1e-6")
    lines = table([asked, Row("s", "v", "q", 1.0, Ratio(1, 1, 1))]).splitlines()
    assert lines[2] == "| w | p | 0.5 | 4.00 (3.00 to 5.00) | 2 | 25% of the bandwidth | 1e-6 |"
    assert lines[3] == "| v | q | 1 | 1.00 (1.00 to 1.00) |  |  |  |"
    assert len({line.count("|") for line in lines}) == 1


@given(st.floats(-2, 3), positive, st.sets(st.integers(1, 1000), min_size=2, max_size=6))
def test_the_exponent_of_a_power_law_is_its_power(power, factor, sizes) -> None:
    assert scaling.exponent({size: factor * size**power for size in sizes}) == pytest.approx(power, abs=1e-6)


def test_one_size_has_no_exponent() -> None:
    assert scaling.exponents([Point("s", "n", 10, 1.0)]).splitlines()[-1] == "| s: n | 10 | \u2013 | \u2013 |"


def test_a_curve_is_a_picture_with_every_point_and_the_power_of_each_quantity() -> None:
    points = [Point("s", "rows (n)", size, size**2 / 1e3, size * 2**20) for size in (10, 20, 40)]
    ((name, text),) = scaling.pictures([*points]).items()
    assert name == "s_rows_n.svg"
    drawn = ElementTree.fromstring(text)
    assert len(list(drawn.iter("{http://www.w3.org/2000/svg}circle"))) == 6
    assert "fitted power 2.00" in text and "fitted power 1.00" in text
