"""From a study's results folder to its findings on leaks: which teams learn what, and which methods are run."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from multimep import dataset as datasets
from multimep import is_refusal, layout, overlaps, settings, splits
from multimep.controls import Trial, controls, sampled
from multimep.dataset import Dataset
from multimep.embedder import Embedder
from multimep.layout import Config
from multimep.leaks import Finding, LeakError
from multimep.overlaps import Team
from multimep.schemes import is_group_aware
from multimep.settings import Study

if TYPE_CHECKING:
    from multimep.language_model import LanguageModel

SINGLE = "methods of one protein"


class LanguageModelAskedError(LeakError):
    """A method asked the language model, which the controls do without."""


def search(study: Study, config: Config, results: Path) -> list[Finding]:
    """Everything that was looked for in a study whose datasets and splits stand under `results`."""
    data = {name: datasets.read(results / "datasets" / f"{name}.csv") for name in study.datasets}
    found = overlaps.one_protein_twice(list(data.values()))
    for team in teams(config, data, results):
        found += overlaps.duplicates(team)
        found += overlaps.kin_that_teach(team) if len(team.datasets) > 1 else []
    return [*_summed(found), *_run(study, config, list(data.values()))]


def teams(config: Config, data: dict[str, Dataset], results: Path) -> Iterator[Team]:
    """What is learnt together on every split: each dataset alone, and the teams of the joint methods."""
    for split in config["splits"]:
        divided = layout.datasets_of(config, split)
        folds = {name: splits.read(results / "splits" / split / f"{name}.csv") for name in divided}
        aware = is_group_aware(settings.scheme(layout.scheme_of(config, split), f"config.splits.{split}"))
        for name in divided:
            yield Team(SINGLE, split, [data[name]], [folds[name]], aware)
        for job in layout.jobs(config):
            if job.split == split and layout.is_joint(config, job.label):
                method = settings.method(layout.method_of(config, job.label), layout.settings_of(config, job.label), "")
                members = [data[name] for name in job.datasets]
                apart = float(getattr(method, "identity", 1.0))
                yield Team(job.label, split, members, [folds[name] for name in job.datasets], aware, apart)


def _summed(found: list[Finding]) -> list[Finding]:
    """Each finding once: the datasets of one split share a line where nothing was found."""
    return list(dict.fromkeys(found))


def _run(study: Study, config: Config, data: list[Dataset]) -> Iterator[Finding]:
    chosen = sampled(data, study.leaks, study.seed)
    for label in study.methods if study.leaks.methods is None else study.leaks.methods:
        method = settings.method(layout.method_of(config, label), layout.settings_of(config, label), label)
        trial = Trial(method, chosen, Embedder(_refuse), study.seed)
        try:
            yield from list(controls(trial, label, study.leaks))
        except ValueError as error:
            if not is_refusal(error):
                raise
            yield Finding("controls", label, "note", f"{label} was not run: {error}.")


def _refuse() -> "LanguageModel":
    raise LanguageModelAskedError("it asks a language model")
