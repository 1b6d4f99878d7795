"""Data on which arithmetic goes wrong: every method answers with finite numbers that obey the laws, or refuses clearly.

A law of units: fitness times c gives means and standard deviations times c. `zero_shot` looks at no fitness.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from multimep.dataset import Dataset, Variants
from multimep.language_model import LanguageModelError
from multimep.layout import UNAIDED
from multimep.methods import METHODS, FitError, Method, nested
from multimep.methods.scaling import SIZES, Scaling, scaling_of
from multimep.methods.zero_shot_score import zero_shot_score
from multimep.mutations import AMINO_ACIDS
from multimep.predictions import Predictions

QUICK: dict[str, dict[str, Any]] = {
    "transmep": {"alpha_steps": 4, "gamma_steps": 4, "repeats": 8},
    "epistasis_gp": {"rounds": 1},
    "fine_tune": {"epochs": 1},
    "fine_tune_together": {"epochs": 1},
    "likelihood_tune": {"steps": 3, "members": 1},
    "likelihood_tune_together": {"steps": 3},
    "recalibrated": {"of": {"one_hot_ridge": None}},
    "stack": {"of": {"one_hot_ridge": None, "additive": None}},
}
ROUNDED = {"fine_tune", "fine_tune_together"}
"""Standardised by numpy, taught in float32: an offset of 1e12 leaves four digits, which the training sees."""
NO_LANGUAGE_MODEL = {*UNAIDED, "shared_prior_gp", "coregional_gp"}
FROM_ONE_ROW = {"fine_tune", "fine_tune_together", "zero_shot"}

TUNING = ("fine_tune", "fine_tune_together", "likelihood_tune", "likelihood_tune_together")
"""Dear, and standardised as the others are: asked where a network makes a difference."""

every = pytest.mark.parametrize("name", METHODS)
supervised = pytest.mark.parametrize("name", [name for name in METHODS if name != "zero_shot"])
cheap = pytest.mark.parametrize("name", [name for name in METHODS if name not in ("zero_shot", *TUNING)])


def quick(name: str) -> Method:
    return nested.named(name, QUICK.get(name, {}), name)


def made(wild_type: str, mutants: list[str], seed: int = 0) -> Dataset:
    """Variants with a random fitness, the standard deviations of which nobody knows."""
    n = len(mutants)
    fitness = np.random.default_rng(seed).normal(size=n)
    return Dataset(Variants("hard", wild_type, tuple(mutants)), fitness, np.full(n, np.nan), np.ones(n, np.int64))


def singles(wild_type: str, count: int) -> list[str]:
    """Distinct single mutants, drawn."""
    random = np.random.default_rng(1)
    each = [f"{old}{site}{new}" for site, old in enumerate(wild_type, 1) for new in AMINO_ACIDS if new != old]
    return [each[row] for row in random.permutation(len(each))[:count]]


def long_protein(length: int) -> str:
    return "".join(np.random.default_rng(2).choice(list(AMINO_ACIDS), length))


@dataclasses.dataclass(frozen=True)
class Lesson:
    """Twelve rows that teach, six that are asked, and what a method says of them."""

    train: Dataset
    asked: Variants
    fit: Callable[[str, Dataset], Predictions]
    before: Callable[[str], Predictions]


@pytest.fixture(scope="module")
def lesson(landscape, embedder) -> Lesson:
    whole = landscape("hard", rows=18)
    train, asked = whole.select(whole.variants.mutants[:12]), whole.variants.select(whole.variants.mutants[12:])
    known: dict[str, Predictions] = {}

    def fit(name: str, data: Dataset) -> Predictions:
        return quick(name).fit([data], embedder, 0).predict(asked)

    def before(name: str) -> Predictions:
        if name not in known:
            known[name] = fit(name, train)
        return known[name]

    return Lesson(train, asked, fit, before)


def with_fitness(data: Dataset, fitness: np.ndarray) -> Dataset:
    return dataclasses.replace(data, fitness=fitness)


def assert_usable(found: Predictions) -> None:
    """Finite means; standard deviations finite and above 0, or unknown for all."""
    assert np.isfinite(found.mean).all()
    for column in (found.std, found.noisy_std):
        assert np.isnan(column).all() or (np.isfinite(column) & (column > 0)).all()


def assert_scaled(found: Predictions, before: Predictions, slope: float, offset: float, rtol: float) -> None:
    """Means within rtol of the spread of the means that a unit change gives, standard deviations within rtol."""
    spread = float(np.std(before.mean)) or 1.0
    np.testing.assert_allclose((found.mean - offset) / slope, before.mean, rtol=0, atol=rtol * spread)
    for one, other in ((found.std, before.std), (found.noisy_std, before.noisy_std)):
        np.testing.assert_allclose(one / slope, other, rtol=rtol)


# Units


@pytest.mark.parametrize(
    ("name", "slope"),
    [(name, slope) for name in METHODS if name != "zero_shot" for slope in (1e12, 1e-12)[: 1 if name in TUNING else 2]],
)
def test_targets_of_any_size_give_the_same_predictions_in_their_unit(name, slope, lesson):
    found = lesson.fit(name, with_fitness(lesson.train, slope * lesson.train.fitness))
    assert_scaled(found, lesson.before(name), slope, 0.0, rtol=1e-6)


@supervised
def test_small_differences_on_a_large_offset_are_learnt(name, lesson):
    # at 1e12 a step of float64 is 1.2e-4: of differences of about 1 four digits are left
    found = lesson.fit(name, with_fitness(lesson.train, lesson.train.fitness + 1e12))
    assert_scaled(found, lesson.before(name), 1.0, 1e12, rtol=0.05 if name in ROUNDED else 2e-3)


@pytest.mark.parametrize(
    ("name", "value"),
    [(name, 0.1) for name in METHODS if name != "zero_shot"]
    + [(name, value) for name in ("additive", "embedding_gp", "site_gp") for value in (0.0, 1e12, -1e-12)],
)
def test_targets_that_are_all_equal_are_predicted_as_they_are_with_doubts_in_their_unit(name, value, lesson):
    # 0.1: its standard deviation in float64 is 1e-17, not 0
    found = lesson.fit(name, with_fitness(lesson.train, np.full(len(lesson.train), value)))
    assert_usable(found)
    np.testing.assert_allclose(found.mean, value, rtol=1e-6, atol=1e-6 if value == 0 else 0)
    if name not in TUNING:
        ones = lesson.fit(name, with_fitness(lesson.train, np.ones(len(lesson.train))))
        np.testing.assert_allclose(found.std, (abs(value) or 1.0) * ones.std, rtol=1e-4)


@supervised
@pytest.mark.parametrize("slope", [1e160, 1e-160, 1e308, 1e-310])
def test_targets_that_float64_cannot_square_are_refused_with_the_remedy(name, slope, lesson):
    fitness = slope * (lesson.train.fitness / np.abs(lesson.train.fitness).max())
    with pytest.raises(FitError, match=r"hard: a fitness .* cannot be squared .*; give it in another unit"):
        lesson.fit(name, with_fitness(lesson.train, fitness))


def test_the_scale_is_the_standard_deviation_up_to_the_limits_and_the_size_of_equal_targets(lesson):
    for slope in (SIZES[0], 1.0, SIZES[1]):
        y = slope * np.array([0.9, -0.2, 0.3])
        found = scaling_of(with_fitness(lesson.train.select(lesson.train.variants.mutants[:3]), y))
        np.testing.assert_allclose(found.apply(y), (y / slope - 1 / 3) / np.std(y / slope, ddof=1), rtol=1e-12)
    assert scaling_of(with_fitness(lesson.train, np.full(12, -0.1))) == Scaling(-0.1, 0.1)
    assert scaling_of(with_fitness(lesson.train, np.zeros(12))) == Scaling(0.0, 1.0)


# Rows


@every
@pytest.mark.parametrize("rows", [1, 2, 3, 5])
def test_the_fewest_rows_are_learnt_or_refused_by_number(name, rows, lesson):
    few = lesson.train.select(lesson.train.variants.mutants[:rows])
    if rows < 3 and name not in FROM_ONE_ROW:
        with pytest.raises(FitError, match=f"hard: {rows} training rows, at least 3 are needed"):
            lesson.fit(name, few)
    else:
        assert_usable(lesson.fit(name, few))


@pytest.mark.parametrize("name", ["additive", "site_gp", "embedding_gp", "augmented_ridge", "stack"])
def test_unknown_standard_deviations_of_measurements_change_nothing(name, lesson):
    known = dataclasses.replace(lesson.train, std=np.full(len(lesson.train), 0.1))
    for column in ("mean", "std", "noisy_std"):
        np.testing.assert_array_equal(getattr(lesson.fit(name, known), column), getattr(lesson.before(name), column))


def test_a_variant_given_twice_is_refused_by_name():
    with pytest.raises(ValueError, match="given twice: K2A"):
        made("MKTAYIAK", ["K2A", "T3A", "K2A"])


@cheap
def test_mutations_that_never_part_are_learnt(name, landscape, embedder):
    # K2A and T3A always together: their indicators are one column twice, and the matrix has no full rank
    pair = made(landscape("x", rows=5).wild_type, ["WT", "K2A:T3A", "K2A:T3A:Y5D", "K2A:T3A:Y5E", "K2A:T3A:A7D"])
    asked = Variants("hard", pair.wild_type, ("K2A", "T3A", "K2A:T3A", "Y5D"))
    found = quick(name).fit([pair], embedder, 0).predict(asked)
    assert_usable(found)
    if name in ("additive", "one_hot_ridge"):  # no measurement tells one from the other: half each
        assert found.mean[0] == pytest.approx(found.mean[1], rel=1e-6)


@every
def test_a_variant_with_twenty_mutations_more_than_the_rest_is_learnt_and_asked(name, embedder):
    wild_type = "MKTAYIAKQRQISFVKSHFSRQLEERLGLIEVQ"
    far = ":".join(f"{old}{site}{'A' if old != 'A' else 'G'}" for site, old in enumerate(wild_type[:21], 1))
    mutants = singles(wild_type, 14)
    train = made(wild_type, [*mutants[:10], far])
    further = far.replace("M1A", "M1C")
    asked = Variants("hard", wild_type, (*mutants[10:], further))
    found = quick(name).fit([train], embedder, 0).predict(asked)
    assert_usable(found)


@supervised
def test_a_measurement_a_million_standard_deviations_away_leaves_predictions_within_the_data(name, lesson):
    y = lesson.train.fitness.copy()
    y[3] = y.mean() + 1e6 * y.std()
    found = lesson.fit(name, with_fitness(lesson.train, y))
    assert_usable(found)
    assert np.abs(found.mean - y.mean()).max() <= 1.5 * np.ptp(y)


# Lengths


@every
def test_a_protein_of_one_residue_is_learnt(name, embedder):
    data = made("M", singles("M", 19))
    mutants = data.variants.mutants
    found = quick(name).fit([data.select(mutants[:12])], embedder, 0).predict(data.variants.select(mutants[12:]))
    assert_usable(found)


@pytest.mark.parametrize("name", [name for name in METHODS if name not in ("recalibrated", "stack")])
def test_a_protein_of_more_than_two_thousand_residues_is_learnt_or_refused_and_never_cut(name, embedder):
    wild_type = long_protein(2100)
    data = made(wild_type, [one for one in singles(wild_type, 12) if int(one[1:-1]) > 1022])
    assert len(data) >= 4
    if name in NO_LANGUAGE_MODEL:
        found = quick(name).fit([data], embedder, 0).predict(data.variants)
        assert_usable(found)
        assert np.ptp(found.mean) > 0  # the residues beyond the language model's end are seen
    else:
        with pytest.raises(LanguageModelError, match=r"2100 residues exceeds the 1022 .* none is cut: .*region"):
            quick(name).fit([data], embedder, 0).predict(data.variants)


# Scores


@pytest.mark.parametrize("value", [0.0, 0.1, 1e12])
def test_a_score_that_is_constant_over_the_training_rows_has_the_unit_scale(value, lesson, embedder):
    variants = dataclasses.replace(lesson.train.variants, covariates={"score": np.full(len(lesson.train), value)})
    score = zero_shot_score("score", variants, embedder)
    assert (score.mean, score.scale) == (value, 1.0)
