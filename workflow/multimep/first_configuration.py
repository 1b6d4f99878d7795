"""A commented configuration for one's own table: what a study needs, each line with its reason."""

import json
import shlex
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

from multimep.documents import printable, quoted
from multimep.inspection import Inspected, Table
from multimep.whole_files import write_whole

TEXT = """# A study of one table of measurements, made by `multimep init`. Every key: docs/configuration.md.
study: {named}
seed: 0

datasets:
  {named}:
    target: fitness            # what was measured, for the report
    unit: ""                   # its unit
    higher_is_better: {better}     # false where a lower value is the better mutant
    source:
      reader: multimep         # {rows} rows, {variants} variants
      files:
        variants: {{path: {path}}}{wild_type_file}
{wild_type}      offset: {offset}                # added to every position: 1 for tables that count from 0
      delimiter: {delimiter}
      columns: {columns}   # found: {told}

splits:
  random: {{scheme: random, folds: 5}}               # each variant is asked once, the others teach
  low_n: {{scheme: low_n, sizes: {sizes}, seeds: 5}}  # how much do few measurements say?

methods:
  additive: {{}}               # the control: effects of mutations add up
  site_gp: {{}}                # a Gaussian process over mutations; no language model
  plm_gp: {{}}                 # the same with what a protein language model knows
  embedding_gp: {{}}           # a Gaussian process on embeddings

language_model: {{name: mini}}  # shipped with multimep; esm2_t33_650M_UR50D is better and is downloaded

# Which mutants to make next, at the end of the report; better by the method that has won:
# recommend: {{datasets: [{named}], method: site_gp}}
# It needs no study:
#   multimep fit {path_word} --wild-type {wild_type_word}{as_told} --method site_gp --output {name}.safetensors
#   multimep recommend {name}.safetensors --output plate_1
"""


def text(own: Table, found: Inspected, folder: Path) -> str:
    """The configuration as YAML; paths are written relative to `folder` where they lie below it."""
    roles = {one.name: getattr(found.detected.columns, one.name) for one in fields(found.detected.columns)}
    from_file = bool(Path(own.wild_type).suffix)
    path = _path(own.path, folder)
    wild_type = _path(Path(own.wild_type), folder) if from_file else "".join(own.wild_type.split())
    return TEXT.format(
        name=own.name,
        named=quoted(own.name),
        better=json.dumps(own.higher_is_better),
        rows=found.detected.rows,
        variants=len(found.dataset),
        path=quoted(path),
        wild_type_file=f"\n        wild_type: {{path: {quoted(wild_type)}}}" if from_file else "",
        wild_type="" if from_file else f"      wild_type: {quoted(wild_type)}\n",
        path_word=printable(shlex.quote(path)),
        wild_type_word=printable(shlex.quote(wild_type)),
        as_told=printable("".join(f" {word}" for word in _as_told(own))),
        offset=own.offset,
        delimiter=quoted(found.detected.delimiter),
        columns="{" + ", ".join(f'"{role}": {quoted(name)}' for role, name in roles.items() if name) + "}",
        told=printable(found.detected.told),
        sizes=_sizes(len(found.dataset)),
    )


def _as_told(own: Table) -> Iterator[str]:
    """The options that say how the table is read, as `init` was given them."""
    for one in fields(own.columns):
        if isinstance(name := getattr(own.columns, one.name), str):
            yield f"--{one.name} {shlex.quote(name)}"
    if own.offset:
        yield f"--offset {own.offset}"
    if not own.higher_is_better:
        yield "--lower-is-better"


def _sizes(variants: int) -> list[int]:
    """Training sizes that leave something to ask."""
    return [size for size in (24, 48, 96, 192) if size <= 0.7 * variants] or [max(3, variants // 2)]


def _path(path: Path, folder: Path) -> str:
    whole, start = path.resolve(), folder.resolve()
    return str(whole.relative_to(start) if whole.is_relative_to(start) else whole)


def write(own: Table, found: Inspected, path: Path) -> None:
    """Write the configuration, whole or not at all."""
    write_whole(path, text(own, found, path.parent))
