"""What stands in the way of a plate: each rule that would have to give way, and how far.

An elastic programme breaks rules on purpose: with x >= 0 as the slack of one rule and all others firm, the least x says
what that rule would have to allow. Where no rule alone suffices, all give way together, as little as possible.
"""

import math
from collections.abc import Callable, Mapping, Sequence

import pulp

from multimep.plate_programme import Effort, programme, solved
from multimep.plate_rules import Candidate, Rules


def remedies(candidates: Sequence[Candidate], rules: Rules, effort: Effort) -> str:
    """One sentence for rules that no plate obeys: which of them alone would have to give way, or which together."""
    names = _names(candidates, rules)
    alone = [text for name in names if (text := _broken(candidates, rules, (name,), effort))]
    if alone:
        return f"no plate obeys all rules; it would with any one of: {'; '.join(alone)}"
    together = _broken(candidates, rules, names, effort)
    return f"no plate obeys all rules; it would with all of: {together}"


def _names(candidates: Sequence[Candidate], rules: Rules) -> list[str]:
    """Of the rules that are in the programme."""
    asked = ["wells", *(["mutants"] if rules.mutants else []), *(f"required.{one}" for one in rules.required)]
    sites = sorted({site for one in candidates for site in one.sites})
    asked += [f"site_caps.{site}" for site in sites if site in rules.site_caps]
    asked += ["site_cap"] * (rules.site_cap is not None) + ["distance"] * (rules.distance > 1)
    return asked + ["budget"] * (rules.budget is not None)


def _broken(candidates: Sequence[Candidate], rules: Rules, names: Sequence[str], effort: Effort) -> str:
    """How far these rules must give way, in words; empty where that does not help."""
    made = programme(candidates, rules, frozenset(names))
    limits = {name: _limit(rules, name) for name in made.slack}
    # each rule in units of its own limit
    if solved(made, pulp.lpSum(x * (1 / max(limits[name], 1)) for name, x in made.slack.items()), effort) is None:
        return ""
    return "; ".join(_words(rules, name, x.varValue) for name, x in made.slack.items() if x.varValue > 1e-6)


def _limit(rules: Rules, name: str) -> float:
    kind, _, which = name.partition(".")
    numbers: Mapping[str, Callable[[], float]] = {
        "wells": lambda: rules.wells,
        "mutants": lambda: rules.mutants or 0,
        "required": lambda: rules.required[which],
        "site_caps": lambda: rules.site_caps[int(which)],
        "site_cap": lambda: rules.site_cap or 0,
        "distance": lambda: 1,
        "budget": lambda: rules.budget or 0,
    }
    return float(numbers[kind]())


def _words(rules: Rules, name: str, slack: float) -> str:
    limit = _limit(rules, name)
    if name == "distance":
        return f"distance below {rules.distance}"
    if name == "mutants" or name.startswith("required."):
        return f"{name} {max(limit - slack, 0):.0f} (is {limit:g})"
    if name == "budget":
        return f"budget {math.ceil((limit + slack) * 100 - 1e-6) / 100:.2f} (is {limit:g})"
    return f"{name} {limit + slack:.6g} (is {limit:g})"
