"""Units of a plan: a cross-prediction, or the embeddings of a dataset, with their files and what they will take."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from multimep import costs, forecast, layout
from multimep.costs import Cost
from multimep.layout import EMBED, Config, Job


class PlanError(ValueError):
    """A plan that cannot be made or followed; the message names what is missing and the command that makes it."""


@dataclass(frozen=True)
class Unit:
    """One cross-prediction of the plan, or one store.

    Attributes:
        name: SPLIT/LABEL/TEAM, or embed/DATASET.
        method, settings: of METHODS; of a store EMBED, and whose `rows` it has.
        tables, splits, stores, outputs: files, by their paths below the folder in which Snakemake runs.
        benchmark: where its run time goes.
        seconds: predicted, on one core or GPU, in a process that has started.
        memory: predicted, in GiB.
        gpu: whether the seconds are a GPU's.
    """

    name: str
    method: str
    settings: Mapping[str, Any]
    tables: Sequence[str]
    splits: Sequence[str]
    stores: Sequence[str]
    outputs: Sequence[str]
    benchmark: str
    seconds: float
    memory: float
    gpu: bool


def prediction(config: Config, results: Path, job: Job, factors: Mapping[str, float]) -> Unit:
    """The unit of a cross-prediction; raises PlanError where its inputs lack."""
    work = forecast.work(config, results, job)
    if work is None:
        raise PlanError(f"{job.name}: its datasets or splits are not there; make them first: snakemake prepared")
    cost = costs.predict(work, gpus=bool(config.get("cluster", {}).get("gres")), factors=factors)
    single = not layout.is_joint(config, job.label)

    def below(*parts: str) -> list[str]:
        return [str(results.joinpath(*parts, name)) for name in job.datasets]

    return Unit(
        name=job.name,
        method=work.method,
        settings=work.settings,
        tables=[f"{path}.csv" for path in below("datasets")],
        splits=[f"{path}.csv" for path in below("splits", job.split)],
        stores=[store_of(results, name) for name in job.datasets] if single else [],
        outputs=[str(results / layout.prediction(job.split, job.label, name)) for name in job.datasets],
        benchmark=str(results / "benchmarks" / "predict" / f"{job.name}.tsv"),
        seconds=costs.in_a_shard(cost),
        memory=_gib(cost),
        gpu=cost.gpu,
    )


def store(config: Config, results: Path, dataset: str) -> Unit:
    """The unit of a dataset's embeddings; raises PlanError where its table lacks."""
    work = forecast.station(config, results, EMBED, [dataset])
    if work is None:
        raise PlanError(
            f"{EMBED}/{dataset}: its dataset or checkpoint.json is not there; make them first: snakemake prepared"
        )
    cost = costs.predict(work)
    return Unit(
        name=f"{EMBED}/{dataset}",
        method=EMBED,
        settings={"rows": layout.embedded(config)},
        tables=[str(results / "datasets" / f"{dataset}.csv")],
        splits=[],
        stores=[],
        outputs=[store_of(results, dataset)],
        benchmark=str(results / "benchmarks" / EMBED / f"{dataset}.tsv"),
        seconds=costs.in_a_shard(cost),
        memory=_gib(cost),
        gpu=False,
    )


def store_of(results: Path, dataset: str) -> str:
    """Where a dataset's embeddings stand."""
    return str(results / "embeddings" / f"{dataset}.h5")


def _gib(cost: Cost) -> float:
    return cost.memory / 1024
