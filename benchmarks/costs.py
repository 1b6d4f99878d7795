"""Predicted against measured time and memory of a finished study: python benchmarks/costs.py CONFIG.yaml RESULTS."""

import csv
import json
import sys
from pathlib import Path

import yaml

from multimep import costs, forecast, layout


def main(config: dict, results: Path) -> None:
    """Print per method: jobs, median of measured / predicted seconds (guessed; calibrated), largest ratio of memory."""
    record = results / "checkpoint.json"
    assert record.exists(), f"{record} is missing: multimep checkpoint --output {record}"
    factors = costs.calibrated(list(forecast.past(config, results, results / "benchmarks")))
    rows: dict[str, list[tuple[float, float, float]]] = {}
    for job in layout.jobs(config):
        path = results / "benchmarks" / "predict" / f"{job.name}.tsv"
        work = forecast.work(config, results, job)
        if work is None or not path.exists():
            continue
        measured = next(csv.DictReader(path.open(), delimiter="\t"))
        guess, fitted = costs.predict(work), costs.predict(work, factors=factors)
        seconds, memory = float(measured["s"]), float(measured["max_rss"])
        rows.setdefault(work.method, []).append(
            (seconds / guess.seconds, seconds / fitted.seconds, memory / guess.memory)
        )
    print("| method | jobs | seconds, measured / guessed | calibrated | memory, measured / predicted, at most |")
    print("| --- | --- | --- | --- | --- |")
    for method, found in rows.items():
        first, second, third = (sorted(values) for values in zip(*found, strict=True))
        middle = len(found) // 2
        print(f"| {method} | {len(found)} | {first[middle]:.2f} | {second[middle]:.2f} | {third[-1]:.2f} |")
    print(json.dumps(factors))


if __name__ == "__main__":
    main(yaml.safe_load(Path(sys.argv[1]).read_text()), Path(sys.argv[2]))
