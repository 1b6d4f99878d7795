"""The contract: every entry of METHODS obeys every law here."""

import dataclasses
import inspect
import json
import re
import subprocess
import sys
import typing
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy.stats import spearmanr

from multimep.dataset import Dataset, Variants
from multimep.methods import METHODS, FitError, Method, Predictor
from multimep.methods import blocks as method_blocks
from multimep.methods.predictor_file import Header, save
from multimep.predictions import Predictions

QUICK: dict[str, dict[str, Any]] = {
    "transmep": {"alpha_steps": 6, "gamma_steps": 6, "repeats": 20},
    "fine_tune": {"epochs": 2},
    "fine_tune_together": {"epochs": 2},
    "likelihood_tune": {"steps": 10, "members": 2},
    "likelihood_tune_together": {"steps": 10},
}
# Two epochs are enough for the laws; a random language model needs more to learn a landscape.
THOROUGH = QUICK | {name: {"epochs": 15} for name in ("fine_tune", "fine_tune_together")}
THOROUGH |= {name: {"steps": 60, "learning_rate": 1e-2} for name in ("likelihood_tune", "likelihood_tune_together")}

UNSUPERVISED = {"zero_shot"}
FROM_ONE_ROW = {"fine_tune", "fine_tune_together", "zero_shot"}

every = pytest.mark.parametrize("name", METHODS)
supervised = pytest.mark.parametrize("name", [name for name in METHODS if name not in UNSUPERVISED])
unsupervised = pytest.mark.parametrize("name", sorted(UNSUPERVISED))
joint = pytest.mark.parametrize("name", [name for name in METHODS if METHODS[name].joint])
single = pytest.mark.parametrize("name", [name for name in METHODS if not METHODS[name].joint])
COLUMNS = ("mean", "std", "noisy_std")


def quick(name: str) -> Method:
    return METHODS[name](**QUICK.get(name, {}))


def assert_close(one: Predictions, other: Predictions, rtol: float = 1e-5) -> None:
    """Equal within rtol of the spread of the means: a mean that happens to be near zero has no relative error."""
    assert one.mutants == other.mutants
    size = float(np.std(other.mean)) + float(np.max(np.abs(other.mean)))
    for column in COLUMNS:
        np.testing.assert_allclose(
            getattr(one, column), getattr(other, column), rtol=rtol, atol=rtol * size, err_msg=column
        )


def permuted(values: tuple[str, ...], seed: int = 0) -> list[str]:
    return [values[row] for row in np.random.default_rng(seed).permutation(len(values))]


@dataclasses.dataclass(frozen=True)
class Lesson:
    """What every law works on: 48 rows that teach, 24 that are asked, and what each method then says."""

    train: Dataset
    asked: Dataset
    predictor: Callable[[str], Predictor]

    def predictions(self, name: str) -> Predictions:
        return self.predictor(name).predict(self.asked.variants)


@pytest.fixture(scope="module")
def lesson(landscape, embedder) -> Lesson:
    whole = landscape("first", rows=72)
    train, asked = whole.select(whole.variants.mutants[:48]), whole.select(whole.variants.mutants[48:])
    fitted: dict[str, Predictor] = {}

    def predictor(name: str) -> Predictor:
        if name not in fitted:
            fitted[name] = quick(name).fit([train], embedder, 0)
        return fitted[name]

    return Lesson(train, asked, predictor)


# The two calls


@every
def test_every_asked_variant_is_answered_in_order(name, lesson):
    found = lesson.predictions(name)
    assert found.mutants == lesson.asked.variants.mutants
    assert np.isfinite(found.mean).all()
    assert found.mean.dtype == np.float64


@every
def test_standard_deviations_are_positive_or_all_nan(name, lesson):
    found = lesson.predictions(name)
    for std in (found.std, found.noisy_std):
        assert np.isnan(std).all() or (np.isfinite(std) & (std > 0)).all()
    if not np.isnan(found.std).all():
        assert (found.noisy_std > found.std).all()


@every
def test_a_predictor_has_no_way_to_see_a_fitness(name, lesson):
    predictor = lesson.predictor(name)
    assert list(inspect.signature(predictor.predict).parameters) == ["variants"]
    assert typing.get_type_hints(type(predictor).predict) == {"variants": Variants, "return": Predictions}
    assert {field.name for field in dataclasses.fields(Variants)} == {
        "dataset",
        "wild_type",
        "mutants",
        "covariates",
        "structure",
    }


@every
def test_method_and_predictor_cannot_be_changed(name, lesson):
    for value in (quick(name), lesson.predictor(name)):
        assert dataclasses.is_dataclass(value)
        assert type(value).__dataclass_params__.frozen


# Laws


@every
def test_permuting_the_asked_rows_permutes_the_predictions(name, lesson):
    order = permuted(lesson.asked.variants.mutants)
    found = lesson.predictor(name).predict(lesson.asked.variants.select(order))
    assert_close(found, lesson.predictions(name).select(order))


@every
def test_permuting_the_training_rows_changes_nothing(name, lesson, embedder):
    train = lesson.train.select(permuted(lesson.train.variants.mutants))
    found = quick(name).fit([train], embedder, 0).predict(lesson.asked.variants)
    assert_close(found, lesson.predictions(name))


@every
def test_the_same_seed_gives_the_same_numbers(name, lesson, embedder):
    found = quick(name).fit([lesson.train], embedder, 0).predict(lesson.asked.variants)
    for column in COLUMNS:
        np.testing.assert_array_equal(getattr(found, column), getattr(lesson.predictions(name), column))


@every
def test_asking_one_by_one_or_in_batches_changes_nothing(name, lesson):
    mutants = lesson.asked.variants.mutants
    for size in (1, 7):
        for start in range(0, len(mutants), size):
            batch = mutants[start : start + size]
            found = lesson.predictor(name).predict(lesson.asked.variants.select(batch))
            assert_close(found, lesson.predictions(name).select(batch))


@every
def test_the_size_of_internal_blocks_changes_nothing(name, lesson, monkeypatch):
    expected = lesson.predictions(name)
    monkeypatch.setattr(method_blocks, "BLOCK", 5)
    assert_close(lesson.predictions(name), expected)


@every
@pytest.mark.parametrize(("slope", "intercept"), [(2.5, -7.0), (1e-3, 0.0), (1e3, 1e4)])
def test_a_fitness_in_another_unit_maps_mean_and_standard_deviations(name, slope, intercept, lesson, embedder):
    train = dataclasses.replace(lesson.train, fitness=slope * lesson.train.fitness + intercept)
    found, before = quick(name).fit([train], embedder, 0).predict(lesson.asked.variants), lesson.predictions(name)
    if name in UNSUPERVISED:
        slope, intercept = 1.0, 0.0
    # y -> a y + b maps mean -> a mean + b and std -> a std
    expected = Predictions(
        before.mutants, slope * before.mean + intercept, slope * before.std, slope * before.noisy_std
    )
    scale = slope * float(np.std(before.mean))
    np.testing.assert_allclose(found.mean, expected.mean, rtol=1e-5, atol=1e-4 * scale)
    np.testing.assert_allclose(found.std, expected.std, rtol=1e-4)
    np.testing.assert_allclose(found.noisy_std, expected.noisy_std, rtol=1e-4)


@supervised  # a random language model knows nothing of a landscape
def test_an_additive_landscape_is_ranked(name, landscape, embedder):
    whole = landscape("first", rows=180)
    train, asked = whole.select(whole.variants.mutants[:140]), whole.select(whole.variants.mutants[140:])
    method = METHODS[name](**THOROUGH.get(name, {}))
    found = method.fit([train], embedder, 0).predict(asked.variants)
    assert spearmanr(found.mean, asked.fitness).statistic > 0.3


@supervised
def test_a_fitness_that_is_constant_is_predicted_as_it_is(name, lesson, embedder):
    train = dataclasses.replace(lesson.train, fitness=np.full(len(lesson.train), 3.0))
    found = quick(name).fit([train], embedder, 0).predict(lesson.asked.variants)
    np.testing.assert_allclose(found.mean, 3.0, rtol=1e-6)


@unsupervised
def test_only_the_direction_matters_to_an_unsupervised_method(name, lesson, embedder):
    lower = dataclasses.replace(lesson.train, higher_is_better=False)
    found = quick(name).fit([lower], embedder, 0).predict(lesson.asked.variants)
    np.testing.assert_array_equal(found.mean, -lesson.predictions(name).mean)
    nothing = quick(name).fit([lesson.train.select([])], embedder, 0).predict(lesson.asked.variants)
    np.testing.assert_array_equal(nothing.mean, lesson.predictions(name).mean)


# Several datasets, few rows


@joint
def test_a_joint_method_learns_several_datasets_at_once(name, lesson, landscape, embedder):
    second = landscape("second", rows=30, seed=1, wild_type="GSHMLEDPVNWCFTKRAQ")
    predictor = quick(name).fit([lesson.train, second], embedder, 0)
    for dataset in (lesson.asked, second):
        assert predictor.predict(dataset.variants).mutants == dataset.variants.mutants
    swapped = quick(name).fit([second, lesson.train], embedder, 0)
    assert_close(swapped.predict(second.variants), predictor.predict(second.variants))


@single
def test_a_method_of_one_protein_refuses_two_and_none(name, lesson, landscape, embedder):
    with pytest.raises(FitError, match="fits one dataset, 2 were given: first, second"):
        quick(name).fit([lesson.train, landscape("second", rows=10)], embedder, 0)
    with pytest.raises(FitError, match="fits one dataset, 0 were given"):
        quick(name).fit([], embedder, 0)


@supervised
def test_too_few_rows_are_refused_with_the_number_that_is_needed(name, lesson, embedder):
    fewest = 1 if name in FROM_ONE_ROW else 3
    with pytest.raises(FitError, match="first"):
        quick(name).fit([lesson.train.select(lesson.train.variants.mutants[: fewest - 1])], embedder, 0)
    few = lesson.train.select(lesson.train.variants.mutants[:fewest])
    assert np.isfinite(quick(name).fit([few], embedder, 0).predict(lesson.asked.variants).mean).all()


# The file

IN_ANOTHER_PROCESS = """
import json, sys
from pathlib import Path
from multimep import language_model
from multimep.dataset import Variants
from multimep.embedder import Embedder
from multimep.methods import METHODS
from multimep.methods.predictor_file import load, read_header

folder, checkpoint, asked = Path(sys.argv[1]), sys.argv[2], json.loads(sys.argv[3])
embedder = Embedder(lambda: language_model.load(checkpoint))
variants = Variants(asked["dataset"], asked["wild_type"], tuple(asked["mutants"]))
found = {}
for path in sorted(folder.glob("*.safetensors")):
    header = read_header(path)
    predictor = load(path, METHODS[header.method](**header.settings), embedder)
    one = predictor.predict(variants)
    found[path.stem] = {name: getattr(one, name).tolist() for name in ("mean", "std", "noisy_std")}
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def from_another_process(lesson, checkpoint, tmp_path_factory) -> dict[str, dict[str, list[float]]]:
    """What every saved predictor says in one new process."""
    folder = tmp_path_factory.mktemp("predictors")
    for name in METHODS:
        header = Header(name, QUICK.get(name, {}), "tiny", "", {"first": lesson.train.wild_type}, "0")
        save(lesson.predictor(name), header, folder / f"{name}.safetensors")
    asked = json.dumps(dataclasses.asdict(lesson.asked.variants))
    command = [sys.executable, "-c", IN_ANOTHER_PROCESS, str(folder), str(checkpoint), asked]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@every
def test_a_saved_predictor_gives_the_same_numbers_in_a_new_process(name, lesson, from_another_process):
    here = lesson.predictions(name)
    for column in COLUMNS:
        np.testing.assert_allclose(
            from_another_process[name][column], getattr(here, column), rtol=1e-12, err_msg=column
        )


@every
def test_the_state_is_plain_arrays_and_json(name, lesson):
    state = lesson.predictor(name).state()
    assert all(isinstance(array, np.ndarray) and array.dtype.kind in "fiu" for array in state.arrays.values())
    assert json.loads(json.dumps(dict(state.facts))) == dict(state.facts)


# Settings


def described(kind: type) -> set[str]:
    """The names under `Attributes:` in the docstrings of a class and its bases."""
    found: set[str] = set()
    for one in kind.__mro__:
        _, _, entries = (one.__doc__ or "").partition("Attributes:")
        for names in re.findall(r"^ +((?:\w+, )*\w+): ", entries, flags=re.MULTILINE):
            found.update(names.split(", "))
    return found


@every
def test_every_setting_has_a_default_and_a_description(name):
    for field in dataclasses.fields(METHODS[name]):
        assert field.default is not dataclasses.MISSING or field.default_factory is not dataclasses.MISSING, field.name
        assert field.name in described(METHODS[name]), f"{METHODS[name].__name__}.{field.name} is not under Attributes:"


@every
def test_every_method_has_a_sentence_and_says_whether_it_is_joint(name):
    assert (METHODS[name].__doc__ or "").splitlines()[0].endswith((".", ";", ":"))
    assert isinstance(METHODS[name].joint, bool)
    assert "joint" not in {field.name for field in dataclasses.fields(METHODS[name])}
