"""The panels of the report about training size and transfer: learning curves, gain over the null, gain by type."""

from collections.abc import Sequence

import pandas as pd
from markupsafe import Markup

from multimep import figures, measures, tables
from multimep.comparisons import Comparison, low_n_splits
from multimep.drawing import MINUS, Interval, colour
from multimep.figures import Row, Series
from multimep.findings import MAIN, Findings
from multimep.learning_curves import gain_curve, learning_curve

Panel = dict[str, object]
CAPTION = (
    "Over protein families, with 95 % intervals over them (over training sets where there is one family); a training "
    "size that not every dataset has is a mean of fewer. Small panels: every dataset, mean, lowest and highest of its "
    "training sets; all that is not asked stands at its true size. Predictions that are all equal count as a "
    "correlation of 0. Lines are moved sideways by a few pixels so that their intervals do not hide each other."
)
TRANSFER = (
    "Strong dot: mean over the protein families of a type with its 95 % interval; faint dots: single families; dashed: "
    "no gain."
)


def curves(findings: Findings) -> list[Panel]:
    """One panel per split with several training sizes."""
    return [
        _curve(findings, findings.curves[findings.curves["split"] == split])
        for split in low_n_splits(findings.metrics)
        if (findings.curves["split"] == split).any()
    ]


def of_dataset(findings: Findings, name: str) -> list[tuple[str, Markup]]:
    """Title and figure of one dataset's learning curves, one per split with several training sizes."""
    own = findings.curves[findings.curves["dataset"] == name]
    found = []
    for split, part in own.groupby("split", sort=False):
        series = _series(findings, part)
        label = f"{name}: {_title()} (split {split})"
        figure = figures.small_learning_chart(series, label, _room(series))
        found.append((f"{_title()} by training size (split {split})", figure))
    return found


def transfers(findings: Findings) -> list[Panel]:
    """What sharing gains by type of protein: one panel for every comparison of transfer over two types or more."""
    asked = [(question, found) for question, found in findings.answers if question.transfer]
    panels = [(question.text, found, _by_type(findings, found)) for question, found in asked]
    return [_transfer(text, found, rows) for text, found, rows in panels if len(rows) > 2]


def _title() -> str:
    return measures.measure(MAIN).title


def _curve(findings: Findings, curves: pd.DataFrame) -> Panel:
    split = str(curves["split"].iloc[0])
    by_dataset = {str(name): _series(findings, part) for name, part in curves.groupby("dataset", sort=False)}
    mean = _series(findings, _named(learning_curve(findings.metrics, split, MAIN, findings.kin)))
    shown = mean if len(by_dataset) > 1 else next(iter(by_dataset.values()))
    room = _room([*mean, *(one for series in by_dataset.values() for one in series)])
    return {
        "title": f"{_title()} by number of variants to learn from, mean over families (split {split})",
        "figure": figures.learning_chart(shown, _title(), room),
        "gain": _gain(findings, split),
        "legend": [(one.name, colour(one.place)) for one in shown],
        "multiples": [
            {"title": name, "figure": figures.small_learning_chart(series, f"{name}: {_title()}", room)}
            for name, series in by_dataset.items()
        ],
        "caption": CAPTION,
    }


def _gain(findings: Findings, split: str) -> Panel | None:
    """The gain over the strictest null that was asked: the last one."""
    asked = set(findings.metrics.loc[findings.metrics["split"] == split, "method"])
    null = next((name for name in reversed(findings.nulls) if name in asked), None)
    if null is None:
        return None
    series = _series(findings, _named(gain_curve(findings.metrics, split, null, MAIN, findings.kin)))
    name = f"{_title()} {MINUS} {null}"
    return (
        {
            "title": f"Gain over {null}, paired by training set, mean over families (split {split})",
            "figure": figures.learning_chart(series, name, _room(series, zero=True), zero=True),
        }
        if series
        else None
    )


def _named(curve: pd.DataFrame) -> pd.DataFrame:
    return curve.rename(columns={"mean": "value"})


def _room(series: Sequence[Series], *, zero: bool = False) -> tuple[float, float]:
    ends = [end for one in series for interval in one.points.values() for end in interval.ends] + [0.0] * zero
    return (min(ends), max(ends)) if ends else (0.0, 1.0)


def _series(findings: Findings, curves: pd.DataFrame) -> list[Series]:
    found: dict[str, dict[float, Interval]] = {}
    for row in curves.to_dict("records"):
        points = found.setdefault(str(row["method"]), {})
        points[float(row["size"])] = Interval(float(row["value"]), float(row["low"]), float(row["high"]))
    return [Series(name, findings.methods.index(name), found[name]) for name in findings.methods if name in found]


def _by_type(findings: Findings, found: Comparison) -> list[Row]:
    """A row for all families, then one for each type."""
    kinds, place = findings.kin.kinds(list(found.differences)), findings.methods.index(found.method)
    rows = [Row(f"all ({len(found.families)})", place, Interval(found.mean, found.low, found.high), found.families)]
    for kind in dict.fromkeys(kinds.values()):
        members = {family: value for family, value in found.families.items() if kinds[family] == kind}
        rows.append(Row(f"{kind or 'no type'} ({len(members)})", place, tables.over_families(members), members))
    return rows


def _transfer(question: str, found: Comparison, rows: Sequence[Row]) -> Panel:
    return {
        "title": f"{question} {found.method} {MINUS} {found.baseline} by type (split {found.split})",
        "figure": figures.dot_plot(rows, f"difference in {_title()}", 0.0),
        "caption": TRANSFER,
    }
