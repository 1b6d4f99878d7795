"""Small datasets of one invented protein, for the laws of splits and of leaks."""

import numpy as np

from multimep.dataset import Dataset, Variants

WILD_TYPE = "MKTAYIAKQRQISFVKSHFS"
KIN, STRANGER = WILD_TYPE[:3] + "C" + WILD_TYPE[4:], "CCWWPPHHGGCCWWPPHHGG"


def toy(
    mutants: list[str],
    name: str = "toy",
    wild_type: str = WILD_TYPE,
    fitness: list[float] | None = None,
    **columns: object,
) -> Dataset:
    """A dataset of these variants; their fitness rises by one from row to row unless it is given."""
    n = len(mutants)
    values = np.arange(n, dtype=float) if fitness is None else np.array(fitness)
    unknown = np.full(n, np.nan)
    return Dataset(Variants(name, wild_type, tuple(mutants)), values, unknown, np.ones(n, dtype=np.int64), **columns)


def singles(sites: range = range(1, 21)) -> list[str]:
    """Single mutants to C, D, G and W."""
    return [f"{WILD_TYPE[site - 1]}{site}{new}" for site in sites for new in "CDGW" if new != WILD_TYPE[site - 1]]


def mixed() -> list[str]:
    """The wild type, single, double and triple mutants."""
    return ["WT", *singles(), "M1C:K2D", "M1C:T3D", "M1C:I6D", "K2C:T3D:A4G", "S17C:H18D"]
