"""The candidates among which a plate is chosen: the best of all, and the best of every kind that a rule may ask for.

The integer programme sees some thousands of candidates. The best by acquisition alone may all mutate one site; a cap
on sites or a required mutation could then not be met although other candidates would do. So beside the best of all the
best few that mutate each site are kept, as many as a plate holds that carry each required mutation, and, where rules
want variety (caps, distance, diversity), as many that leave each site alone and some of each combination of sites,
which share a bounded number of places by their checksum.
"""

import heapq
import zlib
from collections.abc import Collection, Iterator
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


FELLOWS = 4
"""Variants kept of the combinations of sites that share a place."""


class _Last(str):
    """A text that sorts backwards: of equal values the name that comes first is the better one."""

    __slots__ = ()

    def __lt__(self, other: str) -> bool:
        return str.__gt__(self, other)


class Shortlist:
    """Keeps the best of what is added, whatever the order in which it comes."""

    def __init__(self, size: int, sites: Collection[int], rules: Rules) -> None:
        """Room for `size` variants: half of it for the best, half shared by the sites; and what the rules may need."""
        self.seen, self._rules, self._sites = 0, rules, tuple(map(str, sites))
        self._buckets = max(1, size // (2 * FELLOWS))
        self._rooms = {
            "fellows": FELLOWS,
            "best": max(1, size // 2),
            "site": max(1, size // 2 // max(len(sites), 1)),
            "rule": rules.most,
        }
        self._varied = rules.site_cap is not None or bool(rules.site_caps) or rules.distance > 1 or rules.diversity > 0
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
        at = [{text[1:-1] for text in texts} for texts in parts]
        for site in self._sites:
            members = np.array([site in one for one in at])
            yield ("site", site), members
            if self._varied:
                yield ("rule", f"without {site}"), ~members
        if self._varied:
            places = np.array([zlib.crc32(":".join(sorted(one)).encode()) % self._buckets for one in at])
            for place in np.unique(places):
                yield ("fellows", str(place)), places == place
        for mutation in self._rules.required:
            yield ("rule", mutation), np.array([mutation in texts for texts in parts])

    def _offer(self, heap: list[tuple[float, _Last]], room: int, mutant: str, row: Float[np.ndarray, "4"]) -> None:
        entry = (float(row[0]), _Last(mutant))
        if len(heap) < room:
            heapq.heappush(heap, entry)
        elif heapq.heappushpop(heap, entry) is entry:
            return
        self._rows[mutant] = tuple(map(float, row))  # type: ignore[assignment]
