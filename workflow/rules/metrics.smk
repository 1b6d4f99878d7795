rule evaluate:
    """Hold the predictions of every split and method against the measurements of one dataset."""
    input:
        table="<results>/datasets/{dataset}.csv",
        records="<results>/datasets/{dataset}.json",
        predictions=lambda wildcards: predictions(wildcards.dataset),
        splits=lambda wildcards: expand(
            "<results>/splits/{split}/{dataset}.csv",
            split=layout.asked_splits(config, wildcards.dataset),
            dataset=wildcards.dataset,
        ),
    output:
        report(
            "<results>/metrics/{dataset}.csv",
            caption="../report/metrics.rst",
            category="Metrics",
            labels={"dataset": "{dataset}"},
        ),
    log:
        "<logs>/evaluate/{dataset}.log",
    benchmark:
        "<benchmarks>/evaluate/{dataset}.tsv"
    conda:
        "../../envs/environment.yaml"
    resources:
        **asks("evaluate"),
    params:
        settings=json.dumps(SCORED_BY, sort_keys=True),
        seed=SEED,
        version=VERSION,
    shell:
        'more=(); for file in {input.splits:q}; do more+=(--split "$file"); done;'
        " multimep evaluate {input.table:q} {input.predictions:q}"
        ' "${{more[@]}}" --settings {params.settings:q}'
        " --seed {params.seed:q} --output {output:q} > {log:q} 2>&1"
