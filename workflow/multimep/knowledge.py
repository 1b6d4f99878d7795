"""What is known of a wild type's sites before any measurement, and how far apart that puts mutations and variants."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float

from multimep import site_kernel
from multimep.gaussian_process import squared_distances
from multimep.site_kernel import Measures, Mutations
from multimep.structure import Structure


def hellinger(log_probabilities: Float[np.ndarray, "length 20"]) -> Float[np.ndarray, "length length"]:
    """Between the distributions of every two sites, 0 to 1."""
    # H(p, q)^2 = 1 - sum_a sqrt(p_a q_a)
    roots = np.exp(np.asarray(log_probabilities, np.float64) / 2)
    found = np.sqrt(np.maximum(1 - roots @ roots.T, 0))
    np.fill_diagonal(found, 0)
    return np.asarray(found)


def resistance(attention: Float[np.ndarray, "length length"]) -> Float[np.ndarray, "length length"]:
    """Square root of the resistance between sites in the net of attention and backbone, over its mean.

    A Euclidean distance (Klein & Randic 1993, doi:10.1007/BF01164627). Attention below 0 conducts nothing; what is
    above is scaled to a mean of 1 in all from each site, and neighbours along the chain conduct 1 besides.
    """
    length = len(attention)
    conducts = np.maximum(attention, 0) * (1 - np.eye(length))
    conducts = conducts / max(float(conducts.sum()) / length, 1e-12) + np.eye(length, k=1) + np.eye(length, k=-1)
    # R_ij = P_ii + P_jj - 2 P_ij,  P the pseudo-inverse of the Laplacian diag(g 1) - g
    inverse = np.linalg.pinv(np.diag(conducts.sum(axis=1)) - conducts, hermitian=True)
    own = np.diag(inverse)
    found = np.sqrt(np.maximum(own[:, None] + own[None, :] - 2 * inverse, 0)) * (1 - np.eye(length))
    return np.asarray(found / max(float(found.mean()), 1e-12))


@dataclass(frozen=True)
class Knowledge:
    """What is known of the sites of a wild type; None: not used.

    Attributes:
        log_probabilities: of the amino acids at each site, shape (length, 20).
        attention: how much sites attend to one another, shape (length, length).
        structure: CA positions.
        embedding_unit: squared distance of embeddings that counts as 1; 0: embeddings are not used.
    """

    log_probabilities: Float[np.ndarray, "length 20"] | None = None
    attention: Float[np.ndarray, "length length"] | None = None
    structure: Structure | None = None
    embedding_unit: float = 0.0

    @cached_property
    def between_sites(self) -> dict[str, Float[np.ndarray, "length length"]]:
        """Distances between all sites by measure."""
        found = {}
        if self.log_probabilities is not None:
            found["hellinger"] = hellinger(self.log_probabilities)
        if self.attention is not None:
            found["resistance"] = resistance(self.attention)
        if self.structure is not None:
            found["distance"] = self.structure.distances
            found["burial"] = np.abs(self.burial[:, None] - self.burial[None, :])
        return found

    @cached_property
    def burial(self) -> Float[np.ndarray, "length"]:
        """Neighbours of each site in space, standardised over the sites; 0 where unknown."""
        counts = np.zeros(1) if self.structure is None else self.structure.neighbours
        spread = float(np.nanstd(counts))
        return np.nan_to_num((counts - np.nanmean(counts)) / (spread if spread > 0 else 1.0))


@dataclass(frozen=True)
class Rows:
    """Variants as the kernel sees them.

    Attributes:
        mutations: as `site_kernel` sees them.
        score: standardised zero-shot score, shape (n,), or None.
        embedding: shape (n, width), or None.
    """

    mutations: Mutations
    score: Float[np.ndarray, "n"] | None = None
    embedding: Float[np.ndarray, "n width"] | None = None


@dataclass(frozen=True)
class Between:
    """Distances between the mutations, and between the variants, of two sets."""

    mutations: Measures
    variants: dict[str, Float[np.ndarray, "n o"]]


def between(left: Rows, right: Rows, known: Knowledge) -> Between:
    """Every measure that what is known allows."""
    one, other = left.mutations, right.mutations
    sites = np.ix_(one.sites - 1, other.sites - 1)
    mutations = {**site_kernel.measures(one, other), **{name: d[sites] for name, d in known.between_sites.items()}}
    if known.log_probabilities is not None:
        # |log p_i(b) - log p_i'(b')|
        here, there = (known.log_probabilities[m.sites - 1, m.substitutes].astype(np.float64) for m in (one, other))
        mutations["likelihood"] = np.abs(here[:, None] - there[None, :])
    variants = {}
    if left.score is not None and right.score is not None:
        variants["score"] = np.abs(left.score[:, None] - right.score[None, :])
        variants["squared_score"] = variants["score"] ** 2
    if left.embedding is not None and right.embedding is not None:
        variants["embedding"] = squared_distances(left.embedding, right.embedding) / known.embedding_unit
    return Between(mutations, variants)
