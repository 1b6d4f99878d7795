"""What exchanges do in all proteins: generalised least squares against descent, and planted effects found again."""

import numpy as np

from multimep.dataset import Variants
from multimep.methods import exchange_effects
from multimep.methods.exchange_effects import Exchanges, design, effects_from, exchanges_of, no_effects
from multimep.mutations import AMINO_ACIDS
from multimep.site_kernel import mutations_of

RANDOM = np.random.default_rng(0)


def protein(length: int, seed: int) -> str:
    return "".join(np.random.default_rng(seed).choice(list(AMINO_ACIDS), length))


def singles(rows: int, seed: int) -> Variants:
    wild_type = protein(60, seed)
    names = [f"{old}{site}{new}" for site, old in enumerate(wild_type, 1) for new in AMINO_ACIDS if new != old]
    return Variants("scan", wild_type, tuple(str(one) for one in np.random.default_rng(seed).permutation(names)[:rows]))


def test_a_row_of_the_design_has_its_features_and_its_residues_summed_over_mutations():
    variants = Variants("scan", "ACDA", ("A1C", "A1C:D3P"))
    x = design(mutations_of(variants, 0.5))
    pairs = [(AMINO_ACIDS.index(old), AMINO_ACIDS.index(new)) for old, new in ("AC", "DP")]
    for row, carried in enumerate((pairs[:1], pairs)):
        goes, comes, both = np.zeros(20), np.zeros(20), np.zeros((20, 20))
        for old, new in carried:
            goes[old] += 0.5
            comes[new] += 0.5
            both[old, new] += 0.5
        np.testing.assert_array_equal(x[row, 6:], np.concatenate([goes, comes, both.ravel()]))


def test_effects_are_those_of_a_descent_on_the_penalised_squares():
    parts, blocks = [], []
    for seed in (1, 2):
        rows, root = mutations_of(singles(40, seed), 1.0), RANDOM.normal(size=(40, 40)) / 8
        a, y = np.eye(40) + root @ root.T, RANDOM.normal(size=40)
        parts.append(exchanges_of(rows, y, a))
        blocks.append((design(rows), np.linalg.inv(a), y))
    variances = np.repeat([exchange_effects.SLOPES, exchange_effects.RESIDUES, exchange_effects.PAIRS], [6, 40, 400])
    w, scale = np.zeros(446), np.sqrt(variances)
    for _ in range(4000):
        gradient = sum(x.T @ p @ (x @ (scale * w) - y) for x, p, y in blocks) * scale + w
        w = w - 0.02 * gradient
    found = effects_from(parts)
    np.testing.assert_allclose(found.slopes, (scale * w)[:6], atol=1e-6)
    goes, comes, pairs = np.split((scale * w)[6:], [20, 40])
    np.testing.assert_allclose(found.residues, goes[:, None] + comes + pairs.reshape(20, 20), atol=1e-6)


def test_an_effect_that_all_proteins_share_is_found_among_many():
    planted = {("L", "P"): -2.0, ("S", "T"): 1.0}
    parts = []
    for seed in range(12):
        variants = singles(600, seed)
        y = np.array([planted.get((one[0].reference, one[0].substitute), 0.0) for one in variants.genotypes])
        y = y + 0.3 * np.random.default_rng(seed).normal(size=len(y))
        parts.append(exchanges_of(mutations_of(variants, 1.0), y, 0.09 * np.eye(len(y))))
    found, letters = effects_from(parts), AMINO_ACIDS.index
    rows = mutations_of(Variants("asked", "LSAV", ("L1P", "S2T", "A3V")), 1.0)
    effects = rows.features @ found.slopes + found.residues[rows.references, rows.substitutes]
    order = [
        list(zip(rows.references, rows.substitutes, strict=True)).index((letters(a), letters(b)))
        for a, b in ("LP", "ST", "AV")
    ]
    np.testing.assert_allclose(effects[order], [-2, 1, 0], atol=0.4)


def test_rows_that_say_nothing_leave_nothing_expected():
    found = effects_from([Exchanges(np.zeros((446, 446)), np.zeros(446))])
    np.testing.assert_array_equal(found.slopes, no_effects().slopes)
    np.testing.assert_array_equal(found.residues, no_effects().residues)
