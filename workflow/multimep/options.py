"""Options that several commands share, each with the words that --help shows."""

from pathlib import Path
from typing import Annotated

import typer


class CommandError(ValueError):
    """Arguments that do not go together; the message says what to give."""


Stores = Annotated[list[Path] | None, typer.Option(help="Embedding stores to look in first.")]
Settings = Annotated[
    str,
    typer.Option(
        help="Settings as JSON or YAML; what is left out keeps its default (`multimep methods NAME`, `multimep schemes "
        "NAME`, docs/configuration.md)."
    ),
]
Seed = Annotated[int, typer.Option(min=0, help="Everything random follows from this number.")]
Mirror = Annotated[
    str,
    typer.Option(
        envvar="MULTIMEP_MIRROR", help="Takes the place of scheme and host of every URL: file:///... or http://..."
    ),
]
Cache = Annotated[Path, typer.Option(envvar="MULTIMEP_CACHE", help="Folder of downloads, kept by checksum.")]
Root = Annotated[
    Path, typer.Option(envvar="MULTIMEP_ROOT", help="Folder that relative paths of the source start from.")
]
Language = Annotated[
    str, typer.Option("--language-model", help="Name (mini, esm2_t33_650M_UR50D, ...), path, or settings as JSON.")
]
Table = Annotated[Path, typer.Argument(help="A dataset: CSV written by `multimep dataset`, its record beside it.")]
Output = Annotated[Path, typer.Option(help="File to write.")]
Role = Annotated[str, typer.Option(help="Name of that column; found by its cells and name if not given.")]
Offset = Annotated[int, typer.Option(help="Added to every position: 1 for tables that count from 0.")]
Lower = Annotated[bool, typer.Option("--lower-is-better", help="A lower value is the better mutant.")]
Checkpoints = Annotated[
    Path | None,
    typer.Option(
        envvar="MULTIMEP_CHECKPOINTS",
        help="Folder for unfinished work: SIGTERM and SIGUSR1 then stop the command with exit status 75, and the same "
        "command continues.",
    ),
]
Configuration = Annotated[str, typer.Option(help="The configuration of the study: a YAML file, or JSON.")]
Results = Annotated[Path, typer.Option(help="Folder of the study's results.")]
