"""What a search for leaks found: findings of one sentence each, and their JSON file."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from multimep.dataset import write_whole

SEVERITIES = ("leak", "warning", "note", "passed")
"""leak: figures of this study are too good; warning: they may be; note: to be known; passed: looked for, not found."""


class LeakError(ValueError):
    """A file of findings that cannot be read, or a severity that does not exist; the message says which."""


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


def ordered(findings: Sequence[Finding]) -> tuple[Finding, ...]:
    """The worst first."""
    return tuple(sorted(findings, key=lambda one: SEVERITIES.index(one.severity)))


def write(findings: Sequence[Finding], record: Mapping[str, Any], path: Path) -> None:
    """Write findings and the record of how they were looked for as JSON, whole or not at all."""
    text = {"record": dict(record), "findings": [asdict(one) for one in ordered(findings)]}
    write_whole(path, json.dumps(text, indent=1, ensure_ascii=False) + "\n")


def read(path: Path) -> tuple[Finding, ...]:
    """The findings in a file that `write` made; raises LeakError for another file."""
    try:
        return tuple(Finding(**one) for one in json.loads(path.read_text(encoding="utf-8"))["findings"])
    except (UnicodeDecodeError, json.JSONDecodeError, KeyError, TypeError) as error:
        raise LeakError(f"{path}: no findings of `multimep leaks` ({error}); make it again") from error
