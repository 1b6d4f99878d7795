"""The report: one self-contained HTML page, verdicts first, every figure inline, no network, no other file.

Text that came from a file (names, citations, warnings, the configuration) is escaped by the template, which escapes
everything, and by the pen of the figures.
"""

import base64
import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path

import jinja2
from markupsafe import Markup

from multimep import (
    campaign_panels,
    curve_panels,
    figures,
    measures,
    method_panels,
    null_gate,
    plate_panels,
    portrait_panels,
    tables,
    usage_table,
)
from multimep.dataset import Record
from multimep.drawing import colour, decimal, soft
from multimep.findings import MAIN, Findings, Provenance, Verdict
from multimep.leaks import Finding
from multimep.whole_files import write_whole

SECTIONS = {
    "verdicts": "Verdicts",
    "warnings": "Warnings",
    "leaks": "Leaks",
    "accuracy": "Methods by dataset",
    "curves": "Learning curves",
    "campaigns": "Campaigns",
    "plates": "Next plates",
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
        "dot_plots": [method_panels.dot_plot(findings, split) for split in findings.splits],
        "curves": curve_panels.curves(findings),
        "transfers": curve_panels.transfers(findings),
        "plates": plate_panels.panels(findings),
        "plate_columns": plate_panels.COLUMNS.values(),
        "plate_caption": plate_panels.CAPTION,
        "campaigns": campaign_panels.panels(findings),
        "campaign_columns": campaign_panels.COLUMNS.values(),
        "campaign_caption": campaign_panels.CAPTION,
        "scatter": method_panels.scatter(findings),
        "calibrations": method_panels.calibrations(findings),
        "calibration_caption": method_panels.CALIBRATION,
        "folded": MATRIX,
        "main": measures.measure(MAIN).title,
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
