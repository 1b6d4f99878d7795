"""Comparisons: what a study's metrics say of one method against another, in paired differences over protein families.

The unit is the protein family: seeds or folds of a training size are averaged first, then training sizes, then the
datasets of a family, since all of these share variants, proteins or ancestors and would make intervals too narrow. All
functions take the metrics table of a study (dataset, split, method, fold, aggregation, metric, value, ...).
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd

from multimep import inference
from multimep.inference import TIE
from multimep.metrics import METRICS
from multimep.questions import MARGIN, Question

LOW_N_FOLD = r"(?:[^/]+/)?n(\d+|full)_seed\d+"  # of low_n, and of family_out behind the name of a dataset
RANKS = ("spearman", "pearson")


class ComparisonError(ValueError):
    """A comparison that has no meaning; the message says why."""


@dataclass(frozen=True)
class Kin:
    """What the datasets of a study are: whose family, of which type. A dataset that is not named stands alone.

    Attributes:
        families: dataset -> protein family.
        types: dataset -> type of protein; empty where the study does not tell them apart.
    """

    families: Mapping[str, str] = field(default_factory=dict)
    types: Mapping[str, str] = field(default_factory=dict)

    def family(self, dataset: str) -> str:
        """The family of a dataset: its own where none is known."""
        return self.families.get(dataset, dataset)

    def kinds(self, datasets: Sequence[str]) -> dict[str, str]:
        """Family -> the type of its datasets, several joined by a plus."""
        found: dict[str, dict[str, None]] = {}
        for name in datasets:
            found.setdefault(self.family(name), {})[self.types.get(name, "")] = None
        return {family: " + ".join(sorted(kinds)) for family, kinds in found.items()}


NO_KIN = Kin()


@dataclass(frozen=True)
class Comparison:
    """The numbers of one comparison; `verdicts` says what they allow one to claim.

    Attributes:
        method, baseline, metric, split: what was compared, method minus baseline.
        differences: dataset -> mean paired difference over what both methods were asked.
        families: protein family -> mean of its datasets' differences.
        mean, low, high: the mean over families and its 95 % bootstrap interval; NaN for fewer than two families.
        wins, ties, losses: number of families on which the method is better, equal, worse.
        p: two-sided Wilcoxon signed-rank test over families; NaN without any.
        p_sign: two-sided sign test over families.
        p_equivalent: of the two one-sided tests that the mean lies outside the margin; NaN where there is no margin.
        margin: differences below it count as none; NaN for a metric that has a unit.
        among: how many comparisons the p-values below are adjusted for.
        p_adjusted, p_equivalent_adjusted: after Holm's adjustment; the unadjusted ones for a comparison on its own.
        parts: (word, part -> mean difference) by type of protein and by training size, where there is more than one.
    """

    method: str
    baseline: str
    metric: str
    split: str
    differences: Mapping[str, float]
    families: Mapping[str, float]
    mean: float
    low: float
    high: float
    wins: int
    ties: int
    losses: int
    p: float
    p_sign: float
    p_equivalent: float
    margin: float
    among: int
    p_adjusted: float
    p_equivalent_adjusted: float
    parts: tuple[tuple[str, Mapping[str, float]], ...] = ()

    @property
    def direction(self) -> int:
        """1 where the mean speaks for the method, -1 where against it, 0 where for neither."""
        sign = 1 if METRICS[self.metric].higher_is_better else -1
        return sign * int(np.sign(self.mean)) if abs(self.mean) > TIE else 0

    @property
    def sd(self) -> float:
        """Standard deviation of the families' differences; NaN for fewer than two."""
        values = list(self.families.values())
        return float(np.std(values, ddof=1)) if len(values) > 1 else math.nan

    @property
    def detectable(self) -> float:
        """The mean difference that the test finds, at its strictest level, in four of five such studies."""
        return inference.detectable(self.sd, len(self.families), inference.LEVEL / self.among)


def compare(
    metrics: pd.DataFrame,
    method: str,
    baseline: str,
    split: str,
    *,
    metric: str = "spearman",
    kin: Kin = NO_KIN,
    margin: float = MARGIN,
    seed: int = 0,
) -> Comparison:
    """`method` minus `baseline` over the datasets and folds of `split` that both have; "full" low-N folds are left out.

    Raises ComparisonError for a metric without a better side (coverage).
    """
    if METRICS[metric].higher_is_better is None:
        raise ComparisonError(f"{metric} is best at its nominal level: more is not better; compare nll instead")
    pairs = paired(metrics, method, baseline, split, metric)
    differences = by_dataset(pairs)
    families = by_family(differences, kin)
    values = np.array(list(families.values()))
    signed = values if METRICS[metric].higher_is_better else -values
    wins, losses = int((signed > TIE).sum()), int((signed < -TIE).sum())
    kinds = kin.kinds(list(differences))
    low, high = inference.bootstrap_mean(values, seed, [kinds[family] for family in families])
    room = math.nan if METRICS[metric].unit else margin
    p, same = inference.wilcoxon(values), inference.equivalence(values, room)
    mean = float(values.mean()) if len(values) else math.nan
    return Comparison(
        method, baseline, metric, split, differences, families, mean, low, high, wins,
        len(values) - wins - losses, losses, p, inference.sign_test(values), same, room, 1, p, same, _parts(pairs, kin),
    )  # fmt: skip


def answers(
    metrics: pd.DataFrame,
    questions: Sequence[Question],
    *,
    kin: Kin = NO_KIN,
    margin: float = MARGIN,
    seed: int = 0,
) -> list[tuple[Question, Comparison]]:
    """The questions that the metrics can answer, each with its comparison, p-values adjusted for all of them."""
    known = [_against_the_best(metrics, question) for question in questions]
    asked = [(question, split) for question in known if (split := split_of(metrics, question))]
    found = [
        (one, compare(metrics, one.method, one.baseline, split, kin=kin, margin=margin, seed=seed))
        for one, split in asked
    ]
    told = [(question, comparison) for question, comparison in found if comparison.differences]
    return list(zip([question for question, _ in told], adjusted([one for _, one in told]), strict=True))


def adjusted(found: Sequence[Comparison]) -> list[Comparison]:
    """The same comparisons, their p-values by Holm's method those of claims that stand beside each other."""
    different = inference.holm([one.p for one in found])
    same = inference.holm([one.p_equivalent for one in found])
    return [
        replace(one, among=len(found), p_adjusted=p, p_equivalent_adjusted=q)
        for one, p, q in zip(found, different, same, strict=True)
    ]


def chosen_among(found: Comparison, others: int) -> Comparison:
    """The comparison of a method that was chosen as the best of so many: by Bonferroni, p times their number."""
    p, q = (min(1.0, others * value) for value in (found.p, found.p_equivalent))
    return replace(found, among=others, p_adjusted=p, p_equivalent_adjusted=q)


def split_of(metrics: pd.DataFrame, question: Question) -> str:
    """The split that a question is asked of: its own, else the first in its order with both methods; or empty."""
    methods = metrics.groupby("split")["method"].agg(set)
    both = [name for name in methods.index if {question.method, question.baseline} <= methods[name]]
    low_n = low_n_splits(metrics)
    others = [name for name in dict.fromkeys(map(str, metrics["split"])) if name not in low_n]
    order = {"last": [*others, *low_n], "first": [*low_n, *others], "only": [*low_n]}[question.low_n]
    wanted = [question.split] if question.split else order
    return next((name for name in wanted if name in both), "")


def _against_the_best(metrics: pd.DataFrame, question: Question) -> Question:
    """The question with that rival as baseline which has the highest mean where the method was asked."""
    splits = {name: split_of(metrics, replace(question, baseline=name, rivals=())) for name in question.rivals}
    split = next((found for found in splits.values() if found), "")
    rivals = [name for name, found in splits.items() if found == split] if split else []
    gains = {name: paired(metrics, question.method, name, split, "spearman")["difference"].mean() for name in rivals}
    return replace(question, baseline=min(gains, key=lambda name: gains[name])) if gains else question


def low_n_splits(metrics: pd.DataFrame) -> tuple[str, ...]:
    """The splits whose folds are named like `n24_seed0` or `D/n24_seed0`."""
    sized = metrics["fold"].astype(str).str.fullmatch(LOW_N_FOLD)
    return tuple(dict.fromkeys(map(str, metrics.loc[sized, "split"])))


def constant_as_zero(metrics: pd.DataFrame) -> pd.DataFrame:
    """The table with a rank correlation of 0 where all predictions were equal, which tells no variant from another.

    Such a correlation is undefined (NaN); left out, a method that says nothing of the hardest folds would gain by it.
    R2 tells these rows from those whose measurements were all equal: it is undefined only for the latter.
    """
    keys = ["dataset", "split", "method", "fold", "aggregation"]
    undefined = metrics["metric"].isin(RANKS) & metrics["value"].isna()
    varied = metrics[(metrics["metric"] == "r2") & metrics["value"].notna()][keys]
    if not undefined.any() or varied.empty:
        return metrics
    index = pd.MultiIndex.from_frame(metrics[keys])
    constant = undefined & index.isin(pd.MultiIndex.from_frame(varied))
    return metrics.assign(value=metrics["value"].mask(constant, 0.0))


def folds(metrics: pd.DataFrame, metric: str, split: str) -> pd.DataFrame:
    """The single folds of a split, `size` being the training size in their name (NaN where it has none)."""
    found = metrics[(metrics["aggregation"] == "fold") & (metrics["split"] == split)]
    found = constant_as_zero(found)
    found = found[found["metric"] == metric]
    return found.assign(size=found["fold"].astype(str).str.extract(f"^{LOW_N_FOLD}$", expand=False))


def paired(metrics: pd.DataFrame, method: str, baseline: str, split: str, metric: str) -> pd.DataFrame:
    """dataset, fold, size and `difference` (method minus baseline) of every fold that both have, "full" left out."""
    found = folds(metrics, metric, split)
    found = found[found["size"] != "full"]
    keys = ["dataset", "fold", "size"]
    left, right = (found[found["method"] == name][[*keys, "value"]] for name in (method, baseline))
    pairs = left.merge(right, on=keys, suffixes=("", "_baseline"))
    return pairs.assign(difference=pairs["value"] - pairs["value_baseline"]).dropna(subset=["difference"])


def by_dataset(pairs: pd.DataFrame) -> dict[str, float]:
    """The mean difference of each dataset: over the seeds or folds of a training size, then over training sizes."""
    sized = pairs.assign(size=pairs["size"].fillna(""))
    means = sized.groupby(["dataset", "size"], sort=False)["difference"].mean()
    rounded = means.groupby("dataset", sort=False).mean().round(12)
    return {str(name): float(value) for name, value in rounded.items()}


def by_family(differences: Mapping[str, float], kin: Kin) -> dict[str, float]:
    """The mean over the datasets of each family."""
    members: dict[str, list[float]] = {}
    for dataset, value in differences.items():
        members.setdefault(kin.family(dataset), []).append(value)
    return {family: float(np.mean(values)) for family, values in members.items()}


def mean_over_families(
    differences: Mapping[str, float], kin: Kin = NO_KIN, seed: int = 0
) -> tuple[float, float, float]:
    """The mean over families of differences (or values) of datasets, with the ends of its 95 % interval."""
    families, kinds = by_family(differences, kin), kin.kinds(list(differences))
    values = np.array(list(families.values()))
    mean = float(values.mean()) if len(values) else math.nan
    return mean, *inference.bootstrap_mean(values, seed, [kinds[family] for family in families])


def _parts(pairs: pd.DataFrame, kin: Kin) -> tuple[tuple[str, Mapping[str, float]], ...]:
    """The mean differences by type of protein and by training size, where there is more than one."""
    parts = []
    for word, part in (("type", pairs["dataset"].map(kin.types.get)), ("training size", _sizes(pairs))):
        of = {str(name): by_dataset(rows) for name, rows in pairs.groupby(part, sort=False)}
        if len(of) > 1:
            parts.append((word, {name: mean_over_families(found, kin)[0] for name, found in of.items()}))
    return tuple(parts)


def _sizes(pairs: pd.DataFrame) -> pd.Series:
    return ("n = " + pairs["size"].astype(str)).where(pairs["size"].notna())
