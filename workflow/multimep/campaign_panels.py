"""The panels of the report about replayed campaigns: how soon each policy found the best variants of a landscape."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pandas as pd
from markupsafe import Markup

from multimep import campaign, figures
from multimep.drawing import Interval, colour, decimal
from multimep.figures import Series
from multimep.findings import Findings
from multimep.tables import Cell

REGRET = "regret"
CAPTION = (
    "Each policy chose what is measured next by what it had measured before; all of them began with the same random "
    "batch. Regret: 0, the best variant of all is found; 1, as good as the median variant. Means over seeds with 95 % "
    "intervals (Student). The regret area is the mean over the rounds: the smaller, the sooner."
)
COLUMNS = {
    "regret_area": "regret area",
    "regret": "last regret",
    "best": "best found",
    "top_1": "top 1 % found",
    "top_10": "top 10 % found",
}


@dataclass(frozen=True)
class Replay:
    """A dataset's campaigns as the page shows them: the sentence above, the figure, and a row of cells per policy."""

    name: str
    scope: str
    figure: Markup
    rows: tuple[tuple[str, str, tuple[Cell, ...]], ...]


def panels(findings: Findings) -> list[Replay]:
    """One panel per dataset whose campaigns were replayed, in the order of the study."""
    return [_replay(name, table) for name, table in findings.campaigns.items()]


def _replay(name: str, table: pd.DataFrame) -> Replay:
    curves = campaign.rounds(table, REGRET)
    series = [
        Series(str(policy), place, _points(part))
        for place, (policy, part) in enumerate(curves.groupby("policy", sort=False))
    ]
    ends = [end for one in series for interval in one.points.values() for end in interval.ends]
    label = f"{name}: {REGRET}"
    figure = figures.learning_chart(series, label, (min(0.0, *ends), max(ends)), x_name=figures.MEASURED, zero=True)
    return Replay(name, _scope(table), figure, tuple(_rows(table, [one.name for one in series])))


def _scope(table: pd.DataFrame) -> str:
    steps = sorted(table["measured"].unique())
    seeds = table["seed"].nunique()
    return (
        f"{steps[0]} variants at random, then {len(steps) - 1} rounds up to {steps[-1]} measured; "
        f"{seeds} seed{'' if seeds == 1 else 's'}."
    )


def _points(part: pd.DataFrame) -> dict[float, Interval]:
    columns = zip(*(part[name].astype(float) for name in campaign.ROUND_COLUMNS[1:]), strict=True)
    return {at: Interval(value, low, high) for at, value, low, high in columns}


def _rows(table: pd.DataFrame, policies: Sequence[str]) -> Iterator[tuple[str, str, tuple[Cell, ...]]]:
    """Name, colour and cells of each policy, in the order of COLUMNS."""
    told = {str(row["policy"]): row for row in campaign.summary(table).to_dict("records")}
    for place, policy in enumerate(policies):
        row = told[policy]
        tips = {"regret_area": f"{policy}, standard error over seeds: {decimal(row['regret_area_se'])}"}
        yield policy, colour(place), tuple(Cell(decimal(row[key]), tips.get(key, policy), row[key]) for key in COLUMNS)
