"""A dataset beside its best method: joined by mutant, honest about rank and coverage, drawn cell by cell."""

import re

import numpy as np
import pandas as pd
import pytest

from multimep import heat_map, portraits
from multimep.dataset import Dataset, Variants
from multimep.mutations import AMINO_ACIDS
from multimep.portraits import Portrait, Singles, best_methods, coverage, portrait, singles, top
from multimep.predictions import Predictions, without_std


def made(mutants: tuple[str, ...], measured: list[float], predicted: list[float], **more: object) -> Portrait:
    unknown = np.full(len(mutants), np.nan)
    values = {"std": unknown, "noisy_std": unknown, **more}
    return Portrait("x", "MKTAYIAK", "random", "m", mutants, np.array(measured), np.array(predicted), **values)  # type: ignore[arg-type]


def test_columns_of_unequal_length_are_refused() -> None:
    with pytest.raises(ValueError, match=r"portrait of x with columns of length \[1, 2\]"):
        made(("M1A", "K2A"), [0.1, 0.2], [0.3])


def test_predictions_of_all_folds_are_joined_by_mutant_and_a_variant_asked_twice_counts_with_its_mean() -> None:
    mutants = ("M1A", "K2A", "T3A", "A4C")
    one = Dataset(Variants("x", "MKTAYIAK", mutants), np.arange(4.0), np.full(4, np.nan), np.ones(4, np.int64))
    std = np.array([0.5, 0.5])
    folds = {
        "0": Predictions(("T3A", "M1A"), np.array([2.5, 0.5]), std, std),
        "1": Predictions(("T3A", "K2A"), np.array([3.5, 1.5]), 2 * std, std),
    }
    found = portrait(one, "random", "m", folds)
    assert found.mutants == ("M1A", "K2A", "T3A")
    np.testing.assert_allclose(found.measured, [0, 1, 2])
    np.testing.assert_allclose(found.predicted, [0.5, 1.5, 3.0])
    np.testing.assert_allclose(found.std, [0.5, 1.0, 0.75])


def test_the_best_method_of_a_dataset_is_the_one_with_the_best_score_that_was_asked() -> None:
    rows = [("x", "a", 0.4), ("x", "b", 0.6), ("x", "c", 0.9), ("y", "a", 0.2), ("y", "b", np.nan), ("z", "b", np.nan)]
    table = pd.DataFrame(rows, columns=["dataset", "method", "value"]).assign(split="random", metric="spearman")
    asked = [("x", "a"), ("x", "b"), ("y", "a"), ("y", "b"), ("z", "b")]
    assert best_methods(table, "random", "spearman", asked) == {"x": "b", "y": "a"}
    assert best_methods(table, "random", "rmse", asked) == {}
    errors = table.assign(metric="rmse")
    assert best_methods(errors, "random", "rmse", asked) == {"x": "a", "y": "a"}


def test_the_top_is_ranked_by_prediction_with_the_measured_rank_beside_it() -> None:
    one = made(("M1A", "K2A", "T3A", "A4C"), [0.0, 3.0, 1.0, 2.0], [0.1, 0.2, 0.9, 0.5])
    assert [(pick.rank, pick.mutant, pick.measured_rank) for pick in top(one, 3)] == [
        (1, "T3A", 3),
        (2, "A4C", 2),
        (3, "K2A", 1),
    ]
    lower = made(one.mutants, one.measured.tolist(), one.predicted.tolist(), higher_is_better=False)
    assert [(pick.mutant, pick.measured_rank) for pick in top(lower, 1)] == [("M1A", 1)]


def test_coverage_is_the_share_inside_the_interval_and_nothing_without_a_standard_deviation() -> None:
    ones = np.ones(3)
    one = made(("M1A", "K2A", "T3A"), [0.0, 1.0, 3.0], [0.0, 0.0, 0.0], std=ones, noisy_std=ones)
    found = coverage(one)
    # one standard deviation holds 68 %, three more than 99 %
    assert (found[0.05], found[0.65], found[0.7], found[0.95]) == pytest.approx((1 / 3, 1 / 3, 2 / 3, 2 / 3))
    assert coverage(made(("M1A",), [0.0], [0.0])) == {}


def test_single_mutants_are_sorted_by_site_and_all_others_left_out() -> None:
    found = singles(made(("A4C", "M1A:K2A", "WT", "K2R", "K2A"), [0.0] * 5, [0.0] * 5))
    assert (found.positions, found.residues, found.sites) == ((2, 4), "KA", (0, 0, 1))
    assert "".join(AMINO_ACIDS[letter] for letter in found.letters) == "ARC"
    assert found.rows == (4, 3, 0)
    assert singles(made(("WT",), [0.0], [0.0])).positions == ()


def cells(drawn: str) -> set[tuple[int, int, int, int]]:
    """(band, shade, row, column) of every cell of a drawn map."""
    found = set()
    for band, inside in enumerate(re.findall(r'class="cells".*?</g>', drawn)):
        for data, shade in re.findall(r'<path d="([^"]*)" class="h(\d)"', inside):
            for column, row, run in re.findall(r"M(\d+) (\d+)h(\d+)", data):
                found |= {(band, int(shade), int(row), int(column) + step) for step in range(int(run))}
    return found


@pytest.mark.parametrize("sites", [1, 40, 130, 700])
def test_every_single_mutant_is_drawn_once_in_its_place_and_colour(sites: int) -> None:
    random = np.random.default_rng(sites)
    wild_type = "".join(random.choice(list(AMINO_ACIDS), sites))
    keys = sorted(random.choice(20 * sites, size=min(6 * sites, 1500), replace=False).tolist())
    keys = [key for key in keys if AMINO_ACIDS[key % 20] != wild_type[key // 20]]
    used = sorted({key // 20 for key in keys})
    one = Singles(
        tuple(site + 1 for site in used),
        "".join(wild_type[site] for site in used),
        tuple(used.index(key // 20) for key in keys),
        tuple(key % 20 for key in keys),
        tuple(range(len(keys))),
    )
    values = random.normal(size=len(keys))
    drawn = str(heat_map.heat_map(one, values, (-1.0, 1.0), "measured", "label"))
    grid = heat_map.grid_of(len(used))
    assert heat_map.LEFT + grid.per_band * grid.width <= heat_map.WIDTH
    assert cells(drawn) == {
        (
            site // grid.per_band,
            int(np.clip((value + 1) / 2 * 10, 0, 9)),
            heat_map.ROWS.index(AMINO_ACIDS[letter]),
            site % grid.per_band,
        )
        for site, letter, value in zip(one.sites, one.letters, values, strict=True)
    }


def test_colours_reach_from_low_to_high_and_what_is_not_known_has_none() -> None:
    assert heat_map.shade(np.array([-5.0, 0.0, 0.5, 1.0, np.nan]), (0.0, 1.0)) == [0, 0, 5, 9, -1]
    assert heat_map.shade(np.array([2.0]), (2.0, 2.0)) == [5]
    assert set(heat_map.ROWS) == set(AMINO_ACIDS) and len(heat_map.ROWS) == 20


def test_a_method_without_a_standard_deviation_says_so() -> None:
    one = Dataset(Variants("x", "MK", ("M1A",)), np.zeros(1), np.full(1, np.nan), np.ones(1, np.int64))
    assert not portraits.portrait(one, "s", "m", {"0": without_std(["M1A"], np.zeros(1))}).unsure
