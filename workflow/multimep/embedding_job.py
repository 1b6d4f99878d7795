"""The embeddings of one dataset from table to store: what `multimep embed` and a unit of a shard do."""

from dataclasses import dataclass
from pathlib import Path

from multimep import chosen_model, store_making
from multimep import dataset as datasets
from multimep.chosen_model import Loader
from multimep.layout import EMBED
from multimep.store_making import Rows


@dataclass(frozen=True)
class EmbeddingJob:
    """What is to be done, by names of files.

    Attributes:
        table: of the dataset.
        output: its store.
        language_model: name, path or JSON.
        rows: whose representations are kept, see `store_making.embed`.
        ahead: folder in which shards keep stores that are not in place yet.
        place: where the store will stand in the end, if that is not `output`. Rows of the stores beside it and of those
            ahead are taken over where they are the same.
    """

    table: Path
    output: Path
    language_model: str
    rows: Rows
    ahead: Path | None = None
    place: Path | None = None

    def run(self, mirror: str, cache: Path, loader: Loader | None = None) -> tuple[int, int]:
        """Make or complete the store; returns how many sequences were computed, and how many variants there are."""
        chosen = chosen_model.words(self.language_model)
        waiting = self.ahead.glob(f"{EMBED}/*/*.h5") if self.ahead else ()
        beside = {*(self.place or self.output).parent.glob("*.h5"), *waiting}
        variants = datasets.read(self.table).variants
        new = store_making.embed(
            variants,
            (loader or chosen_model.load)(self.language_model, mirror, cache),
            self.output,
            residues=chosen.residues,
            batch_size=chosen.batch_size,
            storage=chosen.storage,
            rows=self.rows,
            beside=sorted(beside - {self.output}),
            place=self.place,
        )
        return new, len(variants)
