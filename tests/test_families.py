"""Identity against a slow alignment by recursion over every cell; families are chains of kin."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from multimep.families import EXTEND, OPEN, families, identity, kin
from multimep.mutations import AMINO_ACIDS
from multimep.substitutions import BLOSUM62

sequences = st.text(alphabet="ACDW", min_size=1, max_size=9)
NEVER = (-(10**9), 0)


def random_sequence(length: int, seed: int) -> str:
    return "".join(np.random.default_rng(seed).choice(list(AMINO_ACIDS), length))


def plus(one: tuple[int, int], score: int, same: int = 0) -> tuple[int, int]:
    return one[0] + score, one[1] + same


def slow_identity(one: str, other: str) -> float:
    """Every gap of every length tried in every cell: O(n^3)."""
    best: dict[tuple[int, int], tuple[int, int]] = {}
    for i in range(len(one) + 1):
        for j in range(len(other) + 1):
            if i == 0 or j == 0:
                best[i, j] = (0, 0)
                continue
            a, b = one[i - 1], other[j - 1]
            score = int(BLOSUM62[AMINO_ACIDS.index(a), AMINO_ACIDS.index(b)])
            ways = [plus(best[i - 1, j - 1], score, int(a == b))]
            ways += [plus(best[k, j], -OPEN - EXTEND * (i - k)) for k in range(i)]
            ways += [plus(best[i, k], -OPEN - EXTEND * (j - k)) for k in range(j)]
            best[i, j] = max(ways)
    ends = [best[len(one), j] for j in range(len(other) + 1)] + [best[i, len(other)] for i in range(len(one) + 1)]
    return max(ends)[1] / min(len(one), len(other))


@settings(max_examples=200, deadline=None)
@given(sequences, sequences)
def test_identity_is_that_of_a_slow_alignment_and_symmetric(one, other):
    assert identity(one, other) == pytest.approx(slow_identity(one, other))
    assert identity(one, other) == identity(other, one)


def test_identity_with_gaps_is_that_of_a_slow_alignment():
    long = random_sequence(40, 0)
    cut = long[:12] + long[17:33]
    assert identity(long, cut) == slow_identity(long, cut) == 1.0


def test_a_part_of_a_protein_is_identical_to_it_and_mutants_are_counted():
    protein = random_sequence(80, 1)
    assert identity(protein, protein) == identity(protein[20:60], protein) == 1.0
    changed = list(protein)
    for site in (5, 30, 55, 70):
        changed[site] = "A" if protein[site] != "A" else "G"
    assert identity(protein, "".join(changed)) == pytest.approx(76 / 80)


def test_an_empty_sequence_is_identical_to_nothing():
    assert identity("", "ACD") == 0.0


@pytest.mark.parametrize("above", [0.3, 0.99, 1.0])
def test_equal_sequences_and_parts_are_one_family_whatever_the_limit(above):
    one, other = random_sequence(60, 2), random_sequence(60, 3)
    assert families([one, other, one, other[10:50]], above) == [0, 1, 0, 1]


def test_a_family_is_a_chain_of_kin():
    first = random_sequence(100, 4)
    middle = random_sequence(50, 5) + first[50:]
    last = middle[:50] + random_sequence(50, 6)
    assert identity(first, last) < 0.4 < min(identity(first, middle), identity(middle, last))
    assert families([first, last, middle], 0.4) == [0, 0, 0]
    assert families([first, last], 0.4) == [0, 1]
    assert families([], 0.3) == []


@pytest.mark.parametrize("above", [0.3, 0.5, 0.99])
def test_the_kin_of_one_are_the_other_members_of_its_family(above):
    first = random_sequence(100, 4)
    middle = random_sequence(50, 5) + first[50:]
    proteins = {"first": first, "last": middle[:50] + random_sequence(50, 6), "middle": middle, "part": first[20:60]}
    proteins |= {"again": middle, "far": random_sequence(90, 7)}
    family = dict(zip(proteins, families(list(proteins.values()), above), strict=True))
    for name, sequence in proteins.items():
        others = {other: text for other, text in proteins.items() if other != name}
        assert kin(sequence, others, above) == {other for other in others if family[other] == family[name]}
