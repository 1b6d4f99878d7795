"""low_n: learning curves, small training sets of several sizes and seeds with one fixed test set."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from multimep.dataset import Dataset
from multimep.schemes.draws import generator, sequences, share
from multimep.schemes.scheme import By
from multimep.splits import Fold, Split, SplitError, canonical_order

FULL = "full"
Sizes = tuple[int | str, ...]
Seeds = int | tuple[int, ...]


@dataclass(frozen=True)
class LowN:
    """Learning curves: small training sets of several sizes and seeds, all asked about the same fixed test set.

    For one seed a smaller training set is a subset of every larger one.

    Attributes:
        sizes: 24 and 96, a quarter and a whole plate; "full" means all that is not in the test set (one fold, as every
            seed would be the same). Sizes larger than that are left out.
        seeds: 2, the least that shows a spread; 10 or more for a claim. A list gives each of the sizes its own number,
            for small training sets differ more than large ones: [10, 10, 3] (there is one of "full" in any case).
        test_fraction: 0.3, shared by all sizes and seeds.
        by: `dataset`: drawn for each dataset; `sequence`: whether a variant is asked, and how early it teaches, follows
            from the seed and its mutated sequence, so a genotype that two datasets measure is asked in both or
            neither. The size of the test set is then that of chance.
    """

    sizes: Sizes = (24, 96)
    seeds: Seeds = 2
    test_fraction: float = 0.3
    by: By = "dataset"

    def __post_init__(self) -> None:
        check_curve("low_n", self.sizes, self.seeds, self.test_fraction, fewest=1)

    def split(self, dataset: Dataset, seed: int) -> Split:
        """Folds `n24_seed0`, `n24_seed1`, `n96_seed0`, ..., `nfull_seed0`."""
        draw = _by_sequence if self.by == "sequence" else drawn
        test, pool, order = draw(dataset, self.test_fraction, seed)
        folds = tuple(curve(test, pool, order, self.sizes, self.seeds))
        if not (test and folds):
            raise SplitError(
                f"{dataset.name}: low_n has {len(pool)} variants to learn from and {len(test)} to ask; set sizes up to "
                "the first, or another test_fraction"
            )
        return Split(canonical_order(dataset.variants.mutants), folds)


Order = Callable[[int], Sequence[str]]
"""For each repetition the order in which the pool's mutants come to teach."""


def check_curve(scheme: str, sizes: Sizes, seeds: Seeds, test_fraction: float, fewest: int) -> None:
    """Raise SplitError for sizes, seeds or a fraction that make no learning curve."""
    wrong = [size for size in sizes if size != FULL and not (isinstance(size, int) and size >= fewest)]
    if wrong or not sizes or len(set(sizes)) != len(sizes):
        raise SplitError(f"{scheme}: sizes must be distinct numbers from {fewest} on or 'full', not {list(sizes)}")
    if min(_per_size(sizes, seeds), default=0) < 1 or not 0 < test_fraction < 1:
        raise SplitError(f"{scheme}: seeds={seeds} must be above 0, test_fraction={test_fraction} in (0, 1)")
    if len(_per_size(sizes, seeds)) != len(sizes):
        raise SplitError(
            f"{scheme}: {len(sizes)} sizes with seeds for {len(_per_size(sizes, seeds))}; give one for each"
        )


def _per_size(sizes: Sizes, seeds: Seeds) -> tuple[int, ...]:
    return (seeds,) * len(sizes) if isinstance(seeds, int) else tuple(seeds)


def drawn(dataset: Dataset, test_fraction: float, seed: int) -> tuple[tuple[str, ...], list[str], Order]:
    """The test set, the pool of what may teach, and its orders, seeded by the dataset's name."""
    mutants = canonical_order(dataset.variants.mutants)
    shuffled = [mutants[row] for row in generator(dataset.name, seed).permutation(len(mutants))]
    asked = max(1, round(test_fraction * len(mutants)))
    pool = shuffled[asked:]
    return (
        canonical_order(shuffled[:asked]),
        pool,
        lambda repeat: [pool[row] for row in generator(dataset.name, seed, repeat).permutation(len(pool))],
    )


def _by_sequence(dataset: Dataset, test_fraction: float, seed: int) -> tuple[tuple[str, ...], list[str], Order]:
    text = sequences(dataset)
    test = tuple(mutant for mutant in text if share(text[mutant], seed) < test_fraction)
    pool = [mutant for mutant in text if share(text[mutant], seed) >= test_fraction]
    return test, pool, lambda repeat: sorted(pool, key=lambda mutant: share(text[mutant], seed, repeat))


def curve(
    test: tuple[str, ...], pool: Sequence[str], order: Order, sizes: Sizes, seeds: Seeds, within: str = ""
) -> Iterator[Fold]:
    """The folds of a learning curve, those of sizes that the pool cannot fill left out; `within` begins their names."""
    for size, repeats in zip(sizes, _per_size(sizes, seeds), strict=True):
        count = len(pool) if size == FULL else int(size)
        # nothing and everything are the same for every seed
        for repeat in range(1 if size in (0, FULL) else repeats):
            if count <= len(pool) and test:
                train = canonical_order(order(repeat)[:count])
                yield Fold(f"{within}n{size}_seed{repeat}", train, test)
