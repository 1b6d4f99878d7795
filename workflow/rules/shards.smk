# Working ahead: `multimep plan` packs what is outdated into few allocations, these rules run them, and
# `multimep collect` puts the results in place. Without a plan there is nothing here to do.
from snakemake.executors import touch as touching

# `--touch` would wait so many seconds for each file that `collect` put in place: minutes for thousands.
touching.Executor.SLEEPING_TIME = 0


localrules:
    configuration,
    prepared,
    shards,


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
    """What a plan needs: tables, splits and, on a cluster, embeddings; on this machine shards make those as well."""
    input:
        "<results>/config.json",
        "<results>/checkpoint.json",
        [f"<results>/{path}" for path in layout.splits(config, DATASETS)],
        expand("<results>/embeddings/{dataset}.h5", dataset=DATASETS if CLUSTER else []),


rule shard:
    """Many units in one allocation, the language model loaded once by each worker."""
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
