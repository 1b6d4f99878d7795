"""From a study's results folder to its report: which file holds what, and what machine and versions made it."""

import os
import platform
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

import yaml

from multimep import (
    accounting,
    campaign,
    charges,
    documents,
    embeddings,
    findings,
    layout,
    leaks,
    null_gate,
    plate_files,
    questions,
    report,
    settings,
    twin,
)
from multimep.findings import Provenance, ReportError
from multimep.settings import Study

STATIONS = tuple(name for name in accounting.STATIONS if name != "report")  # its time is not known before it is written
SHOWN_VERSIONS = ("multimep", "torch", "fair-esm", "numpy", "pandas", "scipy", "h5py", "snakemake")


def write_report(study: Study, configuration: str, results: Path, benchmarks: Path, output: Path) -> None:
    """Write a study's HTML report and, beside it, its twin as JSON; raises where one of its `results` is missing."""
    predictions = {
        (dataset, split, method): results / layout.prediction(split, method, dataset)
        for dataset in study.datasets
        for method in study.methods
        for split in layout.splits_of(vars(study), method)
        if dataset in layout.datasets_of(vars(study), split)
    }
    found = findings.gather(
        study.study,
        study.question,
        metrics=[results / "metrics" / f"{name}.csv" for name in study.datasets],
        dataset_files=[results / "datasets" / f"{name}.csv" for name in study.datasets],
        prediction_files=predictions,
        provenance=provenance(study, configuration, results),
        account=accounting.read(benchmarks, study.cluster, STATIONS),
    )
    known = entries(study)
    told = replace(
        found,
        unscaled=frozenset(label for label, (name, _) in known.items() if name == "zero_shot"),
        questions=questions.standard(known) if study.comparisons is None else study.comparisons,
        nulls=null_gate.nulls(known),
        lacking=null_gate.missing(known),
        margin=study.evaluation.margin,
        leaks=leaks.read(results / "leaks.json"),
        campaigns={name: campaign.read(results / layout.campaign(name)) for name in study.campaign.datasets},
        plates={name: plate_files.read(results / layout.plate(name)) for name in study.recommend.datasets},
        charged=tuple(charges.sentences(charges.ask([Path.cwd(), results.resolve().parent]), study.cluster)),
    )
    twin.write(told, twin_path(output))
    report.write(told, output)


def twin_path(page: Path) -> Path:
    """Where the machine-readable twin of a page stands: beside it; raises ReportError where that is the page itself."""
    beside = page.with_suffix(".json")
    if beside == page:
        raise ReportError(f"{page}: that name is the one of the data beside the page; end the page in .html")
    return beside


def entries(study: Study) -> dict[str, tuple[str, Mapping[str, object]]]:
    """Label -> entry of METHODS and all its settings, defaults included."""
    config = vars(study)
    names = {label: layout.method_of(config, label) for label in study.methods}
    return {
        label: (name, vars(settings.method(name, layout.settings_of(config, label), label)))
        for label, name in names.items()
    }


def provenance(study: Study, configuration: str, results: Path) -> Provenance:
    """What ran here: versions, language model, seeds, machine."""
    stores = [results / "embeddings" / f"{name}.h5" for name in study.datasets]
    maker = next(
        (vars(embeddings.open_store(path).maker) for path in stores if path.exists()),
        {"model": study.language_model.name},
    )
    return Provenance(
        date=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        versions={"Python": platform.python_version()} | _versions(),
        language_model={name: str(value) for name, value in maker.items()},
        seeds={"study": str(study.seed)},
        machine=_machine(),
        configuration=_readable(configuration),
    )


def _versions() -> dict[str, str]:
    installed = {distribution.name: distribution.version for distribution in metadata.distributions()}
    return {name: installed[name] for name in SHOWN_VERSIONS if name in installed}


def _machine() -> Mapping[str, str]:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return {"processors": str(os.cpu_count()), "memory": f"{memory:.1f} GiB", "platform": platform.platform(terse=True)}


def _readable(configuration: str) -> str:
    """JSON, as the pipeline passes it, becomes YAML again; YAML stays as it was written."""
    if configuration.lstrip().startswith("{"):
        return yaml.safe_dump(documents.from_yaml(configuration), sort_keys=False, allow_unicode=True)
    return configuration
