"""ProteinGym's supervised aggregation: from one score per assay and split scheme to the lines of its summary table.

Assays of one UniProt entry and one selection type count once (their mean), then the entries of a type are averaged,
then the types, last the schemes: a type with many assays, or a protein with many, weighs no more than another. So a
flat mean over the assays is another number (Kermut's Spearman: 0.674 instead of 0.657).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Float, Int

from multimep import text_table
from multimep.whole_files import write_whole

SCHEMES = ("fold_random_5", "fold_modulo_5", "fold_contiguous_5")
"""The three ways of ProteinGym to make five folds."""
ASSAY, SCHEME, UNIPROT, SELECTION = "DMS_id", "scheme", "UniProt_ID", "coarse_selection_type"
RESAMPLES = 10_000


class ProteinGymError(ValueError):
    """Scores that cannot be aggregated as ProteinGym does; the message names the file or the assays."""


@dataclass(frozen=True)
class Scores:
    """One score for every scheme, assay and model.

    Attributes:
        schemes, assays, models: names along the three axes, each once.
        table: the scores, finite.
    """

    schemes: tuple[str, ...]
    assays: tuple[str, ...]
    models: tuple[str, ...]
    table: Float[np.ndarray, "schemes assays models"]

    def __post_init__(self) -> None:
        """Refuse scores that are missing: means over different assays cannot be compared."""
        gaps = np.argwhere(~np.isfinite(self.table))
        if len(gaps) or not self.table.size:
            few = "; ".join(f"{self.models[m]}, {self.schemes[s]}, {self.assays[a]}" for s, a, m in gaps[:5])
            raise ProteinGymError(
                f"{len(gaps)} scores are missing ({few or 'the table is empty'}); give every model the same assays"
            )


@dataclass(frozen=True)
class Entry:
    """An assay's UniProt entry and its type of selection, as in ProteinGym's reference file."""

    uniprot: str
    selection: str


def read_reference(path: Path) -> dict[str, Entry]:
    """Assay -> entry, from DMS_substitutions.csv."""
    table = text_table.read(path, (ASSAY, UNIPROT, SELECTION), ProteinGymError)
    columns = zip(table[ASSAY], table[UNIPROT], table[SELECTION], strict=True)
    return {assay: Entry(uniprot, selection) for assay, uniprot, selection in columns}


def read_scores(paths: Sequence[Path]) -> Scores:
    """Scores of files with the column DMS_id and one column for each model, put together by assay and scheme.

    A column `scheme` says which folds a row is of; without it the file's name does, as ProteinGym's do
    (..._fold_random_5.csv).
    """
    parts = [_read_one(path).melt([SCHEME, ASSAY], var_name="model") for path in paths]
    table = pd.concat(parts, ignore_index=True)
    repeated = table[table.duplicated([SCHEME, ASSAY, "model"])]
    if len(repeated):
        first = repeated.iloc[0]
        raise ProteinGymError(f"{first['model']}, {first[SCHEME]}, {first[ASSAY]}: scored twice; give each score once")
    axes = [tuple(dict.fromkeys(table[name])) for name in (SCHEME, ASSAY, "model")]
    wide = table.set_index([SCHEME, ASSAY, "model"])["value"].reindex(pd.MultiIndex.from_product(axes))
    schemes = tuple(name for name in SCHEMES if name in axes[0])
    if len(schemes) != len(axes[0]):
        raise ProteinGymError(f"schemes are {', '.join(axes[0])}; ProteinGym has {', '.join(SCHEMES)}")
    values = wide.to_numpy(dtype=np.float64).reshape([len(axis) for axis in axes])
    return Scores(schemes, axes[1], axes[2], values[[axes[0].index(name) for name in schemes]])


def _read_one(path: Path) -> pd.DataFrame:
    table = text_table.read(path, (ASSAY,), ProteinGymError)
    models = [name for name in table.columns if name not in (ASSAY, SCHEME)]
    found = {name: text_table.numbers(table, name, path, ProteinGymError) for name in models}
    if SCHEME in table:
        return table.frame()[[SCHEME, ASSAY]].assign(**found)
    named = [name for name in SCHEMES if path.stem.endswith(name)]
    if not named:
        raise ProteinGymError(f"{path}: no column {SCHEME!r}, and its name ends in none of {', '.join(SCHEMES)}")
    return table.frame()[[ASSAY]].assign(**{SCHEME: named[0]}, **found)


@dataclass(frozen=True)
class Units:
    """The mean scores of each UniProt entry within each selection type.

    Attributes:
        types: names of the selection types, sorted.
        type_of: index into `types` of each unit.
        table: one row for each pair of entry and type.
    """

    types: tuple[str, ...]
    type_of: Int[np.ndarray, "units"]
    table: Float[np.ndarray, "units schemes models"]

    def of_type(self, name: str) -> Float[np.ndarray, "some schemes models"]:
        """The units of one type."""
        return np.asarray(self.table[self.type_of == self.types.index(name)])


def units_of(scores: Scores, reference: Mapping[str, Entry]) -> Units:
    """Assays averaged within UniProt entry and selection type; raises ProteinGymError for an assay not in reference."""
    unknown = [assay for assay in scores.assays if assay not in reference]
    if unknown:
        raise ProteinGymError(f"not in the reference file: {', '.join(unknown[:5])}; is it of this version?")
    entries = [reference[assay] for assay in scores.assays]
    pairs = sorted({(entry.selection, entry.uniprot) for entry in entries})
    types = tuple(dict.fromkeys(selection for selection, _ in pairs))
    place = np.array([pairs.index((entry.selection, entry.uniprot)) for entry in entries])
    # u_g = mean of the assays a with g(a) = g
    values = np.stack([scores.table[:, place == unit].mean(axis=1) for unit in range(len(pairs))])
    return Units(types, np.array([types.index(selection) for selection, _ in pairs]), values)


def by_type(units: Units) -> Float[np.ndarray, "types schemes models"]:
    """The mean of the units of each type."""
    return np.stack([units.of_type(name).mean(axis=0) for name in units.types])


def standard_errors(units: Units, best: int, resamples: int, seed: int) -> Float[np.ndarray, "models"]:
    """Bootstrap standard error of each model's difference to the model `best`.

    UniProt entries are drawn with replacement inside each type. As in ProteinGym's table it is the mean of the standard
    errors of the three schemes, which is more than that of the mean over the schemes.
    """
    draw = np.random.default_rng(seed)
    total = np.zeros((resamples, *units.table.shape[1:]))
    for name in units.types:
        rows = units.of_type(name)
        # a resample's mean is sum_g c_g u_g / n with c ~ Multinomial(n; 1/n, ...)
        counts = draw.multinomial(len(rows), np.full(len(rows), 1 / len(rows)), size=resamples)
        total += np.tensordot(counts / len(rows), rows, axes=1) / len(units.types)
    gaps = total - total[:, :, [best]]
    return np.asarray(gaps.std(axis=0, ddof=1).mean(axis=0))


def summary(
    scores: Scores, reference: Mapping[str, Entry], *, lower_is_better: bool = False, seed: int = 0
) -> pd.DataFrame:
    """The lines of ProteinGym's table, best model first.

    Columns: model, average, standard_error (of the difference to the best), one for each scheme, one for each selection
    type (mean over the schemes), assays (how many were averaged).
    """
    units = units_of(scores, reference)
    types = by_type(units)
    per_scheme = types.mean(axis=0)
    average = per_scheme.mean(axis=0)
    order = np.argsort(average if lower_is_better else -average, kind="stable")
    table = pd.DataFrame(
        {
            "model": scores.models,
            "average": average,
            "standard_error": standard_errors(units, int(order[0]), RESAMPLES, seed),
            **dict(zip(scores.schemes, per_scheme, strict=True)),
            **dict(zip(units.types, types.mean(axis=1), strict=True)),
            "assays": len(scores.assays),
        }
    )
    return table.iloc[order].reset_index(drop=True)


def write(table: pd.DataFrame, path: Path) -> None:
    """Write the table that `summary` gave as CSV, whole or not at all."""
    write_whole(path, table.to_csv(index=False, lineterminator="\n", float_format="%.6g"))
