"""Embedding: residues per second beside fair-esm's script and Hugging Face, at ESM-2's published shapes.

Weights are random (their values do not change the work) and the same in all ways. On a processor nine cells: 8M, 35M
and 150M at lengths 56, 160 and 500; in fp32 alone where it has no bf16 units and would emulate them. On a GPU, where
torch finds one, 650M at 200, 350 and 500: the same command.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

import esm
import numpy as np
import torch
from scipy.spatial.distance import pdist
from scipy.stats import spearmanr

from multimep.encoder import prepare
from multimep.language_model import LanguageModel
from multimep.mutations import AMINO_ACIDS
from multimep.precision import has_fast_bf16
from speed.embedding_peers import Embed, fair_esm, has_hugging_face, hugging_face
from speed.machine import Machine
from speed.timing import Measured, Point, Ratio, Row, in_turns, ratio

STAGE = "embedding"
SHAPES = {"8M": (6, 320, 20), "35M": (12, 480, 20), "150M": (30, 640, 20), "650M": (33, 1280, 20)}
"""Layers, width and heads of ESM-2's published models."""
TOKENS = {"8M": 2048, "35M": 1024, "150M": 512, "650M": 65536}
"""Tokens embedded per cell: enough to be timed, few enough for the stage to end in about five minutes."""
FEWEST_FOR_DISTANCES = 6
SCRIPT, AUTOCAST = "fair-esm's script, fp32", "fair-esm's script, autocast bf16"
FACE = {"fp32": "Hugging Face SDPA, fp32", "bf16": "Hugging Face SDPA, bf16"}
OURS = {"fp32": "ours, fp32", "bf16": "ours, bf16"}
COMPILED = "ours, bf16, torch.compile"


@dataclass(frozen=True)
class Cell:
    """One shape and length: the seconds of every way in every round, and what they gave."""

    shape: str
    length: int
    sequences: int
    seconds: Mapping[str, tuple[float, ...]]
    results: Mapping[str, np.ndarray]

    @property
    def work(self) -> str:
        """In words."""
        return f"{self.shape}, length {self.length}, {self.sequences} sequences"

    @property
    def operations(self) -> float:
        """2 per weight and token, and 4 w per pair of tokens and layer for attention; no embedding, no head."""
        layers, width, _ = SHAPES[self.shape]
        tokens = self.length + 2
        return self.sequences * tokens * layers * (24.0 * width**2 + 4.0 * width * tokens)

    def row(self, ours: str, peer: str, rates: Mapping[str, float], asked: float | None = None) -> Row:
        """Ours beside a peer; where `peer` names several, the fastest of each round counts."""
        peers, mine = [self.seconds[name] for name in peer.split(" | ")], self.seconds[ours]
        fastest = tuple(min(one) for one in zip(*peers, strict=True))
        kind = "fp32" if ours == OURS["fp32"] else "bf16"
        return Row(
            STAGE,
            f"{self.work}, {ours}",
            peer.replace(" | ", " or "),
            median(mine),
            ratio(fastest, mine),
            asked,
            self.operations / median(mine) / rates[kind],
            f"{kind} matrix rate",
            exactness(self.results[ours], self.results[SCRIPT]),
        )


def measure(machine: Machine) -> Measured:
    """The GPU's cells where there is one, else the processor's."""
    if torch.cuda.is_available():
        rates = {"fp32": gpu_rate(torch.float32), "bf16": gpu_rate(torch.bfloat16)}
        cells = [cell("650M", length, "cuda", rounds=5, compiled=True) for length in (200, 350, 500)]
        return told(cells, rates, on_gpu=True)
    cells = [cell(shape, length, "cpu") for shape in ("8M", "35M", "150M") for length in (56, 160, 500)]
    return told(cells, {"fp32": machine.fp32, "bf16": machine.bf16}, on_gpu=False)


def told(cells: Sequence[Cell], rates: Mapping[str, float], *, on_gpu: bool) -> Measured:
    """Rows of every cell and peer, the medians over the cells, and the points of two curves."""
    faced = all(FACE["fp32"] in one.seconds for one in cells)
    best = next(name for name in (COMPILED, OURS["bf16"], OURS["fp32"]) if all(name in one.seconds for one in cells))
    pairs: list[tuple[str, str, float | None, float | None]] = []
    if best != OURS["fp32"]:
        pairs += [(best, SCRIPT, None, 10.0 if on_gpu else 4.0), (best, AUTOCAST, None, None)]
        pairs += [(best, FACE["bf16"], None, 1.25)] if faced else []
    pairs += [(OURS["fp32"], SCRIPT, None, None)]
    pairs += [(OURS["fp32"], f"{SCRIPT} | {FACE['fp32']}", 1.3, None)] if faced else []
    pairs += [(OURS["bf16"], SCRIPT, None, None)] if best == COMPILED else []
    rows = [one.row(ours, peer, rates, asked) for one in cells for ours, peer, asked, _ in pairs]
    medians = [_median(ours, [one.row(ours, peer, rates) for one in cells], asked) for ours, peer, _, asked in pairs]
    note = () if faced else (_left_out(),)
    return Measured((*rows, *medians, *note), tuple(_points(cells, best)))


def _median(ours: str, rows: Sequence[Row], asked: float | None) -> Row:
    ratios = [row.ratio.median for row in rows]
    spread = Ratio(median(ratios), min(ratios), max(ratios))
    share = median(row.share for row in rows if row.share is not None)
    work = f"median of {len(rows)} cells, {ours}"
    return Row(STAGE, work, rows[0].peer, median(row.seconds for row in rows), spread, asked, share, rows[0].limit)


def _left_out() -> Row:
    nothing = float("nan")
    why = "left out: transformers is not installed (pip install --group bench)"
    return Row(STAGE, why, "Hugging Face SDPA", nothing, Ratio(nothing, nothing, nothing))


def _points(cells: Sequence[Cell], ours: str) -> list[Point]:
    found = []
    for one in cells:
        seconds = median(one.seconds[ours]) / one.sequences
        found.append(Point(STAGE, f"one sequence by its length ({one.shape}, {ours})", one.length, seconds))
        layers, width, _ = SHAPES[one.shape]
        curve = f"one sequence by weights in the layers (length {one.length}, {ours})"
        found.append(Point(STAGE, curve, 12.0 * layers * width**2, seconds))
    return found


def cell(shape: str, length: int, device: str, *, rounds: int = 3, compiled: bool = False) -> Cell:
    """Time every way in turns on mutants of one random protein."""
    sequences = mutants(length, max(1, TOKENS[shape] // (length + 2)))
    ways = ways_of(SHAPES[shape], device, compiled=compiled)
    results = {name: way(sequences).numpy() for name, way in ways.items()}  # also the warm-up
    timed = {name: (lambda way=way: way(sequences)) for name, way in ways.items()}
    return Cell(shape, length, len(sequences), in_turns(timed, rounds, warm=0), results)


def ways_of(
    shape: tuple[int, int, int], device: str, *, halves: bool | None = None, compiled: bool = False
) -> dict[str, Embed]:
    """Every way of embedding with the same random weights, by its name; in bf16 if asked, or else where it is fast."""
    torch.manual_seed(0)
    model = esm.ESM2(*shape).eval().requires_grad_(False).to(device)
    plain, half = (LanguageModel("random", "", model, precision, device) for precision in ("fp32", "bf16"))
    ways = {SCRIPT: fair_esm(model, device, autocast=False), OURS["fp32"]: _ours(plain)}
    if has_hugging_face():
        ways[FACE["fp32"]] = hugging_face(plain, torch.float32)
    if not (has_fast_bf16(device) if halves is None else halves):
        return ways
    ways |= {AUTOCAST: fair_esm(model, device, autocast=True), OURS["bf16"]: _ours(half)}
    if has_hugging_face():
        ways[FACE["bf16"]] = hugging_face(half, torch.bfloat16)
    if compiled:
        quick = LanguageModel("random", "", model, "bf16", device)
        quick.__dict__["encoder"] = prepare(model, "bf16", compiled=True)  # a cached property
        ways[COMPILED] = _ours(quick)
    return ways


def _ours(model: LanguageModel) -> Embed:
    def embed(sequences: Sequence[str]) -> torch.Tensor:
        size = model.at_once(len(sequences[0]))
        batches = [sequences[start : start + size] for start in range(0, len(sequences), size)]
        return torch.from_numpy(np.concatenate(list(model.rows(batches, pooled=True))))

    return embed


def mutants(length: int, count: int) -> list[str]:
    """`count` mutants of one random protein, up to a quarter of its residues changed."""
    random = np.random.default_rng(length)
    wild_type = random.choice(list(AMINO_ACIDS), length)
    found = []
    for number in range(count):
        mutant = wild_type.copy()
        places = random.permutation(length)[: 1 + number % max(1, length // 4)]
        mutant[places] = random.choice(list(AMINO_ACIDS), len(places))
        found.append("".join(mutant))
    return found


def exactness(found: np.ndarray, reference: np.ndarray) -> str:
    """Relative error of the means in the norm, and Spearman of their pairwise distances, against fair-esm in fp32."""
    error = np.linalg.norm(found - reference) / np.linalg.norm(reference)
    words = f"error {error:.1e}"
    if len(found) < FEWEST_FOR_DISTANCES:
        return words
    return f"{words}, distances {spearmanr(pdist(found), pdist(reference)).statistic:.4f}"


def gpu_rate(kind: torch.dtype, side: int = 8192) -> float:
    """Operations per second of a large square matrix product on the GPU, median."""
    a, b = (torch.randn(side, side, device="cuda").to(kind) for _ in range(2))

    def product() -> None:
        torch.matmul(a, b)
        torch.cuda.synchronize()

    return 2 * side**3 / median(in_turns({"product": product}, rounds=9)["product"])
