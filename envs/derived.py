"""Environment files that follow from the lock: conda file, Apptainer recipe, module lines. Needs no network.

`python envs/derived.py` writes them into envs/; `--check` says which ones differ and exits with 1.
Every version in them comes from pyproject.toml, from the locked requirements or from the package itself.
"""

import argparse
import re
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
ENVS = ROOT / "envs"
NAMES = ("environment.yaml", "multimep.def", "modules-claix.sh")
MARK = "Made by `make lock`"


def pins(path: Path) -> dict[str, str]:
    """Package and version of every locked line of a requirements file."""
    lines = path.read_text(encoding="utf-8").splitlines()
    return dict(line.split("==", 1) for line in lines if line and not line.startswith("#"))


def pinned_torch(dependencies: list[str]) -> str:
    """The version of torch in pyproject.toml, which must be exact: its CPU and CUDA builds are installed apart."""
    wanted = [one for one in dependencies if re.match(r"torch\b", one)]
    if len(wanted) != 1 or not wanted[0].startswith("torch=="):
        raise ValueError(
            f"pyproject.toml: torch must stand once among the dependencies as torch==VERSION, found {wanted}"
        )
    return wanted[0].removeprefix("torch==")


def package_version() -> str:
    """The version of multimep, read without importing it."""
    text = (ROOT / "workflow/multimep/__init__.py").read_text(encoding="utf-8")
    found = re.search(r'^__version__ = "(.+)"$', text, re.MULTILINE)
    if found is None:
        raise ValueError('workflow/multimep/__init__.py: no line __version__ = "..."')
    return found[1]


def values() -> dict[str, str]:
    """What the templates ask for, as @NAME@."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    locked = {**pins(ENVS / "requirements.txt"), "torch": pinned_torch(project["dependencies"])}
    return {
        "MARK": f"{MARK} from pyproject.toml and the locked requirements; do not edit.",
        "PINS": "\n".join(f"      - {name}=={version}" for name, version in sorted(locked.items())),
        "PYTHON": project["requires-python"].removeprefix(">="),
        "TORCH": locked["torch"],
        "VERSION": package_version(),
    }


def filled(name: str, known: dict[str, str]) -> str:
    """One template with its values; a name that nobody knows is an error."""
    text = (ENVS / "templates" / f"{name}.in").read_text(encoding="utf-8")
    try:
        return re.sub(r"@([A-Z]+)@", lambda found: known[found[1]], text)
    except KeyError as unknown:
        raise ValueError(f"envs/templates/{name}.in: no value for @{unknown.args[0]}@") from unknown


def drifted() -> list[str]:
    """Names of the files that are not what the templates say."""
    known = values()
    return [name for name in NAMES if (ENVS / name).read_text(encoding="utf-8") != filled(name, known)]


def main() -> int:
    """Write the files, or check them."""
    options = argparse.ArgumentParser(description="Environment files that follow from the lock.")
    options.add_argument("--check", action="store_true", help="write nothing; exit with 1 where a file differs")
    options.add_argument("--to", type=Path, default=ENVS, help="the folder to write to")
    chosen = options.parse_args()
    if chosen.check:
        wrong = drifted()
        print("\n".join(f"envs/{name} is out of date: run `python envs/derived.py`" for name in wrong), end="")
        return int(bool(wrong))
    for name, text in [(name, filled(name, values())) for name in NAMES]:
        (chosen.to / name).write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
