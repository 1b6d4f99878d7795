"""What one protein tells another: never of its own family, in closed form, nearer to the truth than the weak prior."""

import dataclasses

import numpy as np
import pytest

from multimep import site_kernel
from multimep.dataset import Dataset, Variants
from multimep.embedder import Embedder
from multimep.methods.exchange_effects import SLOPES, Exchanges
from multimep.methods.method import FitError
from multimep.methods.shared_prior_gp import (
    WEAK_FAMILIES,
    Lesson,
    SharedPriorGP,
    belief_from,
    lesson_of,
    pooled,
    ridge_slopes,
)
from multimep.methods.site_gp import SiteGP
from multimep.mutations import AMINO_ACIDS
from multimep.predictions import Predictions


def no_language_model() -> None:
    raise AssertionError("shared_prior_gp asked for a language model")


EMBEDDER = Embedder(no_language_model)
TRUE = {"site.variance": 2.5, "region.variance": 0.02, "noise.variance": 0.05, "exchange.variance": 0.05}
"""Far from the weak medians: landscapes of sites, hardly any noise."""


def protein(seed: int, length: int = 50) -> str:
    return "".join(np.random.default_rng(1000 + seed).choice(list(AMINO_ACIDS), length))


def singles(wild_type: str) -> list[str]:
    return [f"{old}{site}{new}" for site, old in enumerate(wild_type, 1) for new in AMINO_ACIDS if new != old]


def theta_of(values: dict[str, float]) -> np.ndarray:
    theta = np.log(site_kernel.prior().medians)
    for name, value in values.items():
        theta[site_kernel.NAMES.index(name)] = np.log(value)
    return theta


def scan(name: str, seed: int, rows: int = 40, wild_type: str | None = None, values: dict[str, float] | None = None):
    """Random single mutants of a random protein, their fitness drawn from the kernel at the given hyperparameters."""
    wild_type = wild_type or protein(seed)
    random = np.random.default_rng(seed)
    variants = Variants(name, wild_type, tuple(str(one) for one in random.permutation(singles(wild_type))[:rows]))
    matrix, _ = site_kernel.site_covariance(site_kernel.mutations_of(variants, 1.0))(theta_of(values or {}))
    fitness = np.linalg.cholesky(matrix) @ random.normal(size=rows)
    return Dataset(variants, fitness, np.full(rows, np.nan), np.ones(rows, np.int64))


def told_of(theta: float | np.ndarray, slopes: float | np.ndarray) -> Lesson:
    """A lesson with nothing to say of exchanges beyond one that all lessons share."""
    nothing = Exchanges(np.eye(446), np.ones(446) * float(np.mean(slopes)))
    return Lesson(np.broadcast_to(theta, 18).astype(float), np.broadcast_to(slopes, 6).astype(float), nothing)


def asked_of(data: Dataset) -> Variants:
    rest = [one for one in singles(data.wild_type) if one not in data.variants.row_of]
    return Variants(data.name, data.wild_type, tuple(rest[:30]))


def predicted(team: list[Dataset], of: Dataset, **settings) -> Predictions:
    return SharedPriorGP(**settings).fit(team, EMBEDDER, 0).predict(asked_of(of))


def same(one: Predictions, other: Predictions) -> bool:
    return all(np.array_equal(getattr(one, name), getattr(other, name)) for name in ("mean", "std", "noisy_std"))


TARGET, OTHER, THIRD = scan("target", 1), scan("other", 2), scan("third", 3)


# Families


@pytest.mark.parametrize("how", ["the same", "a part of it", "a relative"])
def test_a_planted_twin_changes_not_one_bit_of_the_targets_predictions(how):
    wild_type = {
        "the same": TARGET.wild_type,
        "a part of it": TARGET.wild_type[5:45],
        "a relative": TARGET.wild_type[:30] + protein(9, 20),
    }[how]
    twin = scan("twin", 7, wild_type=wild_type, values=TRUE)
    assert same(predicted([TARGET, OTHER], TARGET), predicted([TARGET, OTHER, twin], TARGET))
    assert not same(predicted([TARGET, OTHER], TARGET), predicted([TARGET, OTHER, THIRD], TARGET))


@pytest.mark.parametrize("warp", [True, False])
def test_without_another_family_it_is_site_gp_without_expectation(warp):
    alone = SiteGP(expectation=False, warp=warp).fit([TARGET], EMBEDDER, 0).predict(asked_of(TARGET))
    assert same(predicted([TARGET], TARGET, warp=warp), alone)
    twin = scan("twin", 7, wild_type=TARGET.wild_type)
    assert same(predicted([TARGET, twin], TARGET, warp=warp), alone)


def test_a_family_counts_once_however_many_datasets_it_has():
    told = {name: told_of(value, value) for name, value in {"a": 1.0, "b": 3.0, "c": -4}.items()}
    twice = belief_from(told, {"a": 1, "b": 1, "c": 2}, 0, True)
    once = belief_from({"ab": told_of(2.0, 2.0), "c": told["c"]}, {"ab": 1, "c": 2}, 0, True)
    np.testing.assert_allclose(twice.prior.medians, once.prior.medians)
    np.testing.assert_allclose(twice.slopes, once.slopes)
    np.testing.assert_allclose(twice.mixing, once.mixing)
    np.testing.assert_allclose(twice.residues, once.residues)


# What is seen and what is not


def test_the_order_of_datasets_and_rows_changes_not_one_bit():
    before = predicted([TARGET, OTHER, THIRD], TARGET)
    shuffled = [
        one.select(np.random.default_rng(0).permutation(np.array(one.variants.mutants))) for one in (THIRD, OTHER)
    ]
    assert same(before, predicted([shuffled[0], TARGET, shuffled[1]], TARGET))


def test_the_targets_own_fitness_plays_no_role_in_its_prior():
    other, third = (lesson_of(one, 300, True, 0) for one in (OTHER, THIRD))
    family = {"target": 0, "other": 1, "third": 2}
    changed = dataclasses.replace(TARGET, fitness=-(TARGET.fitness**3))
    beliefs = [
        belief_from({"target": lesson_of(one, 300, True, 0), "other": other, "third": third}, family, 0, True)
        for one in (TARGET, changed)
    ]
    np.testing.assert_array_equal(beliefs[0].prior.medians, beliefs[1].prior.medians)
    np.testing.assert_array_equal(beliefs[0].slopes, beliefs[1].slopes)


def test_fitness_that_is_asked_of_any_dataset_plays_no_role():
    whole = [scan("target", 1, 60), scan("other", 2, 60)]
    hidden = [dataclasses.replace(one, fitness=np.where(np.arange(60) < 40, one.fitness, 1e9)) for one in whole]
    team, again = ([one.select(one.variants.mutants[:40]) for one in rows] for rows in (whole, hidden))
    assert same(predicted(team, team[0]), predicted(again, again[0]))


def test_a_dataset_whose_rows_are_all_equal_tells_nothing():
    flat = dataclasses.replace(THIRD, fitness=np.full(len(THIRD), 2.0))
    assert same(predicted([TARGET, OTHER], TARGET), predicted([TARGET, OTHER, flat], TARGET))


def test_a_fitness_where_lower_is_better_teaches_and_learns_the_same_slopes_turned_round():
    turned = dataclasses.replace(OTHER, fitness=-OTHER.fitness, higher_is_better=False)
    one, other = (lesson_of(data, 300, False, 0) for data in (OTHER, turned))
    np.testing.assert_allclose(one.slopes, other.slopes, rtol=1e-8)
    np.testing.assert_allclose(one.theta, other.theta, atol=1e-4)
    target = dataclasses.replace(TARGET, fitness=-TARGET.fitness, higher_is_better=False)
    straight, upside_down = predicted([TARGET, OTHER], TARGET), predicted([target, OTHER], target)
    np.testing.assert_allclose(upside_down.mean, -straight.mean, atol=1e-4)


# Closed forms


def test_slopes_are_those_of_a_descent_on_the_penalised_squares():
    random = np.random.default_rng(0)
    x, y, root = random.normal(size=(30, 6)), random.normal(size=30), random.normal(size=(30, 30)) / 8
    a = np.eye(30) + root @ root.T
    precision, w = np.linalg.inv(a), np.zeros(6)
    for _ in range(3000):
        w = w - 0.01 * (x.T @ precision @ (x @ w - y) + w / SLOPES)
    np.testing.assert_allclose(ridge_slopes(x, y, a), w, atol=1e-8)


def test_pooling_is_the_conjugate_update_one_family_after_another():
    """The normal-inverse-Wishart update for one value at a time, by loops over entries."""
    random = np.random.default_rng(1)
    values, mean, spread = random.normal(size=(5, 3)), np.array([0.5, -1.0, 0.0]), np.diag([1.0, 0.25, 2.0])
    found = pooled(values, mean, spread)
    weight, sums, mean = WEAK_FAMILIES, WEAK_FAMILIES * spread, mean.copy()
    for value in values:
        for i in range(3):
            for j in range(3):
                sums[i, j] += weight / (weight + 1) * (value[i] - mean[i]) * (value[j] - mean[j])
        mean = (weight * mean + value) / (weight + 1)
        weight += 1
    np.testing.assert_allclose(found[0], mean)
    np.testing.assert_allclose(found[1], sums / weight)


def test_many_families_leave_nothing_of_the_weak_prior():
    random = np.random.default_rng(2)
    values = random.normal([1.0, -2.0], [0.5, 2.0], size=(5000, 2))
    mean, covariance = pooled(values, np.zeros(2), np.eye(2))
    np.testing.assert_allclose(mean, [1, -2], atol=0.1)
    np.testing.assert_allclose(covariance, [[0.25, 0], [0, 4]], atol=0.2)


def test_a_belief_says_how_far_slopes_may_be_from_those_expected():
    random = np.random.default_rng(3)
    told = {str(one): told_of(0.0, random.normal(size=6)) for one in range(6)}
    belief = belief_from(told, {name: int(name) + 1 for name in told}, 0, False)
    size = belief.prior.medians[site_kernel.NAMES.index("linear.variance")]
    _, covariance = pooled(np.array([one.slopes for one in told.values()]), np.zeros(6), site_kernel.LINEAR * np.eye(6))
    np.testing.assert_allclose(size * belief.mixing, covariance)
    assert np.linalg.eigvalsh(belief.mixing).min() > 0


# Simulated relatives in landscape, strangers in sequence


def test_the_learned_prior_is_nearer_to_the_truth_than_the_weak_one():
    others = [scan(str(seed), seed, rows=150, values=TRUE) for seed in range(20, 26)]
    told = {one.name: lesson_of(one, 300, False, 0) for one in others}
    belief = belief_from(told, {one.name: index + 1 for index, one in enumerate(others)}, 0, True)
    weak, learned = (np.log(prior.medians) for prior in (site_kernel.prior(), belief.prior))
    truth = theta_of(TRUE)
    rows = [site_kernel.NAMES.index(name) for name in TRUE]
    assert np.abs(learned - truth)[rows].sum() < 0.7 * np.abs(weak - truth)[rows].sum()


def test_it_predicts_a_related_landscape_better_than_the_weak_prior():
    others = [scan(f"other {seed}", seed, rows=150, values=TRUE) for seed in range(20, 26)]
    gains = []
    for seed in range(40, 43):
        whole = scan("target", seed, rows=200, values=TRUE)
        train, asked = whole.select(whole.variants.mutants[:60]), whole.select(whole.variants.mutants[60:])
        fits = [SharedPriorGP(warp=False, hyperparameters=True).fit([train, *others], EMBEDDER, 0)]
        fits.append(SiteGP(expectation=False, warp=False).fit([train], EMBEDDER, 0))
        shared, alone = (np.mean((one.predict(asked.variants).mean - asked.fitness) ** 2) for one in fits)
        gains.append(alone - shared)
    assert np.mean(gains) > 0


# The file and what is refused


def test_every_model_of_a_team_comes_back_from_its_state():
    method = SharedPriorGP()
    predictor = method.fit([TARGET, OTHER, THIRD], EMBEDDER, 0)
    again = method.restore(predictor.state(), EMBEDDER)
    for one in (TARGET, OTHER, THIRD):
        assert same(predictor.predict(asked_of(one)), again.predict(asked_of(one)))


def test_a_stranger_is_refused_by_name():
    predictor = SharedPriorGP().fit([TARGET], EMBEDDER, 0)
    with pytest.raises(FitError, match="other is none of the datasets of this model: target"):
        predictor.predict(asked_of(OTHER))


@pytest.mark.parametrize(
    ("settings", "message"),
    [({"identity": 1.5}, "identity must be between 0 and 1, not 1.5"), ({"selection_rows": 2}, "at least 3, not 2")],
)
def test_settings_without_meaning_are_refused(settings, message):
    with pytest.raises(FitError, match=message):
        SharedPriorGP(**settings)


def test_no_dataset_and_one_given_twice_are_refused():
    with pytest.raises(FitError, match="0 were given"):
        SharedPriorGP().fit([], EMBEDDER, 0)
    with pytest.raises(FitError, match="given twice: other, other"):
        SharedPriorGP().fit([OTHER, OTHER], EMBEDDER, 0)
