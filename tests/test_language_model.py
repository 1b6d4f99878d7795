from collections.abc import Sequence
from pathlib import Path

import esm
import numpy as np
import pytest
import torch

from multimep import checkpoints, forward_pass, language_model
from multimep.checkpoints import CheckpointError
from multimep.language_model import ALPHABET, LanguageModel, LanguageModelError
from multimep.mutations import AMINO_ACIDS, MutationError

WILD_TYPE = "MSKGEELFTGVVPILVELDGDVNGHKFSVSG"
VARIANTS = [WILD_TYPE, "A" + WILD_TYPE[1:], WILD_TYPE[:-1] + "W"]


@pytest.fixture(scope="module")
def plm() -> LanguageModel:
    """A random ESM-2 whose outputs differ clearly between residues."""
    torch.manual_seed(0)
    model = esm.ESM2(3, 32, 4).eval()
    torch.nn.init.normal_(model.lm_head.bias)
    return LanguageModel("random", "", model)


def fair_esm(plm: LanguageModel, sequences: Sequence[str]) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    _, _, tokens = ALPHABET.get_batch_converter()([("", sequence) for sequence in sequences])
    with torch.no_grad():
        return tokens, plm.model(tokens, repr_layers=range(plm.layers + 1))


def columns() -> list[int]:
    return [ALPHABET.get_idx(letter) for letter in AMINO_ACIDS]


def test_tokens_are_those_of_fair_esms_batch_converter(plm: LanguageModel) -> None:
    assert torch.equal(plm.tokens([*VARIANTS, AMINO_ACIDS + AMINO_ACIDS[:11]])[:3], fair_esm(plm, VARIANTS)[0])
    assert torch.equal(plm.tokens([AMINO_ACIDS]), fair_esm(plm, [AMINO_ACIDS])[0])


@pytest.mark.parametrize("layer", [0, 1, 3])
def test_hidden_states_are_fair_esms_without_bos_and_eos(plm: LanguageModel, layer: int) -> None:
    _, output = fair_esm(plm, VARIANTS)
    torch.testing.assert_close(
        plm.hidden_states(VARIANTS, layer), output["representations"][layer][:, 1:-1], rtol=1e-5, atol=2e-6
    )


def test_the_default_layer_is_the_last(plm: LanguageModel) -> None:
    assert torch.equal(plm.hidden_states(VARIANTS), plm.hidden_states(VARIANTS, plm.layers))
    assert plm.hidden_states(VARIANTS).shape == (3, len(WILD_TYPE), plm.width)


def test_log_probabilities_are_normalised_over_the_twenty_amino_acids(plm: LanguageModel) -> None:
    _, output = fair_esm(plm, VARIANTS)
    expected = torch.log_softmax(output["logits"][:, 1:-1, columns()], -1)
    torch.testing.assert_close(plm.log_probabilities(VARIANTS), expected, rtol=1e-5, atol=1e-5)


def test_wild_type_marginals_are_one_pass_over_the_wild_type(plm: LanguageModel) -> None:
    assert torch.equal(plm.wild_type_marginals(WILD_TYPE), plm.log_probabilities([WILD_TYPE])[0])


@pytest.mark.parametrize("batch_size", [1, 7, 100])
def test_masked_marginals_equal_a_loop_that_masks_one_position_at_a_time(plm: LanguageModel, batch_size: int) -> None:
    tokens, _ = fair_esm(plm, [WILD_TYPE])
    rows = []
    for position in range(1, len(WILD_TYPE) + 1):
        masked = tokens.clone()
        masked[0, position] = ALPHABET.mask_idx
        with torch.no_grad():
            rows.append(torch.log_softmax(plm.model(masked)["logits"][0, position, columns()], -1))
    torch.testing.assert_close(plm.masked_marginals(WILD_TYPE, batch_size), torch.stack(rows), rtol=1e-5, atol=1e-5)


def test_batch_size_does_not_matter_for_hidden_states(plm: LanguageModel) -> None:
    one_by_one = torch.cat([plm.hidden_states([variant]) for variant in VARIANTS])
    torch.testing.assert_close(plm.hidden_states(VARIANTS), one_by_one, rtol=0, atol=1e-5)


@pytest.mark.parametrize("token_dropout", [True, False])
def test_the_training_forward_is_fair_esms(plm: LanguageModel, token_dropout: bool) -> None:
    model = esm.ESM2(2, 32, 4, token_dropout=token_dropout).eval()
    tokens = plm.tokens(VARIANTS)
    tokens[0, 4], tokens[1, 5:9] = ALPHABET.mask_idx, ALPHABET.mask_idx
    expected = model(tokens, repr_layers=[2])
    hidden = forward_pass.encode(model, tokens)
    torch.testing.assert_close(hidden, expected["representations"][2], rtol=0, atol=1e-5)
    torch.testing.assert_close(model.lm_head(hidden), expected["logits"], rtol=0, atol=1e-5)


def test_the_training_forward_has_fair_esms_gradients(plm: LanguageModel) -> None:
    tokens = plm.tokens(VARIANTS)
    gradients = []
    for hidden in (forward_pass.encode(plm.model, tokens), plm.model(tokens, [3])["representations"][3]):
        weights = dict(plm.model.layers.named_parameters())
        gradients.append(dict(zip(weights, torch.autograd.grad(hidden.square().sum(), weights.values()), strict=True)))
    for key, value in gradients[1].items():
        torch.testing.assert_close(gradients[0][key], value, rtol=1e-3, atol=1e-3)


def test_bf16_is_close_to_fp32_and_returned_as_fp32(plm: LanguageModel) -> None:
    half = LanguageModel(plm.name, plm.sha256, plm.model, "bf16")
    states = half.hidden_states(VARIANTS)
    assert states.dtype == torch.float32
    torch.testing.assert_close(states, plm.hidden_states(VARIANTS), rtol=0.1, atol=0.1)


def test_a_sequence_beyond_the_limit_is_refused_not_cut(plm: LanguageModel) -> None:
    assert plm.tokens(["A" * 1022]).shape == (1, 1024)
    with pytest.raises(LanguageModelError, match="1023 residues exceeds the 1022"):
        plm.hidden_states(["A" * 1023])


@pytest.mark.parametrize("sequences", [["AC", "ACD"], [], [""]])
def test_sequences_of_several_lengths_are_refused(plm: LanguageModel, sequences: list[str]) -> None:
    with pytest.raises(LanguageModelError, match="one length"):
        plm.tokens(sequences)


@pytest.mark.parametrize("letter", ["X", "a", "é"])
def test_a_letter_that_is_no_amino_acid_is_refused(plm: LanguageModel, letter: str) -> None:
    with pytest.raises(MutationError, match="position 3"):
        plm.tokens([f"AC{letter}"])


def test_a_layer_that_does_not_exist_is_refused(plm: LanguageModel) -> None:
    with pytest.raises(LanguageModelError, match="layers 0 to 3"):
        plm.hidden_states([WILD_TYPE], 4)


def test_mini_is_shipped_and_loads() -> None:
    mini = language_model.load("mini")
    assert (mini.name, mini.precision, mini.device) == ("mini", "fp32", "cpu")
    assert len(mini.sha256) == 64
    assert mini.hidden_states([WILD_TYPE]).shape == (1, len(WILD_TYPE), mini.width)
    assert language_model.MINI.stat().st_size < 5_000_000


def test_mini_prefers_what_nature_prefers() -> None:
    mini = language_model.load("mini")
    ubiquitin = "MQIFVKTLTGKTITLEVEPSDTIENVKAKIQDKEGIPPDQQRLIFAGKQLEDGRTLSDYNIQKESTLHLVLRLRGG"
    marginals = mini.masked_marginals(ubiquitin).numpy()
    observed = marginals[np.arange(len(ubiquitin)), [AMINO_ACIDS.index(letter) for letter in ubiquitin]]
    assert observed.mean() > -np.log(20)


def test_a_named_checkpoint_is_taken_from_the_users_directory_and_must_be_the_published_one(tmp_path: Path) -> None:
    checkpoints.write(esm.ESM2(2, 32, 4), tmp_path / "own.safetensors", "own")
    (tmp_path / "own.safetensors").rename(tmp_path / "esm2_t6_8M_UR50D.pt")
    with pytest.raises(CheckpointError, match="sha256 is"):
        language_model.load("esm2_t6_8M_UR50D", directory=tmp_path)


def test_a_checkpoint_given_by_path_is_the_same_model(plm: LanguageModel, tmp_path: Path) -> None:
    path = tmp_path / "own.safetensors"
    checkpoints.write(plm.model, path, "own", torch.float32)
    own = language_model.load(str(path))
    assert torch.equal(own.hidden_states(VARIANTS), plm.hidden_states(VARIANTS))
    with pytest.raises(CheckpointError, match="expected"):
        language_model.load(str(path), sha256="0" * 64)


def test_attention_is_that_of_fair_esm_symmetrised_corrected_and_averaged(tiny):
    wild_type = "MKTAYIAKQRQISFVKSH"
    with torch.no_grad():
        maps = tiny.model(tiny.tokens([wild_type]), need_head_weights=True)["attentions"][0, :, :, 1:-1, 1:-1]
    expected = np.zeros((18, 18))
    for one in maps.flatten(0, 1).numpy():
        a = one + one.T
        expected += (a - np.outer(a.sum(axis=1), a.sum(axis=0)) / a.sum()) / (maps.shape[0] * maps.shape[1])
    np.testing.assert_allclose(tiny.attention(wild_type).numpy(), expected, atol=1e-6)


def test_mini_is_read_only_with_the_sha256_that_it_was_shipped_with(tmp_path, monkeypatch):
    damaged = bytearray(language_model.MINI.read_bytes())
    damaged[len(damaged) // 2] ^= 1
    (tmp_path / "mini.safetensors").write_bytes(damaged)
    monkeypatch.setattr(language_model, "MINI", tmp_path / "mini.safetensors")
    with pytest.raises(CheckpointError, match=r"mini\.safetensors: sha256 is .*, expected"):
        language_model.load("mini")
