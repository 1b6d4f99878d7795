"""What one amino acid in place of another means, in numbers: a substitution matrix, hydropathy, six features.

Everything is in the order of `mutations.AMINO_ACIDS`.
"""

import numpy as np
from jaxtyping import Float, Int

from multimep.mutations import AMINO_ACIDS

_ROWS = """
    A  4  0 -2 -1 -2  0 -2 -1 -1 -1 -1 -2 -1 -1 -1  1  0  0 -3 -2
    C  0  9 -3 -4 -2 -3 -3 -1 -3 -1 -1 -3 -3 -3 -3 -1 -1 -1 -2 -2
    D -2 -3  6  2 -3 -1 -1 -3 -1 -4 -3  1 -1  0 -2  0 -1 -3 -4 -3
    E -1 -4  2  5 -3 -2  0 -3  1 -3 -2  0 -1  2  0  0 -1 -2 -3 -2
    F -2 -2 -3 -3  6 -3 -1  0 -3  0  0 -3 -4 -3 -3 -2 -2 -1  1  3
    G  0 -3 -1 -2 -3  6 -2 -4 -2 -4 -3  0 -2 -2 -2  0 -2 -3 -2 -3
    H -2 -3 -1  0 -1 -2  8 -3 -1 -3 -2  1 -2  0  0 -1 -2 -3 -2  2
    I -1 -1 -3 -3  0 -4 -3  4 -3  2  1 -3 -3 -3 -3 -2 -1  3 -3 -1
    K -1 -3 -1  1 -3 -2 -1 -3  5 -2 -1  0 -1  1  2  0 -1 -2 -3 -2
    L -1 -1 -4 -3  0 -4 -3  2 -2  4  2 -3 -3 -2 -2 -2 -1  1 -2 -1
    M -1 -1 -3 -2  0 -3 -2  1 -1  2  5 -2 -2  0 -1 -1 -1  1 -1 -1
    N -2 -3  1  0 -3  0  1 -3  0 -3 -2  6 -2  0  0  1  0 -3 -4 -2
    P -1 -3 -1 -1 -4 -2 -2 -3 -1 -3 -2 -2  7 -1 -2 -1 -1 -2 -4 -3
    Q -1 -3  0  2 -3 -2  0 -3  1 -2  0  0 -1  5  1  0 -1 -2 -2 -1
    R -1 -3 -2  0 -3 -2  0 -3  2 -2 -1  0 -2  1  5 -1 -1 -3 -3 -2
    S  1 -1  0  0 -2  0 -1 -2  0 -2 -1  1 -1  0 -1  4  1 -2 -3 -2
    T  0 -1 -1 -1 -2 -2 -2 -1 -1 -1 -1  0 -1 -1 -1  1  5  0 -2 -2
    V  0 -1 -3 -2 -1 -3 -3  3 -2  1  1 -3 -2 -2 -3 -2  0  4 -3 -1
    W -3 -2 -4 -3  1 -2 -2 -3 -3 -2 -1 -4 -4 -2 -3 -3 -2 -3 11  2
    Y -2 -2 -3 -2  3 -3  2 -1 -2 -1 -1 -2 -3 -1 -2 -2 -2 -1  2  7
"""

BLOSUM62: Float[np.ndarray, "20 20"] = np.array(
    [line.split()[1:] for line in _ROWS.split("\n") if line], dtype=np.float64
)
"""Log-odds of exchanges between homologous proteins in half bits, symmetric.

Henikoff & Henikoff 1992, doi:10.1073/pnas.89.22.10915; the integers are those of the file BLOSUM62 that the NCBI
distributes, a work of the United States government and as such in the public domain.
"""

HYDROPATHY: Float[np.ndarray, "20"] = np.array(
    [1.8, 2.5, -3.5, -3.5, 2.8, -0.4, -3.2, 4.5, -3.9, 3.8, 1.9, -3.5, -1.6, -3.5, -4.5, -0.8, -0.7, 4.2, -0.9, -1.3]
)
"""Kyte & Doolittle 1982, doi:10.1016/0022-2836(82)90515-0, table 2; above 0: hydrophobic."""

FEATURES = ("mutation", "conservation", "hydropathy", "proline", "aromatic", "surroundings")
"""Of one mutation: 1; its BLOSUM62 score; hydropathy of the residue that goes; whether proline comes; whether an
aromatic residue goes; hydropathy around its site. Scores and hydropathies are centred and scaled over all exchanges
and residues."""

TURN = (-4, -3, 3, 4)
"""Sites beside a given one on a helix: it turns once in 3.6 residues, so one face of it is buried or none."""


def _dissimilarity() -> Float[np.ndarray, "20 20"]:
    # D(a, b) = B(a, a) + B(b, b) - 2 B(a, b), over its mean for a != b
    own = np.diag(BLOSUM62)
    distance = own[:, None] + own[None, :] - 2 * BLOSUM62
    return np.asarray(distance / distance[np.triu_indices(20, 1)].mean())


DISSIMILARITY: Float[np.ndarray, "20 20"] = _dissimilarity()
"""A squared Euclidean distance (BLOSUM62, centred, has no negative eigenvalue), so exp(-gamma D) is positive
semi-definite for every gamma >= 0 (Schoenberg). 0 on the diagonal, 1 on average off it."""


def _standardised(values: Float[np.ndarray, "..."], over: Float[np.ndarray, "k"]) -> Float[np.ndarray, "..."]:
    return np.asarray((values - over.mean()) / over.std())


def surroundings(wild_type: str) -> Float[np.ndarray, "length"]:
    """Mean standardised hydropathy of the residues one TURN away from each site, 0 for those beyond the ends."""
    letters = np.array([AMINO_ACIDS.index(letter) for letter in wild_type], dtype=np.int64)
    reach, length = max(TURN), len(wild_type)
    padded = np.pad(_standardised(HYDROPATHY, HYDROPATHY)[letters], reach)
    return np.asarray(np.mean([padded[reach + step : reach + step + length] for step in TURN], axis=0))


def features(
    references: Int[np.ndarray, "m"], substitutes: Int[np.ndarray, "m"], around: Float[np.ndarray, "m"]
) -> Float[np.ndarray, "m 6"]:
    """FEATURES of m mutations: residues as indices into AMINO_ACIDS, and `surroundings` at their sites."""
    scores = _standardised(BLOSUM62, BLOSUM62[np.triu_indices(20, 1)])
    columns = (
        np.ones(len(references)),
        scores[references, substitutes],
        _standardised(HYDROPATHY, HYDROPATHY)[references],
        substitutes == AMINO_ACIDS.index("P"),
        np.isin(references, [AMINO_ACIDS.index(letter) for letter in "FHWY"]),
        around,
    )
    return np.column_stack(columns).astype(np.float64)
