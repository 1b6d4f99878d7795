"""The best of more candidates than can be scored: a seeded genetic search over combinations of residues.

An individual is one choice per site, 0 for the wild type's residue; it stays within the numbers of mutations that the
space allows. Parents win tournaments, children mix their sites, a few sites are drawn anew (Goldberg 1989). Nothing but
the seed and the scores decides the course, and every scored variant is remembered, so none is scored twice.
"""

from collections.abc import Callable, Iterator, Set
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from multimep.candidates import CandidateError, Space

Score = Callable[[tuple[str, ...]], Float[np.ndarray, "n"]]
"""From canonical texts to a number of each; higher is better."""


MOST = 1_000_000
"""Of individuals, and of generations."""


@dataclass(frozen=True)
class Genetic:
    """Settings of the search.

    Attributes:
        population: individuals of a generation.
        generations: how many.
        tournament: individuals of which the best becomes a parent; more converge faster and see less.
        mutation: expected number of sites of a child that are drawn anew.
        elite: best individuals that live on.
    """

    population: int = 1000
    generations: int = 60
    tournament: int = 4
    mutation: float = 1.0
    elite: int = 50

    def __post_init__(self) -> None:
        """Refuse a population that cannot breed."""
        if self.population < 2 or self.generations < 1 or self.tournament < 1 or not 0 <= self.elite < self.population:
            raise CandidateError(
                f"search: population {self.population}, generations {self.generations}, tournament {self.tournament}, "
                f"elite {self.elite}; have at least 2 individuals, one generation, and an elite below the population"
            )
        if max(self.population, self.tournament, self.generations) > MOST:
            raise CandidateError(f"search: population, tournament and generations are {MOST:,} at most")


Individuals = Int[np.ndarray, "n s"]


def search(space: Space, score: Score, barred: Set[str], settings: Genetic, seed: int) -> Iterator[tuple[str, ...]]:
    """Runs of distinct variants of the space, generation by generation, never one of `barred`; each was scored once.

    `score` is called for each run before it is given, so whoever collects the best of the runs has the search's result.
    """
    draw, of = np.random.default_rng(seed), _Writing(space)
    known: dict[str, float] = {}
    generation = _drawn(space, settings.population, draw)
    for _ in range(settings.generations):
        names = of.texts(generation)
        new = tuple(dict.fromkeys(name for name in names if name not in known and name not in barred))
        if new:
            known.update(zip(new, map(float, score(new)), strict=True))
            yield new
        # a barred variant may be a parent of none
        values = np.array([known.get(name, -np.inf) for name in names])
        generation = _children(space, generation, values, settings, draw)


class _Writing:
    """From choices to canonical texts."""

    def __init__(self, space: Space) -> None:
        self.texts_of = [
            ["", *(f"{space.wild_type[site - 1]}{site}{new}" for new in residues)]
            for site, residues in space.choices.items()
        ]

    def texts(self, individuals: Individuals) -> list[str]:
        """Mutations joined by ":", sites rising as they do in the space."""
        return [":".join(self.texts_of[site][row[site]] for site in np.flatnonzero(row)) for row in individuals]


def _widths(space: Space) -> Int[np.ndarray, "s"]:
    return np.array([len(residues) for residues in space.choices.values()], dtype=np.int64)


def _drawn(space: Space, number: int, draw: np.random.Generator) -> Individuals:
    """Individuals of `least` to `most` mutations at random."""
    widths = _widths(space)
    depths = draw.integers(space.least, space.most, size=number, endpoint=True)
    order = np.argsort(draw.random((number, len(widths))), axis=1)
    chosen = np.argsort(order, axis=1) < depths[:, None]
    return np.where(chosen, draw.integers(1, widths, size=(number, len(widths)), endpoint=True), 0)


def _children(
    space: Space, parents: Individuals, values: Float[np.ndarray, "n"], settings: Genetic, draw: np.random.Generator
) -> Individuals:
    n, widths = len(parents), _widths(space)
    best = np.argsort(-values, kind="stable")[: settings.elite]
    born = n - len(best)
    rivals = draw.integers(n, size=(2, born, settings.tournament))
    winners = np.take_along_axis(rivals, np.argmax(values[rivals], axis=2)[..., None], axis=2)[..., 0]
    children = np.where(draw.random((born, len(widths))) < 0.5, parents[winners[0]], parents[winners[1]])
    anew = draw.random(children.shape) < settings.mutation / len(widths)
    children = np.where(anew, draw.integers(0, widths, size=children.shape, endpoint=True), children)
    return np.concatenate([parents[best], _mended(space, children, draw)])


def _mended(space: Space, individuals: Individuals, draw: np.random.Generator) -> Individuals:
    """The same with mutations taken away or added at random where there are too many or too few."""
    fresh = draw.integers(1, _widths(space), size=individuals.shape, endpoint=True)
    mutated = individuals > 0
    depth = np.clip(mutated.sum(axis=1), space.least, space.most)
    # mutated sites first, in random order: the first `depth` sites are those that stay or become mutated
    rank = np.argsort(np.argsort(draw.random(individuals.shape) - mutated, axis=1), axis=1)
    kept = rank < depth[:, None]
    return np.where(kept, np.where(mutated, individuals, fresh), 0)
