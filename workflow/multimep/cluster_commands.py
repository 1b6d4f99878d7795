"""The door's commands for a cluster: plan, shard, collect, status. Heavy rooms are imported inside them."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from multimep import paths
from multimep.options import Cache, Checkpoints, Configuration, Mirror, Output, Results

PlanFile = Annotated[Path, typer.Argument(help="File written by `multimep plan`.")]
Ahead = Annotated[Path, typer.Option(help="Folder in which shards keep finished units until they are collected.")]


def plan(
    output: Output,
    config: Configuration = "config.yaml",
    results: Results = Path("results"),
    needed: Annotated[
        Path | None, typer.Option(help="Output of `snakemake --summary` (- reads it from stdin): what is outdated.")
    ] = None,
    cores: Annotated[
        int | None, typer.Option(min=1, help="Of this machine, for a study without a cluster; all if not given.")
    ] = None,
) -> None:
    """Pack the cross-predictions that are to be done into few, balanced allocations, and say what they will take."""
    from multimep import cluster, costs, forecast, layout, planning, units
    from multimep import settings as studies
    from multimep.whole_files import write_whole

    _, values = studies.read_configuration(config)
    paths.check([], [output])
    studies.study(values)
    past = list(forecast.past(values, results, results / "benchmarks"))
    factors = costs.calibrated(past, gpus=bool(values.get("cluster", {}).get("gres")))
    write_whole(results / "calibration.json", json.dumps(factors, indent=2) + "\n")
    if needed is None:
        names = list(values["datasets"])
        files = [str(results / path) for path in layout.predictions(values, names)]
        files += [units.store_of(results, name) for name in names]
        wanted = [path for path in files if not Path(path).exists()]
    else:
        summary = studies.read_text(None if str(needed) == "-" else needed)
        wanted = list(planning.outdated(summary))
    site = cluster.of(values, cores)
    found = planning.make(values, results, wanted, factors, site)
    planning.write(found, output)
    others = list(forecast.others(values, results, set(wanted), found.maker))
    typer.echo(planning.sentence(found, site, others))


def shard(
    plan: PlanFile,
    number: Annotated[int, typer.Option("--shard", help="Which shard of the plan, from 0.")],
    ahead: Ahead = Path("results/ahead"),
    lane: Annotated[int | None, typer.Option(help="Only this lane, in this process.")] = None,
    gpus: Annotated[int, typer.Option(help="GPUs of the allocation; lanes are dealt to them in turn.")] = 1,
    mirror: Mirror = "",
    cache: Cache = Path("results/cache"),
    checkpoints: Checkpoints = None,
) -> None:
    """Make all units of one shard; continues where it was interrupted."""
    from multimep import planning, shards

    paths.check([plan], [])
    workshop = shards.Workshop(planning.read(plan), ahead, mirror, cache, checkpoints)
    found = shards.lanes(workshop.plan, number)
    if lane is not None or len(found) == 1:
        shards.run_lane(workshop, found[lane or 0])
        return
    again = [sys.executable, "-m", "multimep", *sys.argv[1:]]
    worst = shards.run_workers([[*again, "--lane", str(index)] for index in range(len(found))], gpus)
    if worst:
        raise SystemExit(worst)


def collect(
    plan: PlanFile,
    ahead: Ahead = Path("results/ahead"),
) -> None:
    """Put what the shards finished in place and print the files, for `snakemake --touch --force` to take as made."""
    from multimep import planning, shards

    paths.check([plan], [])
    for path in shards.collect(shards.Workshop(planning.read(plan), ahead)):
        typer.echo(path)


def status(
    config: Configuration = "config.yaml",
    results: Results = Path("results"),
) -> None:
    """Say what is done, queued, used, left and failed; run it in the folder in which Snakemake runs."""
    from multimep import progress
    from multimep import settings as studies

    _, values = studies.read_configuration(config)
    studies.study(values)
    folders = [Path.cwd(), results.resolve().parent]
    typer.echo(progress.status(values, results, results / "benchmarks", folders))


COMMANDS: tuple[Callable[..., None], ...] = (plan, shard, collect, status)
