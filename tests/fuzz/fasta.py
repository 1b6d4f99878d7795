"""A corpus of sequences: FASTA, plain or gzip."""

import gzip

import numpy as np

from fuzz.target import Target, file
from multimep.corpus import CorpusError, read_corpus
from multimep.documents import DocumentError
from multimep.language_model import ALPHABET


def read(data: bytes) -> None:
    packed = data.startswith(b"\x1f\x8b")
    found = read_corpus(file("corpus.fasta.gz" if packed else "corpus.fasta", data))
    assert found.starts[0] == 0 and found.starts[-1] == len(found.tokens) and (found.lengths >= 3).all()
    assert (found.tokens[found.starts[:-1]] == ALPHABET.cls_idx).all()
    assert (found.tokens[found.starts[1:] - 1] == ALPHABET.eos_idx).all()
    assert (found.tokens < len(ALPHABET.all_toks)).all()
    inner = np.isin(found.tokens, (ALPHABET.cls_idx, ALPHABET.eos_idx)).sum()
    assert inner == 2 * len(found.lengths), "a letter of the file became a boundary"


TARGET = Target(
    "fasta",
    read,
    (CorpusError, DocumentError),
    (
        b">one\nMKTAYI\nAKQR*\n\n>two\nacdef\n",
        b"MKT",
        b"",
        b">\n>\n",
        gzip.compress(b">one\nMKT\n", mtime=0),
        b">one\nM<K>T\n",
        gzip.compress(b">one\nMKT\n", mtime=0)[:-3],
        b">\xff\nMKT\n",
        ">ü\nMKÄT\n".encode(),
        b">a\rMK\r\nT",
    ),
    (b">", b"*", b"<", b"\x1f\x8b", b"\r", b"-", b"."),
    ("multimep.corpus", "multimep.documents"),
)
