"""Repeated holdout of kernel ridge over a grid of noise levels and length scales, without one refit.

A holdout fits the rest R of the rows and asks about the set V that was left out: f_V = K_VR (K_RR + alpha I)^-1 y_R. A
Krylov space of K_RR serves every noise level at once (Paige & Saunders 1975; Frommer & Maass 1999), and one matrix
product serves every holdout; noise levels for which it is not at its end after `STEPS` products are solved directly.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from jaxtyping import Bool, Float, Int
from threadpoolctl import threadpool_info, threadpool_limits

from multimep.gaussian_process import Spectrum, rbf, spectrum

TOLERANCE = 1e-6
"""Largest error of a prediction, in units of |y_R|: a bound, so that most are nearer."""
STEPS = 40
"""Products with the kernel after which solving what is left directly is the cheaper way."""
EXHAUSTED = 1e-14
"""A vector shorter than this is rounding: the space before it holds the solution."""
SHARED = 1000
"""Rows from which on threads of linear algebra gain from sharing a matrix; on smaller ones they wait for each other."""
TOGETHER = 128
"""Holdouts in one product: their vectors stay in the cache of a core."""


def holdouts(n: int, fraction: float, repeats: int, seed: int) -> Int[np.ndarray, "repeats held"]:
    """Row numbers of the held-out sets of a repeated holdout: n - int(n (1 - fraction)) rows, drawn anew each time."""
    generator = np.random.default_rng(seed)
    held = n - int(n * (1 - fraction))
    return np.stack([generator.permutation(n)[:held] for _ in range(repeats)])


def holdout_errors(
    distances: Float[np.ndarray, "n n"],
    y: Float[np.ndarray, "n"],
    alphas: Float[np.ndarray, "a"],
    gammas: Float[np.ndarray, "g"],
    held: Int[np.ndarray, "repeats held"],
) -> Float[np.ndarray, "a g"]:
    """Mean squared holdout error of kernel ridge for every (alpha, gamma); each alpha above 0."""
    return _side_by_side(lambda gamma: _errors(distances, y, alphas, gamma, held), gammas, len(y))


def _side_by_side(
    errors: Callable[[float], Float[np.ndarray, "a"]], gammas: Float[np.ndarray, "g"], rows: int
) -> Float[np.ndarray, "a g"]:
    """A column of errors for each length scale; below `SHARED` rows each on one thread, side by side."""
    if rows >= SHARED:
        return np.stack([errors(float(gamma)) for gamma in gammas], axis=1)
    threads = max((pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"), default=1)
    with threadpool_limits(1, user_api="blas"), ThreadPoolExecutor(threads) as pool:
        return np.stack(list(pool.map(errors, map(float, gammas))), axis=1)


def _errors(
    distances: Float[np.ndarray, "n n"],
    y: Float[np.ndarray, "n"],
    alphas: Float[np.ndarray, "a"],
    gamma: float,
    held: Int[np.ndarray, "repeats held"],
) -> Float[np.ndarray, "a"]:
    kernel, errors, known = rbf(distances, gamma), np.zeros(len(alphas)), np.ones(len(alphas), dtype=bool)
    for block in np.array_split(held, -(-len(held) // TOGETHER)):
        found, converged = krylov_errors(kernel, y, alphas, block)
        errors += found.sum(axis=0) / len(held)
        known &= converged
    if not known.all():
        one = spectrum(distances, y, gamma)
        errors[~known] = [direct_errors(one, float(alpha), held).mean() for alpha in alphas[~known]]
    return errors


def krylov_errors(
    kernel: Float[np.ndarray, "n n"],
    y: Float[np.ndarray, "n"],
    alphas: Float[np.ndarray, "a"],
    held: Int[np.ndarray, "r h"],
) -> tuple[Float[np.ndarray, "r a"], Bool[np.ndarray, "a"]]:
    """Mean squared error of each holdout and alpha, and the alphas for which all of them are within `TOLERANCE`."""
    rest = np.ones((len(y), len(held)))
    np.put_along_axis(rest, held.T, 0.0, axis=0)
    size = np.linalg.norm(rest * y[:, None], axis=0)
    top, taken = size[:, None] * np.ones(len(alphas)), np.zeros((len(held), len(alphas)))
    seen, tops, pivots, couplings = [], [], [], []
    for product, diagonal, coupling in _lanczos(kernel, rest * y[:, None] / np.maximum(size, EXHAUSTED), rest):
        # T + alpha I = L D L^T with d_j = a_j + alpha - b_j^2 / d_(j-1), and z = L^-1 |y| e_1
        pivot = diagonal[:, None] + alphas - taken
        seen.append(np.take_along_axis(product, held.T, axis=0))
        tops.append(top)
        pivots.append(pivot)
        couplings.append(coupling[:, None])
        top, taken = -coupling[:, None] / pivot * top, coupling[:, None] ** 2 / pivot
        # |K_VR (K_RR + alpha I)^-1 r| <= |r| sqrt(h / alpha) for the residual r of a solution, here |r| = |z_(j+1)|
        bound = np.abs(top) * np.sqrt(held.shape[1] / alphas)
        converged = np.all(bound <= TOLERANCE * size[:, None], axis=0)
        if converged.all() or len(seen) == STEPS:
            break
    x = _back(tops, pivots, couplings)
    predicted = np.stack(seen, axis=-1).transpose(1, 0, 2) @ x.transpose(1, 0, 2)
    return np.mean((y[held][..., None] - predicted) ** 2, axis=1), converged


def _lanczos(
    kernel: Float[np.ndarray, "n n"], start: Float[np.ndarray, "n r"], rest: Float[np.ndarray, "n r"]
) -> Iterator[tuple[Float[np.ndarray, "n r"], Float[np.ndarray, "r"], Float[np.ndarray, "r"]]]:
    """K q_j, a_j and b_(j+1) of K_RR q_j = b_j q_(j-1) + a_j q_j + b_(j+1) q_(j+1), for r holdouts side by side."""
    # three vectors a holdout and room for two products, written over: arrays of this size are dear to make
    q, before, ahead = start, np.zeros_like(start), np.empty_like(start)
    product, scaled, coupling = np.empty_like(start), np.empty_like(start), np.zeros(start.shape[1])
    while True:
        np.matmul(kernel, q, out=product)
        np.multiply(product, rest, out=ahead)
        diagonal = np.einsum("nr,nr->r", q, ahead)
        ahead -= np.multiply(q, diagonal, out=scaled)
        ahead -= np.multiply(before, coupling, out=scaled)
        coupling = np.sqrt(np.einsum("nr,nr->r", ahead, ahead))
        yield product, diagonal, coupling
        # a space that is exhausted goes on with zeros
        coupling = np.where(coupling > EXHAUSTED, coupling, 0.0)
        np.multiply(ahead, np.where(coupling > 0, 1 / np.maximum(coupling, EXHAUSTED), 0.0), out=ahead)
        q, before, ahead = ahead, q, before


def _back(
    tops: list[Float[np.ndarray, "r a"]],
    pivots: list[Float[np.ndarray, "r a"]],
    couplings: list[Float[np.ndarray, "r 1"]],
) -> Float[np.ndarray, "steps r a"]:
    """X of (T + alpha I) x = |y| e_1, from its factors."""
    # x_j = z_j / d_j - b_(j+1) x_(j+1) / d_j
    x = [tops[-1] / pivots[-1]]
    for top, pivot, coupling in zip(tops[-2::-1], pivots[-2::-1], couplings[-2::-1], strict=True):
        x.append((top - coupling * x[-1]) / pivot)
    return np.stack(x[::-1])


def direct_errors(one: Spectrum, alpha: float, held: Int[np.ndarray, "repeats h"]) -> Float[np.ndarray, "repeats"]:
    """Mean squared error of each holdout at one alpha.

    With A = (K + alpha I)^-1 the residual on V of the model fitted to the rest is A_VV^-1 (A y)_V.
    """
    inverse, solved = one.inverse(alpha), one.solved(alpha)
    blocks = np.array_split(held, max(1, held.size * held.shape[1] // 10**6))
    return np.concatenate([np.mean(_solve(_blocks_of(inverse, v), solved[v]) ** 2, axis=1) for v in blocks])


def _blocks_of(a: Float[np.ndarray, "n n"], held: Int[np.ndarray, "r h"]) -> Float[np.ndarray, "r h h"]:
    return np.asarray(a.ravel().take(held[:, :, None] * len(a) + held[:, None, :]))


def _solve(a: Float[np.ndarray, "r h h"], b: Float[np.ndarray, "r h"]) -> Float[np.ndarray, "r h"]:
    # A = L L^T, then both triangles column by column for all of the batch: half the time of numpy's own solve
    factor, x = np.linalg.cholesky(a), b.copy()
    columns = range(b.shape[1])
    for k in columns:
        x[:, k] = (x[:, k] - np.einsum("rj,rj->r", factor[:, k, :k], x[:, :k])) / factor[:, k, k]
    for k in reversed(columns):
        x[:, k] = (x[:, k] - np.einsum("rj,rj->r", factor[:, k + 1 :, k], x[:, k + 1 :])) / factor[:, k, k]
    return x


def leave_one_out_errors(
    distances: Float[np.ndarray, "n n"],
    y: Float[np.ndarray, "n"],
    alphas: Float[np.ndarray, "a"],
    gammas: Float[np.ndarray, "g"],
) -> Float[np.ndarray, "a g"]:
    """Mean squared error of kernel ridge that has seen all rows but the one asked, for every (alpha, gamma)."""

    def errors(gamma: float) -> Float[np.ndarray, "a"]:
        one = spectrum(distances, y, gamma)
        # r_i = (A^-1 y)_i / (A^-1)_ii at every alpha at once
        shifted = one.values[:, None] + alphas
        residuals = (one.vectors @ (one.projected[:, None] / shifted)) / (one.vectors**2 @ (1 / shifted))
        return np.asarray(np.mean(residuals**2, axis=0))

    return _side_by_side(errors, gammas, len(y))
