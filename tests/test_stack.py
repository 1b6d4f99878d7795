"""Weights and intervals from inner folds alone: limits, mixtures, and a method that is better is trusted more."""

import dataclasses
import json
from typing import Any

import numpy as np
import pytest
from scipy.optimize import minimize

from multimep.methods.method import FitError
from multimep.methods.stack import DOUBT, Stack, mixture, weights_of
from multimep.predictions import Predictions

CHEAP: dict[str, Any] = {"additive": None, "one_hot_ridge": None}


def predictions(mutants: tuple[str, ...], mean: np.ndarray, std: float = 0.5) -> Predictions:
    return Predictions(mutants, mean, np.full(len(mean), std), np.full(len(mean), 2 * std))


def told(data, noise: tuple[float, ...], seed: int = 0) -> list[Predictions]:
    """Methods that are right up to noise of their own."""
    random = np.random.default_rng(seed)
    return [predictions(data.variants.mutants, data.fitness + one * random.normal(size=len(data))) for one in noise]


def test_weights_are_those_of_a_general_search(landscape):
    data = landscape("first", rows=60)
    inner = told(data, (0.6, 0.8, 2.0))
    z = (data.fitness - data.fitness.mean()) / data.fitness.std(ddof=1)
    f = np.column_stack([(one.mean - data.fitness.mean()) / data.fitness.std(ddof=1) for one in inner])
    pull = np.mean((z - f.mean(axis=1)) ** 2) / DOUBT**2
    oracle = minimize(
        lambda w: np.sum((z - f @ w) ** 2) + pull * np.sum((w - 1 / 3) ** 2),
        np.full(3, 1 / 3),
        bounds=[(0, 1)] * 3,
        constraints={"type": "eq", "fun": lambda w: w.sum() - 1},
        method="SLSQP",
        options={"ftol": 1e-12},
    ).x
    np.testing.assert_allclose(weights_of(inner, data), oracle, atol=1e-3)


def test_a_method_that_errs_less_weighs_more_and_none_weighs_less_than_nothing(landscape):
    data = landscape("first", rows=100)
    weights = weights_of(told(data, (0.2, 1.0, 5.0)), data)
    assert weights[0] > weights[1] > weights[2] >= 0
    assert weights.sum() == pytest.approx(1)


def test_methods_that_say_the_same_weigh_the_same(landscape):
    data = landscape("first", rows=30)
    one = told(data, (0.5,))[0]
    np.testing.assert_allclose(weights_of([one, one, one], data), 1 / 3, atol=1e-6)


def test_mean_and_variance_are_those_of_drawing_from_the_mixture():
    parts = [predictions(("A1C",), np.array([mean]), std) for mean, std in ((0.0, 0.5), (2.0, 1.0))]
    random = np.random.default_rng(0)
    which = random.random(400_000) < 0.3
    draws = np.where(which, 0.0, 2.0) + np.where(which, 0.5, 1.0) * random.normal(size=len(which))
    found = mixture(parts, np.array([0.3, 0.7]))
    assert found.mean[0] == pytest.approx(draws.mean(), abs=0.01)
    assert found.std[0] == pytest.approx(draws.std(), abs=0.01)
    assert found.noisy_std[0] > found.std[0]


def test_a_method_without_standard_deviations_counts_in_the_mean_alone():
    unsure = Predictions(("A1C",), np.array([1.0]), np.full(1, np.nan), np.full(1, np.nan))
    found = mixture([predictions(("A1C",), np.array([1.0])), unsure], np.array([0.5, 0.5]))
    np.testing.assert_allclose([found.mean[0], found.std[0], found.noisy_std[0]], [1.0, 0.5, 1.0])
    assert np.isnan(mixture([unsure, unsure], np.array([0.5, 0.5])).noisy_std).all()


def test_one_method_alone_keeps_its_means(landscape, embedder):
    whole = landscape("first", rows=60)
    train, asked = whole.select(whole.variants.mutants[:40]), whole.select(whole.variants.mutants[40:])
    alone = Stack(of={"additive": None}).fit([train], embedder, 0)
    base = alone.inside["additive"].predict(asked.variants)
    np.testing.assert_allclose(alone.predict(asked.variants).mean, base.mean)
    np.testing.assert_allclose(alone.predict(asked.variants).noisy_std, alone.scale * base.noisy_std)


def test_the_fitness_of_rows_that_are_asked_plays_no_role(landscape, embedder):
    whole = landscape("first", rows=60)
    hidden = dataclasses.replace(whole, fitness=np.where(np.arange(60) < 40, whole.fitness, 1e9))
    asked = whole.variants.select(whole.variants.mutants[40:])
    one, other = (
        Stack(of=CHEAP).fit([rows.select(rows.variants.mutants[:40])], embedder, 0).predict(asked)
        for rows in (whole, hidden)
    )
    np.testing.assert_array_equal(one.mean, other.mean)
    np.testing.assert_array_equal(one.noisy_std, other.noisy_std)


def test_intervals_cover_what_is_measured(landscape, embedder):
    whole = landscape("first", rows=200, noise=0.5)
    train, asked = whole.select(whole.variants.mutants[:120]), whole.select(whole.variants.mutants[120:])
    found = Stack(of=CHEAP).fit([train], embedder, 0).predict(asked.variants)
    assert 0.88 < np.mean(np.abs(asked.fitness - found.mean) <= 1.96 * found.noisy_std) <= 1


def test_the_state_tells_the_weight_of_each_method(landscape, embedder):
    method = Stack(of=CHEAP)
    predictor = method.fit([landscape("first", rows=40)], embedder, 0)
    facts = json.loads(json.dumps(dict(predictor.state().facts)))
    assert list(facts["/stack"]["weights"]) == list(CHEAP)
    assert sum(facts["/stack"]["weights"].values()) == pytest.approx(1)
    assert method.restore(predictor.state(), embedder).weights == predictor.weights


def test_folds_of_which_none_could_teach_are_refused():
    with pytest.raises(FitError, match="folds must be at least 2, not 1"):
        Stack(folds=1)
