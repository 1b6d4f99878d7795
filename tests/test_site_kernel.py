import itertools

import numpy as np
import pytest
from scipy.optimize import approx_fprime
from scipy.stats import multivariate_normal

from multimep import site_kernel
from multimep.dataset import Variants
from multimep.evidence import log_evidence
from multimep.mutations import AMINO_ACIDS, Mutation
from multimep.site_kernel import NAMES, OFFSET, TERMS, kernel, mutations_of, noise_of, prior, site_covariance, variances
from multimep.substitutions import DISSIMILARITY, features, surroundings

WILD_TYPE = "MKTAYIAKQRQISFVKSHWC"


def drawn(rows: int = 25, most: int = 3, seed: int = 0) -> Variants:
    """Distinct random variants of 0 to `most` mutations, the wild type among them."""
    random = np.random.default_rng(seed)
    found = {"WT"}
    while len(found) < rows:
        sites = sorted(random.choice(len(WILD_TYPE), random.integers(1, most + 1), replace=False))
        letters = [random.choice([one for one in AMINO_ACIDS if one != WILD_TYPE[site]]) for site in sites]
        found.add(":".join(f"{WILD_TYPE[site]}{site + 1}{letter}" for site, letter in zip(sites, letters, strict=True)))
    return Variants("drawn", WILD_TYPE, tuple(sorted(found)))


def thetas() -> list[np.ndarray]:
    middle, random = np.log(prior().medians), np.random.default_rng(0)
    return [middle, middle + random.normal(size=len(middle)), middle - 2]


def between_mutations(one: Mutation, other: Mutation, value: dict[str, float]) -> float:
    """The formula at the top of the room, term by term."""
    (a, b), (c, d) = (
        (AMINO_ACIDS.index(mutation.reference), AMINO_ACIDS.index(mutation.substitute)) for mutation in (one, other)
    )
    measured = {
        "separation": abs(one.position - other.position),
        "reference": DISSIMILARITY[a, c],
        "substitute": DISSIMILARITY[b, d],
    }
    total = 0.0
    for term in TERMS:
        if not term.same_site or one.position == other.position:
            exponent = sum(value[f"{term.name}.{name}"] * measured[name] for name in term.rates)
            helix = (1 + np.cos(2 * np.pi * measured["separation"] / 3.6)) / 2 if term.helical else 1.0
            total += value[f"{term.name}.variance"] * helix * np.exp(-exponent)
    around = surroundings(WILD_TYPE)
    phi = [
        features(np.array([x]), np.array([y]), around[[mutation.position - 1]])[0]
        for x, y, mutation in ((a, b, one), (c, d, other))
    ]
    return float(total + value["linear.variance"] * phi[0] @ phi[1])


def slow_kernel(left: Variants, right: Variants, theta: np.ndarray, unit: float) -> np.ndarray:
    """The double loop over variants, and over the mutations of each pair of them."""
    value = dict(zip(NAMES, np.exp(theta), strict=True))
    table = np.empty((len(left), len(right)))
    for (row, one), (column, other) in itertools.product(enumerate(left.genotypes), enumerate(right.genotypes)):
        pairs = itertools.product(one, other)
        table[row, column] = OFFSET + unit**2 * sum(between_mutations(*pair, value) for pair in pairs)
    return table


@pytest.mark.parametrize("theta", thetas())
def test_the_kernel_is_that_of_a_slow_double_loop(theta):
    left, right = drawn(12), drawn(9, seed=1)
    fast = kernel(mutations_of(left, 0.7), mutations_of(right, 0.7), theta)
    np.testing.assert_allclose(fast, slow_kernel(left, right, theta, 0.7), rtol=1e-12)


@pytest.mark.parametrize("theta", thetas())
@pytest.mark.parametrize("most", [1, 4])
def test_the_kernel_is_symmetric_and_positive_semi_definite(theta, most):
    rows = mutations_of(drawn(80, most), 1.0)
    matrix = kernel(rows, rows, theta)
    np.testing.assert_allclose(matrix, matrix.T, rtol=1e-12)
    assert np.linalg.eigvalsh(matrix).min() > -1e-10 * np.trace(matrix)


@pytest.mark.parametrize("theta", thetas())
def test_every_term_alone_is_positive_semi_definite(theta):
    rows = mutations_of(drawn(80, 1), 1.0)
    for part in site_kernel.terms(site_kernel.measures(rows, rows), theta):
        assert np.linalg.eigvalsh(part).min() > -1e-10 * np.trace(part)


def test_the_prior_variances_are_the_diagonal():
    rows = mutations_of(drawn(), 0.5)
    np.testing.assert_allclose(variances(rows, thetas()[1]), np.diag(kernel(rows, rows, thetas()[1])), rtol=1e-12)


def test_the_wild_type_shares_nothing_but_the_offset():
    rows, wild_type = mutations_of(drawn(), 1.0), mutations_of(Variants("drawn", WILD_TYPE, ("WT",)), 1.0)
    np.testing.assert_array_equal(kernel(wild_type, rows, thetas()[0]), OFFSET)


def test_a_double_mutant_is_the_sum_of_its_mutations():
    variants = Variants("drawn", WILD_TYPE, ("K2R", "A4G", "K2R:A4G"))
    asked = mutations_of(drawn(), 1.0)
    one, other, both = kernel(mutations_of(variants, 1.0), asked, thetas()[1]) - OFFSET
    np.testing.assert_allclose(both, one + other, rtol=1e-12)


def test_what_is_nearer_is_more_alike():
    names = ("L9I", "L9V", "L9D", "L11I", "L20I")
    theta = thetas()[0]
    rows = mutations_of(Variants("flat", "L" * 30, names), 1.0)
    first = kernel(rows, rows, theta)[0]
    same, valine, aspartate, near, far = first
    assert same > valine > aspartate
    assert valine > near > far


@pytest.mark.parametrize("theta", thetas())
@pytest.mark.parametrize("most", [1, 3])
def test_the_gradient_of_the_evidence_is_that_of_finite_differences(theta, most):
    variants = drawn(30, most)
    covariance = site_covariance(mutations_of(variants, 0.8))
    y = np.random.default_rng(2).normal(size=len(variants))
    slow = approx_fprime(theta, lambda at: log_evidence(covariance, y, at)[0], 1e-6)
    np.testing.assert_allclose(log_evidence(covariance, y, theta)[1], slow, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("theta", thetas())
def test_the_evidence_is_the_density_of_a_normal_distribution_with_the_slow_kernel(theta):
    variants = drawn(15)
    y = np.random.default_rng(3).normal(size=len(variants))
    matrix = slow_kernel(variants, variants, theta, 0.8) + noise_of(theta) * np.eye(len(y))
    oracle = multivariate_normal(np.zeros(len(y)), matrix).logpdf(y)
    found = log_evidence(site_covariance(mutations_of(variants, 0.8)), y, theta)[0]
    assert found == pytest.approx(oracle, rel=1e-9)


def test_hyperparameters_have_distinct_names_and_one_prior_each():
    assert len(set(NAMES)) == len(NAMES) == len(prior().medians)


@pytest.mark.parametrize(("mutants", "unit"), [(("WT",), 1.0), (("K2R", "A4G"), 1.0), (("K2R:A4G:Y5F:I6V",), 0.5)])
def test_the_unit_keeps_a_typical_variant_at_the_same_variance(mutants, unit):
    assert site_kernel.unit_of(Variants("drawn", WILD_TYPE, mutants)) == unit
