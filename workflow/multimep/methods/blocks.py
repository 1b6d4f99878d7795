"""Prediction in bounded memory: features of a million candidates never stand side by side."""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float

from multimep.dataset import Variants

BLOCK = 1024
"""Variants whose features are held at once (1,024 x 92,800 float32 are 380 MB)."""

MeanAndVariance = tuple[Float[np.ndarray, "n"], Float[np.ndarray, "n"]]


def in_blocks(variants: Variants, predict: Callable[[Variants], MeanAndVariance]) -> MeanAndVariance:
    """`predict` applied to runs of variants, the results put together again in their order."""
    runs = [variants.mutants[start : start + BLOCK] for start in range(0, len(variants), BLOCK)]
    parts = [predict(variants.select(run)) for run in runs]
    return np.concatenate([mean for mean, _ in parts]), np.concatenate([variance for _, variance in parts])
