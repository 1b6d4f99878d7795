"""A Ridge as named arrays and numbers, and back."""

from typing import Any

import numpy as np

from multimep.methods.method import State
from multimep.ridge import Ridge

_ARRAYS = ("centre", "weights", "basis", "variances")
_NUMBERS = ("prior", "noise", "rows")


def arrays_of(posterior: Ridge) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """The arrays and the numbers of a posterior."""
    return {name: getattr(posterior, name) for name in _ARRAYS}, {name: getattr(posterior, name) for name in _NUMBERS}


def ridge_of(state: State) -> Ridge:
    """The posterior in a state that holds what `arrays_of` gave."""
    fields: dict[str, Any] = {name: state.arrays[name] for name in _ARRAYS}
    return Ridge(**fields, **{name: state.facts[name] for name in _NUMBERS})
