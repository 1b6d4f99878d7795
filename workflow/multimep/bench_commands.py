"""The door's commands for the person at the bench: init, check, predict, explain, recommend, campaign."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from multimep import paths
from multimep.options import Cache, Language, Lower, Mirror, Offset, Output, Role, Seed, Settings, Table

Own = Annotated[Path, typer.Argument(help="Your table: CSV (comma, semicolon, tab) or Excel workbook (first sheet).")]
WildType = Annotated[str, typer.Option(help="The sequence of the wild type, or a FASTA file.")]
Predictor = Annotated[Path, typer.Argument(help="File written by `multimep fit`.")]
Protein = Annotated[str, typer.Option("--dataset", help="Which protein, where the predictor knows several.")]
Folder = Annotated[Path, typer.Option("--output", help="Folder to write; it must not exist.")]
Candidates = Annotated[Path | None, typer.Option(help="CSV with a column `mutant`; generated if not given.")]


def init(
    table: Own,
    wild_type: WildType,
    output: Output = Path("config.yaml"),
    name: Annotated[str, typer.Option(help="Name of the dataset; that of the file if not given.")] = "",
    mutant: Role = "",
    sequence: Role = "",
    fitness: Role = "",
    std: Role = "",
    replicates: Role = "",
    offset: Offset = 0,
    lower_is_better: Lower = False,
) -> None:
    """Write a commented configuration for your own table, its columns found and shown."""
    from multimep import first_configuration, inspection

    paths.check([table], [output])
    if output.exists():
        raise paths.PathError(f"{output}: is there already; choose another --output, no configuration is overwritten")
    columns = inspection.named(mutant, sequence, fitness, std, replicates)
    own = inspection.table_of(table, wild_type, columns, name, offset, not lower_is_better)
    found = inspection.inspect(own)
    first_configuration.write(own, found, output)
    typer.echo(inspection.summary(found))
    typer.echo(f"{output}: a study of {own.name}; read it, then run it with `snakemake --configfile {output}`")


def check(
    table: Own,
    wild_type: WildType,
    mutant: Role = "",
    sequence: Role = "",
    fitness: Role = "",
    std: Role = "",
    replicates: Role = "",
    offset: Offset = 0,
    lower_is_better: Lower = False,
) -> None:
    """Tell everything that is wrong with your table, row by row, or what it holds and what is worth a second look."""
    from multimep import inspection

    columns = inspection.named(mutant, sequence, fitness, std, replicates)
    own = inspection.table_of(table, wild_type, columns, "", offset, not lower_is_better)
    typer.echo(inspection.summary(inspection.inspect(own)))


def predict(
    predictor: Predictor,
    output: Output,
    variants: Candidates = None,
    sites: Annotated[str, typer.Option(help="Sites to mutate, such as 3,17,20-24; all if not given.")] = "",
    mutations: Annotated[
        int, typer.Option(help="Mutations of each variant: 1, or 2 for all doubles of the sites.")
    ] = 1,
    dataset: Protein = "",
    mirror: Mirror = "",
    cache: Cache = Path("results/cache"),
) -> None:
    """Predict new variants with a saved predictor, all single mutants if none are named, and say which are far."""
    from multimep import candidates, new_predictions
    from multimep.proximity import Training

    if variants and (sites or mutations != 1):
        raise candidates.CandidateError("give --variants, or --sites and --mutations, not both")
    paths.check([predictor, *([variants] if variants else [])], [output])
    header, name, loaded = _loaded(predictor, dataset, mirror, cache)
    wild_type, size = header.datasets[name], new_predictions.BLOCK
    if variants:
        asked = candidates.read_blocks(name, wild_type, variants, size)
    else:
        places = candidates.parse_sites(sites)
        asked = candidates.blocks(
            name, wild_type, candidates.space(name, wild_type, places, mutations, mutations), size
        )
    training = Training(tuple(header.taught[name])) if name in header.taught else None
    found = new_predictions.write(loaded, asked, training, output)
    far = f", {found.far} of them far from the training variants" if training else ""
    typer.echo(f"{output}: {found.variants} variants of {name} by {header.method}{far}")


def _loaded(path: Path, dataset: str, mirror: str, cache: Path) -> tuple[Any, str, Any]:
    """Header, name of the protein, and the predictor."""
    header, name, _, predictor = _opened(path, dataset, mirror, cache)
    return header, name, predictor


def _opened(path: Path, dataset: str, mirror: str, cache: Path) -> tuple[Any, str, Any, Any]:
    """Header, name of the protein, method and predictor."""
    from multimep import chosen_model
    from multimep import settings as studies
    from multimep.methods import predictor_file

    header = predictor_file.read_header(path)
    name = predictor_file.protein(header, dataset, path)
    method = studies.method(header.method, header.settings, str(path))
    embedder = chosen_model.embedder(header.language_model, [], mirror, cache)
    return header, name, method, predictor_file.load(path, method, embedder)


def explain(
    predictor: Predictor,
    output: Folder,
    variants: Annotated[
        Path | None, typer.Option(help="CSV with a column `mutant`; the ten best measured if not given.")
    ] = None,
    mutants: Annotated[
        list[str] | None, typer.Option(help="Variants such as A23V:C45D, in place of a file; once or several times.")
    ] = None,
    kinds: Annotated[
        str,
        typer.Option(
            help="Of attributions,training_importance,landscape (all that there are, if not given), and the slow one, "
            "integrated_gradients."
        ),
    ] = "",
    top: Annotated[int, typer.Option(min=0, help="Most influential training rows of each variant; 0: all.")] = 50,
    dataset: Protein = "",
    seed: Seed = 0,
    mirror: Mirror = "",
    cache: Cache = Path("results/cache"),
) -> None:
    """Say why variants are predicted as they are: parts by mutation, training rows that matter, hyperparameters."""
    from multimep import explanation, explanation_files, whole_folder

    paths.check([path for path in (predictor, variants) if path], [])
    whole_folder.check_new(output)
    header, name, method, loaded = _opened(predictor, dataset, mirror, cache)
    subject = explanation.subject_of(
        loaded, method, dataset=name, wild_type=header.datasets[name], name=header.method, seed=header.seed,
        measured=header.taught.get(name, {}),
    )  # fmt: skip
    asked = explanation.asked_of(subject, variants, mutants or [], name not in header.lower_is_better)
    found = explanation.explain(subject, asked, [one for one in kinds.split(",") if one], seed)
    files = explanation_files.contents(found, subject.measured, top, f"{header.method} of {name}")
    facts = explanation_files.facts(predictor, header, name, seed)
    whole_folder.write({**files, explanation_files.ABOUT: explanation_files.about(found, facts)}, output)
    typer.echo(explanation_files.sentence(found, output))


def recommend(
    predictor: Predictor,
    output: Folder,
    settings: Annotated[
        str, typer.Option(help="Wishes and rules: a YAML file, or JSON that begins with a brace (docs/recommend.md).")
    ] = "{}",
    variants: Candidates = None,
    dna: Annotated[
        Path | None, typer.Option(help="Gene of the wild type, FASTA or plain, with what surrounds it: full oligos.")
    ] = None,
    dataset: Protein = "",
    seed: Seed = 0,
    mirror: Mirror = "",
    cache: Cache = Path("results/cache"),
) -> None:
    """Choose the next plate: picks, plate map, oligos and order sheet, under rules and a budget."""
    from multimep import plate_files, recommendation, typed_values, whole_folder
    from multimep import settings as studies
    from multimep.candidates import read_variants
    from multimep.codons import start_of
    from multimep.methods import predictor_file
    from multimep.readers.reader import read_sequence

    paths.check([path for path in (predictor, variants, dna) if path], [])
    whole_folder.check_new(output)
    _, values = studies.read_configuration(settings, "--settings")
    wishes = typed_values.build(recommendation.Wishes, values, "--settings")
    header, name, loaded = _loaded(predictor, dataset, mirror, cache)
    wild_type, measured = header.datasets[name], predictor_file.lesson(header, name, predictor)
    gene = read_sequence(dna) if dna else ""
    if gene:
        start_of(gene, wild_type)
    listed = read_variants(name, wild_type, variants) if variants else None
    better = name not in header.lower_is_better
    bench = recommendation.Bench(name, wild_type, measured, better, loaded, header.method)
    found = recommendation.recommend(bench, wishes, listed, seed)
    files = plate_files.contents(found, wishes, name, wild_type, gene)
    facts = plate_files.facts(predictor, header.method, name, seed, values)
    whole_folder.write({**files, plate_files.ABOUT: plate_files.about(found, facts)}, output)
    typer.echo(plate_files.sentence(found, output))


def campaign(
    table: Table,
    output: Output,
    settings: Settings = "{}",
    language_model: Language = "mini",
    seed: Seed = 0,
    mirror: Mirror = "",
    cache: Cache = Path("results/cache"),
) -> None:
    """Replay a measured landscape round by round: how soon would each policy have found the best variants?"""
    from multimep import campaign as campaigns
    from multimep import chosen_model, policies, typed_values
    from multimep import dataset as datasets
    from multimep import settings as studies

    paths.check([table], [output])
    plan = typed_values.build(policies.Campaign, studies.parse(settings, "--settings"), "--settings")
    methods = {
        name: studies.method(one.method, one.settings, f"--settings.policies.{name}")
        for name, one in plan.policies.items()
        if one.method
    }
    embedder = chosen_model.embedder(language_model, [], mirror, cache)
    found = campaigns.replay(datasets.read(table), plan, methods, embedder, seed)
    campaigns.write(found, output)
    typer.echo(campaigns.summary(found).to_string(index=False, float_format="{:.3f}".format))
    typer.echo(f"{output}: {len(plan.policies)} policies, {plan.seeds} seeds, {plan.rounds} rounds after the first")


COMMANDS: tuple[Callable[..., None], ...] = (init, check, predict, explain, recommend, campaign)
"""In the order in which --help lists them."""
