"""Fine-tuning: variants a second beside fair-esm with a plain torch loop, at ESM-2's shapes with random weights.

The peer is the usual script: one fold, padded batches by fair-esm's converter, the whole model's forward in fp32 with
`repr_layers`, a linear head on the mean, AdamW unfused. We are `fine_tune` itself, from the copy of the model to the
trained one, its first epoch with the frozen prefix included. Both do the same epochs of the same rows and batches. We
train in bf16 where this machine has units for it. Last, several models of `mini`'s size as one batch beside one after
the other.
"""

import copy
import math
from dataclasses import dataclass, replace
from time import perf_counter

import esm
import numpy as np
import torch
from scipy.stats import spearmanr
from torch import nn

from multimep.dataset import Dataset, Variants
from multimep.fine_tuning import FineTuned, fine_tune, trunk_parameters
from multimep.language_model import ALPHABET, LanguageModel
from multimep.mutations import AMINO_ACIDS
from multimep.precision import Precision, resolved
from multimep.stacked_training import fine_tune_each
from multimep.training import Training
from speed.machine import Machine
from speed.timing import Measured, Point, Row, in_turns, ratio

STAGE = "fine-tuning"
SHAPES = {"8M": (6, 320, 20), "35M": (12, 480, 20), "150M": (30, 640, 20), "mini": (4, 160, 8)}
"""Layers, width and heads."""
LENGTH, ROWS, BATCH, EPOCHS = 150, 8, 8, 5
MODELS, RESIDUES, TAUGHT = 8, 56, 24
"""Of those that are trained as one batch: their number, residues of the protein, rows of each."""
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
PRECISION: Precision = resolved("auto", DEVICE)
FULL = Training(learning_rate=1e-4, epochs=2, precision=PRECISION)
LORA = replace(FULL, adapt="lora", learning_rate=1e-3)


@dataclass(frozen=True)
class Case:
    """One way of fine-tuning: its name, its settings, the ratio that is asked, and the shapes that it is timed at."""

    name: str
    settings: Training
    asked: float | None
    shapes: tuple[str, ...] = ("8M", "35M")


CASES = (
    Case("full", FULL, 4.0),
    Case("LoRA, all layers", LORA, None),
    Case("LoRA, last 2 layers", replace(LORA, layers=2, epochs=EPOCHS), 8.0, ("8M", "35M", "150M")),
    Case("last 2 layers", replace(FULL, layers=2, epochs=EPOCHS), 8.0, ("8M", "35M", "150M")),
)


def measure(machine: Machine) -> Measured:
    """Each case at both shapes; seconds of an epoch over the length of the protein and the size of the model."""
    asked = 8.0 if DEVICE == "cuda" else None
    rows = [_row(size, case, machine, asked) for case in CASES for size in case.shapes]
    rows += [_together(case) for case in CASES[:2]]
    lengths = [_point("tokens, 8M, full", length, "8M", length) for length in (62, 126, 254)]
    sizes = [_point("parameters, 126 tokens, full", _parameters(size), size, 126) for size in ("8M", "35M")]
    return Measured(tuple(rows), (*lengths, *sizes))


def _row(size: str, case: Case, machine: Machine, asked: float | None) -> Row:
    model, data = _model(size), _data(LENGTH, ROWS)
    ways = {
        "ours": lambda: _finished(ours(model, data, case.settings)),
        "peer": lambda: _finished(peer(model, data, case.settings)),
    }
    seconds = in_turns(ways, rounds=3, warm=1 if DEVICE == "cuda" else 0)
    middle = sorted(seconds["ours"])[1]
    here = machine.bf16 if PRECISION == "bf16" else machine.fp32
    limit = _matrix_rate() if DEVICE == "cuda" else here
    speed = f"{ROWS * case.settings.epochs / middle:.1f} variants/s"
    sizes = f"{LENGTH} residues, {ROWS} variants x {case.settings.epochs} epochs"
    work = f"{case.name}, {size}, {sizes}, {PRECISION}, {speed}"
    return Row(
        stage=STAGE,
        work=work,
        peer="fair-esm, torch loop, fp32",
        seconds=middle,
        ratio=ratio(seconds["peer"], seconds["ours"]),
        asked=asked or case.asked,
        share=_operations(model, case.settings) / middle / limit,
        limit=f"{PRECISION} matrix rate",
        exactness=_exactness(model, data, case.settings),
    )


def _together(case: Case) -> Row:
    """Several small models as one batch beside one after the other; each way has a copy of the model for itself."""
    model, settings = _model("mini"), replace(case.settings, epochs=3)
    trains = [_data(RESIDUES, TAUGHT, seed) for seed in range(MODELS)]

    def trained(at_once: int) -> list[FineTuned]:
        own = replace(model, model=copy.deepcopy(model.model))
        return [one() for one in fine_tune_each(own, trains, settings, at_once, 0)]

    ways = {"ours": lambda: _finished(trained(MODELS)), "alone": lambda: _finished(trained(1))}
    seconds = in_turns(ways, rounds=5)
    found, alone = (
        np.concatenate([one.predict(part.variants) for one, part in zip(trained(at_once), trains, strict=True)])
        for at_once in (MODELS, 1)
    )
    error = float(np.linalg.norm(found - alone) / np.linalg.norm(alone - alone.mean()))
    return Row(
        stage=STAGE,
        work=f"{MODELS} models of mini's size as one batch, {case.name}, {TAUGHT} variants x 3 epochs, {PRECISION}",
        peer="the same, one after the other",
        seconds=sorted(seconds["ours"])[2],
        ratio=ratio(seconds["alone"], seconds["ours"]),
        exactness=f"error {error:.1e}, Spearman {spearmanr(found, alone).statistic:.4f}",
    )


def ours(model: LanguageModel, data: Dataset, settings: Training) -> FineTuned:
    """The package's own training, of a model that it has not seen before: no prefix is kept with it."""
    return fine_tune(replace(model, model=copy.deepcopy(model.model)), [data], settings, 0)


def _finished(result: object) -> object:
    if DEVICE == "cuda":
        torch.cuda.synchronize()
    return result


def _matrix_rate() -> float:
    a = torch.randn(8192, 8192, device=DEVICE, dtype=torch.bfloat16)
    spent = in_turns({"product": lambda: _finished(a @ a)}, rounds=9)["product"]
    return float(2 * 8192**3 / sorted(spent)[4])


def peer(model: LanguageModel, data: Dataset, settings: Training) -> list[float]:
    """The losses of a plain loop over the same rows, always the whole model: it knows no prefix."""
    network = copy.deepcopy(model.model)
    head = nn.Linear(network.embed_dim, 1).to(DEVICE)
    convert = ALPHABET.get_batch_converter()
    optimiser = torch.optim.AdamW([*network.parameters(), *head.parameters()], lr=1e-4, foreach=False, fused=False)
    targets = torch.tensor((data.fitness - data.fitness.mean()) / data.fitness.std(), dtype=torch.float32)
    pairs, random, losses = list(zip(data.variants.mutants, data.variants.sequences, strict=True)), np.random, []
    last = network.num_layers
    for _ in range(settings.epochs):
        for rows in np.array_split(random.permutation(len(pairs)), math.ceil(len(pairs) / BATCH)):
            _, _, tokens = convert([pairs[row] for row in rows])
            states = network(tokens.to(DEVICE), repr_layers=[last])["representations"][last]
            found = head(states[:, 1:-1].mean(dim=1))[:, 0]
            loss = nn.functional.mse_loss(found, targets[rows].to(DEVICE))
            loss.backward()
            optimiser.step()
            optimiser.zero_grad()
            losses.append(loss.item())
    return losses


def _operations(model: LanguageModel, settings: Training) -> float:
    # matrix products of what must be run: forward 2 P per token and 4 w per pair of tokens and layer; backward twice
    # that (once, where weights are frozen), for the layers that learn; the others once forward
    tokens = LENGTH + 2
    layers = sum(value.numel() for name, value in model.model.named_parameters() if name.startswith("layers."))
    forward = ROWS * tokens * (2.0 * layers + 4.0 * model.layers * model.width * tokens)
    share = settings.layers / model.layers if settings.layers else 1.0
    passes = 2.0 if settings.adapt == "lora" else 3.0
    return forward * (settings.epochs * passes * share + (1 - share))


def _exactness(model: LanguageModel, data: Dataset, settings: Training) -> str:
    if PRECISION == "fp32":
        return "fp32"
    half, full = (
        ours(model, data, replace(settings, precision=precision)).predict(data.variants)
        for precision in (PRECISION, "fp32")
    )
    error = float(np.linalg.norm(half - full) / np.linalg.norm(full - full.mean()))
    return f"bf16 to fp32 after training: error {error:.1e}, Spearman {spearmanr(half, full).statistic:.4f}"


def _point(curve: str, size: float, shape: str, tokens: int) -> Point:
    model, data = _model(shape), _data(tokens - 2, BATCH)
    _ = ours(model, data, FULL)
    began = perf_counter()
    _finished(ours(model, data, FULL))
    return Point(STAGE, curve, size, perf_counter() - began)


def _parameters(size: str) -> int:
    return sum(value.numel() for value in trunk_parameters(_model(size).model).values())


def _model(size: str) -> LanguageModel:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = esm.ESM2(*SHAPES[size]).eval().to(DEVICE)
    return LanguageModel(size, size, model, "fp32", DEVICE)


def _data(length: int, rows: int, seed: int = 0) -> Dataset:
    random = np.random.default_rng(seed)
    letters = random.choice(list(AMINO_ACIDS), length)
    sites = random.permutation(length)[:rows] + 1
    mutants = tuple(f"{letters[i - 1]}{i}{AMINO_ACIDS[AMINO_ACIDS.index(letters[i - 1]) - 1]}" for i in sites)
    variants = Variants("simulated", "".join(letters), mutants)
    return Dataset(variants, random.normal(size=rows), np.full(rows, np.nan), np.ones(rows, np.int64))
