import pytest
from hypothesis import given
from hypothesis import strategies as st

from multimep.mutations import (
    AMINO_ACIDS,
    Mutation,
    MutationError,
    apply,
    check,
    check_residues,
    compare,
    format_genotype,
    parse,
)

A23V, C45D = Mutation(23, "A", "V"), Mutation(45, "C", "D")
SEQUENCES = st.text(alphabet=AMINO_ACIDS, min_size=1, max_size=40)


@st.composite
def genotypes(draw: st.DrawFn) -> tuple[Mutation, ...]:
    positions = draw(st.lists(st.integers(1, 999), unique=True, max_size=6))
    pairs = [draw(st.lists(st.sampled_from(AMINO_ACIDS), min_size=2, max_size=2, unique=True)) for _ in positions]
    return tuple(sorted(Mutation(site, *pair) for site, pair in zip(positions, pairs, strict=True)))


@st.composite
def two_sequences_of_one_length(draw: st.DrawFn) -> tuple[str, str]:
    first = draw(SEQUENCES)
    return first, draw(st.text(alphabet=AMINO_ACIDS, min_size=len(first), max_size=len(first)))


@pytest.mark.parametrize(
    ("text", "genotype"),
    [
        ("A23V", (A23V,)),
        ("A23V:C45D", (A23V, C45D)),
        ("A23V+C45D", (A23V, C45D)),
        ("A23V,C45D", (A23V, C45D)),
        ("C45D:A23V", (A23V, C45D)),
        ("  A23V : C45D ", (A23V, C45D)),
        ("A023V", (A23V,)),
        ("", ()),
        ("   ", ()),
        ("WT", ()),
        (" WT ", ()),
    ],
)
def test_every_accepted_spelling_is_read(text, genotype):
    assert parse(text) == genotype


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("D121E;W122A", "'D121E;W122A' in 'D121E;W122A' is not a mutation"),
        ("D121E W122A", "is not a mutation"),
        ("D121E:", "'' in 'D121E:' is not a mutation"),
        (":", "'' in ':' is not a mutation"),
        ("A23V::C45D", "'' in 'A23V::C45D' is not a mutation"),
        ("a23v", "'a23v'"),
        ("wt", "'wt'"),
        ("WT:A23V", "'WT' in 'WT:A23V'"),
        ("A-3V", "'A-3V'"),
        ("A23", "'A23'"),
        ("23V", "'23V'"),
        ("A23VV", "'A23VV'"),
        ("A23*", "'A23\\*'"),
        ("A23X", "unknown amino acid 'X' in 'A23X'"),
        ("B23A", "unknown amino acid 'B' in 'B23A'"),
        ("A23A", "'A23A' does not change the residue"),
        ("A23V:A23D", "two mutations at site 23 in 'A23V:A23D'"),
        ("A23V:C45D:A23V", "two mutations at site 23"),
    ],
)
def test_anything_else_is_refused_with_the_offending_part(text, words):
    with pytest.raises(MutationError, match=words):
        parse(text)


@given(genotypes())
def test_reading_what_was_written_is_the_identity(genotype):
    assert parse(format_genotype(genotype)) == genotype


@given(genotypes(), st.sampled_from([":", "+", ",", " : "]), st.randoms())
def test_the_canonical_text_does_not_depend_on_order_or_separator(genotype, separator, random):
    shuffled = list(map(str, genotype))
    random.shuffle(shuffled)
    assert format_genotype(parse(separator.join(shuffled))) == format_genotype(genotype)


@given(two_sequences_of_one_length())
def test_applying_the_difference_of_two_sequences_gives_the_second(pair):
    wild_type, sequence = pair
    genotype = compare(wild_type, sequence)
    assert apply(genotype, wild_type) == sequence
    assert len(genotype) == sum(old != new for old, new in zip(wild_type, sequence, strict=True))


@given(two_sequences_of_one_length())
def test_the_difference_is_read_back_from_its_text(pair):
    genotype = compare(*pair)
    assert parse(format_genotype(genotype)) == genotype


def test_no_mutation_is_written_as_the_wild_type():
    assert format_genotype(()) == "WT"
    assert apply((), "MKT") == "MKT"


def test_positions_count_from_one():
    assert apply(parse("M1A"), "MKT") == "AKT"
    assert apply(parse("T3A"), "MKT") == "MKA"
    assert compare("MKT", "MKA") == (Mutation(3, "T", "A"),)


def test_shifting_changes_the_number_and_nothing_else():
    assert Mutation(0, "M", "A").shifted(1) == Mutation(1, "M", "A")
    assert A23V.shifted(-22).shifted(22) == A23V


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("M0A", r"M0A: position outside the wild type \(1 to 3\)"),
        ("T4A", r"T4A: position outside the wild type \(1 to 3\)"),
        ("T2A", "T2A: the wild type has K at position 2"),
        ("M1A:T2A", "T2A: the wild type has K at position 2"),
    ],
)
def test_a_genotype_of_another_wild_type_is_refused(text, words):
    for action in (check, apply):
        with pytest.raises(MutationError, match=words):
            action(parse(text), "MKT")


def test_sequences_of_unequal_length_cannot_be_compared():
    with pytest.raises(MutationError, match="sequence of length 2, wild type of length 3"):
        compare("MKT", "MK")


def test_an_unknown_letter_is_named_with_its_position():
    with pytest.raises(MutationError, match="unknown amino acid 'X' at position 2"):
        compare("MKT", "MXT")
    with pytest.raises(MutationError, match=r"unknown amino acid '\*' at position 3"):
        check_residues("MK*")
    check_residues(AMINO_ACIDS)
