"""A search for leaks: its settings, what it found in findings of one sentence each, and their JSON file."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from multimep import seals
from multimep.documents import DocumentError, from_json, text
from multimep.typed_values import SettingsError, build

SEVERITIES = ("leak", "warning", "note", "passed")
"""leak: figures of this study are too good; warning: they may be; note: to be known; passed: looked for, not found."""


class LeakError(ValueError):
    """Findings that cannot be read, a severity that does not exist, or a sample too small; the message says which."""


@dataclass(frozen=True)
class Finding:
    """One thing that was looked for.

    Attributes:
        check: what was looked for.
        subject: method, split or datasets.
        severity: one of SEVERITIES.
        sentence: what was found, with its numbers.
    """

    check: str
    subject: str
    severity: str
    sentence: str

    def __post_init__(self) -> None:
        """Refuse a severity that the report would not know."""
        if self.severity not in SEVERITIES:
            raise LeakError(f"no severity {self.severity!r}; one of {', '.join(SEVERITIES)}")


@dataclass(frozen=True)
class LeakSearch:
    """How leaks are searched by running methods.

    Attributes:
        methods: labels that are run; by default all. Those that ask a language model are named and left out.
        datasets: at most so many of the datasets, the first of the study; the controls test methods, not data.
        rows: of each dataset, drawn with the seed; two in three teach. 60 keeps a Gaussian process below a second.
        permutations: of the labels; 5, the least for an interval that is worth the name.
    """

    methods: tuple[str, ...] | None = None
    datasets: int = 4
    rows: int = 60
    permutations: int = 5

    def __post_init__(self) -> None:
        """Refuse a sample in which nothing could be ranked, and an interval from a single permutation."""
        if self.datasets < 1 or self.rows < 12 or self.permutations < 2:
            raise LeakError("leaks: datasets must be at least 1, rows at least 12, permutations at least 2")


def ordered(findings: Sequence[Finding]) -> tuple[Finding, ...]:
    """The worst first."""
    return tuple(sorted(findings, key=lambda one: SEVERITIES.index(one.severity)))


def write(findings: Sequence[Finding], record: Mapping[str, Any], path: Path) -> None:
    """Write findings and the record of how they were looked for as JSON, whole or not at all."""
    found = {"record": dict(record), "findings": [asdict(one) for one in ordered(findings)]}
    seals.write(path, json.dumps(found, indent=1, ensure_ascii=False) + "\n")


def read(path: Path) -> tuple[Finding, ...]:
    """The findings in a file that `write` made; raises LeakError for another file."""
    seals.check(path, LeakError)
    try:
        return tuple(build(Finding, one, "a finding") for one in from_json(text(path))["findings"])
    except (DocumentError, SettingsError, KeyError, TypeError) as error:
        raise LeakError(f"{path}: no findings of `multimep leaks` ({error}); make it again") from error
