"""Models that are trained as one batch end where each would end alone; interrupted, they continue to the same bits."""

import copy
import dataclasses
import os
import signal
from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from multimep import stacked_training
from multimep.cross_prediction import cross_predict
from multimep.dataset import Dataset
from multimep.fine_tuning import FineTuned, fine_tune, learning, pool
from multimep.interruption import Interrupted, watch
from multimep.language_model import LanguageModel
from multimep.methods.fine_tune import FineTune
from multimep.methods.method import FitError
from multimep.model_stack import Stack, stack
from multimep.prefix import Prefix
from multimep.schemes import SCHEMES
from multimep.splits import Split
from multimep.stacked_run import StackedRun, StackedStopping
from multimep.stacked_training import fine_tune_each
from multimep.training import FineTuningError, Training
from multimep.training_run import EarlyStopping, TrainingRun

QUICK = Training(epochs=2)
LORA = Training(epochs=2, adapt="lora", learning_rate=1e-2)
ROWS = (24, 24, 23)  # of one number of steps; the third has a batch that is filled up


@pytest.fixture
def trains(landscape: Callable[..., Dataset]) -> list[Dataset]:
    data, random = landscape("first", rows=60), np.random.default_rng(0)
    return [data.select(sorted(random.permutation(data.variants.mutants)[:rows].tolist())) for rows in ROWS]


def each(tiny: LanguageModel, trains: list[Dataset], settings: Training, at_once: int = 8) -> list[FineTuned]:
    return [model() for model in fine_tune_each(tiny, trains, settings, at_once, 0)]


def numbers(tuned: FineTuned) -> dict[str, torch.Tensor]:
    (head,) = tuned.heads.values()
    return {**tuned.trunk.model.state_dict(), "weight": head.weight, "bias": head.bias}


def differing(found: FineTuned, expected: FineTuned) -> list[str]:
    mine, theirs = numbers(found), numbers(expected)
    assert mine.keys() == theirs.keys()
    return [name for name, value in mine.items() if not torch.equal(value, theirs[name])]


def copies(tiny: LanguageModel, settings: Training) -> tuple[Stack, list[LanguageModel]]:
    """A stack of three copies that have learnt different things, and each of them as a model of its own."""
    models = [dataclasses.replace(tiny, model=copy.deepcopy(tiny.model).requires_grad_(False)) for _ in range(4)]
    single, *others = [learning(one.model, settings, 0) for one in models]
    first = settings.first(tiny.layers)
    prefix = Prefix(tiny, first, 1.0) if first or settings.adapt == "lora" else None
    found, random = stack(models[0], single, 3, first, prefix), torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, value in found.learned.items():
            value.add_(0.1 * torch.randn(value.shape, generator=random))
            for own, parameters in zip(value, others, strict=True):
                parameters[name].copy_(own)
    return found, models[1:]


# the forward

WAYS = {
    "full": QUICK,
    "last layer": dataclasses.replace(QUICK, layers=1),
    "lora qv": dataclasses.replace(LORA, places="qv"),
    "lora all": dataclasses.replace(LORA, places="all"),
    "lora last layer": dataclasses.replace(LORA, layers=1),
    "checkpointing": dataclasses.replace(QUICK, gradient_checkpointing=True),
}


@pytest.mark.parametrize("way", WAYS)
def test_pooled_states_and_gradients_of_a_stack_are_those_of_each_of_its_models(way, tiny, trains):
    settings = WAYS[way]
    found, models = copies(tiny, settings)
    tokens = torch.stack([tiny.tokens(part.variants.sequences[:5]) for part in trains])
    tokens[0, 2, 3] = 32  # a mask
    pooled = found.pooled(tokens, settings.gradient_checkpointing)
    pooled.pow(2).sum().backward()
    for number, one in enumerate(models):
        alone = pool(one, tokens[number], found.prefix, settings.gradient_checkpointing)
        alone.pow(2).sum().backward()
        torch.testing.assert_close(pooled[number], alone, rtol=1e-4, atol=1e-5)
        learnt = {name: value for name, value in one.model.named_parameters() if value.requires_grad}
        assert len(learnt) == len(found.learned)
        gradients = [value.grad[number] for value in found.learned.values()]
        for gradient, (name, value) in zip(gradients, learnt.items(), strict=True):
            torch.testing.assert_close(gradient, value.grad, rtol=1e-3, atol=1e-4, msg=name)


# the training


@pytest.mark.parametrize(
    "settings",
    [*WAYS.values(), dataclasses.replace(QUICK, accumulate=2), dataclasses.replace(QUICK, batch_size=5)],
)
def test_models_trained_as_one_batch_predict_what_each_predicts_that_was_trained_alone(settings, tiny, trains):
    alone = [fine_tune(tiny, [part], settings, 0) for part in trains]
    found = each(tiny, trains, settings)
    for part, mine, its in zip(trains, found, alone, strict=True):
        expected = its.predict(part.variants)
        assert expected.std() > 1e-3
        np.testing.assert_allclose(mine.predict(part.variants), expected, atol=2e-3 * expected.std())
        assert numbers(mine).keys() == numbers(its).keys()
        assert not any(value.requires_grad for value in mine.trunk.model.parameters())


def test_each_model_stops_early_for_itself(tiny, trains):
    settings = Training(epochs=12, learning_rate=3e-3, head_learning_rate=3e-2, validation_fraction=0.3, patience=2)
    alone = [fine_tune(tiny, [part], settings, 0).predict(part.variants) for part in trains]
    late = [
        fine_tune(tiny, [part], dataclasses.replace(settings, patience=12), 0).predict(part.variants) for part in trains
    ]
    assert any(not np.allclose(one, other, rtol=0.05) for one, other in zip(alone, late, strict=True)), "none stopped"
    for part, found, expected in zip(trains, each(tiny, trains, settings), alone, strict=True):
        np.testing.assert_allclose(found.predict(part.variants), expected, atol=0.02 * expected.std())


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_stack_of_the_same_training_gives_the_same_model_each_time(precision, tiny, trains):
    settings = dataclasses.replace(QUICK, precision=precision)
    first, second = (each(tiny, [trains[0]] * 3, settings) for _ in range(2))
    for mine, its in zip(first, second, strict=True):
        assert differing(mine, its) == []
        np.testing.assert_allclose(
            mine.predict(trains[0].variants),
            first[0].predict(trains[0].variants),
            rtol=1e-3 if precision == "fp32" else 0.1,
        )


def test_the_model_given_stays_as_it_is(tiny, trains):
    before = copy.deepcopy(tiny.model.state_dict())
    each(tiny, trains, QUICK)
    assert all(torch.equal(value, before[name]) for name, value in tiny.model.state_dict().items())


def test_only_trainings_of_equal_steps_and_length_go_together_and_no_more_than_asked(
    tiny, trains, monkeypatch, landscape
):
    stacks: list[int] = []
    plain = stacked_training.stack

    def counted(trunk, single, models, first, prefix):  # the numbers of models, in the order of their training
        stacks.append(models)
        return plain(trunk, single, models, first, prefix)

    monkeypatch.setattr(stacked_training, "stack", counted)
    few = trains[0].select(trains[0].variants.mutants[:9])
    flat = dataclasses.replace(trains[0], fitness=np.full(24, 3.0))
    long = landscape("other", rows=24, wild_type="MKTAYIAKQRQISFVKSHMKTAYIAK")
    given = [*trains, few, flat, long, *trains]
    found = each(tiny, given, QUICK, at_once=4)
    assert stacks == [4, 2]
    for part, tuned in zip(given, found, strict=True):
        assert list(tuned.heads) == [part.name]
    np.testing.assert_array_equal(found[4].predict(flat.variants), 3.0)
    assert differing(found[3], fine_tune(tiny, [few], QUICK, 0)) == []


def test_a_model_that_is_asked_for_twice_is_trained_again_to_the_same_weights(tiny, trains):
    first, *_ = fine_tune_each(tiny, trains, QUICK, 3, 0)
    assert differing(first(), first()) == []


# interruption


def signal_after(monkeypatch: pytest.MonkeyPatch, step: int) -> list[int]:
    """Let the process signal itself after this step; the steps that were made."""
    steps, plain = [], StackedRun.make_step

    def make_step(self, share, clip):
        plain(self, share, clip)
        steps.append(self.step)
        if len(steps) == step:
            os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(StackedRun, "make_step", make_step)
    return steps


STOPPING = Training(epochs=4, learning_rate=3e-3, validation_fraction=0.3, patience=1)


@pytest.mark.parametrize("settings", [QUICK, LORA, STOPPING])
@pytest.mark.parametrize("at", [1, 3, 4])  # of two steps an epoch or three
def test_an_interrupted_stack_continues_to_the_same_bits(at, settings, tiny, trains, tmp_path, monkeypatch):
    expected = each(tiny, trains, settings)
    steps = signal_after(monkeypatch, at)
    with pytest.raises(Interrupted), watch(tmp_path):
        each(tiny, trains, settings)
    assert [path.name.split("-")[0] for path in tmp_path.glob("*.safetensors")] == ["stack"]
    with watch(tmp_path):
        found = each(tiny, trains, settings)
    assert steps == list(range(1, len(steps) + 1)), "steps were made twice or left out"
    assert [differing(mine, its) for mine, its in zip(found, expected, strict=True)] == [[], [], []]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("settings", [FineTune(epochs=2), FineTune(**vars(STOPPING))])
def test_a_stack_that_is_interrupted_between_two_folds_is_not_trained_again(
    settings, embedder, landscape, tmp_path, monkeypatch
):
    data = landscape("first", rows=60)
    method, split = dataclasses.replace(settings, models_at_once=3), folds(data)
    expected = cross_predict(method, [data], [split], embedder, 0)["first"]
    steps, asked, plain = signal_after(monkeypatch, 0), [], FineTuned.predict

    def predict(self, variants):  # the signal comes while the first fold is predicted
        asked.append(len(variants))
        if len(asked) == 1:
            os.kill(os.getpid(), signal.SIGTERM)
        return plain(self, variants)

    monkeypatch.setattr(FineTuned, "predict", predict)
    with pytest.raises(Interrupted), watch(tmp_path):
        cross_predict(method, [data], [split], embedder, 0)
    made = len(steps)
    assert made == steps[-1] > 5
    with watch(tmp_path):
        found = cross_predict(method, [data], [split], embedder, 0)["first"]
    assert len(steps) == made
    assert asked == [20, 20, 20]
    for (name, mine), (its_name, its) in zip(found, expected, strict=True):
        assert name == its_name
        np.testing.assert_array_equal(mine.mean, its.mean)
    assert list(tmp_path.iterdir()) == []


def folds(data: Dataset) -> Split:
    return SCHEMES["random"](folds=3).split(data, 0)


# the method


def test_the_method_trains_its_folds_together_as_it_would_one_after_the_other(embedder, landscape):
    data = landscape("first", rows=30)
    split = folds(data)
    alone, together = (
        cross_predict(FineTune(epochs=2, models_at_once=number), [data], [split], embedder, 0)["first"]
        for number in (1, 3)
    )
    for (_, mine), (_, its) in zip(together, alone, strict=True):
        assert mine.mutants == its.mutants
        np.testing.assert_allclose(mine.mean, its.mean, atol=2e-3 * its.mean.std())


def test_what_cannot_be_trained_is_refused_before_anything_is(embedder, trains):
    with pytest.raises(FitError, match="needs training rows"):
        FineTune(models_at_once=2).fit_each([trains[0], trains[0].select([])], embedder, 0)
    with pytest.raises(FineTuningError, match="models_at_once must be 1 or above, not 0"):
        FineTune(models_at_once=0)


# clipping and early stopping


def test_each_gradient_of_a_stack_is_clipped_by_its_own_norm():
    random = torch.Generator().manual_seed(0)
    shapes = {"matrix": (3, 4), "vector": (4,), "number": ()}
    gradients = {name: 2 * torch.rand((3, *shape), generator=random) - 1 for name, shape in shapes.items()}
    for scale in gradients.values():
        scale[0] *= 1e-3  # this model's needs no clipping

    def gave(values: dict[str, torch.Tensor], run: StackedRun | TrainingRun) -> dict[str, torch.Tensor]:
        for name, value in values.items():
            run.parameters[name].grad = value.clone()
        run.clip(0.5)
        return {name: run.parameters[name].grad for name in values}

    def leaves(values: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        return {name: torch.zeros_like(value, requires_grad=True) for name, value in values.items()}

    def run(values: dict[str, torch.Tensor], models: int) -> StackedRun | TrainingRun:
        parameters, draws = leaves(values), [np.random.default_rng(0)] * models
        learnt = list(parameters.values())
        optimiser = torch.optim.AdamW(learnt)
        if models == 1:
            return TrainingRun(parameters, optimiser, draws, EarlyStopping(learnt, 3))
        return StackedRun(parameters, optimiser, draws, StackedStopping(learnt, 3, models))

    found = gave(gradients, run(gradients, 3))
    for model in range(3):
        own = {name: value[model] for name, value in gradients.items()}
        for name, expected in gave(own, run(own, 1)).items():
            torch.testing.assert_close(found[name][model], expected)


LOSS = st.one_of(st.just(float("nan")), st.sampled_from([0.1, 0.2, 0.3, 0.5]))


@given(st.lists(st.tuples(LOSS, LOSS), min_size=1, max_size=12), st.integers(1, 3))
def test_a_stack_stops_when_all_of_its_models_have_and_each_takes_back_its_best(losses, patience):
    value = torch.zeros(2, 3)
    together = StackedStopping([value], patience, 2)
    alone = [(row, EarlyStopping([row], patience)) for row in (torch.zeros(3), torch.zeros(3))]
    stopped = [False, False]
    for epoch, pair in enumerate(losses, 1):
        value.fill_(epoch)
        together.note(np.array(pair))
        for model, (row, one) in enumerate(alone):
            if not stopped[model]:
                row.fill_(epoch)
                stopped[model] = one.should_stop(pair[model])
        assert together.over == all(stopped)
        if together.over:
            break
    together.take_back_best()
    for model, (row, one) in enumerate(alone):
        one.take_back_best()
        if one.best:
            assert torch.equal(value[model], row)
