"""A kernel between variants as sets of mutations: what is known of a mutation from its site and its two residues alone.

f(x) = f_0 + sum_{m in x} g(m): a variant is the sum of its mutations, so k(x, x') sums over pairs of mutations. Between
two mutations m = (i, a -> b) and m' = (i', a' -> b')
    k(m, m') = sum_t s_t h_t(i - i') exp(-sum_k c_tk D_k(m, m')) + s_l phi(m).phi(m')
with phi.phi' = sum_ab phi_a M_ab phi'_b, D the separation |i - i'| and the dissimilarities of a and a' and of b and b',
h_t 1, or [i = i'], or (1 + cos(2 pi (i - i') / 3.6)) / 2 for the two faces of a helix. Each factor is positive
semi-definite, hence all products and sums of them.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float, Int
from scipy.sparse import csr_array

from multimep.dataset import Variants
from multimep.evidence import Prior, Pullback
from multimep.mutations import COLUMN, Mutation
from multimep.substitutions import DISSIMILARITY, FEATURES, features, surroundings


@dataclass(frozen=True)
class Term:
    """One product of the kernel, with the medians of the priors of its hyperparameters.

    Attributes:
        name: of the term.
        variance: median of s_t, in units of the variance of the fitness.
        rates: measure -> median of c_tk: per residue for `separation`, per mean dissimilarity for the other two.
        same_site: whether mutations at two sites have nothing in common.
        helical: whether sites that face the same side of a helix are alike.
    """

    name: str
    variance: float
    rates: dict[str, float]
    same_site: bool = False
    helical: bool = False


TERMS = (
    Term("site", 0.4, {"substitute": 0.3}, same_site=True),
    Term("neighbours", 0.15, {"separation": 1 / 2}),
    Term("region", 0.15, {"separation": 1 / 20}),
    Term("exchange", 0.3, {"reference": 1.0, "substitute": 1.0}),
    Term("local_exchange", 0.15, {"separation": 1 / 5, "reference": 0.5, "substitute": 0.5}),
    Term("helix", 0.1, {"separation": 1 / 8, "substitute": 0.3}, helical=True),
)
"""What mutations share: their site; a stretch of a few residues; a region; the same kind of exchange; that within a
stretch; the same side of a helix. The medians were chosen on twenty scans of proteins other than those of the published
figures; they matter little: none of two dozen variants of them changed the mean rank correlation by more than 0.006."""

PITCH = 3.6
"""Residues of one turn of an alpha helix (Pauling, Corey & Branson 1951)."""
LINEAR = 0.015
"""Median of s_l."""
NOISE = 0.4
"""Median of the noise variance, in units of the variance of the fitness."""
OFFSET = 1.0
"""Prior variance of f_0: the fitness is centred on its mean, which is known to about its standard deviation."""

SPREADS = {"variance": 1.0, "rate": 0.5}
"""Of the logarithms: a variance within a factor of 7, a rate within one of 2.7 with 95 % probability: weak, for a few
dozen rows say little of either."""

NAMES = (
    *(f"{term.name}.{part}" for term in TERMS for part in ("variance", *term.rates)),
    "linear.variance",
    "noise.variance",
)
"""Of the hyperparameters, in the order of theta."""


def prior() -> Prior:
    """Weak and the same for every protein."""
    medians = [value for term in TERMS for value in (term.variance, *term.rates.values())] + [LINEAR, NOISE]
    spreads = [SPREADS["variance"] if name.endswith(".variance") else SPREADS["rate"] for name in NAMES]
    return Prior(np.array(medians), np.array(spreads))


TUNED: Float[np.ndarray, "18"] = np.array(
    [
        0.2351, 0.3520, 0.0597, 0.5274, 0.0520, 0.0479, 0.1042, 0.9859, 0.9998,
        0.1040, 0.2030, 0.5397, 0.5642, 0.0806, 0.1239, 0.3242, 0.0219, 0.3083,
    ]
)  # fmt: skip
"""Hyperparameters of largest evidence over samples of 48 single mutants of 32 scans (20 families of proteins), one
value for all of them, starting from the weak prior: `python benchmarks/tuned_prior.py` makes them again."""
TUNED_SPREAD = 0.3
"""Spreads of that prior, in those of the weak one; of 0.1, 0.3 and 1 best by rank correlation on the same scans, by
0.001."""


def tuned_prior() -> Prior:
    """As strong as scans of twenty families make it, and the same for every protein."""
    return Prior(TUNED, TUNED_SPREAD * prior().spreads)


PRIORS: Mapping[str, Callable[[], Prior]] = {"weak": prior, "tuned": tuned_prior}


UNMIXED: Float[np.ndarray, "6 6"] = np.eye(len(FEATURES))
"""M of features whose slopes vary alike and independently."""


@dataclass(frozen=True)
class Mutations:
    """Variants as rows over their distinct mutations.

    Attributes:
        sites: position of each mutation, shape (m,).
        references, substitutes: its residues as indices into AMINO_ACIDS, shape (m,).
        around: hydropathy around its site, shape (m,).
        incidence: Z, `unit` where variant n carries mutation m, shape (n, m), sparse.
        mixing: M, how the slopes of the features vary together, positive semi-definite, shape (6, 6).
    """

    sites: Int[np.ndarray, "m"]
    references: Int[np.ndarray, "m"]
    substitutes: Int[np.ndarray, "m"]
    around: Float[np.ndarray, "m"]
    incidence: csr_array
    mixing: Float[np.ndarray, "6 6"] = field(default_factory=lambda: UNMIXED)

    @property
    def features(self) -> Float[np.ndarray, "m 6"]:
        """Phi of each mutation."""
        return features(self.references, self.substitutes, self.around)


def mutations_of(variants: Variants, unit: float, mixing: Float[np.ndarray, "6 6"] = UNMIXED) -> Mutations:
    """The distinct mutations of the variants, sorted; `unit` weighs each so that a typical variant has variance 1."""
    distinct = sorted({mutation for genotype in variants.genotypes for mutation in genotype})
    column = {mutation: index for index, mutation in enumerate(distinct)}
    pairs = [(row, column[one]) for row, genotype in enumerate(variants.genotypes) for one in genotype]
    rows, columns = np.array(pairs, dtype=np.int64).reshape(-1, 2).T
    incidence = csr_array((np.full(len(pairs), unit), (rows, columns)), shape=(len(variants), len(distinct)))
    sites, references, substitutes = _columns(distinct)
    return Mutations(sites, references, substitutes, surroundings(variants.wild_type)[sites - 1], incidence, mixing)


def _columns(mutations: Sequence[Mutation]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rows = [(one.position, COLUMN[one.reference], COLUMN[one.substitute]) for one in mutations]
    sites, references, substitutes = np.array(rows, dtype=np.int64).reshape(-1, 3).T
    return sites, references, substitutes


def unit_of(variants: Variants) -> float:
    """1 / sqrt(mean number of mutations): the effect of one mutation where independent ones add up to variance 1."""
    # var(sum of d effects) = d var(effect)
    return float(1 / np.sqrt(max(np.mean(variants.depths), 1.0)))


Measures = dict[str, Float[np.ndarray, "m p"]]


def measures(left: Mutations, right: Mutations) -> Measures:
    """D_k between the mutations of two sets, how far they face one side of a helix, and phi.phi' as `product`."""
    separation = np.abs(left.sites[:, None] - right.sites[None, :]).astype(np.float64)
    return {
        "separation": separation,
        "facing": (1 + np.cos(2 * np.pi * separation / PITCH)) / 2,
        "reference": DISSIMILARITY[np.ix_(left.references, right.references)],
        "substitute": DISSIMILARITY[np.ix_(left.substitutes, right.substitutes)],
        "product": left.features @ left.mixing @ right.features.T,
    }


def terms(between: Measures, theta: Float[np.ndarray, "k"]) -> list[Float[np.ndarray, "m p"]]:
    """Every term of the kernel between mutations, the linear one last."""
    value = dict(zip(NAMES, np.exp(theta), strict=True))
    parts = []
    for term in TERMS:
        # s exp(-sum_k c_k D_k), at one site alone or times (1 + cos(2 pi |i - i'| / 3.6)) / 2 where the term says so
        exponent = sum((value[f"{term.name}.{name}"] * between[name] for name in term.rates), np.float64(0))
        part = value[f"{term.name}.variance"] * np.exp(-exponent)
        part = between["facing"] * part if term.helical else part
        parts.append(np.where(between["separation"] == 0, part, 0.0) if term.same_site else part)
    return [*parts, value["linear.variance"] * between["product"]]


def _sum(parts: list[Float[np.ndarray, "m p"]]) -> Float[np.ndarray, "m p"]:
    return np.asarray(sum(parts[1:], parts[0]))


def kernel(left: Mutations, right: Mutations, theta: Float[np.ndarray, "k"]) -> Float[np.ndarray, "n p"]:
    """k(x, x') between the variants of two sets."""
    # K = f_0's variance + Z k(m, m') Z'^T
    inner = _sum(terms(measures(left, right), theta))
    return np.asarray(OFFSET + (right.incidence @ (left.incidence @ inner).T).T)


def variances(of: Mutations, theta: Float[np.ndarray, "k"]) -> Float[np.ndarray, "n"]:
    """k(x, x) of each variant."""
    # K_nn = f_0's variance + sum_m (Z k)_nm Z_nm
    inner = _sum(terms(measures(of, of), theta))
    return np.asarray(OFFSET + of.incidence.multiply(of.incidence @ inner).sum(axis=1))


def noise_of(theta: Float[np.ndarray, "k"]) -> float:
    """The noise variance."""
    return float(np.exp(theta[NAMES.index("noise.variance")]))


@dataclass(frozen=True)
class SiteCovariance:
    """The covariance of measurements of one set of variants as a function of theta, for `evidence`.

    Attributes:
        rows: the variants.
        between: measures between their mutations, made once.
    """

    rows: Mutations
    between: Measures

    def __call__(self, theta: Float[np.ndarray, "k"]) -> tuple[Float[np.ndarray, "n n"], Pullback]:
        """A = K + noise I, and the derivatives of tr(G^T A)."""
        parts, z = terms(self.between, theta), self.rows.incidence
        a = OFFSET + (z @ (z @ _sum(parts)).T).T + noise_of(theta) * np.eye(z.shape[0])
        return a, lambda g: self._pull(parts, theta, g)

    def _pull(
        self, parts: list[Float[np.ndarray, "m m"]], theta: Float[np.ndarray, "k"], g: Float[np.ndarray, "n n"]
    ) -> Float[np.ndarray, "k"]:
        # tr(G^T Z k Z^T) = tr((Z^T G Z)^T k);  dk_t / dlog s_t = k_t;  dk_t / dlog c_tk = -c_tk D_k k_t
        value, z = dict(zip(NAMES, np.exp(theta), strict=True)), self.rows.incidence
        inner = (z.T @ (z.T @ g).T).T
        gradient = []
        for term, part in zip(TERMS, parts, strict=False):
            weighted = inner * part
            gradient.append(float(weighted.sum()))
            gradient += [-value[f"{term.name}.{k}"] * float(np.vdot(weighted, self.between[k])) for k in term.rates]
        return np.array([*gradient, np.vdot(inner, parts[-1]), noise_of(theta) * np.trace(g)])


def site_covariance(rows: Mutations) -> SiteCovariance:
    """The covariance over these variants."""
    return SiteCovariance(rows, measures(rows, rows))
