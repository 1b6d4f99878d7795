"""Leaks that show when a method is run: it must not notice row order, what is asked, or that its labels are shuffled.

A small sample of each dataset, one fold of it; every control runs the method through `cross_predict` as a study does.
"""

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy import stats

from multimep.cross_prediction import cross_predict
from multimep.dataset import Dataset
from multimep.embedder import Embedder
from multimep.leaks import Finding, LeakSearch
from multimep.methods import Method
from multimep.predictions import Predictions
from multimep.splits import Fold, Split, canonical_order

EQUAL = 1e-5  # of the spread of the predictions: what sums in another order may change
LEVEL = 0.01  # of the test that decides; the interval shown is of 95 %
FOLD = "control"
ASKED = 3  # one in so many rows of the sample
LEAST = 4 * ASKED  # rows of a dataset that is looked at


@dataclass(frozen=True)
class Trial:
    """A method, the sample it is run on and what it needs for it."""

    method: Method
    datasets: Sequence[Dataset]
    embedder: Embedder
    seed: int

    def answers(self, datasets: Sequence[Dataset], splits: Sequence[Split]) -> dict[str, Predictions]:
        """The predictions of what is asked of each dataset."""
        found = cross_predict(self.method, datasets, splits, self.embedder, self.seed)
        return {name: folds[0][1] for name, folds in found.items()}


def sampled(data: Sequence[Dataset], search: LeakSearch, seed: int) -> list[Dataset]:
    """So many rows of so many datasets; a dataset that is too small for it is left out."""
    fit = [one for one in data if len(one) >= LEAST][: search.datasets]
    return [one.select(_drawn(one, seed)[: search.rows]) for one in fit]


def controls(trial: Trial, label: str, search: LeakSearch) -> Iterator[Finding]:
    """Every control of one method; a note where no dataset is large enough for them."""
    if not trial.datasets:
        yield Finding("controls", label, "note", f"{label} was not run: no dataset has {LEAST} variants.")
        return
    splits = [split_of(one, trial.seed) for one in trial.datasets]
    base = trial.answers(trial.datasets, splits)
    random = np.random.default_rng(trial.seed)
    again = trial.answers(trial.datasets, splits)
    shuffled = trial.answers([_shuffled(one, random) for one in trial.datasets], [_turned(one) for one in splits])
    garbage = [_garbage(one, split, random) for one, split in zip(trial.datasets, splits, strict=True)]
    blind = trial.answers(garbage, splits)
    yield _same("the same seed", label, base, again, "the same seed gives other predictions")
    yield _same("order of rows", label, base, shuffled, "predictions depend on the order of the rows")
    yield _same("what is asked", label, base, blind, "predictions change with the fitness of what is asked")
    yield from permuted(trial, label, search, splits, base)


def permuted(
    trial: Trial, label: str, search: LeakSearch, splits: Sequence[Split], base: Mapping[str, Predictions]
) -> Iterator[Finding]:
    """The control with permuted labels: nothing of the shuffled fitness of what is asked may be predicted.

    All fitness of a dataset is permuted. Against the permuted fitness a method without a leak ranks nothing, whatever
    it knows beforehand. Against the measured one it ranks what it knows without labels: prior knowledge, or a memory.
    """
    nothing, prior = [], []
    for repeat in range(search.permutations):
        random = np.random.default_rng([trial.seed, repeat])
        relabelled = [dataclasses.replace(one, fitness=random.permutation(one.fitness)) for one in trial.datasets]
        found = trial.answers(relabelled, splits)
        nothing.append(_spearman(relabelled, found))
        prior.append(_spearman(trial.datasets, found))
    chance, known, learnt = np.array(nothing), np.array(prior), _spearman(trial.datasets, base)
    told = f"Spearman {interval(chance)} over {len(chance)} permutations"
    leaks = positive(chance)
    yield Finding(
        "permuted labels", label, "leak" if leaks else "passed",
        f"Labels that were permuted are predicted: {told}." if leaks else f"Permuted labels are not predicted: {told}.",
    )  # fmt: skip
    kept = f"Spearman with the measured fitness is {learnt:.3f}, and {interval(known)} where labels are permuted"
    if positive(known) and known.mean() > 0.9 * learnt:
        yield Finding("needs its labels", label, "leak", f"{kept}: the labels make no difference.")
    elif positive(known):
        yield Finding("needs its labels", label, "note", f"{kept}: so much is known without labels.")
    else:
        yield Finding("needs its labels", label, "passed", f"{kept}.")


def split_of(dataset: Dataset, seed: int) -> Split:
    """One fold: one row in three is asked."""
    mutants = _drawn(dataset, seed + 1)
    asked = len(mutants) // ASKED
    fold = Fold(FOLD, canonical_order(mutants[asked:]), canonical_order(mutants[:asked]))
    return Split(canonical_order(mutants), (fold,))


def interval(values: Float[np.ndarray, "n"]) -> str:
    """The mean and its 95 % t interval, as text."""
    half = stats.t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values))
    return f"{values.mean():.3f} [{values.mean() - half:.3f}, {values.mean() + half:.3f}]"


def positive(values: Float[np.ndarray, "n"]) -> bool:
    """Whether the mean is above 0, by a one-sided t test at LEVEL."""
    if values.std(ddof=1) == 0:
        return bool(values.mean() > 0)
    return bool(stats.ttest_1samp(values, 0.0, alternative="greater").pvalue < LEVEL)


def _drawn(dataset: Dataset, seed: int) -> list[str]:
    mutants = canonical_order(dataset.variants.mutants)
    return [mutants[row] for row in np.random.default_rng(seed).permutation(len(mutants))]


def _shuffled(dataset: Dataset, random: np.random.Generator) -> Dataset:
    mutants = dataset.variants.mutants
    return dataset.select(mutants[row] for row in random.permutation(len(mutants)))


def _turned(split: Split) -> Split:
    """The same split with every list of variants the other way round."""
    folds = tuple(Fold(one.name, one.train[::-1], one.test[::-1]) for one in split.folds)
    return Split(split.mutants[::-1], folds)


def _garbage(dataset: Dataset, split: Split, random: np.random.Generator) -> Dataset:
    """The dataset with other fitness for what is asked: of another size, so that a scale that sees it shows."""
    asked = set(split.folds[0].test)
    rows = np.array([mutant in asked for mutant in dataset.variants.mutants])
    other = 1e3 * (1 + np.abs(dataset.fitness).max()) * random.normal(size=len(dataset))
    return dataclasses.replace(dataset, fitness=np.where(rows, other, dataset.fitness))


def _same(
    check: str, label: str, base: Mapping[str, Predictions], found: Mapping[str, Predictions], fault: str
) -> Finding:
    """Whether two runs agree, mutant by mutant."""
    apart = max(_distance(one, found[name].select(one.mutants)) for name, one in base.items())
    if apart <= EQUAL:
        return Finding(check, label, "passed", "Changes nothing.")
    return Finding(check, label, "leak", f"{label}: {fault}, by up to {apart:.2g} of their spread.")


def _distance(one: Predictions, other: Predictions) -> float:
    spread = float(np.std(one.mean)) + float(np.abs(one.mean).max()) or 1.0
    apart = [np.abs(getattr(one, name) - getattr(other, name)) for name in ("mean", "std", "noisy_std")]
    return max(float(np.nanmax(values)) if np.isfinite(values).any() else 0.0 for values in apart) / spread


def _spearman(datasets: Sequence[Dataset], found: Mapping[str, Predictions]) -> float:
    """Mean over datasets of the rank correlation; that of a constant prediction is 0."""
    pairs = [(found[one.name].mean, one.select(found[one.name].mutants).fitness) for one in datasets]
    constant: Callable[[np.ndarray], bool] = lambda values: bool(np.ptp(values) == 0)  # noqa: E731
    rhos = [0.0 if constant(a) or constant(b) else float(stats.spearmanr(a, b).statistic) for a, b in pairs]
    return float(np.mean(rhos))
