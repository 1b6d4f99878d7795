"""The river runs, and a change flows downstream only."""

import functools
import http.server
import json
import re
import threading
from pathlib import Path

import jsonschema
import pytest
import yaml

from multimep import costs, findings, predictions, twin
from multimep import dataset as datasets
from multimep.embeddings import key, open_store
from small_study import PEPTIDES, POLICIES, ROOT, Workspace, study

MIRROR = ROOT.parent / "shared" / "mirror"

pytestmark = pytest.mark.workflow

JOINT_OF_ALPHA = {f"predictions/random/fine_tune_together/{name}.csv" for name in ("alpha", "beta", "gamma")} | {
    f"predictions/random/fine_tune_by_group/{name}.csv" for name in ("alpha", "beta")
}
AGGREGATION = {"metrics/alpha.csv", "metrics/beta.csv", "metrics/gamma.csv", "report.html", "report.json"}


def test_a_study_of_ones_own_tables_ends_in_a_report(finished: Workspace) -> None:
    page = (finished.folder / "results/report.html").read_text()
    for name in finished.config["datasets"]:
        assert name in page
    for method in finished.config["methods"]:
        assert method in page
        folds = predictions.read(finished.folder / f"results/predictions/random/{method}/alpha.csv")
        assert list(folds) == ["fold0", "fold1"]
    scores = findings.scores.read(finished.folder / "results/metrics/alpha.csv")
    assert set(scores["method"]) == set(finished.config["methods"])


def test_no_mutant_is_embedded_where_no_method_asks_for_one(finished: Workspace) -> None:
    for name, (_, wild_type) in PEPTIDES.items():
        store = open_store(finished.folder / f"results/embeddings/{name}.h5")
        assert list(store.row_of) == [key(wild_type)]
        assert store.marginals(wild_type, "masked") is not None


def test_the_first_method_that_asks_for_mutants_completes_the_stores(finished: Workspace) -> None:
    before = finished.config
    finished.write(before | {"methods": {"embedding_gp": {}, **before["methods"]}})
    printed = finished.snakemake("--dry-run", "--printshellcmds").stdout
    finished.write(before)
    assert printed.count("--rows all") == len(PEPTIDES)


def test_the_data_beside_the_page_have_the_form_of_their_schema(finished: Workspace) -> None:
    told = json.loads((finished.folder / "results/report.json").read_text())
    jsonschema.validate(told, twin.schema(), cls=jsonschema.Draft202012Validator)
    assert {one["dataset"] for one in told["portraits"]} == set(finished.config["datasets"])


def test_the_report_waits_for_the_campaigns_that_the_study_names(finished: Workspace) -> None:
    told = json.loads((finished.folder / "results/report.json").read_text())["campaigns"]
    assert {(one["dataset"], one["policy"], one["measured"]) for one in told} == {
        ("gamma", policy, measured) for policy in POLICIES for measured in (6, 10, 14)
    }
    assert [path.name for path in (finished.folder / "results/campaigns").iterdir()] == ["gamma.csv"]


def test_the_report_shows_the_next_plate_of_what_nobody_has_measured(finished: Workspace) -> None:
    told = json.loads((finished.folder / "results/report.json").read_text())["plates"]
    assert len(told) == 10 and {(one["dataset"], one["method"]) for one in told} == {("gamma", "additive")}
    measured = {line.split(",")[0] for line in (finished.folder / "gamma.csv").read_text().splitlines()}
    assert not measured & {one["mutant"] for one in told}
    wells = {well for one in told for well in one["wells"]}
    assert len(wells) == 10 and (finished.folder / "results/plates/gamma/order.csv").exists()
    page = (finished.folder / "results/report.html").read_text()
    assert all(one["mutant"].replace(":", ":<wbr>") in page for one in told)


def test_snakemake_s_own_report_carries_page_data_and_metrics_with_their_captions(finished: Workspace) -> None:
    finished.snakemake("--report", "own.html")
    page = (finished.folder / "own.html").read_text()
    captions = ("The report of the study", "The same findings as data", "bootstrap intervals over variants")
    for text in (*captions, "What the search for leaks found", "Findings", "Metrics"):
        assert text in page


def test_nothing_is_left_to_do_after_a_run_and_what_made_every_file_is_on_record(finished: Workspace) -> None:
    dry = finished.snakemake("--dry-run")
    assert "missing provenance" not in dry.stdout + dry.stderr
    assert finished.rerun() == set()


def test_a_changed_row_reruns_its_dataset_the_joint_jobs_it_is_in_and_the_aggregation(finished: Workspace) -> None:
    path = finished.folder / "alpha.csv"
    rows = path.read_text().splitlines()
    path.write_text("\n".join([*rows[:-1], rows[-1].split(",")[0] + ",9.75"]) + "\n")
    own = {"datasets/alpha.csv", "datasets/alpha.json", "embeddings/alpha.h5"}
    own |= {f"splits/{split}/alpha.csv" for split in ("random", "low_n")} | {"predictions/low_n/additive/alpha.csv"}
    single = {f"predictions/random/{method}/alpha.csv" for method in ("additive", "transmep")}
    assert finished.rerun() == own | single | JOINT_OF_ALPHA | AGGREGATION | {"leaks.json"}
    assert "0 sequences computed" in (finished.folder / "results/logs/embed/alpha.log").read_text()


def test_a_changed_setting_reruns_that_method_alone_and_the_aggregation(finished: Workspace) -> None:
    config = finished.config
    config["methods"]["transmep"]["repeats"] = 7
    finished.write(config)
    method = {f"predictions/random/transmep/{name}.csv" for name in ("alpha", "beta", "gamma")}
    assert finished.rerun() == method | AGGREGATION | {"leaks.json"}


def test_a_bad_row_stops_its_dataset_with_one_line_and_writes_nothing(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    workspace.write(study(tmp_path))
    with (tmp_path / "beta.csv").open("a") as file:
        file.write("A1C,0.5\n")
    done = workspace.snakemake("results/datasets/beta.csv", check=False)
    assert done.returncode != 0
    assert "A1C" in done.stderr
    assert "the wild type has G at position 1" in " ".join(done.stderr.split())
    assert not (tmp_path / "results/datasets/beta.csv").exists()


def test_an_unknown_key_in_the_configuration_is_refused_before_any_job(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    config = study(tmp_path)
    config["splits"]["random"]["fold"] = 3
    workspace.write(config)
    done = workspace.snakemake("--dry-run", check=False)
    assert done.returncode != 0
    assert "fold" in done.stdout + done.stderr  # in a dry run Snakemake tells errors on stdout
    assert not (tmp_path / "results").exists()


@pytest.mark.parametrize("more", [(), ("--resources", "mem_mb=64")])
def test_plain_snakemake_promises_no_more_memory_than_this_machine_has(tmp_path: Path, more: tuple[str, ...]) -> None:
    workspace = Workspace(tmp_path)
    workspace.write(study(tmp_path))
    done = workspace.snakemake("results/splits/random/alpha.csv", *more)
    (bound,) = re.findall(r'Provided resources: mem_mb=\D*"mem_mb", (\d+)', done.stderr)
    asked = [int(number) for number in re.findall(r"\bmem_mb=(\d+)", done.stderr.split("Provided resources")[1])]
    assert int(bound) == (64 if more else costs.megabytes_here())
    assert asked
    assert max(asked) <= int(bound)  # what needs more than there is runs alone


@pytest.mark.mirror
@pytest.mark.skipif(not MIRROR.exists(), reason=f"the mirror of real files ({MIRROR}) is not here")
def test_a_real_assay_runs_end_to_end_from_a_mirror_over_http(tmp_path: Path) -> None:
    dms = yaml.safe_load((ROOT / "workflow/studies/dms.yaml").read_text())
    name = "YAP1_HUMAN_Araya_2012"
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(MIRROR))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        config = dms | {
            "datasets": {name: dms["datasets"][name]},
            "splits": {"low_n": {"scheme": "low_n", "sizes": [24], "seeds": 1}},
            "methods": {"additive": {}, "embedding_gp": {}, "zero_shot": {}, "fine_tune": {"epochs": 1}},
            "mirror": f"http://127.0.0.1:{server.server_address[1]}",
            "pathvars": {"results": "results"},
        }
        workspace = Workspace(tmp_path)
        workspace.write(config)
        workspace.snakemake()
        server.shutdown()
    assert name in (tmp_path / "results/report.html").read_text()
    assert len(datasets.read(tmp_path / f"results/datasets/{name}.csv")) == 362
