"""The best plate under its rules: which mutants are made, and what is proven of them."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

from multimep.plate_programme import Effort, objective, programme, solved
from multimep.plate_remedies import remedies
from multimep.plate_rules import Candidate, PlateError, Rules


@dataclass(frozen=True)
class Choice:
    """A plate's mutants.

    Attributes:
        chosen: best value first.
        objective: theirs (see `plate_programme`).
        bound: that no plate of these candidates exceeds.
        seconds: that it took.
        price: of the order.
    """

    chosen: tuple[Candidate, ...]
    objective: float
    bound: float
    seconds: float
    price: float

    @property
    def gap(self) -> float:
        """(bound - objective) / objective: 0 is proven optimal."""
        return max(self.bound / self.objective - 1, 0.0) if self.objective > 0 else 0.0


def choose(candidates: Sequence[Candidate], rules: Rules, effort: Effort) -> Choice:
    """The plate of largest objective; raises PlateError where no plate obeys the rules, naming those in the way.

    The result is the same on every run unless the time limit stops the solver.
    """
    begin = time.monotonic()
    allowed = [one for one in candidates if rules.allows(one.genotype)]
    if not allowed:
        raise PlateError(f"none of {len(candidates)} candidates is allowed; relax `forbidden` or `depth`")
    made = programme(allowed, rules)
    found = solved(made, -objective(made, allowed, rules), effort)
    if found is None:
        raise PlateError(remedies(allowed, rules, effort))
    chosen = [one for one, x in zip(allowed, made.x, strict=True) if round(x.varValue)]
    if not chosen:
        if rules.budget is None:
            raise PlateError("site_caps: leave no mutant; raise them")
        raise PlateError(f"budget: {rules.budget:g} pays for no mutant; raise it")
    ordered = tuple(sorted(chosen, key=lambda one: (-one.value, one.mutant)))
    return Choice(ordered, -found[0], -found[1], time.monotonic() - begin, rules.price(ordered))
