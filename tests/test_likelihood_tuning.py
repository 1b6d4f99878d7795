"""Tuning starts at the zero-shot score, learns from the rows that teach alone, and goes on where it was interrupted."""

import copy
import dataclasses
import os
import signal
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr

from multimep import interruption, likelihood, likelihood_tuning, training_run
from multimep.dataset import Dataset
from multimep.embedder import Embedder
from multimep.interruption import Interrupted, watch
from multimep.likelihood_tuning import LikelihoodTuning, Tuned, adapted, tune
from multimep.methods.likelihood_tune import LikelihoodTune
from multimep.methods.likelihood_tune_together import LikelihoodTuneTogether
from multimep.methods.method import FitError, State
from multimep.methods.zero_shot import ZeroShot
from multimep.training import FineTuningError

QUICK = LikelihoodTuning(steps=10)
STOPPING = LikelihoodTuning(steps=400, learning_rate=3e-2, validation_fraction=0.4, patience=2)


@pytest.fixture
def data(landscape: Callable[..., Dataset]) -> Dataset:
    return standardised(landscape("first", rows=40))


@pytest.fixture
def both(landscape: Callable[..., Dataset]) -> list[Dataset]:
    second = landscape("second", rows=24, seed=1, wild_type="GSHMLEDPVNWCFTKRAQ")
    return [standardised(landscape("first", rows=30)), standardised(second)]


def standardised(dataset: Dataset) -> Dataset:
    return dataclasses.replace(dataset, fitness=(dataset.fitness - dataset.fitness.mean()) / dataset.fitness.std())


def assert_same_bits(found: list[Tuned], expected: list[Tuned]) -> None:
    for one, other in zip(found, expected, strict=True):
        assert np.array_equal(one.tables, other.tables)
        assert np.array_equal(one.told, other.told)


# where it starts


@pytest.mark.parametrize("score", ["wild_type", "masked"])
def test_without_a_step_the_score_is_that_of_zero_shot(score, data, tiny, embedder):
    (tuned,) = tune(tiny, [data], LikelihoodTuning(steps=0, score=score), 0)
    rows = data.select(sorted(data.variants.mutants)).variants
    expected = ZeroShot(marginals=score).fit([data], embedder, 0)
    np.testing.assert_allclose(tuned.told, expected.predict(rows).mean, rtol=2e-6, atol=5e-6)  # two forward passes
    method = LikelihoodTune(steps=0, score=score).fit([data], embedder, 0)
    asked = method.predict(data.variants)
    assert spearmanr(asked.mean, expected.predict(data.variants).mean).statistic == pytest.approx(1)


@pytest.mark.parametrize("score", ["wild_type", "masked"])
@pytest.mark.parametrize("adapt", ["lora", "last_layers", "full"])
def test_whatever_learns_the_first_loss_is_that_of_the_frozen_score(score, adapt, data, tiny, monkeypatch):
    first = []
    plain = likelihood_tuning._loss

    def loss(trunk: Any, lesson: Any, rows: Any, settings: Any) -> torch.Tensor:
        positions, table = likelihood_tuning._table(trunk, lesson, rows, score)
        first.append((lesson.frozen[positions] - table[positions]).abs().max().item())
        return plain(trunk, lesson, rows, settings)

    monkeypatch.setattr(likelihood_tuning, "_loss", loss)
    tune(tiny, [data], LikelihoodTuning(steps=10, score=score, adapt=adapt), 0)
    assert first[0] < 1e-6
    assert first[-1] > 1e-4


def test_the_divergence_holds_the_tuned_model_near_the_frozen_one(data, tiny):
    (frozen,) = tune(tiny, [data], dataclasses.replace(QUICK, steps=0), 0)
    strayed = []
    for kl in (0.0, 1.0, 1000.0):
        (tuned,) = tune(tiny, [data], LikelihoodTuning(steps=60, learning_rate=1e-2, kl=kl), 0)
        tables = torch.tensor(frozen.tables[0]), torch.tensor(tuned.tables[0])
        strayed.append(likelihood.divergence(*tables).item())
    assert strayed[0] > strayed[1] > strayed[2] >= 0


# what learns


def test_the_given_language_model_stays_as_it_is(data, tiny):
    before = {name: value.clone() for name, value in tiny.model.state_dict().items()}
    for adapt in ("lora", "full"):
        tune(tiny, [data], dataclasses.replace(QUICK, adapt=adapt), 0)
    after = tiny.model.state_dict()
    assert after.keys() == before.keys()
    assert all(torch.equal(value, before[name]) for name, value in after.items())
    assert all(value.grad is None for value in tiny.model.parameters())


def test_the_last_layers_alone_learn_where_asked_and_the_head_with_them(tiny):
    model = copy.deepcopy(tiny.model).requires_grad_(False)
    found = adapted(model, LikelihoodTuning(adapt="last_layers", layers=1), np.random.default_rng(0))
    assert {name.split(".")[0] for name in found} == {"layers", "emb_layer_norm_after", "lm_head"}
    assert not [name for name in found if name.startswith("layers.0.")]
    assert all(value.requires_grad for value in found.values())
    assert not model.embed_tokens.weight.requires_grad


@pytest.mark.parametrize("loss", ["bradley_terry", "list_mle", "mse"])
@pytest.mark.parametrize("score", ["wild_type", "masked"])
def test_many_steps_rank_the_rows_that_teach(loss, score, data, tiny):
    few = data.select(data.variants.mutants[:16])
    settings = LikelihoodTuning(steps=80, learning_rate=2e-2, loss=loss, kl=0.0, score=score)
    (tuned,) = tune(tiny, [few], settings, 0)
    (frozen,) = tune(tiny, [few], dataclasses.replace(settings, steps=0), 0)
    assert spearmanr(tuned.told, tuned.targets).statistic > 0.7
    assert spearmanr(tuned.told, tuned.targets).statistic > spearmanr(frozen.told, frozen.targets).statistic


def test_a_constant_fitness_teaches_the_others_nothing(both, tiny):
    constant = dataclasses.replace(both[1], fitness=np.zeros(len(both[1])))
    together = tune(tiny, [both[0], constant], QUICK, 0)
    assert np.array_equal(together[0].tables, tune(tiny, both[:1], QUICK, 0)[0].tables)


# rows that are kept


def test_no_row_that_is_kept_is_in_a_loss(data, tiny, monkeypatch):
    seen: list[tuple[set[int], set[int]]] = []
    plain = likelihood_tuning._loss

    def loss(trunk: Any, lesson: Any, rows: Any, settings: Any) -> torch.Tensor:
        seen.append((set(rows.tolist()), set(lesson.kept.tolist())))
        return plain(trunk, lesson, rows, settings)

    monkeypatch.setattr(likelihood_tuning, "_loss", loss)
    for settings in (dataclasses.replace(QUICK, validation_fraction=0.25), dataclasses.replace(QUICK, members=4)):
        seen.clear()
        tune(tiny, [data], settings, 0)
        assert all(len(kept) == 10 and not taught & kept for taught, kept in seen)


def test_the_fitness_of_a_kept_row_changes_no_weight_of_the_member_that_keeps_it(data, tiny):
    few = data.select(sorted(data.variants.mutants[:18]))  # too few to stop early
    settings = dataclasses.replace(QUICK, members=3)
    before = tune(tiny, [few], settings, 0)[0]
    pairs = zip(before.told, told_by(before, few), strict=True)
    author = [int(np.argmin(np.abs(told - row))) for told, row in pairs]
    row = 5
    fitness = few.fitness.copy()
    fitness[row] += 3.0
    after = tune(tiny, [dataclasses.replace(few, fitness=fitness)], settings, 0)[0]
    same = [bool(np.array_equal(*pair)) for pair in zip(before.tables, after.tables, strict=True)]
    assert same == [member == author[row] for member in range(3)]


def told_by(tuned: Tuned, data: Dataset) -> np.ndarray:
    exchanges = likelihood.exchanges_of(data.variants)
    return np.stack([likelihood.scores(torch.from_numpy(table), exchanges).numpy() for table in tuned.tables], axis=1)


def test_early_stopping_takes_back_the_weights_that_ranked_the_kept_rows_best(data, tiny):
    noise = dataclasses.replace(data, fitness=np.random.default_rng(1).normal(size=len(data)))
    (stopped,) = tune(tiny, [noise], STOPPING, 0)
    (full,) = tune(tiny, [noise], dataclasses.replace(STOPPING, patience=10**6, validation_fraction=0.0), 0)
    (frozen,) = tune(tiny, [noise], dataclasses.replace(STOPPING, steps=0), 0)
    assert np.abs(stopped.tables - frozen.tables).mean() < np.abs(full.tables - frozen.tables).mean()


# several datasets


def test_the_order_of_datasets_and_rows_does_not_matter(both, tiny):
    first, second = both
    shuffled = first.select(np.random.default_rng(3).permutation(first.variants.mutants).tolist())
    assert_same_bits(tune(tiny, [second, shuffled], QUICK, 0), tune(tiny, both, QUICK, 0))


def test_one_dataset_through_together_equals_likelihood_tune(data, embedder):
    alone = LikelihoodTune(steps=10).fit([data], embedder, 0).predict(data.variants)
    together = LikelihoodTuneTogether(steps=10).fit([data], embedder, 0).predict(data.variants)
    for column in ("mean", "std", "noisy_std"):
        assert np.array_equal(getattr(alone, column), getattr(together, column))


def test_datasets_that_learn_together_change_each_other_and_keep_their_own_line(both, embedder):
    first, second = both
    other = dataclasses.replace(second, fitness=1e4 * second.fitness + 1e5)
    method = LikelihoodTuneTogether(steps=10)
    together, rescaled = method.fit(both, embedder, 0), method.fit([first, other], embedder, 0)
    alone = LikelihoodTune(steps=10).fit([first], embedder, 0)
    assert not np.allclose(together.predict(first.variants).mean, alone.predict(first.variants).mean)
    np.testing.assert_allclose(rescaled.predict(first.variants).mean, together.predict(first.variants).mean, rtol=1e-6)
    expected = 1e4 * together.predict(second.variants).mean + 1e5
    np.testing.assert_allclose(rescaled.predict(second.variants).mean, expected, rtol=1e-6)


# fitness and its standard deviation


def test_a_lower_fitness_that_is_better_is_the_same_task_turned_round(data, embedder):
    turned = dataclasses.replace(data, fitness=-data.fitness, higher_is_better=False)
    expected = LikelihoodTune(steps=10).fit([data], embedder, 0).predict(data.variants)
    found = LikelihoodTune(steps=10).fit([turned], embedder, 0).predict(data.variants)
    np.testing.assert_array_equal(found.mean, -expected.mean)
    np.testing.assert_array_equal(found.noisy_std, expected.noisy_std)


def test_members_disagree_and_their_held_out_scores_tell_a_larger_noise_than_rows_that_taught(data, embedder):
    noise = dataclasses.replace(data, fitness=np.random.default_rng(2).normal(size=len(data)))
    settings = {"steps": 80, "learning_rate": 2e-2, "kl": 0.0, "patience": 1000}
    one, five = (LikelihoodTune(members=k, **settings).fit([noise], embedder, 0) for k in (1, 5))
    assert five.lines["first"].affine.noise > one.lines["first"].affine.noise
    tables = five.lines["first"].tables
    assert len(tables) == 5
    assert np.ptp(tables, axis=0).max() > 0
    found = five.predict(noise.variants)
    assert (found.std > 0).all()
    assert (found.noisy_std > found.std).all()


def test_a_restored_predictor_needs_no_language_model(both, embedder):
    method = LikelihoodTuneTogether(steps=10, members=2)
    predictor = method.fit(both, embedder, 0)
    state = predictor.state()
    restored = method.restore(State(dict(state.arrays), dict(state.facts)), Embedder(lambda: pytest.fail("was loaded")))
    for part in both:
        assert np.array_equal(restored.predict(part.variants).mean, predictor.predict(part.variants).mean)
        assert np.array_equal(restored.predict(part.variants).std, predictor.predict(part.variants).std)


# the same numbers


def test_the_same_seed_gives_the_same_numbers_and_another_seed_others(data, tiny):
    with torch.random.fork_rng():
        torch.manual_seed(99)
        before = torch.random.get_rng_state()
        assert_same_bits(tune(tiny, [data], QUICK, 0), tune(tiny, [data], QUICK, 0))
        assert torch.equal(torch.random.get_rng_state(), before)
    assert not np.allclose(tune(tiny, [data], QUICK, 1)[0].tables, tune(tiny, [data], QUICK, 0)[0].tables, atol=1e-7)


class Steps:
    """Counts the steps of tunings, and sends this process a signal in a chosen one."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.done, self.at = 0, 0
        plain = likelihood_tuning._loss

        def loss(*arguments: Any) -> torch.Tensor:
            self.done += 1
            if self.done == self.at:
                os.kill(os.getpid(), signal.SIGTERM)
            return plain(*arguments)

        monkeypatch.setattr(likelihood_tuning, "_loss", loss)


@pytest.mark.parametrize(
    "settings",
    [
        LikelihoodTuning(steps=20), LikelihoodTuning(steps=20, adapt="full", loss="mse", precision="bf16"),
        LikelihoodTuning(steps=20, members=3, loss="list_mle", list_size=3, batch_size=9), STOPPING,
    ],
    ids=["lora", "full", "members", "stopping"],
)  # fmt: skip
def test_a_tuning_interrupted_after_every_few_steps_ends_at_the_same_bits(settings, both, tiny, tmp_path, monkeypatch):
    steps = Steps(monkeypatch)
    expected = tune(tiny, both, settings, 0)
    total, made, found = steps.done, 0, None
    while found is None:
        steps.done, steps.at = 0, 7
        try:
            with watch(tmp_path):
                found = tune(tiny, both, settings, 0)
        except Interrupted:
            assert list(tmp_path.iterdir())
        made += steps.done
    assert made == total > 14
    assert_same_bits(found, expected)
    assert list(tmp_path.iterdir()) == []


def test_early_stopping_stopped_before_the_last_round_in_these_tests(both, tiny, monkeypatch):
    steps = Steps(monkeypatch)
    tune(tiny, both, STOPPING, 0)
    assert steps.done < 2 * STOPPING.steps


def test_a_tuning_killed_without_warning_continues_from_the_last_state_kept(data, tiny, tmp_path, monkeypatch):
    expected = tune(tiny, [data], QUICK, 0)
    monkeypatch.setattr(interruption, "EVERY_SECONDS", 0.0)
    monkeypatch.setattr(training_run, "WORTH", 0)
    steps = Steps(monkeypatch)
    monkeypatch.setattr(os, "kill", lambda *_: 1 / 0)
    steps.at = 7
    with pytest.raises(ZeroDivisionError), watch(tmp_path):
        tune(tiny, [data], QUICK, 0)
    steps.done, steps.at = 0, 0
    with watch(tmp_path):
        found = tune(tiny, [data], QUICK, 0)
    assert steps.done == 10 - 6
    assert_same_bits(found, expected)


def test_a_checkpoint_of_another_tuning_is_left_alone(data, tiny, tmp_path, monkeypatch):
    steps = Steps(monkeypatch)
    steps.at = 5
    with pytest.raises(Interrupted), watch(tmp_path):
        tune(tiny, [data], QUICK, 0)
    (kept,) = tmp_path.glob("tuning-*")
    for settings, seed in ((dataclasses.replace(QUICK, kl=0.2), 0), (QUICK, 1)):
        steps.done, steps.at = 0, 0
        with watch(tmp_path):
            tune(tiny, [data], settings, seed)
        assert steps.done == 10
        assert list(tmp_path.glob("tuning-*")) == [kept]


# what is refused


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("score", "pseudo"), ("loss", "hinge"), ("list_size", 1), ("adapt", "bias"), ("places", "ffn"), ("rank", 0),
        ("alpha", -1.0), ("layers", 0), ("kl", -0.1), ("steps", -1), ("learning_rate", 0.0),
        ("line_learning_rate", 0.0),
        ("weight_decay", -1.0), ("batch_size", 1), ("warm_up", 1.0), ("clip", 0.0), ("validation_fraction", 1.0),
        ("patience", 0), ("round", 0), ("members", 0), ("precision", "fp16"),
    ],
)  # fmt: skip
def test_a_setting_with_which_nothing_can_be_learnt_is_refused_by_name(name: str, value: object) -> None:
    for settings in (LikelihoodTuning, LikelihoodTune, LikelihoodTuneTogether):
        with pytest.raises(FineTuningError, match=name):
            settings(**{name: value})
    with pytest.raises(FineTuningError, match="scope"):
        LikelihoodTuneTogether(scope="family")  # type: ignore[arg-type]


def test_methods_refuse_what_they_cannot_learn_from(data, both, embedder):
    with pytest.raises(FitError, match="there is no dataset"):
        LikelihoodTuneTogether().fit([], embedder, 0)
    with pytest.raises(FineTuningError, match="first, first"):
        LikelihoodTuneTogether().fit([data, data], embedder, 0)
    predictor = LikelihoodTune(steps=0).fit([data], embedder, 0)
    with pytest.raises(FitError, match=r"second is none of the datasets of this model: first"):
        predictor.predict(both[1].variants)
