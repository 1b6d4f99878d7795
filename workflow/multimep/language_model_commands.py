"""The door's commands for the language model; heavy rooms are imported inside them."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Literal

import typer

from multimep import paths, seals
from multimep.options import Cache, Language, Mirror, Output, Settings, Table


def checkpoint(
    output: Output,
    language_model: Language = "mini",
    mirror: Mirror = "",
    cache: Cache = Path("results/cache"),
) -> None:
    """Bring the language model's checkpoint, verify it and write down its name, sha256 and size (JSON)."""
    from multimep import chosen_model

    paths.check([], [output])
    found = chosen_model.record(language_model, mirror, cache)
    seals.write(output, json.dumps(found, indent=2) + "\n")
    typer.echo(f"{output}: {found['name']}, {found['parameters']:,} parameters, sha256 {found['sha256']}")


def embed(
    table: Table,
    output: Output,
    language_model: Language = "mini",
    mirror: Mirror = "",
    cache: Cache = Path("results/cache"),
    rows: Annotated[
        Literal["all", "wild_type", "none"],
        typer.Option(
            help="Whose representations are kept; wild_type: its marginals and attention; none: nothing is asked."
        ),
    ] = "all",
) -> None:
    """Run the language model over the sequences that neither the store (HDF5) nor those beside it have yet."""
    from multimep.embedding_job import EmbeddingJob

    paths.check([table], [output])
    job = EmbeddingJob(table, output, language_model, rows, output.parent.parent / "ahead")
    new, variants = job.run(mirror, cache)
    typer.echo(f"{output}: {new} sequences computed, {variants} variants")


def embedding_cost(
    sequences: Annotated[int, typer.Option(help="Variants of all datasets together.", min=1)],
    length: Annotated[int, typer.Option(help="Residues of one sequence, as a mean.", min=1)],
    proteins: Annotated[int, typer.Option(help="Wild types, each masked at every position.", min=1)] = 1,
    language_model: Language = "esm2_t33_650M_UR50D",
    rate: Annotated[
        float | None,
        typer.Option(help="Operations per second of the GPU at hand, as `make bench` finds."),
    ] = None,
    mirror: Mirror = "",
    cache: Cache = Path("results/cache"),
) -> None:
    """Say what embedding so many variants will take: GPU-hours, energy, bytes; nothing is downloaded or computed."""
    from multimep import chosen_model, costs, forecast
    from multimep.cluster import Cluster
    from multimep.job_sizes import Model

    model = Model(*chosen_model.sizes(language_model, mirror, cache))
    found = forecast.embedding(model, sequences, length, proteins=proteins, rate=rate)
    hours, width = found.seconds / 3600, model.width
    typer.echo(
        f"{sequences:,} sequences of {length} residues, {model.parameters:,} parameters: {hours:.2f} GPU-hours at "
        f"{rate or costs.GPU:.3g} operations per second ({'measured' if rate else 'assumed'}), "
        f"{forecast.energy(hours, 0.0, Cluster()):.2f} kWh\n"
        f"stores: {sequences * width * 4 / 1e9:.1f} GB in float32, {sequences * width * 2 / 1e9:.1f} GB in float16; "
        f"with residues {length} times as much"
    )


def pretrain(
    train: Annotated[Path, typer.Option(help="FASTA (may be gzipped) of training sequences.")],
    valid: Annotated[Path, typer.Option(help="FASTA (may be gzipped) of held-out sequences.")],
    output: Annotated[Path, typer.Option(help="Folder for checkpoints and the final weights.")],
    settings: Settings = "{}",
) -> None:
    """Pre-train a small ESM-2 with the masked-language-model loss; continues where it was interrupted."""
    from multimep import pretraining, typed_values
    from multimep import settings as studies

    paths.check([train, valid], [])
    chosen = typed_values.build(pretraining.PretrainingSettings, studies.parse(settings, "--settings"), "--settings")
    pretraining.pretrain(train, valid, output, chosen)


COMMANDS: tuple[Callable[..., None], ...] = (checkpoint, embed, embedding_cost, pretrain)
