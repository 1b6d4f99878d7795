"""Hyperparameters of many small Gaussian processes at once: folds, sizes, seeds, datasets as one batch of matrices.

The evidence of an RBF kernel with its signal variance at the maximum is a function of two numbers, theta = (log gamma,
log ratio). Every problem starts from the best point of a coarse grid and goes on by Newton's method with exact
derivatives; the ones that have arrived leave the batch. Each step is one batched Cholesky factorisation, one inverse
and one product. Problems of unequal size share a batch: rows that are missing are rows of I.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from multimep.gaussian_process import RATIOS, SMALLEST_VARIANCE, Hyperparameters, gamma_grid

SCALES, NOISES = 12, (1e-2, 1e-1, 1.0)
"""Where the search may start: so many length scales of `gamma_grid`, and noise over signal variance."""
STEPS = 40
"""Most steps of Newton's method; ten are usual."""
LONGEST, SMALLEST = 2.0, 1e-7
"""Longest step in a logarithm, and the one below which a problem has arrived."""
NUMBERS = 2**17
"""Of a batch of matrices: 1 MiB, so that a step finds them in the cache of a core."""
APART = 1e100
"""Squared distance of a missing row from every other: its kernel is 0."""

Problem = tuple[Float[np.ndarray, "_ _"], Float[np.ndarray, "_"]]
"""Squared distances between rows, and their centred targets."""


@dataclass(frozen=True)
class Batch:
    """Problems side by side.

    Attributes:
        distances: squared, `APART` for rows that are missing, shape (b, n, n).
        y: targets, 0 where missing, shape (b, n).
        present: 1, or 0 for a row that is missing, shape (b, n).
    """

    distances: Float[np.ndarray, "b n n"]
    y: Float[np.ndarray, "b n"]
    present: Float[np.ndarray, "b n"]

    def take(self, which: Int[np.ndarray, "k"]) -> "Batch":
        """Some of the problems."""
        return Batch(self.distances[which], self.y[which], self.present[which])


@dataclass(frozen=True)
class Local:
    """The profiled evidence around theta, up to a constant, with its first and second derivatives.

    Attributes:
        value: shape (b,).
        gradient: shape (b, 2).
        hessian: shape (b, 2, 2).
    """

    value: Float[np.ndarray, "b"]
    gradient: Float[np.ndarray, "b 2"]
    hessian: Float[np.ndarray, "b 2 2"]


def select_many(problems: Sequence[Problem]) -> list[Hyperparameters]:
    """For each problem the hyperparameters of largest evidence, in the order given; deterministic."""
    found: dict[int, Hyperparameters] = {}
    for members in _batches([len(y) for _, y in problems]):
        batch = joined([problems[member] for member in members])
        bounds = np.stack([_bounds(problems[member][0]) for member in members])
        theta = maximise(batch, bounds)
        found |= zip(members, _hyperparameters(batch, theta), strict=True)
    return [found[member] for member in range(len(problems))]


def _batches(sizes: Sequence[int]) -> Iterator[list[int]]:
    """Problems of like size together, so many that their matrices stay below `NUMBERS`."""
    members: list[int] = []
    for member in sorted(range(len(sizes)), key=lambda one: -sizes[one]):
        if members and (len(members) + 1) * sizes[members[0]] ** 2 > NUMBERS:
            yield members
            members = []
        members.append(member)
    if members:
        yield members


def joined(problems: Sequence[Problem]) -> Batch:
    """Problems as one batch, those with fewer rows filled up."""
    most = max(len(y) for _, y in problems)
    distances = np.full((len(problems), most, most), APART)
    y, present = np.zeros((len(problems), most)), np.zeros((len(problems), most))
    distances[:, range(most), range(most)] = 0
    for row, (between, targets) in enumerate(problems):
        n = len(targets)
        distances[row, :n, :n], y[row, :n], present[row, :n] = between, targets, 1
    return Batch(distances, y, present)


def _bounds(distances: Float[np.ndarray, "n n"]) -> Float[np.ndarray, "2 2"]:
    """(smallest, largest) of log gamma and log ratio."""
    scales = gamma_grid(distances, 2)
    return np.asarray(np.log(np.array([scales, RATIOS])))


def _covariance(batch: Batch, theta: Float[np.ndarray, "b 2"]) -> tuple[Float[np.ndarray, "b n n"], np.ndarray]:
    """K and A = K + ratio I, in which a missing row is a row of I."""
    gamma, ratio = np.exp(theta).T
    kernel = np.exp(-gamma[:, None, None] * batch.distances)
    a, rows = kernel.copy(), range(kernel.shape[1])
    a[:, rows, rows] += ratio[:, None] * batch.present
    return kernel, a


def _bordered(batch: Batch, a: Float[np.ndarray, "b n n"]) -> tuple[Float[np.ndarray, "b"], Float[np.ndarray, "b"]]:
    """Y A^-1 y and log|A| by one factorisation: A with y as one row more, whose factor is L^-1 y."""
    n = a.shape[1]
    whole = np.empty((len(a), n + 1, n + 1))
    whole[:, :n, :n], whole[:, n, :n], whole[:, :n, n] = a, batch.y, batch.y
    # any corner above y A^-1 y keeps the whole positive definite
    whole[:, n, n] = 1 + np.einsum("bn,bn->b", batch.y, batch.y) / RATIOS[0]
    factor = np.linalg.cholesky(whole)
    diagonal = np.diagonal(factor, axis1=1, axis2=2)[:, :n]
    power = np.einsum("bn,bn->b", factor[:, n, :n], factor[:, n, :n])
    return np.asarray(power), np.asarray(2 * np.sum(np.log(diagonal), axis=1))


def _profiled(batch: Batch, power: Float[np.ndarray, "b"], log_determinant: Float[np.ndarray, "b"]) -> np.ndarray:
    # s = y A^-1 y / n,  log p = -(n log s + log|A|) / 2
    n = batch.present.sum(axis=1)
    return np.asarray(-(n * np.log(np.maximum(power / n, SMALLEST_VARIANCE)) + log_determinant) / 2)


def evidence(batch: Batch, theta: Float[np.ndarray, "b 2"]) -> Float[np.ndarray, "b"]:
    """The profiled evidence alone."""
    _, a = _covariance(batch, theta)
    return _profiled(batch, *_bordered(batch, a))


def local(batch: Batch, theta: Float[np.ndarray, "b 2"]) -> Local:
    """The profiled evidence and its derivatives."""
    kernel, a = _covariance(batch, theta)
    gamma, ratio = np.exp(theta).T
    scaled, noise = gamma[:, None, None] * batch.distances, ratio[:, None] * batch.present
    # A_1 = dA / dlog gamma = -gamma D K, A_11 = A_1 - gamma D A_1;  A_2 = dA / dlog ratio = A_22 = ratio I
    first = -scaled * kernel
    second = first - scaled * first
    inverse, n = np.linalg.inv(a), batch.present.sum(axis=1)
    power, log_determinant = _bordered(batch, a)
    slope, bend = _of_power(np.einsum("bnm,bm->bn", inverse, batch.y), inverse, first, second, noise)
    trace, turn = _of_log_determinant(inverse, first, second, noise)
    # log p = -(n log s + log|A|) / 2 with s = y A^-1 y / n
    s = np.maximum(power / n, SMALLEST_VARIANCE)[:, None]
    gradient = -(slope / s + trace) / 2
    outer = slope[:, :, None] * slope[:, None, :] / (n[:, None] * s**2)[..., None]
    return Local(_profiled(batch, power, log_determinant), gradient, -(bend / s[..., None] - outer + turn) / 2)


def _of_power(
    weights: Float[np.ndarray, "b n"],
    inverse: Float[np.ndarray, "b n n"],
    first: Float[np.ndarray, "b n n"],
    second: Float[np.ndarray, "b n n"],
    noise: Float[np.ndarray, "b n"],
) -> tuple[Float[np.ndarray, "b 2"], Float[np.ndarray, "b 2 2"]]:
    """First and second derivatives of y A^-1 y, w = A^-1 y."""
    # -w A_i w,  2 w A_i A^-1 A_j w - w A_ij w
    moved = np.stack([np.einsum("bnm,bm->bn", first, weights), noise * weights], axis=1)
    slope = -np.einsum("bn,bin->bi", weights, moved)
    bend = 2 * np.einsum("bin,bjn->bij", moved, np.einsum("bnm,bim->bin", inverse, moved))
    bend[:, 0, 0] -= np.einsum("bn,bn->b", weights, np.einsum("bnm,bm->bn", second, weights))
    bend[:, 1, 1] += slope[:, 1]
    return slope, bend


def _of_log_determinant(
    inverse: Float[np.ndarray, "b n n"],
    first: Float[np.ndarray, "b n n"],
    second: Float[np.ndarray, "b n n"],
    noise: Float[np.ndarray, "b n"],
) -> tuple[Float[np.ndarray, "b 2"], Float[np.ndarray, "b 2 2"]]:
    """First and second derivatives of log|A|."""
    # tr(A^-1 A_i),  tr(A^-1 A_ij) - tr(A^-1 A_i A^-1 A_j)
    product, noisy = inverse @ first, inverse * noise[:, :, None]
    trace = np.stack([np.einsum("bnn->b", product), np.einsum("bnn->b", noisy)], axis=1)
    turn = np.empty((len(trace), 2, 2))
    turn[:, 0, 0] = np.einsum("bnm,bnm->b", inverse, second) - np.einsum("bnm,bmn->b", product, product)
    turn[:, 0, 1] = turn[:, 1, 0] = -np.einsum("bnm,bmn->b", product, noisy)
    turn[:, 1, 1] = trace[:, 1] - np.einsum("bnm,bmn->b", noisy, noisy)
    return trace, turn


def maximise(batch: Batch, bounds: Float[np.ndarray, "b 2 2"]) -> Float[np.ndarray, "b 2"]:
    """Theta of largest evidence within (smallest, largest) of each of its two numbers, by damped Newton steps."""
    theta = _starts(batch, bounds)
    damping, at, active = np.full(len(theta), 1e-2), local(batch, theta), np.arange(len(theta))
    for _ in range(STEPS):
        step = np.clip(_steps(theta, at, bounds, damping), -LONGEST, LONGEST)[active]
        aim = np.clip(theta[active] + step, bounds[active, :, 0], bounds[active, :, 1])
        there = local(batch.take(active), aim)
        better = there.value >= at.value[active]
        arrived = np.abs(aim - theta[active]).max(axis=1) < SMALLEST
        taken = active[better]
        theta[taken], at.value[taken] = aim[better], there.value[better]
        at.gradient[taken], at.hessian[taken] = there.gradient[better], there.hessian[better]
        damping[active] *= np.where(better, 0.1, 10.0)
        active = active[~arrived]
        if not len(active):
            break
    return theta


def _starts(batch: Batch, bounds: Float[np.ndarray, "b 2 2"]) -> Float[np.ndarray, "b 2"]:
    """The best point of the coarse grid for each problem."""
    places = np.linspace(bounds[:, 0, 0], bounds[:, 0, 1], SCALES)
    points = [np.stack([place, np.full(len(place), np.log(noise))], axis=1) for place in places for noise in NOISES]
    values = np.stack([evidence(batch, point) for point in points])
    return np.asarray(np.stack(points)[values.argmax(axis=0), np.arange(len(batch.y))])


def _steps(
    theta: Float[np.ndarray, "b 2"], at: Local, bounds: Float[np.ndarray, "b 2 2"], damping: Float[np.ndarray, "b"]
) -> Float[np.ndarray, "b 2"]:
    """Uphill steps (|H| + damping I)^-1 g; a number that presses against its bound rests."""
    pressed = ((theta <= bounds[:, :, 0]) & (at.gradient < 0)) | ((theta >= bounds[:, :, 1]) & (at.gradient > 0))
    free = 1.0 - pressed
    values, vectors = np.linalg.eigh(at.hessian * free[:, :, None] * free[:, None, :])
    along = np.einsum("bij,bi->bj", vectors, at.gradient * free)
    step = np.einsum("bij,bj->bi", vectors, along / (np.abs(values) + damping[:, None]))
    return np.asarray(step * free)


def _hyperparameters(batch: Batch, theta: Float[np.ndarray, "b 2"]) -> list[Hyperparameters]:
    _, a = _covariance(batch, theta)
    power, _ = _bordered(batch, a)
    signal = np.maximum(power / batch.present.sum(axis=1), SMALLEST_VARIANCE)
    return [
        Hyperparameters(float(gamma), float(s), float(ratio * s))
        for (gamma, ratio), s in zip(np.exp(theta), signal, strict=True)
    ]
