"""The door's commands for the language model: checkpoint, embed, pretrain. Heavy rooms are imported inside them."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Literal

import typer

from multimep import paths
from multimep.options import Cache, Language, Mirror, Output, Settings, Table


def checkpoint(
    output: Output,
    language_model: Language = "mini",
    mirror: Mirror = "",
    cache: Cache = Path("results/cache"),
) -> None:
    """Bring the language model's checkpoint, verify it and write down its name, sha256 and size (JSON)."""
    from multimep import chosen_model
    from multimep import dataset as datasets

    paths.check([], [output])
    found = chosen_model.record(language_model, mirror, cache)
    datasets.write_whole(output, json.dumps(found, indent=2) + "\n")
    typer.echo(f"{output}: {found['name']}, {found['parameters']:,} parameters, sha256 {found['sha256']}")


def embed(
    table: Table,
    output: Output,
    language_model: Language = "mini",
    mirror: Mirror = "",
    cache: Cache = Path("results/cache"),
    rows: Annotated[
        Literal["all", "wild_type"],
        typer.Option(help="Whose representations are kept; wild_type: marginals and attention, and no mutant."),
    ] = "all",
) -> None:
    """Run the language model over the sequences that neither the store (HDF5) nor those beside it have yet."""
    from multimep import chosen_model, store_making
    from multimep import dataset as datasets

    paths.check([table], [output])
    chosen = chosen_model.words(language_model)
    variants = datasets.read(table).variants
    model = chosen_model.load(language_model, mirror, cache)
    new = store_making.embed(
        variants,
        model,
        output,
        residues=chosen.residues,
        batch_size=chosen.batch_size,
        storage=chosen.storage,
        rows=rows,
        beside=sorted(output.parent.glob("*.h5")),
    )
    typer.echo(f"{output}: {new} sequences computed, {len(variants)} variants")


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


COMMANDS: tuple[Callable[..., None], ...] = (checkpoint, embed, pretrain)
