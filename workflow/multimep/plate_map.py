"""Which well holds what: mutants, replicates and controls dealt to wells at random, with a seed; and a picture of it.

Wells are dealt at random so that a drift across a plate (edges, temperature, the order of pipetting) falls on all
mutants alike and not on the last ones of the list.
"""

import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from markupsafe import Markup

from multimep.drawing import Scale, tag
from multimep.plate_rules import PlateError

SHAPES = {96: (8, 12), 384: (16, 24)}
"""Wells of a plate -> rows and columns."""
PICK = "mutant"
LINES = 4
"""Lines of text that a well has room for."""
STEP, MARGIN, HEAD = {96: 78, 384: 46}, 34, 46
KEY = "stronger colour: higher predicted mean; ring: control"
STYLE = """
svg { --paper: #ffffff; --ink: #1b1f24; --rim: #8a929c; --low: 234, 241, 250; color-scheme: light dark;
  background: var(--paper); font-family: system-ui, sans-serif; }
@media (prefers-color-scheme: dark) { svg { --paper: #14171b; --ink: #e6e9ed; --rim: #6d7681; } }
text { fill: var(--ink); text-anchor: middle; }
.well { stroke: var(--rim); stroke-width: 1; fill: none; }
.mutant { fill: #2f6fb5; stroke: none; }
.control { fill: none; stroke: #c2570c; stroke-width: 3; }
.title { font-size: 15px; text-anchor: start; font-weight: 600; }
.axis { font-size: 12px; }
.key { font-size: 12px; text-anchor: end; }
.grid { stroke: none; }
"""


@dataclass(frozen=True)
class Well:
    """One well and its content.

    Attributes:
        plate: from 1.
        name: A1 to H12 or P24.
        mutant: canonical genotype text.
        role: `mutant` or `control`.
        replicate: from 1.
    """

    plate: int
    name: str
    mutant: str
    role: Literal["mutant", "control"]
    replicate: int

    @property
    def row(self) -> int:
        """From 0."""
        return string.ascii_uppercase.index(self.name[0])

    @property
    def column(self) -> int:
        """From 0."""
        return int(self.name[1:]) - 1


def layout(
    mutants: Sequence[str], replicates: int, controls: Mapping[str, int], size: int, seed: int
) -> tuple[Well, ...]:
    """Every replicate of every mutant and every control in a well of its own, drawn with the seed, in reading order.

    The first wells of the last plate are used, column by column as multichannel pipettes work, the others stay empty.
    """
    if size not in SHAPES:
        raise PlateError(f"plate: no plates of {size} wells; choose one of {', '.join(map(str, SHAPES))}")
    contents: list[tuple[str, Literal["mutant", "control"], int]] = [
        (mutant, "mutant", copy) for copy in range(1, replicates + 1) for mutant in mutants
    ]
    contents += [(name, "control", copy) for name, wells in controls.items() for copy in range(1, wells + 1)]
    order = np.random.default_rng(seed).permutation(len(contents))
    wells = [Well(*_place(place, size), *contents[one]) for place, one in enumerate(order)]
    return tuple(sorted(wells, key=lambda well: (well.plate, well.row, well.column)))


def _place(number: int, size: int) -> tuple[int, str]:
    rows, _ = SHAPES[size]
    column, row = divmod(number % size, rows)
    return number // size + 1, f"{string.ascii_uppercase[row]}{column + 1}"


def picture(wells: Sequence[Well], values: Mapping[str, float], size: int, title: str) -> Markup:
    """All plates as one SVG that stands by itself: the stronger the colour, the higher the predicted mean.

    Args:
        wells: of all plates.
        values: mutant -> predicted mean; controls need none.
        size: wells of a plate.
        title: what stands above.
    """
    rows, columns = SHAPES[size]
    step, plates = STEP[size], max(well.plate for well in wells)
    width, height = MARGIN + columns * step + 8, HEAD + rows * step + 8
    shade = Scale(min(values.values(), default=0.0), max(values.values(), default=1.0), 0.1, 0.6)
    drawn = []
    for plate in range(1, plates + 1):
        inside = [well for well in wells if well.plate == plate]
        name = f"{title}, plate {plate} of {plates}" if plates > 1 else title
        top = (plate - 1) * height
        drawn.append(tag("g", *_plate(inside, values, shade, size, name), transform=f"translate(0 {top})"))
    label = f"{title}: {len(wells)} wells of {plates} plate{'s' * (plates > 1)} with {size} wells"
    return tag(
        "svg", tag("title", label), tag("style", Markup(STYLE)), *drawn,  # noqa: S704 (our own constant)
        xmlns="http://www.w3.org/2000/svg", viewBox=f"0 0 {width} {height * plates}", width=width,
        height=height * plates, role="img",
    )  # fmt: skip


def _plate(wells: Sequence[Well], values: Mapping[str, float], shade: Scale, size: int, title: str) -> list[Markup]:
    rows, columns = SHAPES[size]
    step = STEP[size]
    marks = [tag("text", title, x=MARGIN, y=18, class_="title")]
    marks.append(tag("text", KEY, x=MARGIN + columns * step, y=18, class_="key"))
    marks += [tag("text", str(n + 1), x=MARGIN + (n + 0.5) * step, y=38, class_="axis") for n in range(columns)]
    marks += [
        tag("text", string.ascii_uppercase[n], x=MARGIN / 2, y=HEAD + (n + 0.5) * step + 4, class_="axis")
        for n in range(rows)
    ]
    full = {(well.row, well.column): well for well in wells}
    for row in range(rows):
        for column in range(columns):
            at = (MARGIN + (column + 0.5) * step, HEAD + (row + 0.5) * step)
            marks += _well(full.get((row, column)), at, step, values, shade)
    return marks


def _well(
    well: Well | None, at: tuple[float, float], step: int, values: Mapping[str, float], shade: Scale
) -> list[Markup]:
    circle = {"cx": at[0], "cy": at[1], "r": 0.46 * step}
    if well is None:
        return [tag("circle", class_="well", **circle)]
    known = well.role == PICK and well.mutant in values
    told = f"{well.name}: {well.mutant}, {well.role}, replicate {well.replicate}"
    told += f", predicted {values[well.mutant]:.4g}" if known else ""
    strength = f"{shade(values[well.mutant]):.3f}" if known else "1"
    mark = tag("circle", tag("title", told), class_=well.role, fill_opacity=strength, **circle)
    texts = well.mutant.split(":")
    shown = texts if len(texts) <= LINES else [*texts[: LINES - 1], f"+{len(texts) - LINES + 1}"]
    size = min(13.0, 1.4 * step / max(map(len, shown)), 0.7 * step / len(shown))
    start = at[1] - (len(shown) - 1) * size * 0.55 + 0.35 * size
    lines = [
        tag("text", text, x=at[0], y=start + n * size * 1.1, font_size=f"{size:.1f}", pointer_events="none")
        for n, text in enumerate(shown)
    ]
    return [mark, *lines]
