rule report:
    """Put verdicts, tables, figures and provenance into one page that needs no network, and as data beside it."""
    input:
        metrics=expand("<results>/metrics/{dataset}.csv", dataset=DATASETS),
        predictions=predictions(*DATASETS),
        tables=expand("<results>/datasets/{dataset}.csv", dataset=DATASETS),
        leaks="<results>/leaks.json",
        plates=expand("<results>/plates/{dataset}", dataset=PLATED),
        campaigns=expand("<results>/campaigns/{dataset}.csv", dataset=REPLAYED),
        records=expand("<results>/datasets/{dataset}.json", dataset=DATASETS),
    output:
        page=report(
            "<results>/report.html",
            caption="../report/page.rst",
            category="Findings",
            labels={"what": "page"},
        ),
        data=report(
            "<results>/report.json",
            caption="../report/data.rst",
            category="Findings",
            labels={"what": "data"},
        ),
    log:
        "<logs>/report.log",
    benchmark:
        "<benchmarks>/report.tsv"
    conda:
        "../../envs/environment.yaml"
    resources:
        **asks("report"),
    params:
        config=json.dumps(FOUND_BY),
        results=lambda wildcards, output: Path(output[0]).parent,
        version=VERSION,
    shell:
        "multimep report --config - --results {params.results:q} --output {output.page:q}"
        " <<< {params.config:q} > {log:q} 2>&1"
