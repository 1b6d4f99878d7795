"""SCHEMES, the one table: name in config.yaml -> the frozen dataclass that holds its settings and splits a dataset.

Every scheme first sorts the mutants, so the order of a dataset's rows does not matter.
"""

from collections.abc import Callable, Mapping

from multimep.schemes.family_out import FamilyOut
from multimep.schemes.low_n import LowN
from multimep.schemes.low_to_high import LowToHigh
from multimep.schemes.mutation_count import MutationCount
from multimep.schemes.random_folds import RandomFolds
from multimep.schemes.scheme import Scheme, among, is_group_aware
from multimep.schemes.sites import Contiguous, Modulo, UnseenPosition
from multimep.schemes.source import Source
from multimep.schemes.unseen_substitution import UnseenSubstitution

SCHEMES: Mapping[str, Callable[..., Scheme]] = {
    "random": RandomFolds,
    "modulo": Modulo,
    "contiguous": Contiguous,
    "unseen_position": UnseenPosition,
    "unseen_substitution": UnseenSubstitution,
    "mutation_count": MutationCount,
    "low_to_high": LowToHigh,
    "low_n": LowN,
    "family_out": FamilyOut,
    "source": Source,
}

__all__ = ["SCHEMES", "Scheme", "among", "is_group_aware"]
