import itertools

import numpy as np
import pytest
from scipy.optimize import approx_fprime
from scipy.stats import multivariate_normal

from multimep import plm_kernel as rooms
from multimep.dataset import Variants
from multimep.evidence import log_evidence
from multimep.knowledge import Knowledge, Rows, hellinger, resistance
from multimep.mutations import AMINO_ACIDS
from multimep.plm_kernel import LINEAR, TERMS, plm_kernel
from multimep.site_kernel import NAMES, kernel, mutations_of
from multimep.structure import Structure
from multimep.substitutions import DISSIMILARITY

WILD_TYPE = "MKTAYIAKQRQISFVKSHWC"
LENGTH = len(WILD_TYPE)
UNIT = 0.8


def drawn(rows: int = 25, most: int = 3, seed: int = 0) -> Variants:
    """Distinct random variants of 0 to `most` mutations, the wild type among them."""
    random = np.random.default_rng(seed)
    found = {"WT"}
    while len(found) < rows:
        sites = sorted(random.choice(LENGTH, random.integers(1, most + 1), replace=False))
        letters = [random.choice([one for one in AMINO_ACIDS if one != WILD_TYPE[site]]) for site in sites]
        found.add(":".join(f"{WILD_TYPE[site]}{site + 1}{letter}" for site, letter in zip(sites, letters, strict=True)))
    return Variants("drawn", WILD_TYPE, tuple(sorted(found)))


def log_probabilities() -> np.ndarray:
    logits = np.random.default_rng(1).normal(scale=2, size=(LENGTH, 20))
    return (logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))).astype(np.float32)


def known(*parts: str) -> Knowledge:
    random = np.random.default_rng(2)
    attention = random.normal(size=(LENGTH, LENGTH))
    places = random.normal(scale=8, size=(LENGTH, 3))
    places[[3, 11]] = np.nan
    return Knowledge(
        log_probabilities() if "profile" in parts else None,
        attention + attention.T if "attention" in parts else None,
        Structure(places) if "structure" in parts else None,
        0.7 if "embedding" in parts else 0.0,
    )


EVERYTHING = ("profile", "attention", "structure", "embedding", "score")
PARTS = [EVERYTHING, (), *((part,) for part in EVERYTHING), ("structure", "score"), ("structure", "profile")]


def value_of(mutant: str) -> tuple[float, np.ndarray]:
    """A score and an embedding that depend on the mutant alone."""
    random = np.random.default_rng(list(mutant.encode()))
    return float(random.normal()), random.normal(size=5)


def rows_of(variants: Variants, *parts: str) -> Rows:
    values = [value_of(mutant) for mutant in variants.mutants]
    return Rows(
        mutations_of(variants, UNIT),
        np.array([score for score, _ in values]) if "score" in parts else None,
        np.array([embedding for _, embedding in values]) if "embedding" in parts else None,
    )


def kernel_of(*parts: str):
    return plm_kernel(known(*parts), "score" in parts)


def theta_of(of, seed: int = 0) -> np.ndarray:
    middle = np.log(of.prior.medians)
    return middle + (np.random.default_rng(seed).normal(size=len(middle)) if seed else 0)


def slow(left: Variants, right: Variants, theta: np.ndarray, *parts: str) -> np.ndarray:
    """The formula at the top of the room by loops over variants and over the mutations of each pair of them."""
    of, facts = kernel_of(*parts), known(*parts)
    value = dict(zip(of.names, np.exp(theta), strict=True))
    site = kernel(mutations_of(left, UNIT), mutations_of(right, UNIT), theta[: len(NAMES)])
    profile, between = log_probabilities().astype(float), facts.between_sites
    table = np.array(site)

    def measure(name, one, other):
        i, j = one.position - 1, other.position - 1
        b, c = AMINO_ACIDS.index(one.substitute), AMINO_ACIDS.index(other.substitute)
        if name == "likelihood":
            return abs(profile[i, b] - profile[j, c])
        return DISSIMILARITY[b, c] if name == "substitute" else between[name][i, j]

    for (row, one), (column, other) in itertools.product(enumerate(left.mutants), enumerate(right.mutants)):
        (z, e), (w, f) = value_of(one), value_of(other)
        apart = {"score": abs(z - w), "squared_score": (z - w) ** 2, "embedding": np.mean((e - f) ** 2) / 0.7}
        here, there = left.genotypes[row], right.genotypes[column]
        for term in of.terms:
            rate = {name: value[f"{term.name}.{name}"] for name in (*term.mutations, *term.variants)}
            pairs = [
                UNIT**2 * np.exp(-sum(rate[name] * measure(name, m, n) for name in term.mutations))
                for m, n in itertools.product(here, there)
            ]
            first = sum(pairs) if term.mutations else 1.0
            second = np.exp(-sum(rate[name] * apart[name] for name in term.variants))
            table[row, column] += value[f"{term.name}.variance"] * first * second
        if "score" in parts:
            table[row, column] += value["zero_shot.variance"] * z * w
        if "structure" in parts:
            inside, beside = (UNIT * sum(facts.burial[m.position - 1] for m in one) for one in (here, there))
            table[row, column] += value["buried.variance"] * inside * beside
    return table


@pytest.mark.parametrize("parts", PARTS)
def test_the_kernel_is_that_of_a_slow_double_loop(parts):
    left, right, of = drawn(12), drawn(9, seed=1), kernel_of(*parts)
    theta = theta_of(of, 3)
    fast = of.cross(rows_of(left, *parts), rows_of(right, *parts), theta)
    np.testing.assert_allclose(fast, slow(left, right, theta, *parts), rtol=1e-7)


def test_without_any_part_it_is_the_site_kernel():
    of, rows = kernel_of(), rows_of(drawn())
    assert of.names == NAMES
    theta = theta_of(of)
    np.testing.assert_array_equal(of.cross(rows, rows, theta), kernel(rows.mutations, rows.mutations, theta))


@pytest.mark.parametrize("parts", PARTS)
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_it_is_symmetric_and_positive_semi_definite_and_its_diagonal_is_the_prior_variance(parts, seed):
    of, rows = kernel_of(*parts), rows_of(drawn(80), *parts)
    theta = theta_of(of, seed)
    matrix = of.cross(rows, rows, theta)
    np.testing.assert_allclose(matrix, matrix.T, rtol=1e-10)
    assert np.linalg.eigvalsh(matrix).min() > -1e-8 * np.trace(matrix)
    np.testing.assert_allclose(of.variances(rows, theta), np.diag(matrix), rtol=1e-7)


@pytest.mark.parametrize("term", TERMS, ids=lambda term: term.name)
def test_every_term_alone_is_positive_semi_definite(term):
    of, rows = kernel_of(*EVERYTHING), rows_of(drawn(80), *EVERYTHING)
    theta = theta_of(of)
    without = theta.copy()
    without[of.names.index(f"{term.name}.variance")] = -np.inf
    part = of.cross(rows, rows, theta) - of.cross(rows, rows, without)
    assert np.trace(part) > 0
    assert np.linalg.eigvalsh(part).min() > -1e-8 * np.trace(part)


@pytest.mark.parametrize("parts", PARTS)
def test_the_gradient_of_the_evidence_is_that_of_finite_differences(parts):
    variants, of = drawn(20), kernel_of(*parts)
    covariance, y = of.covariance(rows_of(variants, *parts)), np.random.default_rng(2).normal(size=20)
    theta = theta_of(of, 4)
    step = approx_fprime(theta, lambda at: log_evidence(covariance, y, at)[0], 1e-6)
    np.testing.assert_allclose(log_evidence(covariance, y, theta)[1], step, rtol=1e-4, atol=1e-4)


def test_the_evidence_is_the_density_of_a_normal_distribution_with_the_slow_kernel():
    variants, of = drawn(15), kernel_of(*EVERYTHING)
    theta, y = theta_of(of, 1), np.random.default_rng(3).normal(size=15)
    noise = np.exp(theta[NAMES.index("noise.variance")])
    matrix = slow(variants, variants, theta, *EVERYTHING) + noise * np.eye(15)
    found = log_evidence(of.covariance(rows_of(variants, *EVERYTHING)), y, theta)[0]
    assert found == pytest.approx(multivariate_normal(np.zeros(15), matrix).logpdf(y), rel=1e-7)


def test_every_part_has_terms_and_leaving_it_out_takes_them_away():
    whole = {term.name for term in kernel_of(*EVERYTHING).terms}
    assert whole == {term.name for term in TERMS}
    assert kernel_of(*EVERYTHING).linear == tuple(LINEAR)
    gone = {
        part: whole - {term.name for term in kernel_of(*(one for one in EVERYTHING if one != part)).terms}
        for part in EVERYTHING
    }
    assert gone == {
        "profile": {"profile", "fold_profile"},
        "attention": {"attention"},
        "structure": {"fold", "fold_exchange", "burial", "fold_profile", "fold_score"},
        "embedding": {"embedding"},
        "score": {"score", "fold_score"},
    }


def test_hyperparameters_have_distinct_names_and_one_prior_each():
    of = kernel_of(*EVERYTHING)
    assert len(set(of.names)) == len(of.names) == len(of.prior.medians)
    assert of.terms == rooms.TERMS


def test_hellinger_is_its_definition():
    p = np.exp(log_probabilities().astype(float))
    p /= p.sum(axis=1, keepdims=True)
    expected = np.sqrt(((np.sqrt(p[:, None]) - np.sqrt(p[None])) ** 2).sum(axis=-1) / 2)
    np.testing.assert_allclose(hellinger(log_probabilities()), expected, atol=1e-6)


def test_resistance_is_that_of_the_net_solved_current_by_current():
    random = np.random.default_rng(0)
    attention = random.normal(size=(8, 8))
    attention = attention + attention.T
    conducts = np.maximum(attention, 0) * (1 - np.eye(8))
    conducts = conducts / (conducts.sum() / 8) + np.eye(8, k=1) + np.eye(8, k=-1)
    laplacian = np.diag(conducts.sum(axis=1)) - conducts
    expected = np.zeros((8, 8))
    for i, j in itertools.combinations(range(8), 2):
        current = np.zeros(8)
        current[i], current[j] = 1, -1
        volts = np.linalg.lstsq(laplacian, current, rcond=None)[0]
        expected[i, j] = expected[j, i] = np.sqrt(volts[i] - volts[j])
    np.testing.assert_allclose(resistance(attention), expected / expected.mean(), rtol=1e-8, atol=1e-12)
    nothing = resistance(-np.ones((5, 5)))  # the backbone alone: resistance is the separation
    np.testing.assert_allclose(
        nothing / nothing[0, 1], np.sqrt(np.abs(np.subtract.outer(range(5), range(5)))), atol=1e-9
    )


def test_burial_is_standardised_and_no_position_is_the_mean():
    burial = known("structure").burial
    assert burial[[3, 11]].tolist() == [0, 0]
    inside = np.delete(burial, [3, 11])
    assert (inside.mean(), inside.std()) == (pytest.approx(0), pytest.approx(1))
