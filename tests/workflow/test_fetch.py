"""After `fetch` a study needs no network, and a dry run says what it will take before anything is submitted."""

import functools
import hashlib
import http.server
import re
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from small_study import ROOT, Workspace, study

pytestmark = pytest.mark.workflow

LOCAL = {"dataset", "wild_type", "checkpoint", "split", "fetch", "configuration", "prepared", "shards"}
"""What runs where Snakemake runs, which has a network; everything else may run on nodes without one."""
BLOCKED = """
import socket

def refuse(self, address, *rest):
    raise OSError(f"a job of the study wanted the network: {address}")

plain = socket.socket.connect
socket.socket.connect = lambda self, address: (plain if self.family == socket.AF_UNIX else refuse)(self, address)
socket.getaddrinfo = refuse
"""


@pytest.fixture(scope="module")
def fetched(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A study whose table comes from a server that is gone once it was fetched."""
    served, workspace = tmp_path_factory.mktemp("served"), Workspace(tmp_path_factory.mktemp("study"))
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(served))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        workspace.write(remote(study(served), served, f"http://127.0.0.1:{server.server_port}"))
        assert "run `make fetch` first" in forecast(workspace)[0]
        workspace.snakemake("--", "fetch")
        server.shutdown()
    return workspace


def remote(config: dict, folder: Path, address: str) -> dict:
    """The study of one table at an address, in a cache of its own, and few quick methods."""
    entry = config["datasets"]["alpha"]
    digest = hashlib.sha256((folder / "alpha.csv").read_bytes()).hexdigest()
    entry["source"]["files"]["variants"] = {"url": f"{address}/alpha.csv", "sha256": digest}
    return config | {
        "datasets": {"alpha": entry},
        "methods": {"additive": {}, "zero_shot": {}, "fine_tune": {"epochs": 1}},
    }


def forecast(workspace: Workspace, profile: str = "") -> list[str]:
    """The lines of the forecast that a dry run prints."""
    chosen = ["--workflow-profile", str(ROOT / "profiles" / profile)] if profile else []
    done = workspace.snakemake(*chosen, "--dry-run", "--quiet", "all")
    return [line for line in done.stderr.splitlines() if line.startswith("Forecast: ")]


def test_nothing_is_fetched_by_a_rule_that_may_run_on_a_node_without_network() -> None:
    rules = "\n".join(path.read_text() for path in (ROOT / "workflow/rules").glob("*.smk"))
    named = {
        name
        for block in re.findall(r"^localrules:\n((?:    \w+,\n)+)", rules, re.MULTILINE)
        for name in block.split(",")
    }
    assert {name.strip() for name in named} - {""} == LOCAL
    fetching = re.findall(
        r"^rule (\w+):(?:\n(?:    .*)?)*?\"multimep (?:dataset|wild-type|checkpoint) ", rules, re.MULTILINE
    )
    assert set(fetching) == {"dataset", "wild_type", "checkpoint"} <= LOCAL


@pytest.mark.parametrize("profile", ["claix", "juwels", "slurm"])
def test_a_dry_run_after_fetch_names_hours_and_cost_before_anything_is_submitted(
    fetched: Workspace, profile: str
) -> None:
    each, packed = forecast(fetched, profile)
    hours = r"about \d+\.\d\d GPU-hours and \d+\.\d\d core-hours"
    cost = r", \d+\.\d\d core-h" if profile != "slurm" else ""
    assert re.fullmatch(
        rf"Forecast: 3 cross-predictions and 4 other jobs to do: {hours}{cost}, \d+\.\d\d kWh, "
        "each job in an allocation of its own",
        each,
    )
    assert re.fullmatch(rf"Forecast: packed by profiles/drive.sh: {hours}{cost}, \d+\.\d\d kWh", packed)


def test_a_fetched_study_ends_in_its_report_without_any_network(
    fetched: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sitecustomize.py").write_text(BLOCKED)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=":")
    asking = [sys.executable, "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:9')"]
    refused = subprocess.run(asking, capture_output=True, text=True, check=False)
    assert "a job of the study wanted the network" in refused.stderr
    before = fetched.stamps()
    fetched.snakemake()
    assert (fetched.folder / "results/report.html").exists()
    assert before.items() <= fetched.stamps().items(), "something was fetched again"
