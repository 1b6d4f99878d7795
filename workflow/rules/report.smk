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
    params:
        config=json.dumps(config, sort_keys=True),
        version=VERSION,
    shell:
        "multimep report --config {params.config:q} --results $(dirname {output:q}) --benchmarks <benchmarks>"
        " --output {output:q} > {log:q} 2>&1"
