"""Finished folds: what an interrupted command has already predicted, taken back when the same command continues.

This skips no result because a file exists: whether a result is wanted, and made anew, stays Snakemake's decision. The
files here are a part of one command's unfinished work. Their names are the sha256 of all that decides what is in them
(method and settings, rows, fold, language model, seed, version), and they are removed when the command succeeds. This
room alone opens them, so that `cross_prediction` computes and opens none.
"""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from multimep import __version__, interruption, seals
from multimep.dataset import Dataset
from multimep.documents import from_json, text
from multimep.embedder import Embedder
from multimep.embeddings import open_store
from multimep.predictions import Predictions
from multimep.splits import Fold

COLUMNS = ("mean", "std", "noisy_std")


class FinishedFoldsError(ValueError):
    """A kept fold that cannot be read; the message names the file and the remedy."""


def place(method: object, team: Sequence[tuple[Dataset, Fold]], embedder: Embedder, seed: int) -> Path | None:
    """Where the predictions of this fold of these datasets are kept while the command is unfinished; None: nowhere.

    The stores say by which language model they were made; where there are none, the context of `interruption.watch`
    must tell, for loading the model to ask for its sha256 may take longer than the fold.
    """
    if interruption.folder() is None:
        return None
    makers = [open_store(store).maker for store in embedder.stores]
    return interruption.place("fold", ".json", __version__, method, list(team), makers, seed)


def keep(answers: Sequence[Predictions], path: Path) -> None:
    """Write the predictions of each dataset to the last bit; the trainings on the way to them are removed."""
    parts = [{name: getattr(one, name).tolist() for name in COLUMNS} | {"mutants": one.mutants} for one in answers]
    seals.write(path, json.dumps(parts))
    interruption.completed(path)


def take_back(path: Path) -> list[Predictions]:
    """The predictions that `keep` wrote; raises FinishedFoldsError for a damaged file."""
    seals.check(path, FinishedFoldsError)
    try:
        return [
            Predictions(tuple(part["mutants"]), *(np.array(part[name], dtype=np.float64) for name in COLUMNS))
            for part in from_json(text(path))
        ]
    except (KeyError, TypeError, ValueError) as error:
        raise FinishedFoldsError(
            f"{path}: no finished fold ({error}); delete the file, and the fold is predicted anew"
        ) from error
