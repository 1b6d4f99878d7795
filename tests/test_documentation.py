"""The documentation: what it says to type works, what it shows comes out, what it links to is there."""

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from multimep import settings

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


def code(page: str, language: str) -> list[str]:
    return [block.text for block in blocks(page) if block.language == language]


def added(page: str) -> list[str]:
    """The lines that a page tells to add, each with its own end."""
    return [text.removeprefix("+") for text in code(page, "diff")]


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


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built where a warning is an error and the network is a closed door."""
    folder = tmp_path_factory.mktemp("site")
    closed = dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), "http://127.0.0.1:9")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", folder]
    environment = os.environ | closed | {"NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, check=False, capture_output=True, text=True, cwd=ROOT, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def test_the_site_has_every_page_and_every_room(site):
    built = {path.relative_to(site).with_suffix("").as_posix() for path in site.rglob("*.html")}
    assert {page.stem for page in DOCS.glob("*.md")} <= built
    package = ROOT / "workflow" / "multimep"
    rooms = {path.relative_to(package).with_suffix("").as_posix() for path in package.rglob("*.py")}
    rooms = {name.removesuffix("/__init__") for name in rooms} - {"__init__", "__main__"}
    assert {f"reference/{room}" for room in rooms} <= built
    reference = (site / "reference" / "splits.html").read_text(encoding="utf-8")
    assert "learn from <code>train</code>, then be asked about <code>test</code>" in reference


def test_a_page_of_the_site_loads_nothing_from_elsewhere(site):
    for page in site.rglob("*.html"):
        loaded = re.findall(
            r"<(?:script|img|link|iframe)\b[^>]*(?:src|href)=[\"']?(https?:[^\"' >]+)", page.read_text("utf-8")
        )
        assert loaded == [], page.name


def test_links_out_of_the_documentation_lead_to_pages_made_of_the_repository(site):
    assert 'href="CONTRIBUTING.html"' in (site / "repository" / "index.html").read_text(encoding="utf-8")
    assert 'href="repository/envs/index.html"' in (site / "cluster.html").read_text(encoding="utf-8")
    code = (site / "repository" / "tests" / "test_null_gate.py.html").read_text(encoding="utf-8")
    assert "test_a_method_that_does_not_beat_a_null_is_warned_of_with_its_numbers" in code


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A copy of the package and its tests, to be added to."""
    for name in ("workflow", "tests"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__", "workflow/rules"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def insert(path: Path, after: str, text: str) -> None:
    """Put `text` below the one line that is, or ends with, `after`."""
    whole = path.read_text(encoding="utf-8")
    assert whole.count(after) == 1, (path.name, after)
    path.write_text(whole.replace(after, after + text), encoding="utf-8")


def python(repository: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """A command of the copy, run in it."""
    environment = {**os.environ, "PYTHONPATH": str(repository / "workflow"), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", *words]
    return subprocess.run(command, check=False, capture_output=True, text=True, cwd=repository, env=environment)


def passed(repository: Path, *words: str) -> int:
    """How many of the chosen tests pass in the copy; none may fail."""
    done = python(repository, "pytest", "-p", "no:cacheprovider", *words)
    assert done.returncode == 0, done.stdout[-4000:]
    return int(re.findall(r"(\d+) passed", done.stdout)[-1])


@pytest.mark.workflow
def test_the_method_of_the_page_obeys_every_law_of_the_contract(repository):
    (file,) = code("new_method.md", "python")
    entry, price, order = added("new_method.md")
    package = repository / "workflow" / "multimep"
    (package / "methods" / "shared_mutations.py").write_text(file)
    insert(package / "methods" / "__init__.py", "METHODS = Table(\n    {\n", entry)
    insert(package / "prices.py", "PRICES: Mapping[str, Price] = {\n", price)
    insert(repository / "tests" / "test_architecture.py", '    "methods.additive",\n', order)
    files = [f"tests/test_{name}.py" for name in ("methods", "architecture", "costs")]
    laws = len(re.findall("^@(every|supervised|single)$", (ROOT / files[0]).read_text(), re.MULTILINE))
    assert passed(repository, *files, "-k", "shared_mutations or the_order_names or has_a_price") > laws + 2


TABLE = """hgvs_nt,hgvs_pro,score
NA,p.Met1Ala,0.5
NA,p.[Lys2Thr;Thr3Lys],-1
NA,p.Lys2Ter,-2
NA,p.=,1
"""


@pytest.mark.workflow
def test_the_reader_of_the_page_reads_its_table_and_names_what_is_wrong(repository):
    (file,) = code("new_source.md", "python")
    entry, order = added("new_source.md")
    (spec,) = code("new_source.md", "yaml")
    package = repository / "workflow" / "multimep"
    (package / "readers" / "mavedb.py").write_text(file)
    insert(package / "sources.py", "from multimep.readers import lineage, ", "mavedb, ")
    insert(package / "sources.py", "READERS: Mapping[str, Reader] = {\n", entry)
    insert(repository / "tests" / "test_architecture.py", '    "readers.lineage",\n', order)
    assert passed(repository, "tests/test_architecture.py", "-k", "mavedb or the_order_names") >= 3
    (repository / "wild_type.fasta").write_text(">demo\nMKT\n")
    command = [
        "multimep",
        "dataset",
        "my_assay",
        "--output",
        "out/d.csv",
        "--spec",
        yaml.dump(*yaml.safe_load(spec).values()),
    ]
    (repository / "scores.csv").write_text(TABLE)
    assert "3 variants of my_assay, dropped: {'stop codon': 1}" in python(repository, *command).stdout
    read = [line.split(",")[:2] for line in (repository / "out" / "d.csv").read_text().splitlines()[1:]]
    assert {name: float(value) for name, value in read} == {"WT": 1.0, "M1A": 0.5, "K2T:T3K": -1.0}
    (repository / "scores.csv").write_text(TABLE + "NA,p.Lys2fs,0\nNA,p.Met1Val,high\nNA,p.Ala1Val,1\n")
    refused = python(repository, *command)
    assert refused.returncode == 2
    for fault in (
        "line 6: 'p.Lys2fs' is no substitution",
        "line 7: score is 'high'",
        "line 8: A1V: the wild type has M",
    ):
        assert fault in refused.stderr


def rows(page: str, heading: str) -> dict[str, list[str]]:
    """First cell -> the others, of the table below a heading."""
    text = (DOCS / page).read_text(encoding="utf-8").partition(heading)[2]
    table = re.search(r"(?:^\|.*\n)+", text, re.MULTILINE)
    assert table is not None
    cells = ([cell.strip() for cell in line.strip("|").split("|")] for line in table[0].splitlines()[2:])
    return {first: others for first, *others in cells}


@pytest.mark.parametrize("page", sorted(path.name for path in DOCS.glob("*.md")))
def test_a_test_that_a_page_names_exists_where_its_link_leads(page):
    for named, test, target in LINKED_TEST.findall((DOCS / page).read_text(encoding="utf-8")):
        assert named == target
        assert re.search(rf"^def {test}\(", (ROOT / named).read_text(encoding="utf-8"), re.MULTILINE), (
            f"{named}::{test}"
        )


def test_what_is_claimed_beside_other_tools_has_a_test_and_what_is_planned_has_none():
    claimed, shown = rows("peers.md", "# Beside other tools"), rows("peers.md", "## What shows it")
    assert {name for name, cells in claimed.items() if cells[0] not in ("planned", "-")} == shown.keys()
    assert all(LINKED_TEST.search(cell) for cells in shown.values() for cell in cells)
    commands = rows("peers.md", "## TransMEP, command by command")
    assert all(("planned" in cells) != bool(LINKED_TEST.search(cells[-1])) for cells in commands.values())


def test_every_command_of_transmep_has_a_line():
    told = " ".join(rows("peers.md", "## TransMEP, command by command"))
    assert all(f"`{command}`" in told for command in ("train", "split", "predict", "ucb", "report"))


def test_the_study_of_the_page_is_one_that_multimep_takes():
    study = settings.study(yaml.safe_load(code("own_data.md", "yaml")[0]))
    assert list(study.datasets) == ["my_enzyme"]
    assert set(study.methods) == {"additive", "one_hot_ridge", "site_gp", "recalibrated"}


@pytest.mark.parametrize("page", [*sorted(DOCS.glob("*.md")), *sorted(ROOT.glob("*.md"))], ids=lambda path: path.name)
def test_a_relative_link_leads_to_a_file_of_the_repository(page):
    text = re.sub(r"`[^`\n]+`(?!\])", "", FENCE.sub("", page.read_text(encoding="utf-8")))
    for target in re.findall(r"\]\((?![a-z]+:)([^)#\s]+)", text):
        assert (page.parent / target).exists(), target
