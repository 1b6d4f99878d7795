"""Which codon a host uses for a residue, and the genetic code.

Shares of the codons of a residue, from the Codon Usage Database (CUTG; Nakamura, Gojobori & Ikemura 2000,
doi:10.1093/nar/28.1.292, kazusa.or.jp/codon): Escherichia coli K-12 (taxon 316407), Saccharomyces cerevisiae (4932) and
Homo sapiens (9606), rounded to hundredths.
"""

from collections.abc import Mapping

STOP = "*"


class CodonError(ValueError):
    """A gene or a host that oligos cannot be written for; the message names it and the remedy."""


_CODONS = {
    "A": "GCA GCC GCG GCT", "C": "TGC TGT", "D": "GAC GAT", "E": "GAA GAG", "F": "TTC TTT", "G": "GGA GGC GGG GGT",
    "H": "CAC CAT", "I": "ATA ATC ATT", "K": "AAA AAG", "L": "CTA CTC CTG CTT TTA TTG", "M": "ATG", "N": "AAC AAT",
    "P": "CCA CCC CCG CCT", "Q": "CAA CAG", "R": "AGA AGG CGA CGC CGG CGT", "S": "AGC AGT TCA TCC TCG TCT",
    "T": "ACA ACC ACG ACT", "V": "GTA GTC GTG GTT", "W": "TGG", "Y": "TAC TAT", STOP: "TAA TAG TGA",
}  # fmt: skip
"""The standard genetic code (NCBI translation table 1)."""

_SHARES = {
    "e_coli": {
        "A": ".21 .27 .36 .16", "C": ".56 .44", "D": ".37 .63", "E": ".69 .31", "F": ".43 .57", "G": ".11 .41 .15 .34",
        "H": ".43 .57", "I": ".07 .42 .51", "K": ".76 .24", "L": ".04 .10 .50 .10 .13 .13", "M": "1", "N": ".55 .45",
        "P": ".19 .12 .53 .16", "Q": ".35 .65", "R": ".04 .02 .06 .40 .10 .38", "S": ".28 .15 .12 .15 .15 .15",
        "T": ".13 .44 .27 .16", "V": ".15 .22 .37 .26", "W": "1", "Y": ".43 .57", STOP: ".64 .07 .29",
    },
    "s_cerevisiae": {
        "A": ".29 .22 .11 .38", "C": ".37 .63", "D": ".35 .65", "E": ".70 .30", "F": ".41 .59", "G": ".22 .19 .12 .47",
        "H": ".36 .64", "I": ".27 .26 .46", "K": ".58 .42", "L": ".14 .06 .11 .13 .28 .29", "M": "1", "N": ".41 .59",
        "P": ".42 .15 .12 .31", "Q": ".69 .31", "R": ".48 .21 .07 .06 .04 .14", "S": ".11 .16 .21 .16 .10 .26",
        "T": ".30 .22 .14 .35", "V": ".21 .21 .19 .39", "W": "1", "Y": ".44 .56", STOP: ".47 .23 .30",
    },
    "human": {
        "A": ".23 .40 .11 .27", "C": ".54 .46", "D": ".54 .46", "E": ".42 .58", "F": ".54 .46", "G": ".25 .34 .25 .16",
        "H": ".58 .42", "I": ".17 .47 .36", "K": ".43 .57", "L": ".07 .20 .40 .13 .08 .13", "M": "1", "N": ".53 .47",
        "P": ".28 .32 .11 .29", "Q": ".27 .73", "R": ".21 .21 .11 .18 .20 .08", "S": ".24 .15 .15 .22 .05 .19",
        "T": ".28 .36 .11 .25", "V": ".12 .24 .46 .18", "W": "1", "Y": ".56 .44", STOP: ".30 .24 .47",
    },
}  # fmt: skip

RESIDUE: Mapping[str, str] = {codon: letter for letter, codons in _CODONS.items() for codon in codons.split()}
"""Codon -> residue, `*` for stop."""

HOSTS: Mapping[str, Mapping[str, Mapping[str, float]]] = {
    host: {
        letter: dict(zip(_CODONS[letter].split(), map(float, shares.split()), strict=True))
        for letter, shares in table.items()
    }
    for host, table in _SHARES.items()
}
"""Host -> residue -> codon -> share of that residue's codons."""


def best(host: str, residue: str) -> str:
    """The codon that the host uses most for a residue."""
    if host not in HOSTS:
        raise CodonError(f"no codon table of host {host!r}; choose one of {', '.join(HOSTS)}")
    shares = HOSTS[host][residue]
    return max(shares, key=lambda codon: shares[codon])


def translated(dna: str) -> str:
    """Residues of the whole codons of a sequence, `*` for stop and `?` for codons with other letters than ACGT."""
    return "".join(RESIDUE.get(dna[start : start + 3], "?") for start in range(0, len(dna) - 2, 3))


def start_of(dna: str, wild_type: str) -> int:
    """Where the gene of the wild type begins in `dna` (ACGT, upper case), which may have more at both ends.

    Raises CodonError for other letters and where the gene stands nowhere, or more than once.
    """
    wrong = sorted(set(dna) - set("ACGT"))
    if wrong:
        raise CodonError(f"dna: {wrong[0]!r} is not one of A, C, G, T; give the sequence of one strand, 5' to 3'")
    found = []
    for frame in range(3):
        protein = translated(dna[frame:])
        places = [place for place in range(len(protein)) if protein.startswith(wild_type, place)]
        found += [frame + 3 * place for place in places]
    if len(found) != 1:
        where = "in none of its three frames" if not found else f"at {len(found)} places"
        raise CodonError(f"dna: translates to the wild type ({len(wild_type)} residues) {where}; give its gene once")
    return found[0]


def reverse_complement(dna: str) -> str:
    """The other strand, 5' to 3'."""
    return dna.translate(str.maketrans("ACGT", "TGCA"))[::-1]
