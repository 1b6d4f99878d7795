"""What is wrong with a source: every fault with its file, line and reason."""

from collections.abc import Sequence
from dataclasses import dataclass

from multimep.documents import printable

LISTED = 20
"""Faults that a message shows; the others are counted there and kept in `SourceError.faults`."""

NUMBERED = ("outside the wild type", "the wild type has")
"""Words of the reasons that a wrong offset gives."""


@dataclass(frozen=True)
class Fault:
    """One thing wrong with a source: line as an editor counts it (header = 1; 0 = the file as a whole)."""

    file: str
    line: int
    text: str
    reason: str

    def __str__(self) -> str:
        place = f"{self.file} line {self.line}" if self.line else self.file
        shown = self.text if len(self.text) <= 80 else f"{self.text[:77]}..."
        return printable(f"{place}: {self.reason}" + (f" [{shown}]" if shown else ""))


class SourceError(ValueError):
    """A source that was refused whole; `faults` holds everything found, the message the first of them.

    Attributes:
        dataset: the dataset whose source it is.
        faults: every fault, in the order of the file.
    """

    def __init__(self, dataset: str, faults: Sequence[Fault]) -> None:
        self.dataset = dataset
        self.faults = tuple(faults)
        lines = [f"  {fault}" for fault in self.faults[:LISTED]]
        if len(self.faults) > LISTED:
            lines.append(f"  ... and {len(self.faults) - LISTED} more")
        if any(word in fault.reason for fault in self.faults for word in NUMBERED):
            lines.append("  positions count from 1 on the wild type; where the source counts otherwise, state `offset`")
        found = f"{len(self.faults)} fault{'s' * (len(self.faults) != 1)}"
        super().__init__("\n".join([f"{dataset}: {found} in its source, nothing was written", *lines]))


class CellError(ValueError):
    """A cell of a table that cannot be used; `gather` turns it into a fault with its line."""


def refusal(dataset: str, file: str, reason: str, text: str = "") -> SourceError:
    """The error for one fault that concerns a file as a whole."""
    return SourceError(dataset, [Fault(file, 0, text, reason)])
