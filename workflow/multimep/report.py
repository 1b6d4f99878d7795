"""The report: one self-contained HTML page, verdicts first, every figure inline, no network, no other file.

Text that came from a file (names, citations, warnings, the configuration) is escaped by the template, which escapes
everything, and by the pen of the figures.
"""

import base64
import hashlib
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from multimep import curve_panels, figures, measures, null_gate, portrait_panels, tables, usage_table
from multimep.dataset import Record, write_whole
from multimep.drawing import Interval, colour, decimal, soft
from multimep.findings import MAIN, SHOWN, Findings, Provenance, Verdict
from multimep.leaks import Finding

SECTIONS = {
    "verdicts": "Verdicts",
    "warnings": "Warnings",
    "leaks": "Leaks",
    "accuracy": "Methods by dataset",
    "curves": "Learning curves",
    "scatter": "Predictions",
    "calibration": "Calibration",
    "portraits": "Dataset by dataset",
    "datasets": "Datasets",
    "provenance": "Provenance",
    "reading": "How to read",
}
SCRIPTS = ("tables.js", "plots.js", "pictures.js")
"""What runs in the page, as one script that its policy knows by checksum: no other one would run."""
MATRIX = 12  # datasets of which the scatter plots of all methods are shown at once
FEW_WARNINGS = 6  # shown at once, the others on a click
NOMINAL = {f"coverage_{percent}": percent / 100 for percent in (50, 80, 90, 95)}
CALIBRATION = (
    "Across: what the predicted 50, 80 and 95 % intervals claim; up: the share of measurements that lie inside them. "
    "Faint: one dataset; strong: the mean. On the dashed line a method is as sure as it should be; below it, too sure."
)
READING = {
    "Protein family": "datasets whose wild types are more than 30 % identical, directly or through a chain of others: "
    "the unit of every mean over families, interval and test.",
    "Interval": "[low, high]: 95 %. In a cell of the table (hover): bootstrap over variants; of a mean or difference: "
    "bootstrap over families within their types, which is somewhat too narrow for few of them (six: about 90 %).",
    "Verdict": "better or worse: Wilcoxon test over families below 0.05 after Holm's adjustment for all comparisons of "
    "the study, and an interval that leaves out 0. Equivalent: two one-sided t tests below 0.05 that the difference is "
    "smaller than the margin. Otherwise not decided, with the difference that the study could have missed.",
    "Null gate": "every method minus the methods that need neither language model nor other proteins, mean over "
    "families; marked where it does not beat them, or is not shown to.",
    "Out of fold": "every prediction is of a variant that its model has not learnt from.",
    "Colour of a cell": "from the worst (none) to the best method of its column.",
}


def render(findings: Findings) -> str:
    """The page as text."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("multimep", "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.policies["json.dumps_kwargs"] = {"separators": (",", ":")}
    environment.filters |= {"soft": soft, "mutations": _mutations, "decimal": decimal}
    script = "".join(resources.files("multimep").joinpath("templates", name).read_text("utf-8") for name in SCRIPTS)
    return environment.get_template("report.html.jinja").render(
        findings=findings,
        sections=SECTIONS.items(),
        script=Markup(script),  # noqa: S704, the package's own files
        script_hash=f"sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}",
        **_views(findings),
    )


def _mutations(mutant: str) -> Markup:
    """A genotype as escaped HTML that may be broken after each mutation."""
    return Markup(":<wbr>").join(mutant.split(":"))


def write(findings: Findings, path: Path) -> None:
    """Write the page to `path`, whole or not at all."""
    write_whole(path, render(findings))


def _choices(shown: Sequence[str]) -> dict[str, list[dict[str, str]]]:
    """The metrics of the tables in two groups: those that a reader meets first, and the rest."""
    named = [
        (metric in measures.PRIMARY, {"name": metric, "title": measures.measure(metric).title}) for metric in shown
    ]
    return {
        "First to look at": [one for first, one in named if first],
        "More": [one for first, one in named if not first],
    }


def _views(findings: Findings) -> dict[str, object]:
    score_tables = [
        tables.score_table(
            chosen,
            findings.methods,
            findings.gate(split, metric),
            findings.kin,
            tables.ceilings(findings.scores, split, metric),
        )
        for split in findings.splits
        for metric in sorted(measures.MEASURES, key=lambda metric: metric not in measures.PRIMARY)
        if (chosen := tables.choose(findings.scores, split, metric))["value"].notna().any()
    ]
    shown = list(dict.fromkeys(table.metric for table in score_tables))
    return {
        "scope": _scope(findings),
        "few": FEW_WARNINGS,
        "simulated": _simulated(findings.records),
        "verdicts": _verdicts(findings.verdicts),
        "leaks": [one for one in findings.leaks if one.severity != "passed"],
        "passed": _passed(findings.leaks),
        "tables": score_tables,
        "metrics": _choices(shown),
        "splits": findings.splits,
        "constant": null_gate.CONSTANT,
        "dot_plots": [_dot_plot(findings, split) for split in findings.splits],
        "curves": curve_panels.curves(findings),
        "transfers": curve_panels.transfers(findings),
        "scatter": _scatter(findings),
        "calibrations": _calibrations(findings),
        "calibration_caption": CALIBRATION,
        "folded": MATRIX,
        "main": _title(),
        "portraits": portrait_panels.panels(findings),
        "legend": [(name, colour(place)) for place, name in enumerate(findings.methods)],
        "datasets": [_dataset(record) for record in findings.records],
        "provenance": _provenance(findings.provenance),
        "usage": usage_table.usage_table(findings.account, findings.charged),
        "definitions": READING
        | _other_scale(findings)
        | {measures.measure(metric).title: measures.measure(metric).definition for metric in shown},
    }


def _passed(found: Sequence[Finding]) -> dict[str, int]:
    """Each check with the number of times that it found nothing."""
    return Counter(one.check for one in found if one.severity == "passed")


def _scope(findings: Findings) -> str:
    counts = (len(findings.methods), len(findings.records), len(dict.fromkeys(findings.metrics["split"])))
    variants = sum(sum(record.depths.values()) for record in findings.records)
    parts = [
        f"{count} {noun}{'' if count == 1 else 's'}"
        for count, noun in zip(counts, ("method", "dataset", "split"), strict=True)
    ]
    return f"{', '.join(parts)}, {variants:,} measured variants."


def _other_scale(findings: Findings) -> dict[str, str]:
    text = "predicts on a scale of its own, so it is compared by rank: errors such as RMSE mean nothing for it."
    return {method: text for method in findings.methods if method in findings.unscaled}


def _simulated(records: Sequence[Record]) -> str:
    names = [record.name for record in records if record.simulated]
    if not names:
        return ""
    if len(names) == len(records):
        return "Every measurement on this page was simulated by multimep: it tests the pipeline, not real proteins."
    return f"The measurements of {', '.join(names)} were simulated by multimep and say nothing about real proteins."


def _verdicts(verdicts: Sequence[Verdict]) -> list[dict[str, object]]:
    # one axis for all whiskers, so that their lengths can be compared
    reach = max([abs(end) for verdict in verdicts for end in verdict.difference.ends], default=0.0) * 1.1 or 1.0
    return [
        {
            "question": verdict.question,
            "answer": verdict.answer,
            "sentence": verdict.sentence,
            "caption": verdict.caption,
            "figure": figures.whisker(verdict.difference, reach, verdict.caption, decided=verdict.decided)
            if verdict.difference.ends
            else "",
        }
        for verdict in verdicts
    ]


def _dot_plot(findings: Findings, split: str) -> dict[str, object]:
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


def _title() -> str:
    return measures.measure(MAIN).title


def _scatter(findings: Findings) -> dict[str, object] | None:
    split = next((split for split in findings.splits if split in findings.pairs), None)
    if split is None:
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


def _calibrations(findings: Findings) -> list[dict[str, object]]:
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


def _dataset(record: Record) -> dict[str, object]:
    shown = {field: getattr(record, field) for field in record.__dataclass_fields__}
    return {
        **shown,
        "size": sum(record.depths.values()),
        "figure": figures.bars(record.depths, f"{record.name}: variants by number of mutations"),
    }


def _provenance(provenance: Provenance) -> list[tuple[str, Mapping[str, str]]]:
    return [
        ("Versions", provenance.versions),
        ("Language model", provenance.language_model),
        ("Seeds", provenance.seeds),
        ("Machine", provenance.machine),
    ]
