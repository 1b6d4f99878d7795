"""The data beside the page say what the page says, in a form that is declared."""

import json
from dataclasses import replace
from pathlib import Path

import jsonschema
import pytest

from made_up_study import EVIL, METHODS, demo
from multimep import twin
from multimep.findings import Findings, Provenance, ReportError
from multimep.leaks import Finding
from multimep.study_report import twin_path

SCHEMA = Path(__file__).parents[1] / "workflow" / "schemas" / "report.schema.json"


@pytest.fixture(scope="module")
def study() -> Findings:
    return replace(demo(["first", EVIL], METHODS[:4], size=60), leaks=(Finding("order", "first", "note", "None."),))


@pytest.fixture(scope="module")
def told(study: Findings, tmp_path_factory: pytest.TempPathFactory) -> dict:
    path = tmp_path_factory.mktemp("twin") / "report.json"
    twin.write(study, path)
    return json.loads(path.read_text(encoding="utf-8"))


def test_it_has_the_form_that_the_schema_in_the_repository_declares(told: dict) -> None:
    written = json.loads(SCHEMA.read_text(encoding="utf-8"))
    assert written == json.loads(json.dumps(twin.schema())), "its form changed: run `make schema`"
    jsonschema.validate(told, written, cls=jsonschema.Draft202012Validator)


def test_verdicts_warnings_and_leaks_are_those_of_the_page(study: Findings, told: dict) -> None:
    assert [one["sentence"] for one in told["verdicts"]] == [one.sentence for one in study.verdicts]
    assert told["verdicts"][0]["difference"]["value"] == study.verdicts[0].difference.value
    assert told["warnings"] == list(study.warnings)
    assert [one["check"] for one in told["leaks"]] == ["order"]


def test_every_score_of_the_tables_is_there_and_what_is_unknown_is_null(study: Findings, told: dict) -> None:
    found = {
        (one["metric"], one["method"], one["dataset"]): one["estimate"]
        for one in told["scores"]
        if one["dataset"] is not None
    }
    assert len(found) == len(study.scores)
    row = study.scores.query("metric == 'spearman' and method == 'embedding_gp' and dataset == 'first'").iloc[0]
    assert found["spearman", "embedding_gp", "first"] == {"value": row["value"], "low": row["low"], "high": row["high"]}
    assert found["coverage_95", "one_hot_ridge", "first"]["value"] is None
    means = [one for one in told["scores"] if one["dataset"] is None and one["metric"] == "spearman"]
    assert {one["method"] for one in means} == set(METHODS[:4])


def test_learning_curves_portraits_and_sources_are_there(study: Findings, told: dict) -> None:
    assert {point["size"] for point in told["learning"]} == {24, 96, 384} - {0}
    (first, second) = told["portraits"]
    assert (first["dataset"], second["dataset"]) == ("first", EVIL)
    assert [one["rank"] for one in first["top"]] == list(range(1, 16))
    assert first["coverage"]["0.95"] > first["coverage"]["0.50"]
    assert told["datasets"][1]["sha256"] == {"simulation": "3f" * 32}
    assert told["provenance"]["versions"]["multimep"] == "0.1.0"


def test_campaigns_are_told_by_round_with_their_seeds(study: Findings, told: dict) -> None:
    table = study.campaigns["first"]
    found = {(one["policy"], one["measured"]): one for one in told["campaigns"]}
    assert len(found) == len(told["campaigns"]) == 2 * 4
    for (policy, measured), part in table.groupby(["policy", "measured"]):
        one = found[policy, measured]
        assert (one["dataset"], one["seeds"]) == ("first", 3)
        assert one["regret"]["value"] == pytest.approx(part["regret"].mean())
        assert one["top_1"] == pytest.approx(part["top_1"].mean())


def test_every_pick_of_a_next_plate_is_told_with_its_wells(study: Findings, told: dict) -> None:
    first, second = told["plates"]
    assert (first["rank"], first["mutant"], first["std"], first["far"], first["wells"]) == (
        1, "M1A:K2C", 0.25, EVIL, ["1:A1", "1:B7"],
    )  # fmt: skip
    assert (second["std"], second["distance"], second["method"]) == (None, 2, "additive")


def test_a_study_without_anything_is_told_too(study: Findings, tmp_path: Path) -> None:
    bare = Findings("bare", "why?", study.metrics.iloc[:0], study.records, Provenance("today"))
    twin.write(bare, tmp_path / "report.json")
    assert json.loads((tmp_path / "report.json").read_text())["scores"] == []


def test_the_data_never_take_the_place_of_the_page() -> None:
    assert twin_path(Path("results/report.html")) == Path("results/report.json")
    with pytest.raises(ReportError, match=r"end the page in \.html"):
        twin_path(Path("results/report.json"))
