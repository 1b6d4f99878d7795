"""Scores with a gradient are those of zero_shot; the divergence is zero between equals."""

import numpy as np
import pytest
import torch

from multimep import likelihood
from multimep.dataset import Variants
from multimep.methods.zero_shot import ZeroShot

WILD_TYPE = "MKTAYIAKQRQISFVKSH"
VARIANTS = Variants("x", WILD_TYPE, ("M1A", "WT", "K2R:A4C:H18W", "S17T"))


@pytest.mark.parametrize("score", ["wild_type", "masked"])
def test_scores_are_those_of_zero_shot(score, tiny, embedder, landscape):
    tokens = tiny.tokens([WILD_TYPE])[0]
    table = likelihood.whole_table(tiny, tokens, score)
    data = landscape("x", rows=0)
    expected = ZeroShot(marginals=score).fit([data], embedder, 0).predict(VARIANTS).mean
    found = likelihood.scores(table, likelihood.exchanges_of(VARIANTS))
    np.testing.assert_allclose(found, expected, atol=2e-6)
    assert found[1] == 0


def test_a_score_adds_up_over_the_mutations_in_a_slow_loop(tiny):
    table = likelihood.whole_table(tiny, tiny.tokens([WILD_TYPE])[0], "wild_type")
    columns = "ACDEFGHIKLMNPQRSTVWY"
    for genotype, found in zip(
        VARIANTS.genotypes, likelihood.scores(table, likelihood.exchanges_of(VARIANTS)), strict=True
    ):
        expected = 0.0
        for m in genotype:
            row = table[m.position - 1]
            expected += float(row[columns.index(m.substitute)] - row[columns.index(m.reference)])
        assert float(found) == pytest.approx(expected, abs=1e-6)


def test_masked_rows_of_chosen_positions_are_those_of_the_whole_table(tiny):
    tokens = tiny.tokens([WILD_TYPE])[0]
    positions = torch.tensor([0, 5, 17])
    chosen = likelihood.masked_rows(tiny, tokens, positions)
    torch.testing.assert_close(chosen, likelihood.whole_table(tiny, tokens, "masked")[positions], rtol=0, atol=1e-5)


def test_positions_are_those_with_a_mutation_and_rows_can_be_chosen():
    exchanges = likelihood.exchanges_of(VARIANTS)
    assert exchanges.positions.tolist() == [0, 1, 3, 16, 17]
    assert exchanges.select(np.array([3, 1])).positions.tolist() == [16]
    assert exchanges.select(np.array([1])).positions.tolist() == []
    assert likelihood.exchanges_of(VARIANTS.select([])).sites.shape == (0, 1)


def test_rows_of_a_table_are_probabilities(tiny):
    table = likelihood.whole_table(tiny, tiny.tokens([WILD_TYPE])[0], "masked")
    torch.testing.assert_close(table.exp().sum(dim=1), torch.ones(18))


def test_the_divergence_is_zero_between_equals_with_no_gradient_and_positive_else():
    random = torch.Generator().manual_seed(0)
    frozen = torch.log_softmax(torch.randn(6, 20, generator=random, dtype=torch.float64), dim=1)
    logits = frozen.clone().requires_grad_()
    divergence = likelihood.divergence(frozen, torch.log_softmax(logits, dim=1))
    divergence.backward()
    assert divergence.item() == pytest.approx(0, abs=1e-15)
    torch.testing.assert_close(logits.grad, torch.zeros_like(logits), rtol=0, atol=1e-12)
    other = torch.log_softmax(torch.randn(6, 20, generator=random, dtype=torch.float64), dim=1)
    expected = torch.nn.functional.kl_div(other, frozen, log_target=True, reduction="sum") / 6
    assert likelihood.divergence(frozen, other).item() == pytest.approx(expected.item())
    assert expected > 0


def test_the_gradient_of_the_divergence_is_the_difference_of_probabilities():
    random = torch.Generator().manual_seed(1)
    frozen = torch.log_softmax(torch.randn(4, 20, generator=random, dtype=torch.float64), dim=1)
    logits = torch.randn(4, 20, generator=random, dtype=torch.float64, requires_grad=True)
    likelihood.divergence(frozen, torch.log_softmax(logits, dim=1)).backward()
    # d KL / d z = (q - p) / sites
    torch.testing.assert_close(logits.grad, (torch.softmax(logits, dim=1) - frozen.exp()).detach() / 4)
