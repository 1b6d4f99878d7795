"""A fully measured landscape replayed round by round: how soon would a policy have found its best variants?

A first batch is drawn at random, the same for every policy at one seed; then each policy fits its method to what it has
measured, asks the next batch by its acquisition, and so on. What is told of round t, with y the fitness turned so that
higher is better, M(t) the rows measured by then, and T_p the best p of all rows:
    best      max y over M(t), in the unit of the source
    regret    (max y - max_{M(t)} y) / (max y - median y), over all rows: 0 is found, 1 as good as the median variant
    top_1     |M(t) n T_1%| / |T_1%|, and top_10 likewise
and of a whole campaign the regret area, the mean regret over its rounds.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float, Int
from scipy import special

from multimep import text_table
from multimep.acquisition import AcquisitionError, Wanted, drawn, pointwise
from multimep.dataset import Dataset
from multimep.embedder import Embedder
from multimep.methods.method import JointPredictor, Method
from multimep.policies import Campaign, CampaignError, Policy
from multimep.whole_files import write_whole

COLUMNS = ("policy", "seed", "round", "measured", "best", "regret", "top_1", "top_10")
ROUND_COLUMNS = ("policy", "measured", "value", "low", "high")
JOINT_ROWS = 2000
"""Candidates of one joint draw: those of the largest upper confidence bound."""


def replay(
    landscape: Dataset, plan: Campaign, methods: Mapping[str, Method], embedder: Embedder, seed: int
) -> pd.DataFrame:
    """One row per policy, seed and round, see COLUMNS; the order of the landscape's rows changes nothing.

    `methods` holds the method of every policy that has one, by the policy's name.
    """
    data = landscape.select(sorted(landscape.variants.mutants))
    wanted = plan.first + plan.rounds * plan.batch
    if wanted > len(data):
        raise CampaignError(
            f"{data.name}: {len(data)} measured variants, {plan.first} + {plan.rounds} x {plan.batch} are asked; take "
            "smaller batches or fewer rounds"
        )
    rows = [
        row
        for number in range(plan.seeds)
        for name, policy in plan.policies.items()
        for row in _campaign(data, plan, name, policy, methods.get(name), embedder, seed + number)
    ]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _campaign(
    data: Dataset, plan: Campaign, name: str, policy: Policy, method: Method | None, embedder: Embedder, seed: int
) -> Iterator[tuple[Any, ...]]:
    draw = np.random.default_rng(seed)
    measured = draw.permutation(len(data))[: plan.first]
    yield (name, seed, 0, *told(data, measured))
    for number in range(1, plan.rounds + 1):
        left = np.setdiff1d(np.arange(len(data)), measured)
        if method is None:
            worth = draw.random(len(left))
        else:
            worth = _worth(data, measured, left, policy, method, embedder, plan.batch, seed + 1000 * number)
        measured = np.concatenate([measured, left[np.argsort(-worth, kind="stable")[: plan.batch]]])
        yield (name, seed, number, *told(data, measured))


def _worth(
    data: Dataset,
    measured: Int[np.ndarray, "m"],
    left: Int[np.ndarray, "n"],
    policy: Policy,
    method: Method,
    embedder: Embedder,
    batch: int,
    seed: int,
) -> Float[np.ndarray, "n"]:
    """Values of the rows that are left, from what the measured ones teach."""
    sign = 1 if data.higher_is_better else -1
    taught = data.select(data.variants.mutants[row] for row in measured)
    asked = data.variants.select(data.variants.mutants[row] for row in left)
    predictor = method.fit([taught], embedder, seed)
    found = predictor.predict(asked).select(asked.mutants)
    if policy.acquisition == "mean":
        return sign * found.mean
    if np.isnan(found.std).any():
        raise AcquisitionError(f"{policy.method} gives no standard deviation; choose the acquisition `mean`")
    wanted = Wanted(policy.beta, float(np.max(sign * taught.fitness)))
    value = pointwise(policy.acquisition, sign * found.mean, found.std, wanted)
    if policy.acquisition != "thompson":
        return value
    if not isinstance(predictor, JointPredictor):
        raise AcquisitionError(f"{policy.method} has no joint posterior for thompson; choose the acquisition `ucb`")
    likely = np.argsort(-value, kind="stable")[:JOINT_ROWS]
    joint = predictor.joint(asked.select(asked.mutants[row] for row in likely))
    shares = np.full(len(left), -1.0)
    shares[likely] = drawn(joint, sign, policy.draws, batch, seed)
    return shares


def told(data: Dataset, measured: Int[np.ndarray, "m"]) -> tuple[int | float, ...]:
    """Number measured, best, regret, and hits among the top 1 % and 10 %."""
    sign = 1 if data.higher_is_better else -1
    y = sign * data.fitness
    best, order = float(y[measured].max()), np.argsort(-y, kind="stable")
    room = float(y.max() - np.median(y))
    tops = [order[: max(1, len(y) * share // 100)] for share in (1, 10)]
    hits = [float(np.isin(top, measured).mean()) for top in tops]
    return (len(measured), sign * best, (float(y.max()) - best) / room if room > 0 else 0.0, *hits)


def summary(table: pd.DataFrame) -> pd.DataFrame:
    """By policy: means over seeds of the last round and of the regret area, with the standard error of the latter."""
    last = table[table["round"] == table["round"].max()].groupby("policy", sort=False)
    area = table.groupby(["policy", "seed"], sort=False)["regret"].mean().groupby("policy", sort=False)
    found = last[["best", "regret", "top_1", "top_10"]].mean()
    found["regret_area"], found["regret_area_se"] = area.mean(), area.sem()
    told_of: pd.DataFrame = found.reset_index()
    return told_of


def rounds(table: pd.DataFrame, measure: str) -> pd.DataFrame:
    """By policy and number measured: mean of `measure` over the seeds, with its 95 % interval.

    m +- t_{s-1} sd / sqrt(s) over s seeds (Student); NaN ends where one seed was replayed.
    """
    seeds = table.groupby(["policy", "measured"], sort=False)[measure]
    found = seeds.agg(value="mean", se="sem", s="size").reset_index()
    reach = special.stdtrit(np.maximum(found["s"] - 1, 1), 0.975) * found["se"]
    return found.assign(low=found["value"] - reach, high=found["value"] + reach)[[*ROUND_COLUMNS]]


def read(path: Path) -> pd.DataFrame:
    """The rows that `write` wrote; raises CampaignError where the file is no such table."""
    table = text_table.read(path, COLUMNS, CampaignError)
    numbered = {name: text_table.numbers(table, name, path, CampaignError) for name in COLUMNS[1:]}
    return table.frame().assign(**numbered).astype(dict.fromkeys(COLUMNS[1:4], int))


def write(table: pd.DataFrame, path: Path) -> None:
    """Write the rows as CSV, whole or not at all."""
    write_whole(path, table.to_csv(index=False, lineterminator="\n", float_format="%.9g"))
