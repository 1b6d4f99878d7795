rule predict:
    """Fit one method on the teaching variants of every fold and predict those that are asked."""
    input:
        tables="<results>/datasets/{dataset}.csv",
        splits="<results>/splits/{split}/{dataset}.csv",
        stores="<results>/embeddings/{dataset}.h5",
    output:
        "<results>/predictions/{split}/{method}/{dataset}.csv",
    log:
        "<logs>/predict/{split}/{method}/{dataset}.log",
    benchmark:
        "<benchmarks>/predict/{split}/{method}/{dataset}.tsv"
    wildcard_constraints:
        method="|".join(SINGLE) or "none",
    conda:
        "../../envs/environment.yaml"
    params:
        method=lambda wildcards: method_of(wildcards.method),
        settings=lambda wildcards: settings(
            "methods", wildcards.method, "method", "splits"
        ),
        language_model=json.dumps(LANGUAGE_MODEL, sort_keys=True),
        seed=SEED,
        version=VERSION,
    shell:
        "multimep cross-predict {params.method:q} --settings {params.settings:q}"
        " --dataset {input.tables:q} --split {input.splits:q} --store {input.stores:q}"
        " --language-model {params.language_model:q}"
        " --seed {params.seed:q} --output {output:q} > {log:q} 2>&1"


for label in JOINT:
    for team, members in teams(label).items():

        rule:
            name:
                f"predict_{word(label)}_{word(team)}"
            input:
                tables=expand("<results>/datasets/{dataset}.csv", dataset=members),
                splits=expand(
                    "<results>/splits/{{split}}/{dataset}.csv", dataset=members
                ),
            output:
                expand(
                    "<results>/predictions/{{split}}/{label}/{dataset}.csv",
                    label=label,
                    dataset=members,
                ),
            log:
                f"<logs>/predict/{{split}}/{label}/{word(team)}.log",
            benchmark:
                f"<benchmarks>/predict/{{split}}/{label}/{word(team)}.tsv"
            conda:
                "../../envs/environment.yaml"
            params:
                method=method_of(label),
                settings=settings("methods", label, "method", "splits"),
                language_model=json.dumps(LANGUAGE_MODEL, sort_keys=True),
                seed=SEED,
                version=VERSION,
            shell:
                "multimep cross-predict {params.method:q} --settings {params.settings:q}"
                " $(printf -- '--dataset %q ' {input.tables:q}) $(printf -- '--split %q ' {input.splits:q})"
                " $(printf -- '--output %q ' {output:q})"
                " --language-model {params.language_model:q}"
                " --seed {params.seed:q} > {log:q} 2>&1"
