"""The price list: how the operations and the memory of each method follow from the sizes of its model and data.

Imports nothing but the standard library and its light neighbours, for the Snakefile imports it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from multimep import nesting, tuning_prices
from multimep.job_sizes import MIB, PYTHON, SCIPY, STATISTICS, TORCH, Work, activations, batch, forward, texts


@dataclass(frozen=True)
class Price:
    """How a method's cost follows from the sizes.

    Attributes:
        operations: floating-point operations of the whole job.
        memory: MiB resident at the most: the whole command, its imports included.
        gpu: whether it is a GPU's work where there is one.
    """

    operations: Callable[[Work], float]
    memory: Callable[[Work], float]
    gpu: bool = False


def _embedding(work: Work) -> float:
    # every sequence once, or the wild type alone, and the wild type masked at each position; or nothing at all
    rows = work.settings.get("rows")
    if rows == "none":
        return 0.0
    return ((1 if rows == "wild_type" else work.asked) + work.length) * forward(work)


def _embedding_memory(work: Work) -> float:
    rows = 512 * work.length * work.model.width * 8 / MIB if work.settings.get("residues") else 0.0
    sequences = batch(work, max(1, 2048 // work.tokens))
    held = PYTHON + TORCH + 6.0 * work.model.parameters / MIB + texts(work)
    return held if work.settings.get("rows") == "none" else held + activations(work, sequences, 2) + rows


def _features(work: Work, default: str) -> int:
    sizes = {"pooled": work.model.width, "one_hot": 20 * work.length, "flattened": work.length * work.model.width}
    return sizes.get(work.settings.get("features", default), work.model.width)


def _gaussian_process(work: Work) -> float:
    # some fifty decompositions of at most `selection_rows` rows, one of all, at a fifth of the rate of matrix products
    chosen, width = int(work.settings.get("selection_rows", 1000)), _features(work, "pooled")
    return sum(
        5 * (50 * 2.0 * min(n, chosen) ** 3 + n**3 / 3) + 2.0 * n * (n + m) * width + n**2 * m for n, m in work.folds
    )


def _sparse_gp(work: Work) -> float:
    # hyperparameters as above; then distances to the points and two products of their number squared a row
    few, points = {"selection_rows": 1000, **work.settings}, int(work.settings.get("inducing", 1024))
    chosen = replace(work, settings=few, folds=tuple((min(n, int(few["selection_rows"])), 0) for n, _ in work.folds))
    each = [2.0 * (n + m) * min(n, points) * (_features(work, "pooled") + 50 + min(n, points)) for n, m in work.folds]
    return _gaussian_process(chosen) + sum(each)


def _sparse_gp_memory(work: Work) -> float:
    # features in float32, ten matrices of the points or the chosen rows, three of a block of 4,096 rows and the points
    few = min(work.largest, max(int(work.settings.get(name, 1024)) for name in ("selection_rows", "inducing")))
    block = 3 * min(work.largest, 4096) * few
    return _scipy(work) + 4.0 * work.largest * _features(work, "pooled") / MIB + 8.0 * (10 * few**2 + block) / MIB


def _kernel_memory(work: Work, width: int) -> float:
    # four matrices n x n in float64; features in float32 and centred in float64, 1,024 asked rows at once
    return _scipy(work) + (32.0 * work.largest**2 + 12.0 * (work.largest + _block(work)) * width) / MIB


def _scipy(work: Work) -> float:
    return PYTHON + SCIPY + texts(work)


def _block(work: Work) -> int:
    """Rows that are asked at once."""
    return min(1024, max(asked for _, asked in work.folds))


def _mutations_memory(pair: float, mutation: float) -> Callable[[Work], float]:
    """Of a kernel over mutations: bytes for each pair of rows, and for each pair of mutations that are seen."""

    def memory(work: Work) -> float:
        # a variant has some two mutations, a site nineteen; 160 bytes for a pair of the rows that choose
        n, seen = work.largest, min(2 * work.largest, 19 * work.length)
        chosen = min(n, int(work.settings.get("selection_rows", 500)))
        pairs = pair * n * max(n, _block(work)) + mutation * seen**2 + 160.0 * chosen**2
        return _scipy(work) + STATISTICS + pairs / MIB

    return memory


def _site_gp(work: Work) -> float:
    # fifty steps on at most `selection_rows` rows, each an inverse and six exponentials of every pair; then all rows
    chosen = int(work.settings.get("selection_rows", 500))
    steps = sum(50 * (6.5 * min(n, chosen) ** 3 + 5e3 * min(n, chosen) ** 2) for n, _ in work.folds)
    return steps + sum(5 * n**3 / 3 + 3e3 * n * (n + m) + 5 * n**2 * m for n, m in work.folds)


def _epistasis_gp(work: Work) -> float:
    # hyperparameters once a round, and the search for the mode twice: some ten decompositions of all chosen rows
    chosen, rounds = int(work.settings.get("selection_rows", 500)), int(work.settings.get("rounds", 8))
    return rounds * (_site_gp(work) + sum(5 * 10.0 * min(n, chosen) ** 3 for n, _ in work.folds))


def _combination_gp(work: Work) -> float:
    # a hundred steps of an inverse and two products with the residues seen at every site, some eight of them
    chosen, seen = int(work.settings.get("selection_rows", 500)), 8.0 * work.length
    steps = sum(100 * (6.5 * min(n, chosen) ** 3 + 4 * min(n, chosen) ** 2 * seen) for n, _ in work.folds)
    return steps + sum(5 * n**3 / 3 + 2 * n * (n + m) * seen + 5 * n**2 * m for n, m in work.folds)


def _combination_memory(work: Work) -> float:
    pairs = work.largest * max(work.largest, _block(work))
    return _scipy(work) + (48.0 * pairs + 300.0 * (work.largest + _block(work)) * work.length) / MIB


def _plm_gp(work: Work) -> float:
    # nine terms more than site_gp's six, some twice as dear for they compare variants too
    return 3 * _site_gp(work)


def _shared_prior_gp(work: Work) -> float:
    # hyperparameters twice, under the weak prior and under that of the others
    return 2 * _site_gp(replace(work, settings={"selection_rows": 300, **work.settings}))


def _coregional_gp(work: Work) -> float:
    # two assays of one protein are one matrix of both: eight times the operations for twice the rows
    return 4 * _site_gp(replace(work, settings={"selection_rows": 300, **work.settings}))


def _transmep(work: Work) -> float:
    # for each length scale a decomposition of 10 n^3 at a fifth of the rate of matrix products, and for each holdout
    # some 30 products with the kernel, which serve all noise levels, at half that rate
    scales, repeats = int(work.settings.get("gamma_steps", 50)), int(work.settings.get("repeats", 1000))
    drawn = repeats if work.settings.get("criterion", "holdout") == "holdout" else 0
    width = _features(work, "flattened")
    return sum(scales * (50.0 * n**3 + 120.0 * drawn * n**2) + 2.0 * n * (n + m) * width for n, m in work.folds)


def _ridge(work: Work) -> float:
    # products of rows or features, 2 n d k, and their eigenvectors, 9 k^3 at a fifth of that rate; k = min(n, d)
    sides = [(n, _one_hot(work), min(n, _one_hot(work))) for n, _ in work.folds]
    return sum(4.0 * n * d * k + 5 * 9.0 * k**3 for n, d, k in sides)


def _ridge_memory(work: Work) -> float:
    return _scipy(work) + 8.0 * 3 * (work.largest + _block(work)) * _one_hot(work) / MIB


def _one_hot(work: Work) -> int:
    return 20 * work.length


def inside(work: Work, default: Mapping[str, Any]) -> list[Work]:
    """The work of each method directly inside a method: its inner fits and the one on all rows, for every fold.

    `default`: what is inside where the settings say nothing.
    """
    folds = int(work.settings.get("folds", nesting.FOLDS))
    fits = tuple(fit for taught, asked in work.folds for fit in nesting.fits(taught, asked, folds))
    return [
        replace(work, method=name, settings=settings, folds=fits)
        for _, name, settings in nesting.inside({nesting.KEY: default, **work.settings})
    ]


def nested(default: Mapping[str, Any]) -> Price:
    """The price of a method that fits others inside it: the sum of theirs; whether a GPU is used, `uses_gpu` says."""
    return Price(
        lambda work: sum(PRICES[one.method].operations(one) for one in inside(work, default)),
        lambda work: (
            _scipy(work) + sum(max(PRICES[one.method].memory(one) - _scipy(one), 0.0) for one in inside(work, default))
        ),
    )


def uses_gpu(method: str, settings: Mapping[str, Any]) -> bool:
    """Whether a method, or one inside it, is a GPU's work where there is one."""
    return any(PRICES[name].gpu for name in nesting.all_names(method, settings))


def _evaluation(work: Work) -> float:
    # every metric of every resample and prediction sorts the rows once or twice: 5 microseconds a row on one core
    return 2e5 * _tables(work) * (int(work.settings.get("bootstrap", 500)) + 1) * work.asked


def _report(work: Work) -> float:
    return 4e3 * _tables(work) * (int(work.settings.get("bootstrap", 500)) + 1) * work.asked


def _tables(work: Work) -> int:
    return int(work.settings.get("tables", 1))


PRICES: Mapping[str, Price] = {
    "split": Price(lambda work: 1e6 * work.asked, lambda work: PYTHON + texts(work)),
    "embed": Price(_embedding, _embedding_memory, gpu=True),
    "additive": Price(_ridge, _ridge_memory),
    "one_hot_ridge": Price(_ridge, _ridge_memory),
    "augmented_ridge": Price(_ridge, _ridge_memory),
    "plm_gp": Price(_plm_gp, _mutations_memory(40.0, 100.0)),
    "site_gp": Price(_site_gp, _mutations_memory(24.0, 80.0)),
    "epistasis_gp": Price(_epistasis_gp, _mutations_memory(24.0, 80.0)),
    "combination_gp": Price(_combination_gp, _combination_memory),
    "shared_prior_gp": Price(_shared_prior_gp, _mutations_memory(24.0, 80.0)),
    "coregional_gp": Price(_coregional_gp, _mutations_memory(60.0, 80.0)),
    "zero_shot": Price(lambda work: 1e3 * work.asked, lambda work: PYTHON + texts(work)),
    "embedding_gp": Price(_gaussian_process, lambda work: _kernel_memory(work, _features(work, "pooled"))),
    "sparse_gp": Price(_sparse_gp, _sparse_gp_memory),
    "transmep": Price(_transmep, lambda work: _kernel_memory(work, _features(work, "flattened"))),
    "fine_tune": Price(tuning_prices.fine_tuning, tuning_prices.fine_tuning_memory, gpu=True),
    "fine_tune_together": Price(tuning_prices.fine_tuning, tuning_prices.fine_tuning_memory, gpu=True),
    "likelihood_tune": Price(tuning_prices.likelihood_tuning, tuning_prices.likelihood_tuning_memory, gpu=True),
    "likelihood_tune_together": Price(
        tuning_prices.likelihood_tuning, tuning_prices.likelihood_tuning_memory, gpu=True
    ),
    "recalibrated": nested({"site_gp": None}),
    "stack": nested({"one_hot_ridge": None, "site_gp": None}),
    "evaluate": Price(_evaluation, lambda work: _scipy(work) + 5e-4 * _tables(work) * work.asked),
    # small fits that depend on the methods, not on the data; sequences of all datasets in memory
    "leaks": Price(lambda work: 3e12 + 1e6 * work.asked, lambda work: _scipy(work) + TORCH),
    "report": Price(_report, lambda work: _scipy(work) + TORCH + 5e-4 * _tables(work) * work.asked),
}
