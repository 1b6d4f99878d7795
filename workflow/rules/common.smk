# What the study wants, by name. Nothing here imports torch: this file is read again in every job.
import json
import re
import sys
from pathlib import Path
from shlex import quote

from snakemake.utils import validate

from multimep import __version__ as VERSION

validate(config, "../schemas/config.schema.json", set_default=False)

DATASETS = list(config["datasets"])
SPLITS = list(config["splits"])
METHODS = list(config["methods"])
LANGUAGE_MODEL = config.get("language_model", {})
SEED = config.get("seed", 0)
ROOT = str(Path(workflow.configfiles[-1]).parent) if workflow.configfiles else "."
ENVIRONMENT = {
    "MULTIMEP_MIRROR": config.get("mirror") or "",
    "MULTIMEP_CACHE": config.get("cache", "results/cache"),
    "MULTIMEP_ROOT": ROOT,
    "OMP_WAIT_POLICY": "PASSIVE",  # idle threads sleep: on shared cores, spinning ones made training four times slower
    "MALLOC_MMAP_THRESHOLD_": str(
        1 << 32
    ),  # freed activations stay with the process: halves the time of long sequences
    "MALLOC_TRIM_THRESHOLD_": str(1 << 33),
}
# Where files come from is no setting of a result: it stands in the environment, not in params, and reruns nothing.
EXPORTS = " ".join(f"{name}={quote(value)}" for name, value in ENVIRONMENT.items())
# The multimep beside this Python serves where no other one is on the path.
BESIDE = quote(str(Path(sys.executable).parent))
shell.prefix(
    f'set -euo pipefail; export {EXPORTS}; command -v multimep >/dev/null || export PATH="$PATH":{BESIDE}; '
)


wildcard_constraints:
    dataset="|".join(DATASETS),
    split="|".join(SPLITS),
    method="|".join(METHODS),


def settings(section, name, *without):
    """The settings of one dataset, split or method as JSON: what reruns its jobs and no others."""
    chosen = {
        key: value
        for key, value in (config[section][name] or {}).items()
        if key not in without
    }
    return json.dumps(chosen, sort_keys=True)


def method_of(label):
    """The entry of the METHODS table behind a label of the study."""
    return (config["methods"][label] or {}).get("method", label)


def splits_of(label):
    """The splits that a method is asked about: all of them unless its entry names some."""
    return (config["methods"][label] or {}).get("splits", SPLITS)


def predictions(*datasets):
    """The predictions files of these datasets: every method on every split that it is asked about."""
    return [
        f"<results>/predictions/{split}/{method}/{dataset}.csv"
        for dataset in datasets
        for method in METHODS
        for split in splits_of(method)
    ]


JOINT = [label for label in METHODS if method_of(label) == "fine_tune_together"]
SINGLE = [label for label in METHODS if label not in JOINT]


def teams(label):
    """The sets of datasets that one joint model learns: all of them, or one set for each group."""
    if (config["methods"][label] or {}).get("scope", "all") == "all":
        return {"all": DATASETS}
    groups = {}
    for name in DATASETS:
        groups.setdefault(
            config["datasets"][name].get("group", "ungrouped"), []
        ).append(name)
    return groups


def word(text):
    """A group's name as it may stand in a rule's name and in a path."""
    return re.sub(r"\W+", "_", text)


def local_files(name):
    """Files of a dataset's source that are on this machine: a change of theirs reruns the dataset."""
    files = config["datasets"][name]["source"].get("files", {})
    return [
        str(Path(ROOT) / entry["path"]) for entry in files.values() if "path" in entry
    ]


def checkpoint_files():
    """The checkpoint, where the study names one by its path."""
    name = LANGUAGE_MODEL.get("name", "mini")
    return [name] if name.endswith((".pt", ".safetensors")) else []
