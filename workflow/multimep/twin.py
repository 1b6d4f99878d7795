"""The report's machine-readable twin: the same findings as one JSON file, in a form that is declared here."""

import dataclasses
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pydantic

from multimep import campaign, portraits, tables
from multimep.accounting import Account
from multimep.dataset import Record
from multimep.drawing import Interval
from multimep.findings import Findings, Provenance, Verdict
from multimep.leaks import Finding
from multimep.portraits import Portrait
from multimep.whole_files import write_whole

FORMAT = 1
"""Raised when a name changes its meaning or goes; new names do not raise it."""


@dataclass(frozen=True)
class Estimate:
    """A value with the ends of its 95 % interval; null where it is not known."""

    value: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Answer:
    """One comparison: the question, the answer, its numbers in a sentence, what was subtracted from what."""

    question: str
    answer: str
    sentence: str
    caption: str
    decided: bool
    difference: Estimate


@dataclass(frozen=True)
class Score:
    """One metric of one method on one split: pooled over folds where that is given, else their mean.

    Attributes:
        dataset: its name, or null for the mean over protein families.
        estimate: with a bootstrap interval over variants, or over families.
    """

    split: str
    metric: str
    method: str
    dataset: str | None
    estimate: Estimate


@dataclass(frozen=True)
class Point:
    """Spearman correlation after learning from `size` variants: mean, lowest and highest of the training sets."""

    split: str
    dataset: str
    method: str
    size: int
    estimate: Estimate


@dataclass(frozen=True)
class Source:
    """What is known of a dataset: measured quantity, unit, number of variants by depth, checksums, licence."""

    name: str
    group: str
    target: str
    unit: str
    higher_is_better: bool
    simulated: bool
    wild_type: str
    variants: int
    depths: Mapping[str, int]
    dropped: Mapping[str, int]
    sha256: Mapping[str, str]
    licence: str
    citation: str
    notes: Sequence[str]


@dataclass(frozen=True)
class Top:
    """One of the variants with the best out-of-fold predictions; ranks count from 1, among the same variants."""

    rank: int
    mutant: str
    predicted: float
    std: float | None
    measured: float
    measured_rank: int


@dataclass(frozen=True)
class Picture:
    """A dataset beside its best method.

    Attributes:
        variants: how many were predicted, out of fold.
        coverage: level of the central interval, as text -> share of the measurements inside; empty without std.
        top: the variants with the best predictions.
    """

    dataset: str
    split: str
    method: str
    variants: int
    coverage: Mapping[str, float]
    top: Sequence[Top]


@dataclass(frozen=True)
class Step:
    """A policy's campaigns when so many variants of a landscape were measured: means over seeds."""

    dataset: str
    policy: str
    seeds: int
    measured: int
    regret: Estimate
    best: float
    top_1: float
    top_10: float


@dataclass(frozen=True)
class Pick:
    """A mutant of a next plate; distance: substitutions to the nearest measured variant; far: why, or empty."""

    dataset: str
    method: str
    rank: int
    mutant: str
    predicted: float
    std: float | None
    acquisition: float
    distance: int
    far: str
    wells: Sequence[str]


@dataclass(frozen=True)
class Taken:
    """What a station, or one method's predictions, took: in jobs, seconds and estimated kilowatt-hours."""

    name: str
    jobs: int
    seconds: float
    core_seconds: float
    gpu_seconds: float
    kilowatt_hours: float


@dataclass(frozen=True)
class Twin:
    """A study's findings, as the report shows them.

    Attributes:
        format: of this file; raised when a name changes its meaning or goes.
        splits: those that a table sums up; splits with several training sizes stand in `learning`.
    """

    format: int
    title: str
    question: str
    methods: Sequence[str]
    splits: Sequence[str]
    verdicts: Sequence[Answer]
    warnings: Sequence[str]
    leaks: Sequence[Finding]
    scores: Sequence[Score]
    learning: Sequence[Point]
    portraits: Sequence[Picture]
    campaigns: Sequence[Step]
    plates: Sequence[Pick]
    datasets: Sequence[Source]
    taken: Sequence[Taken]
    provenance: Provenance


def twin(findings: Findings) -> Twin:
    """The findings as plain values."""
    return Twin(
        FORMAT,
        findings.title,
        findings.question,
        findings.methods,
        findings.splits,
        [_answer(one) for one in findings.verdicts],
        findings.warnings,
        findings.leaks,
        list(_scores(findings)),
        list(_points(findings.curves)),
        [_picture(one) for one in findings.portraits],
        [step for name, table in findings.campaigns.items() for step in _steps(name, table)],
        [_pick(name, plate.about["method"], one) for name, plate in findings.plates.items() for one in plate.picks],
        [_source(record) for record in findings.records],
        list(_taken(findings.account)),
        findings.provenance,
    )


def write(findings: Findings, path: Path) -> None:
    """Write the twin to `path` as JSON, whole or not at all."""
    text = json.dumps(dataclasses.asdict(twin(findings)), indent=1, ensure_ascii=False, allow_nan=False)
    write_whole(path, text + "\n")


def schema() -> dict[str, Any]:
    """The JSON schema of the file."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **pydantic.TypeAdapter(Twin).json_schema()}


def _known(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def _estimate(one: Interval) -> Estimate:
    return Estimate(_known(one.value), _known(one.low), _known(one.high))


def _answer(one: Verdict) -> Answer:
    return Answer(one.question, one.answer, one.sentence, one.caption, one.decided, _estimate(one.difference))


def _scores(findings: Findings) -> Iterator[Score]:
    for (split, metric), part in findings.scores.groupby(["split", "metric"], sort=False):
        cells = tables.grid(part)
        for (method, dataset), found in cells.items():
            yield Score(str(split), str(metric), method, dataset, _estimate(found))
        for method, mean in tables.means(cells, findings.kin).items():
            yield Score(str(split), str(metric), method, None, _estimate(mean))


def _points(curves: pd.DataFrame) -> Iterator[Point]:
    for row in curves.to_dict("records"):
        found = Interval(float(row["value"]), float(row["low"]), float(row["high"]))
        yield Point(str(row["split"]), str(row["dataset"]), str(row["method"]), int(row["size"]), _estimate(found))


def _picture(one: Portrait) -> Picture:
    picks = [
        Top(pick.rank, pick.mutant, pick.predicted, _known(pick.std), pick.measured, pick.measured_rank)
        for pick in portraits.top(one)
    ]
    covered = {f"{level:.2f}": share for level, share in portraits.coverage(one).items()}
    return Picture(one.dataset, one.split, one.method, len(one.mutants), covered, picks)


def _steps(name: str, table: pd.DataFrame) -> Iterator[Step]:
    seeds, keys = table["seed"].nunique(), ["policy", "measured"]
    means = table.groupby(keys, as_index=False)[["best", "top_1", "top_10"]].mean()
    for row in campaign.rounds(table, "regret").merge(means, on=keys, validate="one_to_one").to_dict("records"):
        regret = _estimate(Interval(row["value"], row["low"], row["high"]))
        found = (float(row[key]) for key in ("best", "top_1", "top_10"))
        yield Step(name, str(row["policy"]), seeds, int(row["measured"]), regret, *found)


def _pick(dataset: str, method: str, row: Mapping[str, str]) -> Pick:
    numbers = (float(row["mean"]), _known(float(row["std"])), float(row["acquisition"]))
    return Pick(
        dataset, method, int(row["rank"]), row["mutant"], *numbers, int(row["distance"]), row["far"],
        row["wells"].split(),
    )  # fmt: skip


def _source(record: Record) -> Source:
    names = [field.name for field in dataclasses.fields(Source) if field.name != "variants"]
    return Source(variants=sum(record.depths.values()), **{name: getattr(record, name) for name in names})


def _taken(account: Account) -> Iterator[Taken]:
    for usage in account.usages:
        hours = account.energy(usage)
        yield Taken(usage.name, len(usage.runs), usage.seconds, usage.core_seconds, usage.gpu_seconds, hours)
