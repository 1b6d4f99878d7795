localrules:
    split,


rule split:
    """Say for every variant of every fold whether it teaches or is asked."""
    input:
        table="<results>/datasets/{dataset}.csv",
        records="<results>/datasets/{dataset}.json",
        kin=lambda wildcards: wild_types(wildcards.split, wildcards.dataset),
    output:
        "<results>/splits/{split}/{dataset}.csv",
    log:
        "<logs>/split/{split}/{dataset}.log",
    benchmark:
        "<benchmarks>/split/{split}/{dataset}.tsv"
    conda:
        "../../envs/environment.yaml"
    resources:
        **asks("split"),
    params:
        settings=lambda wildcards: split_settings(wildcards.split),
        seed=SEED,
        version=VERSION,
    shell:
        'more=(); for file in {input.kin:q}; do more+=(--kin "$file"); done;'
        " multimep split {input.table:q} --settings {params.settings:q} --seed {params.seed:q}"
        ' "${{more[@]}}"'
        " --output {output:q} > {log:q} 2>&1"
