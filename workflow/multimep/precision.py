"""In which arithmetic a language model runs: fp32, bf16, or what the machine at hand does fast.

Imports torch only where a GPU has to be asked, for settings are read in every job.
"""

import warnings
from pathlib import Path
from typing import Literal

Precision = Literal["fp32", "bf16"]
Asked = Literal["fp32", "bf16", "auto"]

FAST = frozenset({"amx_bf16", "avx512_bf16", "bf16"})
"""What Linux calls bf16 units: the first two on x86, the last on Arm."""
CPU_INFO = Path("/proc/cpuinfo")


def resolved(asked: Asked, device: str) -> Precision:
    """`auto` as bf16 where `device` (cpu, cuda, cuda:1, auto) has units for it, else fp32; warns of a slow bf16.

    Without such units bf16 is emulated, many times slower than fp32.
    """
    if asked == "fp32":
        return "fp32"
    fast = has_fast_bf16(device)
    if asked == "bf16" and not fast:
        warnings.warn(f"{device} has no bf16 units: precision bf16 is slower than fp32 here; set fp32", stacklevel=2)
    return "bf16" if asked == "bf16" or fast else "fp32"


def has_fast_bf16(device: str) -> bool:
    """Whether bf16 matrix products are faster than fp32 ones: CUDA from capability 8.0, processors by their flags."""
    if device != "cpu":
        import torch  # noqa: PLC0415 (1.5 s, only where a GPU may be there)

        if torch.cuda.is_available():
            return torch.cuda.get_device_capability(None if device == "auto" else device) >= (8, 0)
    words = CPU_INFO.read_text(encoding="utf-8").split() if CPU_INFO.exists() else []
    return not FAST.isdisjoint(words)
