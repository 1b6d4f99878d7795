# What every job asks for: predicted memory and minutes, and on a cluster its partition and GPU in the site's own form.
import re
import sys
from pathlib import Path

from snakemake.exceptions import WorkflowError

from multimep import bench_costs, costs, forecast, layout, prices

CLUSTER = config.get("cluster", {})


def kept(path, otherwise):
    """What a file of working ahead tells; without it costs are guessed and nothing is packed."""
    try:
        return documents.from_json(documents.text(path)) if path.exists() else otherwise
    except documents.DocumentError as error:
        raise WorkflowError(
            f"{path}: damaged ({error}); delete it, which costs time and no result"
        )


# What SLURM is asked for: the cost that `costs` predicts, more at every retry. The form of a GPU request is the site's.
FACTORS = kept(RESULTS / "calibration.json", {})

# On this machine no more memory is promised at once than it has; --resources mem_mb=... says otherwise. A job that is
# predicted to need more than all of it runs alone. On a cluster each job has an allocation of its own.
if workflow.is_main_process and workflow.resource_settings.nodes is None:
    if not {"mem", "mem_mb", "mem_mib"} & set(workflow.resource_settings.resources):
        workflow.register_resource("mem_mb", costs.megabytes_here())


def of_site(on_gpu):
    """Resources in the site's own words, nothing without a site: Snakemake asks each of every job."""

    def chosen(key, other=None):
        return (
            lambda wildcards: CLUSTER.get(key if on_gpu(wildcards) else other) or None
        )

    found = {
        "gres": chosen("gres"),
        "slurm_partition": chosen("gpu_partition", "partition"),
        "cpus_per_task": chosen("cores_per_gpu"),
    }
    return found if CLUSTER else {}


def asks(label=None, priced=None):
    """The resources of a rule's jobs: a station's, or of the method of this label (of the wildcard if none is given).

    `priced` gives the cost from label and inputs; that of cross-predictions and stations if not given.
    """

    def labelled(wildcards):
        return label or wildcards.method

    def on_gpu(wildcards):
        label = labelled(wildcards)
        return bool(CLUSTER.get("gres")) and prices.uses_gpu(
            layout.method_of(config, label), layout.sized_by(config, label)
        )

    def megabytes(wildcards, input, attempt):
        return costs.megabytes((priced or cost)(labelled(wildcards), input), attempt)

    def minutes(wildcards, input, attempt):
        found = (priced or cost)(labelled(wildcards), input)
        return costs.minutes(found, attempt, CLUSTER.get("walltime"))

    return {
        "mem_mb": megabytes,
        "runtime": minutes,
        **of_site(on_gpu),
    }


def several(paths):
    """Files of one name among a rule's inputs, as a list even if there is one."""
    return [paths] if isinstance(paths, str) else paths


def cost(label, input):
    """What a job on these inputs is predicted to take."""
    splits = several(input.splits) if label in config["methods"] else []
    work = forecast.read_work(
        layout.method_of(config, label),
        layout.sized_by(config, label),
        several(input.records),
        splits,
        input.get("model"),
    )
    return costs.predict(work, gpus=bool(CLUSTER.get("gres")), factors=FACTORS)


def fit_cost(label, input):
    """What one fit of a method on all variants of a dataset is predicted to take."""
    method, settings = layout.method_of(config, label), layout.settings_of(
        config, label
    )
    work = forecast.whole_fit(method, settings, input.records, input.model)
    return costs.predict(work, gpus=bool(CLUSTER.get("gres")), factors=FACTORS)


def asks_processors(priced):
    """The resources of a job without a GPU whose cost follows from its inputs."""
    return {
        "mem_mb": lambda wildcards, input, attempt: costs.megabytes(
            priced(input), attempt
        ),
        "runtime": lambda wildcards, input, attempt: costs.minutes(
            priced(input), attempt, CLUSTER.get("walltime")
        ),
        **of_site(lambda wildcards: False),
    }


def campaign_cost(input):
    """What the replay of one landscape is predicted to take."""
    return bench_costs.campaign(config, input.records, input.model, FACTORS)


def plate_cost(input):
    """What the choice of one plate is predicted to take at the most."""
    return bench_costs.plate(config, PLATED_BY, input.records, input.model, FACTORS)


PLAN_FILE = RESULTS / "plan.json"
PLAN = kept(PLAN_FILE, {"shards": []})


def shard_asks():
    """The resources of all shards with a GPU, or of all without: those of the largest; on this machine a shard's own."""
    units = {unit["name"]: unit for unit in PLAN.get("units", [])}
    gpus = CLUSTER.get("gpus_per_allocation", 1)

    def is_gpu(wildcards):
        return PLAN["shards"][int(wildcards.shard)]["gpu"]

    def alike(wildcards):
        if not CLUSTER:
            return [PLAN["shards"][int(wildcards.shard)]]
        return [one for one in PLAN["shards"] if one["gpu"] == is_gpu(wildcards)]

    def minutes(wildcards, attempt):
        longest = max(one["seconds"] for one in alike(wildcards))
        found = costs.Cost(longest, 0, is_gpu(wildcards))
        return costs.minutes(found, attempt, CLUSTER.get("walltime"))

    def megabytes(wildcards, attempt):
        needs = [
            sum(max(units[name]["memory"] for name in lane) for lane in one["lanes"])
            for one in alike(wildcards)
        ]
        return costs.megabytes(costs.Cost(0, 1024 * max(needs), False), attempt)

    def processors(wildcards):
        if is_gpu(wildcards):
            return CLUSTER.get("cores_per_gpu", 8) * gpus
        return max(len(one["lanes"]) for one in alike(wildcards))

    return {
        "mem_mb": megabytes,
        "runtime": minutes,
        **of_site(is_gpu),
        "cpus_per_task": processors,
    }


if workflow.is_main_process and any(
    re.fullmatch("--dry-?run|-[a-zF]*n[a-z]*", word) for word in sys.argv
):
    print(f"Forecast: {forecast.study(config, RESULTS, FACTORS)}", file=sys.stderr)
