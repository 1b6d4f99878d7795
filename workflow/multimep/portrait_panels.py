"""The panels of the report about one dataset: heat maps, measured against predicted, calibration, learning, the top."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from markupsafe import Markup

from multimep import curve_panels, heat_map, measures, portrait_figures, portraits, tables
from multimep.drawing import Interval, decimal
from multimep.findings import MAIN, SAMPLE_SEED, Findings
from multimep.mutations import AMINO_ACIDS
from multimep.portraits import Pick, Portrait, Singles

CLOUD = 1000  # variants of one dataset that are drawn, at most
MAPS = {
    "measured": "measured",
    "predicted": "predicted, out of fold",
    "std": "standard deviation of the prediction",
}
LEVELS = (0.5, 0.8, 0.95)  # that the alternative text of a calibration curve tells


@dataclass(frozen=True)
class Map:
    """One heat map: its key (of MAPS), what the switch calls it, and the picture."""

    key: str
    name: str
    figure: Markup


@dataclass(frozen=True)
class Panel:
    """All that the page shows of one dataset.

    Attributes:
        name, method, score: of the dataset, its best method, and that method's main score with its interval.
        maps: measured, predicted and std of the single mutants; none where there are no single mutants.
        cloud, coverage: figures; `coverage` is empty for a method that states no uncertainty.
        learning: figure per split with several training sizes, with its title.
        picks: the variants with the best predictions.
        size: how many variants were predicted.
        same_scale: whether the method predicts on the scale of the fitness.
        notes: what a reader must know of the figures, in sentences.
        data: the values behind heat maps and cloud, for the page's script.
    """

    name: str
    method: str
    score: Interval
    maps: tuple[Map, ...]
    cloud: Markup
    coverage: Markup
    learning: tuple[tuple[str, Markup], ...]
    picks: tuple[Pick, ...]
    size: int
    same_scale: bool
    notes: tuple[str, ...]
    data: dict[str, object]


def panels(findings: Findings) -> list[Panel]:
    """A panel per portrait."""
    return [_panel(findings, one) for one in findings.portraits]


def _panel(findings: Findings, one: Portrait) -> Panel:
    same, place = one.method not in findings.unscaled, findings.methods.index(one.method)
    score = tables.grid(tables.choose(findings.scores, one.split, MAIN))[one.method, one.dataset]
    few, shown = portraits.singles(one), _sample(len(one.mutants))
    measured, predicted = one.measured[shown].tolist(), one.predicted[shown].tolist()
    told = f"{one.dataset}: measured against predicted fitness by {one.method}, {_title()} {score}"
    covered = portraits.coverage(one)
    return Panel(
        one.dataset,
        one.method,
        score,
        tuple(_maps(one, few, same=same)) if few.rows else (),
        portrait_figures.cloud(predicted, measured, place, told, same_scale=same),
        portrait_figures.coverage_curve(covered, place, _spoken(one, covered)) if covered else Markup(),
        tuple(curve_panels.of_dataset(findings, one.dataset)),
        tuple(portraits.top(one)),
        len(one.mutants),
        same,
        tuple(_notes(one, few, len(shown), same=same)),
        {"cloud": _cloud_data(one, shown, same=same), "map": _map_data(one, few) if few.rows else None},
    )


def _title() -> str:
    return measures.measure(MAIN).title


def _sample(size: int) -> list[int]:
    """At most CLOUD rows of `size`, a seeded sample in ascending order."""
    return sorted(np.random.default_rng(SAMPLE_SEED).permutation(size)[:CLOUD].tolist())


def _maps(one: Portrait, few: Singles, *, same: bool) -> list[Map]:
    rows = list(few.rows)
    columns = {"measured": one.measured[rows], "predicted": one.predicted[rows], "std": one.std[rows]}
    both = heat_map.ends_of(columns["measured"], columns["predicted"])
    ends = {name: both if same and name != "std" else heat_map.ends_of(column) for name, column in columns.items()}
    better = f" ({'higher' if one.higher_is_better else 'lower'} is better)"
    found = []
    for key, name in MAPS.items():
        if np.isfinite(columns[key]).any():
            legend = name + (better if key != "std" else "")
            label = _map_label(one, few, columns[key], name)
            found.append(Map(key, name, heat_map.heat_map(few, columns[key], ends[key], legend, label)))
    return found


def _map_label(one: Portrait, few: Singles, values: Float[np.ndarray, "m"], name: str) -> str:
    low, high = (int(pick(values)) for pick in (np.nanargmin, np.nanargmax))
    ends = [f"{one.mutants[few.rows[at]]} {decimal(float(values[at]))}" for at in (low, high)]
    return (
        f"{one.dataset}, {name}: heat map of {len(few.rows):,} single mutants at {len(few.positions):,} sites; "
        f"lowest {ends[0]}, highest {ends[1]}"
    )


def _spoken(one: Portrait, covered: dict[float, float]) -> str:
    shares = ", ".join(f"{covered[level]:.0%} of the {level:.0%} intervals" for level in LEVELS)
    return f"{one.dataset}: coverage of {one.method}: {shares} hold the measurement"


def _notes(one: Portrait, few: Singles, shown: int, *, same: bool) -> list[str]:
    notes = []
    if not few.rows:
        notes.append("No single mutants here, so no heat map.")
    if shown < len(one.mutants):
        notes.append(f"Measured against predicted: a seeded sample of {shown:,} of {len(one.mutants):,} variants.")
    if not one.unsure:
        notes.append(f"{one.method} states no uncertainty.")
    if not same:
        notes.append(f"{one.method} predicts on a scale of its own: no 1:1 line, and another scale of colours.")
    return notes


def _cloud_data(one: Portrait, shown: Sequence[int], *, same: bool) -> dict[str, object]:
    predicted, measured = one.predicted[list(shown)], one.measured[list(shown)]
    x, y = portrait_figures.cloud_scales(predicted.tolist(), measured.tolist(), same_scale=same)
    return {
        "names": " ".join(one.mutants[row] for row in shown),
        "predicted": _short(predicted),
        "measured": _short(measured),
        "x": [round(end, 6) for end in (x.low, x.high, x.start, x.stop)],
        "y": [round(end, 6) for end in (y.low, y.high, y.start, y.stop)],
    }


def _map_data(one: Portrait, few: Singles) -> dict[str, object]:
    grid, rows = heat_map.grid_of(len(few.positions)), list(few.rows)
    places = [heat_map.ROWS.index(AMINO_ACIDS[letter]) for letter in few.letters]
    return {
        "positions": few.positions,
        "residues": few.residues,
        "rows": heat_map.ROWS,
        "cells": [site * len(heat_map.ROWS) + row for site, row in zip(few.sites, places, strict=True)],
        "measured": _short(one.measured[rows]),
        "predicted": _short(one.predicted[rows]),
        "std": _short(one.std[rows]) if one.unsure else None,
        "grid": [grid.per_band, grid.width, grid.height, heat_map.LEFT, grid.top(0), grid.top(1) - grid.top(0)],
    }


def _short(values: Float[np.ndarray, "n"]) -> list[float]:
    """Three significant digits of each value: what a reader sees when hovering."""
    return [float(f"{value:.3g}") for value in values.tolist()]
