localrules:
    dataset,
    wild_type,
    checkpoint,
    fetch,


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
        spec=lambda wildcards: dataset_settings(wildcards.dataset),
        content=lambda wildcards: content(local_files(wildcards.dataset)),
        version=VERSION,
    shell:
        "multimep dataset {wildcards.dataset:q} --spec {params.spec:q} --output {output.table:q} > {log:q} 2>&1"


rule wild_type:
    """The wild type of one dataset alone: what depends on it, and on no row, need not be made anew for a row."""
    input:
        lambda wildcards: wild_type_files(wildcards.dataset),
    output:
        "<results>/wild_types/{dataset}.json",
    log:
        "<logs>/wild_type/{dataset}.log",
    benchmark:
        "<benchmarks>/wild_type/{dataset}.tsv"
    conda:
        "../../envs/environment.yaml"
    params:
        spec=lambda wildcards: json.dumps(
            {"source": config["datasets"][wildcards.dataset]["source"]}, sort_keys=True
        ),
        content=lambda wildcards: content(wild_type_files(wildcards.dataset)),
        version=VERSION,
    shell:
        "multimep wild-type {wildcards.dataset:q} --spec {params.spec:q} --output {output:q} > {log:q} 2>&1"


rule checkpoint:
    """Bring the language model's checkpoint, verify it and write down what it is."""
    input:
        checkpoint_files(),
    output:
        "<results>/checkpoint.json",
    log:
        "<logs>/checkpoint.log",
    benchmark:
        "<benchmarks>/checkpoint.tsv"
    conda:
        "../../envs/environment.yaml"
    params:
        language_model=LANGUAGE_MODEL,
        file=states(checkpoint_files()),
        version=VERSION,
    shell:
        "multimep checkpoint --language-model {params.language_model:q} --output {output:q} > {log:q} 2>&1"


rule fetch:
    """All that comes from the network, and the splits: the rest needs no network, and what it takes is foreseeable."""
    input:
        expand("<results>/datasets/{dataset}.csv", dataset=DATASETS),
        [f"<results>/{path}" for path in layout.splits(config, DATASETS)],
        sorted({path for split in SPLITS for path in wild_types(split, "")}),
        "<results>/checkpoint.json",
