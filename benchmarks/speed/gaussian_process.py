"""Gaussian processes: TransMEP's criterion, leave-one-out, distances, many small fits, hundreds of thousands of rows.

Peers: TransMEP's grid search and distances written from its published algorithm with its cost structure (holdouts and
their distances gathered once for a batch of holdouts, then for every length scale an exponential and for every noise
level a batched Cholesky factorisation, its solution and the error), and gpytorch's ExactGP under Adam. A peer that
would take hours is timed on a sample of its equal pieces and scaled up; the row says so.
"""

import json
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import gpytorch
import numpy as np
import torch

from multimep.batched_evidence import select_many
from multimep.gaussian_process import condition, log_evidence, select, squared_distances
from multimep.holdout import holdout_errors, holdouts, leave_one_out_errors
from multimep.inducing_points import project
from speed.machine import Machine
from speed.timing import Measured, Point, Ratio, Row, in_turns, ratio

STAGE = "gaussian process"
ROWS, HELD, REPEATS, STEPS = 425, 43, 1000, 50
"""Of TransMEP's own example, and of its grid."""
SMALL, FITS = 96, 1000
ROUNDS = 3


def measure(machine: Machine) -> Measured:
    """All rows of this stage, in about five minutes on two cores."""
    grid, scale = _grid(machine), _scale()
    return Measured((*grid, _distances(machine), *_many(machine), *scale.rows), scale.points)


def simulated(n: int, width: int = 160, length: int = 120, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Stand-ins for pooled embeddings of variants with one to four mutations, and a fitness that saturates."""
    random = np.random.default_rng(seed)
    decay = 1 / np.sqrt(1 + np.arange(width) / 8)
    site, kind, own = (random.normal(size=(*shape, width)) * decay for shape in ((length,), (20,), (length, 20)))
    cost = random.gamma(1.0, 1.0, length)[:, None] * np.abs(random.normal(1, 0.5, (length, 20)))
    site, kind, own = (part.astype(np.float32) for part in (site, kind, own))
    rows, energy, depth = np.zeros((n, width), dtype=np.float32), np.zeros(n), 1 + random.integers(0, 4, n)
    for mutation in range(4):
        at, to, there = random.integers(length, size=n), random.integers(20, size=n), depth > mutation
        weight = 0.09 * np.sqrt(cost[at, to]) * there
        rows += (site[at] + kind[to] / 2 + own[at, to] * 0.4) * weight[:, None].astype(np.float32)
        energy += cost[at, to] * there
    y = 1 / (1 + np.exp(energy - 3)) + 0.05 * random.normal(size=n)
    return np.tanh(rows), (y - y.mean()) / y.std(ddof=1)


def published(
    distances: torch.Tensor, y: torch.Tensor, alphas: np.ndarray, gammas: np.ndarray, held: np.ndarray
) -> np.ndarray:
    """The grid search as published, in the precision of the distances: a fit for every alpha, gamma and holdout."""
    n = len(y)
    taught = torch.tensor(np.stack([np.setdiff1d(np.arange(n), one) for one in held]))
    asked = torch.tensor(held)
    among = distances[taught[:, :, None], taught[:, None]].contiguous()
    across = distances[asked[:, :, None], taught[:, None]].contiguous()
    errors, unit = np.empty((len(alphas), len(gammas))), torch.eye(taught.shape[1], dtype=distances.dtype)
    for column, gamma in enumerate(gammas):
        kernel, cross = torch.exp(-gamma * among), torch.exp(-gamma * across)
        for row, alpha in enumerate(alphas):
            factor, failed = torch.linalg.cholesky_ex(kernel + alpha * unit)
            weights = torch.cholesky_solve(y[taught][..., None], factor)
            wrong = torch.mean((torch.matmul(cross, weights)[..., 0] - y[asked]) ** 2, dim=1)
            errors[row, column] = float("nan") if torch.count_nonzero(failed) else float(wrong.mean())
    return errors


def _grid(machine: Machine) -> list[Row]:
    features, y = simulated(ROWS)
    distances = squared_distances(features, features)
    alphas, gammas = np.geomspace(1e-4, 1e5, STEPS), np.geomspace(1e-3, 1e6, STEPS)
    held = holdouts(ROWS, 0.1, REPEATS, seed=0)
    few = (alphas[::10], gammas[::10], held[:20])
    timed = few[0].size * few[1].size * len(few[2])
    single, double = (torch.tensor(distances, dtype=kind) for kind in (torch.float32, torch.float64))
    seconds = in_turns(
        {
            "ours": lambda: holdout_errors(distances, y, alphas, gammas[::10], held[:256]),
            "fp32": lambda: published(single, torch.tensor(y, dtype=torch.float32), *few),
            "fp64": lambda: published(double, torch.tensor(y), *few),
            "leave-one-out": lambda: leave_one_out_errors(distances, y, alphas, gammas),
            "evidence": lambda: select_many([(distances, y)]),
        },
        ROUNDS,
    )
    theirs = published(double, torch.tensor(y), *few)
    apart = np.nanmax(np.abs(holdout_errors(distances, y, *few) / theirs - 1))
    whole = _times(seconds["ours"], 10 * REPEATS / 256)
    exact = f"scores of its code in fp64 within {apart:.0e} relative"
    work = f"TransMEP's criterion, n = {ROWS}, {STEPS} x {STEPS} grid, {REPEATS} holdouts"
    note = (
        f"(timed on {few[0].size * few[1].size * len(few[2])} of its 2.5 million fits, ours on a tenth of the scales)"
    )
    rows = [
        Row(
            STAGE,
            work,
            f"TransMEP's algorithm in {kind} {note}",
            _median(whole),
            ratio(_times(seconds[kind], STEPS * STEPS * REPEATS / timed), whole),
            asked,
            exactness=exact,
        )
        for kind, asked in (("fp32", 100.0), ("fp64", None))
    ]
    # an eigendecomposition with vectors is about 9 n^3 operations, and there are as many as length scales
    share = STEPS * 9 * ROWS**3 / _median(seconds["leave-one-out"]) / machine.fp64
    return [
        *rows,
        Row(STAGE, f"leave-one-out over that grid, n = {ROWS}", "the criterion above by us",
            _median(seconds["leave-one-out"]), ratio(whole, seconds["leave-one-out"]), None, share, "fp64 matrix rate",
            "asked: below 1 s"),
        Row(STAGE, f"selection by evidence, n = {ROWS}", "the criterion above by us", _median(seconds["evidence"]),
            ratio(whole, seconds["evidence"]), None, None, "", "asked: below 1 s"),
    ]  # fmt: skip


def _distances(machine: Machine) -> Row:
    """One-shot cdist, and the same in blocks of 100 rows of which those above the diagonal are computed."""
    rows = simulated(ROWS, 92_800)[0]
    held = torch.tensor(rows)

    def one_shot(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        return torch.cdist(a, b, compute_mode="donot_use_mm_for_euclid_dist") ** 2 / a.shape[1]

    def blocked() -> None:
        parts = held.split(100)
        for number, part in enumerate(parts):
            for other in parts[number:]:
                one_shot(part, other)

    ours = in_turns({"ours": lambda: squared_distances(rows, rows)}, ROUNDS)["ours"]
    theirs = in_turns({"blocked": blocked, "one-shot": lambda: one_shot(held, held)}, rounds=1, warm=0)
    apart = np.abs(squared_distances(rows, rows) - one_shot(held.double(), held.double()).numpy()).max()
    blocks, whole = (theirs[name][0] / np.array(ours) for name in ("blocked", "one-shot"))
    spread = Ratio(float(np.median(blocks)), float(blocks.min()), float(blocks.max()))
    share = ROWS**2 * rows.shape[1] / _median(ours) / machine.fp64
    peer = f"torch.cdist in blocks (one-shot: {np.median(whole):.1f} times)"
    return Row(STAGE, f"distances, n = {ROWS}, d = {rows.shape[1]:,}", peer, _median(ours), spread, None, share,
               "fp64 matrix rate", f"largest error {apart:.0e} of fp64 cdist")  # fmt: skip


class Plain(gpytorch.models.ExactGP):
    """Zero mean, scaled RBF kernel."""

    def __init__(self, rows: torch.Tensor, y: torch.Tensor, likelihood: gpytorch.likelihoods.Likelihood) -> None:
        super().__init__(rows, y, likelihood)
        self.mean_module = gpytorch.means.ZeroMean()
        self.covar_module = gpytorch.kernels.ScaleKernel(gpytorch.kernels.RBFKernel())

    def forward(self, x: torch.Tensor) -> gpytorch.distributions.MultivariateNormal:
        return gpytorch.distributions.MultivariateNormal(self.mean_module(x), self.covar_module(x))


def adam(rows: np.ndarray, y: np.ndarray, steps: int = 100) -> float:
    """Evidence in nats that gpytorch reaches from its defaults, features scaled to unit mean variance."""
    x = torch.tensor((rows - rows.mean(0)) / rows.std(), dtype=torch.float64)
    likelihood = gpytorch.likelihoods.GaussianLikelihood().double()
    model = Plain(x, torch.tensor(y), likelihood).double()
    evidence = gpytorch.mlls.ExactMarginalLogLikelihood(likelihood, model)
    optimiser = torch.optim.Adam(model.parameters(), lr=0.1)
    for _ in range(steps):
        optimiser.zero_grad()
        loss = -evidence(model(x), torch.tensor(y))
        loss.backward()
        optimiser.step()
    return -loss.item() * len(y)


def _many(machine: Machine) -> list[Row]:
    features, y = simulated(4000)
    drawn = [np.random.default_rng(seed).permutation(4000)[:SMALL] for seed in range(FITS)]
    centred = [y[rows] - y[rows].mean() for rows in drawn]
    problems = [
        (squared_distances(features[rows], features[rows]), one) for rows, one in zip(drawn, centred, strict=True)
    ]
    some = range(5)
    seconds = in_turns(
        {
            "ours": lambda: select_many(problems),
            "gpytorch": lambda: [adam(features[drawn[one]], centred[one]) for one in some],
            "grid": lambda: [select(*problem) for problem in problems[:20]],
        },
        ROUNDS,
        warm=0,
    )
    found = select_many(problems[:20])
    ours = np.array([log_evidence(*problem, one) for problem, one in zip(problems, found, strict=False)])
    grid = np.array([log_evidence(*problem, select(*problem)) for problem in problems[:20]])
    theirs = np.array([adam(features[drawn[one]], centred[one]) for one in range(20)])
    # 36 factorisations to start and some eight steps of a factorisation, an inverse and a product
    operations = FITS * SMALL**3 * (36 / 3 + 8 * (1 / 3 + 2 + 2))
    share = operations / _median(seconds["ours"]) / machine.fp64
    work = f"hyperparameters of {FITS} GPs, n = {SMALL}"

    def row(peer: str, scaled: tuple[float, ...], asked: float | None, evidence: np.ndarray) -> Row:
        more = f"evidence minus its {np.median(ours - evidence):+.3f} nats (lowest {np.min(ours - evidence):+.3f})"
        return Row(STAGE, work, peer, _median(seconds["ours"]), ratio(scaled, seconds["ours"]), asked, share,
                   "fp64 matrix rate", more)  # fmt: skip

    return [
        row("gpytorch ExactGP, Adam, 100 steps (timed on 5)", _times(seconds["gpytorch"], FITS / 5), 20.0, theirs),
        row("one at a time on a grid (timed on 20)", _times(seconds["grid"], FITS / 20), None, grid),
    ]


def _scale() -> Measured:
    """Exact and through inducing points, each size in a process of its own for its peak memory."""
    runs = {(way, n): _alone(way, n) for way, sizes in SIZES.items() for n in sizes}
    points = tuple(
        Point(STAGE, f"{way}: fit and 1,000 predictions over n", n, run["seconds"], run["bytes"])
        for (way, n), run in runs.items()
    )
    exact, sparse, most = runs["exact", 10_000], runs["inducing points", 10_000], runs["inducing points", 500_000]
    lost = (
        f"at n = 10,000 Spearman with the measured {sparse['truth']:.4f} (exact {exact['truth']:.4f}), RMSE "
        f"{sparse['error']:.4f} ({exact['error']:.4f}), peak {_gib(sparse)} GiB ({_gib(exact)}); "
        f"at n = 500,000 {most['seconds']:.0f} s, peak {_gib(most)} GiB, Spearman {most['truth']:.4f}"
    )
    times = exact["seconds"] / sparse["seconds"]
    work = "fit and 1,000 predictions, n = 10,000, d = 160, 1,024 inducing points"
    row = Row(STAGE, work, "exact", sparse["seconds"], Ratio(times, times, times), exactness=lost)
    return Measured((row,), points)


def _gib(one: dict[str, float]) -> str:
    return f"{one['bytes'] / 2**30:.2f}"


SIZES = {"exact": (1_000, 2_500, 5_000, 10_000), "inducing points": (5_000, 10_000, 50_000, 500_000)}


def _alone(way: str, n: int) -> dict[str, float]:
    command = [sys.executable, str(Path(__file__).resolve()), way, str(n)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return dict(json.loads(done.stdout))


def run(way: str, n: int) -> dict[str, float]:
    """One fit with hyperparameters chosen on 500 rows before the clock starts, and what it is worth on 1,000 others."""
    features, y = simulated(n + 1000)
    rows, targets, asked, truth = features[:n], y[:n], features[n:], y[n:]
    (best,) = select_many([(squared_distances(rows[:500], rows[:500]), targets[:500])])
    before, begin = _peak(), time.perf_counter()
    if way == "exact":
        mean, _ = condition(squared_distances(rows, rows), targets, best).predict(squared_distances(asked, rows))
    else:
        mean, _ = project(rows, targets, rows[:1024], best).predict(asked)
    seconds, ranks = time.perf_counter() - begin, [np.argsort(np.argsort(values)) for values in (mean, truth)]
    wrong = float(np.sqrt(np.mean((mean - truth) ** 2)))
    spearman = float(np.corrcoef(*ranks)[0, 1])
    return {"seconds": seconds, "bytes": float(_peak()), "before": float(before), "truth": spearman, "error": wrong}


def _peak() -> int:
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))


def _times(seconds: tuple[float, ...], factor: float) -> tuple[float, ...]:
    return tuple(one * factor for one in seconds)


def _median(seconds: tuple[float, ...]) -> float:
    return float(np.median(seconds))


if __name__ == "__main__":
    print(json.dumps(run(sys.argv[1], int(sys.argv[2]))))
