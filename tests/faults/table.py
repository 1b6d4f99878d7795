"""The table of faults: kind, tries, how many were survived, and what was lost, told one by one."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path


class Loss(AssertionError):  # noqa: N818 (a promise that was not kept, in the words of the table)
    """A promise that was not kept."""


@dataclass
class Row:
    """One kind of fault.

    Attributes:
        refused: tries that ended in one line with the name of the file and the way out.
        losses: what was not as promised.
    """

    kind: str
    tries: int = 0
    refused: int = 0
    losses: list[str] = field(default_factory=list)

    @property
    def survived(self) -> int:
        return self.tries - len(self.losses)


@dataclass
class Table:
    """All kinds, in the order in which they were tried."""

    rows: dict[str, Row] = field(default_factory=dict)
    told: Callable[[str], object] = print

    def row(self, kind: str) -> Row:
        return self.rows.setdefault(kind, Row(kind))

    @contextmanager
    def attempt(self, kind: str, what: str = "") -> Iterator[Row]:
        """Count a try; a Loss in the block is entered, and the harness goes on."""
        row = self.row(kind)
        row.tries += 1
        try:
            yield row
        except Loss as loss:
            row.losses.append(f"{what}: {loss}")
            self.told(f"LOSS {kind}: {what}: {loss}")

    @property
    def losses(self) -> int:
        return sum(len(row.losses) for row in self.rows.values())

    def markdown(self) -> str:
        head = ["| kind of fault | tries | survived | of these refused with file and way out | losses |"]
        lines = [
            f"| {row.kind} | {row.tries} | {row.survived} | {row.refused} | {len(row.losses)} |"
            for row in self.rows.values()
        ]
        return "\n".join([*head, "| --- | ---: | ---: | ---: | ---: |", *lines]) + "\n"

    def write(self, folder: Path, facts: dict[str, object]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "faults.md").write_text(self.markdown())
        rows = [asdict(row) | {"survived": row.survived} for row in self.rows.values()]
        (folder / "faults.json").write_text(json.dumps({**facts, "rows": rows}, indent=1) + "\n")


def require(kept: bool, loss: str) -> None:
    """Raise Loss where a promise was not kept."""
    if not kept:
        raise Loss(loss)
