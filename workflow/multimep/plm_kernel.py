"""The kernel of `site_kernel`, and what a language model, a given score and a structure add to it.

    k(x, x') = k_site(x, x') + sum_t s_t (Z exp(-sum_k c_tk D_k) Z'^T)(x, x') exp(-sum_l c_tl D_l(x, x'))
               + sum_j s_j phi_j(x) phi_j(x')
Z says which mutations a variant carries, D_k compares two mutations, D_l two variants, phi_j is a number of a variant.
A term without any D_k has 1 in place of the first factor. Every D is a Euclidean distance, a squared one, or the
distance of two numbers, so each factor is positive semi-definite, hence (Schur) all products and sums. The idea of
products of site similarity, likelihood and distance is Kermut's (Groth et al. 2024, arXiv:2407.00002).
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from multimep import site_kernel
from multimep.evidence import Prior, Pullback
from multimep.knowledge import Between, Knowledge, Rows, between

Rates = Mapping[str, float]


@dataclass(frozen=True)
class Term:
    """One product of the kernel, with the medians of the priors of its hyperparameters; weak, as in `site_kernel`.

    Attributes:
        name: of the term.
        variance: median of s_t, in units of the variance of the fitness.
        mutations: measure between mutations -> median of its rate.
        variants: measure between variants -> median of its rate.
    """

    name: str
    variance: float
    mutations: Rates
    variants: Rates


TERMS = (
    Term("profile", 0.2, {"hellinger": 2.0, "likelihood": 0.3}, {}),
    Term("attention", 0.1, {"resistance": 2.0, "substitute": 0.3}, {}),
    Term("fold", 0.2, {"distance": 1 / 8}, {}),
    Term("fold_exchange", 0.2, {"distance": 1 / 8, "substitute": 0.5}, {}),
    Term("burial", 0.2, {"burial": 1.0, "substitute": 0.5}, {}),
    Term("fold_profile", 0.2, {"distance": 1 / 8, "hellinger": 2.0, "likelihood": 0.3}, {}),
    Term("score", 0.2, {}, {"squared_score": 0.5}),
    Term("fold_score", 0.1, {"distance": 1 / 8}, {"score": 0.5}),
    Term("embedding", 0.2, {}, {"embedding": 1.0}),
)
"""What the parts add: sites at which the language model expects alike residues, and exchanges that it finds as likely;
sites that attend to one another; sites near in space, alone, for alike residues, of alike profile or score; sites as
buried for alike residues; any smooth function of the score; variants of alike embedding. A term is there where all
that it compares is known. Units: 1 for Hellinger, nats, mean resistance, angstrom, standard deviations of neighbour
counts and scores, mean squared distance of embeddings. Set beforehand, from the orders of magnitude of these units."""

LINEAR: Rates = {"zero_shot": 0.1, "buried": 0.05}
"""Numbers of a variant -> median of the variance s_j of their slopes around the expected ones."""


@dataclass(frozen=True)
class PlmKernel:
    """The terms that are there, and theta: hyperparameters of `site_kernel`, then s_t and c_t of each term, then s_j.

    Attributes:
        known: of the wild type.
        terms: of TERMS.
        linear: of LINEAR.
    """

    known: Knowledge
    terms: tuple[Term, ...]
    linear: tuple[str, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """Of the hyperparameters, in the order of theta."""
        own = [f"{t.name}.{part}" for t in self.terms for part in ("variance", *t.mutations, *t.variants)]
        return (*site_kernel.NAMES, *own, *(f"{name}.variance" for name in self.linear))

    @property
    def prior(self) -> Prior:
        """Weak and the same for every protein."""
        own = [value for t in self.terms for value in (t.variance, *t.mutations.values(), *t.variants.values())]
        site = site_kernel.prior()
        medians = np.array([*own, *(LINEAR[name] for name in self.linear)])
        kinds = ["variance" if name.endswith(".variance") else "rate" for name in self.names[len(site.medians) :]]
        spreads = np.array([site_kernel.SPREADS[kind] for kind in kinds])
        return Prior(np.concatenate([site.medians, medians]), np.concatenate([site.spreads, spreads]))

    def features(self, rows: Rows) -> Float[np.ndarray, "n j"]:
        """phi_j of each variant, in the order of `linear`."""
        z = rows.mutations.incidence
        columns = (
            {"buried": z @ self.known.burial[rows.mutations.sites - 1]} if self.known.structure is not None else {}
        )
        if rows.score is not None:
            columns["zero_shot"] = rows.score
        return np.array([columns[name] for name in self.linear], np.float64).reshape(len(self.linear), z.shape[0]).T

    def cross(self, left: Rows, right: Rows, theta: Float[np.ndarray, "k"]) -> Float[np.ndarray, "n p"]:
        """k(x, x') between the variants of two sets."""
        total = site_kernel.kernel(left.mutations, right.mutations, self._site(theta))
        measured, (z, w) = between(left, right, self.known), (left.mutations.incidence, right.mutations.incidence)
        for term, (s, rates) in zip(self.terms, self._values(theta), strict=True):
            inner, outer = _factors(term, measured, rates)
            total = total + s * outer * (1.0 if inner is None else (w @ (z @ inner).T).T)
        return np.asarray(total + (self.features(left) * self._slopes(theta)) @ self.features(right).T)

    def variances(self, rows: Rows, theta: Float[np.ndarray, "k"]) -> Float[np.ndarray, "n"]:
        """k(x, x) of each variant."""
        total = site_kernel.variances(rows.mutations, self._site(theta))
        measured, z = between(Rows(rows.mutations), Rows(rows.mutations), self.known), rows.mutations.incidence
        for term, (s, rates) in zip(self.terms, self._values(theta), strict=True):
            inner = _product(term.mutations, measured.mutations, rates)
            total = total + s * (1.0 if inner is None else np.asarray(z.multiply(z @ inner).sum(axis=1)))
        return np.asarray(total + self.features(rows) ** 2 @ self._slopes(theta))

    def covariance(self, rows: Rows) -> "PlmCovariance":
        """The covariance over these variants, for `evidence`."""
        return PlmCovariance(self, rows, between(rows, rows, self.known), self.features(rows))

    def _site(self, theta: Float[np.ndarray, "k"]) -> Float[np.ndarray, "s"]:
        return theta[: len(site_kernel.NAMES)]

    def _slopes(self, theta: Float[np.ndarray, "k"]) -> Float[np.ndarray, "j"]:
        return np.asarray(np.exp(theta[len(theta) - len(self.linear) :]))

    def _values(self, theta: Float[np.ndarray, "k"]) -> list[tuple[float, list[float]]]:
        """Variance and rates of each term."""
        rest, found = list(np.exp(theta[len(site_kernel.NAMES) :])), []
        for term in self.terms:
            size = 1 + len(term.mutations) + len(term.variants)
            found.append((float(rest[0]), [float(rate) for rate in rest[1:size]]))
            rest = rest[size:]
        return found


def _product(rates: Rates, measured: Mapping[str, np.ndarray], values: list[float]) -> np.ndarray | None:
    # exp(-sum_k c_k D_k); None where nothing is compared
    parts = [value * measured[name] for name, value in zip(rates, values, strict=False)]
    return np.exp(-np.asarray(sum(parts[1:], parts[0]))) if parts else None


def _factors(term: Term, measured: Between, rates: list[float]) -> tuple[np.ndarray | None, np.ndarray | float]:
    """The factor between mutations, and that between variants."""
    outer = _product(term.variants, measured.variants, rates[len(term.mutations) :])
    return _product(term.mutations, measured.mutations, rates), 1.0 if outer is None else outer


def plm_kernel(known: Knowledge, scored: bool) -> PlmKernel:
    """The kernel of all that is known; `scored`: variants have a zero-shot score."""
    measured = {"substitute", *known.between_sites} | ({"score", "squared_score"} if scored else set())
    measured |= {"likelihood"} if known.log_probabilities is not None else set()
    measured |= {"embedding"} if known.embedding_unit > 0 else set()
    terms = tuple(term for term in TERMS if {*term.mutations, *term.variants} <= measured)
    there = {"zero_shot": scored, "buried": known.structure is not None}
    return PlmKernel(known, terms, tuple(name for name in LINEAR if there[name]))


@dataclass(frozen=True)
class PlmCovariance:
    """The covariance of measurements of one set of variants as a function of theta, for `evidence`."""

    kernel: PlmKernel
    rows: Rows
    measured: Between
    features: Float[np.ndarray, "n j"]

    def __call__(self, theta: Float[np.ndarray, "k"]) -> tuple[Float[np.ndarray, "n n"], Pullback]:
        """A = K + noise I, and the derivatives of tr(G^T A)."""
        z, values = self.rows.mutations.incidence, self.kernel._values(theta)
        site = site_kernel.SiteCovariance(self.rows.mutations, self.measured.mutations)
        a, pull_site = site(self.kernel._site(theta))
        factors = [
            _factors(term, self.measured, rates) for term, (_, rates) in zip(self.kernel.terms, values, strict=True)
        ]
        for (s, _), (inner, outer) in zip(values, factors, strict=True):
            a = a + s * outer * (1.0 if inner is None else (z @ (z @ inner).T).T)
        slopes = self.kernel._slopes(theta)
        a = a + (self.features * slopes) @ self.features.T

        def pull(g: Float[np.ndarray, "n n"]) -> Float[np.ndarray, "k"]:
            parts = [self._pull(*one, g) for one in zip(self.kernel.terms, values, factors, strict=True)]
            # d tr(G^T phi s phi^T) / dlog s_j = s_j phi_j^T G phi_j
            linear = slopes * np.sum(self.features * (g @ self.features), axis=0)
            return np.concatenate([pull_site(g), *parts, linear])

        return a, pull

    def _pull(
        self,
        term: Term,
        value: tuple[float, list[float]],
        factors: tuple[np.ndarray | None, np.ndarray | float],
        g: Float[np.ndarray, "n n"],
    ) -> Float[np.ndarray, "c"]:
        # A = s (Z k Z^T) o V: with B = G o V, tr(G^T A) = s tr((Z^T B Z)^T k);
        # d/dlog c_k = -c_k s <(Z^T B Z) o k, D_k>;  d/dlog c_l = -c_l <G o A, D_l>
        (s, rates), (inner, outer), z = value, factors, self.rows.mutations.incidence
        whole = s * outer * (1.0 if inner is None else (z @ (z @ inner).T).T) * g
        weighted = np.zeros(1) if inner is None else s * (z.T @ (z.T @ (g * outer)).T).T * inner
        below = [float(np.vdot(weighted, self.measured.mutations[name])) for name in term.mutations]
        above = [float(np.vdot(whole, self.measured.variants[name])) for name in term.variants]
        return np.array([float(np.sum(whole)), *(-c * d for c, d in zip(rates, below + above, strict=True))])
