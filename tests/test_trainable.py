"""The forward for training is that of the language model; frozen layers kept or run again give the same numbers."""

import copy
import dataclasses
from collections.abc import Callable

import numpy as np
import pytest
import torch

from multimep import low_rank, prefix, trainable
from multimep.dataset import Dataset
from multimep.fine_tuning import FineTuned, fine_tune, pool
from multimep.forward_pass import encode
from multimep.language_model import LanguageModel
from multimep.prefix import Prefix
from multimep.training import Training

SEQUENCES = ["MKTAYIAKQRQISFVKSH", "MKTAYIAKQRQISFVKSG", "MKTAYIAKQRAISFVKSG"]
QUICK = Training(epochs=2, head_learning_rate=1e-2)
LORA = dataclasses.replace(QUICK, adapt="lora", learning_rate=1e-2)


@pytest.fixture
def data(landscape: Callable[..., Dataset]) -> Dataset:
    return landscape("first", rows=32)


def predicted(tuned: FineTuned, data: Dataset) -> np.ndarray:
    return tuned.predict(data.variants)


def gradients(model: torch.nn.Module, states: torch.Tensor) -> dict[str, torch.Tensor]:
    model.zero_grad()
    (states.float() ** 2 * torch.linspace(-1, 1, states.shape[-1])).sum().backward()
    return {name: value.grad.clone() for name, value in model.named_parameters() if value.grad is not None}


# the forward


@pytest.mark.parametrize("first", [0, 1, 2])
def test_states_below_and_above_any_layer_make_the_hidden_states(first, tiny):
    tokens = tiny.tokens(SEQUENCES)
    tokens[0, 3] = 32  # a mask
    found = trainable.above(tiny.model, trainable.below(tiny.model, tokens, first), first)
    torch.testing.assert_close(found, encode(tiny.model, tokens), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("checkpointing", [False, True])
def test_every_gradient_is_that_of_the_plain_forward(checkpointing, tiny):
    model, tokens = copy.deepcopy(tiny.model), tiny.tokens(SEQUENCES)
    expected = gradients(model, encode(model, tokens))
    found = gradients(model, trainable.above(model, trainable.below(model, tokens, 0), 0, checkpointing))
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, rtol=1e-4, atol=1e-5, msg=name)


def test_attention_written_out_is_the_fused_kernel_forward_and_backward():
    random = torch.Generator().manual_seed(0)
    plain = torch.randn(2, 7, 3, 2, 8, generator=random, dtype=torch.float64)
    angles = torch.randn(7, 4, generator=random)
    found = []
    for way in (trainable.fused, trainable.written_out):
        heads = plain.float().requires_grad_()
        taken = way(heads, (angles.cos(), angles.sin()))
        taken.pow(2).sum().backward()
        found.append((taken.detach(), heads.grad))
    torch.testing.assert_close(found[1], found[0], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("places", ["qv", "all"])
def test_low_rank_paths_are_the_merged_weights_and_their_gradients(places, tiny):
    model, tokens = copy.deepcopy(tiny.model).requires_grad_(False), tiny.tokens(SEQUENCES)
    found = low_rank.adapt(model, places, 3, 6.0, np.random.default_rng(0))
    for value in found.values():
        value.data.uniform_(-0.3, 0.3, generator=torch.Generator().manual_seed(len(value)))
    by_weight = gradients(model, encode(model, tokens))
    by_path = gradients(model, trainable.above(model, trainable.below(model, tokens, 0), 0))
    assert by_path.keys() == by_weight.keys()
    for name, value in by_weight.items():
        torch.testing.assert_close(by_path[name], value, rtol=1e-3, atol=1e-4, msg=name)
    unmerged = trainable.above(model, trainable.below(model, tokens, 0), 0)
    low_rank.merge(model)
    torch.testing.assert_close(encode(model, tokens), unmerged, rtol=1e-4, atol=1e-5)


# the prefix


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_kept_prefix_is_the_computed_one_to_the_last_bit_in_any_company(precision, tiny):
    plm = LanguageModel("x", "0", copy.deepcopy(tiny.model), precision)
    tokens = plm.tokens(SEQUENCES)
    expected = Prefix(plm, 1, 0.0)(tokens)
    kept = Prefix(plm, 1, 1.0)
    assert torch.equal(kept(tokens[1:]), expected[1:])
    assert torch.equal(kept(tokens.flip(0)), expected.flip(0))
    assert len(kept.kept) == 3


def test_a_prefix_keeps_no_more_than_there_is_room_for_and_serves_the_next_fit(tiny, monkeypatch):
    plm = LanguageModel("x", "0", copy.deepcopy(tiny.model))
    one = 20 * 16 * 4 / prefix.GIB
    Prefix(plm, 1, 2.5 * one)(plm.tokens(SEQUENCES))
    other = Prefix(plm, 1, 2.5 * one)
    assert len(other.kept) == 2
    monkeypatch.setattr(prefix, "below", lambda *_: 1 / 0)
    assert other(plm.tokens(SEQUENCES[:2])).shape == (2, 20, 16)
    with pytest.raises(ZeroDivisionError):
        other(plm.tokens(SEQUENCES[2:]))


@pytest.mark.parametrize("settings", [QUICK, LORA])
def test_training_with_a_kept_prefix_is_training_without_room_for_one(settings, tiny, data):
    last = dataclasses.replace(settings, layers=1)
    kept, none = (
        fine_tune(tiny, [data], dataclasses.replace(last, prefix_memory=room), 0).predict(data.variants)
        for room in (1.0, 0.0)
    )
    assert np.array_equal(kept, none)


# what learns


def test_the_last_layers_alone_learn(tiny, data):
    tuned = fine_tune(tiny, [data], dataclasses.replace(QUICK, layers=1), 0).trunk.model.state_dict()
    changed = {name.split(".")[0] + "." + name.split(".")[1] for name, value in tuned.items()
               if not torch.equal(value, tiny.model.state_dict()[name])}  # fmt: skip
    assert changed == {"layers.1", "emb_layer_norm_after.weight", "emb_layer_norm_after.bias"}


@pytest.mark.parametrize("layers", [0, 1])
def test_low_rank_training_changes_the_named_projections_of_the_last_layers_and_is_merged(layers, tiny, data):
    tuned = fine_tune(tiny, [data], dataclasses.replace(LORA, layers=layers), 0)
    names = {name for name, value in tuned.trunk.model.named_parameters()
             if not torch.equal(value, tiny.model.state_dict()[name])}  # fmt: skip
    assert names == {
        f"layers.{index}.self_attn.{one}.weight" for index in range(2) if index >= 2 - layers or not layers
        for one in ("q_proj", "k_proj", "v_proj", "out_proj")
    }  # fmt: skip
    assert not [value for value in tuned.trunk.model.parameters() if value.requires_grad]


# the same steps


def test_gradient_checkpointing_gives_the_same_model(tiny, data):
    plain, kept = (
        predicted(fine_tune(tiny, [data], dataclasses.replace(QUICK, gradient_checkpointing=one), 0), data)
        for one in (False, True)
    )
    np.testing.assert_allclose(kept, plain, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("rows", [32, 27])  # batches of equal size, and not
def test_accumulated_batches_make_the_step_of_a_large_one(rows, tiny, landscape):
    data = landscape("first", rows=rows)
    large = fine_tune(tiny, [data], dataclasses.replace(QUICK, batch_size=rows), 0)
    small = fine_tune(tiny, [data], dataclasses.replace(QUICK, batch_size=8, accumulate=4), 0)
    np.testing.assert_allclose(predicted(small, data), predicted(large, data), rtol=1e-3, atol=1e-4)


def test_pooled_states_do_not_depend_on_how_they_were_computed(tiny):
    tokens = tiny.tokens(SEQUENCES)
    plain = pool(tiny, tokens)
    torch.testing.assert_close(pool(tiny, tokens, Prefix(tiny, 1, 1.0)), plain, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(pool(tiny, tokens, checkpointing=True), plain)
