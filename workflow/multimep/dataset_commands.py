"""The door's commands that make what everything starts from: dataset, wild-type, split."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from multimep import paths, seals
from multimep.options import Cache, CommandError, Mirror, Output, Root, Seed, Settings, Table


def dataset(
    name: Annotated[str, typer.Argument(help="Name of the dataset.")],
    output: Output,
    spec: Annotated[
        str, typer.Option(help="Source, group, target and direction as JSON or YAML, as in config.yaml.")
    ] = "{}",
    variants: Annotated[
        Path | None,
        typer.Option(help="A CSV with mutant (or sequence) and fitness; --spec may add columns, offset and the like."),
    ] = None,
    wild_type: Annotated[str, typer.Option(help="With --variants: the sequence, or a FASTA file.")] = "",
    mirror: Mirror = "",
    cache: Cache = Path("results/cache"),
    root: Root = Path(),
) -> None:
    """Bring one source, check every row of it and write a tidy table with its record."""
    from multimep import dataset as datasets
    from multimep import settings, simulation, sources, text_table, typed_values
    from multimep.whole_files import write_whole

    paths.check_name(name)
    values = settings.parse(spec, "--spec")
    twice = variants is not None and {"files", "wild_type"} & set(values.get("source") or {})
    if bool(variants) != bool(wild_type) or twice or not (variants or values):
        raise CommandError("give --variants FILE.csv with --wild-type (sequence or FASTA file), or a source in --spec")
    paths.check([variants] if variants else [], [output])
    if variants is not None:
        values = {**values, "source": settings.table_source(variants, wild_type) | (values.get("source") or {})}
    chosen = typed_values.build(sources.DatasetSpec, values, f"datasets.{name}")
    found, record = sources.collect(name, chosen, cache, mirror or None, root)
    datasets.write(found, record, output)
    if chosen.source.reader == sources.SIMULATION:
        truth = simulation.simulate(name, chosen.group, sources.simulation_of(name, chosen)).truth
        write_whole(output.with_suffix(".truth.csv"), text_table.written(truth))
    typer.echo(f"{output}: {len(found)} variants of {name}, dropped: {dict(record.dropped) or 'none'}")


def wild_type(
    name: Annotated[str, typer.Argument(help="Name of the dataset.")],
    output: Output,
    spec: Annotated[str, typer.Option(help="The source of the dataset as JSON or YAML, as in config.yaml.")],
    mirror: Mirror = "",
    cache: Cache = Path("results/cache"),
    root: Root = Path(),
) -> None:
    """Write the wild type of one source alone, for splits that depend on it and on no row."""
    from multimep import settings, sources, typed_values

    paths.check_name(name)
    paths.check([], [output])
    chosen = typed_values.build(sources.DatasetSpec, settings.parse(spec, "--spec"), f"datasets.{name}")
    found, _ = sources.collect(name, chosen, cache, mirror or None, root)
    seals.write(output, json.dumps({"name": name, "wild_type": found.wild_type}) + "\n")
    typer.echo(f"{output}: {len(found.wild_type)} residues of {name}")


def split(
    table: Table,
    output: Output,
    settings: Settings = "{scheme: random}",
    kin: Annotated[
        list[Path] | None,
        typer.Option(help="Wild types (or records) of the study's other datasets, for family_out."),
    ] = None,
    seed: Seed = 0,
) -> None:
    """Say for every variant of every fold whether it teaches or is asked."""
    from multimep import dataset as datasets
    from multimep import schemes, splits
    from multimep import settings as studies

    paths.check([table, *(kin or ())], [output])
    scheme = studies.scheme(studies.parse(settings, "--settings"), "--settings")
    others = dict(map(datasets.read_wild_type, kin or ()))
    found = schemes.among(scheme, others).split(datasets.read(table), seed)
    splits.write(found, output)
    typer.echo(f"{output}: {len(found.folds)} folds of {len(found.mutants)} variants")


COMMANDS: tuple[Callable[..., None], ...] = (dataset, wild_type, split)
"""In the order in which --help lists them."""
