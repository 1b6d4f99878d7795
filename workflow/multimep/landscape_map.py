"""A picture of a landscape of two hyperparameters: the darker the better, a ring around the chosen point."""

import numpy as np
from jaxtyping import Float
from markupsafe import Markup

from multimep.drawing import LETTER, tag
from multimep.landscape import EVIDENCE, POSTERIOR, Axis, Landscape

CELL, LEFT, TOP, FOOT, MARGIN, WIDTH = 18, 84, 66, 56, 12, 680
APART = 4
"""Cells between two ticks."""
DEPTH = 10.0
"""Nats below the best at which a logarithmic score has no colour any more; errors have none at twice the smallest."""
WORDS = {
    "log_evidence": "log evidence in nats",
    "log_posterior": "log posterior density in nats, up to a constant",
    "leave_one_out_error": "mean squared leave-one-out error",
    "holdout_error": "mean squared holdout error",
}
STYLE = """
svg { --paper: #ffffff; --ink: #1b1f24; --rim: #8a929c; color-scheme: light dark; background: var(--paper);
  font-family: system-ui, sans-serif; }
@media (prefers-color-scheme: dark) { svg { --paper: #14171b; --ink: #e6e9ed; --rim: #6d7681; } }
text { fill: var(--ink); font-size: 12px; }
.title { font-size: 15px; font-weight: 600; }
.middle { text-anchor: middle; }
.end { text-anchor: end; }
.cell { fill: #2f6fb5; }
.frame { fill: none; stroke: var(--rim); }
.chosen { fill: none; stroke: #c2570c; stroke-width: 3; }
"""


def picture(found: Landscape, title: str) -> Markup:
    """One SVG that stands by itself; every cell tells its numbers on hovering."""
    across, down = len(found.x.values), len(found.y.values)
    width, height = max(LEFT + across * CELL + 16, WIDTH), TOP + down * CELL + FOOT
    label = f"{title}: {WORDS[found.score]} of {found.x.name} and {found.y.name}, chosen {found.chosen:.6g}"
    chosen = {"x": LEFT + found.x.place * CELL - 1, "y": _top(found, found.y.place) - 1, "width": CELL + 2}
    marks = [
        tag("text", title, x=MARGIN, y=20, class_="title"),
        tag("text", f"{WORDS[found.score]}; {_key(found)}; ring: chosen", x=MARGIN, y=38),
        *_cells(found),
        tag("rect", class_="frame", x=LEFT, y=TOP, width=across * CELL, height=down * CELL),
        tag("rect", tag("title", _told(found, found.x.place, found.y.place)), class_="chosen", rx=5,
            height=CELL + 2, **chosen),
        *_axes(found),
    ]  # fmt: skip
    return tag(
        "svg", tag("title", label), tag("style", Markup(STYLE)), *marks,  # noqa: S704 (our own constant)
        xmlns="http://www.w3.org/2000/svg", viewBox=f"0 0 {width} {height}", width=width, height=height, role="img",
    )  # fmt: skip


def shares(found: Landscape) -> Float[np.ndarray, "a b"]:
    """Strength of colour of each cell, 1 for the best, 0 where it is far below, or no number."""
    heights = np.nan_to_num(found.heights, nan=-np.inf)
    depth = DEPTH if _logarithmic(found) else abs(float(heights.max())) or 1.0
    return np.asarray(np.clip(1 - (heights.max() - heights) / depth, 0, 1))


def _logarithmic(found: Landscape) -> bool:
    return found.score in (EVIDENCE, POSTERIOR)


def _key(found: Landscape) -> str:
    return f"no colour: {DEPTH:g} below the best or more" if _logarithmic(found) else "no colour: twice the smallest"


def _cells(found: Landscape) -> list[Markup]:
    strength = shares(found)
    return [
        tag("rect", tag("title", _told(found, column, row)), class_="cell", x=LEFT + column * CELL, y=_top(found, row),
            width=CELL, height=CELL, fill_opacity=f"{strength[column, row]:.3f}")
        for column, row in np.ndindex(strength.shape)
    ]  # fmt: skip


def _top(found: Landscape, row: int) -> int:
    return TOP + (len(found.y.values) - 1 - row) * CELL


def _told(found: Landscape, column: int, row: int) -> str:
    x, y = found.x, found.y
    at = f"{x.name} {x.values[column]:.3g}, {y.name} {y.values[row]:.3g}"
    return f"{at}: {found.scores[column, row]:.6g}"


def _axes(found: Landscape) -> list[Markup]:
    bottom, middle = TOP + len(found.y.values) * CELL, LEFT + len(found.x.values) * CELL / 2
    below = [
        tag("text", f"{found.x.values[k]:.2g}", x=LEFT + (k + 0.5) * CELL, y=bottom + 16, class_="middle")
        for k in _ticks(found.x)
    ]
    beside = [
        tag("text", f"{found.y.values[k]:.2g}", x=LEFT - 6, y=_top(found, k) + 0.5 * CELL, dy="0.35em", class_="end")
        for k in _ticks(found.y)
    ]
    name = tag("text", found.x.name, x=middle, y=bottom + 38, class_="middle")
    room = len(found.y.name) * LETTER
    return [*below, *beside, name, tag("text", found.y.name, x=max(LEFT - 6, room), y=TOP - 10, class_="end")]


def _ticks(axis: Axis) -> range:
    return range(axis.place % APART, len(axis.values), APART)
