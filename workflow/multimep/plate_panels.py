"""The panels of the report about the next plates: which mutants to make, and in which wells they stand."""

import base64
from collections.abc import Mapping
from dataclasses import dataclass

from multimep.drawing import decimal
from multimep.findings import Findings
from multimep.tables import Cell

COLUMNS = {"mean": "predicted", "std": "± std", "acquisition": "acquisition", "distance": "distance"}
CAPTION = (
    "Never measured, best first; standard deviations are those of the latent fitness. Distance: substitutions to the "
    "nearest measured variant. Far: why a prediction should be trusted less. Oligos and the order sheet lie in the "
    "folder of the plate, below results/plates."
)


@dataclass(frozen=True)
class Next:
    """A dataset's next plate as the page shows it: a sentence, the plate map as a data URL, a row per mutant."""

    name: str
    scope: str
    picture: str
    rows: tuple[tuple[str, str, str, tuple[Cell, ...], str], ...]


def panels(findings: Findings) -> list[Next]:
    """One panel per dataset with a next plate, in the order of the study."""
    return [
        Next(name, _scope(plate.about), _address(plate.picture), tuple(map(_row, plate.picks)))
        for name, plate in findings.plates.items()
    ]


def _scope(about: Mapping[str, object]) -> str:
    scored = "all scored" if about["exhaustive"] else f"{about['scored']:,} of them scored by a genetic search"
    return (
        f"{about['mutants']} mutants by {about['method']}, which learnt from all measured variants; from "
        f"{about['candidates']:,} candidates ({scored}), within {about['gap']:.2%} of the best plate."
    )


def _address(svg: str) -> str:
    """The picture as an address that needs no file: its styles stay its own."""
    return f"data:image/svg+xml;base64,{base64.b64encode(svg.encode()).decode()}"


def _row(pick: Mapping[str, str]) -> tuple[str, str, str, tuple[Cell, ...], str]:
    """Rank, mutant, wells, cells in the order of COLUMNS, remark."""
    numbers = {name: float(pick[name]) for name in COLUMNS}
    cells = [
        Cell(pick[name] if name == "distance" else decimal(value), pick["mutant"], value)
        for name, value in numbers.items()
    ]
    return pick["rank"], pick["mutant"], pick["wells"], tuple(cells), pick["far"]
