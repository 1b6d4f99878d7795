"""The figures of one dataset in the report: measured against predicted, and observed against claimed coverage."""

from collections.abc import Mapping, Sequence

from markupsafe import Markup

from multimep.drawing import EMPTY, Scale, colour, dot, line, path, percent, picture, plain, span, tag, x_axis, y_axis

SIDE, LEFT, FOOT = 330.0, 46.0, 36.0


def cloud_scales(predicted: Sequence[float], measured: Sequence[float], *, same_scale: bool) -> tuple[Scale, Scale]:
    """The axes of a cloud: across for `predicted`, up for `measured`; of one range where the scale is the same."""
    both = [*predicted, *measured]
    x = Scale(*span(both if same_scale else predicted), LEFT, SIDE)
    return x, Scale(*span(both if same_scale else measured), SIDE - FOOT, 8.0)


def cloud(predicted: Sequence[float], measured: Sequence[float], place: int, label: str, *, same_scale: bool) -> Markup:
    """Measured (up) against predicted (across): a dot per variant, the 1:1 line where the scale is the same."""
    x, y = cloud_scales(predicted, measured, same_scale=same_scale)
    dots = "".join(f"M{x(p):.0f} {y(m):.0f}h0" for p, m in zip(predicted, measured, strict=True))
    diagonal = line((x(y.low), y(y.low)), (x(y.high), y(y.high)), "reference") if same_scale else EMPTY
    axes = [
        y_axis(y, plain(y.ticks(5)), LEFT, SIDE),
        x_axis(x, plain(x.ticks(5)), 8.0, SIDE - FOOT, "predicted, out of fold"),
        tag("text", "measured", x=12.0, y=(SIDE - FOOT) / 2, class_="axis-name middle turned"),
    ]
    marks = tag("g", tag("path", d=dots, class_="dots fine"), style=colour(place))
    return picture(SIDE + 8, SIDE, label, *axes, diagonal, marks)


def coverage_curve(points: Mapping[float, float], place: int, label: str) -> Markup:
    """Observed (up) against claimed (across) coverage of the central intervals, dashed where equal."""
    x, y = Scale(0.0, 1.0, LEFT, SIDE), Scale(0.0, 1.0, SIDE - FOOT, 8.0)
    ticks = percent((0, 0.25, 0.5, 0.75, 1))
    dots = [dot((x(at), y(seen)), 3.2, f"{at:.0%} intervals hold {seen:.0%}") for at, seen in points.items()]
    axes = [
        y_axis(y, ticks, LEFT, SIDE),
        x_axis(x, ticks, 8.0, SIDE - FOOT, "claimed"),
        tag("text", "observed", x=12.0, y=(SIDE - FOOT) / 2, class_="axis-name middle turned"),
    ]
    marks = tag("g", tag("path", d=path(points, x, y), class_="line"), *dots, style=colour(place))
    return picture(SIDE + 8, SIDE, label, *axes, line((x(0), y(0)), (x(1), y(1)), "reference"), marks)
