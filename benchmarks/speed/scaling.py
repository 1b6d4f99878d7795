"""How time and memory grow with the size of the work: fitted exponents, and a picture of each curve."""

import re
from collections.abc import Mapping, Sequence
from itertools import groupby

import numpy as np
from markupsafe import Markup

from multimep.drawing import Scale, decimal, dot, path, plain, tag, x_axis, y_axis
from speed.timing import Point

WIDTH, HEIGHT, LEFT, TOP, BOTTOM = 360.0, 240.0, 56.0, 34.0, 44.0
STYLE = (
    "svg{background:#fff;font:12px sans-serif}.grid{stroke:#ddd}.middle{text-anchor:middle}"
    ".end{text-anchor:end}.mark{fill:#1f6fb2}.curve{fill:none;stroke:#1f6fb2;stroke-width:2}"
)


def exponent(growth: Mapping[float, float]) -> float:
    """p of value = c size^p by least squares in logarithms; NaN for fewer than two sizes."""
    if len(growth) < 2:
        return np.nan
    slope, _ = np.polyfit(np.log(list(growth)), np.log(list(growth.values())), 1)
    return float(slope)


def curves(points: Sequence[Point]) -> dict[tuple[str, str], list[Point]]:
    """The points of each stage and curve, by size."""
    ordered = sorted(points, key=lambda one: (one.stage, one.curve, one.size))
    return {key: list(found) for key, found in groupby(ordered, lambda one: (one.stage, one.curve))}


def seconds(points: Sequence[Point]) -> dict[float, float]:
    """Size -> seconds."""
    return {one.size: one.seconds for one in points}


def megabytes(points: Sequence[Point]) -> dict[float, float]:
    """Size -> MiB of peak memory, where it was measured."""
    return {one.size: one.bytes / 2**20 for one in points if one.bytes}


def exponents(points: Sequence[Point]) -> str:
    """The fitted exponents of all curves as a table in Markdown."""
    lines = ["| curve | sizes | time grows with the power | memory with the power |", "| --- | --- | ---: | ---: |"]
    for (stage, curve), found in curves(points).items():
        sizes = ", ".join(f"{one.size:g}" for one in found)
        powers = (decimal(exponent(growth), 2) for growth in (seconds(found), megabytes(found)))
        lines.append(f"| {stage}: {curve} | {sizes} | {' | '.join(powers)} |")
    return "\n".join(lines)


def pictures(points: Sequence[Point]) -> dict[str, str]:
    """File name -> SVG: of each curve the time, and beside it the memory where it was measured."""
    return {
        f"{_slug(f'{stage} {curve}')}.svg": _picture(curve, found) for (stage, curve), found in curves(points).items()
    }


def _slug(words: str) -> str:
    return re.sub(r"\W+", "_", words).strip("_").lower()


def _picture(curve: str, points: Sequence[Point]) -> str:
    panels = {"seconds": seconds(points), "MiB": megabytes(points)}
    drawn = [
        _panel(curve, unit, growth, WIDTH * place) for place, (unit, growth) in enumerate(panels.items()) if growth
    ]
    size = {"viewBox": f"0 0 {WIDTH * len(drawn):g} {HEIGHT:g}", "xmlns": "http://www.w3.org/2000/svg"}
    return str(tag("svg", tag("style", STYLE), *drawn, role="img", aria_label=curve, **size)) + "\n"


def _panel(curve: str, unit: str, growth: Mapping[float, float], shift: float) -> Markup:
    x = Scale(min(growth), max(growth), LEFT, WIDTH - 30, logarithmic=True)
    y = Scale(min(growth.values()) / 1.2, max(growth.values()) * 1.2, HEIGHT - BOTTOM, TOP, logarithmic=True)
    power = exponent(growth)
    fitted = f"{unit}, fitted power {decimal(power, 2)}" if np.isfinite(power) else unit
    marks = [dot((x(size), y(value)), 3.5, f"{size:g}: {value:.3g} {unit}") for size, value in growth.items()]
    return tag(
        "g",
        tag("text", fitted, x=LEFT, y=TOP - 14),
        x_axis(x, plain(list(growth)), TOP, HEIGHT - BOTTOM, curve),
        y_axis(y, {value: f"{value:.3g}" for value in growth.values()}, LEFT, WIDTH - 30),
        tag("path", d=path(growth, x, y), class_="curve"),
        *marks,
        transform=f"translate({shift:g} 0)",
    )
