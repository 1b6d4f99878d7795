"""Plates by integer programme against brute force over all subsets, rule by rule and together."""

import dataclasses
import functools
import itertools
from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np
import pytest

from multimep.candidates import space
from multimep.mutations import parse
from multimep.plate_choice import choose
from multimep.plate_programme import LEVELS, Effort, cliques, room, spread_over, standardised
from multimep.plate_rules import Candidate, PlateError, Rules
from multimep.proximity import distances

WILD_TYPE = "MKTAYIAK"
EXACT = Effort(60.0, 0.0)
SIX = {"wells": 8, "controls": {"WT": 2}}


def candidates(number: int = 16, seed: int = 0) -> list[Candidate]:
    """Single and double mutants of five sites, values at random."""
    draw = np.random.default_rng(seed)
    names = list(space("toy", WILD_TYPE, [1, 2, 3, 5, 8], 1, 2, "ACD"))
    chosen = [names[row] for row in sorted(draw.choice(len(names), number, replace=False))]
    return [Candidate(name, float(draw.normal()), tuple(name.split(":"))) for name in chosen]


def obeys(chosen: Sequence[Candidate], rules: Rules) -> bool:
    """The rules once more, as one would read them aloud."""
    sites = Counter(site for one in chosen for site in one.sites)
    caps = {site: rules.site_caps.get(site, rules.site_cap) for site in sites}
    pairs = itertools.combinations(chosen, 2)
    return (
        len(chosen) * rules.replicates + sum(rules.controls.values()) <= rules.wells
        and (rules.mutants is None or len(chosen) == rules.mutants)
        and all(sum(text in one.mutations for one in chosen) >= least for text, least in rules.required.items())
        and not any(text in one.mutations for one in chosen for text in rules.forbidden)
        and all(rules.depth is None or len(one.genotype) <= rules.depth for one in chosen)
        and all(cap is None or sites[site] <= cap for site, cap in caps.items())
        and all(apart(one, other) >= rules.distance for one, other in pairs)
        and (rules.budget is None or cost(chosen, rules) <= rules.budget + 1e-9)
    )


@functools.cache
def differing(one: str, other: str) -> int:
    left, right = ({part.position: part.substitute for part in parse(each)} for each in (one, other))
    return sum(left.get(site) != right.get(site) for site in {*left, *right})


def apart(one: Candidate, other: Candidate) -> int:
    return differing(one.mutant, other.mutant)


def cost(chosen: Sequence[Candidate], rules: Rules) -> float:
    oligos = len({oligo for one in chosen for oligo in one.oligos})
    wells = len(chosen) * rules.replicates + sum(rules.controls.values())
    return oligos * rules.oligo_price + len(chosen) * rules.mutant_price + wells * rules.well_price


def worth(chosen: Sequence[Candidate], allowed: Sequence[Candidate], rules: Rules) -> float:
    value = dict(zip([one.mutant for one in allowed], standardised(allowed), strict=True))
    gain = sum(value[one.mutant] for one in chosen) / room(rules)
    near = [max((max(0, 1 - apart(one, to) / LEVELS) for one in chosen), default=0.0) for to in allowed]
    return gain + rules.diversity * float(np.mean(near))


def brute_force(pool: Sequence[Candidate], rules: Rules) -> float:
    allowed = [one for one in pool if rules.allows(one.genotype)]
    value = dict(zip([one.mutant for one in allowed], standardised(allowed), strict=True))
    best = 0.0
    for chosen in plates(allowed, rules):
        # what could not be better even if it represented every candidate needs no second look
        if sum(value[one.mutant] for one in chosen) / room(rules) + rules.diversity > best and obeys(chosen, rules):
            best = max(best, worth(chosen, allowed, rules))
    return best


def plates(pool: Sequence[Candidate], rules: Rules) -> Iterator[tuple[Candidate, ...]]:
    for number in range(1, min(rules.most, len(pool)) + 1):
        yield from itertools.combinations(pool, number)


MONEY = {"oligo_price": 3.0, "mutant_price": 1.0, "well_price": 0.5}
RULES = {
    "wells": {},
    "replicates": {"replicates": 3},
    "so many mutants": {"mutants": 3},
    "required": {"required": {"K2C": 2, "M1A": 1}},
    "forbidden": {"forbidden": ("K2C", "M1A")},
    "depth": {"depth": 1},
    "cap of every site": {"site_cap": 1},
    "caps of sites": {"site_cap": 2, "site_caps": {1: 1, 8: 0}},
    "distance 2": {"distance": 2},
    "distance 3": {"distance": 3},
    "diversity": {"diversity": 1.0},
    "mostly diversity": {"diversity": 20.0},
    "budget": {**MONEY, "budget": 14.0},
    "oligos shared": {"oligo_price": 5.0, "budget": 15.0},
    "required within a budget": {**MONEY, "budget": 16.0, "required": {"K2C": 2}},
    "distance and caps": {"distance": 2, "site_cap": 2, "depth": 2},
    "diversity within a budget": {**MONEY, "budget": 15.0, "diversity": 2.0},
    "all": {**MONEY, "budget": 22.0, "diversity": 0.5, "distance": 2, "site_cap": 3, "required": {"K2C": 1},
        "forbidden": ("M1A",), "depth": 2, "mutants": 4},
}  # fmt: skip


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("case", RULES)
def test_the_plate_is_the_best_of_all_subsets_that_obey_the_rules(case, seed):
    number = (14 if "div" in case or case == "all" else 16) - 4 * seed
    pool, rules = candidates(number, seed), Rules(**(SIX | RULES[case]))
    carrying = {text for one in pool for text in one.mutations}
    if not set(rules.required) <= carrying or any(
        sum(text in one.mutations for one in pool) < least for text, least in rules.required.items()
    ):
        rules = dataclasses.replace(rules, required={pool[0].mutations[0]: 1}, forbidden=())
    found = choose(pool, rules, EXACT)
    allowed = [one for one in pool if rules.allows(one.genotype)]
    assert obeys(found.chosen, rules)
    assert found.objective == pytest.approx(worth(found.chosen, allowed, rules), abs=1e-6)
    assert found.objective == pytest.approx(brute_force(pool, rules), abs=1e-6)
    assert found.gap < 1e-6
    assert found.price == pytest.approx(cost(found.chosen, rules))


def test_a_solver_that_is_cut_short_or_may_stop_early_states_a_bound_that_holds():
    pool, rules = candidates(18, 3), Rules(**(SIX | RULES["diversity within a budget"]))
    best = choose(pool, rules, EXACT).objective
    for effort in (Effort(60.0, 0.3), Effort(60.0, 0.05)):
        found = choose(pool, rules, effort)
        assert found.objective <= best + 1e-6 <= found.bound + 2e-6
        assert found.gap <= effort.gap / (1 - effort.gap) + 1e-6


def test_eighteen_candidates_with_every_rule_are_proven_too():
    rules = Rules(**(SIX | RULES["distance and caps"] | {"oligo_price": 2.0, "budget": 14.0}))
    pool = candidates(18, 3)
    assert choose(pool, rules, EXACT).objective == pytest.approx(brute_force(pool, rules), abs=1e-6)


def test_the_order_of_the_candidates_changes_nothing():
    pool, rules = candidates(16), Rules(**(SIX | RULES["all"] | {"required": {}}))
    assert set(choose(pool, rules, EXACT).chosen) == set(choose(pool[::-1], rules, EXACT).chosen)


IMPOSSIBLE = {
    "nobody carries it": ({"required": {"A4C": 1}}, ["required.A4C 0 (is 1)"]),
    "more than there are": ({"required": {"A4C": 1, "K2C": 99}}, ["with all of", "required.A4C 0", "required.K2C"]),
    "too many": ({"mutants": 6, "wells": 8, "site_cap": 1}, ["mutants 5 (is 6)", "site_cap 2 (is 1)"]),
    "too dear": ({"mutants": 3, "mutant_price": 10.0, "budget": 25.0}, ["mutants 2 (is 3)", "budget 30.00 (is 25)"]),
    "too near": ({"required": {"M1A": 2}, "distance": 3}, ["required.M1A 1 (is 2)", "distance below 3"]),
    "a site closed": ({"required": {"M1A": 1}, "site_caps": {1: 0}}, ["required.M1A 0 (is 1)", "site_caps.1 1 (is 0)"]),
    "nothing allowed": ({"forbidden": ("M1A", "M1C", "K2A")}, ["none of 3 candidates is allowed", "`forbidden`"]),
    "cents": ({"mutants": 3, "mutant_price": 33.3334, "budget": 50.0}, ["budget 100.01 (is 50)"]),
    "all sites closed": ({"site_cap": 1, "site_caps": {1: 0, 2: 0, 3: 0, 5: 0, 8: 0}}, ["site_caps: leave no mutant"]),
    "no money": ({"mutant_price": 10.0, "budget": 5.0}, ["budget: 5 pays for no mutant"]),
}


@pytest.mark.parametrize("case", IMPOSSIBLE)
def test_rules_that_no_plate_obeys_are_named_with_what_would_do(case):
    rules, words = IMPOSSIBLE[case]
    names = (
        ["M1A", "M1C", "K2A"] if case == "nothing allowed" else ["M1A", "M1C", "K2A", "T3A", "Y5A", "K8A", "M1A:K2A"]
    )
    pool = [Candidate(name, float(place), (name,)) for place, name in enumerate(names)]
    with pytest.raises(PlateError) as refused:
        choose(pool, Rules(**(SIX | rules)), EXACT)
    assert all(word in str(refused.value) for word in words), refused.value


CONTRADICTIONS = {
    "no room": ({"wells": 2}, "hold no mutant"),
    "more mutants than wells": ({"wells": 8, "mutants": 7}, "need 9 wells, there are 8"),
    "wanted and not": ({"required": {"M1A": 1}, "forbidden": ("M1A",)}, "M1A is in both"),
    "no mutation": ({"forbidden": ("U1A",)}, "unknown amino acid 'U'"),
    "two mutations": ({"required": {"M1A:K2A": 1}}, "is not one mutation"),
    "twice in other words": ({"controls": {"K2W": 1, " K02W": 1}}, "controls: K2W stands twice"),
    "more wells than plates": ({"wells": 10**7}, "wells: 10000000 must be from 1 to 100,000"),
    "no replicate": ({"replicates": 0}, "replicates: 0 must be from 1 to 100,000"),
    "negative": ({"budget": -1.0}, "budget: -1.0 must be 0 or more"),
}


def test_rules_write_mutations_in_the_one_way_by_which_candidates_are_joined():
    rules = Rules(controls={"": 1, "K2W , M1A": 2}, required={"K02W": 1}, forbidden=("M1A ",))
    assert (rules.controls, rules.required, rules.forbidden) == ({"WT": 1, "M1A:K2W": 2}, {"K2W": 1}, ("M1A",))
    assert not rules.allows(Candidate("M1A:K2W", 0.0, ()).genotype)


@pytest.mark.parametrize("case", CONTRADICTIONS)
def test_rules_that_contradict_each_other_are_refused_before_any_candidate_is_seen(case):
    rules, words = CONTRADICTIONS[case]
    with pytest.raises(PlateError, match=words):
        Rules(**rules)


def test_cliques_hold_every_near_pair_and_no_other():
    near = np.random.default_rng(0).random((40, 40)) < 0.3
    near |= near.T
    covered = np.zeros_like(near)
    for one in cliques(near):
        covered[np.ix_(one, one)] = True
    off = ~np.eye(40, dtype=bool)
    assert (covered[off] == near[off]).all()


def test_demands_are_spread_and_each_is_taken_once():
    pool = candidates(18)
    table = distances(*[[one.genotype for one in pool]] * 2)
    assert sorted(spread_over(table, 100)) == list(range(18))
    taken = spread_over(table, 4)
    assert min(table[a, b] for a, b in itertools.combinations(taken, 2)) >= 2
