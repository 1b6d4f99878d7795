"""source: the authors' own split of a dataset, one fold or several."""

from dataclasses import dataclass

from multimep.dataset import Dataset
from multimep.schemes.scheme import both_sides
from multimep.splits import TEST, TRAIN, UNUSED, Split, SplitError, canonical_order


@dataclass(frozen=True)
class Source:
    """The authors' own split of a dataset.

    Attributes:
        column: name of one of the splits that the source gives; empty for the only one it has, which lets datasets
            whose splits are named differently (A75, B75, ...) stand in one study.
    """

    column: str = ""

    def split(self, dataset: Dataset, seed: int) -> Split:
        """One fold named like the column, or `foldN` for each number N in it; `seed` changes nothing."""
        column = self.column or (next(iter(dataset.splits)) if len(dataset.splits) == 1 else "")
        if column not in dataset.splits:
            available = ", ".join(sorted(dataset.splits)) or "none"
            raise SplitError(f"{dataset.name}: no split {column!r} in its source (it has: {available}); set column")
        part = dict(zip(dataset.variants.mutants, dataset.splits[column], strict=True))
        ordered = {mutant: part[mutant] for mutant in canonical_order(dataset.variants.mutants)}
        numbers = sorted({int(side) for side in ordered.values() if side.isdecimal()})
        if not numbers:
            return Split(tuple(ordered), (both_sides(column, ordered, dataset.name),))
        folds = (
            both_sides(f"fold{number}", {mutant: _part(side, number) for mutant, side in ordered.items()}, dataset.name)
            for number in numbers
        )
        return Split(tuple(ordered), tuple(folds))


def _part(side: str, number: int) -> str:
    if side == UNUSED:
        return UNUSED
    return TEST if int(side) == number else TRAIN
