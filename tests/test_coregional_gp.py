"""Assays of one protein learned together: the kernel's limits, its gradient, and what one assay gains from another."""

import dataclasses

import numpy as np
import pytest
from scipy.optimize import approx_fprime

from multimep import coregionalisation, site_kernel
from multimep.coregionalisation import apart, coregional_covariance, cross, prior
from multimep.dataset import Dataset, Variants
from multimep.embedder import Embedder
from multimep.evidence import log_evidence
from multimep.methods.coregional_gp import CoregionalGP, proteins
from multimep.methods.method import FitError
from multimep.methods.site_gp import SiteGP
from multimep.mutations import AMINO_ACIDS

WILD_TYPE = "".join(np.random.default_rng(5).choice(list(AMINO_ACIDS), 50))


def no_language_model() -> None:
    raise AssertionError("coregional_gp asked for a language model")


EMBEDDER = Embedder(no_language_model)


def singles(wild_type: str = WILD_TYPE) -> list[str]:
    return [f"{old}{site}{new}" for site, old in enumerate(wild_type, 1) for new in AMINO_ACIDS if new != old]


def pair(rows: int, correlation: float = 0.95, noise: float = 0.5, seed: int = 0) -> tuple[Dataset, Dataset]:
    """Two assays of the same random variants whose true landscapes correlate."""
    random = np.random.default_rng(seed)
    names = tuple(str(one) for one in random.permutation(singles())[:rows])
    mutations = site_kernel.mutations_of(Variants("all", WILD_TYPE, names), 1.0)
    root = np.linalg.cholesky(site_kernel.kernel(mutations, mutations, weak()) + 1e-8 * np.eye(rows))
    one, other = root @ random.normal(size=(rows, 2)).T[0], root @ random.normal(size=rows)
    hidden = one, correlation * one + np.sqrt(1 - correlation**2) * other
    unknown, once = np.full(rows, np.nan), np.ones(rows, np.int64)
    return tuple(
        Dataset(Variants(name, WILD_TYPE, names), values + noise * random.normal(size=rows), unknown, once)
        for name, values in zip(("first", "second"), hidden, strict=True)
    )  # type: ignore[return-value]


def weak() -> np.ndarray:
    return np.log(site_kernel.prior().medians)


def measured(count: int) -> tuple[coregionalisation.Rows, np.ndarray]:
    """Random variants of two assays, some of both."""
    mutants = tuple(singles()[: 3 * count : 3])
    one = site_kernel.mutations_of(Variants("all", WILD_TYPE, mutants), 1.0)
    places, tasks = np.repeat(np.arange(count), 2), np.tile([0, 1], count)
    rows = coregionalisation.Rows(dataclasses.replace(one, incidence=one.incidence[places]), tasks)
    return rows, np.random.default_rng(0).normal(size=2 * count)


def test_every_entry_is_that_of_the_site_kernel_times_that_of_b():
    rows, _ = measured(6)
    theta = np.log(prior(2).medians) + np.random.default_rng(1).normal(size=len(prior(2).medians)) / 3
    of, found = apart(theta), cross(rows, rows, theta)
    inner = site_kernel.kernel(rows.mutations, rows.mutations, of.site)
    for i, d in enumerate(rows.tasks):
        for j, e in enumerate(rows.tasks):
            b = of.w[d] * of.w[e] + (of.kappa[d] if d == e else 0)
            assert found[i, j] == pytest.approx(b * inner[i, j])
    np.testing.assert_allclose(np.diag(found), coregionalisation.prior_variances(rows, theta))
    assert np.linalg.eigvalsh(found).min() > -1e-9
    a, _ = coregional_covariance(rows, 2)(theta)
    np.testing.assert_allclose(a, found + np.diag(of.noise[rows.tasks]))


def test_the_gradient_is_that_of_finite_differences():
    rows, y = measured(6)
    covariance, theta = coregional_covariance(rows, 2), np.log(prior(2).medians) + 0.1
    slow = approx_fprime(theta, lambda at: log_evidence(covariance, y, at)[0], 1e-6)
    np.testing.assert_allclose(log_evidence(covariance, y, theta)[1], slow, rtol=1e-3, atol=1e-4)


def test_without_anything_shared_the_evidence_is_the_sum_of_those_of_separate_assays():
    rows, y = measured(6)
    theta = np.log(prior(2).medians)
    theta[-6:-4], theta[-4:-2] = -30, 0  # w, kappa
    together = log_evidence(coregional_covariance(rows, 2), y, theta)[0]
    alone = 0.0
    for task in (0, 1):
        own = dataclasses.replace(
            rows.mutations, incidence=rows.mutations.incidence[np.flatnonzero(rows.tasks == task)]
        )
        alone += log_evidence(site_kernel.site_covariance(own), y[rows.tasks == task], weak())[0]
    assert together == pytest.approx(alone, rel=1e-6)


def test_an_assay_gains_from_one_that_measures_nearly_the_same():
    gains = []
    for seed in range(2):
        first, second = pair(120, seed=seed)
        names = first.variants.mutants
        train, asked = first.select(names[:25]), first.select(names[60:])
        errors = [
            np.mean((predictor.predict(asked.variants).mean - asked.fitness) ** 2)
            for predictor in (
                SiteGP().fit([train], EMBEDDER, 0),
                CoregionalGP().fit([train, second.select(names[20:])], EMBEDDER, 0),
            )
        ]
        gains.append(errors[0] - errors[1])
    assert np.mean(gains) > 0.1


def test_positions_of_a_part_of_the_protein_are_those_of_the_whole():
    first, second = pair(80)
    inside = [one for one in second.variants.mutants if 11 <= int(one[1:-1]) <= 45]
    part = second.select(inside)
    texts = tuple(f"{one[0]}{int(one[1:-1]) - 10}{one[-1]}" for one in inside)
    cut = dataclasses.replace(part, variants=Variants("second", WILD_TYPE[10:45], texts))
    train = first.select(first.variants.mutants[:30])
    one, other = (CoregionalGP().fit([train, team], EMBEDDER, 0).predict(first.variants) for team in (part, cut))
    np.testing.assert_allclose(one.mean, other.mean, rtol=1e-6)


def test_assays_of_different_proteins_say_nothing_of_each_other():
    first, second = pair(60)
    stranger = dataclasses.replace(
        second, variants=Variants("second", "MK" + WILD_TYPE[::-1], tuple(singles("MK" + WILD_TYPE[::-1])[:60]))
    )
    assert [len(team) for team in proteins([first, stranger])] == [1, 1]
    alone, beside = (
        CoregionalGP().fit(team, EMBEDDER, 0).predict(first.variants) for team in ([first], [stranger, first])
    )
    np.testing.assert_array_equal(alone.mean, beside.mean)


def test_an_assay_where_lower_is_better_teaches_the_same():
    first, second = pair(60)
    train = first.select(first.variants.mutants[:20])
    turned = dataclasses.replace(second, fitness=-second.fitness, higher_is_better=False)
    straight, other = (
        CoregionalGP(warp=False).fit([train, one], EMBEDDER, 0).predict(first.variants) for one in (second, turned)
    )
    np.testing.assert_allclose(straight.mean, other.mean, atol=1e-3)


def test_the_state_tells_how_alike_the_assays_are():
    predictor = CoregionalGP().fit(list(pair(60)), EMBEDDER, 0)
    alike = np.array(predictor.state().facts["proteins"][0]["alike"])
    assert alike.shape == (2, 2)
    assert alike[0, 1] / np.sqrt(alike[0, 0] * alike[1, 1]) > 0.5
    again = CoregionalGP().restore(predictor.state(), EMBEDDER)
    np.testing.assert_array_equal(
        again.predict(pair(60)[0].variants).mean, predictor.predict(pair(60)[0].variants).mean
    )


def test_what_cannot_be_learned_from_is_refused():
    first, second = pair(10)
    with pytest.raises(FitError, match="given: none"):
        CoregionalGP().fit([], EMBEDDER, 0)
    with pytest.raises(FitError, match="each once, given: first, first"):
        CoregionalGP().fit([first, first], EMBEDDER, 0)
    with pytest.raises(FitError, match="second is none of the datasets of this model: first"):
        CoregionalGP().fit([first], EMBEDDER, 0).predict(second.variants)
    with pytest.raises(FitError, match="at least 3"):
        CoregionalGP(selection_rows=2)
