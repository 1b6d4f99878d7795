"""Methods inside a method: from words to methods, inner folds, out-of-fold predictions, joined states, prices."""

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from multimep import layout, nesting, prices
from multimep.dataset import Dataset
from multimep.job_sizes import Model, Work
from multimep.methods import METHODS
from multimep.methods.method import State
from multimep.methods.nested import fit_with, inner_folds, joined, methods_inside, out_of_fold, part
from multimep.methods.scaling import FEWEST_ROWS
from multimep.typed_values import SettingsError

MUTANTS = tuple(f"A{site}C" for site in range(1, 24))


def test_labels_name_methods_with_their_settings_or_the_method_they_say() -> None:
    found = methods_inside({"site_gp": {"warp": False}, "plain": {"method": "additive"}, "one_hot_ridge": None})
    assert found == {
        "site_gp": METHODS["site_gp"](warp=False),  # type: ignore[call-arg]
        "plain": METHODS["additive"](),
        "one_hot_ridge": METHODS["one_hot_ridge"](),
    }


@pytest.mark.parametrize(
    ("of", "message"),
    [
        ({}, "of: names no method"),
        ({"site": {}}, "of.site: no method 'site'; choose from additive"),
        ({"site_gp": {"wrap": True}}, r"of.site_gp: unknown key 'wrap' \(known: expectation"),
        ({"site_gp": {"selection_rows": "many"}}, r"of.site_gp.selection_rows: .*integer"),
        ({"shared_prior_gp": {}}, "of.shared_prior_gp: shared_prior_gp fits several datasets at once"),
        ({"a/b": {"method": "additive"}}, "of.a/b: a label must have"),
    ],
)
def test_what_no_method_could_follow_is_refused_with_its_place(of: Any, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        methods_inside(of)


@pytest.mark.parametrize("count", [2, 5, 23, 40])
def test_inner_folds_ask_every_row_once_and_never_what_teaches(count: int) -> None:
    folds = inner_folds(MUTANTS, count, 0)
    assert sorted(one for fold in folds for one in fold.test) == sorted(MUTANTS)
    assert all(sorted(fold.train + fold.test) == sorted(MUTANTS) for fold in folds)
    sizes = [len(fold.test) for fold in folds]
    assert max(sizes) - min(sizes) <= 1
    assert len(folds) == min(count, len(MUTANTS))


def test_inner_folds_depend_on_the_seed_and_not_on_the_order_of_the_rows() -> None:
    assert inner_folds(MUTANTS, 5, 0) == inner_folds(MUTANTS[::-1], 5, 0)
    assert inner_folds(MUTANTS, 5, 0) != inner_folds(MUTANTS, 5, 1)


@pytest.mark.parametrize("rows", range(9))
def test_there_are_no_inner_folds_where_too_few_rows_would_teach(rows: int) -> None:
    folds = inner_folds(MUTANTS[:rows], 5, 0)
    assert bool(folds) == (rows > FEWEST_ROWS)
    assert all(len(fold.train) >= FEWEST_ROWS for fold in folds)


def test_no_row_teaches_the_fit_that_is_asked_about_it(landscape: Any, embedder: Any) -> None:
    data: Dataset = landscape("first", rows=40)
    fit, folds = fit_with(METHODS["additive"](), embedder, 0), inner_folds(data.variants.mutants, 4, 0)
    found = out_of_fold(fit, data, folds)
    assert sorted(found.mutants) == sorted(data.variants.mutants)
    for fold in folds:
        asked = np.isin(data.variants.mutants, fold.test)
        # a fitness gone wild in the asked rows changes nothing that is said of them
        spoilt = replace(data, fitness=np.where(asked, 1e6, data.fitness))
        other = out_of_fold(fit, spoilt, [fold])
        np.testing.assert_array_equal(other.mean, found.select(fold.test).mean)


def test_joined_states_come_apart_as_they_were() -> None:
    states = {
        "a": State({"x": np.arange(3.0)}, {"one": 1}),
        "b": joined({"c": State({"x": np.ones(2), "y/z": np.zeros(1)}, {"two": [2]}), "ca": State({}, {})}),
    }
    whole = joined(states)
    assert json.loads(json.dumps(dict(whole.facts))) == {"a": {"one": 1}, "b": {"c": {"two": [2]}, "ca": {}}}
    np.testing.assert_array_equal(part(whole, "a").arrays["x"], np.arange(3.0))
    inner = part(part(whole, "b"), "c")
    assert dict(inner.facts) == {"two": [2]}
    assert set(inner.arrays) == {"x", "y/z"}


def test_the_price_of_a_nesting_method_is_the_sum_of_its_fits_with_its_imports_once() -> None:
    settings = {"folds": 4, "of": {"site_gp": {"selection_rows": 50}, "b": {"method": "additive"}}}
    work = Work("nesting", ((100, 20), (60, 60)), 50, Model(10, 2, 8), settings)
    price = prices.nested({"site_gp": None})
    fits = ((75, 25),) * 4 + ((100, 20),) + ((45, 15),) * 4 + ((60, 60),)
    parts = [
        replace(work, method="site_gp", settings={"selection_rows": 50}, folds=fits),
        replace(work, method="additive", settings={}, folds=fits),
    ]
    assert prices.inside(work, {}) == parts
    assert price.operations(work) == sum(prices.PRICES[one.method].operations(one) for one in parts)
    beyond = [prices.PRICES[one.method].memory(one) - prices._scipy(one) for one in parts]
    assert min(beyond) > 0
    assert price.memory(work) == prices._scipy(work) + sum(beyond)  # one process imports once, whatever it nests
    assert [one.method for one in prices.inside(replace(work, settings={}), {"site_gp": None})] == ["site_gp"]


def test_a_method_is_joint_or_a_gpus_work_where_one_inside_it_is() -> None:
    def config(of: Any) -> dict[str, Any]:
        return {"methods": {"mine": {"method": "additive", "of": of}}}

    deep = {"x": {"method": "additive", "of": {"fine_tune_together": None}}}
    assert layout.is_joint(config(deep), "mine")
    assert not layout.is_joint(config({"site_gp": None}), "mine")
    assert prices.uses_gpu("additive", {"of": deep})
    assert not prices.uses_gpu("additive", {"of": {"site_gp": {}}})
    assert list(nesting.all_names("a", {"of": deep})) == ["a", "additive", "fine_tune_together"]


def test_the_fits_inside_a_fold_are_the_inner_folds_and_one_on_all_rows() -> None:
    folds = inner_folds(MUTANTS, 5, 0)
    counted = list(nesting.fits(len(MUTANTS), 7, 5))
    assert len(counted) == len(folds) + 1
    assert counted[-1] == (len(MUTANTS), 7)
    for (taught, asked), fold in zip(counted, folds, strict=False):
        assert abs(taught - len(fold.train)) <= 1
        assert abs(asked - len(fold.test)) <= 1
