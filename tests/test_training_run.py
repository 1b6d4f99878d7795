"""A training that is interrupted by real signals ends where it would have ended."""

import dataclasses
import json
import os
import signal
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import safetensors
import torch

from multimep import fine_tuning, interruption, language_model, seals, training_run
from multimep.dataset import Dataset
from multimep.fine_tuning import FineTuned, fine_tune
from multimep.interruption import Interrupted, watch
from multimep.training import Training
from multimep.training_run import EarlyStopping, TrainingRunError, rate

SETTINGS = Training(epochs=3)
STOPPING = Training(
    epochs=20, learning_rate=3e-3, head_learning_rate=3e-2, validation_fraction=0.3, patience=2
)  # stops long before its epochs are over


class Steps:
    """Counts the steps of trainings, and does something after the loss of chosen ones."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.done, self.then = 0, {}
        plain = fine_tuning._loss

        def loss(*arguments: object) -> torch.Tensor:
            self.done += 1
            self.then.get(self.done, lambda: None)()
            return plain(*arguments)

        monkeypatch.setattr(fine_tuning, "_loss", loss)

    def signal_at(self, step: int, number: int = signal.SIGTERM) -> None:
        self.done, self.then = 0, {step: lambda: os.kill(os.getpid(), number)}


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> Steps:
    return Steps(monkeypatch)


@pytest.fixture
def datasets(landscape: Callable[..., Dataset]) -> list[Dataset]:
    return [landscape("first", rows=30), landscape("second", rows=24, seed=1)]


def numbers(tuned: FineTuned) -> dict[str, torch.Tensor]:
    found = dict(tuned.trunk.model.named_parameters())
    return found | {
        f"{name} {key}": getattr(head, key) for name, head in tuned.heads.items() for key in ("weight", "bias")
    }


def assert_same_bits(found: FineTuned, expected: FineTuned) -> None:
    mine, theirs = numbers(found), numbers(expected)
    assert mine.keys() == theirs.keys()
    assert [name for name, value in mine.items() if not torch.equal(value, theirs[name])] == []


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("[a-z]*"))


def interrupted(tiny, datasets, settings: Training, folder: Path, steps: Steps, at: int, context: str = "") -> Path:
    """The checkpoint of a training that a signal ended after step `at`."""
    steps.signal_at(at)
    with pytest.raises(Interrupted), watch(folder, context):
        fine_tune(tiny, datasets, settings, 0)
    assert steps.done == at
    steps.then = {}
    return folder / files(folder)[-1]


# the same end


@pytest.mark.parametrize("at", [1, 2, 7, 8, 20, 21])  # 7 steps an epoch: before, at and after the bounds of epochs
def test_a_training_ended_by_a_signal_continues_to_the_same_weights(at, tiny, datasets, tmp_path, steps):
    expected = fine_tune(tiny, datasets, SETTINGS, 0)
    assert steps.done == 21
    interrupted(tiny, datasets, SETTINGS, tmp_path, steps, at)
    steps.done = 0
    with watch(tmp_path):
        found = fine_tune(tiny, datasets, SETTINGS, 0)
    assert steps.done == 21 - at, "steps were made twice or left out"
    assert_same_bits(found, expected)
    assert files(tmp_path) == []


@pytest.mark.parametrize("settings", [SETTINGS, dataclasses.replace(SETTINGS, precision="bf16"), STOPPING])
def test_a_training_interrupted_after_every_few_steps_ends_at_the_same_weights(
    settings, tiny, datasets, tmp_path, steps
):
    expected = fine_tune(tiny, datasets, settings, 0)
    total, made, found = steps.done, 0, None
    while found is None:
        steps.signal_at(3, signal.SIGUSR1)
        try:
            with watch(tmp_path):
                found = fine_tune(tiny, datasets, settings, 0)
        except Interrupted:
            assert len(files(tmp_path)) == 1
        made += steps.done
    assert made == total > 15
    assert_same_bits(found, expected)
    assert files(tmp_path) == []


NO_GPU = pytest.mark.skipif(
    not torch.cuda.is_available(), reason="no CUDA GPU here: on one, what continuing a training changes is not measured"
)


@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=NO_GPU)])
def test_a_continued_training_predicts_the_same_to_a_ten_thousandth_of_a_standard_deviation_on_any_device(
    device, checkpoint, datasets, tmp_path, steps
):
    model = language_model.load(str(checkpoint), device=device)
    assert SETTINGS.precision == model.precision == "fp32"
    expected = fine_tune(model, datasets, SETTINGS, 0)
    for at in (5, 6):  # twice; the second signal comes six steps after the first
        interrupted(model, datasets, SETTINGS, tmp_path, steps, at)
    with watch(tmp_path):
        found = fine_tune(model, datasets, SETTINGS, 0)
    for dataset in datasets:
        mine, theirs = (
            tuned.heads[dataset.name].standardise(tuned.predict(dataset.variants)) for tuned in (found, expected)
        )
        assert np.abs(mine - theirs).max() <= 1e-4


def test_early_stopping_stopped_before_the_last_epoch_in_these_tests(tiny, datasets, steps):
    fine_tune(tiny, datasets, STOPPING, 0)
    assert steps.done % 6 == 0
    assert steps.done < 6 * STOPPING.epochs


def test_a_training_killed_without_warning_continues_from_the_last_state_kept(
    tiny, datasets, tmp_path, steps, monkeypatch
):
    expected = fine_tune(tiny, datasets, SETTINGS, 0)
    monkeypatch.setattr(interruption, "EVERY_SECONDS", 0.0)
    monkeypatch.setattr(training_run, "WORTH", 0)
    steps.done, steps.then = 0, {10: lambda: 1 / 0}
    with pytest.raises(ZeroDivisionError), watch(tmp_path):
        fine_tune(tiny, datasets, SETTINGS, 0)
    assert len(files(tmp_path)) == 1
    steps.done, steps.then = 0, {}
    with watch(tmp_path):
        found = fine_tune(tiny, datasets, SETTINGS, 0)
    assert steps.done == 21 - 9
    assert_same_bits(found, expected)


def test_between_two_states_kept_without_a_signal_there_is_time(tiny, datasets, tmp_path, monkeypatch):
    written = []
    monkeypatch.setattr(training_run, "write", lambda run, path: written.append(run.step))
    with watch(tmp_path):
        fine_tune(tiny, datasets, SETTINGS, 0)
    assert written == []


# what is not continued


@pytest.mark.parametrize("change", ["settings", "seed", "rows", "fitness", "model", "context"])
def test_a_checkpoint_of_another_training_is_left_alone(change, tiny, datasets, tmp_path, steps):
    kept = interrupted(tiny, datasets, SETTINGS, tmp_path, steps, 5)
    settings = dataclasses.replace(SETTINGS, clip=0.5) if change == "settings" else SETTINGS
    first, second = datasets
    if change == "rows":
        first = first.select(first.variants.mutants[1:])
    if change == "fitness":
        first = dataclasses.replace(first, fitness=np.nextafter(first.fitness, np.inf))
    model = dataclasses.replace(tiny, sha256="f" * 64) if change == "model" else tiny
    arguments = model, [first, second], settings, int(change == "seed")
    expected = fine_tune(*arguments)
    with watch(tmp_path, "another version" if change == "context" else ""):
        assert_same_bits(fine_tune(*arguments), expected)
    assert files(tmp_path) == [kept.name]


def test_the_order_of_datasets_and_rows_does_not_matter_to_the_continuation(tiny, datasets, tmp_path, steps):
    expected = fine_tune(tiny, datasets, SETTINGS, 0)
    interrupted(tiny, datasets, SETTINGS, tmp_path, steps, 5)
    first, second = datasets
    steps.done = 0
    with watch(tmp_path):
        found = fine_tune(tiny, [second, first.select(reversed(first.variants.mutants))], SETTINGS, 0)
    assert steps.done == 21 - 5
    assert_same_bits(found, expected)


def test_a_damaged_checkpoint_is_refused_by_name_with_the_remedy(tiny, datasets, tmp_path, steps):
    kept = interrupted(tiny, datasets, SETTINGS, tmp_path, steps, 5)
    whole = kept.read_bytes()
    for content in (b"", whole[:100], whole[:-10]):
        kept.write_bytes(content)
        with pytest.raises(TrainingRunError, match=f"{kept.name}.*delete the file"), watch(tmp_path):
            fine_tune(tiny, datasets, SETTINGS, 0)
    with safetensors.safe_open(kept_as(kept, whole), framework="pt") as file:
        tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        facts = json.loads(file.metadata()["run"])
    seals.break_seal(kept)
    for wrong in (tensors | {"parameter/head.0.weight": torch.zeros(1)}, {"parameter/other": torch.zeros(1)}):
        safetensors.torch.save_file(wrong, kept, {"run": json.dumps(facts)})
        with pytest.raises(TrainingRunError, match=r"head\.0\.weight|embed_tokens"), watch(tmp_path):
            fine_tune(tiny, datasets, SETTINGS, 0)


def kept_as(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def test_without_a_folder_nothing_is_kept(tiny, datasets, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with watch(None):
        fine_tune(tiny, datasets, SETTINGS, 0)
    assert files(tmp_path) == []


# schedule and early stopping


def test_the_rate_rises_and_falls_linearly_to_zero() -> None:
    shares = [rate(0.2, step, 20) for step in range(21)]
    np.testing.assert_allclose(shares[:4], [0.25, 0.5, 0.75, 1.0])
    np.testing.assert_allclose(np.diff(shares[4:]), -1 / 16)
    assert shares[20] == 0
    assert rate(0.0, 0, 10) == 1


def test_the_best_weights_come_back_after_patience_runs_out() -> None:
    weight = torch.zeros(1)
    watch = EarlyStopping([weight], patience=2)
    decisions = []
    for value, loss in enumerate([3.0, 1.0, 2.0, 1.5, 0.0]):
        weight.fill_(value)
        decisions.append(watch.should_stop(loss))
        if decisions[-1]:
            break
    watch.take_back_best()
    assert decisions == [False, False, False, True]
    assert weight.item() == 1.0
