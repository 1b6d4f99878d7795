"""The five files of the lineage study (Turakar/mutation-prediction), with the authors' own splits built again.

Their loaders shuffle all rows once, with numpy's PCG64 seeded by 42, and let the first three quarters (500 rows for D)
teach. Rows that the loaders invented are left out here, but counted where the shuffle counted them.
"""

import re
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from multimep.mutations import AMINO_ACIDS, Genotype, MutationError, apply, check, parse
from multimep.readers.faults import CellError, Fault, SourceError
from multimep.readers.measurements import Measurement, Reading
from multimep.readers.reader import (
    Columns,
    Inputs,
    Row,
    count,
    gather,
    number,
    protein,
    sequence,
    spread,
    table,
)

SEED = 42
TEACHING = 0.75
TEACHING_D = 500

_BASES = "TCAG"
_RESIDUES = "FFLLSSSSYY**CC*WLLLLPPPPHHQQRRRRIIIMTTTTNNKKSSRRVVVVAAAADDEEGGGG"
_CODONS = dict(zip((a + b + c for a in _BASES for b in _BASES for c in _BASES), _RESIDUES, strict=True))
_THREE_LETTERS = "Ala Cys Asp Glu Phe Gly His Ile Lys Leu Met Asn Pro Gln Arg Ser Thr Val Trp Tyr"
_ONE_LETTER = dict(zip(_THREE_LETTERS.split(), AMINO_ACIDS, strict=True))
_RESIDUE_AND_POSITION = re.compile(r"([A-Z][a-z]{2}) (\d+)")
_SUBSTITUTION_FROM_ZERO = re.compile(r"S([A-Z])(\d+)([A-Z])")
_SITES_OF_B = tuple(f"mutation_{site}" for site in range(1, 9))


def read_a(inputs: Inputs) -> Reading:
    """A: rhodopsin, absorption maximum in nm; `variant` (A1B/C2D or WT) and `lmax`; the wild type is DNA."""
    _plain(inputs)
    file, wild_type = inputs.file("variants"), translate(inputs, sequence(inputs))
    rows = table(inputs, file, ("variant", "lmax"))

    def read(row: Row) -> Measurement:
        return Measurement(_fitting(row["variant"].replace("/", ":"), wild_type), number(row["lmax"], "lmax"))

    return Reading(wild_type, _split("A75", gather(inputs, file, rows, read)))


def read_b(inputs: Inputs) -> Reading:
    """B: epoxide hydrolase, enantiomeric ratio E; eight cells such as `Phe 215`, `-` or empty (the wild type's)."""
    _plain(inputs)
    file, wild_type = inputs.file("variants"), protein(inputs, sequence(inputs))
    rows = table(inputs, file, (*_SITES_OF_B, "E"))

    def read(row: Row) -> Measurement:
        cells = [row[site].strip() for site in _SITES_OF_B]
        found = [_substitution(cell, wild_type) for cell in cells if cell not in ("", "-")]
        changed = [text for text in found if text[0] != text[-1]]
        return Measurement(_fitting(":".join(changed), wild_type), number(row["E"], "E"))

    return Reading(wild_type, _split("B75", gather(inputs, file, rows, read)))


def read_c(inputs: Inputs) -> Reading:
    """C: nitric oxide dioxygenase, ee/100 with the enantiomer as its sign; F46F in `Description` means unchanged.

    The study's loader puts a wild-type row with the value 0 first, which nobody measured: it is not kept.
    """
    _plain(inputs)
    file, wild_type = inputs.file("variants"), protein(inputs, sequence(inputs))
    rows = table(inputs, file, ("Sequence", "Description", "Data"))

    def read(row: Row) -> Measurement:
        changed = [part for part in row["Description"].strip().split("+") if part[:1] != part[-1:]]
        genotype = _fitting(":".join(changed), wild_type)
        if apply(genotype, wild_type) != row["Sequence"].strip():
            raise CellError(f"Sequence is not the wild type with {row['Description']}")
        return Measurement(genotype, number(row["Data"], "Data"))

    note = "the study's loader invents a wild-type row of value 0: left out here, but counted by its shuffle of C75"
    return Reading(wild_type, _split("C75", gather(inputs, file, rows, read), invented=1), notes=(note,))


def read_d(inputs: Inputs) -> Reading:
    """D: GFP without Met1, log10 brightness; `SA108D` counts from 0; the wild type is DNA; stop codons are dropped."""
    _plain(inputs)
    file, wild_type = inputs.file("variants"), translate(inputs, sequence(inputs))
    columns = ("aaMutations", "uniqueBarcodes", "medianBrightness", "std")
    rows = table(inputs, file, columns, delimiter="\t")
    kept = [row for row in rows if row.fault or "*" not in row["aaMutations"]]

    def read(row: Row) -> Measurement:
        return Measurement(
            _from_zero(row["aaMutations"], wild_type),
            number(row["medianBrightness"], "medianBrightness"),
            spread(row["std"]),
            count(row["uniqueBarcodes"]),
        )

    measurements = _split("Dr500", gather(inputs, file, kept, read), teaching=TEACHING_D)
    note = "positions count from 1 on the sequence without Met1 (the source counts from 0): Met1 numbering is one more"
    return Reading(wild_type, measurements, {"stop codon": len(rows) - len(kept)}, (note,))


def read_e(inputs: Inputs) -> Reading:
    """E: epoxide hydrolase, activation free energy difference in kcal/mol (lower is better), in three files.

    Positions above 256 stay as they are (the study's loader wraps them round).
    """
    _plain(inputs)
    wild_type = protein(inputs, sequence(inputs))

    def read(row: Row) -> Measurement:
        return Measurement(_fitting(row["mutations"].replace("_", ":"), wild_type), number(row["ddG"], "ddG"))

    parts: list[list[Measurement]] = []
    faults: list[Fault] = []
    for role in ("train", "validation", "test"):
        file = inputs.file(role)
        try:
            parts.append(gather(inputs, file, table(inputs, file, ("mutations", "ddG")), read))
        except SourceError as error:
            faults.extend(error.faults)
    if faults:
        raise SourceError(inputs.dataset, faults)
    measurements = [one for part in parts for one in part]
    return Reading(wild_type, _split("E75", measurements, unshuffled=len(parts[-1])))


def authors_order(n: int, unshuffled: int = 0) -> list[int]:
    """Rows in the study's order: all but the last `unshuffled` of the n rows permuted, those appended."""
    order = np.random.Generator(np.random.PCG64(SEED)).permutation(n - unshuffled)
    return [*map(int, order), *range(n - unshuffled, n)]


def translate(inputs: Inputs, bases: str) -> str:
    """The protein of a coding sequence (standard code, one final stop allowed)."""
    if len(bases) % 3:
        raise inputs.refuse("wild_type", f"{len(bases)} bases are not whole codons")
    residues = "".join(_CODONS.get(bases[start : start + 3], "?") for start in range(0, len(bases), 3))
    return protein(inputs, residues.removesuffix("*"))


def _plain(inputs: Inputs) -> None:
    if inputs.columns != Columns() or inputs.offset or inputs.delimiter:
        raise inputs.refuse("source", "this layout is fixed: take columns, offset and delimiter out of the config")


def _split(
    name: str, measurements: Sequence[Measurement], *, teaching: int = 0, invented: int = 0, unshuffled: int = 0
) -> tuple[Measurement, ...]:
    """The measurements with the study's split; `invented` rows stand before them in its shuffle."""
    n = len(measurements) + invented
    teach = set(authors_order(n, unshuffled)[: teaching or int(TEACHING * n)])
    sides = ("train" if row in teach else "test" for row in range(invented, n))
    return tuple(replace(one, splits={name: side}) for one, side in zip(measurements, sides, strict=True))


def _fitting(text: str, wild_type: str) -> Genotype:
    genotype = parse(text)
    check(genotype, wild_type)
    return genotype


def _substitution(cell: str, wild_type: str) -> str:
    """`Phe 215` as L215F: the reference is read off the wild type."""
    match = _RESIDUE_AND_POSITION.fullmatch(cell)
    if match is None or match[1] not in _ONE_LETTER:
        raise CellError(f"{cell!r} is not a residue with its position such as 'Phe 215'")
    position = int(match[2])
    if not 1 <= position <= len(wild_type):
        raise MutationError(f"{cell}: position outside the wild type (1 to {len(wild_type)})")
    return f"{wild_type[position - 1]}{position}{_ONE_LETTER[match[1]]}"


def _from_zero(text: str, wild_type: str) -> Genotype:
    parts = text.strip().split(":") if text.strip() else []
    matches = [_SUBSTITUTION_FROM_ZERO.fullmatch(part) for part in parts]
    found = [f"{match[1]}{int(match[2]) + 1}{match[3]}" for match in matches if match is not None]
    if len(found) != len(parts):
        raise CellError(f"{text!r} is not a list of substitutions such as SA108D:SN144D")
    return _fitting(":".join(found), wild_type)
