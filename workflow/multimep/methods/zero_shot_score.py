"""A zero-shot score as a feature: from the language model's marginals, or a covariate that the source gives."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from multimep.dataset import Variants
from multimep.embedder import Embedder
from multimep.embeddings import MARGINALS
from multimep.methods.method import FitError, State
from multimep.methods.zero_shot import scores

NONE = "none"


@dataclass(frozen=True)
class ZeroShotScore:
    """z = (score - mean) / scale, standardised on the training rows.

    Attributes:
        source: `masked` or `wild_type` (marginals), or the name of a covariate.
        log_probabilities: at the wild type, shape (length, 20); None for a covariate.
        mean, scale: of the raw score over the training rows, in its unit.
    """

    source: str
    log_probabilities: Float[np.ndarray, "length 20"] | None
    mean: float = 0.0
    scale: float = 1.0

    def raw(self, variants: Variants) -> Float[np.ndarray, "n"]:
        """The score as it comes, in nats or the covariate's unit; raises FitError where variants lack the covariate."""
        if self.log_probabilities is not None:
            return scores(self.log_probabilities, variants.genotypes)
        if self.source not in variants.covariates:
            known = ", ".join(variants.covariates) or "none"
            raise FitError(
                f"{variants.dataset}: these variants have no covariate {self.source!r} (they have: {known}); give it "
                f"in a column covariate_{self.source}, declare it in the source, or set zero_shot: masked"
            )
        return np.asarray(variants.covariates[self.source], np.float64)

    def __call__(self, variants: Variants) -> Float[np.ndarray, "n"]:
        """Standardised."""
        return (self.raw(variants) - self.mean) / self.scale

    @property
    def adds_up(self) -> bool:
        """Whether it is a sum over mutations."""
        return self.log_probabilities is not None

    @property
    def arrays(self) -> dict[str, np.ndarray]:
        """For a State."""
        return {} if self.log_probabilities is None else {"zero_shot_log_probabilities": self.log_probabilities}

    @property
    def facts(self) -> dict[str, Any]:
        """For a State."""
        return {"source": self.source, "mean": self.mean, "scale": self.scale}


def zero_shot_score(source: str, train: Variants, embedder: Embedder) -> ZeroShotScore:
    """The score standardised on these rows; the language model, or a store of it, is asked for its marginals alone."""
    marginals = embedder.marginals(train.wild_type, source) if source in MARGINALS else None
    raw = ZeroShotScore(source, marginals).raw(train)
    if len(raw) == 0 or np.ptp(raw) == 0:  # the standard deviation of equal numbers is not always 0 in float64
        return ZeroShotScore(source, marginals, float(raw[0]) if len(raw) else 0.0, 1.0)
    return ZeroShotScore(source, marginals, float(np.mean(raw)), float(np.std(raw, ddof=1)))


def score_of(state: State, facts: Mapping[str, Any]) -> ZeroShotScore:
    """The score in a state that holds `arrays`, with its `facts`."""
    return ZeroShotScore(
        facts["source"], state.arrays.get("zero_shot_log_probabilities"), facts["mean"], facts["scale"]
    )
