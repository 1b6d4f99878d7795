"""A protein language model (PLM): tokens, hidden states and log-probabilities of an ESM-2 model.

Everything that multimep asks of a PLM passes through `LanguageModel`; fair-esm supplies the network. The columns of
every table over amino acids stand in the order of `mutations.AMINO_ACIDS`.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

import esm
import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from multimep import checkpoints
from multimep.encoder import Encoder, prepare
from multimep.forward_pass import attention, autocast
from multimep.mutations import AMINO_ACIDS, check_residues
from multimep.precision import Asked, Precision, resolved
from multimep.transfer import Transfer

MINI = Path(__file__).parent / "mini" / "mini.safetensors"
MINI_SHA256 = "1c903a08df5cbd484a9b982adab1e3abba0bd74d6e244439ffe3f3b9890ad7df"
MAX_LENGTH = 1022  # ESM-2 was trained on at most 1024 tokens: BOS, 1022 residues, EOS

BatchSize = int | Literal["auto"]
"""Sequences per forward pass; `auto`: by tokens, see `LanguageModel.at_once`."""
TOKENS = 2048
"""Tokens per forward pass on a processor: more leave its caches, and 512 to 2,048 are equally fast on one core."""
GPU_TOKENS = 2**16
"""Tokens per forward pass on a GPU at most: matrix products are at their full rate long before."""

ALPHABET = esm.data.Alphabet.from_architecture("ESM-1b")
AMINO_ACID_TOKENS = np.array([ALPHABET.get_idx(letter) for letter in AMINO_ACIDS])
_TOKEN_OF_BYTE = np.full(256, ALPHABET.unk_idx)
_TOKEN_OF_BYTE[np.frombuffer(AMINO_ACIDS.encode(), np.uint8)] = AMINO_ACID_TOKENS


class LanguageModelError(ValueError):
    """Sequences that the language model cannot take; the message names the length or letter and the limit."""


@dataclass(frozen=True)
class LanguageModel:
    """An ESM-2 model in eval mode, whose weights stay as they are.

    `sha256` is the hash of its file. `precision` is that of the matrix products inside the layers; the residual stream,
    layer norms, attention over short sequences and log-probabilities are computed in fp32 either way.
    """

    name: str
    sha256: str
    model: esm.ESM2
    precision: Precision = "fp32"
    device: str = "cpu"

    @property
    def width(self) -> int:
        """Features per residue."""
        return int(self.model.embed_dim)

    @property
    def layers(self) -> int:
        """Transformer layers."""
        return int(self.model.num_layers)

    @property
    def max_length(self) -> int:
        """The longest sequence in residues; a longer one is refused, never cut."""
        return MAX_LENGTH

    def tokens(self, sequences: Sequence[str]) -> Int[Tensor, "batch tokens"]:
        """BOS, the residues and EOS of sequences of one length: length + 2 tokens; else LanguageModelError."""
        _check_sequences(sequences)
        letters = np.frombuffer("".join(sequences).encode(), np.uint8).reshape(len(sequences), -1)
        tokens = np.pad(_TOKEN_OF_BYTE[letters], ((0, 0), (1, 1)))
        tokens[:, 0], tokens[:, -1] = ALPHABET.cls_idx, ALPHABET.eos_idx
        found = torch.from_numpy(tokens)
        return found if self.device == "cpu" else found.pin_memory().to(self.device, non_blocking=True)

    @cached_property
    def encoder(self) -> Encoder:
        """The forward pass for inference, prepared when it is first asked for."""
        return prepare(self.model, self.precision)

    def at_once(self, length: int, asked: BatchSize = "auto") -> int:
        """Sequences of `length` residues per forward pass: as `asked`, or what fills the caches or the GPU's memory."""
        return asked if asked != "auto" else max(1, self._tokens_at_once // (length + 2))

    @cached_property
    def _tokens_at_once(self) -> int:
        if self.device == "cpu":
            return TOKENS
        # about 48 bytes per token and feature are alive within a layer; half of what is free stays free
        free, _ = torch.cuda.mem_get_info(self.device)
        return int(min(GPU_TOKENS, free / 2 / (48 * self.width)))

    def hidden_states(self, sequences: Sequence[str], layer: int | None = None) -> Float[Tensor, "batch length width"]:
        """The states of the residues (no BOS, no EOS) after `layer`, in fp32.

        Layer 0 is the embedding; the default is the last one, after the final layer norm, as fair-esm counts them.
        """
        layer = self.layers if layer is None else layer
        if not 0 <= layer <= self.layers:
            raise LanguageModelError(f"{self.name} has layers 0 to {self.layers}, not {layer}")
        return self.encoder.hidden(self.tokens(sequences), layer)[:, 1:-1]

    def rows(self, batches: Iterable[Sequence[str]], *, pooled: bool) -> Iterator[Float[np.ndarray, "batch ..."]]:
        """Last states of each batch, on request their mean over the residues, in float32 in the processor's memory.

        From a GPU, a batch travels while the next one is computed.
        """
        travelling: Transfer | None = None
        for batch in batches:
            states = self.hidden_states(batch)
            sent = Transfer(states.mean(dim=1) if pooled else states)
            if travelling is not None:
                yield travelling.arrived()
            travelling = sent
        if travelling is not None:
            yield travelling.arrived()

    def log_probabilities(self, sequences: Sequence[str]) -> Float[Tensor, "batch length 20"]:
        """Log-softmax over the twenty amino acids (columns as in AMINO_ACIDS) at every residue, nothing masked."""
        return self._over_amino_acids(self.encoder.hidden(self.tokens(sequences))[:, 1:-1])

    def wild_type_marginals(self, wild_type: str) -> Float[Tensor, "length 20"]:
        """Log-probabilities at every residue with the whole wild type in sight: one forward pass."""
        return self.log_probabilities([wild_type])[0]

    def masked_marginals(self, wild_type: str, batch_size: BatchSize = "auto") -> Float[Tensor, "length 20"]:
        """Log-probabilities at every residue with that residue masked: one masked copy per residue, in batches."""
        tokens = self.tokens([wild_type])[0]
        positions = torch.arange(1, len(tokens) - 1, device=self.device)
        batches = torch.split(positions, self.at_once(len(wild_type), batch_size))
        return torch.cat([self._masked_at(tokens, batch) for batch in batches])

    @torch.no_grad()
    def attention(self, wild_type: str) -> Float[Tensor, "length length"]:
        """How much residues attend to one another, mean over all heads of all layers, symmetric: one forward pass.

        Each head's map is symmetrised, and what a residue attends to on average is taken off (average product
        correction), as Rao et al. 2021 do before their regression on contacts, whose weights ESM-2's files lack.
        """
        with autocast(self.device, self.precision):
            return attention(self.model, self.tokens([wild_type]))

    def _masked_at(self, tokens: Int[Tensor, " tokens"], positions: Int[Tensor, " batch"]) -> Float[Tensor, "batch 20"]:
        rows = torch.arange(len(positions), device=self.device)
        masked = tokens.repeat(len(positions), 1)
        masked[rows, positions] = ALPHABET.mask_idx
        return self._over_amino_acids(self.encoder.hidden(masked)[rows, positions])

    @torch.inference_mode()
    def _over_amino_acids(self, hidden: Float[Tensor, "*batch width"]) -> Float[Tensor, "*batch 20"]:
        columns = torch.from_numpy(AMINO_ACID_TOKENS).to(self.device)
        # log p(a | i) = z_ia - log sum_b exp z_ib, over the twenty amino acids only
        return torch.log_softmax(self.model.lm_head(hidden)[..., columns], dim=-1)


def _check_sequences(sequences: Sequence[str]) -> None:
    lengths = sorted({len(sequence) for sequence in sequences})
    if len(lengths) != 1 or lengths[0] == 0:
        raise LanguageModelError(f"sequences of one length above zero are needed, these have lengths {lengths}")
    if lengths[0] > MAX_LENGTH:
        raise LanguageModelError(
            f"a sequence of {lengths[0]} residues exceeds the {MAX_LENGTH} of ESM-2, and none is cut: state the domain "
            "that was mutated (region: [first, last] in the dataset's source), or ask methods without a language model"
        )
    for sequence in sequences:
        check_residues(sequence)


def locate(
    name: str, *, directory: Path | None, cache: Path | None, mirror: str | None, sha256: str | None
) -> tuple[Path, str | None]:
    """The file of ``mini``, a published checkpoint or a path, and the sha256 it must have; see `checkpoints.locate`."""
    if name == "mini":
        return MINI, sha256 or MINI_SHA256
    return checkpoints.locate(name, directory=directory, cache=cache, mirror=mirror, sha256=sha256)


def load(
    name: str,
    *,
    directory: Path | None = None,
    cache: Path | None = None,
    mirror: str | None = None,
    sha256: str | None = None,
    precision: Asked = "fp32",
    device: str = "cpu",
) -> LanguageModel:
    """Load ``mini`` (shipped with the package), a checkpoint of `checkpoints.CHECKPOINTS` or a .pt/.safetensors file.

    A named checkpoint is looked for as `directory`/NAME.pt, then downloaded to `cache` and verified. `precision`
    auto is settled here. Raises CheckpointError with the remedy.
    """
    device = _device(device)
    path, expected = locate(name, directory=directory, cache=cache, mirror=mirror, sha256=sha256)
    model, found = checkpoints.read(path, expected)
    return LanguageModel(name, found, model.to(device), resolved(precision, device), device)


def _device(device: str) -> str:
    """The device to run on; `auto` is cuda where torch finds it."""
    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        kind = torch.device(device).type
    except RuntimeError as error:
        raise LanguageModelError(f"no device {device!r}; set device to cpu or cuda") from error
    if kind == "cuda" and not torch.cuda.is_available():
        raise LanguageModelError(f"device {device!r}: this torch finds no CUDA GPU; set device to cpu")
    return device
