rule dataset:
    """Bring one source, check every row of it and write it as a tidy table with its record."""
    input:
        lambda wildcards: local_files(wildcards.dataset),
    output:
        table="<results>/datasets/{dataset}.csv",
        record="<results>/datasets/{dataset}.json",
    log:
        "<logs>/dataset/{dataset}.log",
    benchmark:
        "<benchmarks>/dataset/{dataset}.tsv"
    conda:
        "../../envs/environment.yaml"
    params:
        spec=lambda wildcards: settings("datasets", wildcards.dataset),
        version=VERSION,
    shell:
        "multimep dataset {wildcards.dataset:q} --spec {params.spec:q} --output {output.table:q} > {log:q} 2>&1"
