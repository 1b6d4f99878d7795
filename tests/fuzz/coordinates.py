"""Coordinates: PDB and mmCIF."""

import numpy as np

from fuzz.target import Target
from multimep.readers.coordinates import NEEDED, read_structure
from multimep.readers.faults import SourceError
from multimep.readers.reader import Inputs, Text
from multimep.structure import StructureError, from_lines

WILD_TYPE = "MKTAY"
CODES = ("MET", "LYS", "THR", "ALA", "TYR")
PDB = "".join(
    f"ATOM  {place:5d}  CA  {code} A{place:4d}    {place * 3.8:8.3f}{0:8.3f}{0:8.3f}{1:6.2f}{0:6.2f}           C\n"
    for place, code in enumerate(CODES, start=1)
)
CIF = "data_x\nloop_\n" + "".join(f"_atom_site.{item}\n" for item in NEEDED)
CIF += (
    "".join(f"ATOM CA {code} A {place} {place * 3.8} 0.0 '1.0'\n" for place, code in enumerate(CODES, start=1)) + "#\n"
)


def read(data: bytes) -> None:
    """The first letter is the chain, or a space for any."""
    chain, content = data[:1].decode("ascii", "replace").strip(), data[1:]
    found, note = read_structure(Inputs("set", {}), Text("set.pdb", content), WILD_TYPE, chain)
    assert len(found) == len(WILD_TYPE) and note.startswith("structure: chain")
    assert (np.isfinite(found.coordinates).sum(axis=1) % 3 == 0).all()
    again = from_lines(found.lines)
    assert np.allclose(again.coordinates, found.coordinates, atol=6e-4, rtol=1e-9, equal_nan=True)
    assert np.isfinite(found.distances).all()


TARGET = Target(
    "coordinates",
    read,
    (SourceError, StructureError),
    (
        b" " + PDB.encode(),
        b"A" + CIF.encode(),
        b" " + PDB.replace("3.800", "  nan").encode(),
        b"B" + PDB.encode(),
        b" " + PDB.replace("   1.00", "1e300").encode(),
        b" data_\n_atom_site.x\n1 2\n",
    ),
    (
        b"ATOM  ",
        b"HETATM",
        b"ENDMDL\n",
        b" CA ",
        b"MET",
        b"_atom_site.",
        b"loop_",
        b"data_",
        b"#\n",
        b"'",
        b"1e999",
        b"nan",
        b"occupancy",
        b"pdbx_PDB_model_num",
        b"auth_asym_id",
        b"?",
    ),
    ("multimep.readers.coordinates", "multimep.structure", "multimep.alignment", "multimep.readers.faults"),
)
