"""Datasets as a study names them: each source fetched or found, read, cropped, replicates averaged, and recorded."""

import lzma
import struct
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote

import pydantic

from multimep import addresses
from multimep.dataset import Dataset, Record
from multimep.documents import content
from multimep.readers import lineage, table
from multimep.readers.coordinates import read_structure
from multimep.readers.faults import refusal
from multimep.readers.measurements import Reading, crop, merge
from multimep.readers.reader import Columns, Inputs, Text
from multimep.seals import checksum
from multimep.simulation import PROTEINS, Simulation, SimulationError, simulate

SIMULATION = "simulation"
MEMBER_LIMIT = 1 << 30
"""Bytes of one unpacked zip member, as of a file that is not packed: far below a cluster node's memory."""


class SpecError(ValueError):
    """A study's words for a source that cannot be followed; the message says which keys to change."""


@dataclass(frozen=True)
class File:
    """Where one input file is.

    Attributes:
        url: https address (http only through a mirror); needs sha256.
        path: local file instead, absolute or relative to the study's config file.
        sha256: 64 hexadecimal digits; for a local file optional, but checked where given.
        member: path inside the zip that url or path names.
    """

    url: str = ""
    path: str = ""
    sha256: str = ""
    member: str = ""

    def __post_init__(self) -> None:
        """Refuse a file that is nowhere or in two places, and a URL without a checksum."""
        if bool(self.url) == bool(self.path):
            raise SpecError(f"a file has either url: or path:, got url: {self.url!r} and path: {self.path!r}")
        addresses.check(self.url)
        if self.url and not self.sha256:
            raise SpecError(f"{self.url}: state its sha256: so that a changed file is noticed")

    @property
    def place(self) -> str:
        """The public URL or the path as written in the config, and the member: the file's name in the record."""
        return (self.url or self.path) + (f"#{self.member}" if self.member else "")

    @property
    def name(self) -> str:
        """The last part of the place, for messages."""
        return PurePosixPath(self.member or unquote(addresses.split(self.url).path) or self.path).name


@dataclass(frozen=True)
class Source:
    """How a dataset is read.

    Attributes:
        reader: one of READERS, or simulation.
        files: role -> file; every reader wants `variants` (lineage_e: train, validation, test); `wild_type` is FASTA,
            plain text, or DNA where the reader says so.
        wild_type: the literal sequence where no file has it.
        offset: added to every position of the source: 1 for files that count from 0.
        region: first and last position kept (from 1, after the offset); crops the wild type and renumbers from 1.
        delimiter: of the table; empty for the reader's own.
        columns: header names that differ from the reader's own.
        structure: PDB or mmCIF file of the wild type (before `region`), whose CA positions methods may use.
        chain: of that file; empty for the one that has most residues in common with the wild type.
        options: settings of the simulation (see simulation.Simulation).
    """

    reader: str
    files: Mapping[str, File] = field(default_factory=dict)
    wild_type: str = ""
    offset: int = 0
    region: tuple[int, int] | None = None
    delimiter: str = ""
    columns: Columns = field(default_factory=Columns)
    structure: File | None = None
    chain: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse an unknown reader, missing or unknown files, and keys that the reader would not look at."""
        if self.reader == SIMULATION:
            read = (self.files, self.wild_type, self.offset, self.region, self.delimiter, self.columns, self.structure)
            if read != ({}, "", 0, None, "", Columns(), None):
                raise SpecError("a simulation takes options: and nothing else under source:")
            return
        if self.reader not in READERS:
            raise SpecError(f"no reader {self.reader!r}; choose one of {', '.join([*READERS, SIMULATION])}")
        roles = set(READERS[self.reader].roles)
        missing, unknown = sorted(roles - set(self.files)), sorted(set(self.files) - roles - {"wild_type"})
        if missing or unknown:
            raise SpecError(f"reader {self.reader} lacks the files {missing} and does not know {unknown}")
        if self.options:
            raise SpecError(f"options belong to the reader {SIMULATION}, not to {self.reader}: {sorted(self.options)}")
        if self.chain and self.structure is None:
            raise SpecError(f"chain: {self.chain} is of no file; name the file under structure:")


@dataclass(frozen=True)
class DatasetSpec:
    """One dataset of a study.

    Attributes:
        source: how it is read.
        group: type of protein (enzyme, binding, ...).
        target: what was measured.
        unit: of the target.
        higher_is_better: False where a lower value is the better mutant.
        licence, citation: as the source states them.
    """

    source: Source
    group: str = "ungrouped"
    target: str = "fitness"
    unit: str = ""
    higher_is_better: bool = True
    licence: str = ""
    citation: str = ""


@dataclass(frozen=True)
class Reader:
    """A layout of source files: the roles that it needs beside wild_type, and how they are read."""

    roles: tuple[str, ...]
    read: Callable[[Inputs], Reading]


READERS: Mapping[str, Reader] = {
    "multimep": Reader(("variants",), table.read_multimep),
    "proteingym": Reader(("variants",), table.read_proteingym),
    "transmep": Reader(("variants",), table.read_transmep),
    "lineage_a": Reader(("variants",), lineage.read_a),
    "lineage_b": Reader(("variants",), lineage.read_b),
    "lineage_c": Reader(("variants",), lineage.read_c),
    "lineage_d": Reader(("variants",), lineage.read_d),
    "lineage_e": Reader(("train", "validation", "test"), lineage.read_e),
}


def collect(name: str, spec: DatasetSpec, cache: Path, mirror: str | None, root: Path) -> tuple[Dataset, Record]:
    """Fetch or find the source of the dataset `name`, read it and record what was done; writes nothing but `cache`.

    Args:
        name: of the dataset.
        spec: what the study says of it.
        cache: folder of downloaded files (see downloads.fetch).
        mirror: replaces scheme and host of every URL, or None.
        root: folder of the study's config file, which relative paths start from.

    Raises:
        SourceError: bad input, with every bad row.
        DownloadError: a file that could not be had.
        SimulationError: settings that cannot be simulated.
    """
    if spec.source.reader == SIMULATION:
        return _simulated(name, spec)
    source = spec.source
    paths = {role: _locate(name, file, cache, mirror, root) for role, file in source.files.items()}
    files = {role: Text(file.name, _content(name, file, paths[role])) for role, file in source.files.items()}
    inputs = Inputs(name, files, source.wild_type, source.offset, source.delimiter, source.columns)
    read = READERS[source.reader].read(inputs)
    sha256 = {file.place: checksum(paths[role]) for role, file in source.files.items()}
    if source.structure is not None:
        place = _locate(name, source.structure, cache, mirror, root)
        read = _with_structure(read, inputs, source, place)
        sha256[source.structure.place] = checksum(place)
    kept = read if source.region is None else crop(name, read, source.region)
    dataset, notes = merge(name, kept, spec.group, spec.higher_is_better)
    record = _record(dataset, spec, _counts(read, kept, dataset))
    return dataset, replace(record, dropped=kept.dropped, sha256=sha256, notes=notes)


def _with_structure(read: Reading, inputs: Inputs, source: Source, place: Path) -> Reading:
    file = source.structure or File(path=str(place))
    text = Text(file.name, _content(inputs.dataset, file, place))
    structure, note = read_structure(inputs, text, read.wild_type, source.chain)
    return replace(read, structure=structure, notes=(*read.notes, note))


def simulation_of(name: str, spec: DatasetSpec) -> Simulation:
    """The options of a simulated source; raises SimulationError that names a wrong one."""
    options, known = dict(spec.source.options), Simulation.__dataclass_fields__
    faults = [f"option {key}: unknown" for key in options if key not in known]
    if not faults:
        try:
            return pydantic.TypeAdapter(Simulation).validate_python(options)
        except pydantic.ValidationError as error:
            faults = [" ".join(["option", *map(str, one["loc"]), one["msg"]]) for one in error.errors()]
    raise SimulationError(f"{name}: {'; '.join(faults)}; known options: {', '.join(known)}")


def _simulated(name: str, spec: DatasetSpec) -> tuple[Dataset, Record]:
    settings = simulation_of(name, spec)
    scan = simulate(name, spec.group, settings)
    dataset = Dataset(scan.variants, scan.fitness, scan.std, scan.replicates, spec.group, spec.higher_is_better)
    counts = {"rows_read": 0, "rows_dropped": 0, "variants": len(dataset), "replicates_averaged": 0}
    note = f"simulated by multimep, not measured: {settings}"
    protein = PROTEINS[settings.protein]
    sequence = f"wild type: UniProt {protein.accession} {protein.first}-{protein.last}, {protein.note}"
    record = replace(_record(dataset, spec, counts), simulated=True, notes=(note,))
    return dataset, replace(record, citation=spec.citation or sequence, licence=spec.licence or "MIT (simulated)")


def _counts(read: Reading, kept: Reading, dataset: Dataset) -> dict[str, int]:
    """Rows of the source, rows left out, variants, and rows beyond the first of their genotype."""
    return {
        "rows_read": len(read.measurements) + sum(read.dropped.values()),
        "rows_dropped": sum(kept.dropped.values()),
        "variants": len(dataset),
        "replicates_averaged": len(kept.measurements) - len(dataset),
    }


def _record(dataset: Dataset, spec: DatasetSpec, counts: Mapping[str, int]) -> Record:
    depths = Counter(map(int, dataset.variants.depths))
    return Record(
        dataset.name,
        dataset.group,
        dataset.wild_type,
        dataset.higher_is_better,
        spec.target,
        spec.unit,
        counts,
        {str(depth): depths[depth] for depth in sorted(depths)},
        licence=spec.licence,
        citation=spec.citation,
        structure=() if dataset.variants.structure is None else dataset.variants.structure.lines,
    )


def _locate(name: str, file: File, cache: Path, mirror: str | None, root: Path) -> Path:
    if file.url:
        from multimep.downloads import fetch  # noqa: PLC0415 (only this path needs the network)

        downloaded: Path = fetch(file.url, file.sha256, cache, mirror)
        return downloaded
    path = root / Path(file.path).expanduser()
    if not path.is_file():
        start = "" if Path(file.path).is_absolute() else f" ({path}); paths start from the folder of the config file"
        raise refusal(name, file.path, f"no such file{start}")
    if file.sha256 and checksum(path) != file.sha256.lower():
        raise refusal(name, file.path, f"sha256 is {checksum(path)}, the config says {file.sha256}")
    return path


def _content(name: str, file: File, path: Path) -> bytes:
    return _member(name, file, path) if file.member else content(path)


def _member(name: str, file: File, path: Path) -> bytes:
    """One member of a zip, unpacked in memory: no path of the archive ever reaches the disk."""
    try:
        with zipfile.ZipFile(path) as archive:
            if file.member not in archive.namelist():
                shown = ", ".join(archive.namelist()[:10])
                raise refusal(name, file.place, f"no member {file.member!r}; the archive has {shown}")
            info = archive.getinfo(file.member)
            if info.flag_bits & 1 or info.file_size > MEMBER_LIMIT:
                raise refusal(name, file.place, f"encrypted, or larger than {MEMBER_LIMIT} bytes; unpack it yourself")
            with archive.open(info) as stream:
                return stream.read(MEMBER_LIMIT)
    except (zipfile.BadZipFile, zlib.error, lzma.LZMAError, NotImplementedError, EOFError, struct.error) as error:
        raise refusal(name, file.place, f"not a readable zip ({error}); fetch or make it again") from error
