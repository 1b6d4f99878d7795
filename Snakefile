# Which results are wanted. The rules stand in the order in which the data flows.
from snakemake.utils import min_version

min_version("9.20")


if "datasets" not in config:  # --configfile would be merged with it, not replace it

    configfile: "config.yaml"


pathvars:
    results="results",
    logs="<results>/logs",
    benchmarks="<results>/benchmarks",


report: "workflow/report/study.rst"


include: "workflow/rules/common.smk"
include: "workflow/rules/resources.smk"
include: "workflow/rules/datasets.smk"
include: "workflow/rules/embeddings.smk"
include: "workflow/rules/splits.smk"
include: "workflow/rules/predictions.smk"
include: "workflow/rules/shards.smk"
include: "workflow/rules/metrics.smk"
include: "workflow/rules/leaks.smk"
include: "workflow/rules/report.smk"
include: "workflow/rules/campaigns.smk"
include: "workflow/rules/recommendations.smk"


rule all:
    """The report, and with it everything that it shows."""
    default_target: True
    input:
        "<results>/report.html",
        "<results>/report.json",


onsuccess:
    if (RESULTS / "report.html").exists():
        print("The report:", (RESULTS / "report.html").resolve(), file=sys.stderr)
