import dataclasses

import numpy as np
import pytest
from scipy.stats import spearmanr

from multimep import site_kernel
from multimep.dataset import Dataset, Variants
from multimep.embedder import Embedder
from multimep.methods.method import FitError
from multimep.methods.site_gp import EXPECTED, SiteGP
from multimep.mutations import AMINO_ACIDS
from multimep.substitutions import FEATURES, features, surroundings

WILD_TYPE = "".join(np.random.default_rng(5).choice(list(AMINO_ACIDS), 60))


def no_language_model() -> None:
    raise AssertionError("site_gp asked for a language model")


EMBEDDER = Embedder(no_language_model)


def every_single() -> tuple[str, ...]:
    return tuple(
        f"{old}{site}{new}" for site, old in enumerate(WILD_TYPE, start=1) for new in AMINO_ACIDS if new != old
    )


def dataset(mutants: tuple[str, ...], fitness: np.ndarray) -> Dataset:
    unknown, once = np.full(len(mutants), np.nan), np.ones(len(mutants), np.int64)
    return Dataset(Variants("scan", WILD_TYPE, mutants), np.asarray(fitness, dtype=np.float64), unknown, once)


def scan(rows: int, seed: int = 0) -> Dataset:
    """Random single mutants with fitness drawn from the prior of the kernel at its medians, noise included."""
    random = np.random.default_rng(seed)
    names = tuple(str(name) for name in random.permutation(every_single())[:rows])
    covariance = site_kernel.site_covariance(site_kernel.mutations_of(Variants("scan", WILD_TYPE, names), 1.0))
    matrix, _ = covariance(np.log(site_kernel.prior().medians))
    return dataset(names, np.linalg.cholesky(matrix) @ random.normal(size=rows))


def halves(data: Dataset, taught: int) -> tuple[Dataset, Dataset]:
    names = data.variants.mutants
    return data.select(names[:taught]), data.select(names[taught:])


def test_mean_and_variance_are_those_of_conditioning_the_joint_normal_distribution():
    train, asked = halves(scan(60), 40)
    predictor = SiteGP(expectation=False, warp=False).fit([train], EMBEDDER, 0)
    found = predictor.predict(asked.variants)
    ordered = train.select(predictor.variants.mutants)
    both = Variants("scan", WILD_TYPE, ordered.variants.mutants + asked.variants.mutants)
    rows = site_kernel.mutations_of(both, predictor.unit)
    joint = site_kernel.kernel(rows, rows, predictor.theta)
    a = joint[:40, :40] + site_kernel.noise_of(predictor.theta) * np.eye(40)
    gain = np.linalg.solve(a, joint[:40, 40:]).T
    scale = train.fitness.std(ddof=1)
    mean = gain @ (ordered.fitness - train.fitness.mean()) + train.fitness.mean()
    variance = np.diag(joint[40:, 40:] - gain @ joint[:40, 40:])
    np.testing.assert_allclose(found.mean, mean, rtol=1e-8)
    np.testing.assert_allclose(found.std, scale * np.sqrt(variance), rtol=1e-8)
    noise = site_kernel.noise_of(predictor.theta)
    np.testing.assert_allclose(found.noisy_std, scale * np.sqrt(variance + noise), rtol=1e-8)


@pytest.mark.parametrize("skewed", [False, True])
def test_intervals_cover_what_is_drawn_from_the_prior(skewed):
    whole = scan(700)
    whole = dataclasses.replace(whole, fitness=np.exp(whole.fitness)) if skewed else whole
    train, asked = halves(whole, 200)
    found = SiteGP(expectation=False).fit([train], EMBEDDER, 0).predict(asked.variants)
    inside = np.abs(asked.fitness - found.mean) < 1.96 * found.noisy_std
    assert 0.9 < inside.mean() < 0.99


def test_the_ranks_of_what_is_drawn_from_the_prior_are_found():
    train, asked = halves(scan(700), 200)
    found = SiteGP().fit([train], EMBEDDER, 0).predict(asked.variants)
    assert spearmanr(found.mean, asked.fitness).statistic > 0.5


def test_a_fitness_that_nobody_teaches_changes_nothing():
    whole = scan(60)
    train, asked = halves(whole, 40)
    before = SiteGP().fit([train], EMBEDDER, 0).predict(asked.variants)
    hidden = dataclasses.replace(whole, fitness=np.where(np.arange(60) < 40, whole.fitness, 1e9))
    after = SiteGP().fit([halves(hidden, 40)[0]], EMBEDDER, 0).predict(asked.variants)
    np.testing.assert_array_equal(before.mean, after.mean)
    np.testing.assert_array_equal(before.noisy_std, after.noisy_std)


@pytest.mark.parametrize("selection_rows", [500, 20])
def test_the_order_of_the_rows_changes_not_one_bit(selection_rows):
    train, asked = halves(scan(60), 40)
    shuffled = train.select(np.random.default_rng(1).permutation(np.array(train.variants.mutants)))
    one, other = (
        SiteGP(selection_rows=selection_rows).fit([rows], EMBEDDER, 0).predict(asked.variants)
        for rows in (train, shuffled)
    )
    np.testing.assert_array_equal(one.mean, other.mean)
    np.testing.assert_array_equal(one.std, other.std)


def test_before_any_difference_is_seen_only_the_expectation_ranks():
    """Where rows say nothing (their noise is all), the expected slopes remain; lower-is-better turns them round."""
    rows = scan(3)
    asked = Variants("scan", WILD_TYPE, tuple(name for name in every_single() if name not in rows.variants.row_of))
    with_, without, lower = (
        SiteGP(expectation=expectation)
        .fit([dataclasses.replace(rows, higher_is_better=higher)], EMBEDDER, 0)
        .predict(asked)
        for expectation, higher in ((True, True), (False, True), (True, False))
    )
    pairs = [(AMINO_ACIDS.index(name[0]), AMINO_ACIDS.index(name[-1])) for name in asked.mutants]
    around = surroundings(WILD_TYPE)[[int(name[1:-1]) - 1 for name in asked.mutants]]
    expected = features(*np.array(pairs).T, around) @ EXPECTED
    assert spearmanr(with_.mean - without.mean, expected).statistic > 0.8
    assert spearmanr(lower.mean - without.mean, expected).statistic < -0.8


def test_there_is_one_expected_slope_for_each_feature():
    assert EXPECTED.shape == (len(FEATURES),)


def test_far_more_mutations_than_were_taught_are_less_certain():
    train, _ = halves(scan(60), 40)
    found = SiteGP().fit([train], EMBEDDER, 0)
    sites = range(1, 21)
    many = ":".join(f"{WILD_TYPE[site - 1]}{site}{'G' if WILD_TYPE[site - 1] != 'G' else 'A'}" for site in sites)
    one, all_ = found.predict(Variants("scan", WILD_TYPE, (many.split(":")[0], many))).std
    assert all_ > 2 * one


@pytest.mark.parametrize("rows", [2, 0, -1])
def test_choosing_hyperparameters_on_fewer_than_three_rows_is_refused(rows):
    with pytest.raises(FitError, match=f"selection_rows must be at least 3, not {rows}"):
        SiteGP(selection_rows=rows)
