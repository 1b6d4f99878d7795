"""The mutation grammar: what is read is written back, and means one thing."""

import re

from fuzz.target import Target
from multimep.mutations import AMINO_ACIDS, MutationError, apply, check, compare, format_genotype, parse

WILD_TYPE = "MKTAYIAKQRQISFVKSH"
ONE = rf"\s*[{AMINO_ACIDS}][0-9]+[{AMINO_ACIDS}]\s*"
GRAMMAR = re.compile(rf"\s*(?:WT|{ONE}(?:[:+,]{ONE})*)?\s*")


def read(data: bytes) -> None:
    text = data.decode("utf-8", "replace")
    genotype = parse(text)
    assert GRAMMAR.fullmatch(text), "accepted what the grammar does not have"
    assert parse(format_genotype(genotype)) == genotype
    assert len({one.position for one in genotype}) == len(genotype)
    check(genotype, WILD_TYPE)
    assert compare(WILD_TYPE, apply(genotype, WILD_TYPE)) == genotype


TARGET = Target(
    "mutation_grammar",
    read,
    (MutationError,),
    (
        b"WT",
        b"",
        b"M1A:K2R",
        b" M1A + H18C ",
        b"T3D,A4C",
        "A\uff11V".encode(),
        b"A" + b"1" * 5000 + b"V",
        b"A0V",
    ),
    (b"WT", b":", b"+", b",", b"M1", b"K2R", b"H18A"),
    ("multimep.mutations",),
)
