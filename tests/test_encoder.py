"""The forward pass of inference is fair-esm's, whichever kernels it takes."""

import dataclasses

import esm
import pytest
import torch

from multimep import encoder
from multimep.encoder import SHORT, Encoder, prepare
from multimep.language_model import ALPHABET

LENGTHS = [14, SHORT + 20]  # below and above the switch between written-out and fused attention


def random_model(layers: int = 3, width: int = 48, heads: int = 4, *, token_dropout: bool = True) -> esm.ESM2:
    torch.manual_seed(0)
    model = esm.ESM2(layers, width, heads, token_dropout=token_dropout).eval()
    for one in model.parameters():
        torch.nn.init.normal_(one, std=0.2)  # attention that differs from token to token, and biases
    return model


def tokens_of(length: int) -> torch.Tensor:
    tokens = torch.randint(4, 24, (3, length), generator=torch.Generator().manual_seed(length))
    tokens[:, 0], tokens[:, -1] = ALPHABET.cls_idx, ALPHABET.eos_idx
    tokens[0, 5], tokens[1, 3:9] = ALPHABET.mask_idx, ALPHABET.mask_idx
    return tokens


def fair_esm(model: esm.ESM2, tokens: torch.Tensor) -> dict[int, torch.Tensor]:
    with torch.no_grad():
        found: dict[int, torch.Tensor] = model(tokens, repr_layers=range(model.num_layers + 1))["representations"]
    return found


def assert_alike(prepared: Encoder, model: esm.ESM2, length: int, tolerance: float) -> None:
    tokens = tokens_of(length)
    for layer, expected in fair_esm(model, tokens).items():
        found = prepared.hidden(tokens, layer)
        assert found.dtype == torch.float32
        assert float((found - expected).norm() / expected.norm()) <= tolerance, layer


@pytest.mark.parametrize("token_dropout", [True, False])
@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("can_pack", [True, False])
def test_every_layer_is_fair_esms_with_masks_too(length, token_dropout, can_pack, monkeypatch):
    if not can_pack:
        monkeypatch.setattr(encoder, "can_pack", lambda: False)
    model = random_model(token_dropout=token_dropout)
    assert_alike(prepare(model, "fp32"), model, length, 1e-5)
    assert_alike(prepare(model, "bf16"), model, length, 3e-2)


@pytest.mark.parametrize("length", LENGTHS)
def test_the_arithmetic_of_a_gpu_is_fair_esms(length):
    model = random_model()
    as_compiled = dataclasses.replace(prepare(model, "fp32"), compiled=True)  # rotations by cosine and sine
    assert_alike(as_compiled, model, length, 1e-5)


def test_the_last_layer_is_the_default_and_carries_no_gradient():
    model = random_model()
    prepared, tokens = prepare(model, "fp32"), tokens_of(20)
    assert torch.equal(prepared.hidden(tokens), prepared.hidden(tokens, model.num_layers))
    assert not prepared.hidden(tokens).requires_grad


@pytest.mark.parametrize("width", [16, 64])
def test_any_width_of_heads_will_do(width):
    model = random_model(1, width, 4)
    assert_alike(prepare(model, "fp32"), model, 20, 1e-5)


def test_angles_are_kept_for_few_lengths():
    prepared = prepare(random_model(1, 16, 2), "fp32")
    for length in range(10, 40):
        prepared.hidden(tokens_of(length))
    assert len(prepared.rotations) <= encoder.LENGTHS_KEPT


def test_a_torch_without_onednns_order_of_weights_is_no_failure(monkeypatch):
    def gone(linear):
        raise AttributeError("no such operator")

    encoder.can_pack.cache_clear()
    monkeypatch.setattr(encoder, "_packed", gone)
    assert not encoder.can_pack()
    monkeypatch.undo()
    encoder.can_pack.cache_clear()
