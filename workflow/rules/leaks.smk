rule leaks:
    """Search datasets, splits and the methods without a language model for leaks."""
    input:
        tables=expand("<results>/datasets/{dataset}.csv", dataset=DATASETS),
        records=expand("<results>/datasets/{dataset}.json", dataset=DATASETS),
        splits=[f"<results>/{path}" for path in layout.splits(config, DATASETS)],
    output:
        report(
            "<results>/leaks.json",
            caption="../report/leaks.rst",
            category="Findings",
            labels={"what": "leaks"},
        ),
    log:
        "<logs>/leaks.log",
    benchmark:
        "<benchmarks>/leaks.tsv"
    conda:
        "../../envs/environment.yaml"
    resources:
        **asks("leaks"),
    params:
        config=json.dumps(
            {"study": "leaks"}
            | {key: value for key, value in FOUND_BY.items() if key in layout.SEARCHED}
        ),
        results=lambda wildcards, output: Path(output[0]).parent,
        version=VERSION,
    shell:
        "multimep leaks --config - --results {params.results:q} --output {output:q}"
        " <<< {params.config:q} > {log:q} 2>&1"
