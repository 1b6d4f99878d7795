import dataclasses
import json
import subprocess
import sys

import numpy as np
import pytest
from scipy.stats import spearmanr

from multimep.dataset import Dataset, Variants
from multimep.embedder import Embedder
from multimep.methods.augmented_ridge import FREEDOM, AugmentedRidge
from multimep.methods.features import one_hot
from multimep.methods.method import FitError
from multimep.methods.one_hot_ridge import OneHotRidge
from multimep.methods.plm_gp import SLOPES, PlmGP
from multimep.methods.site_gp import SiteGP
from multimep.mutations import AMINO_ACIDS
from multimep.plm_kernel import LINEAR
from multimep.store_making import embed
from multimep.structure import Structure

WILD_TYPE = "".join(np.random.default_rng(5).choice(list(AMINO_ACIDS), 40))
BARE = {"profile": False, "attention": False, "embedding": False}


def no_language_model() -> None:
    raise AssertionError("the language model was asked for")


EMBEDDER = Embedder(no_language_model)


def fold() -> Structure:
    """A chain that folds back on itself: site i lies beside site 39 - i."""
    places = [(3.8 * min(i, 39 - i), 0.0 if i < 20 else 5.0, 0.0) for i in range(40)]
    return Structure(np.array(places))


def scan(rows: int = 120, seed: int = 0, structure: bool = True, noise: float = 0.3) -> Dataset:
    """Singles whose fitness is a score, a value of their place in space, and noise."""
    random = np.random.default_rng(seed)
    names = [f"{old}{site}{new}" for site, old in enumerate(WILD_TYPE, 1) for new in AMINO_ACIDS if new != old]
    mutants = tuple(str(name) for name in random.permutation(names)[:rows])
    score = random.normal(size=rows)
    place = np.array([np.sin(min(int(m[1:-1]), 41 - int(m[1:-1]))) for m in mutants])
    fitness = score + 1.5 * place + noise * random.normal(size=rows)
    variants = Variants("scan", WILD_TYPE, mutants, {"given": score}, fold() if structure else None)
    return Dataset(variants, fitness, np.full(rows, np.nan), np.ones(rows, np.int64))


def halves(data: Dataset, taught: int) -> tuple[Dataset, Dataset]:
    names = data.variants.mutants
    return data.select(names[:taught]), data.select(names[taught:])


def rho(method, train: Dataset, asked: Dataset) -> float:
    found = method.fit([train], EMBEDDER, 0).predict(asked.variants)
    return float(spearmanr(found.mean, asked.fitness).statistic)


def test_with_every_part_left_out_it_is_site_gp():
    train, asked = halves(scan(60), 40)
    found = PlmGP(zero_shot="none", structure=False, **BARE).fit([train], EMBEDDER, 0).predict(asked.variants)
    expected = SiteGP().fit([train], EMBEDDER, 0).predict(asked.variants)
    np.testing.assert_allclose(found.mean, expected.mean, rtol=1e-8)
    np.testing.assert_allclose(found.noisy_std, expected.noisy_std, rtol=1e-8)


def test_a_given_covariate_and_a_structure_are_learned_from_and_need_no_language_model():
    train, asked = halves(scan(), 60)
    parts = {
        name: rho(PlmGP(zero_shot=score, structure=structure, **BARE), train, asked)
        for name, score, structure in (
            ("all", "given", True), ("score", "given", False), ("fold", "none", True), ("site", "none", False)
        )
    }  # fmt: skip
    assert parts["all"] > parts["score"] > parts["site"]
    assert parts["all"] > parts["fold"] > parts["site"]
    assert parts["all"] > 0.7
    ridge = rho(AugmentedRidge(zero_shot="given"), train, asked)
    assert ridge > rho(OneHotRidge(), train, asked) + 0.1


@pytest.mark.parametrize("method", [PlmGP(zero_shot="given", **BARE), AugmentedRidge(zero_shot="given")])
def test_variants_without_the_covariate_are_refused_by_its_name(method):
    data = scan(30)
    bare = Variants("scan", WILD_TYPE, data.variants.mutants)
    with pytest.raises(FitError, match=r"scan: these variants have no covariate 'given' \(they have: none\)"):
        method.fit([data], EMBEDDER, 0).predict(bare)
    with pytest.raises(FitError, match="no covariate 'given'"):
        method.fit([dataclasses.replace(data, variants=bare)], EMBEDDER, 0)


@pytest.mark.parametrize("method", [PlmGP(zero_shot="given", **BARE), AugmentedRidge(zero_shot="given")])
def test_covariates_follow_their_mutants_through_any_order_and_batches(method):
    train, asked = halves(scan(60), 40)
    expected = method.fit([train], EMBEDDER, 0).predict(asked.variants)
    order = np.random.default_rng(1).permutation(np.array(train.variants.mutants))
    predictor = method.fit([train.select(order)], EMBEDDER, 0)
    turned = [str(name) for name in reversed(asked.variants.mutants)]
    found = predictor.predict(asked.variants.select(turned))
    np.testing.assert_allclose(found.mean, expected.mean[::-1], rtol=1e-8)
    for name in turned[:3]:
        one = predictor.predict(asked.variants.select([name]))
        np.testing.assert_allclose(one.mean, found.select([name]).mean, rtol=1e-6)


@pytest.mark.parametrize("method", [PlmGP(zero_shot="given", **BARE), AugmentedRidge(zero_shot="given")])
def test_a_fitness_that_nobody_teaches_changes_nothing(method):
    whole = scan(60)
    train, asked = halves(whole, 40)
    hidden = dataclasses.replace(whole, fitness=np.where(np.arange(60) < 40, whole.fitness, 1e9))
    before, after = (method.fit([halves(one, 40)[0]], EMBEDDER, 0).predict(asked.variants) for one in (whole, hidden))
    assert train.fitness.tolist() == halves(hidden, 40)[0].fitness.tolist()
    np.testing.assert_array_equal(before.mean, after.mean)


def test_a_dataset_without_a_structure_is_learned_without_it():
    train, asked = halves(scan(60, structure=False), 40)
    one, other = (
        PlmGP(zero_shot="none", structure=wanted, **BARE).fit([train], EMBEDDER, 0).predict(asked.variants)
        for wanted in (True, False)
    )
    np.testing.assert_array_equal(one.mean, other.mean)


@pytest.mark.parametrize("method", [PlmGP(zero_shot="given", **BARE), AugmentedRidge(zero_shot="given")])
def test_a_restored_predictor_needs_neither_the_structure_nor_the_language_model(method):
    train, asked = halves(scan(60), 40)
    predictor = method.fit([train], EMBEDDER, 0)
    state = predictor.state()
    again = method.restore(dataclasses.replace(state, facts=json.loads(json.dumps(state.facts))), EMBEDDER)
    known = dataclasses.replace(asked.variants, structure=None)
    np.testing.assert_allclose(again.predict(known).mean, predictor.predict(asked.variants).mean, rtol=1e-10)


def test_before_any_difference_is_seen_the_expected_slope_of_the_score_ranks():
    train = scan(3)
    asked = dataclasses.replace(scan(100, seed=1), fitness=np.zeros(100))
    names = [name for name in asked.variants.mutants if name not in train.variants.row_of]
    for higher, sign in ((True, 1), (False, -1)):
        flat = dataclasses.replace(train, higher_is_better=higher)
        with_, without = (
            PlmGP(zero_shot="given", structure=False, expectation=expectation, **BARE)
            .fit([flat], EMBEDDER, 0)
            .predict(asked.variants.select(names))
            for expectation in (True, False)
        )
        score = asked.variants.select(names).covariates["given"]
        assert sign * spearmanr(with_.mean - without.mean, score).statistic > 0.4


def test_every_linear_number_has_an_expected_slope():
    assert set(SLOPES) == set(LINEAR)


def test_the_score_is_not_penalised_and_the_residues_are():
    """Against ridge solved by normal equations with a penalty for each column."""
    train, _ = halves(scan(80), 60)
    found = AugmentedRidge(zero_shot="given").fit([train], EMBEDDER, 0)
    posterior = found.ridge
    ratio = posterior.noise / posterior.prior
    x = np.column_stack([one_hot(train.variants, EMBEDDER), found.score(train.variants)]).astype(float)
    y = found.scaling.apply(train.fitness)
    penalty = np.diag(np.r_[np.full(x.shape[1] - 1, ratio), ratio / FREEDOM**2])
    centre = x - x.mean(axis=0)
    weights = np.linalg.solve(centre.T @ centre + penalty, centre.T @ y)
    np.testing.assert_allclose(posterior.weights * np.r_[np.ones(x.shape[1] - 1), FREEDOM], weights, atol=1e-6)
    assert weights[-1] > 0.3


@pytest.mark.parametrize("rows", [2, 0])
def test_choosing_hyperparameters_on_fewer_than_three_rows_is_refused(rows):
    with pytest.raises(FitError, match=f"selection_rows must be at least 3, not {rows}"):
        PlmGP(selection_rows=rows)


def test_augmented_ridge_without_a_score_is_refused():
    with pytest.raises(FitError, match="is one_hot_ridge"):
        AugmentedRidge(zero_shot="none")


FROM_THE_STORE = """
import sys
import numpy as np
from pathlib import Path
from multimep.dataset import Dataset, Variants
from multimep.embedder import Embedder
from multimep.methods import METHODS

wild_type, mutants = sys.argv[2], tuple(sys.argv[3].split(","))
n = len(mutants)
variants = Variants("scan", wild_type, mutants)
data = Dataset(variants, np.arange(n, dtype=float), np.full(n, np.nan), np.ones(n, np.int64))
embedder = Embedder(lambda: 1 / 0, (Path(sys.argv[1]),))
for name in ("plm_gp", "augmented_ridge"):
    found = METHODS[name]().fit([data], embedder, 0).predict(data.variants)
    assert np.isfinite(found.mean).all()
print("torch" in sys.modules)
"""


def test_all_that_the_store_has_is_read_from_it_and_torch_is_not_imported(tmp_path, tiny):
    variants = scan(12).variants
    embed(variants, tiny, tmp_path / "scan.h5", residues=False, batch_size=4)
    command = [sys.executable, "-c", FROM_THE_STORE, str(tmp_path / "scan.h5"), WILD_TYPE, ",".join(variants.mutants)]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "False\n"), done.stderr
