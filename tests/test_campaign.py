"""Replayed campaigns: what is told of a round, that models beat chance, that the order of the rows changes nothing."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from conftest import additive_landscape
from multimep.acquisition import AcquisitionError
from multimep.campaign import COLUMNS, read, replay, rounds, summary, told, write
from multimep.dataset import Dataset
from multimep.embedder import Embedder
from multimep.methods import METHODS
from multimep.policies import Campaign, CampaignError, Policy, standard
from toy_datasets import toy

SMALL = {"first": 10, "batch": 8, "rounds": 3, "seeds": 2}


def door() -> None:
    raise AssertionError("the language model was loaded without need")


DOOR = Embedder(door)  # type: ignore[arg-type]


def run(data: Dataset, plan: Campaign, seed: int = 0, embedder: Embedder = DOOR) -> pd.DataFrame:
    methods = {name: METHODS[one.method](**one.settings) for name, one in plan.policies.items() if one.method}
    return replay(data, plan, methods, embedder, seed)


@pytest.fixture(scope="module")
def landscape() -> Dataset:
    return additive_landscape(rows=200, noise=0.05)


@pytest.fixture(scope="module")
def found(landscape: Dataset, embedder: Embedder) -> pd.DataFrame:
    return run(landscape, Campaign(**SMALL), embedder=embedder)


def test_what_is_told_of_a_round_is_counted_by_hand():
    names = [
        f"{old}{site}{new}" for site, old in enumerate("MKTAYIAKQR", start=1) for new in "CDEFGHLNPS" if new != old
    ]
    data = toy(names[:100], fitness=[float(one) for one in range(100)])
    assert told(data, np.array([0, 50, 98])) == (3, 98.0, (99 - 98) / (99 - 49.5), 0.0, 0.1)
    assert told(data, np.array([99, 97])) == (2, 99.0, 0.0, 1.0, 0.2)
    lower = toy(names[:100], fitness=[float(one) for one in range(100)], higher_is_better=False)
    assert told(lower, np.array([2, 50])) == (2, 2.0, 2 / 49.5, 0.0, 0.1)


def test_every_policy_starts_from_the_same_batch_and_measures_as_many(found):
    assert list(found.columns) == list(COLUMNS)
    assert set(found["policy"]) == set(standard())
    assert found.groupby(["round"])["measured"].unique().map(list).to_dict() == {0: [10], 1: [18], 2: [26], 3: [34]}
    start = found[found["round"] == 0]
    assert len(start.drop_duplicates(["seed", "best", "regret", "top_1", "top_10"])) == 2
    paths = found.groupby(["policy", "seed"])
    for column, sign in (("regret", -1), ("top_1", 1), ("top_10", 1)):
        assert (sign * paths[column].diff().dropna() >= 0).all(), column


def test_models_find_an_additive_landscape_s_best_sooner_than_chance(found):
    area = summary(found).set_index("policy")["regret_area"]
    hits = summary(found).set_index("policy")["top_10"]
    for name in set(standard()) - {"random", "zero_shot"}:  # the language model of the tests has random weights
        assert area[name] <= area["random"], name
        assert hits[name] > hits["random"] + 0.2, name


def test_the_order_of_the_rows_changes_nothing_and_the_seed_everything(landscape):
    plan = Campaign(policies={"thompson": Policy("site_gp", acquisition="thompson")}, **SMALL)
    turned = landscape.select(landscape.variants.mutants[::-1])
    pd.testing.assert_frame_equal(run(landscape, plan), run(turned, plan))
    assert not run(landscape, plan)["best"].equals(run(landscape, plan, 7)["best"])


def test_the_interval_of_a_round_is_students_over_the_seeds(found):
    told = rounds(found, "regret").set_index(["policy", "measured"])
    values = found.query("policy == 'random' and measured == 34")["regret"]
    expected = stats.t.interval(0.95, len(values) - 1, loc=values.mean(), scale=values.sem())
    np.testing.assert_allclose(told.loc[("random", 34), ["low", "high"]].astype(float), expected)
    alone = rounds(found[found["seed"] == 0], "regret")
    assert alone[["low", "high"]].isna().all(axis=None) and alone["value"].notna().all()


def test_what_was_written_is_read_and_another_table_is_refused(found, tmp_path):
    write(found, tmp_path / "landscape.csv")
    pd.testing.assert_frame_equal(read(tmp_path / "landscape.csv"), found, rtol=1e-8)
    found.drop(columns="regret").to_csv(tmp_path / "other.csv", index=False)
    with pytest.raises(CampaignError, match=r"other.csv: no column regret"):
        read(tmp_path / "other.csv")


def test_what_cannot_be_replayed_is_refused(landscape):
    with pytest.raises(CampaignError, match="200 measured variants, 96 \\+ 4 x 96"):
        run(landscape, Campaign())
    with pytest.raises(CampaignError, match="a method and its acquisition"):
        Policy("site_gp", acquisition="random")
    for draws in (0, -1, 10**12):
        with pytest.raises(CampaignError, match=f"draws: {draws} must be from 1 to 100,000"):
            Policy("site_gp", acquisition="thompson", draws=draws)
    with pytest.raises(CampaignError, match="batch: 0"):
        Campaign(batch=0)
    with pytest.raises(AcquisitionError, match="additive has no joint posterior"):
        run(landscape, Campaign(policies={"a": Policy("additive", acquisition="thompson")}, **SMALL))
