"""Heat maps of single mutants over the sequence as compact inline SVG: a column per mutated site, a row per residue.

Cells of one colour are one path, neighbours in a row one stroke, so that 3,000 cells take some 20 kB. Colours are the
classes `h0` (low) to `h9` (high), which the page defines for light, dark and print.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
from jaxtyping import Float
from markupsafe import Markup

from multimep.drawing import LETTER, decimal, picture, tag
from multimep.mutations import AMINO_ACIDS
from multimep.portraits import Singles

ROWS = "GPAVILMCFYWSTNQHKRDE"
"""Residues from top to bottom: small, aliphatic, aromatic, polar, positive, negative."""
COLOURS = 10
WIDTH, LEFT, TOP, FOOT = 1064.0, 26.0, 24.0, 34.0
LEGEND = 560.0  # pixels that the scale of colours and its name take


@dataclass(frozen=True)
class Grid:
    """Where the cells of a map stand: bands of equally many sites below each other.

    Attributes:
        sites: how many there are.
        per_band: sites side by side.
        width, height: of a cell, in pixels.
    """

    sites: int
    per_band: int
    width: float
    height: float

    @property
    def bands(self) -> int:
        """How many bands stand below each other."""
        return math.ceil(self.sites / self.per_band)

    def left(self, site: int) -> float:
        """Left edge of a site's column."""
        return LEFT + self.width * (site % self.per_band)

    def top(self, band: int) -> float:
        """Upper edge of a band's cells."""
        return TOP + band * (len(ROWS) * self.height + TOP + 8.0)


def grid_of(sites: int) -> Grid:
    """The grid of a map: large cells for few sites, small ones in wider bands for many."""
    room = WIDTH - LEFT - 4.0
    least = 9.0 if sites <= 230 else 5.0
    bands = math.ceil(sites * least / room)
    per_band = math.ceil(sites / bands)
    width = math.floor(min(16.0, room / per_band) * 10) / 10
    return Grid(sites, per_band, width, 11.0 if width >= 9.0 else 8.0)


def heat_map(
    singles: Singles, values: Float[np.ndarray, "m"], ends: tuple[float, float], name: str, label: str
) -> Markup:
    """The map of `values`, one per single mutant, coloured from the first to the second of `ends`; dots: the wild type.

    Values beyond an end have its colour. `name` stands beside the scale of colours.
    """
    grid = grid_of(len(singles.positions))
    shades = shade(values, ends)
    bands = [_band(grid, singles, shades, band) for band in range(grid.bands)]
    bottom = grid.top(grid.bands - 1) + len(ROWS) * grid.height
    wide = max(LEFT + grid.width * grid.per_band + 4.0, LEGEND)
    return picture(wide, bottom + FOOT, label, *bands, _legend(ends, name, bottom + 14.0))


def shade(values: Float[np.ndarray, "m"], ends: tuple[float, float]) -> list[int]:
    """The class of colour of each value, -1 where it is not finite."""
    low, high = ends
    # k = floor(COLOURS (v - low) / (high - low)), inside 0 .. COLOURS - 1
    share = (values - low) / (high - low) if high > low else np.full(len(values), 0.5)
    found = np.clip(np.floor(COLOURS * np.nan_to_num(share)), 0, COLOURS - 1).astype(int)
    return [int(one) if finite else -1 for one, finite in zip(found, np.isfinite(values), strict=True)]


def ends_of(*columns: Float[np.ndarray, "m"]) -> tuple[float, float]:
    """The range of colours for all `columns`: from the 1st to the 99th percentile of their finite values."""
    finite = np.concatenate([column[np.isfinite(column)] for column in columns])
    return (float(np.quantile(finite, 0.01)), float(np.quantile(finite, 0.99))) if finite.size else (0.0, 1.0)


def _band(grid: Grid, singles: Singles, shades: Sequence[int], band: int) -> Markup:
    first = band * grid.per_band
    last = min(first + grid.per_band, grid.sites)
    inside = [
        (shade, ROWS.index(AMINO_ACIDS[letter]), site - first)
        for shade, letter, site in zip(shades, singles.letters, singles.sites, strict=True)
        if first <= site < last and shade >= 0
    ]
    cells = [
        tag("path", d="".join(_strokes(list(group))), class_=f"h{shade}")
        for shade, group in groupby(sorted(inside), key=lambda cell: cell[0])
    ]
    wild = "".join(f"M{site + 0.5:g} {ROWS.index(one)}h0" for site, one in enumerate(singles.residues[first:last]))
    place = f"translate({LEFT:g} {grid.top(band) + grid.height / 2:g}) scale({grid.width:g} {grid.height:g})"
    plate = tag("rect", x=LEFT, y=grid.top(band), width=grid.width * (last - first), height=grid.height * len(ROWS),
                class_="plate")  # fmt: skip
    drawn = tag("g", *cells, tag("path", d=wild, class_="wild"), class_="cells", transform=place)
    return tag("g", plate, drawn, _cuts(grid, singles, first, last), *_names(grid, singles, first, last))


def _strokes(cells: Sequence[tuple[int, int, int]]) -> Iterator[str]:
    """Path data of (shade, row, column) cells in order: one stroke per run of columns."""
    start = 0
    for end in range(1, len(cells) + 1):
        if end == len(cells) or cells[end][1:] != (cells[end - 1][1], cells[end - 1][2] + 1):
            yield f"M{cells[start][2]} {cells[start][1]}h{end - start}"
            start = end


def _cuts(grid: Grid, singles: Singles, first: int, last: int) -> Markup:
    """Thin lines where sites without single mutants are left out."""
    top = grid.top(first // grid.per_band)
    jumps = [site for site in range(first + 1, last) if singles.positions[site] != singles.positions[site - 1] + 1]
    tall = grid.height * len(ROWS)
    return tag("path", d="".join(f"M{grid.left(site):.1f} {top:g}v{tall:g}" for site in jumps), class_="cut")


def _names(grid: Grid, singles: Singles, first: int, last: int) -> Iterator[Markup]:
    top = grid.top(first // grid.per_band)
    downs = " ".join(f"{top + grid.height * (row + 0.5) + 3:.1f}" for row in range(len(ROWS)))
    yield tag("text", ROWS, x=" ".join(["16"] * len(ROWS)), y=downs, class_="residue")
    if grid.width >= 7.0:
        rights = " ".join(f"{grid.left(site) + grid.width / 2:.1f}" for site in range(first, last))
        yield tag("text", singles.residues[first:last], x=rights, y=top - 3, class_="residue")
    free = -math.inf
    for site in range(first, last):
        position, right = singles.positions[site], grid.left(site) + grid.width / 2
        after_jump = site == first or position != singles.positions[site - 1] + 1
        if (after_jump or position % 10 == 0) and right >= free:
            yield tag("text", str(position), x=right, y=top - 13, class_="tick middle")
            free = right + LETTER * (len(str(position)) + 0.6)


def _legend(ends: tuple[float, float], name: str, top: float) -> Markup:
    boxes = [
        tag("path", d=f"M{LEFT + 60 + 16 * k:g} {top + 6:g}h16", class_=f"h{k}", stroke_width=10)
        for k in range(COLOURS)
    ]
    low = tag("text", decimal(ends[0]), x=LEFT + 54, y=top + 10, class_="tick end")
    high = tag("text", decimal(ends[1]), x=LEFT + 66 + 16 * COLOURS, y=top + 10, class_="tick")
    said = tag("text", name, x=LEFT + 120 + 16 * COLOURS, y=top + 10, class_="axis-name")
    return tag("g", *boxes, low, high, said, class_="legend-bar")
