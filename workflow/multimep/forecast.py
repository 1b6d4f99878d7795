"""A forecast of a study: what its missing predictions are going to take in hours, money and energy.

Imports nothing but the standard library and its light neighbours, for a dry run prints it from the Snakefile.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from multimep import costs, layout
from multimep.cluster import Cluster
from multimep.costs import Cost
from multimep.layout import Config, Job
from multimep.prices import NONE, Work


@dataclass(frozen=True)
class Forecast:
    """Sums over jobs.

    Attributes:
        jobs: how many are to be done.
        unknown: how many of them have no forecast yet, since their datasets or splits are not there.
        gpu_hours: of the jobs that use a GPU.
        core_hours: of the jobs that use none; the cores beside a GPU are in its price.
    """

    jobs: int
    unknown: int
    gpu_hours: float
    core_hours: float

    def sentence(self, cluster: Cluster) -> str:
        """The forecast in words, with its price and energy at this site."""
        if self.unknown == self.jobs > 0:
            return f"{self.jobs} cross-predictions to do, not foreseeable before the splits are made"
        left = f" ({self.unknown} of them not foreseeable before their splits are made)" if self.unknown else ""
        money = price(self.gpu_hours, self.core_hours, cluster)
        paid = f", {money:.2f} {cluster.currency}" if money else ""
        return (
            f"{self.jobs} cross-predictions to do{left}: about {self.gpu_hours:.2f} GPU-hours and "
            f"{self.core_hours:.2f} core-hours{paid}, {energy(self.gpu_hours, self.core_hours, cluster):.2f} kWh"
        )


def price(gpu_hours: float, core_hours: float, cluster: Cluster) -> float:
    """What hours of GPUs, and of cores of jobs without a GPU, cost at the site's prices."""
    return gpu_hours * cluster.price_per_gpu_hour + core_hours * cluster.price_per_core_hour


def energy(gpu_hours: float, core_hours: float, cluster: Cluster) -> float:
    """Kilowatt-hours of busy GPUs with their cores, and of other cores, at stated watts: nothing is metered."""
    beside = cluster.cores_per_gpu * cluster.watts_per_core
    return (gpu_hours * (cluster.watts_per_gpu + beside) + core_hours * cluster.watts_per_core) / 1000


def of(found: Iterable[Cost | None], cluster: Cluster) -> Forecast:
    """The sum over jobs; None stands for one that cannot be foreseen."""
    listed = list(found)
    known = [one for one in listed if one is not None]
    on_gpu = sum(one.seconds for one in known if one.gpu) / 3600
    on_cores = sum(one.seconds for one in known if not one.gpu) / 3600
    return Forecast(len(listed), len(listed) - len(known), on_gpu, on_cores)


def work(config: Config, results: Path, job: Job) -> Work | None:
    """The sizes of a cross-prediction, None where a file that tells them is not there yet."""
    records = [results / "datasets" / f"{name}.json" for name in job.datasets]
    splits = [results / "splits" / job.split / f"{name}.csv" for name in job.datasets]
    model = results / "checkpoint.json"
    if not all(path.exists() for path in (*records, *splits, model)):
        return None
    method, settings = layout.method_of(config, job.label), layout.settings_of(config, job.label)
    return read_work(method, settings, list(map(str, records)), list(map(str, splits)), str(model))


def read_work(
    method: str,
    settings: Mapping[str, Any],
    records: Sequence[str],
    splits: Sequence[str] = (),
    model: str | None = None,
) -> Work:
    """The sizes of a job from its inputs: records of datasets, splits (without any, all variants are asked), model."""
    sizes = [costs.read_size(path) for path in records]
    folds = list(fits([costs.read_folds(path) for path in splits])) or [(0, sum(rows for rows, _ in sizes))]
    length = max(length for _, length in sizes)
    return Work(method, tuple(folds), length, costs.read_model(model) if model else NONE, settings)


def fits(splits: Sequence[Mapping[str, tuple[int, int]]]) -> Iterator[tuple[int, int]]:
    """Rows that teach and are asked, of each dataset in each fit; `D` that only teaches does so in every `D/...`."""
    questions = {name for folds in splits for name, (_, asked) in folds.items() if asked}
    for name, rows in (one for folds in splits for one in folds.items()):
        within = sum(question == name or question.startswith(f"{name}/") for question in questions)
        yield from [rows] * (1 if name in questions else within)


def missing(config: Config, results: Path) -> Iterator[Job]:
    """The cross-predictions of which a file is not there."""
    for job in layout.jobs(config):
        if not all((results / layout.prediction(job.split, job.label, name)).exists() for name in job.datasets):
            yield job


def study(config: Config, results: Path, factors: Mapping[str, float]) -> str:
    """The forecast of all that is missing, in words."""
    cluster = Cluster(**config.get("cluster", {}))
    works = (work(config, results, job) for job in missing(config, results))
    gpus = bool(cluster.gres)
    total = of((None if one is None else costs.predict(one, gpus=gpus, factors=factors) for one in works), cluster)
    return total.sentence(cluster)


def past(config: Config, results: Path, benchmarks: Path) -> Iterator[tuple[Work, float]]:
    """Finished cross-predictions with the seconds that their benchmark files tell, for `costs.calibrated`."""
    for job in layout.jobs(config):
        found, path = work(config, results, job), benchmarks / "predict" / f"{job.name}.tsv"
        if found is not None and path.exists():
            seconds = costs.read_seconds(str(path))
            if not math.isnan(seconds):
                yield found, seconds
