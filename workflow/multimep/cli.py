"""The door: one command per station. Heavy rooms are imported inside the commands, so that --help stays quick."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from multimep import (
    bench_commands,
    catalogue_commands,
    cluster_commands,
    dataset_commands,
    is_refusal,
    language_model_commands,
    paths,
)
from multimep.documents import printable
from multimep.interruption import Interrupted
from multimep.options import (
    Cache,
    Checkpoints,
    CommandError,
    Configuration,
    Language,
    Lower,
    Mirror,
    Offset,
    Output,
    Results,
    Role,
    Seed,
    Settings,
    Stores,
    Table,
)

WELCOME = """Which way of using a protein language model predicts these mutants best, and what do untested ones score?

Compare methods on your own table: dataset, split, cross-predict, evaluate. The next plate: check, fit, recommend.
COMMAND --help shows every option with its default, `methods NAME` and `schemes NAME` every setting; many datasets and
methods at once are the pipeline's work."""

# Plain text: the import of rich takes longer than all the rest of --help.
app = typer.Typer(
    no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None, help=WELCOME
)


def command(work: Callable[..., None]) -> Callable[..., None]:
    """Make a function a command; the list of commands shows the first sentence of its docstring whole."""
    return app.command(work.__name__.replace("_", "-"), short_help=work.__doc__)(work)


def main() -> None:
    """Run a command; what is wrong with the input becomes one line and exit status 2, anything else a traceback."""
    try:
        app()
    except Interrupted as stop:
        sys.stderr.write(f"multimep: {stop}\n")
        raise
    except OSError as error:
        _stop(f"{error.filename2 or error.filename}: {error.strerror}" if error.filename else str(error), error)
    except ValueError as error:
        if not is_refusal(error):
            raise
        _stop(str(error), error)


def _stop(message: str, error: Exception) -> NoReturn:
    lines = map(printable, message.split("\n"))  # names and cells from files must not speak to the terminal
    sys.stderr.write("\n".join(["multimep: " + next(lines), *lines]) + "\n")
    raise SystemExit(2) from error


def _show_version(wanted: bool) -> None:
    if wanted:
        from multimep import __version__

        typer.echo(f"multimep {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Options that stand before the command."""


@command
def cross_predict(
    method: Annotated[str, typer.Argument(help="Name of a method (see `multimep methods`).")],
    dataset: Annotated[list[Path], typer.Option(help="Dataset CSV; several for a joint method.")],
    split: Annotated[list[Path], typer.Option(help="Split CSV of each dataset, in the same order.")],
    output: Annotated[list[Path], typer.Option(help="Predictions CSV of each dataset, in the same order.")],
    store: Stores = None,
    settings: Settings = "{}",
    language_model: Language = "mini",
    seed: Seed = 0,
    mirror: Mirror = "",
    cache: Cache = Path("results/cache"),
    checkpoints: Checkpoints = None,
) -> None:
    """Fit a method on the teaching variants of every fold and predict the variants that are asked."""
    from multimep import settings as studies
    from multimep.prediction_job import PredictionJob

    if not len(dataset) == len(split) == len(output):
        counts = f"{len(dataset)} --dataset, {len(split)} --split, {len(output)} --output"
        raise CommandError(f"{counts}: give one of each per dataset, in the same order")
    paths.check([*dataset, *split, *(store or [])], output)
    values = studies.parse(settings, "--settings")
    job = PredictionJob(method, values, dataset, split, output, store or [], language_model, seed)
    folds = job.run(mirror, cache, checkpoints)
    for path, (name, number) in zip(output, folds.items(), strict=True):
        typer.echo(f"{path}: {number} folds of {name} by {method}")


@command
def fit(
    table: Table,
    output: Output,
    method: Annotated[str, typer.Option(help="Name of a method (see `multimep methods`).")] = "embedding_gp",
    store: Stores = None,
    settings: Settings = "{}",
    language_model: Language = "mini",
    seed: Seed = 0,
    mirror: Mirror = "",
    cache: Cache = Path("results/cache"),
    checkpoints: Checkpoints = None,
    wild_type: Annotated[
        str, typer.Option(help="For a table of your own (as `multimep check` reads it): its sequence, or a FASTA file.")
    ] = "",
    mutant: Role = "",
    sequence: Role = "",
    fitness: Role = "",
    std: Role = "",
    replicates: Role = "",
    offset: Offset = 0,
    lower_is_better: Lower = False,
) -> None:
    """Fit a method on all variants of a dataset, or of a table of your own, and save the predictor (safetensors)."""
    from multimep import __version__, chosen_model, inspection, interruption
    from multimep import settings as studies
    from multimep.methods import predictor_file
    from multimep.seals import checksum

    paths.check([table, *(store or [])], [output])
    values = studies.parse(settings, "--settings")
    columns = inspection.named(mutant, sequence, fitness, std, replicates)
    data = inspection.dataset_of(table, wild_type, columns, offset, not lower_is_better)
    embedder = chosen_model.embedder(language_model, store or [], mirror, cache)
    with interruption.watch(checkpoints, chosen_model.identity(language_model)):
        predictor = studies.method(method, values, "--settings").fit([data], embedder, seed)
        proteins = {data.name: data.wild_type}
        header = predictor_file.Header(
            method, dict(values), language_model, embedder.used, proteins, __version__,
            {data.name: dict(zip(data.variants.mutants, data.fitness.tolist(), strict=True))},
            [] if data.higher_is_better else [data.name], {data.name: checksum(table)},
            seed,
        )  # fmt: skip
        predictor_file.save(predictor, header, output)
    typer.echo(f"{output}: {method} fitted on {len(data)} variants of {data.name}")


@command
def evaluate(
    table: Table,
    files: Annotated[list[Path], typer.Argument(help="Predictions of this dataset: .../SPLIT/METHOD/DATASET.csv")],
    output: Output,
    split: Annotated[
        list[Path] | None, typer.Option(help="Splits that the predictions are of: .../SPLIT/DATASET.csv, each once.")
    ] = None,
    settings: Settings = "{}",
    seed: Seed = 0,
) -> None:
    """Hold predictions against measurements: every metric of every fold, with bootstrap intervals."""
    from multimep import evaluation_job, typed_values
    from multimep import settings as studies

    paths.check([table, *files, *(split or [])], [output])
    chosen = typed_values.build(studies.Evaluation, studies.parse(settings, "--settings"), "--settings")
    pairs = evaluation_job.run(table, files, split or [], chosen.bootstrap, seed, output)
    typer.echo(f"{output}: {pairs} pairs of split and method")


@command
def leaks(output: Output, config: Configuration = "config.yaml", results: Results = Path("results")) -> None:
    """Search a study's datasets, splits and methods without a language model for leaks."""
    from multimep import __version__
    from multimep import leaks as found_leaks
    from multimep import settings as studies
    from multimep.study_leaks import search

    _, values = studies.read_configuration(config)
    paths.check([], [output])
    study = studies.study(values)
    found = search(study, values, results)
    found_leaks.write(found, {"version": __version__, "seed": study.seed, **vars(study.leaks)}, output)
    for one in found_leaks.ordered(found):
        if one.severity in ("leak", "warning"):
            typer.echo(f"{one.severity}: {one.subject}: {one.sentence}")
    typer.echo(f"{output}: {len(found)} findings")


@command
def report(
    output: Output,
    config: Configuration = "config.yaml",
    results: Results = Path("results"),
    benchmarks: Annotated[
        Path | None, typer.Option(help="Folder of run times; results/benchmarks if not given.")
    ] = None,
    site: Annotated[
        str, typer.Option(envvar="MULTIMEP_SITE", help="Settings of the cluster (watts, prices) as JSON or YAML.")
    ] = "{}",
) -> None:
    """Put verdicts, tables and figures into one HTML page that needs no network, and as JSON beside it."""
    from multimep import settings as studies
    from multimep.study_report import twin_path, write_report

    text, values = studies.read_configuration(config)
    paths.check([], [output, twin_path(output)])
    cluster = {**studies.parse(site, "--site"), **values.get("cluster", {})}
    study = studies.study({**values, "cluster": cluster})
    write_report(study, text, results, benchmarks or results / "benchmarks", output)
    typer.echo(str(output))


@command
def proteingym(
    scores: Annotated[list[Path], typer.Argument(help="CSVs: DMS_id, scheme (or in the file's name), one per model.")],
    reference: Annotated[Path, typer.Option(help="ProteinGym's DMS_substitutions.csv.")],
    output: Output,
    lower_is_better: Annotated[bool, typer.Option("--lower-is-better", help="For errors such as MSE.")] = False,
    seed: Seed = 0,
) -> None:
    """Aggregate one's own scores per assay as ProteinGym's supervised table does; its own files may stand beside."""
    from multimep import proteingym as benchmark

    paths.check([*scores, reference], [output])
    known = benchmark.read_reference(reference)
    table = benchmark.summary(benchmark.read_scores(scores), known, lower_is_better=lower_is_better, seed=seed)
    benchmark.write(table, output)
    typer.echo(table.drop(columns="assays").to_string(index=False, float_format="{:.3f}".format))
    typer.echo(f"{output}: {table['assays'].iloc[0]} of the reference's {len(known)} assays")


for _work in (
    *dataset_commands.COMMANDS,
    *language_model_commands.COMMANDS,
    *cluster_commands.COMMANDS,
    *bench_commands.COMMANDS,
    *catalogue_commands.COMMANDS,
):
    command(_work)
