"""Ranking losses against slow loops and closed forms."""

import itertools
import math

import numpy as np
import pytest
import torch

from multimep import losses


def rows(n: int = 9, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    random = np.random.default_rng(seed)
    fitness = random.normal(size=n)
    fitness[1] = fitness[0]  # a tie
    return torch.tensor(2 * random.normal(size=n)), torch.tensor(fitness)


@pytest.mark.parametrize("by_gap", [False, True])
def test_bradley_terry_is_the_mean_over_pairs_of_different_fitness(by_gap):
    scores, fitness = rows()
    lost, weights = [], []
    for i, j in itertools.permutations(range(len(scores)), 2):
        if fitness[i] > fitness[j]:
            chance = 1 / (1 + math.exp(-(scores[i] - scores[j])))
            weights.append(float(fitness[i] - fitness[j]) if by_gap else 1.0)
            lost.append(-math.log(chance))
    assert len(lost) == 9 * 8 // 2 - 1
    assert losses.bradley_terry(scores, fitness, by_gap).item() == pytest.approx(np.average(lost, weights=weights))


def test_list_mle_is_the_plackett_luce_probability_of_each_list():
    scores, fitness = rows()
    total = 0.0
    for start in (0, 4, 8):
        left = sorted(range(start, min(start + 4, 9)), key=lambda row: -float(fitness[row]))
        while left:
            total -= float(scores[left[0]]) - math.log(sum(math.exp(scores[row]) for row in left))
            left = left[1:]
    assert losses.list_mle(scores, fitness, 4).item() == pytest.approx(total / 9)


def test_probabilities_of_all_orders_of_a_list_add_up_to_one():
    scores = torch.tensor([0.3, -1.0, 2.0, 0.7])
    orders = itertools.permutations(torch.arange(4.0).tolist())
    assert sum(math.exp(-4 * losses.list_mle(scores, torch.tensor(one), 4).item()) for one in orders) == pytest.approx(
        1
    )


def test_two_rows_are_the_same_game_to_both_rankings():
    scores, fitness = torch.tensor([0.4, -0.3]), torch.tensor([2.0, 5.0])
    expected = math.log1p(math.exp(0.4 + 0.3))
    assert losses.bradley_terry(scores, fitness, by_gap=False).item() == pytest.approx(expected)
    assert 2 * losses.list_mle(scores, fitness, 2).item() == pytest.approx(expected)


@pytest.mark.parametrize(
    "loss", [lambda s, y: losses.bradley_terry(s, y, False), lambda s, y: losses.list_mle(s, y, 4)]
)
def test_rankings_know_the_order_alone_and_differences_of_scores_alone(loss):
    scores, fitness = rows()
    assert loss(scores + 7, torch.exp(fitness)).item() == pytest.approx(loss(scores, fitness).item())
    assert loss(10 * fitness, fitness).item() < loss(-10 * fitness, fitness).item()


def test_equal_fitness_teaches_nothing():
    scores = torch.tensor([1.0, 2.0, 3.0], requires_grad=True)
    loss = losses.bradley_terry(scores, torch.ones(3), by_gap=True)
    loss.backward()
    assert loss.item() == 0
    assert torch.equal(scores.grad, torch.zeros(3))


def test_gradients_are_those_of_finite_differences():
    scores, fitness = rows()
    scores.requires_grad_()
    for by_gap in (False, True):
        assert torch.autograd.gradcheck(lambda s, by_gap=by_gap: losses.bradley_terry(s, fitness, by_gap), scores)
    assert torch.autograd.gradcheck(lambda s: losses.list_mle(s, fitness, 4), scores)
