"""What this machine can do at best, measured: matrix products in fp32, fp64 and bf16, and bytes read."""

import os
import platform
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import torch

from multimep.precision import has_fast_bf16
from speed.timing import in_turns

SIDE, EMULATED = 2048, 256
"""Rows of the matrices; the second where the processor has no units for their type: minutes otherwise."""
STREAM = 2**27  # bytes: beyond every cache


@dataclass(frozen=True)
class Machine:
    """The processor, the software and the limits that shares refer to.

    Attributes:
        processor: its name, and what of AVX-512 and AMX it has.
        threads: of torch.
        versions: of Python and the packages that decide the speed.
        fp32, fp64, bf16: operations per second of a large square matrix product, median.
        bandwidth: bytes per second of reading memory, median.
    """

    processor: str
    threads: int
    versions: dict[str, str]
    fp32: float
    fp64: float
    bf16: float
    bandwidth: float


def measured() -> Machine:
    """This machine, in about ten seconds."""
    rates = {kind: _rate(kind) for kind in (torch.float32, torch.float64, torch.bfloat16)}
    numbers = torch.ones(STREAM // 4)
    read = _median(in_turns({"read": numbers.sum}, rounds=9)["read"])
    packages = {name: version(name) for name in ("torch", "numpy", "scipy", "fair-esm")}
    return Machine(
        _processor(),
        torch.get_num_threads(),
        {"python": platform.python_version(), **packages},
        rates[torch.float32],
        rates[torch.float64],
        rates[torch.bfloat16],
        STREAM / read,
    )


def _rate(kind: torch.dtype) -> float:
    side = SIDE if kind != torch.bfloat16 or has_fast_bf16("cpu") else EMULATED
    a, b = torch.randn(side, side).to(kind), torch.randn(side, side).to(kind)
    return 2 * side**3 / _median(in_turns({"product": lambda: a @ b}, rounds=9)["product"])


def _median(seconds: tuple[float, ...]) -> float:
    return sorted(seconds)[len(seconds) // 2]


def _processor() -> str:
    cpu = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    named = next((line.split(":")[1].strip() for line in cpu.splitlines() if line.startswith("model name")), "unknown")
    extras = [name for name in ("avx2", "avx512f", "avx512_bf16", "amx_bf16") if f" {name} " in cpu.replace("\n", " ")]
    return f"{named} ({', '.join(extras) or 'no AVX'}), {os.cpu_count()} processors"
