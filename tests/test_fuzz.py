"""Bytes that others wrote: every input that fuzzing kept is read, or refused as its room promises."""

import sys
from pathlib import Path

import pytest

from fuzz.doors import TARGETS, target
from fuzz.target import Target, accepts
from multimep.typed_values import SettingsError

CORPUS = Path(__file__).parent / "fuzz" / "corpus"
SIZE = 300_000  # bytes of the whole corpus, for it is part of the repository


def inputs(name: str) -> list[bytes]:
    return [*target(name).seeds, *(path.read_bytes() for path in sorted((CORPUS / name).glob("*")))]


@pytest.mark.parametrize("name", TARGETS)
def test_every_kept_input_is_read_or_refused_as_promised_and_some_are_read(name: str) -> None:
    taken = [accepts(target(name), data) for data in inputs(name)]
    assert any(taken), "nothing that the corpus holds is accepted"
    assert not all(taken), "nothing that the corpus holds is refused"


def test_an_error_that_was_not_promised_is_a_finding() -> None:
    def read(data: bytes) -> None:
        raise KeyError(data)

    with pytest.raises(KeyError):
        accepts(Target("x", read, (SettingsError,), ()), b"")


def test_a_refusal_without_a_word_is_a_finding() -> None:
    def read(_: bytes) -> None:
        raise SettingsError("")

    with pytest.raises(AssertionError, match="without a word"):
        accepts(Target("x", read, (SettingsError,), ()), b"")


def test_the_corpus_is_small_and_belongs_to_the_targets() -> None:
    assert {path.name for path in CORPUS.iterdir()} <= set(TARGETS)
    assert sum(path.stat().st_size for path in CORPUS.rglob("*") if path.is_file()) < SIZE


def test_the_fuzzer_is_not_needed_to_replay_the_corpus() -> None:
    assert "atheris" not in sys.modules
