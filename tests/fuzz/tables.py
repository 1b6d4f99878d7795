"""Tables of variants as people hand them in: CSV, TSV, semicolons, Excel; a wild type as FASTA; lists of candidates."""

import io
import zipfile

import numpy as np

from fuzz.target import Target, file
from multimep.candidates import read_variants
from multimep.documents import DocumentError
from multimep.inspection import InspectionError, inspect, summary, table_of
from multimep.mutations import apply
from multimep.readers import table
from multimep.readers.faults import SourceError
from multimep.readers.measurements import merge
from multimep.readers.reader import Columns, Inputs, Text, protein, sequence
from multimep.variants import DatasetError

WILD_TYPE = "MKTAYIAKQR"
READERS = (table.read_multimep, table.read_proteingym, table.read_transmep)
_MAIN = 'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'
_LINK = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
BOOK = f'<workbook {_MAIN} xmlns:r="{_LINK}"><sheets><sheet name="a" sheetId="1" r:id="r1"/></sheets></workbook>'
LINKS = '<Relationships><Relationship Id="r1" Target="worksheets/sheet1.xml"/></Relationships>'
SHEET = (
    f'<worksheet {_MAIN}><sheetData><row r="1"><c r="A1" t="s"><v>0</v></c><c r="B1" t="inlineStr"><is><t>fitness</t>'
    '</is></c></row><row r="2"><c r="A2" t="s"><v>1</v></c><c r="B2"><v>1.5</v></c></row></sheetData></worksheet>'
)
STRINGS = f"<sst {_MAIN}><si><t>mutant</t></si><si><r><t>M1</t></r><r><t>A</t></r></si></sst>"


def workbook(sheet: bytes, strings: bytes) -> bytes:
    """An Excel workbook with these two parts."""
    found = io.BytesIO()
    with zipfile.ZipFile(found, "w") as archive:
        archive.writestr("xl/workbook.xml", BOOK)
        archive.writestr("xl/_rels/workbook.xml.rels", LINKS)
        archive.writestr("xl/worksheets/sheet1.xml", sheet)
        if strings:
            archive.writestr("xl/sharedStrings.xml", strings)
    return found.getvalue()


def _accepted(wild_type: str, mutants: tuple[str, ...]) -> None:
    for mutant, genotype in zip(mutants, map(table.parse, mutants), strict=True):
        assert len(apply(genotype, wild_type)) == len(wild_type), mutant


def _measured(reader: int, content: bytes) -> None:
    read = READERS[reader % len(READERS)]
    inputs = Inputs("set", {"variants": Text("set.csv", content)}, "" if reader == 1 else WILD_TYPE)
    data, _ = merge("set", read(inputs), "ungrouped", True)
    assert np.isfinite(data.fitness).all() and (data.replicates >= 1).all()
    _accepted(data.wild_type, data.variants.mutants)


def _checked(name: str, content: bytes) -> None:
    found = inspect(table_of(file(name, content), WILD_TYPE, Columns()))
    assert summary(found) and np.isfinite(found.dataset.fitness).all()
    _accepted(WILD_TYPE, found.dataset.variants.mutants)


def _wild_type(content: bytes) -> None:
    inputs = Inputs("set", {"wild_type": Text("set.fasta", content)})
    assert set(protein(inputs, sequence(inputs))) <= set("ACDEFGHIKLMNPQRSTVWY")


def _candidates(content: bytes) -> None:
    found = read_variants("set", WILD_TYPE, file("candidates.csv", content))
    assert len(set(found.mutants)) == len(found)
    _accepted(WILD_TYPE, found.mutants)


def read_text(data: bytes) -> None:
    """The first letter says which door the rest is given to."""
    door, content = data[:1], data[1:]
    if door in (b"0", b"1", b"2"):
        _measured(int(door), content)
    elif door == b"w":
        _wild_type(content)
    elif door == b"v":
        _candidates(content)
    else:
        _checked("own.csv", content)


def read_workbook(data: bytes) -> None:
    """The file itself, or a sheet and the shared texts, parted by two zero bytes."""
    sheet, _, strings = data.partition(b"\0\0")
    _checked("own.xlsx", data if data.startswith(b"PK") else workbook(sheet, strings))


REFUSED = (SourceError, InspectionError, DatasetError, DocumentError)
ROOMS = (
    "multimep.readers",
    "multimep.mutations",
    "multimep.inspection",
    "multimep.candidates",
    "multimep.variants",
    "multimep.dataset",
    "multimep.documents",
)
TEXT = Target(
    "tables",
    read_text,
    REFUSED,
    (
        b"0mutant,fitness,std,replicates,split_a,covariate_b\nM1A,1.5,0.1,2,train,3\nK2R:T3D,-1,,1,test,4\n",
        b"1mutant,DMS_score,mutated_sequence\nM1A,1,AKTAYIAKQR\n",
        b"2mutations,y\nM1A+K2C,1\n,2\n",
        b"cvariant;score\nM1A;1\nK2R;2\n",
        b"csequence\tactivity\nMKTAYIAKQC\t1e3\n",
        b"w>one\nMKTAY\nIAKQR\n",
        b"vmutant,covariate_x\nM1A,1\nM1C,2\n",
        b'0mutant,fitness\n"M1A:K2C",1\n"M1\nA",2\n',
        b"0mutant,fitness\nM1A,nan\n",
        b"0mutant,fitness,replicates\nM1A,1," + b"9" * 400 + b"\n",
        b"\xef\xbb\xbfcmutant,fitness\r\nM1A,0x1p3\r\n",
    ),
    (
        b"mutant",
        b"fitness",
        b"std",
        b"replicates",
        b"split_",
        b"covariate_",
        b"sequence",
        b"DMS_score",
        b"mutations",
        b"mutated_sequence",
        b"train",
        b"test",
        b"M1A",
        b"K2R",
        b"WT",
        b"nan",
        b"1e999",
        b'"',
        b"\r\n",
        b";",
        b"\t",
        b"\0",
    ),
    ROOMS,
)
WORKBOOK = Target(
    "workbooks",
    read_workbook,
    REFUSED,
    (
        f"{SHEET}\0\0{STRINGS}".encode(),
        SHEET.replace("B1", "ZZZZZZ1").encode(),
        workbook(SHEET.encode(), STRINGS.encode()),
        f"{SHEET}\0\0{STRINGS}".encode().replace(b"<sst", b"<!DOCTYPE a [<!ENTITY b 'c'>]><sst"),
        b"<a/>",
    ),
    (
        b"<row",
        b"<c ",
        b' r="',
        b"<v>",
        b"</c>",
        b' t="s"',
        b"inlineStr",
        b"<is>",
        b"<t>",
        b"XFD1048576",
        b"sharedStrings",
    ),
    ROOMS,
)
