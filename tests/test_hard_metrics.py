"""Metrics where arithmetic goes wrong: few variants, constants, ties, unknown doubts, units: a right number or NaN."""

import numpy as np
import pytest
from scipy import stats

from multimep import metrics
from multimep.dataset import Dataset, DatasetError, Variants
from multimep.metrics import METRICS, evaluate
from multimep.mutations import AMINO_ACIDS
from multimep.predictions import Predictions, PredictionsError, read, without_std, write

MUTANTS = tuple(f"{old}{site}{new}" for site, old in enumerate("MKTAYI", 1) for new in AMINO_ACIDS if new != old)
RELATIVE = ("spearman", "pearson", "r2", "ndcg", "top_recall")
WITHIN = {"spearman": (-1, 1), "pearson": (-1, 1), "ndcg": (0, 1), "top_recall": (0, 1), "coverage_95": (0, 1)}

pytestmark = pytest.mark.filterwarnings("error")
each = pytest.mark.parametrize("name", METRICS)


def drawn(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Measured, predicted, and standard deviations."""
    random = np.random.default_rng(seed)
    return random.normal(size=n), random.normal(size=n), random.uniform(0.5, 2, n)


def score(name: str, y: np.ndarray, mean: np.ndarray, std: np.ndarray) -> float:
    return float(METRICS[name].function(y, mean, std))


def dataset_of(y: np.ndarray) -> Dataset:
    n = len(y)
    return Dataset(Variants("toy", "MKTAYI", MUTANTS[:n]), y, np.full(n, np.nan), np.ones(n, np.int64))


@each
@pytest.mark.parametrize("n", [1, 2, 3])
def test_one_to_three_variants_are_scored_within_the_range_or_not_at_all(name, n):
    found = score(name, *drawn(n))
    low, high = WITHIN.get(name, (-np.inf, np.inf))
    assert np.isnan(found) or low - 1e-12 <= found <= high + 1e-12
    if name in ("spearman", "pearson"):
        assert np.isnan(found) == (n == 1)
        if n > 1:
            oracle = stats.spearmanr if name == "spearman" else stats.pearsonr
            assert found == pytest.approx(oracle(*drawn(n)[:2]).statistic)
    elif METRICS[name].unit == "fitness" and name != "spearman":
        assert np.isfinite(found)


@each
@pytest.mark.parametrize("value", [0.0, 0.1, 1e12])
def test_a_constant_measurement_has_no_score_that_is_relative_to_its_spread(name, value):
    _, mean, std = drawn(12)
    found = score(name, np.full(12, value), mean, std)
    assert np.isnan(found) if name in RELATIVE or name.startswith("spearman") else np.isfinite(found)


@each
@pytest.mark.parametrize("value", [0.0, 0.1, 1e12])
def test_a_constant_prediction_has_no_correlation_and_every_other_score(name, value):
    y, _, std = drawn(12)
    found = score(name, y, np.full(12, value), std)
    assert np.isnan(found) == (name == "pearson" or name.startswith("spearman"))
    if name == "top_recall":
        assert found == pytest.approx(1 / 12)  # that of chance


@each
def test_unknown_standard_deviations_leave_calibration_unknown_and_nothing_else(name):
    y, mean, std = drawn(12)
    found = score(name, y, mean, np.full(12, np.nan))
    if METRICS[name].needs_std:
        assert np.isnan(found)
    else:
        assert found == score(name, y, mean, std)


@each
@pytest.mark.parametrize("slope", [1e12, 1e-12])
def test_a_unit_changes_scores_as_its_name_says(name, slope):
    y, mean, std = drawn(30)
    before, found = score(name, y, mean, std), score(name, slope * y, slope * mean, slope * std)
    if name == "mse_standardised":  # of standardised numbers, given here in another unit
        assert found == pytest.approx(slope**2 * before)
    elif METRICS[name].unit == "nats":
        assert found == pytest.approx(before + np.log(slope))
    else:
        assert found == pytest.approx(before * (slope if METRICS[name].unit == "fitness" else 1.0), rel=1e-9)


@each
def test_an_offset_of_a_trillion_costs_the_digits_that_float64_lacks_and_no_more(name):
    y, mean, std = drawn(30)
    assert score(name, y + 1e12, mean + 1e12, std) == pytest.approx(score(name, y, mean, std), abs=1e-3)


def test_ties_are_scored_as_scipy_does():
    y, mean, std = np.array([1.0, 1, 2, 2, 3]), np.array([1.0, 2, 2, 2, 3]), np.ones(5)
    assert score("spearman", y, mean, std) == pytest.approx(stats.spearmanr(y, mean).statistic)


def test_what_is_no_number_never_becomes_a_score():
    y = np.array([1.0, np.nan, 2.0])
    with pytest.raises(DatasetError, match=f"fitness of {MUTANTS[1]} is not finite"):
        dataset_of(y)
    with pytest.raises(PredictionsError, match=f"the mean of {MUTANTS[1]} is not finite"):
        without_std(MUTANTS[:3], y)
    with pytest.raises(PredictionsError, match="noisy_std must be positive and finite"):
        Predictions(MUTANTS[:3], np.ones(3), np.ones(3), np.array([1.0, np.inf, 1.0]))


def test_a_table_of_a_fold_of_one_and_a_fold_of_constants_has_every_metric_and_no_crash():
    y = np.concatenate([[1.0], np.full(5, 2.0)])
    data = dataset_of(y)
    folds = {
        "one": Predictions(MUTANTS[:1], y[:1], np.ones(1), np.ones(1)),
        "constant": Predictions(MUTANTS[1:6], y[1:], np.ones(5), np.ones(5)),
    }
    table = evaluate(data, folds, bootstrap=5)
    assert set(table["metric"]) == set(METRICS)
    assert (table.loc[table["metric"] == "rmse", "value"] == 0).all()


@pytest.mark.parametrize("offset", [0.0, 1e6, 1e12])
def test_a_file_of_predictions_keeps_what_tells_them_apart(offset, tmp_path):
    # nine digits of 1e12 + x would make all of them equal, and the correlation of the file undefined
    y, mean, std = drawn(30)
    found = Predictions(MUTANTS[:30], mean + offset, std, std)
    write([("fold0", found)], tmp_path / "p.csv")
    back = read(tmp_path / "p.csv")["fold0"]
    table = evaluate(dataset_of(y), {"fold0": back}, bootstrap=0).set_index(["fold", "metric"])
    assert table.loc[("all", "spearman"), "value"] == pytest.approx(stats.spearmanr(y, found.mean).statistic)
    np.testing.assert_allclose(back.mean - offset, mean, atol=2e-4 if offset == 1e12 else 1e-6)


def test_means_that_differ_by_rounding_alone_are_equal_in_the_file(tmp_path):
    found = without_std(MUTANTS[:3], 0.1 + np.array([0, 1e-17, 3e-17]) + np.array([0.0, 2e-16, 0.0]))
    write([("fold0", found)], tmp_path / "p.csv")
    assert len(set(read(tmp_path / "p.csv")["fold0"].mean)) == 1


def test_resamples_are_drawn_in_blocks_and_never_stand_side_by_side(monkeypatch):
    many = tuple(map(str, range(1000)))
    monkeypatch.setattr(metrics, "CHUNK", 3000)
    blocks = list(metrics._resamples("toy", many, 10, 0))
    assert [len(block) for block in blocks] == [1, 3, 3, 3, 1]
    monkeypatch.setattr(metrics, "CHUNK", 10**6)
    np.testing.assert_array_equal(np.vstack(blocks), np.vstack(list(metrics._resamples("toy", many, 10, 0))))
