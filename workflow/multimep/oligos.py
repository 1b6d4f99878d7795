"""Mutagenic oligonucleotides: one per mutation, or per run of mutations too near for two; shared by mutants.

Each has the new codon between `flank` bases of the gene on both sides; the reverse oligo is its reverse complement.
Mutations whose codons have fewer than `flank` bases between them would be undone by each other's oligo, so they share
one. Melting temperatures, secondary structure and vector sequences are the supplier's or the lab's matter.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from multimep.codons import CodonError, best, reverse_complement, start_of
from multimep.mutations import Genotype, Mutation, format_genotype, parse


@dataclass(frozen=True)
class Ordering:
    """How oligos are written.

    Attributes:
        host: whose codons are used: e_coli, s_cerevisiae or human.
        flank: bases on both sides of the codon; 15, so that an oligo of one mutation has 33.
        dna: the gene of the wild type, with what surrounds it; empty: codons are listed without sequences.
    """

    host: str = "e_coli"
    flank: int = 15
    dna: str = ""

    def __post_init__(self) -> None:
        """Refuse a host without a table and a negative flank."""
        best(self.host, "M")
        if self.flank < 0:
            raise CodonError(f"flank: {self.flank} bases; give 0 or more")


@dataclass(frozen=True)
class Oligo:
    """One pair of oligos, or its codons where no DNA was given.

    Attributes:
        name: its mutations' text.
        codons: new codon of each mutation, joined by ":".
        old: the gene's codons there, empty without DNA.
        forward, reverse: sequences, empty without DNA.
        note: what to look at.
    """

    name: str
    codons: str
    old: str
    forward: str
    reverse: str
    note: str


def parts(genotype: Genotype, flank: int) -> tuple[str, ...]:
    """Names of the oligos that make a genotype: its mutations, those too near for two oligos together."""
    runs: list[list[Mutation]] = []
    for one in genotype:
        # bases between two codons: 3 (i - j - 1)
        if runs and 3 * (one.position - runs[-1][-1].position - 1) < flank:
            runs[-1].append(one)
        else:
            runs.append([one])
    return tuple(format_genotype(tuple(run)) for run in runs)


def oligo(name: str, wild_type: str, ordering: Ordering) -> Oligo:
    """The oligo of that name; raises CodonError where the DNA does not hold the gene."""
    return oligos([name], wild_type, ordering)[0]


def _oligo(name: str, start: int, ordering: Ordering) -> Oligo:
    """The oligo of that name for a gene that begins at base `start` of the DNA."""
    genotype = parse(name)
    codons = [best(ordering.host, one.substitute) for one in genotype]
    if not ordering.dna:
        return Oligo(name, ":".join(codons), "", "", "", "")
    places = [start + 3 * (one.position - 1) for one in genotype]
    bases, old = list(ordering.dna), [ordering.dna[place : place + 3] for place in places]
    for place, codon in zip(places, codons, strict=True):
        bases[place : place + 3] = codon
    first, last = places[0] - ordering.flank, places[-1] + 3 + ordering.flank
    forward = "".join(bases[max(first, 0) : last])
    cut = first < 0 or last > len(bases)
    note = f"flank cut at the end of the DNA: give {ordering.flank} bases around the gene" if cut else ""
    return Oligo(name, ":".join(codons), ":".join(old), forward, reverse_complement(forward), note)


def oligos(names: Sequence[str], wild_type: str, ordering: Ordering) -> list[Oligo]:
    """One of each name, by position; raises CodonError where the DNA does not hold the gene."""
    start = start_of(ordering.dna, wild_type) if ordering.dna else 0
    return [_oligo(name, start, ordering) for name in sorted(set(names), key=parse)]
