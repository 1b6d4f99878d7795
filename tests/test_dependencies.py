"""What is installed: every version exact, every licence free."""

import re
from importlib import metadata
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LOCKS = sorted((ROOT / "envs").glob("requirements*.txt"))
PIN = re.compile(r"[a-z0-9][a-z0-9.-]*==[0-9][0-9a-z.+!-]*")
FREE = re.compile(
    r"\b(MIT|BSD|0BSD|Apache|ISC|PSF|Python Software|MPL|Mozilla|LGPL|Zlib|Unlicense|HPND|CC0)\b", re.IGNORECASE
)
BOUND = re.compile(r"proprietary|commercial|non-?free|\bNC\b", re.IGNORECASE)


def names() -> list[str]:
    return sorted(line.partition("==")[0] for line in pins(ROOT / "envs" / "requirements.txt"))


def pins(path: Path) -> list[str]:
    lines = path.read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line.strip() and not line.startswith("#")]


def licence(name: str) -> str:
    """What a package says of its licence: its metadata, or else the first words of the licence in it."""
    found = metadata.distribution(name)
    said = [found.metadata.get("License-Expression", ""), found.metadata.get("License", "")[:200]]
    said += [one for one in found.metadata.get_all("Classifier") or [] if one.startswith("License ::")]
    files = [one for one in found.files or [] if re.search(r"licen[cs]e|copying", one.name, re.IGNORECASE)]
    said += [Path(str(found.locate_file(one))).read_text(encoding="utf-8", errors="replace")[:200] for one in files[:3]]
    return " ".join(said)


@pytest.mark.parametrize("path", LOCKS, ids=lambda path: path.name)
def test_every_locked_package_has_one_exact_version_from_the_index(path: Path) -> None:
    assert len(pins(path)) > 50
    assert [line for line in pins(path) if not PIN.fullmatch(line)] == []


def test_every_locked_package_has_a_free_licence() -> None:
    said = {name: licence(name) for name in names()}
    assert {name: words[:80] for name, words in said.items() if not FREE.search(words) or BOUND.search(words)} == {}
