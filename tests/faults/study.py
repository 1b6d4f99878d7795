"""The tiny study that faults are done to: two peptides, one split, three methods, every station."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import yaml

from faults.station import Station, require_success, run
from small_study import PEPTIDES, table

ROOT = Path(__file__).parents[2]
NAMES = ("alpha", "beta")
METHODS: dict[str, dict[str, Any]] = {
    "additive": {},
    "embedding_gp": {},
    "fine_tune_together": {"epochs": 2, "batch_size": 8},
}
OF_THE_RUN = ("provenance", "taken")
"""What of report.json is the run's: date, machine, run times."""

FOUND = ("--config", "config.yaml", "--results", "results")
CHECKPOINT = Station("checkpoint", ("checkpoint", "--output", "results/checkpoint.json"), ("results/checkpoint.json",))
LEAKS = Station("leaks", ("leaks", *FOUND, "--output", "results/leaks.json"), ("results/leaks.json",))
REPORT = Station(
    "report", ("report", *FOUND, "--output", "results/report.html"), ("results/report.html", "results/report.json")
)


@dataclass(frozen=True)
class Study:
    """A folder with two tables, a configuration, and `results` once it was run.

    Attributes:
        short: only the stations that need no language model, up to the metrics.
    """

    folder: Path
    short: bool = False

    @property
    def results(self) -> Path:
        return self.folder / "results"

    @property
    def config(self) -> dict[str, Any]:
        loaded: dict[str, Any] = yaml.safe_load((self.folder / "config.yaml").read_text())
        return loaded

    def prepare(self) -> "Study":
        """Write tables and configuration."""
        self.folder.mkdir(parents=True, exist_ok=True)
        datasets = {}
        for seed, name in enumerate(self.names):
            group, wild_type = PEPTIDES[name]
            (self.folder / f"{name}.csv").write_text(table(wild_type, seed))
            source = {"reader": "multimep", "files": {"variants": {"path": f"{name}.csv"}}, "wild_type": wild_type}
            datasets[name] = {"group": group, "source": source}
        config = {
            "study": "A study that faults are done to",
            "datasets": datasets,
            "splits": {"random": {"scheme": "random", "folds": 2}},
            "methods": self.methods,
            "leaks": {"methods": ["additive"], "rows": 24, "permutations": 2},
            "evaluation": {"bootstrap": 20},
        }
        (self.folder / "config.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
        return self

    def copy(self, folder: Path) -> "Study":
        """The same study, with its results, elsewhere."""
        shutil.copytree(self.folder, folder, ignore=shutil.ignore_patterns(".snakemake"))
        return Study(folder, self.short)

    @property
    def names(self) -> tuple[str, ...]:
        return NAMES[:1] if self.short else NAMES

    @property
    def methods(self) -> dict[str, dict[str, Any]]:
        return {"additive": {}} if self.short else METHODS

    def stations(self) -> list[Station]:
        """Every command of the study, in the order of the flow; paths as Snakemake gives them."""
        model = () if self.short else (CHECKPOINT, *(self._embed(name) for name in self.names))
        single = [method for method in ("additive", "embedding_gp") if method in self.methods]
        return [
            *(self._dataset(name) for name in self.names),
            *model,
            *(self._split(name) for name in self.names),
            *(self._predict(method, name) for method in single for name in self.names),
            *(() if self.short else (self._together(),)),
            *(self._evaluate(name) for name in self.names),
            *(() if self.short else (LEAKS, REPORT)),
        ]

    def _dataset(self, name: str) -> Station:
        spec = json.dumps(self.config["datasets"][name])
        words = ("dataset", name, "--spec", spec, "--output", f"results/datasets/{name}.csv")
        return Station("dataset", words, (f"results/datasets/{name}.csv", f"results/datasets/{name}.json"))

    def _embed(self, name: str) -> Station:
        output = f"results/embeddings/{name}.h5"
        return Station("embed", ("embed", f"results/datasets/{name}.csv", "--output", output), (output,))

    def _split(self, name: str) -> Station:
        output = f"results/splits/random/{name}.csv"
        words = ("split", f"results/datasets/{name}.csv", "--settings", '{"folds": 2, "scheme": "random"}')
        return Station("split", (*words, "--output", output), (output,))

    def _predict(self, method: str, name: str) -> Station:
        output = f"results/predictions/random/{method}/{name}.csv"
        files = ("--dataset", f"results/datasets/{name}.csv", "--split", f"results/splits/random/{name}.csv")
        store = () if self.short else ("--store", f"results/embeddings/{name}.h5")
        return Station(
            f"cross-predict {method}", ("cross-predict", method, *files, *store, "--output", output), (output,)
        )

    def _together(self) -> Station:
        method = "fine_tune_together"
        outputs = tuple(f"results/predictions/random/{method}/{name}.csv" for name in self.names)
        words = ["cross-predict", method, "--settings", json.dumps(METHODS[method])]
        for name, output in zip(self.names, outputs, strict=True):
            words += ["--dataset", f"results/datasets/{name}.csv", "--split", f"results/splits/random/{name}.csv"]
            words += ["--output", output]
        return Station(f"cross-predict {method}", tuple(words), outputs)

    def _evaluate(self, name: str) -> Station:
        output = f"results/metrics/{name}.csv"
        files = [f"results/predictions/random/{method}/{name}.csv" for method in self.methods]
        words = ("evaluate", f"results/datasets/{name}.csv", *files, "--split", f"results/splits/random/{name}.csv")
        return Station("evaluate", (*words, "--settings", '{"bootstrap": 20}', "--output", output), (output,))

    def make(self, log: Path) -> None:
        """Run every station once, without Snakemake."""
        for station in self.stations():
            require_success(run(station, self.folder, log, environment=self.environment), station)

    @property
    def environment(self) -> dict[str, str]:
        """As the rules set it, with a folder for unfinished work."""
        return {"MULTIMEP_CHECKPOINTS": "results/unfinished", "MULTIMEP_CACHE": "results/cache"}

    def snakemake(
        self, *arguments: str, prefix: tuple[str, ...] = (), log: str = "snakemake.log"
    ) -> subprocess.Popen[str]:
        """The real pipeline in a process group of its own, one job at a time."""
        command = [*prefix, sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile")]
        command += ["--directory", str(self.folder), "--configfile", str(self.folder / "config.yaml"), "--cores", "1"]
        paths = f"{ROOT / 'workflow'}:{os.environ.get('PYTHONPATH', '')}"
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        environment = os.environ | {"PYTHONPATH": paths, "PATH": path, "OMP_NUM_THREADS": "1"}
        with (self.folder / log).open("w") as said:
            return subprocess.Popen(
                [*command, *arguments], stdout=said, stderr=said, text=True, env=environment, start_new_session=True
            )

    def completes(self, *arguments: str, seconds: float = 900.0, **options: Any) -> tuple[int, str]:
        """Status of the pipeline after `--unlock` and `--rerun-incomplete`, and what it said."""
        self.unlock()
        process = self.snakemake("--rerun-incomplete", *arguments, **options)
        try:
            return process.wait(seconds), self.said
        finally:
            end(process)

    def unlock(self) -> None:
        """Take away the lock of a Snakemake that was killed, as the next one asks."""
        if any((self.folder / ".snakemake" / "locks").glob("*")):
            self.snakemake("--unlock").wait(300)

    @property
    def said(self) -> str:
        return (self.folder / "snakemake.log").read_text(errors="replace")

    def tables(self, but: str = "") -> dict[str, bytes]:
        """All that the study found, by path: files as they are, stores by content, report.json without its run.

        `but`: a file that is not looked at.
        """
        found = {}
        files = ("datasets/*", "splits/*/*", "predictions/*/*/*", "metrics/*", "leaks.json", "checkpoint.json")
        for pattern in (*files, "embeddings/*.h5"):
            for path in self.results.glob(pattern):
                name = str(path.relative_to(self.results))
                if not path.name.startswith(".") and name != but:
                    found[name] = content(path) if path.suffix == ".h5" else path.read_bytes()
        if (self.results / "report.json").exists():
            found["report.json"] = findings(self.results / "report.json")
        return found


def packed(study: Study) -> list[Station]:
    """plan, shard and collect of the predictions that are missing."""
    config = study.config | {"cluster": {"allocations": 1, "cores": 1}}
    (study.folder / "packed.json").write_text(json.dumps(config))
    plan, ahead = "results/plan.json", ("--ahead", "results/ahead")
    words = ("plan", "--config", "packed.json", "--results", "results", "--output", plan)
    return [
        Station("plan", words, (plan,)),
        Station("shard", ("shard", plan, "--shard", "0", "--lane", "0", *ahead), ()),
        Station("collect", ("collect", plan, *ahead), ()),
    ]


def content(path: Path) -> bytes:
    """What an HDF5 file holds: attributes and datasets by name."""
    parts: list[bytes] = []
    with h5py.File(path) as file:
        parts += [f"{name} {value}".encode() for name, value in sorted(file.attrs.items())]
        file.visititems(
            lambda name, node: (
                parts.extend([name.encode(), node[()].tobytes()]) if isinstance(node, h5py.Dataset) else None
            )
        )
    return b"\n".join(parts)


def findings(path: Path) -> bytes:
    """report.json without date, machine and run times."""
    told: Mapping[str, Any] = json.loads(path.read_text())
    return json.dumps({name: value for name, value in told.items() if name not in OF_THE_RUN}).encode()


def end(process: subprocess.Popen[str]) -> None:
    """Kill what is left of a pipeline."""
    for name in ("killpg", "kill"):
        try:
            getattr(os, name)(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
    process.wait()
