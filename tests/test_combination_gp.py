"""Whole combinations of residues: the kernel against a slow loop, its gradient, and landscapes that no sum fits."""

import itertools

import numpy as np
import pytest
from scipy.optimize import approx_fprime
from scipy.stats import spearmanr

from multimep.combination_kernel import (
    SHARED,
    apart,
    combinations,
    covariance,
    kernel,
    noise_of,
    prior,
    sites_of,
    variance_of,
)
from multimep.dataset import Dataset, Variants
from multimep.embedder import Embedder
from multimep.evidence import log_evidence, maximise
from multimep.methods.combination_gp import CombinationGP
from multimep.methods.method import FitError
from multimep.methods.site_gp import SiteGP
from multimep.mutations import AMINO_ACIDS
from multimep.substitutions import DISSIMILARITY

WILD_TYPE = "MKTAYIAKQRQISFVKSHFSRQ"
SITES = (3, 7, 12, 18)


def no_language_model() -> None:
    raise AssertionError("combination_gp asked for a language model")


EMBEDDER = Embedder(no_language_model)


def library(rows: int, seed: int, letters: str = AMINO_ACIDS) -> Variants:
    """Different random combinations of residues at four sites, the wild type's among them."""
    random, found = np.random.default_rng(seed), {"WT": None}
    while len(found) < rows:
        picked = [(site, str(random.choice(list(letters)))) for site in SITES]
        mutations = [f"{WILD_TYPE[site - 1]}{site}{new}" for site, new in picked if new != WILD_TYPE[site - 1]]
        found[":".join(mutations) or "WT"] = None
    return Variants("library", WILD_TYPE, tuple(found))


def theta_of(sites: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(scale=0.5, size=SHARED + sites)


def slowly(one: str, other: str, theta: np.ndarray, sites: np.ndarray) -> float:
    """The kernel of two sequences as its definition says it, residue by residue."""
    mix, exponent = 1 / (1 + np.exp(-theta[3])), 0.0
    known = {int(site): theta[SHARED + index] for index, site in enumerate(sites)}
    for position, (a, b) in enumerate(zip(one, other, strict=True), start=1):
        d = (1 - mix) * (a != b) + mix * DISSIMILARITY[AMINO_ACIDS.index(a), AMINO_ACIDS.index(b)]
        exponent += np.exp(theta[2] + known.get(position, 0.0)) * d
    return float(np.exp(theta[0] - exponent))


def test_the_kernel_is_what_its_definition_says_also_at_sites_that_nothing_taught() -> None:
    taught = library(12, 0)
    sites = sites_of(taught)
    asked = Variants("library", WILD_TYPE, (*library(5, 1).mutants, "K2W:T3A", "K2W:S20P"))
    theta = theta_of(len(sites))
    found = kernel(combinations(asked, sites), combinations(taught, sites), theta)
    expected = [[slowly(one, other, theta, sites) for other in taught.sequences] for one in asked.sequences]
    np.testing.assert_allclose(found, expected, rtol=1e-12)


@pytest.mark.parametrize("seed", range(3))
def test_the_covariance_is_positive_definite_and_has_the_gradient_it_says(seed: int) -> None:
    variants = library(15, seed)
    rows = combinations(variants, sites_of(variants))
    theta, y = theta_of(len(rows.sites), seed), np.random.default_rng(seed).normal(size=15)
    k = kernel(rows, rows, theta)
    assert np.linalg.eigvalsh(k).min() > -1e-12 * variance_of(theta)
    np.testing.assert_allclose(covariance(rows)(theta)[0], k + noise_of(theta) * np.eye(15), rtol=1e-12)
    _, gradient = log_evidence(covariance(rows), y, theta)
    numeric = approx_fprime(theta, lambda one: log_evidence(covariance(rows), y, one)[0], 1e-7)
    np.testing.assert_allclose(gradient, numeric, rtol=1e-4, atol=1e-5)


def test_how_far_rows_are_apart_is_counted_over_different_pairs() -> None:
    variants = library(9, 4)
    rows = combinations(variants, sites_of(variants))
    pairs = itertools.combinations(variants.sequences, 2)
    slow = np.mean([sum(a != b for a, b in zip(one, other, strict=True)) for one, other in pairs])
    assert apart(rows) == pytest.approx(slow)
    assert apart(combinations(Variants("one", WILD_TYPE, ("K2W",)), np.array([2]))) == 1


def test_a_site_without_effect_becomes_irrelevant() -> None:
    variants, random = library(120, 2), np.random.default_rng(2)
    rows = combinations(variants, sites_of(variants))
    effect = random.normal(size=(20, 20))
    y = effect[rows.residues[:, 0], rows.residues[:, 1]] / 1.0 + 0.05 * random.normal(size=120)
    ratios = maximise(covariance(rows), (y - y.mean()) / y.std(), prior(rows))[SHARED:]
    assert min(ratios[:2]) > max(ratios[2:])


def dataset(variants: Variants, noise: float) -> Dataset:
    """The fitness of a pocket: only the right pairs of a small and a large residue fill it."""
    volume = {letter: index for index, letter in enumerate("GASCTPDNVEQHLIMKRFYW")}
    fitness = np.array([-abs(volume[one[2]] + volume[one[6]] - 19) for one in variants.sequences], dtype=np.float64)
    fitness += noise * np.random.default_rng(0).normal(size=len(fitness))
    return Dataset(variants, fitness, np.full(len(fitness), np.nan), np.ones(len(fitness), np.int64))


def test_where_effects_depend_on_each_other_it_ranks_what_sums_cannot() -> None:
    data = dataset(library(400, 3), 1.0)
    train, asked = data.select(data.variants.mutants[:200]), data.select(data.variants.mutants[200:])
    found = {}
    for name, method in (("combinations", CombinationGP()), ("sums", SiteGP())):
        said = method.fit([train], EMBEDDER, 0).predict(asked.variants)
        found[name] = float(spearmanr(said.mean, asked.fitness).statistic)
    assert found["combinations"] > 0.7
    assert found["combinations"] > found["sums"] + 0.3
    said = CombinationGP().fit([train], EMBEDDER, 0).predict(asked.variants)
    assert 0.88 <= np.mean(np.abs(asked.fitness - said.mean) < 1.96 * said.noisy_std) <= 1


def test_far_from_everything_it_says_the_mean_and_the_prior() -> None:
    data = dataset(library(60, 5), 0.1)
    predictor = CombinationGP().fit([data], EMBEDDER, 0)
    everywhere = ":".join(f"{letter}{site}W" for site, letter in enumerate(WILD_TYPE, 1) if site not in SITES)
    said = predictor.predict(Variants("library", WILD_TYPE, (everywhere,)))
    assert said.mean[0] == pytest.approx(data.fitness.mean(), abs=0.1 * data.fitness.std())
    assert said.std[0] > 0.9 * predictor.scale.scaling.scale * np.sqrt(variance_of(predictor.theta))


def test_too_few_selection_rows_are_refused() -> None:
    with pytest.raises(FitError, match="selection_rows must be at least 3, not 2"):
        CombinationGP(selection_rows=2)
