import dataclasses

import numpy as np
import pytest
from safetensors.numpy import save_file

from multimep.dataset import Variants
from multimep.embedder import Embedder
from multimep.language_model import LanguageModel
from multimep.methods import METHODS, State
from multimep.methods.predictor_file import Header, PredictorFileError, load, read_header, save
from multimep.predictions import Predictions

HEADER = Header("additive", {"a": 1, "b": [1.5, None]}, "mini", "", {"first": "MKT"}, "0.1.0")


def never() -> LanguageModel:
    raise AssertionError("the language model was loaded without need")


DOOR = Embedder(never)


@dataclasses.dataclass(frozen=True)
class Fixed:
    """A predictor that has learnt `learnt`, and the method that restores it."""

    learnt: State

    def predict(self, variants: Variants) -> Predictions:
        raise NotImplementedError

    def state(self) -> State:
        return self.learnt

    joint = False

    def fit(self, train, embedder, seed) -> "Fixed":
        raise NotImplementedError

    def restore(self, state: State, embedder) -> "Fixed":
        return Fixed(state)


ARRAYS = {
    "float64": np.array([[1 / 3, -0.0], [np.pi, 1e-300]]),
    "float32": np.array([0.1], dtype=np.float32),
    "int64": np.array([1, -(2**40)]),
    "scalar": np.array(2.5),
    "empty": np.zeros((0, 3)),
    "transposed": np.arange(6.0).reshape(2, 3).T,
}
FACTS = {"number": 1 / 3, "text": "Å", "list": [1, "a"], "dict": {"x": None}}


def test_arrays_facts_and_header_survive_exactly(tmp_path):
    path = tmp_path / "folder" / "predictor.safetensors"
    save(Fixed(State(ARRAYS, FACTS)), HEADER, path)
    assert read_header(path) == HEADER
    found = load(path, Fixed(State({}, {})), DOOR).learnt
    assert found.facts == FACTS
    assert set(found.arrays) == set(ARRAYS)
    for name in set(ARRAYS) - {"scalar"}:
        np.testing.assert_array_equal(found.arrays[name], ARRAYS[name], strict=True)
    assert found.arrays["scalar"].item() == 2.5


def test_saving_again_replaces_the_file_whole(tmp_path):
    path = tmp_path / "predictor.safetensors"
    for value in (1.0, 2.0):
        save(Fixed(State({"a": np.array([value])}, {})), HEADER, path)
        assert load(path, Fixed(State({}, {})), DOOR).learnt.arrays["a"] == [value]
        assert [entry.name for entry in tmp_path.iterdir()] == ["predictor.safetensors"]


def test_a_failed_save_keeps_the_old_file_and_leaves_nothing_beside_it(tmp_path):
    path = tmp_path / "predictor.safetensors"
    save(Fixed(State({"a": np.ones(1)}, {})), HEADER, path)
    with pytest.raises(Exception, match="complex"):
        save(Fixed(State({"a": np.ones(1, dtype=complex)}, {})), HEADER, path)
    assert load(path, Fixed(State({}, {})), DOOR).learnt.arrays["a"] == [1]
    assert [entry.name for entry in tmp_path.iterdir()] == ["predictor.safetensors"]


def test_a_real_predictor_is_the_same_after_its_file(tmp_path, landscape, embedder):
    data = landscape(rows=40)
    method = METHODS["embedding_gp"]()
    predictor = method.fit([data], embedder, 0)
    save(predictor, HEADER, tmp_path / "predictor.safetensors")
    found = load(tmp_path / "predictor.safetensors", method, embedder).predict(data.variants)
    for name in ("mean", "std", "noisy_std"):
        np.testing.assert_array_equal(getattr(found, name), getattr(predictor.predict(data.variants), name))


@pytest.mark.parametrize("content", [b"", b"mutant,fitness\nA1V,2\n", b"\x80\x04\x95"])
def test_any_other_file_is_refused_by_its_name(tmp_path, content):
    path = tmp_path / "other.bin"
    path.write_bytes(content)
    with pytest.raises(PredictorFileError, match=r"other\.bin is not a predictor file .*`multimep fit`"):
        read_header(path)


def test_a_flipped_bit_in_numbers_or_header_is_refused(tmp_path, landscape, embedder):
    path = tmp_path / "model.safetensors"
    fitted = METHODS["one_hot_ridge"]().fit([landscape()], embedder, 0)
    save(fitted, HEADER, path)
    content = path.read_bytes()
    for place in np.random.default_rng(0).integers(8 * len(content), size=100):
        damaged = bytearray(content)
        damaged[place // 8] ^= 1 << (place % 8)
        path.write_bytes(damaged)
        with pytest.raises(PredictorFileError, match=r"model.safetensors .*`multimep fit`"):
            read_header(path)


def test_a_truncated_file_is_refused_by_its_name(tmp_path):
    path = tmp_path / "predictor.safetensors"
    save(Fixed(State(ARRAYS, FACTS)), HEADER, path)
    path.write_bytes(path.read_bytes()[:-8])
    with pytest.raises(PredictorFileError, match=r"predictor\.safetensors is not a predictor file"):
        read_header(path)


@pytest.mark.parametrize("metadata", [None, {}, {"format": "1"}, {"format": "99", "header": "{}"}])
def test_tensors_that_are_no_predictor_are_refused_by_their_name(tmp_path, metadata, checkpoint):
    path = tmp_path / "tensors.safetensors"
    save_file({"a": np.ones(1)}, path, metadata)
    with pytest.raises(PredictorFileError, match=r"tensors\.safetensors is not a predictor of format 1"):
        read_header(path)
    with pytest.raises(PredictorFileError, match="tiny"):
        read_header(checkpoint)


def test_a_missing_file_is_refused_by_its_name(tmp_path):
    with pytest.raises(PredictorFileError, match="nowhere"):
        read_header(tmp_path / "nowhere.safetensors")
