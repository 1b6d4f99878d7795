"""A kernel between measurements of several assays of one protein: the site kernel, times how alike the assays are.

    k((x, d), (x', d')) = B_dd' k(x, x'),  B = w w^T + diag(kappa)
the intrinsic coregionalisation model of rank 1 (Goovaerts 1997; Bonilla, Chai & Williams 2008): B is positive
semi-definite, hence the product is. Every assay has its own noise. With w = 0 the assays say nothing of each other.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from multimep import site_kernel
from multimep.evidence import Prior, Pullback
from multimep.site_kernel import NAMES, Mutations, SiteCovariance, kernel, site_covariance, variances

SHARED, OWN = 0.7, 0.3
"""Medians of w_d^2 and kappa_d: two assays of one protein are expected to correlate by 0.7, and may by 0.1 or 0.99."""
SPREAD = 1.0
_SITE = len(NAMES) - 1  # without the noise
_NOISELESS = -40.0


@dataclass(frozen=True)
class Coregional:
    """Hyperparameters taken apart.

    Attributes:
        site: logarithms of those of the site kernel, noise among them as good as 0, shape (18,).
        w: what each assay shares with the others, above 0, shape (t,).
        kappa: variance of its own, shape (t,).
        noise: of its measurements, shape (t,).
    """

    site: Float[np.ndarray, "k"]
    w: Float[np.ndarray, "t"]
    kappa: Float[np.ndarray, "t"]
    noise: Float[np.ndarray, "t"]

    @property
    def alike(self) -> Float[np.ndarray, "t t"]:
        """B."""
        return np.asarray(np.outer(self.w, self.w) + np.diag(self.kappa))


def apart(theta: Float[np.ndarray, "k"]) -> Coregional:
    """Logarithms in the order site kernel, w, kappa, noise of each assay."""
    w, kappa, noise = np.exp(theta[_SITE:]).reshape(3, -1)
    return Coregional(np.append(theta[:_SITE], _NOISELESS), w, kappa, noise)


def prior(tasks: int) -> Prior:
    """That of the site kernel, and one for each assay."""
    weak = site_kernel.prior()
    medians = np.repeat([np.sqrt(SHARED), OWN, weak.medians[-1]], tasks)
    spreads = np.repeat([SPREAD / 2, SPREAD, weak.spreads[-1]], tasks)
    return Prior(np.append(weak.medians[:-1], medians), np.append(weak.spreads[:-1], spreads))


@dataclass(frozen=True)
class Rows:
    """Variants and the assay in which each was, or is to be, measured.

    Attributes:
        mutations: of the variants, in one numbering.
        tasks: number of each one's assay, shape (n,).
    """

    mutations: Mutations
    tasks: Int[np.ndarray, "n"]


def cross(left: Rows, right: Rows, theta: Float[np.ndarray, "k"]) -> Float[np.ndarray, "n p"]:
    """K between two sets of measurements without their noise."""
    of = apart(theta)
    return np.asarray(of.alike[np.ix_(left.tasks, right.tasks)] * kernel(left.mutations, right.mutations, of.site))


def prior_variances(rows: Rows, theta: Float[np.ndarray, "k"]) -> Float[np.ndarray, "n"]:
    """k((x, d), (x, d)) of each row."""
    of = apart(theta)
    return np.asarray(np.diag(of.alike)[rows.tasks] * variances(rows.mutations, of.site))


@dataclass(frozen=True)
class CoregionalCovariance:
    """The covariance of measurements of several assays as a function of theta, for `evidence`.

    Attributes:
        site: of the variants without assays.
        tasks: number of each row's assay, shape (n,).
        count: of assays.
    """

    site: SiteCovariance
    tasks: Int[np.ndarray, "n"]
    count: int

    def __call__(self, theta: Float[np.ndarray, "k"]) -> tuple[Float[np.ndarray, "n n"], Pullback]:
        """A = B[d, d'] * K + diag(noise[d]), and the derivatives of tr(G^T A)."""
        of = apart(theta)
        k, pull = self.site(of.site)
        alike = of.alike[np.ix_(self.tasks, self.tasks)]

        def pullback(g: Float[np.ndarray, "n n"]) -> Float[np.ndarray, "k"]:
            # S_dd' = sum of G_ij K_ij over rows of d and d'; dB / dlog w_d = 2 w_d w_d', dB / dlog kappa_d = kappa_d
            one = np.eye(self.count)[self.tasks]
            s = one.T @ (g * k) @ one
            shared = of.w * ((s + s.T) @ of.w)
            noise = of.noise * (one.T @ np.diag(g))
            return np.concatenate([pull(g * alike)[:-1], shared, of.kappa * np.diag(s), noise])

        return alike * k + np.diag(of.noise[self.tasks]), pullback


def coregional_covariance(rows: Rows, count: int) -> CoregionalCovariance:
    """The covariance over these measurements of `count` assays."""
    return CoregionalCovariance(site_covariance(rows.mutations), rows.tasks, count)
