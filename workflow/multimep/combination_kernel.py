"""A kernel over combinations of mutations: near are variants with alike residues at the sites that matter.

    k(x, x') = v exp(-sum_s r_s d(x_s, x'_s)),   d(a, b) = (1 - m) [a != b] + m D(a, b)

over the sites s that were mutated, with a relevance r_s for each (automatic relevance determination) and D the
`substitutions.DISSIMILARITY`. [a != b] and D are squared Euclidean distances, so each factor is positive semi-definite
(Schoenberg) and so is their product. Unlike a sum over mutations it expects that effects depend on each other, at any
order: for combinatorial libraries. theta holds logarithms: v, noise, the shared reach r, the odds m / (1 - m), and the
ratio r_s / r of each site. float64 throughout.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from multimep.dataset import Variants
from multimep.evidence import Covariance, Prior, Pullback
from multimep.mutations import AMINO_ACIDS
from multimep.substitutions import DISSIMILARITY

SHARED = 4
"""Hyperparameters before the ratios of the sites."""
UNLIKE: Float[np.ndarray, "20 20"] = 1 - np.eye(len(AMINO_ACIDS))


@dataclass(frozen=True)
class Combinations:
    """The residues of n variants at some sites of one protein.

    Attributes:
        sites: positions counted from 1, rising, shape (s,).
        residues: indices into AMINO_ACIDS, shape (n, s).
        elsewhere: the mutations at other sites: row, and residue before and after, shape (m, 3).
    """

    sites: Int[np.ndarray, "s"]
    residues: Int[np.ndarray, "n s"]
    elsewhere: Int[np.ndarray, "m 3"]


def sites_of(variants: Variants) -> Int[np.ndarray, "s"]:
    """The positions that are mutated in any of the variants, counted from 1, rising."""
    return np.array(sorted({one.position for genotype in variants.genotypes for one in genotype}), dtype=np.int64)


def combinations(variants: Variants, sites: Int[np.ndarray, "s"]) -> Combinations:
    """The variants' residues at these sites, and what they mutate beside them."""
    letters = np.array([AMINO_ACIDS.index(letter) for letter in variants.wild_type], dtype=np.int64)
    column = {int(site): index for index, site in enumerate(sites)}
    residues = np.tile(letters[sites - 1], (len(variants), 1))
    elsewhere = []
    for row, genotype in enumerate(variants.genotypes):
        for one in genotype:
            substitute = AMINO_ACIDS.index(one.substitute)
            if one.position in column:
                residues[row, column[one.position]] = substitute
            else:
                elsewhere.append((row, int(letters[one.position - 1]), substitute))
    return Combinations(sites, residues, np.array(elsewhere, dtype=np.int64).reshape(-1, 3))


def apart(rows: Combinations) -> float:
    """The mean number of sites at which two different rows differ, at least 1."""
    n = len(rows.residues)
    counts = (np.bincount(column, minlength=len(AMINO_ACIDS)) for column in rows.residues.T)
    pairs = sum(n * n - int(count @ count) for count in counts)
    return max(1.0, pairs / max(n * (n - 1), 1))


def prior(rows: Combinations) -> Prior:
    """Weak: two variants as far apart as is usual here have a correlation of exp(-1.5); sites differ by a factor e."""
    shared = np.array([1.0, 0.15, 1.5 / apart(rows), 1.0])
    ratios = np.ones(len(rows.sites))
    return Prior(np.concatenate([shared, ratios]), np.concatenate([[1.5, 1.5, 1.0, 1.5], ratios]))


def names_of(sites: Int[np.ndarray, "s"]) -> tuple[str, ...]:
    """Of the hyperparameters, in the order of theta."""
    return ("variance", "noise.variance", "reach", "exchange.odds", *(f"site_{site}.relevance" for site in sites))


@dataclass(frozen=True)
class _Terms:
    """The exponent sum_s r_s d(x_s, x'_s), by one matrix product over the residues seen at each site.

    Attributes:
        ones: whether each of the right rows has the residue, shape (p, c).
        unlike, dissimilar: both distances of each left row's residue from it, shape (n, c).
        site: of each residue, shape (c,).
    """

    ones: Float[np.ndarray, "p c"]
    unlike: Float[np.ndarray, "n c"]
    dissimilar: Float[np.ndarray, "n c"]
    site: Int[np.ndarray, "c"]


def _terms(left: Combinations, right: Combinations) -> _Terms:
    seen = [np.unique(column) for column in right.residues.T]
    site = np.repeat(np.arange(len(seen)), [len(letters) for letters in seen])
    residue = np.concatenate([np.zeros(0, np.int64), *seen])
    ones = (right.residues[:, site] == residue).astype(np.float64)
    here = left.residues[:, site]
    return _Terms(ones, UNLIKE[here, residue], DISSIMILARITY[here, residue], site)


def _mix(theta: Float[np.ndarray, "k"]) -> float:
    return float(1 / (1 + np.exp(-theta[3])))


def _relevances(theta: Float[np.ndarray, "k"]) -> Float[np.ndarray, "s"]:
    return np.asarray(np.exp(theta[2] + theta[SHARED:]))


def noise_of(theta: Float[np.ndarray, "k"]) -> float:
    """The variance of a measurement around the latent function."""
    return float(np.exp(theta[1]))


def variance_of(theta: Float[np.ndarray, "k"]) -> float:
    """The prior variance of the latent function, the same for every variant."""
    return float(np.exp(theta[0]))


def kernel(left: Combinations, right: Combinations, theta: Float[np.ndarray, "k"]) -> Float[np.ndarray, "n p"]:
    """K of every row on the left with every row on the right, which mutates nothing beside its sites.

    A site that only the left mutates is as relevant as the prior says: the ratio 1.
    """
    terms, mix = _terms(left, right), _mix(theta)
    distances = ((1 - mix) * terms.unlike + mix * terms.dissimilar) * _relevances(theta)[terms.site]
    beside = np.zeros(len(left.residues))
    rows, before, after = left.elsewhere.T
    np.add.at(beside, rows, np.exp(theta[2]) * ((1 - mix) * UNLIKE + mix * DISSIMILARITY)[before, after])
    return np.asarray(np.exp(theta[0] - beside[:, None] - distances @ terms.ones.T))


def covariance(rows: Combinations) -> Covariance:
    """Theta -> K + noise I over the rows, with its pullback."""
    terms = _terms(rows, rows)

    def of(theta: Float[np.ndarray, "k"]) -> tuple[Float[np.ndarray, "n n"], Pullback]:
        mix, relevances = _mix(theta), _relevances(theta)
        mixed = (1 - mix) * terms.unlike + mix * terms.dissimilar
        k = np.exp(theta[0] - (mixed * relevances[terms.site]) @ terms.ones.T)

        def pullback(g: Float[np.ndarray, "n n"]) -> Float[np.ndarray, "k"]:
            # dk/dlog r_s = -k r_s d_s,   dk/dlog odds = -k m (1 - m) sum_s r_s (D_s - [a != b])
            weighted = g * k
            pulled = weighted @ terms.ones
            by_site = relevances * _by_site(terms.site, np.sum(pulled * mixed, axis=0), len(relevances))
            turned = np.sum(pulled * (terms.dissimilar - terms.unlike), axis=0)
            odds = mix * (1 - mix) * float(relevances @ _by_site(terms.site, turned, len(relevances)))
            shared = [np.sum(weighted), noise_of(theta) * np.trace(g), -np.sum(by_site), -odds]
            return np.concatenate([shared, -by_site])

        return k + noise_of(theta) * np.eye(len(k)), pullback

    return of


def _by_site(site: Int[np.ndarray, "c"], values: Float[np.ndarray, "c"], sites: int) -> Float[np.ndarray, "s"]:
    return np.asarray(np.bincount(site, values, minlength=sites), dtype=np.float64)
