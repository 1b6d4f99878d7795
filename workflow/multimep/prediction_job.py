"""One cross-prediction from files to files: what `multimep cross-predict` and every unit of a shard do."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from multimep import chosen_model, interruption, predictions, settings, splits
from multimep import dataset as datasets
from multimep.chosen_model import Loader
from multimep.cross_prediction import cross_predict


@dataclass(frozen=True)
class PredictionJob:
    """What is to be done, by names of files.

    Attributes:
        method: name in METHODS.
        settings: of the method.
        tables, splits, outputs: one of each per dataset, in one order.
        stores: embedding stores to look in first.
        language_model: name, path or JSON.
        seed: everything random follows from it.
    """

    method: str
    settings: Mapping[str, Any]
    tables: Sequence[Path]
    splits: Sequence[Path]
    outputs: Sequence[Path]
    stores: Sequence[Path] = ()
    language_model: str = "mini"
    seed: int = 0

    def run(
        self, mirror: str, cache: Path, unfinished: Path | None = None, loader: Loader | None = None
    ) -> dict[str, int]:
        """Fit, predict and write; returns how many folds each dataset has.

        Where a folder for unfinished work is given, a signal keeps it there and raises `interruption.Interrupted`.
        """
        chosen = settings.method(self.method, self.settings, "--settings")
        tables = [datasets.read(path) for path in self.tables]
        folds = [splits.read(path) for path in self.splits]
        embedder = chosen_model.embedder(self.language_model, self.stores, mirror, cache, loader)
        with interruption.watch(unfinished, chosen_model.identity(self.language_model)):
            found = cross_predict(chosen, tables, folds, embedder, self.seed)
            for table, path in zip(tables, self.outputs, strict=True):
                predictions.write(found[table.name], path)
        return {table.name: len(found[table.name]) for table in tables}
