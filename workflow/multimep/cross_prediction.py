"""Cross-prediction: every fold's model is fitted on its teaching variants and asked about the others, never both."""

from collections.abc import Iterator, Sequence
from functools import cache, partial
from pathlib import Path

from multimep import finished_folds, interruption
from multimep.dataset import Dataset
from multimep.embedder import Embedder
from multimep.methods.method import Batched, Fit, Method, only
from multimep.predictions import Predictions
from multimep.splits import Fold, Split, SplitError

Folds = list[tuple[str, Predictions]]
Member = tuple[Dataset, Fold]


def cross_predict(
    method: Method, datasets: Sequence[Dataset], splits: Sequence[Split], embedder: Embedder, seed: int
) -> dict[str, Folds]:
    """For each dataset, the predictions of its asked variants fold by fold.

    A method of one protein is fitted per dataset and fold that asks something; a joint method once per name of such a
    fold, on the teaching variants of all datasets that have a fold of that name or one that only teaches in it
    (`Fold.belongs_to`), so no dataset's asked variants are ever among them. A dataset that is asked but teaches nothing
    comes without rows, and only methods that can do without any accept it. Inside
    `interruption.watch` a signal stops it between two folds, or within one where the method can be continued there
    (Interrupted is raised); folds that were finished before are taken back, not fitted again.
    """
    _require_own(datasets, splits)
    names = dict.fromkeys(fold.name for split in splits for fold in split.questions)
    teams = [(name, team) for name in names for team in _teams(method, list(_members(name, datasets, splits)))]
    fits = _fits(method, [team for _, team in teams], embedder, seed)
    found: dict[str, Folds] = {dataset.name: [] for dataset in datasets}
    for (name, team), fit in zip(teams, fits, strict=True):
        kept = finished_folds.place(method, team, embedder, seed)
        for (dataset, _), answer in zip(_asked(team), _answers(fit, team, kept), strict=True):
            found[dataset.name].append((name, answer))
    return found


def _teams(method: Method, members: list[Member]) -> list[list[Member]]:
    return [members] if method.joint else [[member] for member in _asked(members)]


def _fits(method: Method, teams: Sequence[Sequence[Member]], embedder: Embedder, seed: int) -> list[Fit]:
    """What fits each team; the first one that is called of a `Batched` method does for all what they share."""

    def taught(team: Sequence[Member]) -> list[Dataset]:
        return [dataset.select(fold.train) for dataset, fold in team]

    if not isinstance(method, Batched):
        return [partial(lambda team: method.fit(taught(team), embedder, seed), team) for team in teams]
    together = cache(lambda: method.fit_each([only(taught(team)) for team in teams], embedder, seed))
    return [partial(lambda number: together()[number](), number) for number in range(len(teams))]


def _answers(fit: Fit, team: Sequence[Member], kept: Path | None) -> list[Predictions]:
    if kept is not None and kept.is_file():
        return finished_folds.take_back(kept)
    interruption.stop_if_requested()
    predictor = fit()
    answers = [predictor.predict(dataset.variants.select(fold.test)) for dataset, fold in _asked(team)]
    if kept is not None:
        finished_folds.keep(answers, kept)
    return answers


def _require_own(datasets: Sequence[Dataset], splits: Sequence[Split]) -> None:
    names = [dataset.name for dataset in datasets]
    if len(set(names)) != len(names):
        raise SplitError(f"a dataset is given twice: {', '.join(names)}; give each once")
    for dataset, split in zip(datasets, splits, strict=True):
        differ = sorted(set(dataset.variants.mutants) ^ set(split.mutants))
        if differ:
            raise SplitError(
                f"{dataset.name}: its split is of other variants ({len(differ)} differ: {', '.join(differ[:5])}); "
                "make it from this dataset with `multimep split`, and give datasets and splits in the same order"
            )


def _members(name: str, datasets: Sequence[Dataset], splits: Sequence[Split]) -> Iterator[Member]:
    for dataset, split in zip(datasets, splits, strict=True):
        for fold in split.folds:
            if fold.belongs_to(name):
                yield dataset, fold


def _asked(team: Sequence[Member]) -> list[Member]:
    return [(dataset, fold) for dataset, fold in team if fold.test]
