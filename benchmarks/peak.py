"""Peak memory and seconds of a command, measured from outside; for `scale.py` and `memory.py`."""

import os
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

MIB = 2**20
RULES = {"OMP_WAIT_POLICY": "PASSIVE", "MALLOC_MMAP_THRESHOLD_": str(1 << 32), "MALLOC_TRIM_THRESHOLD_": str(1 << 33)}
"""What the rules set for every job (workflow/rules/common.smk): memory that is given back to the system late is part of
a job's peak."""


@dataclass(frozen=True)
class Peak:
    """What one process took.

    Attributes:
        memory: largest resident set, MiB.
        seconds: from its start to its end.
        processor: seconds of a core, in user and system mode.
    """

    memory: float
    seconds: float
    processor: float


def peak(command: Sequence[str], environment: Mapping[str, str] = RULES) -> Peak:
    """Run a command to its end; its own output is kept back, and shown where it fails.

    The caller must be small (no numpy): a child's largest resident set counts that of its parent at the fork.
    """
    begin = time.perf_counter()
    with subprocess.Popen(
        command, env={**os.environ, **environment}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as child:
        told = child.stdout.read() if child.stdout else ""
        _, status, used = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
    seconds = time.perf_counter() - begin
    assert child.returncode == 0, f"{' '.join(command)[:300]}: status {child.returncode}\n{told}"
    return Peak(used.ru_maxrss * 1024 / MIB, seconds, used.ru_utime + used.ru_stime)
