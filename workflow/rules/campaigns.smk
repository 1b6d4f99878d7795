rule campaigns:
    """Every dataset's replayed campaigns: a target of its own, `snakemake campaigns`, that no report waits for."""
    input:
        expand("<results>/campaigns/{dataset}.csv", dataset=DATASETS),


rule campaign:
    """Replay one measured landscape round by round, policy by policy."""
    input:
        table="<results>/datasets/{dataset}.csv",
        records="<results>/datasets/{dataset}.json",
    output:
        "<results>/campaigns/{dataset}.csv",
    log:
        "<logs>/campaign/{dataset}.log",
    benchmark:
        "<benchmarks>/campaign/{dataset}.tsv"
    conda:
        "../../envs/environment.yaml"
    resources:
        mem_mb=lambda wildcards, attempt: 4000 * attempt,
        runtime=lambda wildcards, attempt: 240 * attempt,
    params:
        settings=json.dumps(config.get("campaign", {}), sort_keys=True),
        language_model=LANGUAGE_MODEL,
        seed=SEED,
        version=VERSION,
    shell:
        "multimep campaign {input.table:q} --settings {params.settings:q}"
        " --language-model {params.language_model:q} --seed {params.seed:q}"
        " --output {output:q} > {log:q} 2>&1"
