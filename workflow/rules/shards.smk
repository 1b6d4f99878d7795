# Working ahead on a cluster: `multimep plan` packs what is outdated into few allocations, these rules run them, and
# `multimep collect` puts the results in place. Without a plan there is nothing here to do.
localrules:
    configuration,
    prepared,
    shards,


PLAN_FILE = RESULTS / "plan.json"
PLAN = json.loads(PLAN_FILE.read_text()) if PLAN_FILE.exists() else {"shards": []}


def shard_asks():
    """The resources of all shards with a GPU or of all without: equal, so that they can be tasks of one job array."""
    units = {unit["name"]: unit for unit in PLAN.get("units", [])}
    gpus, cores = CLUSTER.get("gpus_per_allocation", 1), CLUSTER.get("cores", 8)

    def is_gpu(wildcards):
        return PLAN["shards"][int(wildcards.shard)]["gpu"]

    def alike(wildcards):
        return [one for one in PLAN["shards"] if one["gpu"] == is_gpu(wildcards)]

    def site(key, other=None):
        return (
            lambda wildcards: CLUSTER.get(key if is_gpu(wildcards) else other) or None
        )

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
        "gres": site("gres"),
        "slurm_partition": site("gpu_partition", "partition"),
        "cpus_per_task": processors,
    }


rule configuration:
    """The study as it is run, for the planner and for `multimep status`."""
    output:
        "<results>/config.json",
    log:
        "<logs>/configuration.log",
    conda:
        "../../envs/environment.yaml"
    params:
        config=json.dumps(config),
        version=VERSION,
    shell:
        "printf '%s' {params.config:q} > {output:q} 2> {log:q}"


rule prepared:
    """Everything that the cross-predictions need: tables, splits, embeddings."""
    input:
        "<results>/config.json",
        "<results>/checkpoint.json",
        expand("<results>/splits/{split}/{dataset}.csv", split=SPLITS, dataset=DATASETS),
        expand("<results>/embeddings/{dataset}.h5", dataset=DATASETS),


rule shard:
    """Many cross-predictions in one allocation, the language model loaded once by each worker."""
    input:
        ancient(str(PLAN_FILE)),
    output:
        touch("<results>/shards/{plan}/{shard}.done"),
    log:
        "<logs>/shard/{plan}/{shard}.log",
    benchmark:
        "<benchmarks>/shard/{plan}/{shard}.tsv"
    conda:
        "../../envs/environment.yaml"
    resources:
        **shard_asks(),
    params:
        ahead=lambda wildcards, input: Path(input[0]).parent / "ahead",
        gpus=CLUSTER.get("gpus_per_allocation", 1),
        version=VERSION,
    shell:
        "multimep shard {input:q} --shard {wildcards.shard:q} --ahead {params.ahead:q}"
        " --gpus {params.gpus:q} > {log:q} 2>&1"


rule shards:
    """Every shard of the plan."""
    input:
        expand(
            "<results>/shards/{plan}/{shard}.done",
            plan=PLAN.get("identity"),
            shard=range(len(PLAN["shards"])),
        ),
