"""What packing is worth on ProteinGym's 217 substitution assays: python benchmarks/packing.py --reference PATH.

PATH is ProteinGym's reference file, DMS_substitutions.csv (columns DMS_id, seq_len, DMS_total_number_mutants); without
it, 217 assays drawn by a seed. Prints the tables of docs/cluster.md. Durations follow from the assumptions in
`Assumed`, not from measurements: a study of realistic size and unevenness, no forecast for a machine.
"""

import argparse
import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from multimep.cluster_replay import Cluster, Replay, actual, jobs_of, one_by_one, replay
from multimep.packing import Limits, Piece, Shard, pack, pack_waves

GPUS = 1, 2, 4, 8, 16, 32, 64
SEEDS = range(10)
Assays = Mapping[str, tuple[int, int]]  # name -> residues, variants


@dataclass(frozen=True)
class Assumed:
    """ESM-2 650M on an H100, fine-tuned in bf16; Gaussian processes in double precision on the same GPU."""

    parameters: float = 6.5e8
    flops: float = 400e12 * 0.3  # reachable dense bf16 x utilisation: batches of 8 proteins fill a GPU badly
    epochs: int = 20
    residues: int = 1022  # ESM-2's window: longer proteins are cropped to a region
    training_cap: int = 2000  # rows per fold
    test_cap: int = 2000  # variants that are asked, per fold
    sizes: tuple[int, ...] = (24, 96, 384)
    repeats: int = 5  # seeds per size, and folds of the random split
    model_gib: float = 12.0  # weights, gradients and AdamW's moments in fp32: 16 bytes per parameter, and CUDA's own
    gp_flops: float = 5e12  # Cholesky factorisations of small matrices
    gp_steps: int = 500  # evaluations of the evidence
    gp_least: float = 2.0  # seconds per fit whatever its size


def folds(variants: int, scheme: str, assumed: Assumed) -> list[tuple[int, int]]:
    """Training rows and asked variants of every fold."""
    if scheme == "random":
        asked = variants // assumed.repeats
        return [(min(variants - asked, assumed.training_cap), min(asked, assumed.test_cap))] * assumed.repeats
    asked = min(round(0.3 * variants), assumed.test_cap)
    return [(size, asked) for size in assumed.sizes if size <= 0.7 * variants for _ in range(assumed.repeats)]


def fine_tuning(residues: int, rows: int, asked: int, assumed: Assumed) -> float:
    """Seconds: 6 FLOPs per parameter and token to learn from, 2 to predict (Kaplan et al., arXiv:2001.08361)."""
    tokens = min(residues, assumed.residues) + 2
    return (6 * assumed.epochs * rows + 2 * asked) * tokens * assumed.parameters / assumed.flops


def gaussian_process(residues: int, rows: int, asked: int, assumed: Assumed) -> float:
    """Seconds: n^3 / 3 per factorisation; its embeddings are in the store already."""
    return assumed.gp_least + assumed.gp_steps * rows**3 / 3 / assumed.gp_flops


METHODS = {"fine_tune": fine_tuning, "embedding_gp": gaussian_process, "transmep": gaussian_process}


def study(assays: Assays, assumed: Assumed) -> tuple[list[Piece], dict[str, int]]:
    """Every (assay, split, method) as a piece, and how many fits each holds."""
    pieces, fits = [], {}
    for assay, (residues, variants) in assays.items():
        for scheme in ("low_n", "random"):
            cut = folds(variants, scheme, assumed)
            for method, seconds_of in METHODS.items() if cut else ():
                name = f"{assay}/{scheme}/{method}"
                seconds = math.fsum(seconds_of(residues, rows, asked, assumed) for rows, asked in cut)
                pieces.append(Piece(name, seconds, assumed.model_gib if method == "fine_tune" else 4.0))
                fits[name] = len(cut)
    return pieces, fits


def drawn(number: int = 217, seed: int = 0) -> Assays:
    """Assays of log-normal length (50 to 1000 residues) and size (100 to 10000 variants)."""
    source = random.Random(seed)
    return {
        f"assay{i:03}": (
            round(min(max(source.lognormvariate(5.4, 0.8), 50), 1000)),
            round(min(max(source.lognormvariate(7.6, 0.9), 100), 10000)),
        )
        for i in range(number)
    }


def read(reference: Path) -> Assays:
    table = pd.read_csv(reference, usecols=["DMS_id", "seq_len", "DMS_total_number_mutants"])
    return {row.DMS_id: (int(row.seq_len), int(row.DMS_total_number_mutants)) for row in table.itertuples(index=False)}


@dataclass(frozen=True)
class Way:
    """A way to submit the study, at one error of the predictions; each number is the mean over the seeds."""

    name: str
    sigma: float
    runs: tuple[Replay, ...]

    def row(self) -> str:
        def mean(values: Sequence[float]) -> float:
            return math.fsum(values) / len(values)

        first, ratio = self.runs[0], [run.makespan / run.bound for run in self.runs]
        cells = (
            f"{first.gpus}", self.name, f"{self.sigma:g}", f"{first.allocations}",
            f"{mean([run.makespan for run in self.runs]) / 3600:.2f}",
            f"{100 * mean([run.busy for run in self.runs]):.1f}", f"{mean(ratio):.3f}", f"{max(ratio):.3f}",
            f"{mean([run.gpu_hours for run in self.runs]):.1f}",
        )  # fmt: skip
        return f"| {' | '.join(cells)} |"


HEAD = """| GPUs | way | error | allocations | makespan, h | busy, % | makespan / bound | worst | GPU-hours |
| ---: | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |"""


def waves(pieces: list[Piece], gpus: int, limits: Limits, share: float) -> list[Shard]:
    return [shard for wave in pack_waves(pieces, limits, gpus, share, seconds_to_solve=0) for shard in wave.shards]


def compare(pieces: list[Piece], fits: dict[str, int], gpus: int, limits: Limits, *, rules: bool) -> list[Way]:
    """Waves against one job per piece or fit, or (`rules`) against other numbers of shards and other shares."""
    shards = {"waves": waves(pieces, gpus, limits, 0.4)}
    if rules:
        equal = {f"{k} equal per GPU": pack(pieces, limits, k * gpus, seconds_to_solve=0).shards for k in (1, 2, 4, 8)}
        shares = {f"waves, share {share}": waves(pieces, gpus, limits, share) for share in (0.25, 0.4, 0.5, 0.65, 0.8)}
        shards = equal | shares
    cluster, found = Cluster(gpus, start=limits.start), []
    for sigma, seeds in ((0.0, SEEDS[:1]), (0.2, SEEDS)):
        truths = [actual(pieces, sigma, seed) for seed in seeds]
        jobs = {name: [jobs_of(group, truth) for truth in truths] for name, group in shards.items()}
        singly = {} if rules else {"one job per piece": dict.fromkeys(fits, 1), "one job per fit": fits}
        alone = {name: [one_by_one(truth, parts) for truth in truths] for name, parts in singly.items()}
        found += [
            Way(name, sigma, tuple(replay(run, cluster) for run in runs)) for name, runs in (jobs | alone).items()
        ]
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--reference", type=Path)
    given = parser.parse_args()
    assays, assumed, limits = read(given.reference) if given.reference else drawn(), Assumed(), Limits(24 * 3600, 94)
    pieces, fits = study(assays, assumed)
    work = math.fsum(piece.seconds for piece in pieces)
    longest = max(pieces, key=lambda piece: piece.seconds)
    print(
        f"{len(assays)} assays, {len(pieces)} pieces, {sum(fits.values())} fits, {work / 3600:.1f} GPU-hours of work;"
    )
    print(f"longest piece: {longest.name}, {longest.seconds / 60:.0f} minutes")
    for title, gpus, rules in (("Packed or not", GPUS, False), ("How to pack", (4, 16, 64), True)):
        print(f"\n{title}\n\n{HEAD}")
        for number in gpus:
            print("\n".join(way.row() for way in compare(pieces, fits, number, limits, rules=rules)))


if __name__ == "__main__":
    main()
