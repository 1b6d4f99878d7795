"""Binary files: checkpoints of language models, predictors, stores of embeddings."""

import argparse
import io
import json
import pickle
import zipfile
from functools import cache

import esm
import h5py
import numpy as np
import torch

from fuzz.target import Target, file, folder
from multimep import checkpoints, embeddings
from multimep.checkpoints import CheckpointError
from multimep.dataset import Variants
from multimep.documents import DocumentError
from multimep.embedder import Embedder
from multimep.embeddings import StoreError
from multimep.methods import METHODS, State, predictor_file
from multimep.methods.predictor_file import Header, PredictorFileError
from multimep.predictions import PredictionsError
from multimep.typed_values import SettingsError

WILD_TYPE = "MKTAY"
SIZES = {"name": "tiny", "layers": 1, "width": 4, "heads": 1, "token_dropout": True}


@cache
def model() -> esm.ESM2:
    torch.manual_seed(0)
    return esm.ESM2(1, 4, 1).eval()


@cache
def fair_esm() -> bytes:
    """A file as fair-esm publishes them."""
    weights = {
        "encoder." + ("" if key.startswith("lm_head") else "sentence_encoder.") + key: value
        for key, value in model().state_dict().items()
        if not key.startswith("contact_head")
    }
    names = {"encoder_layers": 1, "encoder_embed_dim": 4, "encoder_attention_heads": 1, "token_dropout": True}
    found = io.BytesIO()
    torch.save({"cfg": {"model": argparse.Namespace(**names)}, "model": weights}, found)
    return found.getvalue()


@cache
def members() -> tuple[tuple[str, bytes], ...]:
    with zipfile.ZipFile(io.BytesIO(fair_esm())) as archive:
        return tuple((name, archive.read(name)) for name in archive.namelist())


def repacked(program: bytes) -> bytes:
    """The published file with another pickle program in it, the tensors' bytes as they were."""
    found = io.BytesIO()
    with zipfile.ZipFile(found, "w") as archive:
        for name, content in members():
            archive.writestr(name, program if name.endswith("data.pkl") else content)
    return found.getvalue()


def with_header(header: bytes, payload: bytes) -> bytes:
    """A safetensors file: the length of its header in 8 bytes, the header, the numbers."""
    return len(header).to_bytes(8, "little") + header + payload


@cache
def weights() -> bytes:
    path = folder() / "tiny.safetensors"
    checkpoints.write(model(), path, "tiny")
    return path.read_bytes()


def split_header(content: bytes) -> tuple[bytes, bytes]:
    end = 8 + int.from_bytes(content[:8], "little")
    return content[8:end], content[end:]


def read_checkpoint(data: bytes) -> None:
    """p: a pickle program; z: a whole .pt; h: a safetensors header; m: its metadata; else a whole safetensors file."""
    door, content = data[:1], data[1:]
    if door in (b"p", b"z"):
        path = file("fuzz.pt", repacked(content) if door == b"p" else content)
    elif door == b"h":
        path = file("fuzz.safetensors", with_header(content, split_header(weights())[1]))
    elif door == b"m":
        header = json.loads(split_header(weights())[0])
        header["__metadata__"] = {"multimep": content.decode("utf-8", "replace")}
        path = file("fuzz.safetensors", with_header(json.dumps(header).encode(), split_header(weights())[1]))
    else:
        path = file("fuzz.safetensors", content)
    found, sha256 = checkpoints.read(path)
    assert len(sha256) == 64 and not found.training
    assert all(torch.isfinite(value).all() for value in found.parameters())
    assert sum(value.numel() for value in found.parameters()) < 1_000_000


@cache
def predictor() -> bytes:
    class Learnt:
        def state(self) -> State:
            effects = np.array([0.5, -1.0])
            return METHODS["additive"]().fit([toy()], DOOR, 0).state() if effects.any() else State({}, {})

    path = folder() / "tiny.predictor"
    taught = {"toy": {"M1A": 1.0, "K2R": -1.0, "M1A:K2R": 0.1}}
    header = Header("additive", {}, "mini", "", {"toy": WILD_TYPE}, "0.1.0", taught)
    predictor_file.save(Learnt(), header, path)
    return path.read_bytes()


def toy():
    from multimep.dataset import Dataset  # noqa: PLC0415

    mutants = ("M1A", "K2R", "M1A:K2R")
    return Dataset(
        Variants("toy", WILD_TYPE, mutants), np.array([1.0, -1.0, 0.1]), np.full(3, np.nan), np.ones(3, dtype=np.int64)
    )


def never() -> object:
    raise AssertionError("the language model was loaded without need")


DOOR = Embedder(never)


def read_predictor(data: bytes) -> None:
    """h: the header inside the metadata; f: the facts; s: the safetensors header; else a whole file."""
    door, content = data[:1], data[1:]
    header, payload = split_header(predictor())
    if door in (b"h", b"f"):
        values = json.loads(header)
        values["__metadata__"].pop("sha256")
        values["__metadata__"]["header" if door == b"h" else "facts"] = content.decode("utf-8", "replace")
        content = with_header(json.dumps(values).encode(), payload)
    elif door == b"s":
        content = with_header(content, payload)
    path = file("fuzz.predictor", content)
    found = predictor_file.read_header(path)
    name = predictor_file.protein(found, "", path)
    loaded = predictor_file.load(path, METHODS["additive"](), DOOR)
    if found.datasets[name] == WILD_TYPE:
        said = loaded.predict(Variants("toy", WILD_TYPE, ("M1A", "K2R")))
        assert np.isfinite(said.mean).all()


@cache
def store() -> bytes:
    path = folder() / "tiny.h5"
    with h5py.File(path, "w") as stored:
        made = {"model": "mini", "sha256": "ab" * 32, "layer": 1, "precision": "fp32", "pooling": "mean", "format": 1}
        stored.attrs.update(made)
        stored["keys"] = np.array([embeddings.key(WILD_TYPE)], dtype="S64")
        stored["pooled"] = np.ones((1, 4), np.float32)
        stored[f"marginals/{embeddings.key(WILD_TYPE)}/masked"] = np.zeros((5, 20), np.float32)
        stored[f"attention/{embeddings.key(WILD_TYPE)}"] = np.zeros((5, 5), np.float32)
    return path.read_bytes()


def read_store(data: bytes) -> None:
    """A store with bytes of it overwritten: place (2 bytes), a byte, and so on; whole files crash HDF5 itself."""
    content = bytearray(store())
    for at in range(0, len(data) - 2, 3):
        content[int.from_bytes(data[at : at + 2], "little") % len(content)] = data[at + 2]
    found = embeddings.open_store(file("fuzz.h5", bytes(content)))
    rows = found.rows("pooled", list(found.row_of))
    assert len(rows) == len(found.row_of) and rows.dtype == np.float32
    assert found.storage in ("float32", "float16")
    masked, attention = found.marginals(WILD_TYPE, "masked"), found.attention(WILD_TYPE)
    assert masked is None or masked.shape == (5, 20)
    assert attention is None or attention.shape == (5, 5)


def checkpoint_seeds() -> tuple[bytes, ...]:
    program = next(content for name, content in members() if name.endswith("data.pkl"))
    header = split_header(weights())[0]
    sizes = json.dumps(SIZES).encode()
    return (
        b"p" + program,
        b"z" + fair_esm(),
        b"h" + header,
        b"m" + sizes,
        b"w" + weights(),
        b"m" + sizes.replace(b'"layers": 1', b'"layers": 1000000000'),
        b"m" + sizes.replace(b'"heads": 1', b'"heads": 0'),
        b"m[1]",
        b"p" + pickle.dumps(print, protocol=2),
        b"z" + pickle.dumps({"cfg": {}}, protocol=2),
    )


def predictor_seeds() -> tuple[bytes, ...]:
    header = split_header(predictor())[0]
    metadata = json.loads(header)["__metadata__"]
    return (
        b"h" + metadata["header"].encode(),
        b"f" + metadata["facts"].encode(),
        b"s" + header,
        b"w" + predictor(),
        b"h[]",
        b"f[]",
        b"f{}",
        b"h" + metadata["header"].replace('"toy"', "1").encode(),
    )


CHECKPOINT = Target(
    "checkpoints",
    read_checkpoint,
    (CheckpointError, DocumentError),
    checkpoint_seeds(),
    (
        b"layers",
        b"width",
        b"heads",
        b"token_dropout",
        b"dtype",
        b"shape",
        b"data_offsets",
        b"F16",
        b"true",
        b"-1",
        b"[]",
        b"ctorch._utils\n_rebuild_tensor_v2\n",
        b"cos\nsystem\n",
        b"cargparse\nNamespace\n",
        b"R",
        b"b",
        b".",
    ),
    ("multimep.checkpoints", "multimep.documents"),
)
PREDICTOR = Target(
    "predictors",
    read_predictor,
    (PredictorFileError, PredictionsError, SettingsError, DocumentError),
    predictor_seeds(),
    (
        b"format",
        b"header",
        b"facts",
        b"sha256",
        b"taught",
        b"datasets",
        b"method",
        b"dtype",
        b"shape",
        b"data_offsets",
        b"null",
        b"NaN",
        b"1e999",
        b"[]",
        b"{}",
    ),
    ("multimep.methods.predictor_file", "multimep.methods.additive", "multimep.documents", "multimep.typed_values"),
)
STORE = Target(
    "stores",
    read_store,
    (StoreError,),
    (b"", b"\x00\x00\x00", b"\x60\x00\xff\x61\x00\xff", bytes(range(60))),
    (),
    ("multimep.embeddings",),
)
