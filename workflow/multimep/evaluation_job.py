"""One evaluation from files to a file: what `multimep evaluate` does."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from multimep import dataset as datasets
from multimep import metrics, paths, predictions, splits
from multimep.metrics import MetricsError

Teaching = Mapping[str, Sequence[str]]


def run(
    table: Path, files: Sequence[Path], split_files: Sequence[Path], bootstrap: int, seed: int, output: Path
) -> int:
    """Evaluate predictions of one dataset and write its metrics; returns how many pairs of split and method there were.

    `files` are named .../SPLIT/METHOD/DATASET.csv and `split_files` .../SPLIT/DATASET.csv; a single one serves all
    predictions that stand in no such folders. Without any, scores on the scale of the teaching rows stay empty.
    """
    data = datasets.read(table)
    found = {key: predictions.read_of(data.variants, path) for key, path in paths.by_split_and_method(files).items()}
    taught = {path.parent.name: _teaching(path) for path in split_files}
    parts = {
        key: metrics.evaluate(data, folds, bootstrap, seed, _of(key[0], taught) if taught else None)
        for key, folds in found.items()
    }
    metrics.write(data.name, parts, output)
    return len(parts)


def _teaching(path: Path) -> Teaching:
    return {fold.name: fold.train for fold in splits.read(path).folds}


def _of(split: str, taught: Mapping[str, Teaching]) -> Teaching:
    if split in taught:
        return taught[split]
    if split == "" and len(taught) == 1:
        return next(iter(taught.values()))
    raise MetricsError(
        f"predictions of split {split!r} have no --split among {', '.join(taught)}; "
        f"give it as .../{split or 'SPLIT'}/DATASET.csv"
    )
