rule embed:
    """Run the language model over the sequences that the store does not have yet."""
    input:
        table="<results>/datasets/{dataset}.csv",
        records="<results>/datasets/{dataset}.json",
        model="<results>/checkpoint.json",
    output:
        update("<results>/embeddings/{dataset}.h5"),
    log:
        "<logs>/embed/{dataset}.log",
    benchmark:
        "<benchmarks>/embed/{dataset}.tsv"
    conda:
        "../../envs/environment.yaml"
    resources:
        **asks("embed"),
    params:
        language_model=LANGUAGE_MODEL,
        rows=layout.embedded(config),
        version=VERSION,
    shell:
        "multimep embed {input.table:q} --language-model {params.language_model:q} --rows {params.rows:q}"
        " --output {output:q} > {log:q} 2>&1"
