"""The integer programme of a plate: its unknowns, its rules, its objective, and CBC.

    max  sum_i v_i x_i / n + diversity * mean_j max_{i chosen} s_ij
over x_i in {0, 1}, v the values from 0 to 1 over the candidates, n the mutants that fit, s_ij = max(0, 1 - d_ij / 4)
for variants that differ at d_ij sites. The maximum over the chosen is a sum over its few levels l of s, for
z_jl <= sum_{i: s_ij >= l} x_i, z_jl <= 1: facility location (Krause & Golovin 2014) with few unknowns, because
distances are whole numbers. A price is shared by one unknown per oligo, y_o >= x_i.
"""

import re
import tempfile
from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pulp
from jaxtyping import Bool, Float, Int

from multimep.plate_rules import Candidate, PlateError, Rules
from multimep.proximity import distances

LEVELS = 4
"""Sites at which two variants differ when neither represents the other any more."""
DEMANDS = 128
"""Candidates that the chosen are to represent, spread over all of them; all where there are no more."""
SCALE = 1e5
"""Times the objective as the solver sees it, for it prints its bound with three decimals."""
LEAST = 0.1
"""Value of the lowest candidate, that of the best being 1, so that wells are rather filled than left empty. A full
plate is the same whatever it is; where money is short it weighs many mutants against good ones."""


@dataclass(frozen=True)
class Effort:
    """How long the solver may look.

    Attributes:
        seconds: after which the best plate found so far is taken; 60.
        gap: relative distance from the proven bound at which it may stop; 0.001.
        threads: of the solver; 1, for more are faster but need not give the same plate twice.
    """

    seconds: float = 60.0
    gap: float = 0.001
    threads: int = 1

    def __post_init__(self) -> None:
        """Refuse no time and a negative gap."""
        if not 0 < self.seconds < float("inf") or not 0 <= self.gap < 1 or self.threads < 1:
            told = f"{self.seconds} seconds, a gap of {self.gap}, {self.threads} threads"
            raise PlateError(f"solver: {told}; give it time, a gap from 0 to below 1, and at least one thread")


@dataclass
class Programme:
    """An integer programme while it is put together.

    Attributes:
        problem: pulp's, which minimises.
        x: one binary unknown per candidate.
        relaxed: names of the rules that may be broken.
        slack: name of such a rule -> by how much it is.
    """

    problem: pulp.LpProblem
    x: list[pulp.LpVariable]
    relaxed: Set[str]
    slack: dict[str, pulp.LpVariable] = field(default_factory=dict)

    def at_most(self, name: str, left: pulp.LpAffineExpression, limit: int | float) -> None:
        """Rule `name`: left <= limit, plus the slack of the rule where it may be broken."""
        self.problem += left - self._slack(name) <= limit

    def at_least(self, name: str, left: pulp.LpAffineExpression, limit: int | float) -> None:
        """Rule `name`: left >= limit, less the slack of the rule where it may be broken."""
        self.problem += left + self._slack(name) >= limit

    def _slack(self, name: str) -> pulp.LpAffineExpression:
        if name in self.relaxed and name not in self.slack:
            self.slack[name] = pulp.LpVariable(f"slack_{len(self.slack)}", 0)
        return pulp.lpSum([self.slack[name]] if name in self.slack else [])


def programme(candidates: Sequence[Candidate], rules: Rules, relaxed: Set[str] = frozenset()) -> Programme:
    """All rules over these candidates, each of which is allowed by itself; no objective yet."""
    x = [pulp.LpVariable(f"x_{i}", cat=pulp.LpBinary) for i in range(len(candidates))]
    made = Programme(pulp.LpProblem("plate", pulp.LpMinimize), x, relaxed)
    made.at_most("wells", pulp.lpSum(x) * rules.replicates, rules.wells - rules.control_wells)
    if rules.mutants is not None:
        made.problem += pulp.lpSum(x) <= rules.mutants
        made.at_least("mutants", pulp.lpSum(x), rules.mutants)
    for mutation, least in rules.required.items():
        made.at_least(f"required.{mutation}", _carrying(made, candidates, mutation), least)
    _cap_sites(made, candidates, rules)
    if rules.distance > 1:
        table = distances(*[[one.genotype for one in candidates]] * 2)
        for clique in cliques(table < rules.distance):
            made.at_most("distance", pulp.lpSum(x[i] for i in clique), 1)
    if rules.budget is not None:
        made.at_most("budget", _price(made, candidates, rules), rules.budget)
    return made


def _carrying(made: Programme, candidates: Sequence[Candidate], mutation: str) -> pulp.LpAffineExpression:
    return pulp.lpSum(x for x, one in zip(made.x, candidates, strict=True) if mutation in one.mutations)


def _cap_sites(made: Programme, candidates: Sequence[Candidate], rules: Rules) -> None:
    at: dict[int, list[pulp.LpVariable]] = {}
    for x, one in zip(made.x, candidates, strict=True):
        for site in one.sites:
            at.setdefault(site, []).append(x)
    for site, mutated in sorted(at.items()):
        cap = rules.cap(site)
        if cap is not None:
            made.at_most(f"site_caps.{site}" if site in rules.site_caps else "site_cap", pulp.lpSum(mutated), cap)


def _price(made: Programme, candidates: Sequence[Candidate], rules: Rules) -> pulp.LpAffineExpression:
    # y_o would be whole by itself, but branching on an oligo decides many mutants at once
    # sum_o p y_o + (mutant + wells of it) sum_i x_i + wells of controls;  x_i <= y_o for every oligo o of mutant i
    names = sorted({oligo for one in candidates for oligo in one.oligos}) if rules.oligo_price else []
    bought = {name: pulp.LpVariable(f"y_{o}", cat=pulp.LpBinary) for o, name in enumerate(names)}
    for x, one in zip(made.x, candidates, strict=True):
        for oligo in one.oligos if names else ():
            made.problem += x <= bought[oligo]
    each = rules.mutant_price + rules.replicates * rules.well_price
    controls = rules.control_wells * rules.well_price
    return rules.oligo_price * pulp.lpSum(bought.values()) + each * pulp.lpSum(made.x) + controls


def cliques(near: Bool[np.ndarray, "n n"]) -> Iterator[Int[np.ndarray, "k"]]:
    """Sets of candidates all near each other, so that every two near ones stand in one of them together.

    At most one of a set can be chosen: one row says what many pairs would, and bounds the relaxation far better.
    """
    near = near & ~np.eye(len(near), dtype=bool)
    open_pairs = near.copy()
    for first in range(len(near)):
        while open_pairs[first].any():
            clique, common = [first], near[first].copy()
            # uncovered neighbours first, then any that all members are near to
            for only in (open_pairs[first].copy(), near[first]):
                for one in np.flatnonzero(only):
                    if common[one]:
                        clique.append(int(one))
                        common &= near[one]
            members = np.array(clique, dtype=np.int64)
            open_pairs[np.ix_(members, members)] = False
            yield members


def objective(made: Programme, candidates: Sequence[Candidate], rules: Rules) -> pulp.LpAffineExpression:
    """What is maximised, from 0 to 1 + diversity; adds the unknowns of the diversity."""
    # v_i from LEAST to 1
    gain = pulp.lpSum(float(v) * x for v, x in zip(standardised(candidates), made.x, strict=True)) / room(rules)
    if not rules.diversity:
        return gain
    table = distances(*[[one.genotype for one in candidates]] * 2)
    wanted = spread_over(table, DEMANDS)
    reached = []
    for j in wanted:
        for level in range(LEVELS):  # within `level` sites: similarity rises by 1 / LEVELS at each
            z = pulp.LpVariable(f"z_{j}_{level}", 0, 1)
            made.problem += z <= pulp.lpSum(made.x[i] for i in np.flatnonzero(table[j] <= level))
            reached.append(z)
    return gain + rules.diversity / (LEVELS * len(wanted)) * pulp.lpSum(reached)


def room(rules: Rules) -> int:
    """Mutants that a full plate has."""
    return rules.most if rules.mutants is None else rules.mutants


def standardised(candidates: Sequence[Candidate]) -> Float[np.ndarray, "n"]:
    """Values from LEAST to 1."""
    values = np.array([one.value for one in candidates])
    return np.asarray(np.interp(values, [values.min(), values.max() + 1e-300], [LEAST, 1.0]))


def spread_over(table: Int[np.ndarray, "n n"], number: int) -> list[int]:
    """Rows that lie far apart: the first, then always the one farthest from those taken (Gonzalez 1985)."""
    taken, nearest = [0], table[0].copy()
    while len(taken) < min(number, len(table)):
        # of equally far ones the first; a row that is taken has distance 0 to itself and -1 here
        nearest[taken] = -1
        taken.append(int(np.argmax(nearest)))
        nearest = np.minimum(nearest, table[taken[-1]])
    return taken


def solved(made: Programme, minimise: pulp.LpAffineExpression, effort: Effort) -> tuple[float, float] | None:
    """The least value found and the proven bound below it, or None where no solution exists.

    Raises PlateError where the time was too short to find any.
    """
    made.problem.setObjective(SCALE * minimise)
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "cbc.log"
        solver = pulp.PULP_CBC_CMD(
            msg=False, threads=effort.threads, timeLimit=effort.seconds, gapRel=effort.gap, logPath=str(log)
        )
        made.problem.solve(solver)
        text = log.read_text(encoding="utf-8", errors="replace")
    if made.problem.status == pulp.LpStatusInfeasible:
        return None
    if made.problem.sol_status not in (pulp.LpSolutionOptimal, pulp.LpSolutionIntegerFeasible):
        raise PlateError(f"no plate found in {effort.seconds:g} seconds: give `solver` more `seconds`, or relax rules")
    value = float(pulp.value(made.problem.objective))
    # bounds: what CBC proved, the relaxation without integers, and, where it was not cut short, the gap it may leave
    stated = re.findall(r"^(?:Lower bound:|Continuous objective value is)\s+(\S+)", text, flags=re.MULTILINE)
    whole = made.problem.sol_status == pulp.LpSolutionOptimal
    bound = max([*map(float, stated), value - effort.gap * abs(value) if whole else -np.inf])
    return value / SCALE, min(value, bound) / SCALE
