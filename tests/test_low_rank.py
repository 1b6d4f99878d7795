"""Low-rank matrices: nothing changes at the start, and merged weights are the sum that was computed."""

import copy

import numpy as np
import pytest
import torch

from multimep import low_rank
from multimep.forward_pass import encode
from multimep.language_model import LanguageModel

SEQUENCES = ["MKTAYIAKQRQISFVKSH", "MKTAYIAKQRQISFVKSG"]


def adapted(tiny: LanguageModel, places: str = "all") -> tuple[torch.nn.Module, dict[str, torch.nn.Parameter]]:
    model = copy.deepcopy(tiny.model).requires_grad_(False)
    return model, low_rank.adapt(model, places, 3, 6.0, np.random.default_rng(0))


@torch.no_grad()
def disturb(found: dict[str, torch.nn.Parameter]) -> None:
    for name, value in found.items():
        if name.endswith(".up"):
            value.copy_(torch.linspace(-0.5, 0.5, value.numel()).view_as(value))


@torch.no_grad()
def test_a_model_that_was_just_adapted_gives_the_numbers_of_the_frozen_one(tiny):
    model, _ = adapted(tiny)
    tokens = tiny.tokens(SEQUENCES)
    assert torch.equal(encode(model, tokens), encode(tiny.model, tokens))


@torch.no_grad()
def test_each_projection_adds_the_low_rank_path_to_the_frozen_one(tiny):
    model, found = adapted(tiny)
    disturb(found)
    x = torch.linspace(-1, 1, 16)[None]
    plain, changed = tiny.model.layers[1].fc1, model.layers[1].fc1
    path = (x @ found["1.fc1.down"].T) @ found["1.fc1.up"].T
    torch.testing.assert_close(changed(x), plain(x) + 6.0 / 3 * path)


@torch.no_grad()
def test_merged_weights_give_the_output_of_unmerged_ones(tiny):
    model, found = adapted(tiny)
    disturb(found)
    tokens = tiny.tokens(SEQUENCES)
    expected = encode(model, tokens)
    assert not torch.allclose(expected, encode(tiny.model, tokens))
    low_rank.merge(model)
    assert {name for name, _ in model.named_parameters()} == {name for name, _ in tiny.model.named_parameters()}
    assert torch.equal(encode(model, tokens), expected)


@pytest.mark.parametrize(("places", "each"), [("qv", 2), ("attention", 4), ("all", 6)])
def test_every_layer_gets_a_pair_of_matrices_for_each_named_projection(places, each, tiny):
    model, found = adapted(tiny, places)
    assert len(found) == 2 * 2 * each
    learning = [value for value in model.parameters() if value.requires_grad]
    assert {id(value) for value in learning} == {id(value) for value in found.values()}
    assert all(min(value.shape) == 3 for value in found.values())


def test_the_first_gradient_reaches_the_matrices_that_start_at_zero(tiny):
    model, found = adapted(tiny)
    encode(model, tiny.tokens(SEQUENCES)).square().mul(torch.arange(16.0)).sum().backward()
    for name, value in found.items():
        assert value.grad is not None
        assert bool(value.grad.abs().max() > 0) == name.endswith(".up"), name
