"""Held-out quality of `mini` beside guesses that need no model: python benchmarks/mini.py TRAIN VALID (FASTA files)."""

import sys
from collections import Counter
from pathlib import Path

import numpy as np

from multimep import corpus, language_model, pretraining
from multimep.mutations import AMINO_ACIDS

PSEUDO = 100.0


def composition(train: Path, valid: Path) -> str:
    """Guessing residues from the others of the same protein: exp of the mean of -log p.

    p = (n of this letter among the others + 100 q) / (others + 100), q the letter's frequency in the training set.
    """
    letters = Counter("".join(corpus.read_fasta(train)))
    q = np.array([letters[letter] for letter in AMINO_ACIDS], float) / sum(letters[letter] for letter in AMINO_ACIDS)
    losses, total = 0.0, 0
    for sequence in corpus.read_fasta(valid):
        counts = np.array([sequence.count(letter) for letter in AMINO_ACIDS], float)
        p = (counts - 1 + PSEUDO * q) / (counts.sum() - 1 + PSEUDO)
        losses += float((counts[counts > 0] * -np.log(p[counts > 0])).sum())
        total += int(counts.sum())
    return f"perplexity from composition: {np.exp(losses / total):.2f} over {total:,} residues"


def masked(train: Path, valid: Path) -> str:
    """15 % of the residues of every held-out sequence masked and asked for: `mini`, and the training frequencies."""
    frequencies = corpus.read_corpus(train).frequencies
    found = pretraining.evaluate(language_model.load("mini").model, corpus.read_corpus(valid), frequencies)
    return "\n".join(f"{name}: {value:,.4g}" for name, value in vars(found).items())


if __name__ == "__main__":
    files = Path(sys.argv[1]), Path(sys.argv[2])
    print(composition(*files))
    print(masked(*files))
