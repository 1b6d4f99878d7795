"""What replaying a landscape and choosing a plate are going to take; light, for the Snakefile imports it."""

from collections.abc import Mapping
from dataclasses import replace

from multimep import costs, layout
from multimep.costs import Cost
from multimep.job_sizes import Work
from multimep.layout import Config
from multimep.policies import campaign_of

EXHAUSTIVE = 1_000_000
"""Candidates of a plate that are scored where the wishes say nothing; a test holds it against them."""
SOLVER = 60.0
"""Seconds that its solver may look where the wishes say nothing; a test holds it against them."""
BLOCK = 8192
"""Candidates that are held at once."""


def campaign(config: Config, record: str, model: str, factors: Mapping[str, float]) -> Cost:
    """The cost of one dataset's replay: in every round a policy fits what it has measured and asks for all the rest.

    `record` and `model` are the files that the stations `dataset` and `checkpoint` write.
    """
    plan, size = campaign_of(config.get("campaign") or {}), costs.read_model(model)
    rows, length = costs.read_size(record)
    measured = [min(rows, plan.first + number * plan.batch) for number in range(plan.rounds)] * plan.seeds
    fits = tuple((taught, rows - taught) for taught in measured)
    works = [Work(one.method, fits, length, size, one.settings) for one in plan.policies.values() if one.method]
    works += _embedding(config, works, rows)
    return _together([_one_by_one(work, factors) for work in works])


def plate(config: Config, label: str, record: str, model: str, factors: Mapping[str, float]) -> Cost:
    """The cost of one plate at the most: as many candidates as may be scored, and all of the solver's time."""
    wishes = (config.get("recommend") or {}).get("wishes") or {}
    rows, length = costs.read_size(record)
    size = costs.read_model(model)
    method, settings = layout.method_of(config, label), layout.settings_of(config, label)
    scoring, held = (
        costs.predict(Work(method, ((rows, asked),), length, size, settings), factors=factors)
        for asked in (int(wishes.get("exhaustive", EXHAUSTIVE)), BLOCK)
    )
    solver = float((wishes.get("solver") or {}).get("seconds", SOLVER))
    return Cost(scoring.seconds + solver, held.memory, gpu=False)


def _one_by_one(work: Work, factors: Mapping[str, float]) -> Cost:
    """The cost of fits of which no two are held at once."""
    largest = costs.predict(replace(work, folds=work.folds[-1:]), factors=factors)
    return replace(largest, seconds=costs.predict(work, factors=factors).seconds)


def _embedding(config: Config, fits: list[Work], rows: int) -> list[Work]:
    """What the language model is asked, once: all variants or the wild type, where some method asks it at all."""
    helped = [one for one in fits if not layout.is_unaided(one.method, one.settings)]
    if not helped:
        return []
    chosen = "all" if any(layout.embeds_mutants(one.method, one.settings) for one in helped) else "wild_type"
    settings = {**config.get("language_model", {}), "rows": chosen}
    return [replace(helped[0], method="embed", folds=((0, rows),), settings=settings)]


def _together(found: list[Cost]) -> Cost:
    """One process that does all, one after the other."""
    alone = Cost(costs.START, costs.SNAKEMAKE, gpu=False)
    return Cost(sum(one.seconds for one in found or [alone]), max(one.memory for one in found or [alone]), gpu=False)
