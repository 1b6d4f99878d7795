"""The documentation: what it says to type works, what it shows comes out, what it links to is there."""

import ast
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINKED_TEST = re.compile(r"\[`(tests/[\w/]+\.py)::(\w+)`\]\(\.\./(tests/[\w/]+\.py)\)")


@dataclass(frozen=True)
class Block:
    """A fenced block of a page: its language and what stands in it."""

    language: str
    text: str


def blocks(page: str) -> list[Block]:
    return [Block(*found) for found in FENCE.findall((DOCS / page).read_text(encoding="utf-8"))]


def shell(text: str, folder: Path) -> str:
    """Output and errors of a block typed into a shell, which must succeed."""
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT / "workflow"),
        "OMP_NUM_THREADS": "1",
    }
    command = ["bash", "-eu", "-c", f"exec 2>&1\n{text}"]
    done = subprocess.run(command, check=False, capture_output=True, text=True, cwd=folder, env=environment)
    assert done.returncode == 0, f"{text}\n{done.stdout}"
    return done.stdout


def assert_shown(shown: str, found: str) -> None:
    """Word by word the same, numbers within 0.02: the last digits differ between machines."""
    words, others = (re.split(r"[\s,]+", text.strip()) for text in (shown, found))
    assert len(words) == len(others), found
    for word, other in zip(words, others, strict=True):
        if word != other:
            assert abs(number(word) - number(other)) <= 0.02, found


def number(word: str) -> float:
    try:
        return float(word)
    except ValueError:
        return float("nan")


@pytest.mark.workflow
def test_every_command_of_the_tutorial_works_in_an_empty_folder_and_gives_what_the_page_shows(tmp_path):
    out = ""
    for block in blocks("tutorial.md"):
        if block.language == "sh":
            out = shell(block.text, tmp_path)
        elif block.language == "text":
            assert_shown(block.text, out)
    assert (tmp_path / "wanted_predicted.csv").read_text().count("\n") == 3
    assert not (tmp_path / "never.csv").exists()
