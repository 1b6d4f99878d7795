"""ESM-2 checkpoints: which exist, where a file comes from, and how it is read without executing anything in it.

A checkpoint is a fair-esm ``.pt`` file or a ``.safetensors`` file of ours. The ``.pt`` format is a pickle, read by
torch's restricted unpickler with one extra class allowed (`argparse.Namespace`, which holds the architecture): a file
that asks for anything else is refused before a line of it runs. The contact-regression file is never fetched, for no
method here predicts contacts.
"""

import argparse
import json
import pickle
import re
import struct
import zipfile
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import esm
import safetensors
import safetensors.torch
import torch
from torch import Tensor

from multimep.documents import DocumentError, from_json
from multimep.seals import checksum
from multimep.whole_files import whole

_URL = "https://dl.fbaipublicfiles.com/fair-esm/models/{}.pt"
_PREFIX = re.compile(r"^(encoder\.sentence_encoder\.|encoder\.)")
# Not stored: derived (rotary frequencies), tied (output embedding) or never used (contacts).
_DERIVED = re.compile(r"contact_head\.|lm_head\.weight$|.*rot_emb\.inv_freq$")


_NO_ZIP = (zipfile.BadZipFile, struct.error, EOFError, NotImplementedError, RuntimeError, ValueError, OverflowError)
_FOREIGN = (KeyError, TypeError, AttributeError, RuntimeError, EOFError, IndexError, ValueError, AssertionError,
            OverflowError, struct.error, RecursionError, MemoryError)  # fmt: skip
"""What torch's readers raise over foreign and damaged bytes: its restricted unpickler checks little before it acts."""


class CheckpointError(ValueError):
    """A checkpoint that is missing, damaged, unknown or unsafe; the message names the file and the remedy."""


@dataclass(frozen=True)
class Checkpoint:
    """One published ESM-2 checkpoint; `sha256` is None where no public record of the file's hash was found."""

    name: str
    layers: int
    width: int
    heads: int
    parameters: int
    sha256: str | None = None

    @property
    def url(self) -> str:
        """Where Meta AI publishes the file."""
        return _URL.format(self.name)

    @property
    def memory(self) -> float:
        """GiB that the weights alone take in fp32; reading the file needs about half as much again."""
        return self.parameters * 4 / 2**30


# Hashes: recorded by several independent public repositories that pin these files (retrieved 2026-11-22).
# The 15B model needs about 56 GiB for its fp32 weights and some 90 GiB while it is read: a large-memory node.
CHECKPOINTS: Mapping[str, Checkpoint] = {
    checkpoint.name: checkpoint
    for checkpoint in (
        Checkpoint(
            "esm2_t6_8M_UR50D", 6, 320, 20, 7_512_474,
            "46f002a9870c9bdecd0ea887acb1f9a38a6b561e8f8bf8a6990b679b9d31b928",
        ),
        Checkpoint(
            "esm2_t12_35M_UR50D", 12, 480, 20, 33_501_394,
            "7f21e80e61d16a71735163ef555d3009afb0c98da74c48e29df08606973cc55e",
        ),
        Checkpoint(
            "esm2_t30_150M_UR50D", 30, 640, 20, 148_140_154,
            "881c7176cf198ef8dec26a3c375d40eb58d0c33df95c22562ca6cc6d3f812c62",
        ),
        Checkpoint(
            "esm2_t33_650M_UR50D", 33, 1280, 20, 651_043_254,
            "ea9d0522b335a8778dea6535a65301f10208dece28cd5865482b0b1fc446168c",
        ),
        Checkpoint("esm2_t36_3B_UR50D", 36, 2560, 40, 2_839_005_634),
        Checkpoint("esm2_t48_15B_UR50D", 48, 5120, 40, 15_129_100_194),
    )
}  # fmt: skip


def locate(
    name: str, *, directory: Path | None, cache: Path | None, mirror: str | None, sha256: str | None
) -> tuple[Path, str | None]:
    """The file of checkpoint `name` and the hash it must have (None: any, the user vouches for the file).

    `name` is a path to a .pt or .safetensors file, or a key of CHECKPOINTS: then `directory`/NAME.pt if it exists,
    otherwise the download. Raises CheckpointError for an unknown name and for a download without a hash.
    """
    if name not in CHECKPOINTS:
        return _given(name), sha256
    checkpoint = CHECKPOINTS[name]
    expected = sha256 or checkpoint.sha256
    local = directory / f"{name}.pt" if directory else None
    if local and local.is_file():
        return local, expected
    return _download(checkpoint, expected, cache, mirror), expected


def _given(name: str) -> Path:
    path = Path(name)
    if path.suffix not in (".pt", ".safetensors"):
        known = ", ".join(("mini", *CHECKPOINTS))
        raise CheckpointError(f"unknown language model {name!r}: give one of {known}, or a .pt or .safetensors file")
    if not path.is_file():
        raise CheckpointError(f"{path}: no such checkpoint; put the file there or correct the path")
    return path


def _download(checkpoint: Checkpoint, sha256: str | None, cache: Path | None, mirror: str | None) -> Path:
    if sha256 is None:
        raise CheckpointError(
            f"{checkpoint.name}: no public sha256 is known for {checkpoint.url}, so it is not downloaded unverified; "
            f"put {checkpoint.name}.pt into the configured checkpoint directory, or set its `sha256`"
        )
    if cache is None:
        raise CheckpointError(
            f"{checkpoint.name}.pt is not in the checkpoint directory and there is no cache to download it to; "
            f"put it there (from {checkpoint.url}) or set a cache directory"
        )
    from multimep.downloads import fetch  # noqa: PLC0415 (only this path needs the network)

    path: Path = fetch(checkpoint.url, sha256, cache, mirror)
    return path


def read(path: Path, sha256: str | None = None) -> tuple[esm.ESM2, str]:
    """The model in `path` (fp32, CPU, eval mode) and the file's sha256; `sha256` is checked before anything is read.

    Raises CheckpointError for another hash, an unsafe pickle, an unknown format and missing or foreign weights.
    """
    found = verified(path, sha256)
    if path.suffix != ".safetensors" and sha256 is None:
        _require_plain_zip(path)
    architecture, state = _read_safetensors(path) if path.suffix == ".safetensors" else _read_fair_esm(path)
    return _build(path, architecture, state), found


def verified(path: Path, sha256: str | None) -> str:
    """The file's sha256; raises CheckpointError where another one was expected."""
    found = checksum(path)
    if sha256 is not None and found != sha256.lower():
        raise CheckpointError(f"{path}: sha256 is {found}, expected {sha256}; delete the file and fetch it again")
    return found


def _require_plain_zip(path: Path) -> None:
    """Refuse a `.pt` that nobody vouches for by its hash unless it is a zip whose members are as large as they stand.

    torch would unpack a compressed member whole, and reserve what the older format without a zip claims to hold.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            packed = [one.filename for one in archive.infolist() if one.compress_type != zipfile.ZIP_STORED]
            size = sum(one.file_size for one in archive.infolist())
    except _NO_ZIP as error:
        raise CheckpointError(
            f"{path}: refused, it is damaged or not as torch.save writes it ({error}); fetch the file again, or state "
            "its `sha256` if you trust it"
        ) from error
    if packed or size > path.stat().st_size:
        raise CheckpointError(f"{path}: refused, its members are compressed; save it again with torch.save")


def _read_fair_esm(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    try:
        with torch.serialization.safe_globals([argparse.Namespace]):
            content = torch.load(path, map_location="cpu", weights_only=True)
        model = content["cfg"]["model"]
        architecture = {
            "layers": model.encoder_layers,
            "width": model.encoder_embed_dim,
            "heads": model.encoder_attention_heads,
            "token_dropout": getattr(model, "token_dropout", True),
        }
        return architecture, {_PREFIX.sub("", key): _tensor(value) for key, value in content["model"].items()}
    except pickle.UnpicklingError as error:
        raise CheckpointError(
            f"{path}: refused, it is damaged or asks for more than tensors and the architecture; "
            "use the original fair-esm file or convert it to .safetensors"
        ) from error
    except _FOREIGN as error:
        raise CheckpointError(f"{path}: not an ESM-2 checkpoint of fair-esm ({error}); fetch the file again") from error


def _tensor(value: Any) -> Tensor:
    """A weight whose numbers stand in the file one by one: one number spread over a shape could fill all memory."""
    if not isinstance(value, Tensor) or value.layout != torch.strided or not value.is_floating_point():
        raise TypeError(f"a weight is a {type(value).__name__} and no tensor of floating-point numbers")
    if value.numel() * value.element_size() > value.untyped_storage().nbytes():
        raise TypeError("a weight is larger than what is stored of it")
    return value


def _read_safetensors(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            architecture = from_json((file.metadata() or {})["multimep"])
            state = {key: file.get_tensor(key).float() for key in file.keys()}  # noqa: SIM118 (not a dict)
        return {key: architecture[key] for key in ("layers", "width", "heads", "token_dropout")}, state
    except (KeyError, TypeError, DocumentError, safetensors.SafetensorError) as error:
        raise CheckpointError(f"{path}: not a checkpoint of multimep ({error}); write it with `write` again") from error


def _build(path: Path, architecture: Mapping[str, Any], state: Mapping[str, Tensor]) -> esm.ESM2:
    _check_architecture(path, architecture, state)
    model = esm.ESM2(
        architecture["layers"],
        architecture["width"],
        architecture["heads"],
        token_dropout=architecture["token_dropout"],
    )
    try:
        missing, unexpected = model.load_state_dict(state, strict=False)
    except RuntimeError as error:
        raise CheckpointError(f"{path}: the weights do not fit the stated architecture ({error})") from error
    missing = [key for key in missing if not _DERIVED.match(key)]
    if missing or unexpected:
        raise CheckpointError(f"{path}: missing weights {missing}, unknown weights {unexpected}; fetch the file again")
    return model.eval()


def _check_architecture(path: Path, stated: Mapping[str, Any], state: Mapping[str, Tensor]) -> None:
    """Refuse an architecture that they do not have, before a network of its size is built; also broken weights."""
    layers, width, heads = (stated[name] for name in ("layers", "width", "heads"))
    whole = all(type(one) is int and one > 0 for one in (layers, width, heads))
    if not whole or width % (2 * heads) or type(stated["token_dropout"]) is not bool:
        raise CheckpointError(f"{path}: no architecture of ESM-2 (layers, width, heads: {layers}, {width}, {heads})")
    shapes = {f"layers.{layer}.fc1.weight": (4 * width, width) for layer in range(min(layers, len(state) + 1))}
    wrong = [name for name, shape in shapes.items() if name in state and tuple(state[name].shape) != shape]
    missing = [name for name in shapes if name not in state]
    if wrong:
        raise CheckpointError(f"{path}: the weights do not fit the stated architecture (shape of {wrong[0]})")
    if missing:
        raise CheckpointError(f"{path}: missing weights {missing[:3]} of {layers} layers; fetch the file again")
    broken = next((name for name, value in state.items() if not torch.isfinite(value).all()), None)
    if broken is not None:
        raise CheckpointError(f"{path}: {broken} holds numbers that are not finite; fetch the file again")


def write(model: esm.ESM2, path: Path, name: str, dtype: torch.dtype = torch.float16) -> None:
    """Write `model` as safetensors with its architecture in the header, whole or not at all.

    fp16 halves the file and keeps 11 bits, far below the noise of training; `read` returns fp32.
    """
    state = {
        key: value.detach().to("cpu", dtype).contiguous()
        for key, value in model.state_dict().items()
        if not _DERIVED.match(key)
    }
    architecture = {
        "name": name,
        "layers": model.num_layers,
        "width": model.embed_dim,
        "heads": model.attention_heads,
        "token_dropout": model.token_dropout,
    }
    # One entry, for safetensors writes several in random order: the same weights give the same file.
    write_tensors(path, state, {"multimep": json.dumps(architecture)})


def write_tensors(
    path: Path,
    tensors: dict[str, Tensor],
    metadata: dict[str, str],
    placed: Callable[..., AbstractContextManager[Path]] = whole,
) -> None:
    """Write a safetensors file, whole or not at all; raises WritingError where there is no room for it.

    `placed` puts it there: `whole_files.whole`, or `seals.sealed` for a file that waits to be continued from.
    """
    with placed(path, safetensors.SafetensorError) as partial:
        safetensors.torch.save_file(tensors, partial, metadata)
        partial.chmod(0o644)  # safetensors writes 0600, which a shared installation could not read
