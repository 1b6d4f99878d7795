"""What a replay and a plate are predicted to take: sums over fits that a hand can count, and bounds."""

from pathlib import Path

import pytest

from multimep import bench_costs, costs
from multimep.job_sizes import Model, Work
from multimep.recommendation import BLOCK, Wishes

MODEL = Model(9, 2, 3)


@pytest.fixture
def files(tmp_path: Path) -> tuple[str, str]:
    """The record of a dataset of 1,000 variants of five residues, and that of a language model."""
    record, model = tmp_path / "record.json", tmp_path / "model.json"
    record.write_text('{"wild_type": "ACDEF", "counts": {"variants": 1000}}')
    model.write_text('{"parameters": 9, "layers": 2, "width": 3}')
    return str(record), str(model)


def test_what_is_taken_where_the_wishes_say_nothing_is_what_they_do_say() -> None:
    assert Wishes().exhaustive == bench_costs.EXHAUSTIVE
    assert Wishes().solver.seconds == bench_costs.SOLVER
    assert BLOCK == bench_costs.BLOCK


def test_a_campaign_costs_its_fits_and_not_those_of_a_policy_that_draws(files: tuple[str, str]) -> None:
    policies = {"random": {"acquisition": "random"}, "gp": {"method": "site_gp", "settings": {"selection_rows": 50}}}
    config = {"campaign": {"first": 10, "batch": 20, "rounds": 3, "seeds": 2, "policies": policies}}
    fits = ((10, 990), (30, 970), (50, 950)) * 2
    expected = costs.predict(Work("site_gp", fits, 5, MODEL, {"selection_rows": 50}), factors={"site_gp": 2.0})
    found = bench_costs.campaign(config, *files, {"site_gp": 2.0})
    assert found.seconds == expected.seconds
    assert found.memory == costs.predict(Work("site_gp", fits[-1:], 5, MODEL, {"selection_rows": 50})).memory
    config["campaign"]["policies"] = {"random": {"acquisition": "random"}}
    assert bench_costs.campaign(config, *files, {}).seconds == costs.START


def test_a_campaign_asks_the_language_model_once_for_what_its_methods_ask(files: tuple[str, str]) -> None:
    def seconds(*methods: str) -> float:
        policies = {method: {"method": method} for method in methods}
        work = bench_costs.campaign({"campaign": {"policies": policies}}, *files, {})
        fits = [
            bench_costs.campaign({"campaign": {"policies": {name: one}}}, *files, {}) for name, one in policies.items()
        ]
        assert work.memory == max(one.memory for one in fits)
        return work.seconds

    aided = costs.predict(Work("embed", ((0, 1000),), 5, MODEL, {"rows": "wild_type"})).seconds
    assert seconds("plm_gp", "embedding_gp") < seconds("plm_gp") + seconds("embedding_gp")
    assert seconds("zero_shot", "additive") == pytest.approx(seconds("zero_shot") + seconds("additive"))
    assert seconds("zero_shot") > aided


def test_the_standard_policies_are_counted_where_none_are_named(files: tuple[str, str]) -> None:
    assert (
        bench_costs.campaign({}, *files, {}).seconds
        > 4
        * costs.predict(
            Work("site_gp", tuple((96 * one, 1000 - 96 * one) for one in (1, 2, 3, 4)) * 5, 5, MODEL)
        ).seconds
    )


def test_a_plate_costs_its_candidates_and_the_solver_but_holds_a_block_of_them(files: tuple[str, str]) -> None:
    config = {"methods": {"mine": {"method": "site_gp"}}, "recommend": {"wishes": {"solver": {"seconds": 7}}}}
    found = bench_costs.plate(config, "mine", *files, {})
    assert found.seconds == costs.predict(Work("site_gp", ((1000, 1_000_000),), 5, MODEL)).seconds + 7
    assert found.memory == costs.predict(Work("site_gp", ((1000, 8192),), 5, MODEL)).memory
    config["recommend"]["wishes"]["exhaustive"] = 10
    assert bench_costs.plate(config, "mine", *files, {}).seconds < found.seconds
