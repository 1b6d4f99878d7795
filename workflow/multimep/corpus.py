"""A corpus of natural protein sequences, its random crops and their corruption: what pre-training reads.

A corruption is BERT's (Devlin et al., 2019) with ESM-2's numbers: 15 % of the residues are asked for, of which 80 % are
masked, 10 % are replaced by a random amino acid and 10 % stay.
"""

import gzip
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

import numpy as np
from jaxtyping import Bool, Float, Int, UInt8

from multimep.language_model import ALPHABET, AMINO_ACID_TOKENS

_VOCABULARY = len(ALPHABET.all_toks)
_TOKEN_OF_BYTE = np.full(256, ALPHABET.unk_idx, np.uint8)
for _letter in "ABCDEFGHIJKLMNOPQRSTUVWXYZ":
    _TOKEN_OF_BYTE[ord(_letter)] = ALPHABET.get_idx(_letter)
_TOKEN_OF_BYTE[ord("<")], _TOKEN_OF_BYTE[ord(">")] = ALPHABET.cls_idx, ALPHABET.eos_idx
_NO_BOUNDARY = str.maketrans("<>", "??")  # BOS and EOS are ours to set, never a file's
IS_AMINO_ACID = np.isin(np.arange(_VOCABULARY), AMINO_ACID_TOKENS)


LINE = 1 << 24
"""Letters of one line: five hundred times the longest known protein, titin, in a file that breaks no lines."""
TOTAL = 1 << 35
"""Letters of one file, unpacked: UniRef100 with its headers has a fifth of it."""


class CorpusError(ValueError):
    """A FASTA file without sequences, or crops that no sequence fills; the message names the file or the length."""


@dataclass(frozen=True)
class Corpus:
    """Sequences as one row of tokens, each between BOS and EOS; sequence i is tokens[starts[i]:starts[i + 1]]."""

    tokens: UInt8[np.ndarray, " tokens"]
    starts: Int[np.ndarray, " boundaries"]

    def __post_init__(self) -> None:
        if len(self.starts) < 2:
            raise CorpusError("the corpus holds no sequence")

    @property
    def lengths(self) -> Int[np.ndarray, " sequences"]:
        """Tokens per sequence, BOS and EOS included."""
        return np.asarray(np.diff(self.starts))

    @property
    def frequencies(self) -> Float[np.ndarray, " 20"]:
        """Share of each amino acid (order of AMINO_ACIDS) among the amino acids of the corpus."""
        counts = np.bincount(self.tokens, minlength=_VOCABULARY)[AMINO_ACID_TOKENS]
        return np.asarray(counts / counts.sum())


def read_fasta(path: Path) -> Iterator[str]:
    """The sequences of a FASTA file, plain or .gz, in order and in upper case; raises CorpusError for another file."""
    try:
        yield from _records(path)
    except (UnicodeDecodeError, gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise CorpusError(f"{path}: no FASTA file ({error}); give one, plain or .gz") from error


def _records(path: Path) -> Iterator[str]:
    lines: list[str] = []
    headed = False
    with gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else path.open(encoding="utf-8") as file:
        for line in _lines(file, path):
            if line.startswith(">"):
                yield from _joined(lines)
                lines, headed = [], True
            elif not headed and line.strip():
                raise CorpusError(f"{path}: no FASTA file, for it does not start with '>'; give one, plain or .gz")
            else:
                lines.append(line.strip())
    yield from _joined(lines)


def _lines(file: TextIO, path: Path) -> Iterator[str]:
    """Lines, whatever a packed file unpacks to: never more than one of them, cut, is in memory."""
    total = 0
    while line := file.readline(LINE + 1):
        total += len(line)
        if len(line) > LINE or total > TOTAL:
            what = f"a line of more than {LINE} letters" if len(line) > LINE else f"more than {TOTAL} letters"
            raise CorpusError(f"{path}: {what}; break its lines, or divide the file")
        yield line


def _joined(lines: Sequence[str]) -> Iterator[str]:
    sequence = "".join(lines).upper().rstrip("*")
    if sequence:
        yield sequence


def read_corpus(path: Path) -> Corpus:
    """Tokenise a FASTA file; letters that ESM-2 does not know become its unknown token, which is never asked for."""
    texts = [f"<{sequence.translate(_NO_BOUNDARY)}>" for sequence in read_fasta(path)]
    if not texts:
        raise CorpusError(f"{path} holds no sequence; give a FASTA file, plain or .gz")
    starts = np.concatenate(([0], np.cumsum([len(text) for text in texts])))
    return Corpus(_TOKEN_OF_BYTE[np.frombuffer("".join(texts).encode("ascii", "replace"), np.uint8)], starts)


def crops(corpus: Corpus, length: int, number: int, random: np.random.Generator) -> Int[np.ndarray, "number length"]:
    """Random windows of `length` tokens within single sequences, drawn in proportion to the sequences' lengths."""
    share = np.where(corpus.lengths >= length, corpus.lengths, 0)
    if share.sum() == 0:
        raise CorpusError(f"no sequence of the corpus fills a crop of {length} tokens; give shorter crop_lengths")
    chosen = random.choice(len(share), number, p=share / share.sum())
    # The window is centred anywhere, then moved into the sequence: both ends are seen as often as the middle.
    room = corpus.lengths[chosen] - length
    offsets = np.clip(random.integers(-length // 2, room + length // 2 + 1), 0, room)
    windows = (corpus.starts[chosen] + offsets)[:, None] + np.arange(length)
    return np.asarray(corpus.tokens[windows], np.int64)


def corrupt(
    tokens: Int[np.ndarray, "batch length"], random: np.random.Generator
) -> tuple[Int[np.ndarray, "batch length"], Bool[np.ndarray, "batch length"]]:
    """BERT's corruption: 15 % of the residues are asked for; of these 80 % masked, 10 % random, 10 % unchanged."""
    asked = IS_AMINO_ACID[tokens] & (random.random(tokens.shape) < 0.15)
    fate = random.random(tokens.shape)
    substitutes = random.choice(AMINO_ACID_TOKENS, tokens.shape)
    corrupted = np.where(asked & (fate < 0.8), ALPHABET.mask_idx, tokens)
    return np.where(asked & (fate >= 0.9), substitutes, corrupted), asked
