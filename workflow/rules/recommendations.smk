rule fit:
    """Fit the method that chooses plates on all variants of a dataset."""
    input:
        table="<results>/datasets/{dataset}.csv",
        records="<results>/datasets/{dataset}.json",
        stores="<results>/embeddings/{dataset}.h5",
        model="<results>/checkpoint.json",
    output:
        "<results>/predictors/{dataset}.safetensors",
    log:
        "<logs>/fit/{dataset}.log",
    benchmark:
        "<benchmarks>/fit/{dataset}.tsv"
    conda:
        "../../envs/environment.yaml"
    resources:
        **asks(PLATED_BY, fit_cost),
    params:
        method=layout.method_of(config, PLATED_BY) if PLATED_BY else "",
        settings=method_settings(PLATED_BY) if PLATED_BY else "",
        language_model=LANGUAGE_MODEL,
        seed=SEED,
        version=VERSION,
    shell:
        "multimep fit {input.table:q} --method {params.method:q} --settings {params.settings:q}"
        " --store {input.stores:q} --language-model {params.language_model:q}"
        " --seed {params.seed:q} --output {output:q} > {log:q} 2>&1"


rule plate:
    """Choose a dataset's next plate: the best candidates that its rules allow, dealt to wells."""
    input:
        predictor="<results>/predictors/{dataset}.safetensors",
        records="<results>/datasets/{dataset}.json",
        model="<results>/checkpoint.json",
    output:
        directory("<results>/plates/{dataset}"),
    log:
        "<logs>/plate/{dataset}.log",
    benchmark:
        "<benchmarks>/plate/{dataset}.tsv"
    conda:
        "../../envs/environment.yaml"
    resources:
        **asks_processors(plate_cost),
    params:
        wishes=json.dumps(config.get("recommend", {}).get("wishes", {}), sort_keys=True),
        seed=SEED,
        version=VERSION,
    shell:
        "multimep recommend {input.predictor:q} --settings {params.wishes:q}"
        " --seed {params.seed:q} --output {output:q} > {log:q} 2>&1"
