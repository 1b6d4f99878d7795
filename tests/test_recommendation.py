"""From a fitted predictor to a plate: what is scored, what is never chosen, and that the seed decides everything."""

import dataclasses
import itertools

import numpy as np
import pytest

from conftest import additive_landscape
from multimep import proximity
from multimep.acquisition import AcquisitionError, Wanted, draws, expected_improvement, thompson, ucb
from multimep.candidates import CandidateError, Space, parse_sites, recombinations, space
from multimep.dataset import Dataset, Variants
from multimep.embedder import Embedder
from multimep.gaussian_process import solved
from multimep.methods import METHODS, JointPredictor, State
from multimep.mutations import AMINO_ACIDS, parse
from multimep.plate_rules import PlateError, Rules
from multimep.predictions import Predictions, without_std
from multimep.proximity import BOTH, DISTANT, NEAR, SITE, Training, distances
from multimep.recommendation import JOINT_METHODS, Bench, Wishes, picked, recommend
from multimep.search import Genetic, search
from multimep.shortlist import Scored, Shortlist

WILD_TYPE = "MKTAYIAKQRQISFVKSH"
QUICK = Genetic(population=60, generations=25, elite=10)
SMALL = Rules(wells=12)


def never() -> None:
    raise AssertionError("the language model was loaded without need")


DOOR = Embedder(never)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def bench() -> Bench:
    return bench_of(additive_landscape("first", rows=50))


def bench_of(data: Dataset, method: str = "site_gp") -> Bench:
    predictor = METHODS[method]().fit([data], DOOR, 0)
    measured = dict(zip(data.variants.mutants, data.fitness.tolist(), strict=True))
    return Bench(data.name, data.wild_type, measured, data.higher_is_better, predictor, method)


# Candidates


def test_a_space_holds_every_combination_once_in_canonical_form_and_knows_its_size():
    made = space("toy", WILD_TYPE, [2, 5, 9], 1, 3, "ACK")
    names = list(made)
    slow = set()
    for choice in itertools.product(*(["", *(new for new in "ACK" if new != WILD_TYPE[s - 1])] for s in (2, 5, 9))):
        texts = [f"{WILD_TYPE[s - 1]}{s}{new}" for s, new in zip((2, 5, 9), choice, strict=True) if new]
        slow.add(":".join(texts))
    assert set(names) == slow - {""}
    assert len(names) == len(set(names)) == made.size
    assert Variants("toy", WILD_TYPE, tuple(names)).mutants == tuple(names)
    assert space("toy", WILD_TYPE, range(1, 19), 2, 2).size == 19**2 * 18 * 17 // 2


def test_recombinations_carry_measured_mutations_alone():
    made = recombinations("toy", WILD_TYPE, map(parse, ["M1A:K2R", "K2E", "WT"]), 1, 5)
    assert set(made) == {"M1A", "K2R", "K2E", "M1A:K2R", "M1A:K2E"}


@pytest.mark.parametrize("text", ["3-", "a", "-4", "3;4"])
def test_sites_that_cannot_be_read_are_refused(text):
    assert parse_sites("3, 7,9-11,3") == (3, 7, 9, 10, 11)
    with pytest.raises(CandidateError, match="neither a position nor a range"):
        parse_sites(text)


def test_selenocysteine_and_sites_outside_are_refused():
    with pytest.raises(CandidateError, match="'U' is not one of the twenty"):
        space("toy", WILD_TYPE, residues="ACU")
    with pytest.raises(CandidateError, match="site 99 lies outside"):
        space("toy", WILD_TYPE, [99])
    with pytest.raises(CandidateError, match="no such variant"):
        space("toy", WILD_TYPE, [1, 2], 3, 4)


# Distance


def test_distances_are_sites_that_differ():
    names = list(space("toy", WILD_TYPE, [1, 2, 3], 1, 3, "AC"))
    sequences = Variants("toy", WILD_TYPE, tuple(names)).sequences
    slow = [[sum(a != b for a, b in zip(one, other, strict=True)) for other in sequences] for one in sequences]
    np.testing.assert_array_equal(distances(*[list(map(parse, names))] * 2), slow)


def test_what_is_far_is_said_and_why():
    training = Training(("M1A", "M1A:K2R", "K2R", "WT"))
    asked = [parse(one) for one in ("M1C", "M1A:K2R:T3D", "A4C", "M1A:K2E", "M1C:A4C")]
    nearest = training.nearest(asked)
    assert nearest.tolist() == [1, 1, 1, 1, 2]
    assert training.reach == 1
    assert training.remarks(asked, nearest) == (NEAR, SITE, SITE, NEAR, BOTH)
    assert Training(("M1A",)).remarks([parse("M1C")], np.array([1])) == (DISTANT,)


def test_the_reach_of_many_rows_is_that_of_a_sample_against_all_of_them(monkeypatch):
    names = tuple(space("toy", WILD_TYPE, [1, 2, 3, 4], 1, 2, "ACDE"))
    names = (*(name for name in names if hash(name[0]) % 2 or ":" in name), "Y5W:I6W:A7W:K8W")
    whole, turned = Training(names), Training(names[::-1])
    exact = whole.reach
    for size in (7, 40, len(names) - 1):
        monkeypatch.setattr(proximity, "SAMPLE", size)
        assert Training(names).reach == Training(turned.mutants).reach == exact == 1


# Search


def additive_score(names: tuple[str, ...]) -> np.ndarray:
    each = (sum(AMINO_ACIDS.index(one.substitute) * one.position for one in parse(name)) for name in names)
    return np.fromiter(each, dtype=np.float64)


def found_by(made: Space, barred: set[str], seed: int = 0) -> dict[str, float]:
    runs = search(made, additive_score, barred, QUICK, seed)
    return {name: float(value) for run in runs for name, value in zip(run, additive_score(run), strict=True)}


def test_the_search_finds_the_best_of_all_and_scores_none_twice_nor_a_measured_one():
    made = space("toy", WILD_TYPE, [2, 5, 9, 14], 1, 3)
    names = tuple(made)
    order = np.argsort(-additive_score(names), kind="stable")
    barred = {names[order[0]], names[order[2]]}
    found = found_by(made, barred)
    assert max(found, key=lambda name: found[name]) == names[order[1]]
    assert not barred & set(found)
    assert len(found) < made.size / 4
    assert set(found) <= set(names)


def test_the_search_is_decided_by_its_seed():
    made = space("toy", WILD_TYPE, [2, 5, 9, 14], 2, 4)
    assert list(found_by(made, set())) == list(found_by(made, set()))
    assert list(found_by(made, set())) != list(found_by(made, set(), 1))


# Acquisition


def test_expected_improvement_is_the_mean_of_what_draws_gain():
    means, stds = np.array([0.0, 1.0, -1.0]), np.array([1.0, 0.2, 2.0])
    samples = means + stds * np.random.default_rng(0).standard_normal((400_000, 3))
    slow = np.maximum(samples - 0.8, 0).mean(axis=0)
    np.testing.assert_allclose(expected_improvement(means, stds, Wanted(0.0, 0.8)), slow, atol=5e-3)
    np.testing.assert_allclose(ucb(means, stds, Wanted(2.0, 0.0)), means + 2 * stds)


def test_joint_draws_have_the_mean_and_covariance_that_they_are_drawn_from():
    root = np.random.default_rng(1).normal(size=(4, 3))
    means, covariance = np.arange(4.0), root @ root.T  # of rank 3: not definite
    samples = draws(means, covariance, 200_000, 0)
    np.testing.assert_allclose(samples.mean(axis=0), means, atol=0.02)
    np.testing.assert_allclose(np.cov(samples.T), covariance, atol=0.1)
    np.testing.assert_array_equal(samples[:10], draws(means, covariance, 200_000, 0)[:10])


def test_thompson_counts_in_how_many_draws_a_candidate_is_among_the_best():
    samples = np.array([[3.0, 2.0, 1.0], [1.0, 2.0, 3.0], [2.0, 3.0, 1.0]])
    np.testing.assert_allclose(thompson(samples, 1), [1 / 3, 1 / 3, 1 / 3])
    np.testing.assert_allclose(thompson(samples, 2), [2 / 3, 1, 1 / 3])


# Shortlist


def test_the_shortlist_is_the_same_in_any_order_and_holds_the_best_of_every_kind():
    names = tuple(space("toy", WILD_TYPE, [1, 2, 3, 4, 5], 1, 2))
    values = np.round(additive_score(names) / 40.0)  # with ties
    rules = Rules(wells=7, required={"M1C": 1}, site_cap=2)
    lists = []
    for order in (np.arange(len(names)), np.random.default_rng(0).permutation(len(names))):
        kept = Shortlist(40, [1, 2, 3, 4, 5], rules)
        for run in np.array_split(order, 7):
            kept.add(Scored(without_std([names[row] for row in run], values[run]), values[run]))
        lists.append(kept.best().predictions.mutants)
    assert lists[0] == lists[1]
    ranked = sorted(names, key=lambda name: (-values[names.index(name)], name))
    assert set(ranked[:20]) <= set(lists[0])
    for kind in (lambda name: "M1C" in name.split(":"), lambda name: "5" not in name):
        assert set([name for name in ranked if kind(name)][:5]) <= set(lists[0])
    assert len(lists[0]) < 150


def test_rules_that_want_variety_keep_more_combinations_of_sites():
    names = tuple(space("toy", WILD_TYPE, [1, 2, 3, 4, 5], 1, 3))
    scored, kinds = Scored(without_std(names, additive_score(names)), additive_score(names)), []
    for rules in (Rules(), Rules(distance=3)):
        kept = Shortlist(200, [1, 2, 3, 4, 5], rules)
        kept.add(scored)
        mutants = kept.best().predictions.mutants
        kinds.append(len({tuple(one.position for one in parse(name)) for name in mutants}))
    assert kinds[1] > 1.5 * kinds[0]


# The plate


def test_the_plate_holds_the_best_unmeasured_candidates_where_no_rule_forbids_it(bench):
    found = recommend(bench, Wishes(rules=SMALL, acquisition="mean"), None, 0)
    made = recombinations(bench.dataset, bench.wild_type, map(parse, bench.measured), 1, 2)
    names = tuple(name for name in made if name not in bench.measured)
    means = bench.predictor.predict(Variants(bench.dataset, bench.wild_type, names)).mean
    best = [names[row] for row in np.argsort(-means)[:10]]
    assert [one.mutant for one in found.choice.chosen] == best
    assert found.exhaustive
    assert found.seen == len(names)
    assert len(found.wells) == 12


def test_recombinations_keep_to_the_wanted_sites_and_residues(bench):
    sites = sorted({one.position for name in bench.measured for one in parse(name)})[:4]
    asked = Wishes(sites=",".join(map(str, sites)), residues="ACDEFGHIKL", rules=SMALL)
    chosen = [one for mutant in recommend(bench, asked, None, 0).choice.chosen for one in mutant.genotype]
    assert {one.position for one in chosen} <= set(sites) and {one.substitute for one in chosen} <= set("ACDEFGHIKL")
    assert {str(one) for one in chosen} <= {str(one) for name in bench.measured for one in parse(name)}


def test_lower_is_better_turns_the_choice(bench):
    turned = dataclasses.replace(bench, higher_is_better=False)
    high, low = (picked(recommend(one, Wishes(rules=SMALL, acquisition="mean"), None, 0)) for one in (bench, turned))
    assert low.mean.max() < high.mean.min()


@pytest.mark.parametrize("acquisition", ["ucb", "mean", "expected_improvement", "thompson"])
@pytest.mark.parametrize("exhaustive", [10**6, 50])
def test_the_seed_decides_all_and_nothing_measured_is_chosen(bench, acquisition, exhaustive):
    wishes = Wishes(acquisition=acquisition, exhaustive=exhaustive, search=QUICK, rules=SMALL, draws=32)
    one, other = (recommend(bench, wishes, None, 3) for _ in range(2))
    assert (one.choice.chosen, one.wells) == (other.choice.chosen, other.wells)
    assert one.exhaustive == (exhaustive > 50)
    names = {well.mutant for well in one.wells if well.role == "mutant"}
    assert len(names) == 10
    assert not names & set(bench.measured)
    assert all(mutation.substitute in AMINO_ACIDS for name in names for mutation in parse(name))
    assert recommend(bench, wishes, None, 4).wells != one.wells


def test_a_list_of_candidates_is_taken_without_what_is_measured_or_forbidden(bench):
    measured = next(iter(bench.measured))
    listed = Variants(bench.dataset, WILD_TYPE, (measured, "WT", "M1A", "K2C", "T3A", "A4C:Y5A", "A4C"))
    wishes = Wishes(rules=Rules(wells=12, forbidden=("K2C",), depth=1))
    found = recommend(bench, wishes, listed, 0)
    assert {one.mutant for one in found.choice.chosen} == {"M1A", "T3A", "A4C"}
    assert found.size == found.seen == 3


def test_listed_candidates_keep_their_covariates_for_joint_draws(landscape, embedder):
    data = landscape("first", rows=40)
    score = np.random.default_rng(0).normal(size=len(data))
    variants = Variants("first", WILD_TYPE, data.variants.mutants, {"score": score})
    taught = dataclasses.replace(data, variants=variants)
    parts = dict.fromkeys(("profile", "attention", "embedding"), False)
    predictor = METHODS["plm_gp"](zero_shot="score", **parts).fit([taught], embedder, 0)
    known = Bench("first", WILD_TYPE, dict.fromkeys(data.variants.mutants, 0.0), True, predictor, "plm_gp")
    listed = Variants("first", WILD_TYPE, ("M1A", "K2C", "T3A"), {"score": np.array([1.0, 0.0, -1.0])})
    found = recommend(known, Wishes(acquisition="thompson", rules=SMALL), listed, 0)
    assert len(found.choice.chosen) == 3


def test_rules_reach_the_space_before_anything_is_scored(bench):
    rules = Rules(wells=12, forbidden=("K2A",), depth=1, site_caps={4: 0})
    wishes = Wishes(candidates="combinations", sites="2,4,5", mutations=(1, 3), rules=rules)
    assert recommend(bench, wishes, None, 0).size == 18 + 19


def test_thompson_and_bounds_are_refused_where_the_method_cannot_give_them(bench):
    additive = bench_of(additive_landscape("first", rows=50), "additive")
    with pytest.raises(AcquisitionError, match=r"joint posterior, which additive does not have.*`ucb`.*site_gp"):
        recommend(additive, Wishes(acquisition="thompson", rules=SMALL), None, 0)

    class Unsure:
        def predict(self, variants: Variants) -> Predictions:
            return without_std(variants.mutants, np.zeros(len(variants)))

        def state(self) -> State:
            raise NotImplementedError

    unsure = dataclasses.replace(bench, predictor=Unsure(), method="zero_shot")
    with pytest.raises(AcquisitionError, match="zero_shot gives no standard deviation, which ucb needs"):
        recommend(unsure, Wishes(rules=SMALL), None, 0)
    with pytest.raises(PlateError, match="measured already or forbidden"):
        recommend(bench, Wishes(), Variants(bench.dataset, WILD_TYPE, (next(iter(bench.measured)),)), 0)


# Joint posteriors

WITHOUT_WARP = {"site_gp": {"warp": False}, "plm_gp": {"warp": False}, "shared_prior_gp": {"warp": False},
    "transmep": {"features": "one_hot", "alpha_steps": 4, "gamma_steps": 4, "repeats": 5}}  # fmt: skip


@pytest.mark.parametrize("name", JOINT_METHODS.split(", "))
def test_a_joint_posterior_is_that_of_its_parts_and_agrees_with_predict(name, landscape, embedder):
    data = landscape("first", rows=40)
    predictor = METHODS[name](**WITHOUT_WARP.get(name, {})).fit([data], embedder, 0)
    assert isinstance(predictor, JointPredictor)
    asked = Variants("first", WILD_TYPE, ("M1A", "K2C", "K2C:A4D", "Q9W:I12V", *data.variants.mutants[:3]))
    joint, told = predictor.joint(asked), predictor.predict(asked)
    std = np.sqrt(np.diag(joint.covariance))
    if name == "epistasis_gp":  # on the hidden scale
        np.testing.assert_array_equal(np.argsort(joint.mean), np.argsort(predictor._hidden(asked)[0]))
    else:
        scale = told.std / std  # one scale for all
        np.testing.assert_allclose(scale, scale[0], rtol=1e-6)
        np.testing.assert_allclose(joint.mean - joint.mean[0], (told.mean - told.mean[0]) / scale[0], atol=1e-6)
    assert np.linalg.eigvalsh(joint.covariance).min() > -1e-9 * std.max() ** 2
    few = predictor.joint(asked.select(asked.mutants[1:4]))
    np.testing.assert_allclose(few.covariance, joint.covariance[1:4, 1:4], rtol=1e-9, atol=1e-12)


def test_the_joint_posterior_of_a_kernel_is_the_schur_complement(landscape):
    draw = np.random.default_rng(0)
    points = draw.normal(size=(12, 2))
    k = np.exp(-((points[:, None] - points[None]) ** 2).sum(-1))
    y = draw.normal(size=8)
    mean, covariance = solved(k[:8, :8] + 0.1 * np.eye(8), y).joint(k[8:, :8], k[8:, 8:])
    inverse = np.linalg.inv(k[:8, :8] + 0.1 * np.eye(8))
    np.testing.assert_allclose(mean, k[8:, :8] @ inverse @ y)
    np.testing.assert_allclose(covariance, k[8:, 8:] - k[8:, :8] @ inverse @ k[:8, 8:], atol=1e-12)
