"""How long Snakemake needs to look at a study: python benchmarks/dag.py; jobs and seconds of a dry run by datasets."""

import subprocess
import sys
import tempfile
import time
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[1]


def main() -> None:
    """Print a line for each number of datasets."""
    default = yaml.safe_load((ROOT / "config.yaml").read_text())
    specs = list(default["datasets"].values())
    print("| datasets | jobs | seconds |\n| ---: | ---: | ---: |")
    for number in (6, 60, 217):
        config = default | {"datasets": {f"d{index}": specs[index % len(specs)] for index in range(number)}}
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "config.yaml"
            path.write_text(yaml.safe_dump(config))
            command = [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile"), "--directory", folder]
            begin = time.perf_counter()
            done = subprocess.run(
                [*command, "--configfile", str(path), "--dry-run", "--cores", "1"],
                capture_output=True,
                text=True,
                check=True,
            )
            seconds = time.perf_counter() - begin
        total = next(
            line.split()[-1] for line in (done.stdout + done.stderr).splitlines() if line.split()[:1] == ["total"]
        )
        print(f"| {number} | {total} | {seconds:.1f} |")


if __name__ == "__main__":
    main()
