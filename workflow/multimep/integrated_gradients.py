"""What each mutation adds to a mean that is read from a language model's last states, along a straight path.

From the wild type's token embeddings x0 to the variant's x1 (Sundararajan, Taly & Yan 2017, arXiv:1703.01365),
    part_i = (x1 - x0)_i . integral from 0 to 1 of df/dx_i (x0 + t (x1 - x0)) dt
over the residues i; only mutated ones have x1 different from x0. The parts sum to f(x1) - f(x0), and so they do on
every piece of the path. The integral is taken by Gauss-Legendre quadrature, with twice the nodes on the pieces on which
that does not hold, until the errors of all pieces together are within a tolerance. Matrix products are in fp32.
"""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from multimep.forward_pass import embedded
from multimep.methods.method import Reading
from multimep.trainable import above

NODES, MOST = 8, 4096
"""Nodes of a piece, and of all pieces that are tried."""
RELATIVE, ABSOLUTE = 1e-2, 1e-3
"""Tolerance: so much of the difference, and so much of the training fitness's standard deviation. Through a short
length scale a mean is rough along the path; a tenth of this took 1.4 to 1.7 times the nodes on four paths of `mini`."""


class GradientError(ValueError):
    """A path along which the quadrature does not become complete; the message says what to ask instead."""


@dataclass(frozen=True)
class Path:
    """Integrated gradients of one variant.

    Attributes:
        parts: of each residue, in the unit of the fitness, shape (length,).
        difference: f(x1) - f(x0) by the same forward pass.
        nodes: at which the gradient was taken; 0 where one residue changes, whose part is the difference.
        tolerance: within which the parts sum to the difference.
    """

    parts: Float[np.ndarray, "length"]
    difference: float
    nodes: int
    tolerance: float

    @property
    def error(self) -> float:
        """Sum of the parts - difference."""
        return float(self.parts.sum()) - self.difference


@dataclass(frozen=True)
class Piece:
    """A stretch of the path.

    Attributes:
        start, stop: of t.
        before, after: f at both.
        parts: of each token, shape (tokens,).
    """

    start: float
    stop: float
    before: float
    after: float
    parts: Float[np.ndarray, "tokens"]

    @property
    def error(self) -> float:
        """Sum of the parts - what f gains."""
        return float(self.parts.sum()) - (self.after - self.before)

    @property
    def halves(self) -> tuple[tuple[float, float], tuple[float, float]]:
        """Start and stop of both."""
        middle = (self.start + self.stop) / 2
        return (self.start, middle), (middle, self.stop)


@dataclass(frozen=True)
class Line:
    """The straight path from x0 to x1 and what is read at its points.

    Attributes:
        reading: of the last states.
        start, step: x0 and x1 - x0, shape (tokens, width).
    """

    reading: Reading
    start: Float[Tensor, "tokens width"]
    step: Float[Tensor, "tokens width"]

    def points(self, t: Float[np.ndarray, "b"]) -> Float[Tensor, "b tokens width"]:
        """X at these t."""
        return self.start + torch.from_numpy(t).to(self.start)[:, None, None] * self.step

    @torch.no_grad()
    def values(self, t: Float[np.ndarray, "b"]) -> Float[np.ndarray, "b"]:
        """F at these t."""
        found = [_features(self.reading, self.points(part)).double().cpu().numpy() for part in self._split(t)]
        return self.reading.value(np.concatenate(found))[0]

    def gains(self, t: Float[np.ndarray, "b"]) -> Float[np.ndarray, "b tokens"]:
        """(x1 - x0)_i . df/dx_i at these t, for each token."""
        step = self.step.double().cpu().numpy()
        return np.concatenate([(_slopes(self.reading, self.points(part)) * step).sum(-1) for part in self._split(t)])

    def pieces(self, ends: Float[np.ndarray, "p 2"]) -> list[Piece]:
        """Each stretch from its start to its stop, with a quadrature of its own."""
        places, weights = np.polynomial.legendre.leggauss(NODES)
        # t = start + (1 + place) / 2 (stop - start), and half of the weight times the width
        width = ends[:, 1] - ends[:, 0]
        gains = self.gains((ends[:, :1] + (1 + places) / 2 * width[:, None]).ravel()).reshape(len(ends), NODES, -1)
        parts = np.einsum("n,pnt->pt", weights / 2, gains) * width[:, None]
        values = self.values(ends.ravel()).reshape(-1, 2)
        return [
            Piece(float(start), float(stop), float(before), float(after), part)
            for (start, stop), (before, after), part in zip(ends, values, parts, strict=True)
        ]

    def _split(self, t: Float[np.ndarray, "b"]) -> list[Float[np.ndarray, "_"]]:
        size = self.reading.language_model.at_once(len(self.start) - 2)
        return [t[at : at + size] for at in range(0, len(t), size)]


def integrated(reading: Reading, wild_type: str, mutant: str, sequence: str) -> Path:
    """The parts of a mutant with its sequence; raises GradientError where MOST nodes are not enough."""
    model = reading.language_model
    with torch.no_grad():
        start, stop = embedded(model.model, model.tokens([wild_type, sequence]))
    line, nodes = Line(reading, start, stop - start), NODES
    changed = np.array([old != new for old, new in zip(wild_type, sequence, strict=True)])
    if changed.sum() < 2:  # one part, or none, is the difference
        before, after = line.values(np.array([0.0, 1.0])).tolist()
        return Path(np.where(changed, after - before, 0.0), after - before, 0, 0.0)
    pieces = line.pieces(np.array([[0.0, 1.0]]))
    difference = pieces[0].after - pieces[0].before
    tolerance = RELATIVE * abs(difference) + ABSOLUTE * reading.unit
    while sum(abs(one.error) for one in pieces) > tolerance:
        # those that have more than their share of the error
        share = tolerance / (2 * len(pieces))
        good, poor = ([one for one in pieces if (abs(one.error) > share) == is_poor] for is_poor in (False, True))
        nodes += 2 * NODES * len(poor)
        if nodes > MOST:
            raise GradientError(
                f"{mutant}: integrated gradients do not sum to the difference {difference:.6g} within {tolerance:.2g} "
                f"with {MOST} nodes; leave integrated_gradients out of --kinds: Shapley values always sum"
            )
        pieces = good + line.pieces(np.array([half for one in poor for half in one.halves]))
    return Path(np.sum([one.parts for one in pieces], axis=0)[1:-1], difference, nodes, tolerance)


def _slopes(reading: Reading, x: Float[Tensor, "batch tokens width"]) -> Float[np.ndarray, "batch tokens width"]:
    """df/dx at each point."""
    x = x.detach().requires_grad_()
    features = _features(reading, x)
    _, gradient = reading.value(features.detach().double().cpu().numpy())
    down = torch.from_numpy(gradient).to(features)
    (slopes,) = torch.autograd.grad(features, x, down)
    return slopes.double().cpu().numpy()


def _features(reading: Reading, x: Float[Tensor, "batch tokens width"]) -> Float[Tensor, "batch d"]:
    states = above(reading.language_model.model, x, 0)[:, 1:-1]
    return states.mean(dim=1) if reading.pooled else states.flatten(1)
