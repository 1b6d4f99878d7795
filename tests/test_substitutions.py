import numpy as np
import pytest

from multimep.mutations import AMINO_ACIDS
from multimep.substitutions import BLOSUM62, DISSIMILARITY, FEATURES, HYDROPATHY, features, surroundings


def score(one: str, other: str) -> float:
    return BLOSUM62[AMINO_ACIDS.index(one), AMINO_ACIDS.index(other)]


def test_the_matrix_is_symmetric_and_a_residue_is_likest_itself():
    np.testing.assert_array_equal(BLOSUM62, BLOSUM62.T)
    assert (np.diag(BLOSUM62) >= BLOSUM62).all()


# The first twenty rows and columns of NCBI's file BLOSUM62, in its order.
PUBLISHED = """
   A  R  N  D  C  Q  E  G  H  I  L  K  M  F  P  S  T  W  Y  V
A  4 -1 -2 -2  0 -1 -1  0 -2 -1 -1 -1 -1 -2 -1  1  0 -3 -2  0
R -1  5  0 -2 -3  1  0 -2  0 -3 -2  2 -1 -3 -2 -1 -1 -3 -2 -3
N -2  0  6  1 -3  0  0  0  1 -3 -3  0 -2 -3 -2  1  0 -4 -2 -3
D -2 -2  1  6 -3  0  2 -1 -1 -3 -4 -1 -3 -3 -1  0 -1 -4 -3 -3
C  0 -3 -3 -3  9 -3 -4 -3 -3 -1 -1 -3 -1 -2 -3 -1 -1 -2 -2 -1
Q -1  1  0  0 -3  5  2 -2  0 -3 -2  1  0 -3 -1  0 -1 -2 -1 -2
E -1  0  0  2 -4  2  5 -2  0 -3 -3  1 -2 -3 -1  0 -1 -3 -2 -2
G  0 -2  0 -1 -3 -2 -2  6 -2 -4 -4 -2 -3 -3 -2  0 -2 -2 -3 -3
H -2  0  1 -1 -3  0  0 -2  8 -3 -3 -1 -2 -1 -2 -1 -2 -2  2 -3
I -1 -3 -3 -3 -1 -3 -3 -4 -3  4  2 -3  1  0 -3 -2 -1 -3 -1  3
L -1 -2 -3 -4 -1 -2 -3 -4 -3  2  4 -2  2  0 -3 -2 -1 -2 -1  1
K -1  2  0 -1 -3  1  1 -2 -1 -3 -2  5 -1 -3 -1  0 -1 -3 -2 -2
M -1 -1 -2 -3 -1  0 -2 -3 -2  1  2 -1  5  0 -2 -1 -1 -1 -1  1
F -2 -3 -3 -3 -2 -3 -3 -3 -1  0  0 -3  0  6 -4 -2 -2  1  3 -1
P -1 -2 -2 -1 -3 -1 -1 -2 -2 -3 -3 -1 -2 -4  7 -1 -1 -4 -3 -2
S  1 -1  1  0 -1  0  0  0 -1 -2 -2  0 -1 -2 -1  4  1 -3 -2 -2
T  0 -1  0 -1 -1 -1 -1 -2 -2 -1 -1 -1 -1 -2 -1  1  5 -2 -2  0
W -3 -3 -4 -4 -2 -2 -3 -2 -2 -3 -2 -3 -1  1 -4 -3 -2 11  2 -3
Y -2 -2 -2 -3 -2 -1 -2 -3  2 -1 -1 -2 -1  3 -3 -2 -2  2  7 -1
V  0 -3 -3 -3 -1 -2 -2 -3 -3  3  1 -2  1 -1 -2 -2  0 -3 -1  4
"""


def test_the_scores_are_those_of_the_published_table():
    letters, *rows = PUBLISHED.strip().split("\n")
    for row in rows:
        one, *values = row.split()
        assert [score(one, other) for other in letters.split()] == list(map(float, values))


def test_the_dissimilarity_is_a_squared_euclidean_distance():
    # -J D J / 2 with J = I - 1/20 is a Gram matrix if and only if D is one
    centring = np.eye(20) - 1 / 20
    assert np.linalg.eigvalsh(-centring @ DISSIMILARITY @ centring / 2).min() > -1e-12
    assert (np.diag(DISSIMILARITY) == 0).all()
    assert DISSIMILARITY[np.triu_indices(20, 1)].mean() == pytest.approx(1)
    assert (DISSIMILARITY[np.triu_indices(20, 1)] > 0).all()


@pytest.mark.parametrize("gamma", [1e-3, 0.1, 1.0, 30.0])
def test_its_exponential_is_positive_semi_definite(gamma):
    assert np.linalg.eigvalsh(np.exp(-gamma * DISSIMILARITY)).min() > -1e-12


def test_hydropathy_runs_from_arginine_to_isoleucine():
    assert AMINO_ACIDS[np.argmin(HYDROPATHY)] == "R"
    assert AMINO_ACIDS[np.argmax(HYDROPATHY)] == "I"
    assert HYDROPATHY.sum() == pytest.approx(-9.8)  # mean -0.49


def test_the_features_of_a_mutation_are_what_they_are_called():
    pairs = [("W", "P"), ("I", "V"), ("K", "R")]
    references, substitutes = (np.array([AMINO_ACIDS.index(pair[side]) for pair in pairs]) for side in (0, 1))
    table = dict(zip(FEATURES, features(references, substitutes, np.array([0.5, 0.1, 0.2])).T, strict=True))
    np.testing.assert_array_equal(table["surroundings"], [0.5, 0.1, 0.2])
    np.testing.assert_array_equal(table["mutation"], [1, 1, 1])
    np.testing.assert_array_equal(table["proline"], [1, 0, 0])
    np.testing.assert_array_equal(table["aromatic"], [1, 0, 0])
    assert table["conservation"][0] < 0 < table["conservation"][2] < table["conservation"][1]
    assert table["hydropathy"][2] < table["hydropathy"][0] < table["hydropathy"][1]


def test_the_surroundings_of_a_site_are_three_and_four_residues_away():
    found = surroundings("GGGGGGGGIGGGGGGGG")
    nearby = [site for site in range(17) if found[site] != found[8]]
    assert [site for site in nearby if 4 <= site <= 12] == [4, 5, 11, 12]
    assert found[5] > found[8]
    assert surroundings("I")[0] == 0


def test_the_surroundings_are_those_of_a_slow_loop():
    wild_type = "MKTAYIAKQRQISFVKSHWC"
    hydropathy = (HYDROPATHY - HYDROPATHY.mean()) / HYDROPATHY.std()
    slow = [
        sum(
            hydropathy[AMINO_ACIDS.index(wild_type[site + step])]
            for step in (-4, -3, 3, 4)
            if 0 <= site + step < len(wild_type)
        )
        / 4
        for site in range(len(wild_type))
    ]
    np.testing.assert_allclose(surroundings(wild_type), slow, atol=1e-12)
