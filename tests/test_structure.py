"""Structures: PDB and mmCIF say the same; every trap of the formats; laid along the wild type or refused."""

import itertools

import numpy as np
import pytest

from multimep import alignment, families
from multimep.alignment import align, scores
from multimep.mutations import AMINO_ACIDS
from multimep.readers.coordinates import LETTER, read_structure
from multimep.readers.faults import SourceError
from multimep.readers.reader import Inputs, Text
from multimep.structure import FAR, Structure, StructureError, from_lines

WILD_TYPE = "MKTAYIAKQRQISFVKSHFSRQ"
THREE = {letter: code for code, letter in reversed(LETTER.items())}


def positions(length: int = len(WILD_TYPE), seed: int = 0) -> np.ndarray:
    return np.round(np.random.default_rng(seed).normal(scale=8, size=(length, 3)), 3)


def pdb_line(serial, residue, number, xyz, chain="A", code=" ", alt=" ", occupancy=1.0, name=" CA ", record="ATOM"):
    x, y, z = xyz
    return (
        f"{record:<6}{serial:>5} {name}{alt}{residue:>3} {chain}{number:>4}{code}   "
        f"{x:8.3f}{y:8.3f}{z:8.3f}{occupancy:6.2f}{50:6.2f}          {name.strip()[0]:>2}"
    )


def pdb(sequence: str = WILD_TYPE, xyz: np.ndarray | None = None, first: int = 1, chain: str = "A") -> list[str]:
    places = positions(len(sequence)) if xyz is None else xyz
    rows = enumerate(zip(sequence, places, strict=True))
    return [pdb_line(row + 1, THREE[letter], first + row, place, chain) for row, (letter, place) in rows]


ITEMS = (
    "group_PDB id label_atom_id label_alt_id label_comp_id label_asym_id label_seq_id pdbx_PDB_ins_code Cartn_x "
    "Cartn_y Cartn_z occupancy auth_seq_id auth_asym_id pdbx_PDB_model_num"
)


def cif(lines: list[str], model: int = 1) -> list[str]:
    """The same atoms as mmCIF rows."""
    rows = []
    for line in lines:
        cells = [line[:6], line[6:11], line[12:16], line[16], line[17:20], "X", "1", line[26], line[30:38], line[38:46]]
        cells += [line[46:54], line[54:60], line[22:26], line[21], str(model)]
        rows.append(" ".join(cell.strip() or "?" for cell in cells))
    return rows


def cif_file(rows: list[str]) -> str:
    head = ["data_demo", "#", "loop_", *(f"_atom_site.{item}" for item in ITEMS.split())]
    return "\n".join([*head, *rows, "#", "loop_", "_other.a", "1", ""])


def read(text: str, wild_type: str = WILD_TYPE, chain: str = "", name: str = "demo.pdb"):
    return read_structure(Inputs("demo", {}), Text(name, text.encode()), wild_type, chain)


def test_pdb_and_mmcif_give_the_positions_that_were_written():
    for text in ("\n".join(pdb()), cif_file(cif(pdb()))):
        structure, note = read(text)
        np.testing.assert_array_equal(structure.coordinates, positions())
        assert "22 of 22 residues, 0 of them another residue" in note


def test_residues_that_the_file_lacks_have_no_position():
    kept = [line for row, line in enumerate(pdb()) if not 5 <= row < 11]
    structure, note = read("\n".join(kept))
    np.testing.assert_array_equal(structure.known, [not 5 <= row < 11 for row in range(22)])
    np.testing.assert_array_equal(structure.coordinates[structure.known], positions()[structure.known])
    assert "CA positions of 16 of 22" in note


def test_only_the_first_model_counts():
    moved = pdb(xyz=positions(seed=1))
    text = "\n".join(["MODEL        1", *pdb(), "ENDMDL", "MODEL        2", *moved, "ENDMDL"])
    for content in (text, cif_file([*cif(pdb()), *cif(moved, model=2)])):
        np.testing.assert_array_equal(read(content)[0].coordinates, positions())


def test_of_alternate_locations_the_most_occupied_counts_and_the_first_of_equals():
    lines, here = pdb(), positions()
    other = here[3] + 1
    for occupancies, expected in (((0.4, 0.6), other), ((0.5, 0.5), here[3]), ((0.6, 0.4), here[3])):
        pair = [
            pdb_line(4, "ALA", 4, xyz, alt=alt, occupancy=occupancy)
            for alt, xyz, occupancy in zip("AB", (here[3], other), occupancies, strict=True)
        ]
        changed = [*lines[:3], *pair, *lines[4:]]
        for text in ("\n".join(changed), cif_file(cif(changed))):
            np.testing.assert_allclose(read(text)[0].coordinates[3], expected)


def test_an_insertion_code_makes_another_residue():
    lines = pdb()
    lines[4] = pdb_line(5, "TYR", 4, positions()[4], code="A")
    for text in ("\n".join(lines), cif_file(cif(lines))):
        np.testing.assert_array_equal(read(text)[0].coordinates, positions())


def test_calcium_is_no_carbon_and_selenomethionine_is_methionine():
    ion = pdb_line(99, "CA", 99, (0, 0, 0), name="CA  ", record="HETATM")
    lines = [pdb_line(1, "MSE", 1, positions()[0], record="HETATM"), *pdb()[1:], ion]
    structure, note = read("\n".join(lines))
    np.testing.assert_array_equal(structure.coordinates, positions())
    assert "0 of them another residue" in note


def test_the_numbering_of_the_file_and_a_longer_chain_do_not_matter():
    tagged = pdb("GSHMG" + WILD_TYPE + "LEHHHHHH", positions(35), first=-4)
    np.testing.assert_array_equal(read("\n".join(tagged))[0].coordinates, positions(35)[5:27])


def test_the_chain_of_most_common_residues_is_taken_unless_one_is_named():
    partner = pdb("GSSGSSGLLEEDPRRVVWWC", positions(20, 1), chain="A")
    lines = [*partner, *pdb(chain="B"), *pdb(xyz=positions(seed=2), chain="C")]
    np.testing.assert_array_equal(read("\n".join(lines))[0].coordinates, positions())
    np.testing.assert_array_equal(read("\n".join(lines), chain="C")[0].coordinates, positions(seed=2))
    with pytest.raises(SourceError, match="no CA atoms of chain 'D'; it has the chains A, B, C"):
        read("\n".join(lines), chain="D")
    with pytest.raises(SourceError, match="its best chain A is another protein"):
        read("\n".join(lines), chain="A")


def test_mutated_residues_are_counted_and_another_protein_is_refused():
    mutated = "MKTAYIAKQRQISFVKSHFSRA"
    assert "1 of them another residue" in read("\n".join(pdb(mutated)))[1]
    scrambled = "".join(np.random.default_rng(0).permutation(list(WILD_TYPE)))
    with pytest.raises(SourceError, match=r"is another protein: .* agree with the wild type, 22 could"):
        read("\n".join(pdb(scrambled)))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "no CA atoms; give a PDB or mmCIF file"),
        (
            "\n".join([*pdb()[:2], pdb()[2].replace(f"{positions()[2][0]:8.3f}", "   x.yyy")]),
            "demo.pdb line 3: no posit",
        ),
        (
            "\n".join([pdb()[0].replace(f"{positions()[0][0]:8.3f}", "     nan")]),
            "line 1: a position that is not finite",
        ),
        (cif_file(cif(pdb())[:1]).replace(" 1\n#", "\n#"), "line 19: 14 cells for 15 items of atom_site"),
        (cif_file(cif(pdb())).replace("_atom_site.Cartn_y", "_atom_site.other"), "no item Cartn_y of atom_site"),
    ],
)
def test_what_is_no_structure_is_refused_with_its_line(text, words):
    with pytest.raises(SourceError, match=words):
        read(text)


def test_a_structure_survives_its_text():
    xyz = positions()
    xyz[[0, 7, 8]] = np.nan
    found = from_lines(Structure(xyz).lines)
    np.testing.assert_array_equal(found.coordinates, xyz)
    with pytest.raises(StructureError, match="no CA positions"):
        from_lines(["1 2 3", "1 2"])


@pytest.mark.wrong_shapes
def test_half_a_position_and_none_at_all_are_refused():
    half = positions()
    half[2, 1] = np.nan
    for wrong in (half, np.full((4, 3), np.nan)):
        with pytest.raises(StructureError, match="three finite coordinates or none"):
            Structure(wrong)
    with pytest.raises(StructureError, match=r"shape \(residues, 3\), not \(4, 2\)"):
        Structure(np.zeros((4, 2)))


def test_distances_are_those_of_the_slow_double_loop_and_what_has_no_position_is_far_from_all():
    xyz = positions(6)
    xyz[[1, 4]] = np.nan
    found = Structure(xyz).distances
    for i, j in itertools.product(range(6), repeat=2):
        if i == j:
            assert found[i, j] == 0
        elif {1, 4} & {i, j}:
            assert found[i, j] >= FAR
        else:
            assert found[i, j] == pytest.approx(np.linalg.norm(xyz[i] - xyz[j]))
    for rate in (1e-3, 0.1, 1.0):
        assert np.linalg.eigvalsh(np.exp(-rate * found)).min() > -1e-12


def test_neighbours_are_counted_within_ten_angstrom():
    xyz = np.array([[0.0, 0, 0], [9.9, 0, 0], [19.8, 0, 0], [np.nan] * 3])
    np.testing.assert_array_equal(Structure(xyz).neighbours, [1, 2, 1, np.nan])


def test_a_crop_without_any_position_is_refused():
    xyz = positions(6)
    xyz[:3] = np.nan
    assert len(Structure(xyz).crop(3, 5)) == 3
    with pytest.raises(StructureError, match="no CA position from 1 to 3"):
        Structure(xyz).crop(1, 3)


def slow_best(one: str, other: str) -> float:
    """The best score over all alignments, gap by gap; gaps at the ends are free."""
    table = np.zeros((len(one) + 1, len(other) + 1))
    for i, j in itertools.product(range(1, len(one) + 1), range(1, len(other) + 1)):
        pair = alignment._SCORES[AMINO_ACIDS.index(one[i - 1]), AMINO_ACIDS.index(other[j - 1])]
        ups = [table[i - g, j] - 11 - g for g in range(1, i + 1)]
        lefts = [table[i, j - g] - 11 - g for g in range(1, j + 1)]
        table[i, j] = max(table[i - 1, j - 1] + pair, *ups, *lefts)
    return float(max(table[-1].max(), table[:, -1].max()))


@pytest.mark.parametrize("seed", range(8))
def test_the_alignment_is_the_best_one_and_its_identity_that_of_the_families(seed):
    random = np.random.default_rng(seed)
    one = "".join(random.choice(list(AMINO_ACIDS), 40))
    rest = [letter if random.random() > 0.2 else str(random.choice(list(AMINO_ACIDS))) for letter in one]
    other = "".join(rest[:12] + rest[12 + 3 * (seed % 4) :]) + "GGG"
    pairs = align(one, other)
    assert all(a < c and b < d for (a, b), (c, d) in itertools.pairwise(pairs))
    inner = [(c - a - 1, d - b - 1) for (a, b), (c, d) in itertools.pairwise(pairs)]
    gaps = sum(11 + gap for step in inner for gap in step if gap)
    total = sum(alignment._score(one[i], other[j]) for i, j in pairs) - gaps
    table = scores(one, other)
    assert total == slow_best(one, other) == max(table[-1].max(), table[:, -1].max())
    same = sum(one[i] == other[j] for i, j in pairs) / min(len(one), len(other))
    assert same == pytest.approx(families.identity(one, other), abs=0.051)  # of equal scores it takes most identities
