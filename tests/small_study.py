"""A small study of one's own tables, run by the real Snakemake in a folder of its own."""

import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from multimep.mutations import AMINO_ACIDS

ROOT = Path(__file__).parents[1]
PEPTIDES = {"alpha": ("binding", "MKTAYIAKQR"), "beta": ("binding", "GSHWLEDPNV"), "gamma": ("enzyme", "CFRKIQYTLA")}
POLICIES = {"random": {"acquisition": "random"}, "greedy": {"method": "additive", "acquisition": "mean"}}


@dataclass(frozen=True)
class Workspace:
    """A folder with a config, in which Snakemake is run as a person would."""

    folder: Path

    @property
    def config(self) -> dict[str, Any]:
        loaded: dict[str, Any] = yaml.safe_load((self.folder / "config.yaml").read_text())
        return loaded

    def write(self, config: dict[str, Any]) -> None:
        (self.folder / "config.yaml").write_text(yaml.safe_dump(config, sort_keys=False))

    def snakemake(
        self, *arguments: str, check: bool = True, python: Sequence[str] = (sys.executable, "-m", "snakemake")
    ) -> subprocess.CompletedProcess[str]:
        return self._run([*python, *self._options, "--directory", str(self.folder), *arguments], check)

    def drive(self) -> None:
        """Run the whole study as `make run` does: its cross-predictions ahead, in few processes."""
        driver = ["bash", str(ROOT / "profiles/drive.sh"), str(ROOT / "profiles/default")]
        path = {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
        self._run([*driver, *self._options], cwd=self.folder, env=os.environ | path)

    @property
    def _options(self) -> list[str]:
        files = ["--snakefile", str(ROOT / "Snakefile"), "--configfile", str(self.folder / "config.yaml")]
        return [*files, "--cores", "2", "--show-failed-logs"]

    @staticmethod
    def _run(command: Sequence[str], check: bool = True, **how: Any) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False, **how)
        assert not check or done.returncode == 0, done.stdout[-3000:] + done.stderr[-6000:]
        return done

    def stamps(self) -> dict[str, int]:
        """When each result was last written, by its path below results/ (logs, run times and seals left out)."""
        results = self.folder / "results"
        kept = [
            path
            for path in results.rglob("*")
            if path.is_file()
            and path.relative_to(results).parts[0] not in ("logs", "benchmarks")
            and not path.name.startswith(".")
        ]
        return {str(path.relative_to(results)): path.stat().st_mtime_ns for path in kept}

    def rerun(self) -> set[str]:
        """Run again; the results that were written anew."""
        before = self.stamps()
        self.snakemake()
        return {path for path, stamp in self.stamps().items() if before.get(path) != stamp}


def table(wild_type: str, seed: int) -> str:
    """All single mutants to four residues, their fitness additive with noise."""
    draw = np.random.default_rng(seed)
    rows = ["mutant,fitness", f"WT,{1.0}"]
    for site, old in enumerate(wild_type, start=1):
        rows += [f"{old}{site}{new},{draw.normal():.4f}" for new in AMINO_ACIDS[site % 5 :: 5] if new != old]
    return "\n".join(rows) + "\n"


def study(folder: Path) -> dict[str, Any]:
    datasets = {}
    for seed, (name, (group, wild_type)) in enumerate(PEPTIDES.items()):
        (folder / f"{name}.csv").write_text(table(wild_type, seed))
        source = {"reader": "multimep", "files": {"variants": {"path": f"{name}.csv"}}, "wild_type": wild_type}
        datasets[name] = {"group": group, "source": source}
    quick = {"epochs": 1, "batch_size": 16}
    return {
        "study": "A small study",
        "datasets": datasets,
        "splits": {"random": {"scheme": "random", "folds": 2}},
        "methods": {
            "additive": {},
            "transmep": {"features": "one_hot", "repeats": 5, "alpha_steps": 4, "gamma_steps": 4},
            "fine_tune_together": quick,
            "fine_tune_by_group": {"method": "fine_tune_together", "scope": "group", **quick},
        },
        "evaluation": {"bootstrap": 20},
    }


def with_low_n(config: dict[str, Any]) -> dict[str, Any]:
    """The study with a second split, which `additive` alone is asked about."""
    split = {"scheme": "low_n", "sizes": [6], "seeds": 2}
    others = {
        name: {"splits": ["random"], **values} for name, values in config["methods"].items() if name != "additive"
    }
    return config | {"splits": config["splits"] | {"low_n": split}, "methods": {"additive": {}} | others}


def with_what_comes_next(config: dict[str, Any]) -> dict[str, Any]:
    """The study with replayed campaigns and the next plate of one dataset."""
    campaign = {"datasets": ["gamma"], "first": 6, "batch": 4, "rounds": 2, "seeds": 2, "policies": POLICIES}
    plate = {"datasets": ["gamma"], "method": "additive", "wishes": {"rules": {"wells": 12}}}
    return config | {"campaign": campaign, "recommend": plate}
