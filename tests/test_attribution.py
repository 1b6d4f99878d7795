"""Divisions of a prediction among the mutations: by definition, by brute force, by weights of sums."""

import dataclasses
import itertools
import math

import numpy as np
import pytest

from multimep import site_kernel
from multimep.attribution import (
    EXACT,
    INTERACTIONS,
    ORDERS,
    REST,
    SHAPLEY,
    AttributionError,
    interactions,
    means,
    orders,
    shapley,
    sub_variants,
)
from multimep.dataset import Variants
from multimep.explanation import Subject, explain, lacking, subject_of
from multimep.methods import METHODS
from multimep.methods.features import one_hot
from multimep.methods.method import FitError
from multimep.methods.recalibrated import Recalibrated
from multimep.methods.site_gp import SiteGP
from multimep.mutations import COLUMN, WILD_TYPE, format_genotype, parse
from multimep.predictions import Predictions, without_std

FOUR = "A1C:D2E:F3G:H4K"
MANY = ":".join(f"A{site}C" for site in range(1, EXACT + 3))
QUICK = {
    "transmep": {"alpha_steps": 4, "gamma_steps": 4, "repeats": 5},
    "fine_tune": {"epochs": 1},
    "fine_tune_together": {"epochs": 1},
    "likelihood_tune": {"steps": 3, "members": 1},
    "likelihood_tune_together": {"steps": 3},
}
SITES_ALONE = {"profile": True, "attention": True, "embedding": False, "zero_shot": "none"}
SUMS = {
    "additive": {}, "one_hot_ridge": {}, "augmented_ridge": {}, "zero_shot": {},
    "likelihood_tune": QUICK["likelihood_tune"], "site_gp": {}, "epistasis_gp": {}, "plm_gp": SITES_ALONE,
    "shared_prior_gp": {}, "coregional_gp": {},
}  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Formula:
    """A predictor whose mean is what a function of the mutations says."""

    value: object

    def predict(self, variants: Variants) -> Predictions:
        return without_std(variants.mutants, np.array([self.value(genotype) for genotype in variants.genotypes]))

    def state(self) -> None:
        raise NotImplementedError


class Given(Formula):
    """One that reads a covariate."""

    def predict(self, variants: Variants) -> Predictions:
        if "given" not in variants.covariates:
            raise FitError("no covariate given")
        return super().predict(variants)


def subsets(mutant: str):
    genotype = parse(mutant)
    return [
        format_genotype(some) for size in range(len(genotype) + 1) for some in itertools.combinations(genotype, size)
    ]


def quadratic(wild_type: str, mutant: str):
    """Means of a sum of effects and of effects of pairs; the effects; those of the pairs."""
    random = np.random.default_rng(3)
    genotype = parse(mutant)
    alone = {one: random.normal() for one in genotype}
    pairs = {pair: random.normal() for pair in itertools.combinations(genotype, 2)}

    def value(some) -> float:
        return 2.0 + sum(alone[one] for one in some) + sum(pairs[pair] for pair in itertools.combinations(some, 2))

    return Formula(value), alone, pairs


def test_shapley_values_are_mean_gains_over_all_orders():
    known = dict(zip(subsets(FOUR), np.random.default_rng(0).normal(size=16), strict=True))
    genotype = parse(FOUR)
    gains = {str(one): [] for one in genotype}
    for order in itertools.permutations(genotype):
        for at, one in enumerate(order):
            gains[str(one)].append(known[format_genotype(order[: at + 1])] - known[format_genotype(order[:at])])
    found = {part.name: part.value for part in shapley(FOUR, known, 0)}
    assert found == pytest.approx({name: np.mean(values) for name, values in gains.items()}, rel=1e-12)
    assert sum(found.values()) == pytest.approx(known[FOUR] - known[WILD_TYPE], rel=1e-12)


def test_interactions_give_back_the_effects_they_were_made_of_and_the_rest_what_three_do_together():
    predictor, alone, pairs = quadratic("ADFH", FOUR)
    genotype = parse(FOUR)

    def value(some) -> float:
        return predictor.value(some) + 5.0 * (len(some) > 2)

    asked = Variants("one", "ADFH", (FOUR,))
    known = means(Formula(value), asked, sub_variants([FOUR], 0))
    found = {part.name: part.value for part in interactions(FOUR, known)}
    expected = {str(one): effect for one, effect in alone.items()}
    expected |= {format_genotype(pair): effect for pair, effect in pairs.items()}
    assert found == pytest.approx(expected | {REST: 5.0}, rel=1e-9)
    assert len(found) == len(genotype) + 6 + 1


def test_beyond_ten_mutations_drawn_orders_come_near_the_shapley_values_and_sum_exactly():
    wild_type = "A" * (EXACT + 2)
    predictor, alone, pairs = quadratic(wild_type, MANY)
    known = means(predictor, Variants("one", wild_type, (MANY,)), sub_variants([MANY], 7))
    assert len(known) < 2 ** (EXACT + 2)
    found = shapley(MANY, known, 7)
    # phi_i = a_i + sum_j a_ij / 2; a pair of an order and its reverse gives exactly that for a quadratic function
    for one, part in zip(parse(MANY), found, strict=True):
        half = sum(effect for pair, effect in pairs.items() if one in pair) / 2
        assert part.value == pytest.approx(alone[one] + half, rel=1e-9, abs=1e-9)
        assert part.error < 1e-9
    total = math.fsum(part.value for part in found)
    assert total == pytest.approx(known[MANY] - known[WILD_TYPE], rel=1e-10)


def test_the_standard_error_is_that_of_the_mean_over_pairs_of_orders():
    wild_type, random = "A" * (EXACT + 2), np.random.default_rng(1)
    weights = {one: random.normal() for one in parse(MANY)}
    predictor = Formula(lambda some: math.sin(sum(weights[one] for one in some)) ** 3)
    asked = Variants("one", wild_type, (MANY,))
    truth = {}
    for seed in range(5):
        known = means(predictor, asked, sub_variants([MANY], seed))
        for part in shapley(MANY, known, seed):
            truth.setdefault(part.name, []).append((part.value, part.error))
    spread = np.mean([np.std([value for value, _ in some], ddof=1) for some in truth.values()])
    told = np.mean([error for some in truth.values() for _, error in some])
    assert 0.6 < spread / told < 1.6


def test_orders_depend_on_seed_and_variant_alone_and_every_second_is_the_reverse():
    drawn = orders(MANY, EXACT + 2, 0)
    assert drawn.shape == (ORDERS, EXACT + 2)
    assert (drawn[::2] == drawn[1::2, ::-1]).all()
    np.testing.assert_array_equal(drawn, orders(MANY, EXACT + 2, 0))
    assert (drawn != orders(MANY, EXACT + 2, 1)).any()


def test_covariates_that_a_method_does_not_read_need_not_be_given_for_sub_variants(landscape, embedder):
    data = landscape()
    predictor = METHODS["additive"]().fit([data], embedder, 0)
    asked = data.variants.select(data.variants.mutants[:3])
    given = dataclasses.replace(asked, covariates={"other": np.arange(3.0)})
    wanted = sub_variants(asked.mutants, 0)
    assert means(predictor, given, wanted) == means(predictor, asked, wanted)


def test_sub_variants_without_the_covariates_that_a_file_gives_are_refused_by_name():
    asked = Variants("one", "ADFH", (FOUR, "A1C"), {"given": np.zeros(2)})
    with pytest.raises(AttributionError, match=r"covariates \(given\) of WT, D2E, .* add rows of these 14 variants"):
        means(Given(len), asked, (*asked.mutants, *sub_variants([FOUR], 0)[:1], *subsets(FOUR)[2:-1]))


@pytest.fixture(scope="module")
def taught(landscape, embedder):
    """Every method fitted once on 48 double and triple mutants, and four of them that are asked."""
    data = landscape(rows=52)
    train, asked = data.select(data.variants.mutants[:48]), data.variants.mutants[48:]
    kept = {}

    def fit(name: str, settings: dict | None = None) -> Subject:
        key = name, str(settings)
        if key not in kept:
            method = METHODS[name](**(QUICK.get(name, {}) if settings is None else settings))
            kept[key] = Subject(method.fit([train], embedder, 0), method, "first", train.wild_type, name, 0)
        return kept[key]

    return fit, Variants("first", train.wild_type, asked)


@pytest.mark.parametrize("name", METHODS)
def test_parts_of_every_method_sum_to_its_prediction_less_that_of_the_wild_type(name, taught):
    fit, asked = taught
    subject = fit(name)
    found = explain(subject, asked, ["attributions"], 0)
    predicted = found.predicted
    for mutant in asked.mutants:
        difference = predicted[mutant] - found.wild_type
        for approach in (SHAPLEY, INTERACTIONS):
            parts = [part.value for part in found.parts if (part.mutant, part.approach) == (mutant, approach)]
            assert math.fsum(parts) == pytest.approx(difference, rel=1e-8, abs=1e-12)
    again = subject.predictor.predict(subject.variants([WILD_TYPE, *asked.mutants])).mean
    np.testing.assert_allclose([found.wild_type, *predicted.values()], again, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", SUMS)
def test_where_mutations_add_up_one_number_each_serves_every_variant_and_is_the_shapley_value(name, taught):
    fit, asked = taught
    found = explain(fit(name, SUMS[name]), asked, ["attributions"], 0)
    sums = [part for part in found.parts if part.approach == "sum"]
    assert len({(part.name, part.value) for part in sums}) == len({part.name for part in sums})
    size = max(abs(one.difference) for one in found.complete)
    assert max(abs(one.error) for one in found.complete) <= 1e-8 * size
    if sums[0].scale == "fitness":
        fair = {(part.mutant, part.name): part.value for part in found.parts if part.approach == SHAPLEY}
        assert fair == pytest.approx({(part.mutant, part.name): part.value for part in sums}, abs=1e-8 * size)


@pytest.mark.parametrize("name", ["embedding_gp", "combination_gp", "plm_gp", "sparse_gp"])
def test_a_method_that_is_no_sum_claims_none(name, taught):
    fit, asked = taught
    assert not [part for part in explain(fit(name), asked, ["attributions"], 0).parts if part.approach == "sum"]


def test_the_part_of_a_mutation_in_one_hot_ridge_is_the_difference_of_two_weights(taught, embedder):
    fit, asked = taught
    subject = fit("one_hot_ridge", {})
    weights = (subject.predictor.ridge.weights * subject.predictor.scaling.scale).reshape(-1, 20)
    assert weights.size == one_hot(asked, embedder).shape[1]
    for part in explain(subject, asked, ["attributions"], 0).parts:
        if part.approach == "sum":
            (one,) = parse(part.name)
            expected = (
                weights[one.position - 1, COLUMN[one.substitute]] - weights[one.position - 1, COLUMN[one.reference]]
            )
            assert part.value == pytest.approx(expected, rel=1e-8, abs=1e-12)


def test_the_part_of_a_mutation_in_site_gp_is_its_kernel_with_all_training_mutations(taught):
    fit, asked = taught
    subject = fit("site_gp", {"warp": False})
    one = subject.predictor
    new = site_kernel.mutations_of(subject.variants(sorted({str(m) for g in asked.genotypes for m in g})), one.unit)
    inner = sum(site_kernel.terms(site_kernel.measures(new, one.mutations), one.theta))
    z = one.mutations.incidence.toarray()
    expected = {}
    for row, mutation in enumerate(sorted({m for g in asked.genotypes for m in g})):
        # g(m) = unit (phi(m).w + sum_i sum_{m' in x_i} unit k(m, m') (A^-1 (y - m))_i)
        told = sum(one.solution.weights[i] * z[i, j] * inner[row, j] for i, j in np.ndindex(*z.shape) if z[i, j])
        expected[str(mutation)] = one.unit * (new.features[row] @ one.belief.slopes + told) * one.scale.scaling.scale
    found = [part for part in explain(subject, asked, ["attributions"], 0).parts if part.approach == "sum"]
    assert {part.scale for part in found} == {"fitness"}
    assert {part.name: part.value for part in found} == pytest.approx(expected, rel=1e-8)


def test_a_recalibrated_method_is_explained_by_the_method_inside(landscape, embedder):
    train = landscape(rows=40)
    method = Recalibrated({"site_gp": {}})
    facts = {"dataset": "first", "wild_type": train.wild_type, "name": "recalibrated", "seed": 0}
    subject = subject_of(method.fit([train], embedder, 0), method, **facts)
    assert isinstance(subject.method, SiteGP)
    assert set(lacking(subject)) == {"integrated_gradients"}


def test_a_method_that_needs_a_covariate_explains_what_the_file_gives_and_names_what_it_lacks(landscape, embedder):
    data = landscape(rows=40)
    given = dataclasses.replace(data.variants, covariates={"given": data.fitness})
    method = METHODS["augmented_ridge"](zero_shot="given")
    predictor = method.fit([dataclasses.replace(data, variants=given)], embedder, 0)
    subject = Subject(predictor, method, "first", data.wild_type, "augmented_ridge", 0)
    double = next(mutant for mutant in data.variants.mutants if len(parse(mutant)) == 2)
    names = (WILD_TYPE, *double.split(":"), double)
    asked = Variants("first", data.wild_type, names, {"given": np.array([0.0, 0.3, -0.2, 0.9])})
    found = explain(subject, asked, ["attributions"], 0)
    # the score is no sum over these mutations, so the pair has a part
    parts = {part.name: part.value for part in found.parts if (part.mutant, part.approach) == (double, INTERACTIONS)}
    assert abs(parts[double]) > 1e-3
    assert not [part for part in found.parts if part.approach == "sum"]
    with pytest.raises(AttributionError, match=f"of WT, {names[1]}, {names[2]} are not given; add rows"):
        explain(subject, asked.select([double]), ["attributions"], 0)
