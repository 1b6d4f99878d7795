"""Perplexity of guessing residues from the composition of the others: python benchmarks/composition.py TRAIN VALID."""

import sys
from collections import Counter
from pathlib import Path

import numpy as np

from multimep import corpus
from multimep.mutations import AMINO_ACIDS

PSEUDO = 100.0


def main(train: Path, valid: Path) -> None:
    """Print exp of the mean of -log p, with p = (n of this letter among the others + 100 q) / (others + 100)."""
    letters = Counter("".join(corpus.read_fasta(train)))
    q = np.array([letters[letter] for letter in AMINO_ACIDS], float) / sum(letters[letter] for letter in AMINO_ACIDS)
    losses = []
    for sequence in corpus.read_fasta(valid):
        counts = np.array([sequence.count(letter) for letter in AMINO_ACIDS], float)
        p = (counts - 1 + PSEUDO * q) / (counts.sum() - 1 + PSEUDO)
        losses.append((counts[counts > 0] * -np.log(p[counts > 0])).sum())
    total = sum(sum(sequence.count(letter) for letter in AMINO_ACIDS) for sequence in corpus.read_fasta(valid))
    print(f"perplexity from composition: {np.exp(sum(losses) / total):.2f} over {total:,} residues")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
