"""The study's comparisons: paired differences over datasets in one sentence, learning curves, and warnings.

The unit is the dataset: folds and seeds are averaged first, since they share variants and would make intervals too
narrow. All functions take the metrics table of a study (dataset, split, method, fold, aggregation, metric, value, ...).
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Float
from scipy import stats

from multimep.metrics import METRICS

BOOTSTRAP = 10_000  # resamples of datasets: an end of the interval is then good to about a hundredth of its width
DECISIVE = 0.05
FEWEST = 6  # below six datasets a two-sided Wilcoxon test cannot reach p < 0.05: 2 / 2^5 = 0.0625
TIE = 1e-8  # metrics are written with nine digits
LOW_N_FOLD = r"n(\d+|full)_seed\d+"


class ComparisonError(ValueError):
    """A comparison that has no meaning; the message says why."""


@dataclass(frozen=True)
class Question:
    """What is held against what: the text, the two methods, and whether it is asked of small training sets."""

    text: str
    method: str
    baseline: str
    low_n: bool = False


QUESTIONS: Mapping[str, Question] = {
    "together": Question(
        "Does one multitask model of all proteins beat a model per protein?", "fine_tune_together", "fine_tune"
    ),
    "by_group": Question(
        "Does one multitask model per protein type beat a model per protein?", "fine_tune_by_group", "fine_tune"
    ),
    "gp_low_n": Question(
        "Does a Gaussian process on embeddings beat fine-tuning on small subsamples?", "embedding_gp", "fine_tune", True
    ),
}


@dataclass(frozen=True)
class Comparison:
    """The answer to one question.

    Attributes:
        method, baseline, metric, split: what was compared, method minus baseline.
        differences: dataset -> mean paired difference over the folds that both methods have.
        mean, low, high: their mean and its 95 % percentile bootstrap interval over datasets; NaN for fewer than two.
            With few datasets it is too narrow (with six it holds about 85 % of the time): a verdict asks the test too.
        wins, ties, losses: number of datasets on which the method is better, equal, worse.
        p: two-sided Wilcoxon signed-rank test over datasets; NaN without any.
        verdict: better, worse, no difference shown, or not decided.
        sentence: all of it in words.
    """

    method: str
    baseline: str
    metric: str
    split: str
    differences: Mapping[str, float]
    mean: float
    low: float
    high: float
    wins: int
    ties: int
    losses: int
    p: float
    verdict: str
    sentence: str


def seed_study(
    metrics: pd.DataFrame, *, groups: Mapping[str, str] | None = None, split: str | None = None, seed: int = 0
) -> dict[str, Comparison]:
    """The three questions answered in Spearman, keyed as in QUESTIONS.

    The multitask questions are asked of `split` (if not given, of the first one in which both methods were asked,
    low-N splits last), the third of the first low-N split. `groups` (dataset -> type of protein) adds the
    differences by type. A question whose split or methods the study does not have gets a comparison over no datasets
    that says so.
    """
    low_n = low_n_splits(metrics)
    others = [name for name in dict.fromkeys(map(str, metrics["split"])) if name not in low_n]
    candidates = {False: [split] if split else [*others, *low_n], True: list(low_n)}
    splits_asked = {name: _first_with(metrics, asked, candidates[asked.low_n]) for name, asked in QUESTIONS.items()}
    return {
        name: compare(metrics, asked.method, asked.baseline, splits_asked[name], groups=groups, seed=seed)
        for name, asked in QUESTIONS.items()
    }


def compare(
    metrics: pd.DataFrame,
    method: str,
    baseline: str,
    split: str,
    *,
    metric: str = "spearman",
    groups: Mapping[str, str] | None = None,
    seed: int = 0,
) -> Comparison:
    """`method` minus `baseline` over the datasets and folds of `split` that both have; "full" low-N folds are left out.

    Raises ComparisonError for a metric without a better side (coverage).
    """
    if METRICS[metric].higher_is_better is None:
        raise ComparisonError(f"{metric} is best at its nominal level: more is not better; compare nll instead")
    pairs = _paired(metrics, method, baseline, split, metric)
    by_dataset = pairs.groupby("dataset", sort=False)["difference"].mean().round(12)
    differences = {str(name): float(value) for name, value in by_dataset.items()}
    values = np.array(list(differences.values()))
    signed = values if METRICS[metric].higher_is_better else -values
    wins, losses = int((signed > TIE).sum()), int((signed < -TIE).sum())
    low, high = bootstrap_mean(values, seed)
    p, mean = wilcoxon(values), float(values.mean()) if len(values) else np.nan
    verdict = _verdict(method, len(values), float(np.sign(signed.sum())), low * high > 0, p)
    ties = len(values) - wins - losses
    numbers = Comparison(
        method, baseline, metric, split, differences, mean, low, high, wins, ties, losses, p, verdict, sentence=""
    )
    return Comparison(**{**vars(numbers), "sentence": _sentence(numbers) + _parts(pairs, groups or {})})


def learning_curve(metrics: pd.DataFrame, split: str, metric: str = "spearman", seed: int = 0) -> pd.DataFrame:
    """The curve of every method of a low-N split over datasets and seeds: method, size, mean, low, high, n.

    `mean` is over datasets (seeds first), `low` and `high` its 95 % bootstrap interval over datasets, or over seeds
    where there is one dataset; `n` is the number of folds behind it. "full" folds, which have no size in common, are
    left out.
    """
    rows = []
    for (method, size), found in _sized(metrics, metric, split).groupby(["method", "size"], sort=False):
        by_dataset = found.groupby("dataset")["value"].mean()
        units = (by_dataset if len(by_dataset) > 1 else found["value"]).to_numpy(np.float64)
        low, high = bootstrap_mean(units, seed)
        mean = float(by_dataset.mean())
        rows.append({"method": method, "size": size, "mean": mean, "low": low, "high": high, "n": len(found)})
    return pd.DataFrame(rows, columns=["method", "size", "mean", "low", "high", "n"])


def learning_curves(metrics: pd.DataFrame, metric: str = "spearman") -> pd.DataFrame:
    """The curve of every dataset, method and low-N split: split, dataset, method, size, value, low, high.

    `value` is the mean over seeds, `low` and `high` the lowest and the highest seed (NaN for a single one).
    """
    columns = ["split", "dataset", "method", "size"]
    parts = [_sized(metrics, metric, split).assign(split=split) for split in low_n_splits(metrics)]
    if not parts:
        return pd.DataFrame(columns=[*columns, "value", "low", "high"])
    grouped = pd.concat(parts).groupby(columns, sort=False)["value"]
    table = grouped.agg(value="mean", low="min", high="max", seeds="size").reset_index()
    table.loc[table["seeds"] < 2, ["low", "high"]] = np.nan
    return table.drop(columns="seeds")


def warnings(metrics: pd.DataFrame, baseline: str = "additive", metric: str = "spearman") -> list[str]:
    """One sentence per method and split (and low-N size) in which the method fails to beat `baseline` on a dataset.

    Values are those of all out-of-fold predictions together where the metrics have them, else means over folds.
    """
    cases = _cases(metrics, metric)
    table = cases.pivot_table(index=["case", "dataset"], columns="method", values="value", sort=False, dropna=False)
    sentences = []
    for case in dict.fromkeys(cases["case"]) if baseline in table else ():
        both = table.loc[case].dropna(subset=[baseline])
        for method in table.columns.drop(baseline):
            asked = both.index.isin(cases[(cases["case"] == case) & (cases["method"] == method)]["dataset"])
            behind = both[asked & ~(_gain(both[method], both[baseline], metric) > TIE)]
            if len(behind):
                sentences.append(
                    _warning(method, baseline, f"{case}, {METRICS[metric].label}", behind, int(asked.sum()))
                )
    return sentences


def low_n_splits(metrics: pd.DataFrame) -> tuple[str, ...]:
    """The splits whose folds are named like `n24_seed0`."""
    sized = metrics["fold"].astype(str).str.fullmatch(LOW_N_FOLD)
    return tuple(dict.fromkeys(map(str, metrics.loc[sized, "split"])))


def bootstrap_mean(values: Float[np.ndarray, "n"], seed: int = 0) -> tuple[float, float]:
    """The 2.5 and 97.5 percentiles of the mean of `values` resampled with replacement; NaN for fewer than two."""
    if len(values) < 2:
        return np.nan, np.nan
    rows = np.random.default_rng(seed).integers(len(values), size=(BOOTSTRAP, len(values)))
    low, high = np.quantile(values[rows].mean(axis=1), [0.025, 0.975])
    return float(low), float(high)


def wilcoxon(values: Float[np.ndarray, "n"]) -> float:
    """Two-sided signed-rank p that `values` lie around 0, zeros left out; 1 if all are zero, NaN for none."""
    if not len(values):
        return np.nan
    decided = values[np.abs(values) > TIE]
    return float(stats.wilcoxon(decided).pvalue) if len(decided) else 1.0


def _first_with(metrics: pd.DataFrame, asked: Question, splits: Sequence[str]) -> str:
    """The first of the splits in which both methods were asked; the first of all where there is none."""
    methods = metrics.groupby("split")["method"].agg(set)
    fitting = [name for name in splits if {asked.method, asked.baseline} <= methods.get(name, set())]
    return next(iter([*fitting, *splits]), "")


def _folds(metrics: pd.DataFrame, metric: str, split: str) -> pd.DataFrame:
    rows = (metrics["aggregation"] == "fold") & (metrics["metric"] == metric) & (metrics["split"] == split)
    found = metrics[rows]
    return found.assign(size=found["fold"].astype(str).str.extract(f"^{LOW_N_FOLD}$", expand=False))


def _sized(metrics: pd.DataFrame, metric: str, split: str) -> pd.DataFrame:
    found = _folds(metrics, metric, split)
    sized = found[found["size"].notna() & (found["size"] != "full")].dropna(subset=["value"])
    return sized.assign(size=sized["size"].astype(int)).sort_values("size", kind="stable")


def _paired(metrics: pd.DataFrame, method: str, baseline: str, split: str, metric: str) -> pd.DataFrame:
    found = _folds(metrics, metric, split)
    found = found[found["size"] != "full"]
    keys = ["dataset", "fold", "size"]
    left, right = (found[found["method"] == name][[*keys, "value"]] for name in (method, baseline))
    pairs = left.merge(right, on=keys, suffixes=("", "_baseline"))
    return pairs.assign(difference=pairs["value"] - pairs["value_baseline"]).dropna(subset=["difference"])


def _verdict(method: str, n: int, direction: float, excludes_zero: bool, p: float) -> str:
    if n < FEWEST:
        return f"not decided (fewer than {FEWEST} datasets)"
    if excludes_zero and p < DECISIVE:
        return f"{method} is {'better' if direction > 0 else 'worse'}"
    return "not decided (interval and test disagree)" if excludes_zero or p < DECISIVE else "no difference shown"


def _sentence(found: Comparison) -> str:
    n = len(found.differences)
    if not n:
        return f"{found.method} against {found.baseline}: not asked, no split has results of both on the same dataset."
    interval = f" [{found.low:.3f}, {found.high:.3f}]" if n > 1 else ""
    tied = f", equal on {found.ties}" if found.ties else ""
    return (
        f"Over {n} dataset{'s' * (n > 1)} ({found.split}), {found.method} minus {found.baseline} in"
        f" {METRICS[found.metric].label}: {found.mean:.3f}{interval}, better on {found.wins} of {n}{tied}"
        f" (Wilcoxon p = {found.p:.2g}): {found.verdict}."
    )


def _parts(pairs: pd.DataFrame, groups: Mapping[str, str]) -> str:
    """The mean differences by type of protein and by training size, where there is more than one."""
    by_type = pairs.assign(part=pairs["dataset"].map(groups.get), word="type")
    by_size = pairs.assign(part="n = " + pairs["size"].astype(str), word="training size").dropna(subset=["size"])
    text = ""
    for table in (by_type.dropna(subset=["part"]), by_size):
        means = table.groupby(["part", "dataset"], sort=False)["difference"].mean().groupby("part", sort=False).mean()
        if len(means) > 1:
            text += f" By {table['word'].iloc[0]}: {', '.join(f'{name} {mean:+.3f}' for name, mean in means.items())}."
    return text


def _cases(metrics: pd.DataFrame, metric: str) -> pd.DataFrame:
    """One value per case ("random", "low_n with n = 24"), dataset and method."""
    rows, low_n = metrics[metrics["metric"] == metric], low_n_splits(metrics)
    whole = rows[~rows["split"].isin(low_n)].assign(case=rows["split"])
    whole = whole.assign(rank=whole["aggregation"].map({"pooled": 0, "mean": 1}).fillna(2))
    single = whole[whole["rank"] == whole.groupby(["split", "dataset", "method"])["rank"].transform("min")]
    sized = [_folds(metrics, metric, split) for split in low_n]
    by_size = [part.assign(case=part["split"] + " with n = " + part["size"]) for part in sized]
    table = pd.concat([single, *by_size])
    return table.groupby(["case", "dataset", "method"], sort=False)["value"].mean().reset_index()


def _gain(method: pd.Series, baseline: pd.Series, metric: str) -> pd.Series:
    return method - baseline if METRICS[metric].higher_is_better else baseline - method


def _shown(value: float) -> str:
    return "a constant" if math.isnan(value) else f"{value:.2f}"


def _warning(method: str, baseline: str, where: str, behind: pd.DataFrame, asked: int) -> str:
    pairs = {str(name): f"{_shown(row[method])} vs {_shown(row[baseline])}" for name, row in behind.iterrows()}
    if len(pairs) == 1:
        ((name, numbers),) = pairs.items()
        return f"{method} does not beat {baseline} on {name} ({where} {numbers})"
    listed = ", ".join(f"{name} {numbers}" for name, numbers in pairs.items())
    return f"{method} does not beat {baseline} on {len(pairs)} of {asked} datasets ({where}): {listed}"
