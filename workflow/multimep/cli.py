"""The door: one command per station. Heavy rooms are imported inside the commands, so that --help stays quick."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from multimep.embedder import Embedder
    from multimep.language_model import LanguageModel

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help=__doc__)

Settings = Annotated[str, typer.Option(help="Settings as JSON or YAML; what is left out keeps its default.")]
Seed = Annotated[int, typer.Option(help="Everything random follows from this number.")]
Mirror = Annotated[
    str,
    typer.Option(
        envvar="MULTIMEP_MIRROR", help="Takes the place of scheme and host of every URL: file:///... or http://..."
    ),
]
Cache = Annotated[Path, typer.Option(envvar="MULTIMEP_CACHE", help="Folder of downloads, kept by checksum.")]
Language = Annotated[
    str, typer.Option("--language-model", help="Name (mini, esm2_t33_650M_UR50D, ...), path, or settings as JSON.")
]
Table = Annotated[Path, typer.Argument(help="A dataset: CSV written by `multimep dataset`, its record beside it.")]
Output = Annotated[Path, typer.Option(help="File to write.")]


def main() -> None:
    """Run a command; what is wrong with the input becomes one line and exit status 2."""
    try:
        app()
    except (ValueError, OSError) as error:
        ours = type(error).__module__.startswith("multimep.") or isinstance(error, OSError)
        if not ours:
            raise
        sys.stderr.write(f"multimep: {error}\n")
        raise SystemExit(2) from error


@app.command()
def dataset(
    name: Annotated[str, typer.Argument(help="Name of the dataset.")],
    output: Output,
    spec: Annotated[
        str, typer.Option(help="Source, group, target and direction as JSON or YAML, as in config.yaml.")
    ] = "{}",
    variants: Annotated[
        Path | None, typer.Option(help="Instead of --spec: a CSV with mutant (or sequence) and fitness.")
    ] = None,
    wild_type: Annotated[str, typer.Option(help="With --variants: the sequence, or a FASTA file.")] = "",
    mirror: Mirror = "",
    cache: Cache = Path("results/cache"),
    root: Annotated[
        Path, typer.Option(envvar="MULTIMEP_ROOT", help="Folder that relative paths of the source start from.")
    ] = Path(),
) -> None:
    """Bring one source, check every row of it and write a tidy table with its record."""
    from multimep import dataset as datasets
    from multimep import settings, simulation, sources

    values = settings.parse(spec, "--spec")
    if variants is not None:
        values = {"source": settings.table_source(variants, wild_type), **values}
    chosen = settings.build(sources.DatasetSpec, values, f"datasets.{name}")
    found, record = sources.collect(name, chosen, cache, mirror or None, root)
    datasets.write(found, record, output)
    if chosen.source.reader == sources.SIMULATION:
        truth = simulation.simulate(name, chosen.group, simulation.Simulation(**chosen.source.options)).truth
        datasets.write_whole(output.with_suffix(".truth.csv"), truth.to_csv(index=False, lineterminator="\n"))
    typer.echo(f"{output}: {len(found)} variants of {name}, dropped: {dict(record.dropped) or 'none'}")


@app.command()
def embed(
    table: Table,
    output: Output,
    language_model: Language = "mini",
    mirror: Mirror = "",
    cache: Cache = Path("results/cache"),
) -> None:
    """Run the language model over the sequences that the store (HDF5) does not have yet."""
    from multimep import dataset as datasets
    from multimep import embeddings

    chosen = _language_settings(language_model)
    variants = datasets.read(table).variants
    model = _load(language_model, mirror, cache)
    new = embeddings.embed(variants, model, output, residues=chosen.residues, batch_size=chosen.batch_size)
    typer.echo(f"{output}: {new} sequences computed, {len(variants)} variants")


@app.command()
def split(table: Table, output: Output, settings: Settings = "{scheme: random}", seed: Seed = 0) -> None:
    """Say for every variant of every fold whether it teaches or is asked."""
    from multimep import dataset as datasets
    from multimep import settings as studies
    from multimep import splits

    scheme = studies.scheme(studies.parse(settings, "--settings"), "--settings")
    found = scheme.split(datasets.read(table), seed)
    splits.write(found, output)
    typer.echo(f"{output}: {len(found.folds)} folds of {len(found.mutants)} variants")


@app.command("cross-predict")
def cross_predict(
    method: Annotated[str, typer.Argument(help="Name of a method (see `multimep methods`).")],
    dataset: Annotated[list[Path], typer.Option(help="Dataset CSV; several for a joint method.")],
    split: Annotated[list[Path], typer.Option(help="Split CSV of each dataset, in the same order.")],
    output: Annotated[list[Path], typer.Option(help="Predictions CSV of each dataset, in the same order.")],
    store: Annotated[list[Path] | None, typer.Option(help="Embedding stores to look in first.")] = None,
    settings: Settings = "{}",
    language_model: Language = "mini",
    seed: Seed = 0,
    mirror: Mirror = "",
    cache: Cache = Path("results/cache"),
) -> None:
    """Fit a method on the teaching variants of every fold and predict the variants that are asked."""
    from multimep import dataset as datasets
    from multimep import predictions, splits
    from multimep import settings as studies
    from multimep.cross_prediction import cross_predict as predict_folds

    if not len(dataset) == len(split) == len(output):
        raise typer.BadParameter(
            f"{len(dataset)} --dataset, {len(split)} --split, {len(output)} --output: give one of each per dataset"
        )
    chosen = studies.method(method, studies.parse(settings, "--settings"), "--settings")
    tables = [datasets.read(path) for path in dataset]
    folds = [splits.read(path) for path in split]
    found = predict_folds(chosen, tables, folds, _embedder(language_model, store or [], mirror, cache), seed)
    for table, path in zip(tables, output, strict=True):
        predictions.write(found[table.name], path)
        typer.echo(f"{path}: {len(found[table.name])} folds of {table.name} by {method}")


@app.command()
def fit(
    table: Table,
    output: Output,
    method: Annotated[str, typer.Option(help="Name of a method (see `multimep methods`).")] = "embedding_gp",
    settings: Settings = "{}",
    language_model: Language = "mini",
    seed: Seed = 0,
    mirror: Mirror = "",
    cache: Cache = Path("results/cache"),
) -> None:
    """Fit a method on all variants of a dataset and save the predictor (safetensors)."""
    from multimep import __version__
    from multimep import dataset as datasets
    from multimep import settings as studies
    from multimep.methods import predictor_file

    values = studies.parse(settings, "--settings")
    data = datasets.read(table)
    embedder = _embedder(language_model, [], mirror, cache)
    predictor = studies.method(method, values, "--settings").fit([data], embedder, seed)
    proteins = {data.name: data.wild_type}
    header = predictor_file.Header(method, dict(values), language_model, embedder.used, proteins, __version__)
    predictor_file.save(predictor, header, output)
    typer.echo(f"{output}: {method} fitted on {len(data)} variants of {data.name}")


@app.command()
def predict(
    predictor: Annotated[Path, typer.Argument(help="File written by `multimep fit`.")],
    output: Output,
    variants: Annotated[
        Path | None, typer.Option(help="CSV with a column `mutant`; without it all single mutants are asked.")
    ] = None,
    dataset: Annotated[str, typer.Option(help="Which protein, where the predictor knows several.")] = "",
    mirror: Mirror = "",
    cache: Cache = Path("results/cache"),
) -> None:
    """Predict new variants with a saved predictor."""
    from multimep import predictions
    from multimep import settings as studies
    from multimep.candidates import read_variants, single_mutants
    from multimep.methods import predictor_file

    header = predictor_file.read_header(predictor)
    name = _one_of(header.datasets, dataset, predictor)
    wild_type = header.datasets[name]
    asked = single_mutants(name, wild_type) if variants is None else read_variants(name, wild_type, variants)
    method = studies.method(header.method, header.settings, str(predictor))
    loaded = predictor_file.load(predictor, method, _embedder(header.language_model, [], mirror, cache))
    predictions.write([("new", loaded.predict(asked))], output)
    typer.echo(f"{output}: {len(asked)} variants of {name} by {header.method}")


@app.command()
def evaluate(
    table: Table,
    files: Annotated[list[Path], typer.Argument(help="Predictions of this dataset: .../SPLIT/METHOD/DATASET.csv")],
    output: Output,
    settings: Settings = "{}",
    seed: Seed = 0,
) -> None:
    """Hold predictions against measurements: every metric of every fold, with bootstrap intervals."""
    from multimep import dataset as datasets
    from multimep import metrics, predictions
    from multimep import settings as studies

    chosen = studies.build(studies.Evaluation, studies.parse(settings, "--settings"), "--settings")
    data = datasets.read(table)
    found = {(path.parent.parent.name, path.parent.name): predictions.read(path) for path in files}
    parts = {key: metrics.evaluate(data, folds, chosen.bootstrap, seed) for key, folds in found.items()}
    metrics.write(data.name, parts, output)
    typer.echo(f"{output}: {len(parts)} pairs of split and method")


@app.command()
def report(
    output: Output,
    config: Annotated[str, typer.Option(help="The configuration of the study: a YAML file, or JSON.")] = "config.yaml",
    results: Annotated[Path, typer.Option(help="Folder of the study's results.")] = Path("results"),
    benchmarks: Annotated[
        Path | None, typer.Option(help="Folder of run times; results/benchmarks if not given.")
    ] = None,
) -> None:
    """Put tables, figures, verdicts and provenance into one HTML page that needs no network."""
    from multimep import settings as studies
    from multimep.study_report import write_report

    text = Path(config).read_text(encoding="utf-8") if config.endswith((".yaml", ".yml")) else config
    write_report(
        studies.study(studies.parse(text, config[:80])), text, results, benchmarks or results / "benchmarks", output
    )
    typer.echo(str(output))


@app.command()
def pretrain(
    train: Annotated[Path, typer.Option(help="FASTA (may be gzipped) of training sequences.")],
    valid: Annotated[Path, typer.Option(help="FASTA (may be gzipped) of held-out sequences.")],
    output: Annotated[Path, typer.Option(help="Folder for checkpoints and the final weights.")],
    settings: Settings = "{}",
) -> None:
    """Pre-train a small ESM-2 with the masked-language-model loss; continues where it was interrupted."""
    from multimep import pretraining
    from multimep import settings as studies

    chosen = studies.build(pretraining.PretrainingSettings, studies.parse(settings, "--settings"), "--settings")
    pretraining.pretrain(train, valid, output, chosen)


@app.command()
def methods() -> None:
    """List the methods with what they are."""
    from multimep.methods import METHODS

    for name, method in METHODS.items():
        typer.echo(f"{name:20s} {(sys.modules[method.__module__].__doc__ or '').splitlines()[0].partition(': ')[2]}")


def _language_settings(text: str) -> Any:
    from multimep import settings as studies

    values = studies.parse(text, "--language-model") if text.lstrip().startswith("{") else {"name": text}
    return studies.build(studies.LanguageModelSettings, values, "--language-model")


def _load(text: str, mirror: str, cache: Path) -> "LanguageModel":
    from multimep import language_model

    chosen = _language_settings(text)
    return language_model.load(
        chosen.name,
        directory=Path(chosen.directory) if chosen.directory else None,
        cache=cache,
        mirror=mirror or None,
        sha256=chosen.sha256,
        precision=chosen.precision,
        device=chosen.device,
    )


def _embedder(text: str, stores: "Sequence[Path]", mirror: str, cache: Path) -> "Embedder":
    from multimep.embedder import Embedder

    return Embedder(lambda: _load(text, mirror, cache), tuple(stores), _language_settings(text).batch_size)


def _one_of(datasets: "Mapping[str, str]", name: str, path: Path) -> str:
    if name in datasets or (not name and len(datasets) == 1):
        return name or next(iter(datasets))
    raise typer.BadParameter(f"{path} knows {', '.join(datasets)}: choose one with --dataset")
