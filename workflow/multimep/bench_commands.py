"""The door's commands for the person at the bench: init, check, predict, recommend."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from multimep import paths
from multimep.options import Cache, Mirror, Seed

Predictor = Annotated[Path, typer.Argument(help="File written by `multimep fit`.")]
Protein = Annotated[str, typer.Option("--dataset", help="Which protein, where the predictor knows several.")]


def recommend(
    predictor: Predictor,
    output: Annotated[Path, typer.Option(help="Folder to write; it must not exist.")],
    settings: Annotated[
        str, typer.Option(help="Wishes and rules: a YAML file, or JSON that begins with a brace (docs/recommend.md).")
    ] = "{}",
    variants: Annotated[
        Path | None, typer.Option(help="Candidates: CSV with a column `mutant`; generated if not given.")
    ] = None,
    dna: Annotated[
        Path | None, typer.Option(help="Gene of the wild type, FASTA or plain, with what surrounds it: full oligos.")
    ] = None,
    dataset: Protein = "",
    seed: Seed = 0,
    mirror: Mirror = "",
    cache: Cache = Path("results/cache"),
) -> None:
    """Choose the next plate: picks, plate map, oligos and order sheet, under rules and a budget."""
    from multimep import __version__, chosen_model, plate_files, recommendation, typed_values
    from multimep import settings as studies
    from multimep.candidates import read_variants
    from multimep.downloads import checksum
    from multimep.methods import predictor_file
    from multimep.readers.reader import read_sequence

    paths.check([path for path in (predictor, variants, dna) if path], [])
    plate_files.check_new(output)
    _, values = studies.read_configuration(settings)
    wishes = typed_values.build(recommendation.Wishes, values, "--settings")
    header = predictor_file.read_header(predictor)
    name = predictor_file.protein(header, dataset, predictor)
    wild_type, measured = header.datasets[name], predictor_file.lesson(header, name, predictor)
    gene = read_sequence(dna) if dna else ""
    listed = read_variants(name, wild_type, variants) if variants else None
    method = studies.method(header.method, header.settings, str(predictor))
    embedder = chosen_model.embedder(header.language_model, [], mirror, cache)
    loaded = predictor_file.load(predictor, method, embedder)
    better = name not in header.lower_is_better
    bench = recommendation.Bench(name, wild_type, measured, better, loaded, header.method)
    found = recommendation.recommend(bench, wishes, listed, seed)
    files = plate_files.contents(found, wishes, name, wild_type, gene)
    facts = {
        "multimep": __version__,
        "predictor": checksum(predictor),
        "method": header.method,
        "dataset": name,
        "seed": seed,
        "settings": dict(values),
    }
    plate_files.write({**files, plate_files.ABOUT: plate_files.about(found, facts)}, output)
    typer.echo(plate_files.sentence(found, output))


COMMANDS: tuple[Callable[..., None], ...] = (recommend,)
"""In the order in which --help lists them."""
