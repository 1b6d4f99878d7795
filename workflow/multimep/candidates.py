"""Variants that nobody has measured yet: all combinations of chosen residues at chosen sites, or those in a file."""

import hashlib
import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from multimep.documents import content, shown
from multimep.mutations import AMINO_ACIDS, Genotype, MutationError, apply, format_genotype, parse
from multimep.readers.faults import CellError, Fault, SourceError
from multimep.readers.reader import Inputs, Row, Text, header_of, number, rows, table
from multimep.variants import COVARIATE_PREFIX, Variants

LONGEST = 100_000
"""The last site that can be asked for: three times as far as the longest known protein, titin, reaches."""
MUTANT = "mutant"
TRANSMEP = "mutations"
"""What TransMEP calls that column."""


class CandidateError(ValueError):
    """Candidates that do not exist; the message says which words to change."""


@dataclass(frozen=True)
class Space:
    """All variants with `least` to `most` mutations that take one of the choices at each site that they mutate.

    Only the twenty amino acids can stand in it: selenocysteine has no codon that an ordered gene could rely on.

    Attributes:
        dataset, wild_type: as in Variants.
        choices: site, counted from 1 -> residues that may take its place, sorted; sites rise.
        least, most: number of mutations.
    """

    dataset: str
    wild_type: str
    choices: Mapping[int, str]
    least: int
    most: int

    def __post_init__(self) -> None:
        """Refuse sites and residues that the wild type cannot have, and a space without a variant."""
        for site, residues in self.choices.items():
            if not 1 <= site <= len(self.wild_type):
                raise CandidateError(f"site {site} lies outside the wild type (1 to {len(self.wild_type)})")
            wrong = [one for one in residues if one not in AMINO_ACIDS or one == self.wild_type[site - 1]]
            if wrong or not residues:
                raise CandidateError(f"site {site}: {wrong[0] if wrong else 'nothing'!r} is no residue to mutate to")
        if not 1 <= self.least <= self.most <= len(self.choices):
            raise CandidateError(
                f"{self.least} to {self.most} mutations at {len(self.choices)} sites: no such variant; choose more "
                "sites or fewer mutations"
            )

    @property
    def size(self) -> int:
        """How many variants there are, exactly."""
        # e_k(n_1 ... n_s), the elementary symmetric polynomials of the numbers of residues
        counts = [1, *[0] * self.most]
        for residues in self.choices.values():
            for depth in range(self.most, 0, -1):
                counts[depth] += counts[depth - 1] * len(residues)
        return sum(counts[self.least :])

    def __iter__(self) -> Iterator[str]:
        """Canonical texts, fewest mutations first, then by site and residue; nothing is held in memory."""
        for depth in range(self.least, self.most + 1):
            for sites in itertools.combinations(self.choices, depth):
                texts = [[f"{self.wild_type[site - 1]}{site}{new}" for new in self.choices[site]] for site in sites]
                yield from map(":".join, itertools.product(*texts))


def space(
    dataset: str, wild_type: str, sites: Iterable[int] = (), least: int = 1, most: int = 1, residues: str = AMINO_ACIDS
) -> Space:
    """All variants of so many mutations at the chosen sites (all sites if none is chosen) to the chosen residues."""
    chosen = sorted(set(sites)) or range(1, len(wild_type) + 1)
    strangers = sorted(set(residues) - set(AMINO_ACIDS))
    if strangers:
        raise CandidateError(f"residues: {strangers[0]!r} is not one of the twenty amino acids {AMINO_ACIDS}")
    outside = [site for site in chosen if not 1 <= site <= len(wild_type)]
    if outside:
        raise CandidateError(f"site {outside[0]} lies outside the wild type (1 to {len(wild_type)})")
    choices = {site: "".join(one for one in AMINO_ACIDS if one in residues and one != wild_type[site - 1])
               for site in chosen}  # fmt: skip
    return Space(dataset, wild_type, {site: found for site, found in choices.items() if found}, least, most)


def recombinations(dataset: str, wild_type: str, genotypes: Iterable[Genotype], least: int, most: int) -> Space:
    """All variants of so many of the mutations that these genotypes carry."""
    choices: dict[int, set[str]] = {}
    for one in {mutation for genotype in genotypes for mutation in genotype}:
        choices.setdefault(one.position, set()).add(one.substitute)
    rising = {site: "".join(sorted(choices[site])) for site in sorted(choices)}
    return Space(dataset, wild_type, rising, least, min(most, len(rising)))


def parse_sites(text: str) -> tuple[int, ...]:
    """The sites of a text such as ``3,17,20-24``, rising, each once; raises CandidateError for another text."""
    found: set[int] = set()
    for part in filter(None, (one.strip() for one in text.split(","))):
        first, dash, last = part.partition("-")
        if not _is_site(first) or (dash and not _is_site(last)):
            raise CandidateError(
                f"sites: {shown(part)} is neither a position nor a range (1 to {LONGEST}); write 3,17,20-24"
            )
        if dash and int(first) > int(last):
            raise CandidateError(f"sites: {part} has no site; write the smaller number first")
        found.update(range(int(first), int(last or first) + 1))
    if text.strip() and not found:
        raise CandidateError(f"sites: {shown(text)} names none; write 3,17,20-24, or nothing for all sites")
    return tuple(sorted(found))


def _is_site(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) <= len(str(LONGEST)) and 1 <= int(text) <= LONGEST


def blocks(dataset: str, wild_type: str, mutants: Iterable[str], size: int) -> Iterator[Variants]:
    """Runs of at most `size` variants, made when they are asked for."""
    texts = iter(mutants)
    while run := tuple(itertools.islice(texts, size)):
        yield Variants(dataset, wild_type, run)


def single_mutants(dataset: str, wild_type: str) -> Variants:
    """All 19 L single mutants of the wild type."""
    return Variants(dataset, wild_type, tuple(space(dataset, wild_type)))


def read_variants(dataset: str, wild_type: str, path: Path) -> Variants:
    """The columns `mutant` (or TransMEP's `mutations`) and `covariate_NAME` of a CSV, repeated genotypes once.

    Raises SourceError that lists every row it cannot read, and a genotype that is repeated with other covariates.
    """
    inputs, file = Inputs(dataset, {}), Text(str(path), content(path))
    header = header_of(inputs, file)
    columns = [name for name in header if name.startswith(COVARIATE_PREFIX)]
    mutant = _column(header)
    found: dict[str, list[float]] = {}
    faults = []
    for row in table(inputs, file, [mutant, *columns]):
        try:
            name, values = _name(row, mutant, wild_type), [number(row[column], column) for column in columns]
            _require_same(name, found.setdefault(name, values), values)
        except (MutationError, CellError) as error:
            faults.append(Fault(str(path), row.line, row.told, str(error)))
    if faults:
        raise SourceError(dataset, faults)
    cells = np.array(list(found.values()), dtype=np.float64).reshape(len(found), len(columns))
    covariates = {name.removeprefix(COVARIATE_PREFIX): cells[:, i] for i, name in enumerate(columns)}
    return Variants(dataset, wild_type, tuple(found), covariates)


def read_blocks(dataset: str, wild_type: str, path: Path, size: int) -> Iterator[Variants]:
    """As `read_variants`, in runs of at most `size`: the whole file is looked at before the first run is given.

    Memory holds the file's text and a checksum of each genotype, or all of it where there are covariates.
    """
    inputs, file = Inputs(dataset, {}), Text(str(path), content(path))
    header = header_of(inputs, file)
    if any(name.startswith(COVARIATE_PREFIX) for name in header):
        whole = read_variants(dataset, wild_type, path)
        return (whole.select(whole.mutants[at : at + size]) for at in range(0, len(whole), size))
    mutant, faults = _column(header), []
    for row in rows(inputs, file, [mutant]):
        try:
            _name(row, mutant, wild_type)
        except (MutationError, CellError) as error:
            faults.append(Fault(str(path), row.line, row.told, str(error)))
    if faults:
        raise SourceError(dataset, faults)
    names = (_name(row, mutant, wild_type) for row in rows(inputs, file, [mutant]))
    return blocks(dataset, wild_type, _distinct(names), size)


def _column(header: Sequence[str]) -> str:
    return TRANSMEP if TRANSMEP in header and MUTANT not in header else MUTANT


def _distinct(names: Iterable[str]) -> Iterator[str]:
    seen: set[bytes] = set()
    for name in names:
        mark = hashlib.blake2b(name.encode(), digest_size=12).digest()
        if mark not in seen:
            seen.add(mark)
            yield name


def _require_same(name: str, above: list[float], here: list[float]) -> None:
    if above != here:
        raise CellError(f"{name} stands above with other covariates; keep one of them")


def _name(row: Row, column: str, wild_type: str) -> str:
    if row.fault:
        raise CellError(f"{row.fault}; quote a mutant that contains the separator")
    genotype = parse(row[column])
    apply(genotype, wild_type)
    return format_genotype(genotype)
