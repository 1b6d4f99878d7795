import numpy as np

from multimep.methods.zero_shot import scores
from multimep.mutations import AMINO_ACIDS, parse


def test_scores_sum_log_odds_over_mutations() -> None:
    random = np.random.default_rng(0)
    table = np.log(random.dirichlet(np.ones(20), 5))
    found = scores(table, [parse("A1C"), parse("A1C:D3W"), parse("WT")])
    single = table[0, AMINO_ACIDS.index("C")] - table[0, AMINO_ACIDS.index("A")]
    double = single + table[2, AMINO_ACIDS.index("W")] - table[2, AMINO_ACIDS.index("D")]
    np.testing.assert_allclose(found, [single, double, 0.0])
