"""Leaks that stand in datasets and splits: a sequence on both sides, kin that teach each other, one protein twice."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations

from scipy import stats

from multimep.dataset import Dataset
from multimep.families import families, identity
from multimep.leaks import Finding
from multimep.splits import Split
from multimep.variants import Variants

HOMOLOGOUS = 0.3
"""Sequence identity above which two proteins are kin: where alignments of unrelated proteins end."""
SAME = 0.9
"""Sequence identity above which two wild types are called one protein."""
ONE_MEASUREMENT = 0.99
"""Rank correlation above which two assays of the same variants look like two versions of one."""
FEW = 20  # shared sequences; a rank correlation of fewer says nothing


@dataclass(frozen=True)
class Team:
    """What one fit of a method learns on one split.

    Attributes:
        label: of the method, or words for several.
        split: name of the split.
        datasets, folds: of its members, in one order.
        group_aware: whether the split puts one sequence on one side in all of them.
        leaves_out: the method itself keeps proteins of more than this identity from teaching each other; 1: none.
    """

    label: str
    split: str
    datasets: Sequence[Dataset]
    folds: Sequence[Split]
    group_aware: bool
    leaves_out: float = 1.0

    @property
    def subject(self) -> str:
        """Method and split."""
        return f"{self.label}, split {self.split}"

    @cached_property
    def _family(self) -> list[int]:
        return families([one.wild_type for one in self.datasets], self.leaves_out)

    def teaches(self, asked: int, teacher: int) -> bool:
        """Whether the method lets one member teach what is asked of another."""
        kept_apart = self.leaves_out < 1 and self._family[asked] == self._family[teacher]
        return asked == teacher or not kept_apart

    def questions(self, asked: int, teacher: int) -> Iterator[tuple[tuple[str, ...], tuple[str, ...]]]:
        """For each question to one member what is asked, and what another teaches in it."""
        if self.teaches(asked, teacher):
            for fold in self.folds[asked].questions:
                taught = [m for other in self.folds[teacher].folds if other.belongs_to(fold.name) for m in other.train]
                if taught:
                    yield fold.test, tuple(taught)


def duplicates(team: Team) -> list[Finding]:
    """Mutated sequences that are asked in a fold and teach in the same one, in whatever dataset."""
    check, found = "equal sequences on both sides", []
    for asked, one in enumerate(team.datasets):
        for teacher, other in enumerate(team.datasets):
            crossing = _crossing(team, asked, teacher)
            if crossing:
                sentence = (
                    f"{len(crossing)} sequences that {one.name} is asked about teach in the same fold in {other.name}."
                )
                found.append(Finding(check, team.subject, "leak", sentence))
    return found or [Finding(check, team.subject, "passed", "No sequence is on both sides.")]


def _crossing(team: Team, asked: int, teacher: int) -> set[str]:
    """Sequences that are asked of one member and teach in the same question in another."""
    here, there = (dict(zip(one.mutants, one.sequences, strict=True)) for one in _pair(team, asked, teacher))
    shared = set(here.values()) & set(there.values())
    found: set[str] = set()
    for test, train in team.questions(asked, teacher) if shared else ():
        found |= shared & {here[mutant] for mutant in test} & {there[mutant] for mutant in train}
    return found


def _pair(team: Team, *members: int) -> list[Variants]:
    return [team.datasets[member].variants for member in members]


def kin_that_teach(team: Team) -> list[Finding]:
    """Pairs of kin of which one teaches in a question to the other; one protein twice without group-aware folds."""
    found = []
    for a, b in combinations(range(len(team.datasets)), 2):
        mixed = any(any(True for _ in team.questions(*pair)) for pair in ((a, b), (b, a)))
        one, other = team.datasets[a], team.datasets[b]
        alike = likeness(one, other) if mixed else 0.0
        if alike <= HOMOLOGOUS:
            continue
        names = f"{one.name} and {other.name} (sequence identity {alike:.2f})"
        if alike > SAME and not team.group_aware:
            sentence = (
                f"{names} are one protein and teach each other on folds that are drawn for each dataset: set "
                "by: sequence, or use family_out."
            )
            found.append(Finding("one protein twice in a joint method", team.subject, "leak", sentence))
        else:
            sentence = f"{names} are kin and teach each other; family_out leaves kin out."
            found.append(Finding("kin that teach each other", team.subject, "warning", sentence))
    return found or [Finding("kin that teach each other", team.subject, "passed", "No kin teach each other.")]


def likeness(one: Dataset, other: Dataset) -> float:
    """Sequence identity of two wild types; 1 for one within the other."""
    first, second = sorted((one.wild_type, other.wild_type))
    return 1.0 if first in second or second in first else identity(first, second)


def one_protein_twice(data: Sequence[Dataset]) -> list[Finding]:
    """Pairs of datasets of one protein, and those that look like two versions of one measurement."""
    check = "two assays of one protein"
    pairs = ((one, other, likeness(one, other)) for one, other in combinations(data, 2))
    found = [_relation(one, other, alike) for one, other, alike in pairs if alike > SAME]
    return found or [Finding(check, "all datasets", "passed", "Every dataset is of another protein.")]


def _relation(one: Dataset, other: Dataset, alike: float) -> Finding:
    names, (shared, rho) = f"{one.name} and {other.name}", agreement(one, other)
    told = f"{names}: sequence identity {alike:.2f}, {shared} shared sequences"
    if shared >= FEW and abs(rho) > ONE_MEASUREMENT:
        sentence = f"{told} whose fitness agrees with Spearman {rho:.3f}: leave one of them out."
        return Finding("two versions of one assay", names, "warning", sentence)
    return Finding("two assays of one protein", names, "note", f"{told}: one unit of any statistics.")


def agreement(one: Dataset, other: Dataset) -> tuple[int, float]:
    """How many mutated sequences two datasets share, and the rank correlation of their fitness."""
    left, right = (dict(zip(data.variants.sequences, data.fitness.tolist(), strict=True)) for data in (one, other))
    shared = sorted(left.keys() & right.keys())
    if len(shared) < FEW:
        return len(shared), 0.0
    rho = stats.spearmanr([left[text] for text in shared], [right[text] for text in shared]).statistic
    return len(shared), float(rho)
