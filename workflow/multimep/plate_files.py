"""The files of a recommended plate: what to make, where it stands, what to order."""

import csv
import io
import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from multimep import __version__, plate_map
from multimep.documents import DocumentError, from_json, text
from multimep.oligos import Oligo, Ordering, oligos
from multimep.plate_rules import PlateError
from multimep.recommendation import Recommendation, Wishes, order, picked
from multimep.seals import checksum
from multimep.whole_folder import table

PICKS, PLATE, PICTURE, OLIGOS, ORDER, ABOUT = (
    "picks.csv", "plate.csv", "plate.svg", "oligos.csv", "order.csv", "about.json"
)  # fmt: skip

NUMBERS = ("rank", "mean", "std", "noisy_std", "acquisition", "distance")
TOLD = {"method", "mutants", "candidates", "scored", "exhaustive", "gap"}
AGAIN = "delete the folder and make the plate again"
PICK_COLUMNS = ("rank", "mutant", "wells", "mean", "std", "noisy_std", "acquisition", "distance", "far")


def contents(found: Recommendation, wishes: Wishes, dataset: str, wild_type: str, dna: str) -> dict[str, str]:
    """Name -> text of every file but `about.json`."""
    made = oligos(list(order(found)), wild_type, Ordering(wishes.host, wishes.flank, dna))
    means = dict(zip(picked(found).mutants, picked(found).mean.tolist(), strict=True))
    return {
        PICKS: _picks(found),
        PLATE: table(
            ("plate", "well", "mutant", "role", "replicate"),
            ((well.plate, well.name, well.mutant, well.role, well.replicate) for well in found.wells),
        ),
        PICTURE: f"{plate_map.picture(found.wells, means, wishes.plate, f'Next plate of {dataset}')}\n",
        OLIGOS: _oligos(found, made),
        ORDER: _order(found, wishes, made),
    }


def about(found: Recommendation, facts: Mapping[str, Any]) -> str:
    """How the plate came about, as JSON; `facts` are the command's own."""
    choice = found.choice
    own = {
        "candidates": found.size,
        "scored": found.seen,
        "exhaustive": found.exhaustive,
        "shortlist": len(found.scored.values),
        "mutants": len(choice.chosen),
        "objective": choice.objective,
        "bound": choice.bound,
        "gap": choice.gap,
        "price": choice.price,
    }
    return json.dumps({**facts, **own}, indent=2, ensure_ascii=False) + "\n"


def sentence(found: Recommendation, folder: Path) -> str:
    """What was chosen, for the terminal."""
    choice = found.choice
    how = "all scored" if found.exhaustive else f"{found.seen} scored by the genetic search"
    far = sum(map(bool, found.remarks))
    return (
        f"{folder}: {len(choice.chosen)} mutants in {len(found.wells)} wells from {found.size} candidates ({how}), "
        f"gap {choice.gap:.2%} in {choice.seconds:.1f} s, price {choice.price:g}, {far} far from all measured variants"
    )


def facts(predictor: Path, method: str, dataset: str, seed: int, settings: Mapping[str, Any]) -> dict[str, Any]:
    """What decided the plate, for `about`."""
    own = {"method": method, "dataset": dataset, "seed": seed, "settings": dict(settings)}
    return {"multimep": __version__, "predictor": checksum(predictor), **own}


def _picks(found: Recommendation) -> str:
    wells: dict[str, list[str]] = {}
    for well in found.wells:
        if well.role == plate_map.PICK:
            wells.setdefault(well.mutant, []).append(f"{well.plate}:{well.name}")
    rows = picked(found)
    columns = zip(found.choice.chosen, rows.mean, rows.std, rows.noisy_std, found.distances, found.remarks, strict=True)
    return table(
        PICK_COLUMNS,
        (
            (rank, one.mutant, " ".join(wells[one.mutant]), *map(_number, (mean, std, noisy, one.value)), distance, far)
            for rank, (one, mean, std, noisy, distance, far) in enumerate(columns, start=1)
        ),
    )


def _oligos(found: Recommendation, made: Sequence[Oligo]) -> str:
    uses = Counter(oligo for one in found.choice.chosen for oligo in one.oligos)
    return table(
        ("oligo", "mutants", "codons", "old_codons", "forward", "reverse", "note"),
        ((one.name, uses[one.name], one.codons, one.old, one.forward, one.reverse, one.note) for one in made),
    )


def _order(found: Recommendation, wishes: Wishes, made: Sequence[Oligo]) -> str:
    rules, choice = wishes.rules, found.choice
    rows: list[tuple[Any, ...]] = []
    for one in made:
        pair = ((f"{one.name}_F", one.forward), (f"{one.name}_R", one.reverse)) if one.forward else ((one.name, ""),)
        rows += [
            ("oligo", name, bases, 1, _number(rules.oligo_price / len(pair)), _number(rules.oligo_price / len(pair)))
            for name, bases in pair
        ]
    for kind, number, price in (
        ("mutant", len(choice.chosen), rules.mutant_price),
        ("well", len(found.wells), rules.well_price),
    ):
        rows.append((kind, f"{kind}s", "", number, _number(price), _number(number * price)))
    return table(
        ("kind", "item", "sequence", "quantity", "unit_price", "price"),
        [*rows, ("total", "", "", "", "", _number(choice.price))],
    )


def _number(value: float) -> str:
    return f"{value:.9g}"


@dataclass(frozen=True)
class Plate:
    """A plate that was written: its picks as text, by column, best first; how it came about; its picture."""

    picks: Sequence[Mapping[str, str]]
    about: Mapping[str, Any]
    picture: str


def read(folder: Path) -> Plate:
    """The plate in a folder that `multimep recommend` made; raises PlateError that names the file."""
    picks = list(csv.DictReader(io.StringIO(_text(folder / PICKS))))
    if any(set(row) != set(PICK_COLUMNS) or not all(map(_is_number, map(row.get, NUMBERS))) for row in picks):
        raise PlateError(f"{folder / PICKS}: its columns are not {', '.join(PICK_COLUMNS)}; {AGAIN}")
    try:
        about = from_json(_text(folder / ABOUT))
    except DocumentError as error:
        raise PlateError(f"{folder / ABOUT}: {error}; {AGAIN}") from error
    if not isinstance(about, dict) or not about.keys() >= TOLD:
        raise PlateError(f"{folder / ABOUT}: does not tell how the plate came about; {AGAIN}")
    return Plate(picks, about, _text(folder / PICTURE))


def _text(path: Path) -> str:
    try:
        return text(path)
    except (OSError, DocumentError) as error:
        raise PlateError(f"{path}: cannot be read ({error}); {AGAIN}") from error


def _is_number(cell: str | None) -> bool:
    try:
        return (cell is not None and math.isfinite(float(cell))) or cell == "nan"
    except ValueError:
        return False
