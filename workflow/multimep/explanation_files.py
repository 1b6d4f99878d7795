"""The files of an explanation: tables of parts and of training rows, the landscape and its picture, provenance."""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from multimep import __version__, landscape_map
from multimep.attribution import GRADIENTS
from multimep.explanation import Completeness, Explanation
from multimep.landscape import Landscape
from multimep.methods.predictor_file import Header
from multimep.seals import checksum
from multimep.training_importance import Importance
from multimep.whole_folder import table

PARTS, ROWS, SCORES, PICTURE, ABOUT = (
    "attributions.csv", "training_importance.csv", "landscape.csv", "landscape.svg", "explanation.json"
)  # fmt: skip
EXPECTED, OTHERS = "expected", "others"
"""In place of a training variant: what holds before any row, and the sum of those that are not listed."""


def contents(found: Explanation, measured: Mapping[str, float], top: int, title: str) -> dict[str, str]:
    """Name -> text of every file but `explanation.json`; of training rows the `top` most influential (0: all)."""
    files = {}
    if found.parts:
        files[PARTS] = _parts(found)
    if found.importance:
        files[ROWS] = table(
            ("mutant", "training_mutant", "fitness", "covariance", "contribution", "influence"),
            (row for one in found.importance for row in _rows(one, measured, top)),
        )
    if found.landscape is not None:
        files[SCORES] = _scores(found.landscape)
        files[PICTURE] = f"{landscape_map.picture(found.landscape, title)}\n"
    return files


def about(found: Explanation, facts: Mapping[str, Any]) -> str:
    """What was explained and how complete it is, as JSON; `facts` are those of `facts`."""
    own = {
        "wild_type": found.wild_type,
        "predicted": dict(found.predicted),
        "completeness": [_complete(one) for one in found.complete],
        "latent": [_latent(one, found.predicted) for one in found.importance],
        "landscape": None if found.landscape is None else _choice(found.landscape),
        "not_available": dict(found.lacking),
    }
    return json.dumps({**facts, **own}, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def facts(predictor: Path, header: Header, dataset: str, seed: int) -> dict[str, Any]:
    """Where the explanation comes from."""
    return {
        "multimep": __version__,
        "predictor": checksum(predictor),
        "fitted_by": header.version,
        "method": header.method,
        "settings": header.settings,
        "language_model": header.sha256,
        "dataset": dataset,
        "seed": seed,
    }


def sentence(found: Explanation, folder: Path) -> str:
    """What was explained, and what could not be, for the terminal."""
    said = f"{folder}: {len(found.predicted)} variants"
    if found.complete:
        said += f", parts sum to the predictions within {max(abs(one.error) for one in found.complete):.2g}"
    if found.landscape is not None and found.landscape.missed > 0:
        said += f", a point of the landscape is better than the choice by {found.landscape.missed:.3g}"
    return said + "".join(f"; no {kind}: {why}" for kind, why in found.lacking.items())


def _parts(found: Explanation) -> str:
    header = ("mutant", "approach", "scale", "part", "value", "standard_error")
    rows = (
        (one.mutant, one.approach, one.scale, one.name, repr(one.value), repr(one.error) if one.error else "")
        for one in found.parts
    )
    return table(header, rows)


def _rows(one: Importance, measured: Mapping[str, float], top: int) -> Iterator[Sequence[Any]]:
    shown = one.shares[:top] if top else one.shares
    yield one.mutant, EXPECTED, "", "", repr(one.expected), ""
    for share in shown:
        fitness = repr(measured[share.taught]) if share.taught in measured else ""
        numbers = map(repr, (share.covariance, share.contribution, share.influence))
        yield one.mutant, share.taught, fitness, *numbers
    if len(shown) < len(one.shares):
        yield one.mutant, OTHERS, "", "", repr(math.fsum(s.contribution for s in one.shares[len(shown) :])), ""


def _scores(found: Landscape) -> str:
    rows = (
        (repr(float(x)), repr(float(y)), repr(float(found.scores[i, j])),
         int((i, j) == (found.x.place, found.y.place)))
        for i, x in enumerate(found.x.values)
        for j, y in enumerate(found.y.values)
    )  # fmt: skip
    return table((found.x.name, found.y.name, found.score, "chosen"), rows)


def _complete(one: Completeness) -> dict[str, Any]:
    told = {"mutant": one.mutant, "approach": one.approach, "scale": one.scale, "difference": one.difference}
    quadrature = {"tolerance": one.tolerance, "nodes": one.nodes} if one.approach == GRADIENTS else {}
    return {**told, "error": one.error, **quadrature}


def _latent(one: Importance, predicted: Mapping[str, float]) -> dict[str, Any]:
    error = one.predicted - predicted[one.mutant]
    return {"mutant": one.mutant, "expected": one.expected, "mean": one.latent, "error_of_prediction": error}


def _choice(found: Landscape) -> dict[str, Any]:
    chosen = {axis.name: axis.chosen for axis in (found.x, found.y)}
    return {"score": found.score, "rows": found.rows, "chosen": chosen, "at": found.chosen, "missed": found.missed}
