"""The one door through which methods reach a language model: stored representations first, computed where they lack."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

from multimep.dataset import Variants
from multimep.embeddings import MARGINALS, Store, key, maker, open_store

if TYPE_CHECKING:  # most methods find all they ask for in the stores, and never need torch
    from multimep.language_model import BatchSize, LanguageModel


class EmbedderError(ValueError):
    """Stores that do not belong to the language model; the message names both."""


@dataclass(frozen=True)
class Embedder:
    """Representations of variants by one language model.

    Attributes:
        load: loads the language model; called at most once, and only when a store lacks something.
        stores: embedding stores to look in first; all by the same maker.
        batch_size: sequences per forward pass where something must be computed; auto: by tokens.
    """

    load: Callable[[], "LanguageModel"]
    stores: tuple[Path, ...] = ()
    batch_size: "BatchSize" = "auto"

    @cached_property
    def language_model(self) -> "LanguageModel":
        """The language model; raises EmbedderError where a store was made by another one."""
        model = self.load()
        for store in self._open:
            if store.maker != maker(model):
                raise EmbedderError(
                    f"{store.path} was made by {store.maker}, the language model at hand is {maker(model)}"
                )
        return model

    @cached_property
    def _open(self) -> tuple[Store, ...]:
        return tuple(map(open_store, self.stores))

    @property
    def used(self) -> str:
        """The sha256 of the language model that rows or marginals came from; empty if nothing was asked of it."""
        if "language_model" in self.__dict__:
            return self.language_model.sha256
        return self._open[0].maker.sha256 if "_open" in self.__dict__ and self.stores else ""

    def pooled(self, variants: Variants) -> Float[np.ndarray, "n width"]:
        """Mean of the last layer over the residues of each variant, float32."""
        return self._rows("pooled", variants)

    def residues(self, variants: Variants) -> Float[np.ndarray, "n length width"]:
        """Last layer of each variant, residue by residue, float32."""
        return self._rows("residues", variants)

    def marginals(self, wild_type: str, kind: str) -> Float[np.ndarray, "length 20"]:
        """Log-probabilities of the amino acids at each position of `wild_type`; kind is `wild_type` or `masked`."""
        stored = (store.marginals(wild_type, kind) for store in self._open)
        found = next((values for values in stored if values is not None), None)
        return MARGINALS[kind](self.language_model, wild_type) if found is None else found

    def attention(self, wild_type: str) -> Float[np.ndarray, "length length"]:
        """How much the residues of `wild_type` attend to one another, see `LanguageModel.attention`."""
        stored = (store.attention(wild_type) for store in self._open)
        found = next((values for values in stored if values is not None), None)
        return self.language_model.attention(wild_type).cpu().numpy() if found is None else found

    def _rows(self, name: str, variants: Variants) -> Float[np.ndarray, "n ..."]:
        keys = [key(sequence) for sequence in variants.sequences]
        for store in self._open:
            if (name == "pooled" or store.has_residues) and all(text in store.row_of for text in keys):
                return store.rows(name, keys)
        return self._compute(name, variants)

    def _compute(self, name: str, variants: Variants) -> Float[np.ndarray, "n ..."]:
        size = self.language_model.at_once(len(variants.wild_type), self.batch_size)
        batches = [variants.sequences[start : start + size] for start in range(0, len(variants), size)]
        return np.concatenate(list(self.language_model.rows(batches, pooled=name == "pooled")))
