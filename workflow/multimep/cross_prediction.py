"""Cross-prediction: every fold's model is fitted on its teaching variants and asked about the others, never both."""

from collections.abc import Iterator, Sequence

from multimep import finished_folds, interruption
from multimep.dataset import Dataset
from multimep.embedder import Embedder
from multimep.methods.method import Method
from multimep.predictions import Predictions
from multimep.splits import Fold, Split, SplitError

Folds = list[tuple[str, Predictions]]


def cross_predict(
    method: Method, datasets: Sequence[Dataset], splits: Sequence[Split], embedder: Embedder, seed: int
) -> dict[str, Folds]:
    """For each dataset, the predictions of its asked variants fold by fold.

    A method of one protein is fitted per dataset and fold; a joint method once per fold name, on the teaching variants
    of all datasets that have a fold of that name, so no dataset's asked variants are ever among them. Inside
    `interruption.watch` a signal stops it between two folds, or within one where the method can be continued there
    (Interrupted is raised); folds that were finished before are taken back, not fitted again.
    """
    _require_own(datasets, splits)
    found: dict[str, Folds] = {dataset.name: [] for dataset in datasets}
    for name in dict.fromkeys(fold.name for split in splits for fold in split.folds):
        members = list(_members(name, datasets, splits))
        for team in [members] if method.joint else [[member] for member in members]:
            for (dataset, _), answer in zip(team, _answers(method, team, embedder, seed), strict=True):
                found[dataset.name].append((name, answer))
    return found


def _answers(method: Method, team: Sequence[tuple[Dataset, Fold]], embedder: Embedder, seed: int) -> list[Predictions]:
    kept = finished_folds.place(method, team, embedder, seed)
    if kept is not None and kept.is_file():
        return finished_folds.take_back(kept)
    interruption.stop_if_requested()
    predictor = method.fit([dataset.select(fold.train) for dataset, fold in team], embedder, seed)
    answers = [predictor.predict(dataset.variants.select(fold.test)) for dataset, fold in team]
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


def _members(name: str, datasets: Sequence[Dataset], splits: Sequence[Split]) -> Iterator[tuple[Dataset, Fold]]:
    for dataset, split in zip(datasets, splits, strict=True):
        for fold in split.folds:
            if fold.name == name:
                yield dataset, fold
