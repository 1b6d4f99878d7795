"""What a variant looks like to a kernel or to ridge: one row of numbers."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from jaxtyping import Float

from multimep.dataset import Variants
from multimep.embedder import Embedder
from multimep.mutations import AMINO_ACIDS, COLUMN

Features = Callable[[Variants, Embedder], Float[np.ndarray, "n d"]]


def pooled(variants: Variants, embedder: Embedder) -> Float[np.ndarray, "n width"]:
    """Last layer of the language model, averaged over the residues."""
    return embedder.pooled(variants)


def flattened(variants: Variants, embedder: Embedder) -> Float[np.ndarray, "n d"]:
    """Last layer of the language model, residue after residue (d = length x width): knows the site, like TransMEP."""
    return embedder.residues(variants).reshape(len(variants), -1)


def one_hot(variants: Variants, embedder: Embedder) -> Float[np.ndarray, "n d"]:
    """One indicator per position and amino acid; needs no language model; d = length x 20."""
    del embedder
    letters = np.array([[COLUMN[letter] for letter in sequence] for sequence in variants.sequences], dtype=np.int64)
    return np.eye(len(AMINO_ACIDS), dtype=np.float32)[letters].reshape(len(variants), -1)


FEATURES: Mapping[str, Features] = {"pooled": pooled, "flattened": flattened, "one_hot": one_hot}


def indicators(variants: Variants, mutations: Sequence[str]) -> Float[np.ndarray, "n m"]:
    """1 where variant n carries mutation m; a mutation that is not in the list leaves no trace."""
    column = {mutation: index for index, mutation in enumerate(mutations)}
    table = np.zeros((len(variants), len(mutations)))
    for row, genotype in enumerate(variants.genotypes):
        for mutation in genotype:
            if str(mutation) in column:
                table[row, column[str(mutation)]] = 1
    return table
