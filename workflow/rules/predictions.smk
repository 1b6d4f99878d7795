rule predict:
    """Fit one method on the teaching variants of every fold and predict those that are asked."""
    input:
        tables="<results>/datasets/{dataset}.csv",
        records="<results>/datasets/{dataset}.json",
        splits="<results>/splits/{split}/{dataset}.csv",
        stores="<results>/embeddings/{dataset}.h5",
        model="<results>/checkpoint.json",
    output:
        "<results>/predictions/{split}/{method}/{dataset}.csv",
    log:
        "<logs>/predict/{split}/{method}/{dataset}.log",
    benchmark:
        "<benchmarks>/predict/{split}/{method}/{dataset}.tsv"
    wildcard_constraints:
        method="|".join(map(re.escape, SINGLE)) or "none",
    conda:
        "../../envs/environment.yaml"
    resources:
        **asks(),
    params:
        method=lambda wildcards: layout.method_of(config, wildcards.method),
        settings=lambda wildcards: method_settings(wildcards.method),
        language_model=LANGUAGE_MODEL,
        seed=SEED,
        version=VERSION,
    shell:
        "multimep cross-predict {params.method:q} --settings {params.settings:q}"
        " --dataset {input.tables:q} --split {input.splits:q} --store {input.stores:q}"
        " --language-model {params.language_model:q}"
        " --seed {params.seed:q} --output {output:q} > {log:q} 2>&1"


for label in JOINT:
    for team, members in layout.teams(config, label).items():

        rule:
            name:
                f"predict_{layout.word(label)}_{team}"
            input:
                tables=expand("<results>/datasets/{dataset}.csv", dataset=members),
                records=expand("<results>/datasets/{dataset}.json", dataset=members),
                splits=expand(
                    "<results>/splits/{{split}}/{dataset}.csv", dataset=members
                ),
                model="<results>/checkpoint.json",
            output:
                expand(
                    "<results>/predictions/{{split}}/{label}/{dataset}.csv",
                    label=label,
                    dataset=members,
                ),
            log:
                f"<logs>/predict/{{split}}/{label}/{team}.log",
            benchmark:
                f"<benchmarks>/predict/{{split}}/{label}/{team}.tsv"
            conda:
                "../../envs/environment.yaml"
            resources:
                **asks(label),
            params:
                method=layout.method_of(config, label),
                settings=method_settings(label),
                language_model=LANGUAGE_MODEL,
                seed=SEED,
                version=VERSION,
            shell:
                'more=(); for file in {input.tables:q}; do more+=(--dataset "$file"); done;'
                ' for file in {input.splits:q}; do more+=(--split "$file"); done;'
                ' for file in {output:q}; do more+=(--output "$file"); done;'
                " multimep cross-predict {params.method:q} --settings {params.settings:q}"
                ' "${{more[@]}}"'
                " --language-model {params.language_model:q}"
                " --seed {params.seed:q} > {log:q} 2>&1"
