"""What one residue in place of another does to a protein nobody has measured, learned from proteins that were.

The mean effect of a mutation m = (i, a -> b), in standard deviations of the fitness, is
    phi(m).w + r_a + s_b + d_ab
the features of `substitutions`, the residue that goes, the one that comes, and the pair: fixed effects of all proteins,
estimated together by generalised least squares with normal priors, for rows of one protein are not independent.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.linalg import cho_factor, cho_solve

from multimep.mutations import AMINO_ACIDS
from multimep.site_kernel import Mutations
from multimep.substitutions import FEATURES

SLOPES = 0.25
"""Prior variance of each slope, in variances of the fitness: they are of the size of a half, weakly."""
RESIDUES = 0.03
"""Prior variance of the effect of a residue that goes or comes, beyond what features say."""
PAIRS = 0.02
"""Prior variance of that of a pair, beyond both residues. A quarter of these two gave rank correlations 0.003 lower
on the even families of benchmarks/transfer.py, which are not those that it reports on."""

_K = len(AMINO_ACIDS)
_VARIANCES = np.repeat([SLOPES, RESIDUES, PAIRS], [len(FEATURES), 2 * _K, _K**2])


@dataclass(frozen=True)
class Exchanges:
    """What rows say of the effects w = (slopes, r, s, d), all that is needed of them.

    Attributes:
        gram: X^T A^-1 X, shape (e, e).
        moment: X^T A^-1 y, shape (e,).
    """

    gram: Float[np.ndarray, "e e"]
    moment: Float[np.ndarray, "e"]


@dataclass(frozen=True)
class Effects:
    """Expected effects of mutations, in standard deviations of the fitness (higher is better).

    Attributes:
        slopes: of the features, shape (6,).
        residues: beyond them, of each residue (row) by each other (column), in the order of AMINO_ACIDS.
    """

    slopes: Float[np.ndarray, "6"]
    residues: Float[np.ndarray, "20 20"]


def design(rows: Mutations) -> Float[np.ndarray, "n e"]:
    """X: features, indicators of the residue that goes, of the one that comes and of both; summed over mutations."""
    one = np.eye(_K)
    pairs = np.eye(_K**2)[rows.references * _K + rows.substitutes]
    columns = np.hstack([rows.features, one[rows.references], one[rows.substitutes], pairs])
    return np.asarray(rows.incidence @ columns)


def exchanges_of(rows: Mutations, y: Float[np.ndarray, "n"], a: Float[np.ndarray, "n n"]) -> Exchanges:
    """What y = X w + e, e ~ N(0, A), says of w."""
    x, factor = design(rows), cho_factor(a, lower=True)
    solved = cho_solve(factor, x)
    return Exchanges(x.T @ solved, solved.T @ y)


def mean_of(parts: Sequence[Exchanges]) -> Exchanges:
    """What several datasets say that together count as one."""
    return Exchanges(np.mean([one.gram for one in parts], axis=0), np.mean([one.moment for one in parts], axis=0))


def effects_from(parts: Sequence[Exchanges]) -> Effects:
    """Expected w given all parts, w ~ N(0, V) before."""
    # w = (sum_g X_g^T A_g^-1 X_g + V^-1)^-1 sum_g X_g^T A_g^-1 y_g
    precision = np.sum([one.gram for one in parts], axis=0) + np.diag(1 / _VARIANCES)
    w = np.linalg.solve(precision, np.sum([one.moment for one in parts], axis=0))
    slopes, goes, comes, pairs = np.split(w, np.cumsum([len(FEATURES), _K, _K]))
    return Effects(slopes, goes[:, None] + comes[None, :] + pairs.reshape(_K, _K))


def no_effects() -> Effects:
    """Nothing is expected of any exchange."""
    return Effects(np.zeros(len(FEATURES)), np.zeros((_K, _K)))
