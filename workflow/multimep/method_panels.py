"""The panels of the report about the methods: means and single datasets, measured against predicted, calibration."""

import math
from collections.abc import Mapping
from typing import Any

from multimep import figures, measures, tables
from multimep.drawing import Interval, decimal
from multimep.findings import MAIN, SHOWN, Findings

NOMINAL = {f"coverage_{percent}": percent / 100 for percent in (50, 80, 90, 95)}
CALIBRATION = (
    "Across: what the predicted 50, 80 and 95 % intervals claim; up: the share of measurements that lie inside them. "
    "Faint: one dataset; strong: the mean. On the dashed line a method is as sure as it should be; below it, too sure."
)


def dot_plot(findings: Findings, split: str) -> dict[str, object]:
    """The means of all methods on a split, the best first, and the datasets behind them."""
    cells = tables.grid(tables.choose(findings.scores, split, MAIN))
    means = tables.means(cells, findings.kin)
    rows = [
        figures.Row(
            name, findings.methods.index(name), mean, {d: cell.value for (m, d), cell in cells.items() if m == name}
        )
        for name, mean in sorted(means.items(), key=lambda item: -measures.goodness(MAIN, item[1].value))
    ]
    reference = means.get(findings.baseline, Interval(math.nan)).value
    dashed = f"dashed: {findings.baseline}"
    caption = f"Strong dot: mean over protein families with its 95 % interval; faint dots: single datasets; {dashed}."
    return {
        "title": f"Mean {_title()} on split {split}",
        "figure": figures.dot_plot(rows, _title(), reference),
        "caption": caption,
    }


def scatter(findings: Findings) -> dict[str, object] | None:
    """Measured against predicted, a panel per dataset and method on the first split that has them; None without any."""
    split = findings.pictured
    if not split:
        return None
    panels = findings.pairs[split]
    methods = [method for method in findings.methods if any(method == m for _, m in panels)]
    names = dict.fromkeys(name for name, _ in panels)
    cells = tables.grid(tables.choose(findings.scores, split, MAIN))
    rows = [
        {"dataset": name, "panels": [_panel(findings, name, method, panels, cells) for method in methods]}
        for name in names
    ]
    return {"methods": methods, "rows": rows, "caption": _scatter_caption(findings, split, panels.values())}


def _panel(
    findings: Findings,
    name: str,
    method: str,
    panels: Mapping[tuple[str, str], figures.Pairs],
    cells: Mapping[tuple[str, str], Interval],
) -> str:
    if (name, method) not in panels:
        return ""
    value = decimal(cells[method, name].value, 2) if (method, name) in cells else ""
    label = f"{method} on {name}: measured against predicted fitness, {_title()} {value}"
    place, same = findings.methods.index(method), method not in findings.unscaled
    return figures.scatter(panels[name, method], place, value, label, same_scale=same)


def _scatter_caption(findings: Findings, split: str, panels: Any) -> str:
    most = max(pairs.total for pairs in panels)
    sample = f" At most {SHOWN} variants per panel are drawn, a seeded sample." if most > SHOWN else ""
    own = [method for method in findings.methods if method in findings.unscaled]
    scale = f" {', '.join(own)} predicts on a scale of its own: no 1:1 line there." if own else ""
    return (
        f"Split {split}, out of fold: measured (up) against predicted (right). Dashed: 1:1. The number is the "
        f"{_title()} over all variants. Ringed: the farthest off in rank; hover for their names.{sample}{scale}"
    )


def calibrations(findings: Findings) -> list[dict[str, object]]:
    """A panel per method that states its uncertainty, on the first split."""
    scores, split = findings.scores.dropna(subset=["value"]), next(iter(findings.splits), "")
    chosen = scores[(scores["split"] == split) & scores["metric"].isin(NOMINAL)]
    found: list[dict[str, object]] = []
    for place, method in enumerate(findings.methods):
        part = chosen[chosen["method"] == method]
        lines = {
            str(name): {
                NOMINAL[metric]: float(value) for metric, value in zip(rows["metric"], rows["value"], strict=True)
            }
            for name, rows in part.groupby("dataset", sort=False)
        }
        if lines:
            mean = {NOMINAL[str(metric)]: float(values.mean()) for metric, values in part.groupby("metric")["value"]}
            found.append({"title": method, "figure": figures.calibration(lines, mean, place, f"{method}, coverage")})
    return found


def _title() -> str:
    return measures.measure(MAIN).title
