rule campaigns:
    """The replayed campaigns of the datasets that the study names for it, else of all: `snakemake campaigns`."""
    input:
        expand("<results>/campaigns/{dataset}.csv", dataset=REPLAYED or DATASETS),


rule campaign:
    """Replay one measured landscape round by round, policy by policy."""
    input:
        table="<results>/datasets/{dataset}.csv",
        records="<results>/datasets/{dataset}.json",
        model="<results>/checkpoint.json",
    output:
        "<results>/campaigns/{dataset}.csv",
    log:
        "<logs>/campaign/{dataset}.log",
    benchmark:
        "<benchmarks>/campaign/{dataset}.tsv"
    conda:
        "../../envs/environment.yaml"
    resources:
        **asks_processors(campaign_cost),
    params:
        settings=json.dumps(PLAYED_BY, sort_keys=True),
        language_model=LANGUAGE_MODEL,
        seed=SEED,
        version=VERSION,
    shell:
        "multimep campaign {input.table:q} --settings {params.settings:q}"
        " --language-model {params.language_model:q} --seed {params.seed:q}"
        " --output {output:q} > {log:q} 2>&1"
