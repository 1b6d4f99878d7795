"""The null gate: every method is held against the two that need no language model and no other protein.

`additive` knows sites alone, `site_gp` also what substitutions and neighbours mean. A method that does not beat both
has learned nothing that they do not tell, however good its correlation looks.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from multimep.comparisons import NO_KIN, Kin, constant_as_zero, folds, low_n_splits, mean_over_families
from multimep.drawing import Interval, decimal, signed
from multimep.inference import TIE
from multimep.metrics import METRICS
from multimep.questions import Arm

NULLS = (Arm("additive"), Arm("site_gp"))
NAMED = 3  # datasets that a warning names, the worst first
CONSTANT = "Predictions that are all equal count as a rank correlation of 0 in differences"


@dataclass(frozen=True)
class Hurdle:
    """A method held against a null: what it gains over protein families, and where it stays behind.

    Attributes:
        difference: method minus null, mean over families with its 95 % interval.
        families: number of families behind it.
        behind: dataset -> values of method and null, where the method is not better; the worst first.
        asked: number of datasets that both were asked about.
        higher_is_better: of the metric; None where more is neither.
    """

    difference: Interval
    families: int
    behind: Mapping[str, tuple[float, float]]
    asked: int
    higher_is_better: bool | None

    @property
    def ahead(self) -> bool:
        """Whether the mean speaks for the method."""
        return (self.difference.value if self.higher_is_better else -self.difference.value) > TIE

    @property
    def passed(self) -> bool:
        """Whether the method beats the null: on the mean, and with the whole interval where there is one."""
        same_side = not self.difference.known or self.difference.low * self.difference.high > 0
        return self.higher_is_better is None or (self.ahead and same_side)


def nulls(methods: Mapping[str, tuple[str, Mapping[str, object]]]) -> tuple[str, ...]:
    """The labels of the nulls that a study has (label -> entry of METHODS, settings), `additive` first."""
    return tuple(label for arm in NULLS if (label := arm.found(methods)))


def missing(methods: Mapping[str, tuple[str, Mapping[str, object]]]) -> tuple[str, ...]:
    """The names of the nulls that a study lacks."""
    return tuple(arm.name for arm in NULLS if not arm.found(methods))


def cases(metrics: pd.DataFrame, metric: str) -> pd.DataFrame:
    """One value per case ("random", "low_n with n = 24"), dataset and method.

    That of all out-of-fold predictions together where the metrics have it, else the mean over folds.
    """
    settled, low_n = constant_as_zero(metrics), low_n_splits(metrics)
    rows = settled[settled["metric"] == metric]
    whole = rows[~rows["split"].isin(low_n)]
    whole = whole.assign(case=whole["split"], rank=whole["aggregation"].map({"pooled": 0, "mean": 1}).fillna(2))
    single = whole[whole["rank"] == whole.groupby(["split", "dataset", "method"])["rank"].transform("min")]
    sized = [folds(metrics, metric, split) for split in low_n]
    by_size = [part.assign(case=part["split"] + " with n = " + part["size"]) for part in sized]
    table = pd.concat([single, *by_size])
    return table.groupby(["case", "dataset", "method"], sort=False)["value"].mean().reset_index()


def hurdles(table: pd.DataFrame, case: str, null: str, metric: str, kin: Kin = NO_KIN) -> dict[str, Hurdle]:
    """Every other method of a case (of `cases`) held against `null`, over the datasets that have both."""
    values = table[table["case"] == case].pivot_table("value", "dataset", "method", sort=False)
    if null not in values:
        return {}
    both = {str(name): values[[name, null]].dropna() for name in values.columns if name != null}
    return {name: _hurdle(found, metric, kin) for name, found in both.items() if len(found)}


def warnings(
    metrics: pd.DataFrame,
    known: Sequence[str],
    lacking: Sequence[str] = (),
    metric: str = "spearman",
    kin: Kin = NO_KIN,
) -> list[str]:
    """What does not pass the gate: a sentence per method, null and case; first, which null the study lacks."""
    told = [
        f"The null gate is incomplete: {name} is not among the methods; add `{name}: {{}}` to methods"
        for name in lacking
    ]
    table = cases(metrics, metric)
    for case in dict.fromkeys(table["case"]):
        for place, null in enumerate(known):
            found = hurdles(table, case, null, metric, kin)
            told += [
                _warning(method, null, f"{case}, {METRICS[metric].label}", hurdle)
                for method, hurdle in found.items()
                if method not in known[:place] and not hurdle.passed
            ]
    return told


def _hurdle(values: pd.DataFrame, metric: str, kin: Kin) -> Hurdle:
    method, null = (values[column] for column in values.columns)
    better = METRICS[metric].higher_is_better if metric in METRICS else True
    gain = (null - method if better is False else method - null).sort_values(kind="stable")
    behind = {str(name): (float(method[name]), float(null[name])) for name in gain.index[~(gain > TIE)]}
    differences = {str(name): float(value) for name, value in (method - null).items()}
    families = len({kin.family(name) for name in differences})
    return Hurdle(Interval(*mean_over_families(differences, kin)), families, behind, len(values), better)


def _warning(method: str, null: str, where: str, found: Hurdle) -> str:
    gap = found.difference
    interval = f" [{signed(gap.low)}, {signed(gap.high)}]" if gap.known else ""
    over = f"{found.families} protein {'family' if found.families == 1 else 'families'}"
    pairs = [f"{name} {decimal(a, 2)} vs {decimal(b, 2)}" for name, (a, b) in list(found.behind.items())[:NAMED]]
    named = f": {', '.join(pairs)}{', ...' * (len(found.behind) > NAMED)}" if pairs else ""
    return (
        f"{method} {'is not shown to beat' if found.ahead else 'does not beat'} {null} ({where}):"
        f" {signed(gap.value)}{interval} over {over}, not better on {len(found.behind)} of {found.asked}"
        f" dataset{'s' * (found.asked != 1)}{named}"
    )
