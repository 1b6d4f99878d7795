import contextlib
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from multimep import interruption
from multimep.interruption import EXIT_STATUS, Interrupted, fingerprint, watch

ROOT = Path(__file__).parents[1]

# A command that fine-tunes one model on two datasets, fold by fold. It tells every step, and sends itself the signals
# of its plan ("12 SIGTERM") at that step; the checkpoints kept without a signal come after every step.
COMMAND = """
import os, signal, sys, time
from pathlib import Path
import numpy as np
import torch
from conftest import additive_landscape
from multimep import fine_tuning, interruption, language_model, training_run
from multimep.cross_prediction import cross_predict
from multimep.embedder import Embedder
from multimep.methods import METHODS
from multimep.schemes.random_folds import RandomFolds

folder, output, checkpoint, plan, every, slowly = sys.argv[1:]
torch.set_num_threads(1)
interruption.EVERY_SECONDS, training_run.WORTH = float(every), 0
at, _, name = plan.partition(" ")
steps, plain = 0, fine_tuning._loss

def loss(*arguments):
    global steps
    steps += 1
    print(steps, flush=True)
    time.sleep(float(slowly))
    if name and steps == int(at):
        os.kill(os.getpid(), getattr(signal, name))
    return plain(*arguments)

fine_tuning._loss = loss
datasets = [additive_landscape("first", rows=30), additive_landscape("second", rows=24, seed=1)]
splits = [RandomFolds(3).split(dataset, 0) for dataset in datasets]
method = METHODS["fine_tune_together"](epochs=4, validation_fraction=0.2, patience=2)
embedder = Embedder(lambda: language_model.load(checkpoint))
with interruption.watch(Path(folder) if folder else None):
    found = cross_predict(method, datasets, splits, embedder, 0)
    np.save(output, np.concatenate([part.mean for folds in found.values() for _, part in folds]))
"""


@dataclass(frozen=True)
class Commands:
    """Runs the command in this folder: its result is out.npy, its checkpoints are below `kept`."""

    folder: Path
    checkpoint: Path

    def start(self, plan: str = "", *, kept: bool = True, every: float = 1e9, slowly: float = 0) -> subprocess.Popen:
        paths = str(self.kept) if kept else "", str(self.folder / "out.npy"), str(self.checkpoint)
        return subprocess.Popen(
            [sys.executable, "-c", COMMAND, *paths, plan, str(every), str(slowly)],
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONPATH": f"{ROOT / 'workflow'}:{ROOT / 'tests'}", "OMP_NUM_THREADS": "1"},
        )

    def run(self, plan: str = "", *, kept: bool = True, every: float = 1e9) -> tuple[int, int]:
        """The exit status and the number of steps made."""
        process = self.start(plan, kept=kept, every=every)
        steps = process.communicate(timeout=120)[0].split()
        return process.returncode, len(steps)

    @property
    def kept(self) -> Path:
        return self.folder / "kept"

    @property
    def left(self) -> list[str]:
        return sorted(path.name.split("-")[0] for path in self.kept.glob("[a-z]*"))

    @property
    def result(self) -> np.ndarray:
        return np.load(self.folder / "out.npy")


@pytest.fixture(scope="module")
def uninterrupted(checkpoint, tmp_path_factory) -> tuple[np.ndarray, int]:
    commands = Commands(tmp_path_factory.mktemp("uninterrupted"), checkpoint)
    status, steps = commands.run(kept=False)
    assert status == 0
    assert 3 * 3 * 4 <= steps < 3 * 4 * 4  # folds, epochs (some end early), batches of 8 of the 16 rows taught by each
    return commands.result, steps


@pytest.fixture
def commands(tmp_path, checkpoint) -> Commands:
    return Commands(tmp_path, checkpoint)


# processes and real signals


def test_a_command_interrupted_twice_ends_with_the_same_predictions_and_makes_no_step_twice(commands, uninterrupted):
    expected, steps = uninterrupted
    first = commands.run("7 SIGTERM")
    assert (first, commands.left) == ((EXIT_STATUS, 7), ["training"])
    second = commands.run("12 SIGUSR1")
    assert (second, commands.left) == ((EXIT_STATUS, 12), ["fold", "training"])
    assert not (commands.folder / "out.npy").exists()
    assert commands.run() == (0, steps - 19)
    assert commands.result.tobytes() == expected.tobytes()
    assert commands.left == []


def test_a_command_killed_without_warning_goes_on_from_the_last_state_kept(commands, uninterrupted):
    expected, steps = uninterrupted
    assert commands.run("20 SIGKILL", every=0) == (-signal.SIGKILL, 20)
    assert commands.left == ["fold", "training"]
    assert commands.run(every=0) == (0, steps - 19)
    assert commands.result.tobytes() == expected.tobytes()
    assert commands.left == []


def test_a_signal_from_outside_at_any_moment_of_the_training_is_obeyed(commands, uninterrupted):
    expected, steps = uninterrupted
    process = commands.start(slowly=0.02)
    made = [process.stdout.readline() for _ in range(10)]
    time.sleep(np.random.default_rng().uniform(0, 0.1))
    process.send_signal(signal.SIGTERM)
    made += process.stdout.readlines()
    assert process.wait(120) == EXIT_STATUS
    assert commands.run() == (0, steps - len(made))
    assert commands.result.tobytes() == expected.tobytes()


def test_without_a_folder_a_signal_ends_the_command_as_ever(commands):
    assert commands.run("2 SIGTERM", kept=False) == (-signal.SIGTERM, 2)
    assert not commands.kept.exists()


# the watch


@pytest.mark.parametrize("number", interruption.SIGNALS)
def test_a_signal_leaves_a_note_and_nothing_else(number, tmp_path):
    with watch(tmp_path):
        interruption.stop_if_requested()
        os.kill(os.getpid(), number)
        assert interruption.requested()
        with pytest.raises(Interrupted, match=f"{tmp_path}, the same command continues") as stopped:
            interruption.stop_if_requested()
    assert stopped.value.code == EXIT_STATUS == os.EX_TEMPFAIL
    assert not interruption.requested()
    assert interruption.folder() is None


@pytest.mark.parametrize("ending", [None, RuntimeError, Interrupted])
def test_the_handlers_of_before_come_back_however_the_watch_ends(ending, tmp_path):
    seen = []
    old = signal.signal(signal.SIGUSR1, lambda number, frame: seen.append(number))
    try:
        with contextlib.suppress(RuntimeError, Interrupted), watch(tmp_path):
            if ending is not None:
                raise ending(tmp_path)
        os.kill(os.getpid(), signal.SIGUSR1)
        assert seen == [signal.SIGUSR1]
        assert interruption.folder() is None
    finally:
        signal.signal(signal.SIGUSR1, old)


def test_a_watch_in_another_thread_keeps_states_but_handles_no_signals(tmp_path):
    found = []

    def work() -> None:
        with watch(tmp_path):
            found.append((interruption.folder(), signal.getsignal(signal.SIGTERM)))

    before = signal.getsignal(signal.SIGTERM)
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == [(tmp_path, before)]


def test_a_request_in_the_last_moments_of_a_unit_stops_the_next_one(tmp_path):
    with watch(tmp_path / "all"):
        with watch(tmp_path / "first"):
            os.kill(os.getpid(), signal.SIGTERM)
        assert interruption.folder() == tmp_path / "all"
        with pytest.raises(Interrupted), watch(tmp_path / "second"):
            interruption.stop_if_requested()


def test_interrupted_is_no_failure_that_could_be_caught_with_others():
    assert not issubclass(Interrupted, Exception)
    assert str(pickle.loads(pickle.dumps(Interrupted(Path("here"))))) == str(Interrupted(Path("here")))


# the files


def test_nothing_is_placed_without_a_folder():
    assert interruption.place("training", ".x", 1) is None
    with watch(None):
        assert interruption.place("training", ".x", 1) is None


def test_files_of_a_command_that_succeeds_go_and_others_stay(tmp_path):
    (tmp_path / "training-of-another.x").touch()
    with watch(tmp_path):
        path = interruption.place("training", ".x", 1)
        path.touch()
        path.with_name(f"{path.name}.123.tmp").touch()  # of a process killed while it wrote
    assert [file.name for file in tmp_path.iterdir()] == ["training-of-another.x"]


@pytest.mark.parametrize("ending", [RuntimeError, Interrupted])
def test_files_of_a_command_that_does_not_succeed_stay(ending, tmp_path):
    with contextlib.suppress(RuntimeError, Interrupted), watch(tmp_path):
        path = interruption.place("training", ".x", 1)
        path.touch()
        raise ending(tmp_path)
    assert path.exists()


def test_completed_work_removes_what_was_on_the_way_to_it(tmp_path):
    with watch(tmp_path):
        earlier, whole, part = (interruption.place(kind, ".x", 1) for kind in ("earlier", "whole", "part"))
        for path in (earlier, whole, part):
            path.touch()
        interruption.completed(whole)
        assert [path.exists() for path in (earlier, whole, part)] == [True, True, False]


def test_a_folder_that_cannot_be_made_is_an_error_before_any_work(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="file"), watch(tmp_path / "file" / "kept"):
        pytest.fail("work began")


# fingerprints


@dataclass(frozen=True)
class Point:
    x: float
    name: str = ""


@dataclass(frozen=True)
class Other:
    x: float
    name: str = ""


DIFFERENT = [
    (), (1,), (1.0,), ("1",), (None,), (True,), (1, 2), ((1, 2),), ([1, 2],), ("12",), ("1", "2"), ({"a": 1},),
    ({"a": 1, "b": 2},), (Point(1.0),), (Other(1.0),), (Point(np.nextafter(1.0, 2.0).item()),), (Point(1.0, "a"),),
    (np.zeros(2),), (np.zeros(2, np.float32),), (np.zeros((2, 1)),), (np.zeros(2, np.int64),), (np.zeros(1),),
    (float("nan"),),
]  # fmt: skip


def test_different_values_have_different_fingerprints_and_equal_ones_the_same():
    assert len({fingerprint(*values) for values in DIFFERENT}) == len(DIFFERENT)
    assert fingerprint(Point(0.1 + 0.2), np.arange(3)) == fingerprint(Point(0.30000000000000004), np.arange(3))
    assert fingerprint(np.arange(6)[::2]) == fingerprint(np.array([0, 2, 4]))


@pytest.mark.parametrize("value", [{1, 2}, object(), b"", Point, np.array([object()])])
def test_what_cannot_be_told_to_the_last_bit_has_no_fingerprint(value):
    with pytest.raises(TypeError, match="no fingerprint"):
        fingerprint(value)


def test_a_fingerprint_is_the_same_in_another_process():
    code = "from multimep.interruption import fingerprint; print(fingerprint('a', 1.5, {'b': (1, None)}))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT / "workflow"
    )
    assert done.stdout.strip() == fingerprint("a", 1.5, {"b": (1, None)})
