import argparse
import hashlib
import pickle
import sys
import types
from pathlib import Path

import esm
import pytest
import torch

from multimep import checkpoints
from multimep.checkpoints import CHECKPOINTS, CheckpointError


def tiny(seed: int = 0, layers: int = 2) -> esm.ESM2:
    torch.manual_seed(seed)
    return esm.ESM2(layers, 32, 4).eval()


def fair_esm_file(model: esm.ESM2, path: Path) -> Path:
    """The published ESM-2 format: a Namespace in cfg["model"], weights under `encoder.[sentence_encoder.]`."""
    weights = {}
    for key, value in model.state_dict().items():
        if not key.startswith("contact_head"):
            weights["encoder." + ("" if key.startswith("lm_head") else "sentence_encoder.") + key] = value
    architecture = argparse.Namespace(
        encoder_layers=model.num_layers,
        encoder_embed_dim=model.embed_dim,
        encoder_attention_heads=model.attention_heads,
        token_dropout=model.token_dropout,
        arch="esm2",
    )
    torch.save({"cfg": {"model": architecture}, "model": weights}, path)
    return path


def same_weights(one: esm.ESM2, other: esm.ESM2) -> bool:
    weights = other.state_dict()
    return all(torch.equal(value, weights[key]) for key, value in one.state_dict().items() if "contact" not in key)


def test_a_fair_esm_file_gives_the_weights_that_fair_esm_reads_from_it(tmp_path: Path) -> None:
    path = fair_esm_file(tiny(), tmp_path / "esm2_tiny.pt")
    data = torch.load(path, weights_only=False)
    with pytest.warns(UserWarning, match="Regression weights not found"):
        oracle, _ = esm.pretrained.load_model_and_alphabet_core("esm2_tiny", data)
    model, sha256 = checkpoints.read(path)
    assert same_weights(model, oracle)
    assert not model.training
    assert sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


def test_reading_what_was_written_gives_the_same_model(tmp_path: Path) -> None:
    path = tmp_path / "tiny.safetensors"
    checkpoints.write(tiny(), path, "tiny", torch.float32)
    assert same_weights(checkpoints.read(path)[0], tiny())


def test_a_half_precision_file_is_read_in_single_precision_and_close(tmp_path: Path) -> None:
    path = tmp_path / "tiny.safetensors"
    checkpoints.write(tiny(), path, "tiny")
    model, _ = checkpoints.read(path)
    assert all(value.dtype == torch.float32 for value in model.parameters())
    torch.testing.assert_close(model.layers[1].fc1.weight, tiny().layers[1].fc1.weight, rtol=1e-3, atol=1e-4)
    # rotary frequencies are computed, never rounded
    assert torch.equal(model.layers[0].self_attn.rot_emb.inv_freq, tiny().layers[0].self_attn.rot_emb.inv_freq)


def test_writing_leaves_no_temporary_file(tmp_path: Path) -> None:
    checkpoints.write(tiny(), tmp_path / "tiny.safetensors", "tiny")
    assert [path.name for path in tmp_path.iterdir()] == ["tiny.safetensors"]


class Hostile:
    """Runs `touch` of a file when it is unpickled."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (exec, (f"open({str(self.target)!r}, 'w').close()",))


@pytest.mark.parametrize("place", ["cfg", "model"])
def test_a_file_that_would_execute_code_is_refused_before_it_does(tmp_path: Path, place: str) -> None:
    path, target = fair_esm_file(tiny(), tmp_path / "hostile.pt"), tmp_path / "executed"
    content = torch.load(path, weights_only=False)
    torch.save({**content, place: Hostile(target)}, path)
    with pytest.raises(CheckpointError, match=r"hostile\.pt: refused"):
        checkpoints.read(path)
    assert not target.exists()


def test_a_bare_hostile_pickle_is_refused(tmp_path: Path) -> None:
    path, target = tmp_path / "bare.pt", tmp_path / "executed"
    path.write_bytes(pickle.dumps(Hostile(target), protocol=2))
    with pytest.raises(CheckpointError, match=r"bare\.pt"):
        checkpoints.read(path)
    assert not target.exists()


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
@pytest.mark.parametrize("content", [b"", b"not a checkpoint at all, whatever its name says"])
def test_a_damaged_file_is_one_clear_error(tmp_path: Path, suffix: str, content: bytes) -> None:
    path = tmp_path / f"damaged{suffix}"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match="damaged"):
        checkpoints.read(path)


def test_a_wrong_hash_is_refused_before_the_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "other.pt"
    path.write_bytes(b"anything")
    with pytest.raises(CheckpointError, match=f"expected {'0' * 64}"):
        checkpoints.read(path, "0" * 64)


def test_missing_weights_are_named(tmp_path: Path) -> None:
    path = fair_esm_file(tiny(), tmp_path / "part.pt")
    content = torch.load(path, weights_only=False)
    del content["model"]["encoder.sentence_encoder.layers.1.fc2.bias"]
    torch.save(content, path)
    with pytest.raises(CheckpointError, match=r"layers\.1\.fc2\.bias"):
        checkpoints.read(path)


def test_weights_of_another_architecture_are_refused(tmp_path: Path) -> None:
    path = fair_esm_file(tiny(), tmp_path / "wide.pt")
    content = torch.load(path, weights_only=False)
    content["cfg"]["model"].encoder_embed_dim = 64
    torch.save(content, path)
    with pytest.raises(CheckpointError, match="architecture"):
        checkpoints.read(path)


def nowhere(name: str, **given: object) -> tuple[Path, str | None]:
    arguments = {"directory": None, "cache": None, "mirror": None, "sha256": None}
    return checkpoints.locate(name, **{**arguments, **given})


def test_the_users_directory_comes_before_the_download(tmp_path: Path) -> None:
    path = fair_esm_file(tiny(), tmp_path / "esm2_t36_3B_UR50D.pt")
    assert nowhere("esm2_t36_3B_UR50D", directory=tmp_path) == (path, None)


def test_a_published_file_in_the_users_directory_must_have_the_published_hash(tmp_path: Path) -> None:
    fair_esm_file(tiny(), tmp_path / "esm2_t6_8M_UR50D.pt")
    path, expected = nowhere("esm2_t6_8M_UR50D", directory=tmp_path)
    with pytest.raises(CheckpointError, match="sha256"):
        checkpoints.read(path, expected)


def test_an_unverifiable_download_is_refused_with_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="checkpoint directory, or set its `sha256`"):
        nowhere("esm2_t48_15B_UR50D", directory=tmp_path, cache=tmp_path)


def test_a_download_without_a_cache_is_refused_with_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="set a cache directory"):
        nowhere("esm2_t6_8M_UR50D", directory=tmp_path)


def test_a_download_passes_url_hash_cache_and_mirror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[tuple[object, ...]] = []
    downloads = types.ModuleType("multimep.downloads")
    downloads.fetch = lambda *given: calls.append(given) or tmp_path / "fetched.pt"  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "multimep.downloads", downloads)
    found = nowhere("esm2_t36_3B_UR50D", cache=tmp_path, mirror="https://mirror.example", sha256="ab" * 32)
    checkpoint = CHECKPOINTS["esm2_t36_3B_UR50D"]
    assert found == (tmp_path / "fetched.pt", "ab" * 32)
    assert calls == [(checkpoint.url, "ab" * 32, tmp_path, "https://mirror.example")]


@pytest.mark.parametrize("name", ["esm3", "missing.pt", "notes.txt"])
def test_an_unknown_model_is_refused_by_name(name: str) -> None:
    with pytest.raises(CheckpointError, match=name):
        nowhere(name)


@pytest.mark.parametrize("checkpoint", CHECKPOINTS.values(), ids=str)
def test_the_table_states_the_size_of_the_network(checkpoint: checkpoints.Checkpoint) -> None:
    with torch.device("meta"):
        model = esm.ESM2(checkpoint.layers, checkpoint.width, checkpoint.heads)
    assert checkpoint.parameters == sum(weight.numel() for weight in model.parameters())
    assert checkpoint.url.endswith(f"/fair-esm/models/{checkpoint.name}.pt")


def test_the_largest_model_is_listed_with_its_memory() -> None:
    assert 50 < CHECKPOINTS["esm2_t48_15B_UR50D"].memory < 60
