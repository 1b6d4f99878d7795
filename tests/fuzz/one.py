"""One target under atheris, with libFuzzer's own options: python -m fuzz.one TARGET FOLDER -runs=100000 -seed=1."""

import os
import sys

import atheris

name = sys.argv.pop(1)
with atheris.instrument_imports(include=["multimep"]):
    from fuzz import doors
    from fuzz.target import accepts

    target = doors.target(name)


def read(data: bytes) -> None:
    """One execution."""
    accepts(target, data)


atheris.Setup([f"{sys.executable} -m fuzz.one {name}", *sys.argv[1:]], read)
os.environ.setdefault("OMP_NUM_THREADS", "1")
atheris.Fuzz()
