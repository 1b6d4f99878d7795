import dataclasses
import gzip
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from multimep import corpus as corpora
from multimep import language_model, pretraining
from multimep.corpus import Corpus, CorpusError
from multimep.language_model import ALPHABET
from multimep.mutations import AMINO_ACIDS
from multimep.pretraining import PretrainingError, PretrainingSettings

TINY = PretrainingSettings(
    layers=2, width=16, heads=2, steps=12, tokens_per_batch=512, crop_lengths=(16, 32), crop_weights=(1.0, 1.0),
    learning_rate=1e-2, decay=0.4, warmup=4, save_every=4, report_every=4, precision="fp32",
)  # fmt: skip


def fasta(path: Path, sequences: list[str]) -> Path:
    text = "".join(f">s{i}\n{s[:20]}\n{s[20:]}\n" for i, s in enumerate(sequences))
    path.write_bytes(gzip.compress(text.encode()))
    return path


def proteins(number: int, seed: int = 0) -> list[str]:
    random = np.random.default_rng(seed)
    return ["".join(random.choice(list("AKLE"), random.integers(25, 60))) for _ in range(number)]


@pytest.fixture
def train(tmp_path: Path) -> Path:
    return fasta(tmp_path / "train.fasta.gz", proteins(30))


@pytest.fixture
def valid(tmp_path: Path) -> Path:
    return fasta(tmp_path / "valid.fasta.gz", proteins(5, seed=1))


def sequences_of(corpus: Corpus) -> list[np.ndarray]:
    return np.split(corpus.tokens, corpus.starts[1:-1])


def test_a_corpus_holds_every_sequence_between_bos_and_eos(tmp_path: Path) -> None:
    path = tmp_path / "a.fasta"
    path.write_text(">x\nMKV\nLLA\n\n>empty\n>y\nacx*\n")
    first, second = sequences_of(corpora.read_corpus(path))
    converter = ALPHABET.get_batch_converter()
    assert first.tolist() == converter([("", "MKVLLA")])[2][0].tolist()
    assert second.tolist() == converter([("", "ACX")])[2][0].tolist()


def test_frequencies_count_the_twenty_amino_acids_only(tmp_path: Path) -> None:
    path = tmp_path / "a.fasta"
    path.write_text(">x\nAAAXC\n")
    expected = [{"A": 0.75, "C": 0.25}.get(letter, 0.0) for letter in AMINO_ACIDS]
    assert corpora.read_corpus(path).frequencies.tolist() == expected


def test_a_file_without_sequences_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a.fasta").write_text(">x\n")
    with pytest.raises(CorpusError, match=r"a\.fasta holds no sequence"):
        corpora.read_corpus(tmp_path / "a.fasta")


def test_every_crop_lies_within_one_sequence(train: Path) -> None:
    corpus = corpora.read_corpus(train)
    texts = [bytes(sequence.tolist()) for sequence in sequences_of(corpus)]
    for crop in corpora.crops(corpus, 24, 200, np.random.default_rng(0)):
        assert any(bytes(crop.tolist()) in text for text in texts)


def test_crops_that_nothing_fills_are_an_error(train: Path) -> None:
    with pytest.raises(CorpusError, match="1000 tokens"):
        corpora.crops(corpora.read_corpus(train), 1000, 1, np.random.default_rng(0))


def test_crops_see_both_ends_of_a_sequence(tmp_path: Path) -> None:
    corpus = corpora.read_corpus(fasta(tmp_path / "one.fasta.gz", ["ACDEFGHIKL" * 10]))
    crops = corpora.crops(corpus, 20, 2000, np.random.default_rng(0))
    begins = np.mean(crops[:, 0] == ALPHABET.cls_idx)
    assert begins > 5 / 83
    assert np.mean(crops[:, -1] == ALPHABET.eos_idx) == pytest.approx(begins, abs=0.03)


def test_corruption_asks_for_fifteen_percent_and_treats_them_80_10_10() -> None:
    random = np.random.default_rng(0)
    tokens = random.choice(language_model.AMINO_ACID_TOKENS, (400, 250))
    tokens[:, 0] = ALPHABET.cls_idx
    corrupted, asked = corpora.corrupt(tokens, random)
    assert asked.mean() == pytest.approx(0.15, abs=0.005)
    assert not asked[:, 0].any()
    assert (corrupted[~asked] == tokens[~asked]).all()
    masked = corrupted[asked] == ALPHABET.mask_idx
    assert masked.mean() == pytest.approx(0.8, abs=0.02)
    # a random amino acid is the true one in one case of twenty
    assert (corrupted[asked] == tokens[asked]).mean() == pytest.approx(0.1 + 0.1 / 20, abs=0.02)


def test_a_batch_is_a_function_of_its_number(train: Path) -> None:
    corpus = corpora.read_corpus(train)
    for one, other, third in zip(
        *(dataclasses.astuple(pretraining.batch(corpus, TINY, t)) for t in (3, 3, 4)), strict=True
    ):
        assert torch.equal(one, other)
        assert one.shape != third.shape or not torch.equal(one, third)


def test_the_rate_warms_up_stays_and_falls_to_zero() -> None:
    settings = PretrainingSettings(steps=100, warmup=10, decay=0.5, learning_rate=1.0)
    rates = [settings.rate(t) for t in range(101)]
    assert rates[0] == pytest.approx(0.1)
    assert rates[9:51] == [1.0] * 42
    assert rates[75] == pytest.approx(0.5)
    assert rates[100] == 0.0


def test_the_loss_is_fair_esms_cross_entropy_at_the_asked_positions(train: Path) -> None:
    model, _ = pretraining.initialise(TINY)
    data = pretraining.batch(corpora.read_corpus(train), TINY, 0)
    logits = model(data.tokens)["logits"].flatten(0, 1)[data.asked]
    expected = torch.nn.functional.cross_entropy(logits, data.truth)
    torch.testing.assert_close(pretraining.loss(model, data, TINY), expected)


def test_an_interrupted_run_ends_at_the_same_weights(train: Path, valid: Path, tmp_path: Path) -> None:
    class InterruptError(Exception):
        pass

    def interrupt(line: str) -> None:
        if line.startswith("step 8/"):
            raise InterruptError

    whole = pretraining.pretrain(train, valid, tmp_path / "whole" / "mini", TINY, log=lambda _: None)
    with pytest.raises(InterruptError):
        pretraining.pretrain(train, valid, tmp_path / "parts" / "mini", TINY, log=interrupt)
    parts = pretraining.pretrain(train, valid, tmp_path / "parts" / "mini", TINY, log=lambda _: None)
    assert (whole.parent / "run.safetensors").read_bytes() == (parts.parent / "run.safetensors").read_bytes()
    assert language_model.load(str(whole)).sha256 == language_model.load(str(parts)).sha256


def test_a_run_with_other_settings_is_not_continued(train: Path, valid: Path, tmp_path: Path) -> None:
    pretraining.pretrain(train, valid, tmp_path / "run", TINY, log=lambda _: None)
    with pytest.raises(PretrainingError, match="does not continue"):
        pretraining.resume(tmp_path / "run" / "run.safetensors", dataclasses.replace(TINY, seed=1))


def test_a_run_may_be_lengthened_only_before_its_decay(tmp_path: Path) -> None:
    model, optimiser = pretraining.initialise(TINY)
    longer = dataclasses.replace(TINY, steps=40)
    pretraining.save(tmp_path / "early", model, optimiser, TINY, 6)
    assert pretraining.resume(tmp_path / "early", longer)[2] == 6
    pretraining.save(tmp_path / "late", model, optimiser, TINY, 11)
    with pytest.raises(PretrainingError, match="does not continue"):
        pretraining.resume(tmp_path / "late", longer)


def test_training_beats_the_unigram_baseline_on_a_repetitive_language(tmp_path: Path) -> None:
    path = fasta(tmp_path / "repeats.fasta.gz", ["ACDEFGHIKL"[i % 10 :] + "ACDEFGHIKL" * 4 for i in range(40)])
    settings = dataclasses.replace(TINY, steps=200, warmup=10, learning_rate=2e-2)
    pretraining.pretrain(path, path, tmp_path / "run", settings, log=lambda _: None)
    evaluation = json.loads((tmp_path / "run" / "evaluation.json").read_text())
    assert evaluation["unigram_perplexity"] == pytest.approx(10, abs=1)
    assert evaluation["perplexity"] < evaluation["unigram_perplexity"] / 2
    assert evaluation["accuracy"] > 2 * evaluation["unigram_accuracy"]


def test_a_model_of_constant_logits_has_the_perplexity_of_a_uniform_guess(valid: Path) -> None:
    model, _ = pretraining.initialise(TINY)
    torch.nn.init.zeros_(model.lm_head.weight)
    torch.nn.init.zeros_(model.lm_head.bias)
    corpus = corpora.read_corpus(valid)
    evaluation = pretraining.evaluate(model, corpus, corpus.frequencies + 1e-9)
    assert evaluation.perplexity == pytest.approx(20, rel=1e-5)
    assert evaluation.unigram_perplexity < 4.1
