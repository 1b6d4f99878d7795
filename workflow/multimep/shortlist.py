"""The candidates among which a plate is chosen: the best of all, and the best of every kind that a rule may ask for.

The integer programme sees some thousands of candidates. The best by acquisition alone may all mutate one site; a cap
on sites or a required mutation could then not be met although other candidates would do. So beside the best of all the
best few that mutate each site are kept, as many as a plate holds that carry each required mutation, and, where sites are
capped, as many that leave each site alone.
"""

import heapq
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from multimep.plate_rules import Rules
from multimep.predictions import Predictions


@dataclass(frozen=True)
class Scored:
    """Predictions with the value of each variant for the next round.

    Attributes:
        predictions: mean and standard deviations.
        values: of the acquisition, higher is better, shape (n,).
    """

    predictions: Predictions
    values: Float[np.ndarray, "n"]


class _Last(str):
    """A text that sorts backwards: of equal values the name that comes first is the better one."""

    __slots__ = ()

    def __lt__(self, other: str) -> bool:
        return str.__gt__(self, other)


class Shortlist:
    """Keeps the best of what is added, whatever the order in which it comes."""

    def __init__(self, size: int, sites: int, rules: Rules) -> None:
        """Room for `size` variants: half of it for the best, half shared by the sites; and what the rules may need."""
        self.seen, self._rules = 0, rules
        self._rooms = {"best": max(1, size // 2), "site": max(1, size // 2 // max(sites, 1)), "rule": rules.most}
        self._capped = rules.site_cap is not None or bool(rules.site_caps)
        self._rows: dict[str, tuple[float, float, float, float]] = {}
        self._best: dict[tuple[str, str], list[tuple[float, _Last]]] = {}

    def add(self, scored: Scored) -> None:
        """Look at more variants, each for the first time."""
        found, values = scored.predictions, scored.values
        self.seen += len(values)
        table = np.column_stack([values, found.mean, found.std, found.noisy_std])
        for group, members in self._groups(found.mutants):
            heap = self._best.setdefault(group, [])
            least = heap[0][0] if len(heap) >= self._rooms[group[0]] else -np.inf
            for row in np.flatnonzero(members & (values >= least)):
                self._offer(heap, self._rooms[group[0]], found.mutants[row], table[row])
        kept = {mutant for heap in self._best.values() for _, mutant in heap}
        self._rows = {name: row for name, row in self._rows.items() if name in kept}

    def best(self) -> Scored:
        """What was kept, best first, equal values by name."""
        ordered = sorted(self._rows.items(), key=lambda item: (-item[1][0], item[0]))
        columns = np.array([row for _, row in ordered], dtype=np.float64).reshape(-1, 4).T
        return Scored(Predictions(tuple(name for name, _ in ordered), *columns[1:]), columns[0])

    def _groups(self, mutants: tuple[str, ...]) -> Iterator[tuple[tuple[str, str], Bool[np.ndarray, "n"]]]:
        """Kind and name of each group with its members; the kind says how many are kept."""
        everyone = np.ones(len(mutants), dtype=bool)
        yield ("best", ""), everyone
        parts = [mutant.split(":") for mutant in mutants]
        by_site: dict[str, list[int]] = {}
        for row, texts in enumerate(parts):
            for text in texts:
                by_site.setdefault(text[1:-1], []).append(row)
        for site, rows in by_site.items():
            members = np.zeros(len(mutants), dtype=bool)
            members[rows] = True
            yield ("site", site), members
            if self._capped:
                yield ("rule", f"without {site}"), ~members
        for mutation in self._rules.required:
            yield ("rule", mutation), np.array([mutation in texts for texts in parts])

    def _offer(self, heap: list[tuple[float, _Last]], room: int, mutant: str, row: Float[np.ndarray, "4"]) -> None:
        entry = (float(row[0]), _Last(mutant))
        if len(heap) < room:
            heapq.heappush(heap, entry)
        elif heapq.heappushpop(heap, entry) is entry:
            return
        self._rows[mutant] = tuple(map(float, row))  # type: ignore[assignment]
