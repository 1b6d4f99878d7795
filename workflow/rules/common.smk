# What the study wants, by name. Nothing here imports torch or numpy: this file is read again in every job.
import json
import os
import sys
from pathlib import Path
from shlex import quote

import yaml
from snakemake.utils import validate

from multimep import __version__ as VERSION
from multimep import costs, forecast, layout

# What the site is like stands in cluster.yaml beside the profile, and reaches the jobs on the nodes by the environment: in
# the profile itself, the command line's --config or --configfile would replace it.
PROFILE = next(
    (after for word, after in zip(sys.argv, sys.argv[1:]) if word.endswith("-profile")),
    "",
)
if (Path(PROFILE) / "cluster.yaml").is_file() and PROFILE:
    os.environ["MULTIMEP_CLUSTER"] = str((Path(PROFILE) / "cluster.yaml").resolve())
if "MULTIMEP_CLUSTER" in os.environ:
    with open(os.environ["MULTIMEP_CLUSTER"]) as file:
        config["cluster"] = yaml.safe_load(file) | config.get("cluster", {})

validate(config, "../schemas/config.schema.json", set_default=False)

DATASETS = list(config["datasets"])
SPLITS = list(config["splits"])
SINGLE = [label for label in config["methods"] if not layout.is_joint(config, label)]
JOINT = [label for label in config["methods"] if layout.is_joint(config, label)]
SEED = config.get("seed", 0)
CLUSTER = config.get("cluster", {})
ROOT = str(Path(workflow.configfiles[-1]).parent) if workflow.configfiles else "."
RESULTS = Path(config.get("pathvars", {}).get("results", "results"))

# Where a study runs is no part of what it finds.
ELSEWHERE = ("cluster", "mirror", "cache")
# How a language model is run changes no result: like the addresses of files it stands in the environment, not in
# params, and reruns nothing.
HOW = ("device", "batch_size", "directory")
CHOSEN = {
    key: value
    for key, value in config.get("language_model", {}).items()
    if key not in HOW
}
LANGUAGE_MODEL = json.dumps(CHOSEN, sort_keys=True)
# What of the configuration decides results.
FOUND_BY = {
    key: CHOSEN if key == "language_model" else value
    for key, value in config.items()
    if key not in ELSEWHERE
}
# The last three: benchmarks/environment.py measures what they are worth.
ENVIRONMENT = {
    "MULTIMEP_MIRROR": config.get("mirror") or "",
    "MULTIMEP_CACHE": config.get("cache", "results/cache"),
    "MULTIMEP_ROOT": ROOT,
    "MULTIMEP_CHECKPOINTS": str(RESULTS / "unfinished"),
    "MULTIMEP_LANGUAGE_MODEL": json.dumps(
        {
            key: value
            for key, value in config.get("language_model", {}).items()
            if key in HOW
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
    dataset="|".join(DATASETS),
    split="|".join(SPLITS),
    method="|".join(config["methods"]),


def settings(section, name):
    """The settings of one dataset or split as JSON: what reruns its jobs and no others."""
    return json.dumps(config[section][name] or {}, sort_keys=True)


def method_settings(label):
    """The settings of one method as JSON."""
    return json.dumps(layout.settings_of(config, label), sort_keys=True)


def predictions(*datasets):
    """The predictions files of these datasets: every method on every split that it is asked about."""
    return [f"<results>/{path}" for path in layout.predictions(config, datasets)]


def local_files(name):
    """Files of a dataset's source that are on this machine: a change of theirs reruns the dataset."""
    files = config["datasets"][name]["source"].get("files", {})
    return [
        str(Path(ROOT) / entry["path"]) for entry in files.values() if "path" in entry
    ]


def checkpoint_files():
    """The checkpoint, where the study names one by its path."""
    name = config.get("language_model", {}).get("name", "mini")
    return [name] if name.endswith((".pt", ".safetensors")) else []


# What SLURM is asked for: the cost that `costs` predicts, more at every retry. The form of a GPU request is the site's.
CALIBRATION = RESULTS / "calibration.json"
FACTORS = json.loads(CALIBRATION.read_text()) if CALIBRATION.exists() else {}


def asks(label=None):
    """The resources of a rule's jobs: a station's, or of the method of this label (of the wildcard if none is given)."""

    def labelled(wildcards):
        return label or wildcards.method

    def on_gpu(wildcards):
        return (
            bool(CLUSTER.get("gres")) and costs.PRICES[priced(labelled(wildcards))].gpu
        )

    def site(key, other=None):
        return (
            lambda wildcards: CLUSTER.get(key if on_gpu(wildcards) else other) or None
        )

    def megabytes(wildcards, input, attempt):
        return costs.megabytes(cost(labelled(wildcards), input), attempt)

    def minutes(wildcards, input, attempt):
        return costs.minutes(
            cost(labelled(wildcards), input), attempt, CLUSTER.get("walltime")
        )

    return {
        "mem_mb": megabytes,
        "runtime": minutes,
        "gres": site("gres"),
        "slurm_partition": site("gpu_partition", "partition"),
        "cpus_per_task": site("cores_per_gpu"),
    }


def priced(label):
    """The name under which `costs` knows a label of the study, or a station."""
    return layout.method_of(config, label) if label in config["methods"] else label


def settings_of(label):
    """What decides the size of a method's or a station's job."""
    if label in config["methods"]:
        return layout.settings_of(config, label)
    if label == "embed":
        return config.get("language_model", {})
    tables = len(layout.predictions(config, DATASETS[:1]))
    return {"tables": tables, **config.get("evaluation", {})}


def several(paths):
    """Files of one name among a rule's inputs, as a list even if there is one."""
    return [paths] if isinstance(paths, str) else paths


def cost(label, input):
    """What a job on these inputs is predicted to take."""
    sizes = [costs.read_size(record) for record in several(input.records)]
    folds = (
        [fold for split in several(input.splits) for fold in costs.read_folds(split)]
        if label in config["methods"]
        else [(0, sum(variants for variants, _ in sizes))]
    )
    model = costs.read_model(input.model) if input.get("model") else costs.NONE
    longest = max(length for _, length in sizes)
    work = costs.Work(priced(label), tuple(folds), longest, model, settings_of(label))
    return costs.predict(work, gpus=bool(CLUSTER.get("gres")), factors=FACTORS)


if workflow.is_main_process and {"-n", "--dry-run", "--dryrun"} & set(sys.argv):
    print(f"Forecast: {forecast.study(config, RESULTS, FACTORS)}", file=sys.stderr)
