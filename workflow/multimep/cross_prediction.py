"""Cross-prediction: every fold's model is fitted on its teaching variants and asked about the others, never both."""

from collections.abc import Iterator, Sequence

from multimep.dataset import Dataset
from multimep.embedder import Embedder
from multimep.methods.method import Method
from multimep.predictions import Predictions
from multimep.splits import Fold, Split

Folds = list[tuple[str, Predictions]]


def cross_predict(
    method: Method, datasets: Sequence[Dataset], splits: Sequence[Split], embedder: Embedder, seed: int
) -> dict[str, Folds]:
    """For each dataset, the predictions of its asked variants fold by fold.

    A method of one protein is fitted per dataset and fold; a joint method once per fold name, on the teaching variants
    of all datasets that have a fold of that name, so no dataset's asked variants are ever among them.
    """
    found: dict[str, Folds] = {dataset.name: [] for dataset in datasets}
    for name in dict.fromkeys(fold.name for split in splits for fold in split.folds):
        members = list(_members(name, datasets, splits))
        for team in [members] if method.joint else [[member] for member in members]:
            predictor = method.fit([dataset.select(fold.train) for dataset, fold in team], embedder, seed)
            for dataset, fold in team:
                found[dataset.name].append((name, predictor.predict(dataset.variants.select(fold.test))))
    return found


def _members(name: str, datasets: Sequence[Dataset], splits: Sequence[Split]) -> Iterator[tuple[Dataset, Fold]]:
    for dataset, split in zip(datasets, splits, strict=True):
        for fold in split.folds:
            if fold.name == name:
                yield dataset, fold
