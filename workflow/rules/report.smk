rule report:
    """Put tables, figures, verdicts and provenance into one page that needs no network."""
    input:
        metrics=expand("<results>/metrics/{dataset}.csv", dataset=DATASETS),
        predictions=predictions(*DATASETS),
        tables=expand("<results>/datasets/{dataset}.csv", dataset=DATASETS),
    output:
        "<results>/report.html",
    log:
        "<logs>/report.log",
    benchmark:
        "<benchmarks>/report.tsv"
    conda:
        "../../envs/environment.yaml"
    params:
        config=json.dumps(config),
        results=lambda wildcards, output: Path(output[0]).parent,
        version=VERSION,
    shell:
        "multimep report --config {params.config:q} --results {params.results:q}"
        " --output {output:q} > {log:q} 2>&1"
