"""Folders whose names are made to break a shell: every word of each command arrives as it is, nothing else runs."""

import os
import re
from pathlib import Path

import pytest

from small_study import ROOT, Workspace, study

pytestmark = pytest.mark.workflow

FOLDER = "a b'c\"d;$(touch pwned)ü"
RESULTS = "re s'u\"l;$(touch pwned)`touch pwned`&|>ß"
STAND_IN = """#!/bin/bash
# Stands for multimep: keeps its words, and leaves what Snakemake needs to know the sizes of the next jobs.
set -eu
printf '%s\\0' "$@" $'\\n' >> "$WORDS"
while [ $# -gt 0 ]; do
  if [ "$1" = --output ]; then
    mkdir -p "$(dirname "$2")"
    case "$2" in
      */splits/*) printf 'mutant,fold\\nWT,test\\n' > "$2" ;;
      *) echo '{"counts": {"variants": 1}, "wild_type": "MKT", "parameters": 1, "layers": 1, "width": 1}' > "$2" ;;
    esac
    cp "$2" "${2%.*}.json" 2> /dev/null || true
  fi
  shift
done
"""


def test_every_word_arrives_whole_from_a_folder_whose_name_is_made_to_break_a_shell(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, programs = tmp_path / FOLDER, tmp_path / "bin"
    folder.mkdir()
    programs.mkdir()
    (programs / "multimep").write_text(STAND_IN)
    (programs / "multimep").chmod(0o755)
    monkeypatch.setenv("WORDS", str(programs / "words"))
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    config = study(folder)
    config["datasets"] = {name: config["datasets"][name] for name in ("alpha", "beta")}
    config["datasets"]["alpha"]["group"] = "$(touch pwned)"
    config["study"] = "'; touch pwned #"
    config["methods"] = {"additive": {}, "shared_prior_gp": {}}
    config["splits"] = {"out": {"scheme": "family_out"}}
    config["pathvars"] = {"results": RESULTS}
    Workspace(folder).write(config)
    Workspace(folder).snakemake()

    words = [line.split("\0")[:-1] for line in (programs / "words").read_text().split("\n\0")[:-1]]
    assert {line[0] for line in words} >= {
        "dataset",
        "wild-type",
        "split",
        "embed",
        "cross-predict",
        "evaluate",
        "report",
    }
    for line in words:
        places = [word for word in line if "re s" in word]
        assert places and all(word.startswith((f"{RESULTS}/", RESULTS)) for word in places if not word.startswith("{"))
    assert [line.count("--split") for line in words if line[0] == "evaluate"] == [1, 1]
    assert [line.count("--kin") for line in words if line[0] == "split"] == [1, 1]
    (joint,) = [line for line in words if line[:2] == ["cross-predict", "shared_prior_gp"]]
    assert [joint.count(option) for option in ("--dataset", "--split", "--output")] == [2, 2, 2]
    assert not list(tmp_path.rglob("pwned")) and not (ROOT / "pwned").exists()


@pytest.mark.parametrize("path", sorted((ROOT / "workflow" / "rules").glob("*.smk")), ids=lambda path: path.stem)
def test_every_value_in_a_shell_command_is_quoted(path: Path) -> None:
    commands = re.findall(r"shell:\n((?:\s+[\"'].*\n)+)", path.read_text())
    for command in commands:
        values = re.findall(r"(?<!\{)\{([^{}]+)\}(?!\})", command)
        assert values and all(value.endswith(":q") for value in values), command
        assert "$(" not in command, "what a substitution gives is taken apart at every space"
