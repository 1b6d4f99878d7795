"""Masked-language-model pre-training of a small ESM-2 from a FASTA file: how the shipped `mini` was made.

The recipe is ESM-2's (Lin et al., Science 379, 1123, 2023) without its scale. Batch number `step` is a pure function of
the corpus, the settings and `step`, so a run that was interrupted continues as if it had not been.
"""

import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import esm
import numpy as np
import safetensors
import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor
from torch.nn import functional

from multimep import checkpoints, seals
from multimep.corpus import IS_AMINO_ACID, Corpus, corrupt, crops, read_corpus
from multimep.forward_pass import autocast, encode
from multimep.language_model import ALPHABET, AMINO_ACID_TOKENS, MAX_LENGTH
from multimep.precision import Precision

_COLUMN_OF_TOKEN = np.zeros(len(ALPHABET.all_toks), np.int64)
_COLUMN_OF_TOKEN[AMINO_ACID_TOKENS] = np.arange(20)


class PretrainingError(ValueError):
    """An interrupted run that does not fit the settings; the message names both sides."""


@dataclass(frozen=True)
class PretrainingSettings:
    """The architecture, the schedule and the seed of one pre-training run.

    Attributes:
        layers: Transformer layers; 4 keep fine-tuning on two cores a matter of minutes.
        width: Features per residue; 160 gives 1.3 million parameters.
        heads: Attention heads; 32 features per head, as in the larger ESM-2 models.
        steps: Optimiser steps; as many as about an hour on two cores gives. More are better: the corpus is not used up.
        tokens_per_batch: Tokens in a batch (15 % of them give a gradient). Small, because early learning on one
            machine is limited by the number of steps.
        crop_lengths: Tokens per crop; every batch has one length, so nothing is padded. Mostly short, because
            attention costs the square; the long ones teach distances beyond a crop.
        crop_weights: How often each crop length is drawn.
        learning_rate: Peak of the schedule; small models bear more than ESM-2's 4e-4.
        warmup: Steps of linear warm-up.
        decay: Share of the steps, at the end, over which the rate falls linearly to zero. Large, because the
            gradients of so small a model are mostly noise: at a fifth of the rate the loss fell by 0.01 nats within
            a hundred steps. Constant before, so that a run may be lengthened until then.
        weight_decay: AdamW's, on matrices only; ESM-2's value.
        clip: Largest norm of a gradient.
        seed: Of the initial weights, the crops and the masks.
        precision: Of matrix products; bf16 where the processor has it.
        device: Torch device.
        save_every: Steps between two checkpoints of the run.
        report_every: Steps between two lines of progress.
    """

    layers: int = 4
    width: int = 160
    heads: int = 5
    steps: int = 6000
    tokens_per_batch: int = 4096
    crop_lengths: tuple[int, ...] = (64, 128, 256)
    crop_weights: tuple[float, ...] = (0.15, 0.6, 0.25)
    learning_rate: float = 3e-3
    warmup: int = 300
    decay: float = 0.58
    weight_decay: float = 0.01
    clip: float = 1.0
    seed: int = 0
    precision: Precision = "bf16"
    device: str = "cpu"
    save_every: int = 200
    report_every: int = 50

    def rate(self, step: int) -> float:
        """The learning rate of step `step` (from 0): warm-up, plateau, linear decay to zero."""
        # eta * min(1, (t + 1) / warmup, (T - t) / (decay T))
        return self.learning_rate * min(1.0, (step + 1) / self.warmup, (self.steps - step) / (self.decay * self.steps))


@dataclass(frozen=True)
class Batch:
    """Corrupted tokens, the flat positions that are asked for, and what stood there."""

    tokens: Int[Tensor, "batch length"]
    asked: Int[Tensor, " asked"]
    truth: Int[Tensor, " asked"]


def batch(corpus: Corpus, settings: PretrainingSettings, step: int) -> Batch:
    """Batch number `step`: crops of one length, corrupted; a function of its arguments alone."""
    random = np.random.default_rng([settings.seed, step])
    weights = np.array(settings.crop_weights)
    length = int(random.choice(settings.crop_lengths, p=weights / weights.sum()))
    true = crops(corpus, length, settings.tokens_per_batch // length, random)
    corrupted, asked = corrupt(true, random)
    positions = np.flatnonzero(asked)
    return Batch(*map(torch.from_numpy, (corrupted, positions, true.ravel()[positions])))


def loss(model: esm.ESM2, data: Batch, settings: PretrainingSettings) -> Float[Tensor, ""]:
    """Mean cross-entropy in nats over the asked positions."""
    with autocast(settings.device, settings.precision):
        hidden = encode(model, data.tokens.to(settings.device)).flatten(0, 1)
        logits = model.lm_head(hidden[data.asked.to(settings.device)])
    return functional.cross_entropy(logits.float(), data.truth.to(settings.device))


def pretrain(
    train: Path,
    valid: Path,
    output: Path,
    settings: PretrainingSettings,
    log: Callable[[str], None] = print,
) -> Path:
    """Train on `train`, continuing the run in `output` if there is one; returns the fp16 weights, ready for `load`.

    Also writes `evaluation.json`: accuracy and perplexity on `valid` of the weights as stored. Raises PretrainingError
    if `output` holds a run with other settings.
    """
    corpus = read_corpus(train)
    run = output / "run.safetensors"
    model, optimiser, start = resume(run, settings)
    clock, losses = time.perf_counter(), []
    for step in range(start, settings.steps):
        losses.append(_learn(model, optimiser, batch(corpus, settings, step), settings, step))
        if (step + 1) % settings.report_every == 0:
            speed = len(losses) * settings.tokens_per_batch / (time.perf_counter() - clock)
            log(f"step {step + 1}/{settings.steps} loss {np.mean(losses):.4f} nats, {speed:.0f} tokens/s")
            clock, losses = time.perf_counter(), []
        if (step + 1) % settings.save_every == 0 or step + 1 == settings.steps:
            save(run, model, optimiser, settings, step + 1)
    weights = output / "model.safetensors"
    checkpoints.write(model, weights, output.name)
    evaluation = evaluate(checkpoints.read(weights)[0], read_corpus(valid), corpus.frequencies)
    (output / "evaluation.json").write_text(json.dumps(asdict(evaluation), indent=2) + "\n")
    log(str(evaluation))
    return weights


def _learn(
    model: esm.ESM2, optimiser: torch.optim.Optimizer, data: Batch, settings: PretrainingSettings, step: int
) -> float:
    for group in optimiser.param_groups:
        group["lr"] = settings.rate(step)
    value = loss(model, data, settings)
    value.backward()  # type: ignore[no-untyped-call]
    torch.nn.utils.clip_grad_norm_(model.parameters(), settings.clip)
    optimiser.step()
    optimiser.zero_grad()
    return float(value.detach())


def initialise(settings: PretrainingSettings) -> tuple[esm.ESM2, torch.optim.AdamW]:
    """A fresh model (fair-esm's layers; embeddings so small that the first guesses are near uniform) and its AdamW."""
    torch.manual_seed(settings.seed)
    model = esm.ESM2(settings.layers, settings.width, settings.heads)
    torch.nn.init.normal_(model.embed_tokens.weight, std=0.05)
    model.contact_head.requires_grad_(False)
    weights = [weight for weight in model.to(settings.device).parameters() if weight.requires_grad]
    groups = [
        {"params": [weight for weight in weights if weight.ndim >= 2], "weight_decay": settings.weight_decay},
        {"params": [weight for weight in weights if weight.ndim < 2], "weight_decay": 0.0},
    ]
    return model, torch.optim.AdamW(groups, settings.learning_rate, betas=(0.9, 0.98), eps=1e-8, fused=True)


def save(path: Path, model: esm.ESM2, optimiser: torch.optim.AdamW, settings: PretrainingSettings, step: int) -> None:
    """Write the whole state of a run after `step` steps: weights, AdamW's moments, settings. Nothing else is state."""
    moments = optimiser.state_dict()["state"]
    tensors = {f"model.{key}": value for key, value in model.state_dict().items() if key != "lm_head.weight"}
    tensors |= {f"{index}.{key}": value for index, values in moments.items() for key, value in values.items()}
    tensors = {key: value.detach().cpu().contiguous() for key, value in tensors.items()}
    facts = {"step": step, "settings": asdict(settings)}
    checkpoints.write_tensors(path, tensors, {"run": json.dumps(facts)}, seals.sealed)


def resume(path: Path, settings: PretrainingSettings) -> tuple[esm.ESM2, torch.optim.AdamW, int]:
    """The model, the optimiser and the number of steps already done: those of the run in `path`, or a fresh start.

    `steps` and `decay` may differ from the interrupted run's as long as the rates of the steps done are the same.
    """
    model, optimiser = initialise(settings)
    if not path.is_file():
        return model, optimiser, 0
    facts, state = _read(path)
    step = int(facts["step"])
    _check_same_run(path, PretrainingSettings(**_tuples(facts["settings"])), settings, step)
    weights = {key.removeprefix("model."): value for key, value in state.items() if key.startswith("model.")}
    model.load_state_dict({**weights, "lm_head.weight": weights["embed_tokens.weight"]})
    moments: dict[int, dict[str, Tensor]] = {}
    for key, value in state.items():
        index, _, name = key.partition(".")
        if index != "model":
            moments.setdefault(int(index), {})[name] = value
    optimiser.load_state_dict({"state": moments, "param_groups": optimiser.state_dict()["param_groups"]})
    return model, optimiser, step


def _read(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    seals.check(path, PretrainingError)
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            return json.loads(file.metadata()["run"]), {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    except (safetensors.SafetensorError, KeyError, TypeError, AttributeError, ValueError) as error:
        raise PretrainingError(
            f"{path}: no run can be continued from it ({error}); delete the file, and pre-training starts anew"
        ) from error


def _tuples(values: dict[str, Any]) -> dict[str, Any]:
    return {key: tuple(value) if isinstance(value, list) else value for key, value in values.items()}


def _check_same_run(path: Path, old: PretrainingSettings, new: PretrainingSettings, step: int) -> None:
    free = {name: getattr(old, name) for name in ("steps", "decay", "save_every", "report_every", "device")}
    if replace(new, **free) != old or any(old.rate(t) != new.rate(t) for t in range(step)):
        raise PretrainingError(
            f"{path} holds {step} steps of {old}, which {new} does not continue; "
            "give its settings or another output directory"
        )


@dataclass(frozen=True)
class Evaluation:
    """Masked prediction of held-out sequences: `accuracy` in [0, 1], `perplexity` in amino acids (20: uniform guess).

    The unigram baseline guesses from the amino acids' frequencies in the training set.
    """

    sequences: int
    residues: int
    accuracy: float
    perplexity: float
    unigram_accuracy: float
    unigram_perplexity: float


@torch.no_grad()
def evaluate(model: esm.ESM2, corpus: Corpus, frequencies: Float[np.ndarray, " 20"], seed: int = 0) -> Evaluation:
    """Mask 15 % of the residues of every sequence (all by the mask token, the same ones for every model) and ask.

    Only the twenty amino acids are candidates; of a sequence beyond 1022 residues, the first 1022 are used.
    """
    random = np.random.default_rng(seed)
    parts = [_ask(model, tokens, random) for tokens in np.split(corpus.tokens, corpus.starts[1:-1])]
    guesses = np.concatenate([guess for guess, _ in parts])
    truth = np.concatenate([true for _, true in parts])
    with np.errstate(divide="ignore"):  # an amino acid never seen in training has log-probability minus infinity
        unigram = np.broadcast_to(np.log(frequencies), guesses.shape)
    (accuracy, perplexity), (unigram_accuracy, unigram_perplexity) = _quality(guesses, truth), _quality(unigram, truth)
    return Evaluation(len(parts), len(truth), accuracy, perplexity, unigram_accuracy, unigram_perplexity)


def _ask(
    model: esm.ESM2, tokens: UInt8[np.ndarray, " length"], random: np.random.Generator
) -> tuple[Float[np.ndarray, "asked 20"], Int[np.ndarray, " asked"]]:
    true = tokens[: MAX_LENGTH + 2].astype(np.int64)
    asked = np.flatnonzero(IS_AMINO_ACID[true] & (random.random(len(true)) < 0.15))
    masked = true.copy()
    masked[asked] = ALPHABET.mask_idx
    logits = model.lm_head(encode(model, torch.from_numpy(masked)[None])[0, asked])[:, AMINO_ACID_TOKENS]
    return torch.log_softmax(logits, dim=-1).numpy(), _COLUMN_OF_TOKEN[true[asked]]


def _quality(guesses: Float[np.ndarray, "asked 20"], truth: Int[np.ndarray, " asked"]) -> tuple[float, float]:
    # accuracy = mean [argmax p = a]; perplexity = exp(- mean log p(a))
    nats = -guesses[np.arange(len(truth)), truth]
    return float(np.mean(guesses.argmax(-1) == truth)), float(np.exp(nats.mean(dtype=np.float64)))
