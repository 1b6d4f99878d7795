"""What rounding a store costs is bounded where it counts: in predictions of `embedding_gp` on rows of `mini`."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import spearmanr

from multimep import language_model
from multimep.embedder import Embedder
from multimep.methods import METHODS
from multimep.predictions import Predictions
from multimep.store_making import embed

WAYS = {"exact": ("fp32", "float32"), "float16": ("fp32", "float16"), "bf16": ("bf16", "float32"),
        "both": ("bf16", "float16")}  # fmt: skip
FARTHEST = {"float16": 0.05, "bf16": 0.3, "both": 0.3}
"""Largest difference of a mean in units of its standard deviation."""


def nothing_to_compute() -> language_model.LanguageModel:
    raise AssertionError("every row is in the store")


@pytest.fixture(scope="module")
def predictions(landscape, tmp_path_factory) -> dict[str, Predictions]:
    """By a model of 48 rows, of 24 others, from a store of each kind."""
    whole, folder = landscape("first", rows=72), tmp_path_factory.mktemp("stores")
    mutants, found, mini = whole.variants.mutants, {}, language_model.load("mini")
    for name, (precision, storage) in WAYS.items():
        # the arithmetic itself, also where the processor has to emulate it
        model = replace(mini, precision=precision)
        embed(whole.variants, model, folder / f"{name}.h5", storage=storage)
        embedder = Embedder(nothing_to_compute, (folder / f"{name}.h5",))
        fitted = METHODS["embedding_gp"]().fit([whole.select(mutants[:48])], embedder, 0)
        found[name] = fitted.predict(whole.variants.select(mutants[48:]))
    return found


@pytest.mark.parametrize("way", FARTHEST)
def test_a_rounded_store_moves_means_by_a_bounded_part_of_their_standard_deviation_and_keeps_their_order(
    way, predictions
):
    exact, rounded = predictions["exact"], predictions[way]
    assert np.std(exact.mean) > 0.1 * np.mean(exact.noisy_std)  # something was learnt that could be lost
    assert np.abs((rounded.mean - exact.mean) / exact.std).max() < FARTHEST[way]
    np.testing.assert_allclose(rounded.noisy_std, exact.noisy_std, rtol=FARTHEST[way])
    assert spearmanr(rounded.mean, exact.mean).statistic >= 0.999
    assert np.abs(rounded.mean - exact.mean).max() > 0  # it was rounded
