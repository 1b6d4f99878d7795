"""Metrics against other libraries, slow loops, limits and laws; intervals against what they promise."""

import itertools
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import integrate, stats
from sklearn import metrics as sklearn_metrics

from multimep import agreement, calibration, metrics
from multimep.dataset import Dataset, DatasetError, Variants
from multimep.metrics import METRICS, MetricsError, evaluate
from multimep.predictions import Predictions, without_std

WILD_TYPE = "MKTAYIAKQRQISFVKSHFSRQLEERLGLIEVQAPILSRVGDGTQDNLSGAEKAVQ"
MUTANTS = tuple(f"{old}{site}{new}" for site, old in enumerate(WILD_TYPE, 1) for new in "ACDEFGHIKL" if new != old)
SCALE_FREE = ("spearman", "pearson", "ndcg", "top_recall")


def _dataset(y: np.ndarray, higher_is_better: bool = True) -> Dataset:
    n = len(y)
    variants = Variants("toy", WILD_TYPE, MUTANTS[:n])
    return Dataset(variants, y, np.full(n, np.nan), np.ones(n, dtype=np.int64), higher_is_better=higher_is_better)


def _predictions(dataset: Dataset, mean: np.ndarray, std: float = 1.0, rows: slice = slice(None)) -> Predictions:
    mutants = dataset.variants.mutants[rows]
    return Predictions(mutants, mean[rows], np.full(len(mutants), 0.5 * std), np.full(len(mutants), std))


def _score(name: str, y: np.ndarray, mean: np.ndarray, std: np.ndarray | None = None) -> float:
    return float(METRICS[name].function(y, mean, np.ones(len(y)) if std is None else std))


def _value(table: pd.DataFrame, fold: str, metric: str, column: str = "value") -> float:
    return float(table.set_index(["fold", "metric"]).loc[(fold, metric), column])


@pytest.fixture(params=["distinct", "ties"])
def pair(request: pytest.FixtureRequest) -> tuple[np.ndarray, np.ndarray]:
    draw = np.random.default_rng(4)
    y = draw.normal(size=83)
    mean = 0.6 * y + draw.normal(size=83)
    return (y, mean) if request.param == "distinct" else (np.round(2 * y), np.round(mean))


def test_correlations_and_errors_equal_scipy_and_scikit_learn(pair: tuple[np.ndarray, np.ndarray]) -> None:
    y, mean = pair
    oracle = {
        "spearman": stats.spearmanr(y, mean).statistic,
        "pearson": stats.pearsonr(y, mean).statistic,
        "r2": sklearn_metrics.r2_score(y, mean),
        "rmse": sklearn_metrics.root_mean_squared_error(y, mean),
        "mae": sklearn_metrics.mean_absolute_error(y, mean),
    }
    assert {name: _score(name, y, mean) for name in oracle} == pytest.approx(oracle)


def test_ndcg_equals_scikit_learn_on_min_max_gains_ties_included(pair: tuple[np.ndarray, np.ndarray]) -> None:
    y, mean = pair
    gains = (y - y.min()) / (y.max() - y.min())
    assert _score("ndcg", y, mean) == pytest.approx(sklearn_metrics.ndcg_score([gains], [mean], k=8))


def test_ndcg_and_recall_equal_their_slow_definition_without_ties() -> None:
    draw = np.random.default_rng(0)
    y, mean = draw.normal(size=47), draw.normal(size=47)
    k, order, best = 4, sorted(range(47), key=lambda row: -mean[row]), sorted(range(47), key=lambda row: -y[row])
    gain = [(value - min(y)) / (max(y) - min(y)) for value in y]
    found = sum(gain[order[rank]] / math.log2(rank + 2) for rank in range(k))
    ideal = sum(gain[best[rank]] / math.log2(rank + 2) for rank in range(k))
    assert _score("ndcg", y, mean) == pytest.approx(found / ideal)
    assert _score("top_recall", y, mean) == pytest.approx(len(set(order[:k]) & set(best[:k])) / k)


def test_tied_predictions_count_with_the_mean_over_all_orders() -> None:
    y, mean = np.array([3.0, 1.0, 0.0, 2.0]), np.array([1.0, 1.0, 0.0, 1.0])
    for name in ("ndcg", "top_recall"):
        orders = [
            _score(name, y, mean + 1e-6 * np.array([*noise[:2], 0.0, noise[2]]))
            for noise in itertools.permutations([0.0, 1.0, 2.0])
        ]
        assert _score(name, y, mean) == pytest.approx(np.mean(orders))


def test_nll_and_coverage_equal_a_loop_over_the_normal_distribution() -> None:
    draw = np.random.default_rng(1)
    y, mean, std = draw.normal(size=60), draw.normal(size=60), draw.uniform(0.3, 2, size=60)
    laws = [stats.norm(m, s) for m, s in zip(mean, std, strict=True)]
    assert _score("nll", y, mean, std) == pytest.approx(
        -np.mean([law.logpdf(v) for law, v in zip(laws, y, strict=True)])
    )
    for percent in (50, 80, 95):
        inside = [
            law.interval(percent / 100)[0] <= v <= law.interval(percent / 100)[1]
            for law, v in zip(laws, y, strict=True)
        ]
        assert _score(f"coverage_{percent}", y, mean, std) == pytest.approx(np.mean(inside))


def test_a_calibrated_gaussian_has_its_nominal_coverage_and_the_least_nll() -> None:
    draw = np.random.default_rng(2)
    mean, std = draw.normal(size=40_000), draw.uniform(0.5, 2, size=40_000)
    y = mean + std * draw.normal(size=40_000)
    for percent in (50, 80, 95):
        assert _score(f"coverage_{percent}", y, mean, std) == pytest.approx(percent / 100, abs=0.01)
    assert _score("nll", y, mean, std) < min(_score("nll", y, mean, 0.7 * std), _score("nll", y, mean, 1.4 * std))


def test_a_perfect_prediction_has_the_best_values(pair: tuple[np.ndarray, np.ndarray]) -> None:
    y, _ = pair
    best = {"spearman": 1, "pearson": 1, "r2": 1, "rmse": 0, "mae": 0, "ndcg": 1, "top_recall": 1, "coverage_50": 1}
    assert {name: _score(name, y, y) for name in best} == pytest.approx(best)


def test_a_constant_prediction_has_no_correlation_and_the_recall_of_chance() -> None:
    y, mean = np.random.default_rng(3).normal(size=50), np.full(50, 0.1)
    assert all(math.isnan(_score(name, y, mean)) for name in ("spearman", "pearson"))
    assert _score("top_recall", y, mean) == pytest.approx(0.1)
    assert _score("r2", y, np.full(50, y.mean())) == pytest.approx(0, abs=1e-12)


def test_what_is_relative_to_the_spread_of_a_constant_fitness_is_not_defined() -> None:
    y, mean = np.full(20, 0.1), np.random.default_rng(3).normal(size=20)
    assert all(math.isnan(_score(name, y, mean)) for name in ("spearman", "pearson", "r2", "ndcg", "top_recall"))
    assert np.isfinite([_score(name, y, mean) for name in ("rmse", "mae", "nll")]).all()


def test_a_stack_of_resamples_scores_like_one_at_a_time(pair: tuple[np.ndarray, np.ndarray]) -> None:
    y, mean = pair
    rows = np.random.default_rng(0).integers(len(y), size=(7, len(y)))
    for name, metric in METRICS.items():
        single = [_score(name, y[row], mean[row]) for row in rows]
        np.testing.assert_allclose(metric.function(y[rows], mean[rows], np.ones(rows.shape)), single, rtol=1e-12)


@pytest.mark.parametrize("name", SCALE_FREE)
def test_a_rising_line_through_the_predictions_changes_no_ranking_metric(name: str) -> None:
    draw = np.random.default_rng(5)
    y, mean = draw.normal(size=70), draw.normal(size=70)
    assert _score(name, y, 3 * mean - 2) == pytest.approx(_score(name, y, mean))
    assert _score(name, 5 * y + 1, mean) == pytest.approx(_score(name, y, mean))


def test_lower_is_better_mirrors_the_search_for_the_best_and_nothing_else() -> None:
    draw = np.random.default_rng(6)
    y, mean = draw.normal(size=90), draw.normal(size=90)
    up, down = _dataset(-y), _dataset(y, higher_is_better=False)
    mirrored = evaluate(down, {"a": _predictions(down, mean)}, bootstrap=20)
    upright = evaluate(up, {"a": _predictions(up, -mean)}, bootstrap=20)
    pd.testing.assert_frame_equal(mirrored, upright)


def test_rows_are_joined_by_the_mutants_text_and_never_by_position() -> None:
    draw = np.random.default_rng(7)
    dataset = _dataset(draw.normal(size=60))
    found = _predictions(dataset, draw.normal(size=60))
    shuffled = found.select(draw.permutation(found.mutants))
    other = dataset.select(draw.permutation(dataset.variants.mutants))
    pd.testing.assert_frame_equal(evaluate(dataset, {"a": found}, 50), evaluate(other, {"a": shuffled}, 50))
    with pytest.raises(DatasetError, match="no such variants: W1A"):
        evaluate(dataset, {"a": without_std(("W1A",), np.zeros(1))})


def test_disjoint_folds_are_pooled_and_their_order_does_not_matter() -> None:
    draw = np.random.default_rng(8)
    y, mean = draw.normal(size=100), draw.normal(size=100)
    dataset = _dataset(y)
    folds = {f"fold{k}": _predictions(dataset, mean, rows=slice(25 * k, 25 * k + 25)) for k in range(4)}
    table = evaluate(dataset, folds, bootstrap=30)
    assert set(table[table["fold"] == "all"]["aggregation"]) == {"pooled"}
    assert len(table) == 5 * len(METRICS)
    assert _value(table, "all", "spearman") == pytest.approx(stats.spearmanr(y, mean).statistic)
    assert _value(table, "fold2", "mae") == pytest.approx(np.abs(y - mean)[50:75].mean())
    assert (_value(table, "all", "mae", "n"), _value(table, "fold2", "mae", "n")) == (100, 25)
    again = evaluate(dataset, dict(reversed(folds.items())), bootstrap=30)
    columns = ["fold", "metric"]
    pd.testing.assert_frame_equal(
        table.sort_values(columns, ignore_index=True), again.sort_values(columns, ignore_index=True)
    )


def test_folds_that_ask_the_same_variants_are_averaged_and_resampled_together() -> None:
    draw = np.random.default_rng(9)
    dataset = _dataset(draw.normal(size=80))
    folds = {f"n24_seed{k}": _predictions(dataset, draw.normal(size=80)) for k in range(3)}
    table = evaluate(dataset, folds, bootstrap=200)
    rows = table[table["metric"] == "mae"].set_index("fold")
    assert rows.loc["all", "aggregation"] == "mean"
    assert rows.loc["all", "value"] == pytest.approx(rows.drop("all")["value"].mean())
    assert rows.loc["all", "n"] == 80
    same = evaluate(dataset, {"a": folds["n24_seed0"], "b": folds["n24_seed0"]}, bootstrap=200)
    parts = [same[same["fold"] == fold].drop(columns=["fold", "aggregation"]) for fold in ("a", "b", "all")]
    for part in parts[1:]:
        pd.testing.assert_frame_equal(parts[0].reset_index(drop=True), part.reset_index(drop=True))


def test_a_method_without_std_has_no_calibration_and_all_the_rest() -> None:
    draw = np.random.default_rng(10)
    dataset = _dataset(draw.normal(size=40))
    table = evaluate(dataset, {"a": without_std(dataset.variants.mutants, draw.normal(size=40))}, 20).set_index(
        "metric"
    )
    assert set(table.index[table["value"].isna()]) == {
        name for name, metric in METRICS.items() if metric.needs_std or metric.standardised
    }


def test_the_std_of_a_new_measurement_is_the_one_that_is_judged() -> None:
    dataset = _dataset(np.random.default_rng(11).normal(size=50))
    mutants, zero = dataset.variants.mutants, np.zeros(50)
    found = Predictions(mutants, zero, np.full(50, 1e-6), np.full(50, 1e6))
    assert _value(evaluate(dataset, {"a": found}, 0), "a", "coverage_50") == 1


def test_intervals_are_seeded_and_those_of_the_mean_error_match_theory() -> None:
    draw = np.random.default_rng(12)
    dataset = _dataset(draw.normal(size=400))
    folds = {"a": _predictions(dataset, np.zeros(400))}
    table = evaluate(dataset, folds, bootstrap=1000, seed=1)
    pd.testing.assert_frame_equal(table, evaluate(dataset, folds, bootstrap=1000, seed=1))
    assert not table.equals(evaluate(dataset, folds, bootstrap=1000, seed=2))
    errors = np.abs(dataset.fitness)
    reach = 1.96 * errors.std() / math.sqrt(400)
    assert _value(table, "a", "mae", "low") == pytest.approx(errors.mean() - reach, abs=0.15 * reach)
    assert _value(table, "a", "mae", "high") == pytest.approx(errors.mean() + reach, abs=0.15 * reach)


def test_an_interval_of_95_percent_covers_the_truth_about_so_often() -> None:
    draw, rho, hits = np.random.default_rng(13), 0.6, 0
    for repeat in range(60):
        y = draw.normal(size=80)
        dataset = _dataset(y)
        mean = rho * y + math.sqrt(1 - rho**2) * draw.normal(size=80)
        table = evaluate(dataset, {"a": _predictions(dataset, mean)}, bootstrap=60, seed=repeat)
        hits += _value(table, "a", "pearson", "low") <= rho <= _value(table, "a", "pearson", "high")
    assert 0.85 < hits / 60 <= 1


def test_without_resamples_there_is_no_interval_and_chunks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = _dataset(np.random.default_rng(14).normal(size=30))
    folds = {"a": _predictions(dataset, np.arange(30.0))}
    assert evaluate(dataset, folds, bootstrap=0)[["low", "high"]].isna().all(axis=None)
    whole = evaluate(dataset, folds, bootstrap=50)
    monkeypatch.setattr(metrics, "CHUNK", 100)
    pd.testing.assert_frame_equal(evaluate(dataset, folds, bootstrap=50), whole)


def test_a_single_variant_is_scored_where_a_score_exists() -> None:
    dataset = _dataset(np.array([2.0]))
    table = evaluate(dataset, {"a": _predictions(dataset, np.array([1.0]))}, bootstrap=10)
    assert _value(table, "a", "mae") == 1
    assert math.isnan(_value(table, "a", "spearman"))


def test_a_file_gives_back_the_table_that_was_written(tmp_path: Path) -> None:
    draw = np.random.default_rng(15)
    dataset = _dataset(draw.normal(size=30))
    found = without_std(dataset.variants.mutants, draw.normal(size=30))
    part = evaluate(dataset, {"n24": found}, 10)
    metrics.write("toy", {("random", "additive"): part, ("low_n", "zero_shot"): part}, tmp_path / "metrics.csv")
    table = metrics.read(tmp_path / "metrics.csv")
    assert tuple(table.columns) == metrics.COLUMNS
    assert list(table["split"].unique()) == ["random", "low_n"]
    back = table[table["split"] == "low_n"].reset_index(drop=True)
    pd.testing.assert_frame_equal(back[part.columns.tolist()], part, rtol=1e-8, check_dtype=False)


# Calibration


def _normal_case(rows: int = 60, seed: int = 1) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    draw = np.random.default_rng(seed)
    return draw.normal(size=rows), draw.normal(size=rows), draw.uniform(0.3, 2, size=rows)


def test_crps_equals_its_integral_over_the_squared_distance_of_distributions() -> None:
    y, mean, std = _normal_case(6)
    whole = []
    for one, m, s in zip(y, mean, std, strict=True):
        below, _ = integrate.quad(lambda x, m=m, s=s: stats.norm(m, s).cdf(x) ** 2, m - 12 * s, one, limit=200)
        above, _ = integrate.quad(lambda x, m=m, s=s: stats.norm(m, s).sf(x) ** 2, one, m + 12 * s, limit=200)
        whole.append(below + above)
    assert _score("crps", y, mean, std) == pytest.approx(np.mean(whole), rel=1e-6)
    assert _score("crps", y, mean, 1e-9 * std) == pytest.approx(np.abs(y - mean).mean())


def test_calibration_errors_equal_slow_loops() -> None:
    y, mean, std = _normal_case(63)
    gaps = []
    for level in calibration.LEVELS:
        inside = 0
        for one, m, s in zip(y, mean, std, strict=True):
            low, high = stats.norm(m, s).interval(level)
            inside += low <= one <= high
        gaps.append(abs(inside / len(y) - level))
    assert _score("ece", y, mean, std) == pytest.approx(np.mean(gaps))
    total, order = 0.0, sorted(range(63), key=lambda row: std[row])
    for rows in np.array_split(order, 5):
        predicted = math.sqrt(sum(std[row] ** 2 for row in rows) / len(rows))
        found = math.sqrt(sum((y[row] - mean[row]) ** 2 for row in rows) / len(rows))
        total += abs(predicted - found) / predicted / 5
    assert _score("ence", y, mean, std) == pytest.approx(total)
    squares = [((one - m) / s) ** 2 for one, m, s in zip(y, mean, std, strict=True)]
    assert _score("chi_square", y, mean, std) == pytest.approx(sum(squares) / 63)
    assert _score("error_spearman", y, mean, std) == pytest.approx(stats.spearmanr(np.abs(y - mean), std).statistic)
    widths = [np.diff(stats.norm(m, s).interval(0.95))[0] for m, s in zip(mean, std, strict=True)]
    assert _score("width_95", y, mean, std) == pytest.approx(np.mean(widths))


def test_right_standard_deviations_have_the_best_values_and_wrong_ones_worse() -> None:
    draw = np.random.default_rng(2)
    mean, std = draw.normal(size=40_000), draw.uniform(0.5, 2, size=40_000)
    y = mean + std * draw.normal(size=40_000)
    right = {name: _score(name, y, mean, std) for name in ("ece", "ence", "chi_square", "coverage_90")}
    assert right == pytest.approx({"ece": 0, "ence": 0, "chi_square": 1, "coverage_90": 0.9}, abs=0.02)
    assert _score("chi_square", y, mean, 0.5 * std) == pytest.approx(4, rel=0.05)
    for factor in (0.6, 1.6):
        for name in ("ece", "ence", "crps", "nll"):
            assert _score(name, y, mean, factor * std) > _score(name, y, mean, std)


def test_what_a_calibration_metric_cannot_tell_is_nan() -> None:
    y, mean, std = _normal_case(4)
    assert math.isnan(_score("ence", y, mean, std))
    assert math.isnan(_score("error_spearman", *_normal_case(20)[:2], np.ones(20)))


# Three Spearmans


def _two_folds(shift: float) -> tuple[Dataset, dict[str, Predictions], dict[str, tuple[str, ...]]]:
    draw = np.random.default_rng(20)
    y = draw.normal(size=80)
    dataset = _dataset(y)
    mean = 0.5 * y + draw.normal(size=80) + shift * (np.arange(80) < 40)
    halves = {"a": slice(0, 40), "b": slice(40, 80)}
    folds = {name: _predictions(dataset, mean, rows=rows) for name, rows in halves.items()}
    other = {"a": slice(40, 80), "b": slice(0, 40)}
    return dataset, folds, {name: dataset.variants.mutants[rows] for name, rows in other.items()}


def test_the_three_spearmans_follow_from_their_definitions() -> None:
    dataset, folds, teaching = _two_folds(shift=1.5)
    table = evaluate(dataset, folds, 10, teaching=teaching)
    measured, predicted, within = [], [], []
    for name, fold in folds.items():
        taught = pd.Series(dataset.select(teaching[name]).fitness)
        asked = dataset.select(fold.mutants).fitness
        measured += [(value - taught.mean()) / taught.std() for value in asked]
        predicted += [(value - taught.mean()) / taught.std() for value in fold.mean]
        within.append(stats.spearmanr(asked, fold.mean).statistic)
    raw = stats.spearmanr(dataset.fitness, np.concatenate([folds["a"].mean, folds["b"].mean])).statistic
    found = {name: _value(table, "all", name) for name in ("spearman", "spearman_official", "spearman_within")}
    expected = [raw, stats.spearmanr(measured, predicted).statistic, np.mean(within)]
    assert list(found.values()) == pytest.approx(expected)
    assert len({round(value, 6) for value in found.values()}) == 3
    squares = [(one - other) ** 2 for one, other in zip(measured, predicted, strict=True)]
    assert _value(table, "all", "mse_standardised") == pytest.approx(np.mean(squares))


def test_within_one_fold_the_three_spearmans_are_one() -> None:
    dataset, folds, teaching = _two_folds(shift=0.0)
    table = evaluate(dataset, folds, 10, teaching=teaching)
    for fold in folds:
        values = [_value(table, fold, name) for name in ("spearman", "spearman_official", "spearman_within")]
        assert values == pytest.approx([values[0]] * 3)


def test_the_mean_of_the_teaching_rows_has_a_standardised_error_of_about_one() -> None:
    dataset = _dataset(np.random.default_rng(21).normal(size=400))
    taught, asked = dataset.variants.mutants[:200], slice(200, 400)
    mean = np.full(400, dataset.fitness[:200].mean())
    table = evaluate(dataset, {"a": _predictions(dataset, mean, rows=asked)}, 0, teaching={"a": taught})
    assert _value(table, "a", "mse_standardised") == pytest.approx(1, abs=0.15)


def test_without_the_split_or_without_spread_in_it_nothing_is_said_on_its_scale() -> None:
    dataset, folds, teaching = _two_folds(shift=0.0)
    unknown = evaluate(dataset, folds, 10)
    single = evaluate(dataset, folds, 10, teaching={name: mutants[:1] for name, mutants in teaching.items()})
    for table in (unknown, single):
        assert math.isnan(_value(table, "all", "spearman_official"))
        assert math.isnan(_value(table, "a", "mse_standardised"))
        assert math.isfinite(_value(table, "all", "spearman_within"))


def test_predictions_of_another_split_are_refused() -> None:
    dataset, folds, teaching = _two_folds(shift=0.0)
    with pytest.raises(MetricsError, match="fold 'b' is predicted, and not in the split"):
        evaluate(dataset, folds, 0, teaching={"a": teaching["a"]})
    with pytest.raises(MetricsError, match="fold 'a': taught and asked: "):
        evaluate(dataset, folds, 0, teaching={"a": teaching["b"], "b": teaching["a"]})


def test_top_tenths_have_at_least_one_member() -> None:
    assert [agreement.top_count(n) for n in (1, 9, 10, 29, 30)] == [1, 1, 1, 2, 3]


def test_a_ceiling_stands_in_the_table_where_the_source_tells_its_noise() -> None:
    dataset = _dataset(np.random.default_rng(22).normal(size=60))
    noisy = replace(dataset, std=np.full(60, 0.6), replicates=np.full(60, 4))
    folds = {"a": _predictions(noisy, np.arange(60.0))}
    assert "ceiling_r2" not in set(evaluate(dataset, folds, 0)["metric"])
    table = evaluate(noisy, folds, 0)
    assert _value(table, "all", "ceiling_r2") == pytest.approx(1 - 0.09 / np.var(dataset.fitness))
