"""A forecast of a study: what its missing jobs are going to take in hours, money and energy.

Imports nothing but the standard library and its light neighbours, for a dry run prints it from the Snakefile.
"""

import math
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from multimep import cluster, costs, layout
from multimep.cluster import Cluster
from multimep.costs import Cost
from multimep.job_sizes import NONE, Model, Work
from multimep.layout import Config, Job

SUBMITTED = ("embed", "evaluate", "leaks", "report")
"""Stations that are jobs of the cluster, beside the cross-predictions; the others are made by `make fetch`."""
WHOLE = ("leaks", "report")
"""Those with one job for all datasets."""


@dataclass(frozen=True)
class Forecast:
    """Sums over jobs.

    Attributes:
        predictions: cross-predictions that are to be done.
        others: jobs of other stations that are to be done.
        unknown: how many jobs have no forecast yet, since their datasets or splits are not there.
        gpu_hours: GPUs held, times the hours from an allocation's start to its end: those of a whole node all count.
        core_hours: of the allocations without a GPU; the cores beside a GPU are in its price.
    """

    predictions: int
    others: int
    unknown: int
    gpu_hours: float
    core_hours: float

    @property
    def jobs(self) -> str:
        """How many there are, in words."""
        others = f" and {_counted(self.others, 'other job')}" if self.others else ""
        return _counted(self.predictions, "cross-prediction") + others

    def sentence(self, site: Cluster) -> str:
        """The forecast in words, with its price and energy at this site."""
        if 0 < self.predictions <= self.unknown:
            return f"{self.jobs} to do; run `make fetch` first: then this line names GPU-hours and cost"
        left = f" ({self.unknown} not foreseeable before `make fetch`)" if self.unknown else ""
        return f"{self.jobs} to do{left}: {self.amounts(site)}"

    def amounts(self, site: Cluster) -> str:
        """Hours, money and energy in words."""
        money = price(self.gpu_hours, self.core_hours, site)
        paid = f", {money:.2f} {site.currency}" if money else ""
        used = f"about {self.gpu_hours:.2f} GPU-hours and {self.core_hours:.2f} core-hours"
        return f"{used}{paid}, {energy(self.gpu_hours, self.core_hours, site):.2f} kWh"


def _counted(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def price(gpu_hours: float, core_hours: float, site: Cluster) -> float:
    """What hours of GPUs, and of cores of jobs without a GPU, cost at the site's prices."""
    return gpu_hours * site.price_per_gpu_hour + core_hours * site.price_per_core_hour


def energy(gpu_hours: float, core_hours: float, site: Cluster) -> float:
    """Kilowatt-hours of busy GPUs with their cores, and of other cores, at stated watts: nothing is metered."""
    beside = site.cores_per_gpu * site.watts_per_core
    return (gpu_hours * (site.watts_per_gpu + beside) + core_hours * site.watts_per_core) / 1000


def held(seconds: float, gpu: bool, site: Cluster, lanes: int = 1) -> float:
    """GPU-hours, or core-hours, that an allocation of so many seconds is charged with."""
    return seconds / 3600 * (site.gpus_per_allocation if gpu else max(lanes, site.cores_charged))


def alone(predictions: Sequence[Cost | None], others: Sequence[Cost | None], site: Cluster) -> Forecast:
    """The sum over jobs with an allocation each; None stands for one that cannot be foreseen."""
    jobs = (*predictions, *others)
    known = [one for one in jobs if one is not None]
    gpus, cores = (
        math.fsum(held(site.start + one.seconds, gpu, site) for one in known if one.gpu == gpu) for gpu in (True, False)
    )
    return Forecast(len(predictions), len(others), len(jobs) - len(known), gpus, cores)


def packed(predictions: Sequence[Cost | None], others: Sequence[Cost | None], site: Cluster) -> Forecast:
    """The sum where the cross-predictions are dealt evenly to shards; each of the other jobs has an allocation."""
    rest = alone((), others, site)
    known = [one for one in predictions if one is not None]
    gpus, cores = (
        _shards([costs.in_a_shard(one) for one in known if one.gpu == gpu], gpu, site) for gpu in (True, False)
    )
    unknown = rest.unknown + len(predictions) - len(known)
    return Forecast(len(predictions), len(others), unknown, rest.gpu_hours + gpus, rest.core_hours + cores)


def _shards(seconds: Sequence[float], gpu: bool, site: Cluster) -> float:
    # as many allocations as the walltime asks for, or as run at the same time: each has a start
    lanes = min(site.workers * site.gpus_per_allocation if gpu else site.cores, len(seconds))
    slowdown = site.shared if gpu and lanes > site.gpus_per_allocation else 1.0
    work = slowdown * max([math.fsum(seconds) / max(lanes, 1), *seconds])
    count = max(math.ceil(work / (60 * site.walltime - site.start)), min(site.allocations or 1, len(seconds)))
    return held(count * site.start + work, gpu, site, lanes)


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


def whole_fit(method: str, settings: Mapping[str, Any], record: str, model: str) -> Work:
    """The sizes of one fit of a method on all variants of a dataset."""
    rows, length = costs.read_size(record)
    return Work(method, ((rows, 0),), length, costs.read_model(model), settings)


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


def cost(config: Config, work: Work | None, factors: Mapping[str, float]) -> Cost | None:
    """The cost of a job at the study's site, None where its sizes are not known."""
    gpus = bool(config.get("cluster", {}).get("gres"))
    return None if work is None else costs.predict(work, gpus=gpus, factors=factors)


def others(
    config: Config, results: Path, outdated: Container[str] = (), planned: Container[str] = ()
) -> Iterator[Cost | None]:
    """The costs of the SUBMITTED stations' jobs whose files are not there, or `outdated`; None: not foreseeable.

    Without those that are `planned`: made by shards.
    """
    files = layout.expected(config)
    for name in SUBMITTED:
        for path in (results / one for one in files[name]):
            if str(path) not in planned and (not path.exists() or str(path) in outdated):
                names = list(config["datasets"]) if name in WHOLE else [path.stem]
                yield cost(config, station(config, results, name, names), {})


def station(config: Config, results: Path, name: str, datasets: Sequence[str]) -> Work | None:
    """The sizes of a job of a station, None where a file that tells them is not there yet."""
    records = [results / "datasets" / f"{one}.json" for one in datasets]
    model = results / "checkpoint.json"
    if not all(path.exists() for path in (*records, model)):
        return None
    of_model = str(model) if name == "embed" else None
    return read_work(name, layout.sized_by(config, name), list(map(str, records)), model=of_model)


def study(config: Config, results: Path, factors: Mapping[str, float]) -> str:
    """The forecast of all that is missing, in words; on a cluster also what packing it makes of it."""
    site = cluster.of(config)
    predictions = [cost(config, work(config, results, job), factors) for job in missing(config, results)]
    rest = list(others(config, results))
    found = alone(predictions, rest, site)
    if not config.get("cluster") or not predictions or found.unknown >= len(predictions):
        return found.sentence(site)
    each = f"{found.sentence(site)}, each job in an allocation of its own"
    return f"{each}\nForecast: packed by profiles/drive.sh: {packed(predictions, rest, site).amounts(site)}"


def embedding(model: Model, sequences: int, length: int, *, proteins: int = 1, rate: float | None = None) -> Cost:
    """The cost of stores for so many sequences of `length` residues that belong to so many proteins, on one GPU.

    `rate`: operations per second that were measured there, instead of the assumed ones.
    """
    work = Work("embed", ((0, sequences + (proteins - 1) * length),), length, model)
    factors = {} if rate is None else {"embed": costs.GPU / rate}
    return costs.predict(work, gpus=True, factors=factors)


def past(config: Config, results: Path, benchmarks: Path) -> Iterator[tuple[Work, float]]:
    """Finished cross-predictions with their seconds from a start of their own, without neighbours, for `calibrated`.

    What so many as share a GPU now took longer is divided out; runs among another number of them tell nothing.
    """
    site = cluster.of(config)
    slowdowns = {0: 1.0, 1: 1.0, site.workers: site.shared}
    for job in layout.jobs(config):
        found, path = work(config, results, job), benchmarks / "predict" / f"{job.name}.tsv"
        if found is not None and path.exists():
            seconds, workers = costs.read_run(str(path))
            if not math.isnan(seconds) and workers in slowdowns:
                started = costs.START - costs.AGAIN if workers else 0.0
                yield found, started + seconds / slowdowns[workers]
