"""Start-up: --help, the seconds before a station works, what Snakemake needs to look at a study, and their share.

The peer of a dry run is Snakemake itself on a Snakefile with as many jobs, files and wildcards, and not one function.
"""

import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import yaml

from multimep import costs
from speed.machine import Machine
from speed.timing import Measured, Point, Ratio, Row, in_turns, ratio

ROOT = Path(__file__).resolve().parents[2]
BENCHMARKS = Path("results/benchmarks")
DATASETS = (25, 50, 100, 200)
SPLITS = {"random": "random", "position": "unseen_position", "low_n": "low_n", "substitution": "unseen_substitution"}
METHODS = (
    "additive",
    "site_gp",
    "one_hot_ridge",
    "augmented_ridge",
    "zero_shot",
    "embedding_gp",
    "transmep",
    "plm_gp",
    "epistasis_gp",
    "combination_gp",
    "fine_tune",
)
STATIONS = {"dataset": "dataset", "split": "split", "embed": "embed", "checkpoint": "embed", "shard": "embed"}
"""By whose start the processes of a rule are counted: every command on 30 variants; those that load a language model as
`embed` with `mini`, all others as `cross-predict additive`."""
BARE = """
DATASETS = [f"d{{index}}" for index in range({datasets})]
SPLITS, METHODS = {splits}, {methods}
rule all:
    input: expand("metrics/{{dataset}}.csv", dataset=DATASETS)
rule dataset:
    output: "datasets/{{dataset}}.csv"
    shell: "touch {{output}}"
rule embed:
    input: "datasets/{{dataset}}.csv"
    output: "embeddings/{{dataset}}.h5"
    shell: "touch {{output}}"
rule split:
    input: "datasets/{{dataset}}.csv"
    output: "splits/{{split}}/{{dataset}}.csv"
    shell: "touch {{output}}"
rule predict:
    input: "datasets/{{dataset}}.csv", "splits/{{split}}/{{dataset}}.csv", "embeddings/{{dataset}}.h5"
    output: "predictions/{{split}}/{{method}}/{{dataset}}.csv"
    log: "logs/{{split}}/{{method}}/{{dataset}}.log"
    benchmark: "benchmarks/{{split}}/{{method}}/{{dataset}}.tsv"
    shell: "touch {{output}}"
rule evaluate:
    input: expand("predictions/{{split}}/{{method}}/{{{{dataset}}}}.csv", split=SPLITS, method=METHODS)
    output: "metrics/{{dataset}}.csv"
    shell: "touch {{output}}"
"""


def measure(machine: Machine) -> Measured:
    """All rows, and the seconds of a dry run by number of datasets."""
    del machine  # nothing here has a limit of the machine
    with tempfile.TemporaryDirectory() as folder:
        rows, seconds = _starts(Path(folder))
        dry, points = _dry_runs(Path(folder))
    return Measured((*rows, *dry, *_overhead(seconds)), points)


def _python(*words: str) -> None:
    subprocess.run([sys.executable, *words], check=True, capture_output=True)


def _starts(folder: Path) -> tuple[list[Row], dict[str, float]]:
    table, split = str(folder / "start.csv"), str(folder / "split.csv")
    spec = "{source: {reader: simulation, options: {protein: gb1, variants: 30}}}"
    stations = {
        "dataset": ("-m", "multimep", "dataset", "start", "--spec", spec, "--output", table),
        "split": ("-m", "multimep", "split", table, "--output", split),
        "embed": ("-m", "multimep", "embed", table, "--output", str(folder / "start.h5")),
    }
    for words in stations.values():
        _python(*words)
    work = ["--dataset", table, "--split", split, "--output", str(folder / "predictions.csv")]
    ways = {
        "pass": ("-c", "pass"),
        "torch": ("-c", "import torch"),
        "libraries": ("-c", "import numpy, pandas, scipy.linalg"),
        "help": ("-m", "multimep", "--help"),
        "subcommand": ("-m", "multimep", "cross-predict", "--help"),
        "station": ("-m", "multimep", "cross-predict", "additive", *work),
        **stations,
    }
    spent = in_turns({name: lambda words=words: _python(*words) for name, words in ways.items()})
    middle = {name: sorted(seconds)[len(seconds) // 2] for name, seconds in spent.items()}

    def row(work: str, ours: str, peer: str, theirs: str) -> Row:
        return Row("start", work, peer, middle[ours], ratio(spent[theirs], spent[ours]))

    rows = [
        row("`multimep --help` (asked: under 0.3 s)", "help", "`python -c pass`", "pass"),
        row("`multimep --help`", "help", "`import torch`", "torch"),
        row("`multimep cross-predict --help`", "subcommand", "`import torch`", "torch"),
        row("`cross-predict additive` on 30 variants", "station", "`import numpy, pandas, scipy.linalg`", "libraries"),
        row("`dataset` of 30 variants", "dataset", "`import numpy, pandas, scipy.linalg`", "libraries"),
        row("`split` of 30 variants", "split", "`import numpy, pandas, scipy.linalg`", "libraries"),
        row("`embed` of 30 variants that the store has", "embed", "`import torch`", "torch"),
    ]
    return rows, middle


def study(datasets: int) -> dict[str, Any]:
    """The default study with so many datasets, four splits and eleven methods: 51 jobs for each dataset."""
    default = yaml.safe_load((ROOT / "config.yaml").read_text(encoding="utf-8"))
    specs = list(default["datasets"].values())
    return default | {
        "datasets": {f"d{index}": specs[index % len(specs)] for index in range(datasets)},
        "splits": {name: {"scheme": scheme} for name, scheme in SPLITS.items()},
        "methods": {name: {} for name in METHODS},
    }


def _dry_run(snakefile: Path, folder: Path, *options: str) -> tuple[float, int]:
    """Seconds and jobs."""
    where = ("--snakefile", str(snakefile), "--directory", str(folder), "--cores", "1")
    command = [sys.executable, "-m", "snakemake", *where, "--dry-run", "--quiet", "rules", *options]
    begin = time.perf_counter()
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    seconds = time.perf_counter() - begin
    lines = (done.stdout + done.stderr).splitlines()
    return seconds, int(next(line.split()[1] for line in lines if line.split()[:1] == ["total"]))


def _dry_runs(folder: Path) -> tuple[list[Row], tuple[Point, ...]]:
    spent = {}
    for number in DATASETS:
        path = folder / f"{number}.yaml"
        path.write_text(yaml.safe_dump(study(number)), encoding="utf-8")
        spent[number], jobs = _dry_run(ROOT / "Snakefile", folder, "--configfile", str(path))
    bare = folder / "Snakefile"
    text = BARE.format(datasets=DATASETS[-1], splits=list(SPLITS), methods=METHODS)
    bare.write_text(text, encoding="utf-8")
    peer, jobs_of_peer = _dry_run(bare, folder)
    once = peer / spent[DATASETS[-1]]
    work = f"`snakemake -n`, {DATASETS[-1]} datasets, {jobs} jobs (asked: under 60 s)"
    beside = f"Snakemake alone, {jobs_of_peer} jobs without functions"
    rows = [Row("start", work, beside, spent[DATASETS[-1]], Ratio(once, once, once))]
    return rows, tuple(Point("start", "datasets of a dry run", size, seconds) for size, seconds in spent.items())


def _overhead(seconds: dict[str, float]) -> list[Row]:
    """The share of start-up in the default study that `make run` has just finished here; no row where there is none.

    Only a study made on this machine, as busy as it is now, tells anything: its seconds stand against those of a start.
    What a shard made has no start of its own, and its seconds are the shard's.
    """
    found = {path: costs.read_run(str(path)) for path in BENCHMARKS.rglob("*.tsv")}
    runs = {path: spent for path, (spent, workers) in found.items() if not workers}
    if not runs:
        return []
    rules = [path.relative_to(BENCHMARKS).parts[0].removesuffix(".tsv") for path in runs]
    total, start = sum(runs.values()), sum(seconds[STATIONS.get(rule, "station")] for rule in rules)
    work = (
        f"start-up of the {len(runs)} processes of `{BENCHMARKS.parent}`, whose shards made {len(found) - len(runs)} "
        f"units: {start / total:.1%} of {total:.0f} s (asked: under 10 %)"
    )
    times = total / start
    return [Row("start", work, "all seconds of its processes", start, Ratio(times, times, times), asked=10.0)]
