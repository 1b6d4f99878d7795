"""Figures of the report as inline SVG: pure functions from numbers to escaped markup.

A series is coloured by its place in the study: place 3 is drawn in ``var(--series-3)``, which the page defines once for
light, once for dark and once for print. Every figure says its numbers in `aria-label`, every mark in its tooltip.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float
from markupsafe import Markup

from multimep.drawing import (
    EMPTY,
    LETTER,
    Interval,
    Scale,
    colour,
    decimal,
    dot,
    line,
    path,
    percent,
    picture,
    plain,
    span,
    spread,
    tag,
    x_axis,
    y_axis,
)

TO_LEARN, MEASURED = "variants to learn from", "variants measured"


@dataclass(frozen=True)
class Row:
    """A line of the dot plot: the mean of a method and the values of single datasets behind it, name -> value."""

    name: str
    place: int
    mean: Interval
    singles: Mapping[str, float]


@dataclass(frozen=True)
class Series:
    """A line of a chart: its name, its place among the colours and one interval per x."""

    name: str
    place: int
    points: Mapping[float, Interval]


@dataclass(frozen=True)
class Pairs:
    """Predicted and measured fitness of the same variants.

    Attributes:
        mutants: canonical genotype texts.
        predicted, measured: in the units of the predictor and of the dataset, shape (n,).
        total: how many variants there were before a sample was drawn for the figure.
    """

    mutants: tuple[str, ...]
    predicted: Float[np.ndarray, "n"]
    measured: Float[np.ndarray, "n"]
    total: int

    def __post_init__(self) -> None:
        """Refuse columns of unequal length."""
        lengths = {len(self.mutants), len(self.predicted), len(self.measured)}
        if len(lengths) != 1:
            raise ValueError(f"pairs with columns of length {sorted(lengths)}")


def dot_plot(rows: Sequence[Row], measure: str, reference: float = math.nan) -> Markup:
    """Means with intervals, the datasets behind them as faint dots, a dashed line at `reference`."""
    step, width, bottom = 30.0, 1064.0, 14.0 + 30.0 * len(rows)
    left = 24.0 + LETTER * max(len(row.name) for row in rows)
    values = [value for row in rows for value in [*row.singles.values(), *row.mean.ends]]
    x = Scale(*span([*values, reference]), left, width - 190.0)
    dashed = line((x(reference), 4.0), (x(reference), bottom), "reference") if math.isfinite(reference) else EMPTY
    lines = [_dot_row(row, x, 14.0 + step * (place + 0.5), width) for place, row in enumerate(rows)]
    label = f"{measure} of each method: " + "; ".join(f"{row.name} {row.mean}" for row in rows)
    return picture(width, bottom + 40, label, x_axis(x, plain(x.ticks(7)), 8.0, bottom, measure), dashed, *lines)


def learning_chart(
    series: Sequence[Series], y_name: str, y_range: tuple[float, float], *, zero: bool = False, x_name: str = TO_LEARN
) -> Markup:
    """One line per method over the training size (logarithmic), an interval at each point, names at the right end.

    With `zero` a dashed line stands at 0.
    """
    width, left, top, bottom, spoken = 1064.0, 44.0, 24.0, 350.0, _spoken(series, y_name, x_name)
    right = width - LETTER * max(len(one.name) for one in series)
    series, sizes = _on_logarithm(series)
    x, y = Scale(min(sizes), max(sizes), left + 24, right - 24, logarithmic=True), Scale(*y_range, bottom, top)
    lines = [_curve(one, x, y, 4.0 * (place - (len(series) - 1) / 2)) for place, one in enumerate(series)]
    places = spread([y(_last(one)) for one in series], 17.0)
    names = [_end_name(one, right - 4, place) for one, place in zip(series, places, strict=True)]
    title = tag("text", y_name, x=0.0, y=10.0, class_="axis-name")
    dashed = line((left, y(0.0)), (right, y(0.0)), "reference") if zero else EMPTY
    axes = [
        y_axis(y, plain(y.ticks(6)), left, right),
        x_axis(x, sizes, bottom, bottom, x_name),
    ]
    return picture(width, bottom + 40, spoken, *axes, dashed, title, *lines, *names)


def small_learning_chart(series: Sequence[Series], y_name: str, y_range: tuple[float, float]) -> Markup:
    """The same for one dataset: a small multiple without names, on the y range that all of them share."""
    left, right, bottom, spoken = 34.0, 340.0, 170.0, _spoken(series, y_name, TO_LEARN)
    series, sizes = _on_logarithm(series)
    x, y = Scale(min(sizes), max(sizes), left + 18, right - 18, logarithmic=True), Scale(*y_range, bottom, 8.0)
    lines = [_curve(one, x, y, 2.0 * (place - (len(series) - 1) / 2)) for place, one in enumerate(series)]
    axes = [y_axis(y, plain(y.ticks(4)), left, right), x_axis(x, _apart(sizes, x), bottom, bottom)]
    return picture(right, bottom + 22, spoken, *axes, *lines)


def scatter(pairs: Pairs, place: int, corner: str, label: str, *, same_scale: bool) -> Markup:
    """A panel of measured (up) against predicted (right): a dot per variant, the farthest in rank ringed and named.

    `same_scale` gives both axes the range of both columns and draws the 1:1 line; without it (log-odds against a
    fitness) each axis has the range of its own column and there is no such line.
    """
    left, right, bottom = 26.0, 122.0, 100.0
    predicted, measured = pairs.predicted.tolist(), pairs.measured.tolist()
    x = Scale(*span(predicted + measured if same_scale else predicted), left, right)
    y = Scale(*span(predicted + measured if same_scale else measured), bottom, 4.0)
    dots = "".join(f"M{x(p):.1f} {y(m):.1f}h0" for p, m in zip(predicted, measured, strict=True))
    rings = [dot((x(predicted[i]), y(measured[i])), 2.6, _pair(pairs, i), "ring") for i in farthest(pairs)]
    diagonal = line((x(y.low), y(y.low)), (x(y.high), y(y.high)), "reference") if same_scale else EMPTY
    marks = tag("g", tag("path", d=dots, class_="dots"), *rings, style=colour(place))
    axes = [y_axis(y, plain(y.ticks(3)), left, right), x_axis(x, plain(x.ticks(3)), 4.0, bottom)]
    return picture(
        right + 4, bottom + 20, label, *axes, diagonal, marks, tag("text", corner, x=31, y=16, class_="corner")
    )


def farthest(pairs: Pairs, count: int = 8) -> list[int]:
    """Rows of the variants whose predicted and measured ranks differ most, the farthest first."""
    predicted, measured = (np.argsort(np.argsort(v, kind="stable")) for v in (pairs.predicted, pairs.measured))
    # |rank(predicted) - rank(measured)|
    return [int(row) for row in np.argsort(-np.abs(predicted - measured), kind="stable")[:count]]


def calibration(
    lines: Mapping[str, Mapping[float, float]], mean: Mapping[float, float], place: int, label: str
) -> Markup:
    """Observed against nominal coverage: a faint line per dataset, a strong one for the mean, dashed where equal."""
    left, right, bottom = 36.0, 200.0, 160.0
    x, y = Scale(0.4, 1.0, left, right), Scale(0.0, 1.0, bottom, 8.0)
    faint = [
        tag("path", tag("title", f"{name}: {_shares(points)}"), d=path(points, x, y), class_="line faint")
        for name, points in lines.items()
    ]
    dots = [dot((x(at), y(seen)), 3.6, f"mean: {_shares({at: seen})}") for at, seen in mean.items()]
    marks = tag("g", *faint, tag("path", d=path(mean, x, y), class_="line"), *dots, style=colour(place))
    axes = [y_axis(y, percent((0, 0.25, 0.5, 0.75, 1)), left, right), x_axis(x, percent((0.5, 0.8, 0.95)), 8.0, bottom)]
    diagonal = line((x(0.4), y(0.4)), (x(1.0), y(1.0)), "reference")
    return picture(right + 6, bottom + 20, f"{label}: mean {_shares(mean)}", *axes, diagonal, marks)


def bars(counts: Mapping[str, int], label: str) -> Markup:
    """A word-sized histogram in the given order; heights by square root, so that small counts stay visible."""
    step, base, top = min(16.0, 168.0 / max(len(counts), 1)), 24.0, math.sqrt(max([*counts.values(), 1]))
    marks = []
    for place, (key, count) in enumerate(counts.items()):
        tall = max(1.0, 22.0 * math.sqrt(count) / top) if count else 0.0
        size = {"x": place * step, "y": base - tall, "width": max(step - 2, 1.0), "height": tall}
        marks.append(tag("rect", tag("title", f"{key}: {count:,}"), **size))
        marks.append(
            tag("text", key if len(counts) <= 12 else "", x=place * step + step / 2 - 1, y=34.0, class_="tiny")
        )
    spoken = f"{label}: " + ", ".join(f"{key}: {count}" for key, count in counts.items())
    return picture(max(step * len(counts), 1.0), 36.0, spoken, tag("g", *marks, class_="bars"))


def whisker(interval: Interval, reach: float, label: str, *, decided: bool) -> Markup:
    """A difference with its interval against a line at zero, from -reach to reach; coloured by sign where decided."""
    x = Scale(-reach, reach, 12.0, 228.0)
    low, high = (interval.low, interval.high) if interval.known else (interval.value, interval.value)
    kind = "open" if not decided else "for" if interval.value > 0 else "against"
    ticks = {-reach: decimal(-reach, 2), 0.0: "0", reach: f"+{decimal(reach, 2)}"}
    marks = [line((x(low), 16.0), (x(high), 16.0), "stroke"), dot((x(interval.value), 16.0), 5.5, str(interval))]
    base = [x_axis(x, ticks, 26.0, 30.0), line((x.start, 30.0), (x.stop, 30.0), "grid")]
    zero = line((x(0.0), 2.0), (x(0.0), 30.0), "reference")
    return picture(240.0, 46.0, f"{label}: {interval}", *base, zero, tag("g", *marks, class_=f"whisker {kind}"))


def _dot_row(row: Row, x: Scale, y: float, width: float) -> Markup:
    values = {name: value for name, value in row.singles.items() if math.isfinite(value)}
    singles = [dot((x(value), y), 3.4, f"{name}: {decimal(value)}", "faint") for name, value in values.items()]
    name = tag("text", row.name, x=x.start - 22, y=y, dy="0.35em", class_="name end")
    number = tag("text", str(row.mean), x=width - 168, y=y, dy="0.35em", class_="number")
    bar = line((x(row.mean.low), y), (x(row.mean.high), y), "stroke") if row.mean.known else EMPTY
    at_mean = math.isfinite(row.mean.value)
    mean = dot((x(row.mean.value), y), 5.5, f"{row.name}: {row.mean}", "mean") if at_mean else EMPTY
    return tag("g", name, number, *singles, bar, mean, style=colour(row.place))


def _curve(one: Series, x: Scale, y: Scale, shift: float) -> Markup:
    parts = [tag("path", d=path({at: i.value for at, i in one.points.items()}, x, y, shift), class_="line")]
    for at, interval in one.points.items():
        right = x(at) + shift
        if interval.known:
            parts.append(line((right, y(interval.low)), (right, y(interval.high)), "thin"))
        if math.isfinite(interval.value):
            parts.append(dot((right, y(interval.value)), 3.0, f"{one.name}, {at:g} variants: {interval}"))
    return tag("g", *parts, style=colour(one.place))


def _on_logarithm(series: Sequence[Series]) -> tuple[list[Series], dict[float, str]]:
    """The series with 0, which has no logarithm, at half of the smallest other size; sizes in order with their text."""
    sizes = sorted({at for one in series for at in one.points})
    least = min([size for size in sizes if size > 0], default=2.0) / 2
    moved = [replace(one, points={at or least: interval for at, interval in one.points.items()}) for one in series]
    return moved, {size or least: text for size, text in plain(sizes).items()}


def _apart(ticks: Mapping[float, str], x: Scale, room: float = 24.0) -> dict[float, str]:
    """The ticks from left to right without those that would touch the one before."""
    kept: dict[float, str] = {}
    for at, text in ticks.items():
        if not kept or x(at) - x(max(kept)) >= room:
            kept[at] = text
    return kept


def _last(one: Series) -> float:
    finite = [at for at, interval in one.points.items() if math.isfinite(interval.value)]
    return one.points[max(finite)].value if finite else 0.0


def _end_name(one: Series, x: float, y: float) -> Markup:
    return tag("text", one.name, x=x, y=y, dy="0.35em", class_="name series", style=colour(one.place))


def _spoken(series: Sequence[Series], y_name: str, x_name: str) -> str:
    lines = [f"{one.name}: " + ", ".join(f"{at:g}: {i}" for at, i in sorted(one.points.items())) for one in series]
    return f"{y_name} by number of {x_name}. " + "; ".join(lines)


def _pair(pairs: Pairs, row: int) -> str:
    measured, predicted = decimal(float(pairs.measured[row])), decimal(float(pairs.predicted[row]))
    return f"{pairs.mutants[row]}: measured {measured}, predicted {predicted}"


def _shares(points: Mapping[float, float]) -> str:
    return ", ".join(f"{seen:.0%} of the {at:.0%} intervals hold the measurement" for at, seen in points.items())
