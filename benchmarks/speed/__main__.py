"""All stages, one table: python benchmarks/speed [STAGE ...] --output FOLDER.

Writes FOLDER/bench.json (machine, versions, threads, rows with medians and spread, scaling points) and FOLDER/bench.md
(the tables of docs/performance.md, with the fitted exponents), beside them an SVG of each scaling curve, and prints
the tables.
"""

import argparse
import importlib
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from speed import scaling
from speed.machine import Machine, measured
from speed.timing import Measured, Row

STAGES = ("embedding", "gaussian_process", "fine_tuning", "start")
"""Each a module of this package with measure(machine) -> Measured."""


def table(rows: Sequence[Row]) -> str:
    """The rows in Markdown."""
    head = "| work | beside | seconds | times faster (spread) | asked | share of the limit | exactness |"
    lines = [head, "| --- | --- | ---: | ---: | ---: | ---: | --- |"]
    for row in rows:
        spread = f"{row.ratio.median:.2f} ({row.ratio.low:.2f} to {row.ratio.high:.2f})"
        share = "" if row.share is None else f"{row.share:.0%} of the {row.limit}"
        asked = "" if row.asked is None else f"{row.asked:g}"
        lines.append(
            f"| {row.work} | {row.peer} | {row.seconds:.3g} | {spread} | {asked} | {share} | {row.exactness} |"
        )
    return "\n".join(lines)


def main() -> None:
    """Run the stages that were named, or all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("stages", nargs="*", choices=[*STAGES, []], help="which stages; all if none is named")
    parser.add_argument("--output", type=Path, default=Path("results/bench"), help="folder to write to")
    arguments = parser.parse_args()
    machine = measured()
    stages = {name: _measure(name, machine) for name in arguments.stages or STAGES}
    arguments.output.mkdir(parents=True, exist_ok=True)
    text = "\n\n".join(f"### {name}\n\n{table(stage.rows)}" for name, stage in stages.items())
    points = [point for stage in stages.values() for point in stage.points]
    if points:
        text += f"\n\n### Scaling\n\n{scaling.exponents(points)}"
    for name, picture in scaling.pictures(points).items():
        (arguments.output / name).write_text(picture, encoding="utf-8")
    record = {"date": datetime.now(UTC).date().isoformat(), "machine": asdict(machine)}
    record["stages"] = {name: asdict(stage) for name, stage in stages.items()}
    (arguments.output / "bench.json").write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    (arguments.output / "bench.md").write_text(text + "\n", encoding="utf-8")
    print(text)


def _measure(name: str, machine: Machine) -> Measured:
    stage: Measured = importlib.import_module(f"speed.{name}").measure(machine)
    return stage


if __name__ == "__main__":
    main()
