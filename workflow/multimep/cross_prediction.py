"""Cross-prediction: every fold's model is fitted on its teaching variants and asked about the others, never both."""

from collections.abc import Iterator, Sequence

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
    of all datasets that have a fold of that name, so no dataset's asked variants are ever among them.
    """
    _require_own(datasets, splits)
    found: dict[str, Folds] = {dataset.name: [] for dataset in datasets}
    for name in dict.fromkeys(fold.name for split in splits for fold in split.folds):
        members = list(_members(name, datasets, splits))
        for team in [members] if method.joint else [[member] for member in members]:
            predictor = method.fit([dataset.select(fold.train) for dataset, fold in team], embedder, seed)
            for dataset, fold in team:
                found[dataset.name].append((name, predictor.predict(dataset.variants.select(fold.test))))
    return found


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
