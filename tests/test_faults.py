"""The short part of `make faults`: every kind of fault that needs neither a disk of its own nor whole pipelines."""

import random
import re
from pathlib import Path

import pytest

from faults import downloads, station
from faults.damage import DAMAGES, Damage, targets
from faults.disk import FULL, LIMITED, LOCKED, Full
from faults.downloads import WRONG, Downloads
from faults.kills import ALONE, EVERYTHING, STATION, Kills
from faults.study import Study
from faults.table import Loss, Table, require
from faults.twins import COMMANDS, PIPELINES, Twins
from small_study import ROOT

KINDS = ("dataset, CSV", "split, CSV", "embedding store, HDF5", "predictions, CSV", "metrics, CSV", "a plan, JSON")
KINDS += ("a finished fold, JSON", "a block of an unfinished store", "a fitted predictor", "record of a dataset, JSON")


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    """The short study, made once; every test leaves it as it was."""
    station.warm_up(language_model=False)
    made = Study(tmp_path_factory.mktemp("faults"), short=True).prepare()
    made.make(made.folder / "log")
    return made


@pytest.fixture(scope="module")
def expected(study: Study) -> dict[str, bytes]:
    return study.tables()


def assert_survived(table: Table, *kinds: str) -> None:
    assert table.losses == 0, [loss for row in table.rows.values() for loss in row.losses]
    assert set(kinds) <= table.rows.keys()


def test_stations_killed_at_random_moments_leave_nothing_half_written_and_end_the_same(
    study: Study, expected: dict[str, bytes]
) -> None:
    table = Table()
    Kills(expected, table, random.Random(1), patience=(2, 2)).alone(study, 8)
    assert_survived(table, ALONE)
    assert table.rows[ALONE].tries >= 6  # now and then a kill comes too late


def test_no_damage_to_a_file_between_stations_passes_unseen(study: Study, expected: dict[str, bytes]) -> None:
    table = Table()
    damage = Damage(study, expected, table, random.Random(1))
    seen = set()
    for target in targets(study):
        if target.kind not in seen:
            seen.add(target.kind)
            for kind, done in DAMAGES.items():
                damage.one(target, kind, done)
    assert_survived(table)
    assert all(row.refused == row.tries for row in table.rows.values())
    assert len(table.rows) == 3 * len(seen) == 12


def test_a_station_without_room_says_so_and_ends_the_same_when_there_is(
    study: Study, expected: dict[str, bytes], tmp_path: Path
) -> None:
    table = Table()
    full = Full(study, expected, table, random.Random(1))
    for one in study.stations():
        full.limited_and_restored(one)
    assert_survived(table, LIMITED)
    assert table.rows[LIMITED].refused > 0


def test_a_server_that_does_everything_wrong_is_refused_and_forgotten_once_it_is_well(
    study: Study, expected: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(downloads, "PATIENCE", 0.1)
    table = Table()
    Downloads(study, expected, table).all(1)
    assert_survived(table)
    assert {f"a download: {name}" for name in WRONG} <= table.rows.keys()


def test_two_commands_with_one_output_leave_it_whole(study: Study, expected: dict[str, bytes]) -> None:
    table = Table()
    Twins(study, expected, table, random.Random(1)).commands(1)
    assert_survived(table)


def test_a_promise_that_is_not_kept_is_a_loss_of_the_table() -> None:
    table = Table(told=lambda _: None)
    with table.attempt("a fault", "here"):
        require(False, "another result")
    with table.attempt("a fault") as row:
        row.refused += 1
    assert table.markdown().splitlines()[-1] == "| a fault | 2 | 1 | 1 | 1 |"
    assert table.rows["a fault"].losses == ["here: another result"]
    with pytest.raises(Loss):
        require(False, "")


def test_the_table_in_the_documentation_is_one_of_the_harness_without_a_loss() -> None:
    page = (ROOT / "docs" / "reliability.md").read_text(encoding="utf-8").partition("### What was measured")[2]
    head, _, *lines = re.findall(r"^\|.*\|$", page.partition("\n### ")[0], re.MULTILINE)
    assert head == Table().markdown().splitlines()[0]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    cells = [row for row in cells if row[1].isdigit()]
    told = {kind: [int(number) for number in numbers] for kind, *numbers in cells}
    assert all(tries == survived and losses == 0 for tries, survived, _, losses in told.values())
    assert sum(told[kind][0] for kind in (STATION, EVERYTHING, ALONE)) >= 200
    assert {f"{kind}: {damage}" for kind in KINDS for damage in DAMAGES} <= told.keys()
    assert {f"a download: {name}" for name in WRONG} | {PIPELINES, COMMANDS, FULL, LOCKED, LIMITED} <= told.keys()
