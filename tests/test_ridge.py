import numpy as np
import pytest
from scipy.linalg import LinAlgError, svd
from scipy.stats import multivariate_normal
from sklearn.linear_model import Ridge as SklearnRidge
from sklearn.linear_model import RidgeCV

from multimep import ridge
from multimep.ridge import PENALTIES, Ridge, fit, leave_one_out

SHAPES = [(40, 6), (25, 60), (30, 30)]


def drawn(rows: int, columns: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Features that are not centred, centred targets, features to be asked."""
    random = np.random.default_rng(seed)
    features, asked = random.normal(1.5, 1, (rows, columns)), random.normal(1.5, 1, (7, columns))
    y = features @ random.normal(size=columns) + 2 * random.normal(size=rows)
    return features, y - y.mean(), asked


def ratio_of(ridge: Ridge) -> float:
    return ridge.noise / ridge.prior


@pytest.mark.parametrize(("rows", "columns"), SHAPES)
@pytest.mark.parametrize("seed", range(3))
def test_penalty_and_predictions_are_those_of_scikit_learn(rows, columns, seed):
    features, y, asked = drawn(rows, columns, seed)
    oracle = RidgeCV(alphas=np.logspace(-3, 3, 25)).fit(features, y)
    found = fit(features, y)
    assert ratio_of(found) == pytest.approx(oracle.alpha_)
    np.testing.assert_allclose(found.predict(asked)[0], oracle.predict(asked), rtol=1e-8, atol=1e-8)


def test_where_divide_and_conquer_does_not_converge_the_slower_decomposition_gives_the_same(monkeypatch):
    # as LAPACK did for 4,126 double mutants; no small matrix is known on which it does
    features, y, asked = drawn(30, 30)
    monkeypatch.setattr(ridge, "HIDDEN", 0.0)  # no products of the features
    drivers, expected = [], fit(features, y).predict(asked)

    def unlucky(x, *, full_matrices, lapack_driver):
        drivers.append(lapack_driver)
        if lapack_driver == "gesdd":
            raise LinAlgError("SVD did not converge")
        return svd(x, full_matrices=full_matrices, lapack_driver=lapack_driver)

    monkeypatch.setattr(ridge, "svd", unlucky)
    np.testing.assert_allclose(fit(features, y).predict(asked), expected, rtol=1e-9)
    assert drivers == ["gesdd", "gesvd"]


@pytest.mark.parametrize(("rows", "columns"), SHAPES)
def test_the_products_of_indicators_give_what_the_singular_value_decomposition_gives(rows, columns, monkeypatch):
    random = np.random.default_rng(0)
    features = (random.random((rows, columns)) < 0.2).astype(float)
    features[:, 1], features[2] = features[:, 0], features[3]  # a null space, and a variant measured twice
    y = random.normal(size=rows)
    found = fit(features, y - y.mean())
    monkeypatch.setattr(ridge, "HIDDEN", 0.0)
    expected = fit(features, y - y.mean())
    assert found.basis.shape == expected.basis.shape
    for one, other in zip(found.predict(np.eye(columns)), expected.predict(np.eye(columns)), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-11)


def test_the_penalties_are_the_25_between_a_thousandth_and_a_thousand():
    np.testing.assert_allclose(PENALTIES, np.logspace(-3, 3, 25))


@pytest.mark.parametrize(("rows", "columns"), SHAPES)
@pytest.mark.parametrize("ratio", [1e-2, 1.0, 30.0])
def test_leave_one_out_is_what_refitting_without_each_row_gives(rows, columns, ratio):
    features, y, _ = drawn(rows, columns)
    left, singular, _ = svd(features - features.mean(axis=0), full_matrices=False)
    keep = singular > 1e-10
    slow = []
    for row in range(rows):
        others = np.arange(rows) != row
        refitted = SklearnRidge(alpha=ratio).fit(features[others], y[others])
        slow.append(y[row] - refitted.predict(features[[row]])[0])
    np.testing.assert_allclose(leave_one_out(left[:, keep], singular[keep], y, ratio), slow, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize(("rows", "columns"), SHAPES)
def test_the_variance_is_that_of_the_dense_posterior(rows, columns):
    features, y, asked = drawn(rows, columns)
    found = fit(features, y)
    centred, x = features - features.mean(axis=0), asked - features.mean(axis=0)
    # noise x (X'X + r I)^-1 x' + noise / n
    inverse = np.linalg.inv(centred.T @ centred + ratio_of(found) * np.eye(columns))
    dense = found.noise * np.einsum("ij,jk,ik->i", x, inverse, x) + found.noise / rows
    np.testing.assert_allclose(found.predict(asked)[1], dense, rtol=1e-6)


def test_in_a_direction_never_seen_the_prior_variance_remains():
    features, y, _ = drawn(20, 3)
    found = fit(np.hstack([features, np.zeros((20, 1))]), y)
    along = found.centre + np.array([[0, 0, 0, 2.0]])
    mean, variance = found.predict(along)
    assert mean[0] == pytest.approx(0, abs=1e-12)
    assert variance[0] == pytest.approx(4 * found.prior + found.noise / 20)


@pytest.mark.parametrize(("rows", "columns"), SHAPES)
def test_the_prior_variance_maximises_the_evidence_of_the_contrasts(rows, columns):
    features, y, _ = drawn(rows, columns)
    found = fit(features, y)
    centred = features - features.mean(axis=0)
    contrasts = svd(np.ones((1, rows)))[2][1:]  # orthonormal rows, each orthogonal to the constant
    covariance = contrasts @ (centred @ centred.T + ratio_of(found) * np.eye(rows)) @ contrasts.T

    def evidence(prior: float) -> float:
        return float(multivariate_normal(np.zeros(rows - 1), prior * covariance).logpdf(contrasts @ y))

    assert evidence(found.prior) > evidence(found.prior * 1.01)
    assert evidence(found.prior) > evidence(found.prior / 1.01)


def test_targets_in_another_unit_scale_mean_and_variance():
    features, y, asked = drawn(40, 6)
    one, other = fit(features, y), fit(features, 1000 * y)
    np.testing.assert_allclose(other.predict(asked)[0], 1000 * one.predict(asked)[0], rtol=1e-8)
    np.testing.assert_allclose(other.predict(asked)[1], 1000**2 * one.predict(asked)[1], rtol=1e-8)
    assert other.noise == pytest.approx(1000**2 * one.noise)


def test_the_order_of_the_rows_does_not_matter():
    features, y, asked = drawn(25, 60)
    order = np.random.default_rng(1).permutation(25)
    for one, other in zip(fit(features, y).predict(asked), fit(features[order], y[order]).predict(asked), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-8)


def test_targets_that_are_all_equal_give_zero_and_a_tiny_variance():
    features, _, asked = drawn(10, 3)
    mean, variance = fit(features, np.zeros(10)).predict(asked)
    np.testing.assert_array_equal(mean, 0)
    assert (variance > 0).all()


def test_float32_features_are_computed_with_in_float64():
    features, y, asked = drawn(25, 60)
    features, asked = np.round(features), np.round(asked)  # exact in float32
    for one, other in zip(
        fit(features.astype(np.float32), y).predict(asked.astype(np.float32)),
        fit(features, y).predict(asked),
        strict=True,
    ):
        assert one.dtype == np.float64
        np.testing.assert_allclose(one, other, rtol=1e-12)
