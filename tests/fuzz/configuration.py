"""config.yaml, the settings of a plate with its gene, and addresses: words of people that become a study."""

import json
import math
from typing import Any

from fuzz.target import Target
from multimep import layout, settings
from multimep.addresses import AddressError
from multimep.codons import CodonError
from multimep.documents import DocumentError
from multimep.mutations import MutationError, apply
from multimep.oligos import Ordering, oligos, parts
from multimep.plate_rules import PlateError
from multimep.recommendation import Wishes
from multimep.simulation import SimulationError
from multimep.sources import SIMULATION, File, SpecError, simulation_of
from multimep.typed_values import SettingsError, build

WILD_TYPE = "MKTAYIAKQR"
GENE = "GGGATGAAAACCGCGTATATTGCGAAACAGCGTTAAGGG"
STUDY = b"""study: small
datasets:
  toy: {group: enzyme, source: {reader: multimep, wild_type: MKT, files: {variants: {path: toy.csv}}}}
  scan: {source: {reader: simulation, options: {protein: gb1}}}
splits:
  random: {scheme: random, folds: 3}
methods:
  additive:
  gp: {method: embedding_gp, features: one_hot}
"""


def _plain(value: Any) -> None:
    """What was accepted can be written as JSON, and its numbers are finite."""
    json.dumps(value, default=str).encode()
    if isinstance(value, float):
        assert math.isfinite(value)
    for one in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        _plain(one)


def _study(text: str) -> None:
    values = settings.parse(text, "config")
    _plain(values)
    found = settings.study(values)
    for name, spec in found.datasets.items():
        assert layout.prediction("s", "m", name).count("/") == 3 and ".." not in name.split("/")
        if spec.source.reader == SIMULATION:
            simulation_of(name, spec)
    assert list(layout.jobs(values)) is not None


def _wishes(text: str) -> None:
    found = build(Wishes, settings.parse(text, "--settings"), "--settings")
    assert math.isfinite(found.beta) and found.rules.most >= 0


def _oligos(text: str) -> None:
    name, _, dna = text.partition("\n")
    genotype = settings_genotype(name)
    made = oligos(parts(genotype, 15), WILD_TYPE, Ordering("e_coli", 15, dna))
    assert all(len(one.forward) == len(one.reverse) for one in made)


def settings_genotype(name: str) -> Any:
    """A genotype of the wild type."""
    from multimep.mutations import parse  # noqa: PLC0415

    genotype = parse(name)
    apply(genotype, WILD_TYPE)
    return genotype


def _file(text: str) -> None:
    found = build(File, settings.parse(text, "file"), "file")
    assert found.name == found.name.split("/")[-1]
    assert "@" not in found.place.split("?")[0].split("/")[2:3]


DOORS = {"w": _wishes, "o": _oligos, "f": _file}


def read(data: bytes) -> None:
    """The first letter says which door the rest is given to."""
    text = data.decode("utf-8", "replace")
    DOORS.get(text[:1], _study)(text[1:])


TARGET = Target(
    "configuration",
    read,
    (SettingsError, SpecError, SimulationError, PlateError, CodonError, MutationError, AddressError, DocumentError),
    (
        b" " + STUDY,
        b" " + json.dumps(settings.parse(STUDY.decode(), "")).encode(),
        b" a: 0x_",
        b" a: 2001-99-99",
        b" a: 1\na: 2",
        b" " + b"[" * 3000,
        b' {"a": "\\ud83d\\ude00"}',
        b' {"study": "\\ud83d"}',
        b" a: !!bool x",
        b" &a [*a]",
        b" a: .nan",
        b" 1: 2",
        b"w{rules: {wells: 24, controls: {WT: 2}, required: {M1A: 1}}, sites: 2-4, acquisition: mean}",
        b"wbeta: .inf",
        b"wsites: 1-999999999999",
        b"oM1A:K2C\n" + GENE.encode(),
        b"oM1A\n",
        b"f{path: a/b.csv, sha256: ab}",
        b"furl: https://example.org/a%2e.csv\nsha256: " + b"a" * 64,
        b"furl: 'http://[::1'\nsha256: a",
        b"furl: https://u:p@h/x\nsha256: a",
    ),
    (
        b"study",
        b"datasets",
        b"source",
        b"reader",
        b"splits",
        b"scheme",
        b"methods",
        b"method",
        b"files",
        b"path",
        b"url",
        b"sha256",
        b"&a",
        b"*a",
        b"<<",
        b"!!",
        b": ",
        b"\n  ",
        b"{",
        b"}",
        b"[",
        b"]",
        b"null",
        b".inf",
        b"1e999",
        b"../",
        b"https://",
    ),
    (
        "multimep.settings",
        "multimep.typed_values",
        "multimep.documents",
        "multimep.sources",
        "multimep.layout",
        "multimep.plate_rules",
        "multimep.recommendation",
        "multimep.oligos",
        "multimep.codons",
        "multimep.nesting",
        "multimep.addresses",
        "multimep.methods.nested",
        "multimep.schemes",
        "multimep.simulation",
    ),
)
