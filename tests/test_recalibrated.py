"""recalibrated: the scale against its definition, what it does to over- and underconfident methods, its words."""

import json
import math
from dataclasses import dataclass, replace
from typing import Any

import jsonschema
import numpy as np
import pytest
from scipy import stats

from multimep.dataset import Dataset
from multimep.methods import METHODS, FitError
from multimep.methods.nested import inner_folds
from multimep.methods.recalibrated import WEAK_ROWS, Recalibrated, conformal_scale, scale_of
from multimep.settings import method, schema
from multimep.typed_values import SettingsError


def test_the_scale_is_the_root_of_the_mean_squared_error_of_inner_fits(landscape: Any, embedder: Any) -> None:
    data: Dataset = landscape("first", rows=40)
    total = 0.0
    for fold in inner_folds(data.variants.mutants, 4, 3):
        predictor = METHODS["additive"]().fit([data.select(fold.train)], embedder, 3)
        for mutant in fold.test:
            found = predictor.predict(data.variants.select([mutant]))
            total += float((data.select([mutant]).fitness[0] - found.mean[0]) / found.noisy_std[0]) ** 2
    expected = math.sqrt((WEAK_ROWS + total) / (WEAK_ROWS + len(data)))
    assert Recalibrated({"additive": None}, folds=4).fit([data], embedder, 3).scale == pytest.approx(expected)


@pytest.mark.parametrize("kind", ["scale", "conformal"])
def test_the_means_stay_and_both_standard_deviations_are_scaled_alike(kind: Any, landscape: Any, embedder: Any) -> None:
    data: Dataset = landscape("first", rows=40)
    base = METHODS["additive"]().fit([data], embedder, 0).predict(data.variants)
    found = Recalibrated({"additive": None}, kind).fit([data], embedder, 0).predict(data.variants)
    np.testing.assert_array_equal(found.mean, base.mean)
    assert np.ptp(found.std / base.std) < 1e-9
    np.testing.assert_allclose(found.std / base.std, found.noisy_std / base.noisy_std)


def test_a_scale_is_the_most_likely_one_of_normal_errors_with_weak_rows() -> None:
    z = 3 * np.random.default_rng(0).normal(size=50)
    grid = np.linspace(1, 6, 5001)
    weak = WEAK_ROWS * (stats.norm(0, 1).logpdf(0) - np.log(grid) - 1 / (2 * grid**2))
    likelihood = [stats.norm(0, s).logpdf(z).sum() for s in grid] + weak
    assert scale_of(z) == pytest.approx(grid[int(np.argmax(likelihood))], abs=2e-3)
    assert scale_of(np.zeros(0)) == 1


def test_the_conformal_interval_covers_a_new_exchangeable_error_as_often_as_it_says() -> None:
    draw = np.random.default_rng(1)
    errors = draw.standard_t(2, size=(4000, 60))
    inside = [abs(row[0]) <= stats.norm.ppf(0.975) * conformal_scale(row[1:]) for row in errors]
    # k = ceil(.95 * 60) = 57 of 59: exactly 57 / 60
    assert np.mean(inside) == pytest.approx(57 / 60, abs=0.012)


def test_with_few_errors_the_conformal_interval_ends_at_the_largest() -> None:
    z = np.array([0.1, -2.0, 0.5])
    assert stats.norm.ppf(0.975) * conformal_scale(z) == pytest.approx(2.0)
    assert conformal_scale(np.zeros(3)) > 0


@pytest.mark.parametrize("kind", ["scale", "conformal"])
@pytest.mark.parametrize("wrong", [0.2, 5.0])
def test_intervals_that_were_too_narrow_or_too_wide_cover_as_they_say(
    kind: Any, wrong: float, landscape: Any, embedder: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    @dataclass(frozen=True)
    class Wrong(METHODS["additive"]):  # type: ignore[misc]
        def fit(self, train: Any, embedder: Any, seed: int) -> Any:
            fitted = super().fit(train, embedder, seed)

            class Predictor:
                def predict(self, variants: Any) -> Any:
                    found = fitted.predict(variants)
                    return replace(found, std=wrong * found.std, noisy_std=wrong * found.noisy_std)

            return Predictor()

    monkeypatch.setattr(Recalibrated, "base", property(lambda self: Wrong()))
    whole: Dataset = landscape("first", rows=180)
    train, asked = whole.select(whole.variants.mutants[:100]), whole.select(whole.variants.mutants[100:])
    found = Recalibrated({"additive": None}, kind).fit([train], embedder, 0).predict(asked.variants)
    inside = np.abs(asked.fitness - found.mean) <= 1.96 * found.noisy_std
    assert 0.88 <= inside.mean() <= 1


def test_a_method_without_standard_deviations_gets_a_constant_one(landscape: Any, embedder: Any) -> None:
    whole: Dataset = landscape("first", rows=60)
    found = Recalibrated({"fine_tune": {"epochs": 1}}, folds=2).fit([whole], embedder, 0).predict(whole.variants)
    assert np.isnan(found.std).all()
    assert np.ptp(found.noisy_std) == 0
    assert 0.5 < found.noisy_std[0] / np.std(whole.fitness) < 2


def test_a_recalibrated_method_may_be_inside_another(landscape: Any, embedder: Any) -> None:
    data: Dataset = landscape("first", rows=30)
    outer = Recalibrated({"inner": {"method": "recalibrated", "of": {"additive": None}}})
    fitted = outer.fit([data], embedder, 0)
    again = outer.restore(fitted.state(), embedder).predict(data.variants)
    np.testing.assert_array_equal(again.noisy_std, fitted.predict(data.variants).noisy_std)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"of": {"additive": {}, "site_gp": {}}}, "x.*: of names additive, site_gp; recalibrated scales one"),
        ({"of": {}}, "of: names no method"),
        ({"of": {"site_gp": {"wrap": True}}}, "x.*: of.site_gp: unknown key 'wrap'"),
        ({"of": {"gp": None}}, "of.gp: no method 'gp'; choose from"),
        ({"of": {"fine_tune_together": None}}, "fits several datasets at once"),
        ({"of": {"additive": None}, "folds": 1}, "folds must be at least 2, not 1"),
        ({"of": {"additive": None}, "kind": "mondrian"}, "x.kind: .*'scale' or 'conformal'"),
    ],
)
def test_settings_that_cannot_be_followed_are_refused_in_a_sentence(values: Any, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        method("recalibrated", values, "x")


def test_several_methods_are_refused_by_the_class_too() -> None:
    with pytest.raises(FitError, match="scales one method"):
        Recalibrated({"additive": None, "site_gp": None})


def test_the_schema_knows_the_settings_of_methods_inside() -> None:
    whole = json.loads(json.dumps(schema()))
    checked = {"$defs": whole["$defs"], **whole["properties"]["methods"]}

    def valid(methods: Any) -> bool:
        return bool(jsonschema.Draft202012Validator(checked).is_valid(methods))

    assert valid({"recalibrated": {"of": {"site_gp": {"warp": False}}}})
    assert valid({"mine": {"method": "recalibrated", "of": {"base": {"method": "additive"}}, "splits": ["random"]}})
    assert not valid({"recalibrated": {"of": {"site_gp": {"wrap": False}}}})
    assert not valid({"recalibrated": {"of": {"site_gp": {"splits": ["random"]}}}})
    assert not valid({"recalibrated": {"of": {"fine_tune_together": None}}})
    assert not valid({"recalibrated": {"of": {}}})
