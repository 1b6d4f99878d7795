"""`make fuzz`: every target for so many executions, with its coverage, as a table and as JSON.

    python -m fuzz [TARGET ...] --executions 20000 --seconds 60 --seed 1 --keep --to build/fuzz

Inputs begin with the target's seeds and the corpus. With --keep, those that reach new edges are merged into the corpus,
the shortest first. A finding ends its target's run: its input is kept beside the table, and the exit status is 1.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from fuzz import doors
from fuzz.target import Target

CORPUS = Path(__file__).parent / "corpus"
PROGRESS = re.compile(r"^#(\d+)\s+\w+\s+cov: (\d+) ft: (\d+) corp: (\d+)/(\S+)", re.MULTILINE)
MEMORY = re.compile(r"^stat::peak_rss_mb:\s+(\d+)", re.MULTILINE)
EXECUTED = re.compile(r"^stat::number_of_executed_units:\s+(\d+)", re.MULTILINE)
LIMIT = 3000  # MB of memory, beyond which libFuzzer calls it a finding
SLOW = 60  # seconds of one execution, likewise
LONGEST = 8192  # bytes of an input that libFuzzer makes
KEPT = 28_000  # bytes of corpus for one target


@dataclass(frozen=True)
class Run:
    """What one target's run came to; `edges` and `features` as libFuzzer counts them in the package's bytecode."""

    target: str
    executions: int
    seconds: float
    edges: int
    features: int
    inputs: int
    peak_mb: int
    findings: int


def seeded(target: Target, folder: Path) -> Path:
    """A folder with the target's seeds and its corpus."""
    place = folder / target.name
    place.mkdir(parents=True)
    for number, data in enumerate(target.seeds):
        (place / f"seed{number:02d}").write_bytes(data)
    for path in sorted((CORPUS / target.name).glob("*")):
        (place / path.name).write_bytes(path.read_bytes())
    return place


def dictionary(target: Target, folder: Path) -> Path:
    """The target's words as libFuzzer's dictionary."""
    path = folder / f"{target.name}.dict"
    quoted = ["".join(f"\\x{byte:02x}" for byte in word) for word in target.words]
    path.write_text("".join(f'"{word}"\n' for word in quoted), encoding="ascii")
    return path


def command(target: Target, *options: object) -> list[str]:
    """The command line of one run, at a low priority."""
    return ["nice", "-n", "10", sys.executable, "-m", "fuzz.one", target.name, *map(str, options)]


def fuzz(target: Target, folder: Path, to: Path, executions: int, seconds: int, seed: int) -> tuple[Run, Path]:
    """Run one target; its inputs stay in the folder that is given back."""
    place = seeded(target, folder)
    options = [
        place,
        f"-runs={executions}",
        f"-seed={seed}",
        f"-max_total_time={seconds}",
        f"-max_len={LONGEST}",
        f"-rss_limit_mb={LIMIT}",
        f"-timeout={SLOW}",
        "-print_final_stats=1",
        f"-dict={dictionary(target, folder)}",
        f"-artifact_prefix={to}/{target.name}-",
    ]
    log = to / f"{target.name}.log"
    begin = os.times().elapsed
    with log.open("wb") as stream:
        done = subprocess.run(command(target, *options), stdout=stream, stderr=subprocess.STDOUT, check=False)
    text = log.read_text(encoding="utf-8", errors="replace")
    last = PROGRESS.findall(text)[-1] if PROGRESS.search(text) else ("0", "0", "0", "0", "")
    executed, memory = EXECUTED.search(text), MEMORY.search(text)
    return Run(
        target.name,
        int(executed[1]) if executed else int(last[0]),
        round(os.times().elapsed - begin, 1),
        int(last[1]),
        int(last[2]),
        int(last[3]),
        int(memory[1]) if memory else 0,
        int(done.returncode != 0),
    ), place


def keep(target: Target, place: Path, folder: Path) -> None:
    """Put into the corpus what reaches an edge that nothing shorter reaches, until the target's share is full."""
    merged = folder / f"{target.name}-merged"
    merged.mkdir()
    subprocess.run(command(target, "-merge=1", f"-max_len={LONGEST}", merged, place), check=True, capture_output=True)
    kept = CORPUS / target.name
    kept.mkdir(parents=True, exist_ok=True)
    for path in kept.glob("*"):
        path.unlink()
    size = 0
    for path in sorted(merged.glob("*"), key=lambda one: (one.stat().st_size, one.name)):
        size += path.stat().st_size
        if size > KEPT:
            break
        (kept / path.name[:12]).write_bytes(path.read_bytes())


def table(runs: Sequence[Run]) -> str:
    """Markdown."""
    head = "| target | executions | seconds | edges | features | inputs | peak MB | findings |"
    rows = [f"| {' | '.join(map(str, asdict(run).values()))} |" for run in runs]
    total = f"| all | {sum(run.executions for run in runs)} | {sum(run.seconds for run in runs):.1f} | | | | | "
    return "\n".join([head, "| --- |" + " ---: |" * 7, *rows, f"{total}{sum(run.findings for run in runs)} |"]) + "\n"


def main() -> int:
    """Run the targets one after the other."""
    parser = argparse.ArgumentParser(prog="fuzz")
    parser.add_argument("targets", nargs="*", choices=[*doors.TARGETS, []])
    parser.add_argument("--executions", type=int, default=20_000)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", action="store_true")
    parser.add_argument("--to", type=Path, default=Path("build/fuzz"))
    asked = parser.parse_args()
    asked.to.mkdir(parents=True, exist_ok=True)
    runs = []
    with tempfile.TemporaryDirectory() as scratch:
        for name in asked.targets or doors.TARGETS:
            target = doors.target(name)
            run, place = fuzz(target, Path(scratch), asked.to, asked.executions, asked.seconds, asked.seed)
            runs.append(run)
            if asked.keep and not run.findings:
                keep(target, place, Path(scratch))
            (asked.to / "fuzz.json").write_text(json.dumps([asdict(one) for one in runs], indent=1) + "\n", "utf-8")
            (asked.to / "fuzz.md").write_text(table(runs), "utf-8")
    sys.stdout.write(table(runs))
    return int(any(run.findings for run in runs))


if __name__ == "__main__":
    raise SystemExit(main())
