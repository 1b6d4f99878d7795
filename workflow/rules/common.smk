# What the study wants, by name. Nothing here imports torch or numpy: this file is read again in every job.
import json
import os
import re
import sys
from pathlib import Path
from shlex import quote

from snakemake.exceptions import WorkflowError
from snakemake.utils import validate

from multimep import __version__ as VERSION
from multimep import cluster, contradictions, documents, layout, seals

if site := cluster.site(sys.argv, os.environ):
    config["cluster"] = site | config.get("cluster", {})

if fault := contradictions.newer(config):
    raise WorkflowError(fault)
if workflow.is_main_process:  # a job need not parse again what its study was begun with
    for path in workflow.configfiles:
        for fault in documents.faults(Path(path)):
            raise WorkflowError(fault)
validate(config, "../schemas/config.schema.json", set_default=False)
for fault in contradictions.strangers(config):
    raise WorkflowError(fault)

DATASETS = list(config["datasets"])
SPLITS = list(config["splits"])
SINGLE = [label for label in config["methods"] if not layout.is_joint(config, label)]
JOINT = [label for label in config["methods"] if layout.is_joint(config, label)]
REPLAYED = layout.replayed(config)
PLATED = layout.plated(config)
PLATED_BY = config.get("recommend", {}).get("method", "") if PLATED else ""
SEED = config.get("seed", 0)
ROOT = str(Path(workflow.configfiles[-1]).parent) if workflow.configfiles else "."
RESULTS = Path(config.get("pathvars", {}).get("results", "results"))

# Where a study runs is no part of what it finds.
ELSEWHERE = ("cluster", "mirror", "cache")
# How a language model is run changes no result: like the addresses of files it stands in the environment, not in
# params, and reruns nothing.
CHOSEN = {
    key: value
    for key, value in config.get("language_model", {}).items()
    if key not in layout.RUN_BY
}
LANGUAGE_MODEL = json.dumps(CHOSEN, sort_keys=True)
# What of the configuration decides results.
FOUND_BY = {
    key: value
    for key, value in (config | {"language_model": CHOSEN}).items()
    if key not in ELSEWHERE
}
# The margin of equivalence is the report's alone.
SCORED_BY = {
    key: value for key, value in config.get("evaluation", {}).items() if key != "margin"
}
# Which datasets are replayed decides no replay.
PLAYED_BY = {
    key: value for key, value in config.get("campaign", {}).items() if key != "datasets"
}
# The last three: what they are worth was measured on two shared cores (benchmarks/environment.py, 2026-11-22).
ENVIRONMENT = {
    "MULTIMEP_MIRROR": config.get("mirror") or "",
    "MULTIMEP_CACHE": config.get("cache", "results/cache"),
    "MULTIMEP_ROOT": ROOT,
    "MULTIMEP_SITE": json.dumps(config.get("cluster", {})),
    "MULTIMEP_CHECKPOINTS": str(RESULTS / "unfinished"),
    "MULTIMEP_LANGUAGE_MODEL": json.dumps(
        {
            key: value
            for key, value in config.get("language_model", {}).items()
            if key in layout.RUN_BY
        }
    ),
    "OMP_WAIT_POLICY": "PASSIVE",  # idle threads sleep; 2.7 times slower without, on shared cores
    "MALLOC_MMAP_THRESHOLD_": str(1 << 32),  # freed activations stay: 1.14 times
    "MALLOC_TRIM_THRESHOLD_": str(1 << 33),
}
EXPORTS = " ".join(f"{name}={quote(value)}" for name, value in ENVIRONMENT.items())
EXPORTS = EXPORTS.replace("{", "{{").replace("}", "}}")  # the prefix is a format string
# The multimep beside this Python serves where no other one is on the path. The trap lets bash outlive the signal that
# ends a job's time, until the command has written its checkpoint.
BESIDE = quote(str(Path(sys.executable).parent))
shell.prefix(
    f'set -euo pipefail; trap : TERM USR1; export {EXPORTS}; command -v multimep >/dev/null || export PATH="$PATH":{BESIDE}; '
)


wildcard_constraints:
    dataset="|".join(map(re.escape, DATASETS)),
    split="|".join(map(re.escape, SPLITS)),
    method="|".join(map(re.escape, config["methods"])),


def dataset_settings(name):
    """The settings of one dataset as JSON: what reruns its jobs and no others."""
    return json.dumps(config["datasets"][name] or {}, sort_keys=True)


def split_settings(name):
    """The scheme of one split and its settings as JSON."""
    return json.dumps(layout.scheme_of(config, name), sort_keys=True)


def method_settings(label):
    """The settings of one method as JSON."""
    return json.dumps(layout.settings_of(config, label), sort_keys=True)


def predictions(*datasets):
    """The predictions files of these datasets: every method on every split that it is asked about."""
    return [f"<results>/{path}" for path in layout.predictions(config, datasets)]


def local_files(name):
    """Files of a dataset's source that are on this machine: a change of theirs reruns the dataset."""
    source = config["datasets"][name]["source"]
    entries = [*source.get("files", {}).values(), source.get("structure") or {}]
    return [str(Path(ROOT) / entry["path"]) for entry in entries if "path" in entry]


def content(paths):
    """The sha256 of local files: a file that is put in the place of a newer one has changed, whatever its time says."""
    return [seals.checksum(Path(path)) for path in paths if Path(path).is_file()]


def wild_type_files(name):
    """The files on this machine that say a dataset's wild type: one of its own, or the table where none is stated."""
    source = config["datasets"][name]["source"]
    files = source.get("files", {})
    stated = [files["wild_type"]] if "wild_type" in files else []
    told_by = stated or ([] if source.get("wild_type") else list(files.values()))
    return [str(Path(ROOT) / entry["path"]) for entry in told_by if "path" in entry]


def wild_types(split, dataset):
    """The wild types of the other datasets, where a split depends on them."""
    needed = DATASETS if layout.is_among_others(config, split) else []
    return [f"<results>/wild_types/{name}.json" for name in needed if name != dataset]


def checkpoint_files():
    """The checkpoint, where the study names one by its path."""
    name = config.get("language_model", {}).get("name", "mini")
    return [name] if name.endswith((".pt", ".safetensors")) else []


def states(paths):
    """Size and time of change: files of gigabytes are not read whole to see whether they have changed."""
    found = [Path(path).stat() for path in paths if Path(path).is_file()]
    return [[one.st_size, one.st_mtime_ns] for one in found]
