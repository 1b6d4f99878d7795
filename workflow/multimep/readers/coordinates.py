"""Structures: CA positions of a chain in a PDB or mmCIF file, laid along the wild type by sequence alignment.

Formats: wwPDB, Atomic Coordinate Entry Format 3.3 (records ATOM, HETATM, ENDMDL) and the category atom_site of the
PDBx/mmCIF dictionary. The first model counts; of alternate locations that of the highest occupancy, the first
of equals.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from multimep.alignment import UNKNOWN, align
from multimep.readers.faults import Fault, SourceError
from multimep.readers.reader import Inputs, Text, decode
from multimep.structure import Structure

LEAST_IDENTITY = 0.9
"""Of the residues that stand against each other: a construct differs from its wild type by tags and a few mutations."""
LEAST_COVER = 0.5
"""Of the shorter of the two sequences that must stand identical: a handful of residues agree by chance."""

RESIDUES = 50_000
"""Of one chain, which is aligned with the wild type: no known protein is longer than titin's 35,000."""

_THREE = "ALA CYS ASP GLU PHE GLY HIS ILE LYS LEU MET ASN PRO GLN ARG SER THR VAL TRP TYR MSE SEC"
LETTER = dict(zip(_THREE.split(), "ACDEFGHIKLMNPQRSTVWYMC", strict=True))
"""Three-letter codes; selenomethionine and selenocysteine count as the residues that they stand for."""

_TOKEN = re.compile(r"'(?:[^']|'(?=\S))*'|\"(?:[^\"]|\"(?=\S))*\"|\S+")
_ATOM_SITE = "_atom_site."
NEEDED = (
    "group_PDB",
    "label_atom_id",
    "label_comp_id",
    "label_asym_id",
    "label_seq_id",
    "Cartn_x",
    "Cartn_y",
    "Cartn_z",
)
"""Items of atom_site without which no CA position can be read."""


@dataclass(frozen=True)
class Atom:
    """One CA atom: the line that it stands on, its chain, its residue's number with insertion code, and where it is."""

    line: int
    chain: str
    residue: str
    number: str
    occupancy: float
    position: tuple[float, float, float]


@dataclass(frozen=True)
class Fit:
    """A chain laid along the wild type: how many residues stand against each other, and how many of them agree."""

    chain: str
    letters: str
    pairs: list[tuple[int, int]]
    identical: int


def read_structure(inputs: Inputs, file: Text, wild_type: str, chain: str = "") -> tuple[Structure, str]:
    """The structure of the wild type, and a note for the record; without `chain` that of most identical residues.

    Raises SourceError for lines that are no atoms, no such chain, and a chain of another protein.
    """
    chains = _chains(inputs, file)
    if chain and chain not in chains:
        raise inputs.refuse(file.name, f"no CA atoms of chain {chain!r}; it has the chains {', '.join(chains)}")
    fits = [_fit(name, atoms, wild_type) for name, atoms in chains.items() if chain in ("", name)]
    best = max(fits, key=lambda fit: fit.identical)
    _check_identity(inputs, file, best, wild_type)
    positions, atoms = np.full((len(wild_type), 3), np.nan), chains[best.chain]
    for here, there in best.pairs:
        positions[here] = atoms[there].position
    note = (
        f"structure: chain {best.chain or '(unnamed)'} of {file.name}, CA positions of {len(best.pairs)} of "
        f"{len(wild_type)} residues, {len(best.pairs) - best.identical} of them another residue than the wild type's"
    )
    return Structure(positions), note


def _fit(name: str, atoms: list[Atom], wild_type: str) -> Fit:
    letters = "".join(LETTER.get(atom.residue, UNKNOWN) for atom in atoms)
    pairs = align(wild_type, letters)
    return Fit(name, letters, pairs, sum(wild_type[here] == letters[there] for here, there in pairs))


def _check_identity(inputs: Inputs, file: Text, fit: Fit, wild_type: str) -> None:
    shorter = min(len(fit.letters), len(wild_type))
    if fit.identical < max(LEAST_IDENTITY * len(fit.pairs), LEAST_COVER * shorter, 1):
        raise inputs.refuse(
            file.name,
            f"its best chain {fit.chain} is another protein: {fit.identical} of {len(fit.pairs)} aligned residues "
            f"agree with the wild type, {shorter} could; give the structure of this protein",
        )


def _chains(inputs: Inputs, file: Text) -> Mapping[str, list[Atom]]:
    """CA atoms of the first model, one per residue, by chain, in the order of the file."""
    lines = decode(inputs, file).splitlines()
    cif = any(line.startswith("data_") for line in lines[:200])
    found: dict[str, dict[str, Atom]] = {}
    try:
        for atom in _cif_atoms(lines) if cif else _pdb_atoms(lines):
            place = found.setdefault(atom.chain, {})
            if atom.number not in place or atom.occupancy > place[atom.number].occupancy:
                place[atom.number] = atom
    except _LineError as error:
        raise SourceError(inputs.dataset, [Fault(file.name, error.line, error.text, str(error))]) from error
    longest = max(found, key=lambda chain: len(found[chain]), default="")
    if found and len(found[longest]) > RESIDUES:
        raise inputs.refuse(file.name, f"chain {longest} has more than {RESIDUES} residues; give one protein alone")
    if not found:
        raise inputs.refuse(file.name, "no CA atoms; give a PDB or mmCIF file of the protein")
    return {chain: list(atoms.values()) for chain, atoms in found.items()}


class _LineError(ValueError):
    """A line that is no atom."""

    def __init__(self, line: int, text: str, reason: str) -> None:
        self.line, self.text = line, text
        super().__init__(reason)


def _pdb_atoms(lines: list[str]) -> Iterator[Atom]:
    for number, line in enumerate(lines, start=1):
        if line.startswith("ENDMDL"):
            return
        # " CA " is carbon alpha, "CA  " calcium; HETATM: modified residues, kept where they are one of LETTER
        if line[12:16] == " CA " and (line.startswith("ATOM  ") or (line.startswith("HETATM") and _modified(line))):
            cells = (line[30:38], line[38:46], line[46:54])
            occupancy = line[54:60].strip() or "1"
            yield _atom(number, line, line[21:22].strip(), line[17:20].strip(), line[22:27].strip(), occupancy, *cells)


def _modified(line: str) -> bool:
    return line[17:20] in LETTER


def _atom(line: int, text: str, chain: str, residue: str, number: str, occupancy: str, *cells: str) -> Atom:
    try:
        x, y, z = map(float, cells)
        atom = Atom(line, chain, residue, number, float(occupancy), (x, y, z))
    except ValueError as error:
        raise _LineError(line, text.strip(), f"no position of an atom ({error})") from error
    if not np.isfinite(atom.position).all():
        raise _LineError(line, text.strip(), "a position that is not finite")
    return atom


def _cif_atoms(lines: list[str]) -> Iterator[Atom]:
    model = None
    for line, text, row in _cif_rows(lines):
        model = model or row.get("pdbx_PDB_model_num", "1")
        residue = row["label_comp_id"]
        wanted = row["group_PDB"] == "ATOM" or residue in LETTER
        if not wanted or row["label_atom_id"] != "CA" or row.get("pdbx_PDB_model_num", "1") != model:
            continue
        chain = row.get("auth_asym_id", row["label_asym_id"])
        code = row.get("pdbx_PDB_ins_code", "?").strip("?.")
        number = row.get("auth_seq_id", row["label_seq_id"]) + code
        occupancy = row.get("occupancy", "1").replace("?", "1")
        yield _atom(line, text, chain, residue, number, occupancy, row["Cartn_x"], row["Cartn_y"], row["Cartn_z"])


def _cif_rows(lines: list[str]) -> Iterator[tuple[int, str, dict[str, str]]]:
    """Line, text and cells by item of each row of the loop atom_site."""
    items: list[str] = []
    for number, line in enumerate(lines, start=1):
        if line.startswith(_ATOM_SITE):
            items.append(line.split()[0].removeprefix(_ATOM_SITE))
        elif items and line.startswith(("#", "_", "loop_", "data_")):
            return
        elif items and line.strip():
            missing = [item for item in NEEDED if item not in items]
            cells = [token.strip("'\"") if token[0] in "'\"" else token for token in _TOKEN.findall(line)]
            if missing or len(cells) != len(items):
                reason = f"no item {missing[0]}" if missing else f"{len(cells)} cells for {len(items)} items"
                raise _LineError(number, line.strip(), f"{reason} of atom_site")
            yield number, line, dict(zip(items, cells, strict=True))
