"""What the environment of the rules is worth: python benchmarks/environment.py [ROUNDS]; ratios of times in one run.

Each setting is left out in turn while two processes embed sequences of 239 residues with `mini` side by side, as
Snakemake runs jobs on two cores.
"""

import os
import statistics
import subprocess
import sys
import time

WORK = """
import torch
from multimep import language_model
model = language_model.load("mini", precision="bf16")
for _ in range(30):
    model.hidden_states(["MKTAYIAKQRQISFVKSHFSRQ" * 10 + "ACDEFGHIKLMNPQRSTVW"] * 32)
"""
SETTINGS = {
    "OMP_WAIT_POLICY": "PASSIVE",
    "MALLOC_MMAP_THRESHOLD_": str(1 << 32),
    "MALLOC_TRIM_THRESHOLD_": str(1 << 33),
}
WITHOUT = {
    "all set": (),
    "no OMP_WAIT_POLICY": ("OMP_WAIT_POLICY",),
    "no MALLOC_*": ("MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_"),
}


def seconds(left_out: tuple[str, ...]) -> float:
    """Wall time of two processes side by side without these settings."""
    environment = {name: value for name, value in {**os.environ, **SETTINGS}.items() if name not in left_out}
    begin = time.perf_counter()
    workers = [subprocess.Popen([sys.executable, "-c", WORK], env=environment) for _ in range(2)]
    assert not any(worker.wait() for worker in workers)
    return time.perf_counter() - begin


def main(rounds: int) -> None:
    """Print the median of each case over the median with everything set."""
    times = {case: [] for case in WITHOUT}
    for _ in range(rounds):
        for case, left_out in WITHOUT.items():
            times[case].append(seconds(left_out))
    base = statistics.median(times["all set"])
    for case, found in times.items():
        print(f"{case:20s} {statistics.median(found) / base:.2f} x ({statistics.median(found):.1f} s)")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 3)
