"""Pen and paper of the figures: escaped markup, scales, ticks, axes, and a number as a reader wants to see it."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

COLOURS = 8
LETTER = 7.6  # pixels that a letter of a name takes, on average
EMPTY = Markup()
MINUS = "\u2212"


@dataclass(frozen=True)
class Interval:
    """A value with the ends of its interval, NaN where no interval is known."""

    value: float
    low: float = math.nan
    high: float = math.nan

    def __str__(self) -> str:
        if not self.known:
            return decimal(self.value)
        return f"{decimal(self.value)} [{decimal(self.low)}, {decimal(self.high)}]"

    @property
    def known(self) -> bool:
        """Whether both ends are numbers."""
        return math.isfinite(self.low + self.high)

    @property
    def ends(self) -> list[float]:
        """The finite numbers among value, low and high: what an axis must have room for."""
        return [end for end in (self.value, self.low, self.high) if math.isfinite(end)]


@dataclass(frozen=True)
class Scale:
    """A linear (or logarithmic) map of the data range `low..high` to the pixels `start..stop`."""

    low: float
    high: float
    start: float
    stop: float
    logarithmic: bool = False

    def __call__(self, value: float) -> float:
        """The pixel of `value`; a range of length zero falls on the middle."""
        low, high, here = (math.log(v) if self.logarithmic else v for v in (self.low, self.high, value))
        # start + (v - low) / (high - low) * (stop - start)
        share = (here - low) / (high - low) if high > low else 0.5
        return self.start + share * (self.stop - self.start)

    def ticks(self, about: int = 5) -> list[float]:
        """Round numbers inside the range, roughly `about` of them."""
        return nice_ticks(self.low, self.high, about)


def decimal(value: float, digits: int = 3) -> str:
    """A number for a reader: `digits` decimals (5 significant digits from 1000 on), a real minus, a dash for NaN."""
    if not math.isfinite(value):
        return "\u2013"
    text = f"{value:.5g}" if abs(value) >= 1000 else f"{value:.{digits}f}"
    return text.replace("-", MINUS)


def signed(value: float) -> str:
    """A difference for a reader: `decimal` with a plus sign where it is positive."""
    return ("+" if value > 0 else "") + decimal(value)


def soft(name: str) -> Markup:
    """A name as escaped HTML that may be broken after each underscore."""
    return Markup("_<wbr>").join(name.split("_"))


def nice_ticks(low: float, high: float, about: int = 5) -> list[float]:
    """Multiples of 1, 2, 2.5 or 5 times a power of ten inside `low..high`, at most about + 1 of them."""
    if not high > low:
        return [low]
    # the smallest nice step that is not below (high - low) / about
    least = (high - low) / about
    power = 10.0 ** math.floor(math.log10(least))
    step = next(power * factor for factor in (1, 2, 2.5, 5, 10) if power * factor >= least * (1 - 1e-9))
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [float(f"{index * step:.12g}") + 0.0 for index in range(first, last + 1)]


def span(values: Sequence[float], margin: float = 0.05) -> tuple[float, float]:
    """The range of the finite values, widened by `margin` of itself at both ends; (0, 1) without any value."""
    finite = [value for value in values if math.isfinite(value)]
    if not finite:
        return 0.0, 1.0
    room = margin * (max(finite) - min(finite)) or 0.5
    return min(finite) - room, max(finite) + room


def spread(wanted: Sequence[float], gap: float) -> list[float]:
    """Places near `wanted`, in its order, no two closer than `gap`: neighbours that touch share the shift evenly."""
    blocks: list[list[int]] = []
    for index in sorted(range(len(wanted)), key=lambda index: wanted[index]):
        blocks.append([index])
        while len(blocks) > 1 and _touch(blocks[-2], blocks[-1], wanted, gap):
            blocks[-2:] = [blocks[-2] + blocks[-1]]
    placed = {
        index: _centre(block, wanted) + gap * (place - (len(block) - 1) / 2)
        for block in blocks
        for place, index in enumerate(block)
    }
    return [placed[index] for index in range(len(wanted))]


def tag(name: str, *children: Markup | str, **attributes: object) -> Markup:
    """One element with everything escaped; `class_` becomes class, `aria_label` aria-label; floats get one decimal."""
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(_attribute(value))}"' for key, value in attributes.items()
    )
    return Markup(f"<{name}{written}>{''.join(map(escape, children))}</{name}>")  # noqa: S704, all parts are escaped


def picture(width: float, height: float, label: str, *children: Markup) -> Markup:
    """The SVG around a figure; `label` is what a screen reader says."""
    size = {"viewBox": f"0 0 {width:g} {height:g}", "width": width, "height": height}
    return tag("svg", *children, role="img", aria_label=label, **size)


def line(start: tuple[float, float], stop: tuple[float, float], kind: str) -> Markup:
    """A straight line of the CSS class `kind`."""
    return tag("line", x1=start[0], y1=start[1], x2=stop[0], y2=stop[1], class_=kind)


def dot(at: tuple[float, float], radius: float, tooltip: str, kind: str = "mark") -> Markup:
    """A circle of the CSS class `kind` that tells `tooltip` on hovering."""
    return tag("circle", tag("title", tooltip), cx=at[0], cy=at[1], r=radius, class_=kind)


def path(points: Mapping[float, float], x: Scale, y: Scale, shift: float = 0.0) -> str:
    """The path data of a polyline through the finite points, moved right by `shift` pixels."""
    finite = [(x(at) + shift, y(value)) for at, value in sorted(points.items()) if math.isfinite(value)]
    return "M" + "L".join(f"{right:.1f} {down:.1f}" for right, down in finite) if finite else ""


def x_axis(x: Scale, ticks: Mapping[float, str], top: float, bottom: float, name: str = "") -> Markup:
    """Vertical grid lines from `top` to `bottom`, the ticks' texts and the axis' name under them."""
    grid = [line((x(tick), top), (x(tick), bottom + 3), "grid") for tick in ticks]
    texts = [tag("text", text, x=x(tick), y=bottom + 14, class_="tick middle") for tick, text in ticks.items()]
    title = tag("text", name, x=(x.start + x.stop) / 2, y=bottom + 32, class_="axis-name middle") if name else EMPTY
    return tag("g", *grid, *texts, title)


def y_axis(y: Scale, ticks: Mapping[float, str], left: float, right: float) -> Markup:
    """Horizontal grid lines from `left` to `right` and the ticks' texts left of them."""
    grid = [line((left, y(tick)), (right, y(tick)), "grid") for tick in ticks]
    texts = [tag("text", text, x=left - 4, y=y(tick), dy="0.35em", class_="tick end") for tick, text in ticks.items()]
    return tag("g", *grid, *texts)


def plain(ticks: Sequence[float]) -> dict[float, str]:
    """Ticks with their shortest decimal text."""
    return {tick: f"{tick:g}".replace("-", MINUS) for tick in ticks}


def percent(ticks: Sequence[float]) -> dict[float, str]:
    """Ticks of a share with their text in per cent."""
    return {tick: f"{tick:.0%}" for tick in ticks}


def colour(place: int) -> str:
    """The style that colours a group like the series at `place`; places beyond the palette begin again."""
    return f"--c: var(--series-{place % COLOURS})"


def _attribute(value: object) -> str:
    return f"{round(value, 1):g}" if isinstance(value, float) else str(value)


def _touch(above: Sequence[int], below: Sequence[int], wanted: Sequence[float], gap: float) -> bool:
    return _centre(below, wanted) - _centre(above, wanted) < gap * (len(above) + len(below)) / 2


def _centre(block: Sequence[int], wanted: Sequence[float]) -> float:
    return sum(wanted[index] for index in block) / len(block)
