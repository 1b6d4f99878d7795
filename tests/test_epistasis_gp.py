"""Effects that add up under a sigmoid: its limits, its derivatives, and landscapes on which a line is wrong."""

import dataclasses

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.optimize import approx_fprime, minimize
from scipy.special import expit
from scipy.stats import norm

from multimep import site_kernel
from multimep.dataset import Dataset, Variants
from multimep.embedder import Embedder
from multimep.evidence import log_evidence
from multimep.methods.epistasis_gp import EpistasisGP, tangents
from multimep.methods.method import FitError
from multimep.methods.saturation import Link, TangentCovariance, bounds, mode, through
from multimep.methods.site_gp import EXPECTED, Belief, SiteGP, expected_of
from multimep.mutations import AMINO_ACIDS

WILD_TYPE = "".join(np.random.default_rng(5).choice(list(AMINO_ACIDS), 40))


def no_language_model() -> None:
    raise AssertionError("epistasis_gp asked for a language model")


EMBEDDER = Embedder(no_language_model)
LINK = Link(-1.5, 2.5)
BELIEF = Belief(site_kernel.prior(), EXPECTED)


def genotypes(rows: int, depth: int, seed: int, few: int = 40) -> tuple[str, ...]:
    """Random multi-mutants of `depth` out of a few mutations at distinct sites."""
    random = np.random.default_rng(seed)
    chosen = [
        (site, str(random.choice([a for a in AMINO_ACIDS if a != WILD_TYPE[site - 1]]))) for site in range(1, few + 1)
    ]
    found: dict[str, None] = {}
    while len(found) < rows:
        picked = sorted(random.choice(few, depth, replace=False))
        found[":".join(f"{WILD_TYPE[chosen[one][0] - 1]}{chosen[one][0]}{chosen[one][1]}" for one in picked)] = None
    return tuple(found)


def saturating(rows: int, seed: int = 0, noise: float = 0.05) -> Dataset:
    """Sums of effects, mostly harmful, through a steep sigmoid."""
    names, random = genotypes(rows, 4, seed), np.random.default_rng(seed)
    variants = Variants("scan", WILD_TYPE, names)
    effects = {one: -random.exponential(1.5) for one in sorted({m for g in variants.genotypes for m in g})}
    hidden = np.array([6 + sum(effects[one] for one in genotype) for genotype in variants.genotypes])
    fitness = expit(2 * hidden) + noise * random.normal(size=rows)
    return Dataset(variants, fitness, np.full(rows, np.nan), np.ones(rows, np.int64))


def rows_of(count: int) -> tuple[site_kernel.Mutations, np.ndarray]:
    variants = Variants("scan", WILD_TYPE, genotypes(count, 2, 1))
    return site_kernel.mutations_of(variants, 0.7), np.random.default_rng(1).normal(size=count)


def test_the_slope_of_the_link_is_its_derivative():
    h = np.linspace(-2, 2, 9)
    np.testing.assert_allclose(LINK.slope(h), [approx_fprime(np.array([one]), LINK, 1e-7)[0] for one in h], atol=1e-5)


@pytest.mark.parametrize(("mean", "variance"), [(0.0, 0.5), (1.5, 0.1), (-3.0, 2.0)])
def test_mean_and_variance_behind_the_link_are_those_of_the_integral(mean, variance):
    density = norm(mean, np.sqrt(variance)).pdf
    reach = (mean - 9 * np.sqrt(variance), mean + 9 * np.sqrt(variance))
    first, second = (quad(lambda h, power=power: density(h) * float(LINK(h)) ** power, *reach)[0] for power in (1, 2))
    found = through(LINK, np.array([mean]), np.array([variance]))
    np.testing.assert_allclose(found, [[first], [second - first**2]], rtol=1e-3)


def test_the_mode_is_that_of_a_general_search():
    rows, z = rows_of(15)
    k, m = site_kernel.kernel(rows, rows, np.log(site_kernel.prior().medians)), expected_of(rows, BELIEF)
    inverse, noise = np.linalg.inv(k + 1e-9 * np.eye(15)), 0.3

    def energy(h: np.ndarray) -> float:
        return float(np.sum((z - LINK(h)) ** 2) / noise + (h - m) @ inverse @ (h - m)) / 2

    found = mode(k, m, z, LINK, noise)
    assert energy(found) <= minimize(energy, m, method="L-BFGS-B", options={"maxiter": 2000}).fun + 1e-3


def test_at_the_mode_the_tangents_posterior_mean_is_the_mode():
    rows, z = rows_of(15)
    theta = np.log(site_kernel.prior().medians)
    targets, doubts = tangents(rows, z, BELIEF, theta, LINK)
    k, m = site_kernel.kernel(rows, rows, theta), expected_of(rows, BELIEF)
    mean = m + k @ np.linalg.solve(k + np.diag(doubts), targets - m)
    np.testing.assert_allclose(mean, mode(k, m, z, LINK, site_kernel.noise_of(theta)), atol=1e-3)


def test_the_gradient_of_the_tangents_evidence_is_that_of_finite_differences():
    rows, z = rows_of(12)
    covariance = TangentCovariance(site_kernel.site_covariance(rows), np.linspace(0.05, 2, 12))
    theta = np.log(site_kernel.prior().medians) + 0.1
    slow = approx_fprime(theta, lambda at: log_evidence(covariance, z, at)[0], 1e-6)
    np.testing.assert_allclose(log_evidence(covariance, z, theta)[1], slow, rtol=1e-3, atol=1e-4)


def test_bounds_are_those_of_a_general_search():
    z, mean, variance = np.array([-1.0, 0.2, 1.0, 0.9]), np.array([-1.0, 0.1, 0.8, 2.0]), np.full(4, 0.2)
    p, spread = through(Link(0.0, 1.0), mean, variance)

    def loss(at: np.ndarray) -> float:
        away = (at[0] - LINK.low) ** 2 + (at[1] - LINK.range) ** 2
        return float(np.sum((z - at[0] - at[1] * p) ** 2 + at[1] ** 2 * spread) + 5 * away)

    found = bounds(z, mean, variance, LINK)
    np.testing.assert_allclose([found.low, found.range], minimize(loss, [0.0, 1.0]).x, atol=1e-4)


def test_a_landscape_that_saturates_is_predicted_better_than_by_sums():
    whole = saturating(260)
    train, asked = whole.select(whole.variants.mutants[:160]), whole.select(whole.variants.mutants[160:])
    errors = {
        method: np.mean((method.fit([train], EMBEDDER, 0).predict(asked.variants).mean - asked.fitness) ** 2)
        for method in (EpistasisGP(), SiteGP())
    }
    assert errors[EpistasisGP()] < 0.7 * errors[SiteGP()]


def test_predictions_stay_within_the_bounds():
    data = saturating(80)
    predictor = EpistasisGP().fit([data], EMBEDDER, 0)
    many = Variants("scan", WILD_TYPE, genotypes(50, 12, 3))
    low, high = predictor.link.low, predictor.link.low + predictor.link.range
    inside = predictor.scaling.apply(predictor.predict(many).mean)
    assert ((low <= inside) & (inside <= high)).all()


def test_a_fitness_where_lower_is_better_is_the_same_landscape_turned_round():
    data = saturating(60)
    turned = dataclasses.replace(data, fitness=-data.fitness, higher_is_better=False)
    asked = Variants("scan", WILD_TYPE, genotypes(20, 4, 9))
    one, other = (EpistasisGP().fit([rows], EMBEDDER, 0).predict(asked) for rows in (data, turned))
    np.testing.assert_allclose(other.mean, -one.mean, atol=3e-2 * np.std(one.mean))


@pytest.mark.parametrize(("settings", "message"), [({"rounds": 0}, "rounds"), ({"selection_rows": 2}, "at least 3")])
def test_settings_without_meaning_are_refused(settings, message):
    with pytest.raises(FitError, match=message):
        EpistasisGP(**settings)
