"""Findings: all that a study has to tell, gathered from its files into one value; the report shows it."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from multimep import comparisons, families, learning_curves, measures, null_gate, portraits, predictions, tables
from multimep import dataset as datasets
from multimep import metrics as scores
from multimep.accounting import Account
from multimep.comparisons import Comparison, Kin
from multimep.dataset import Dataset, Record
from multimep.drawing import MINUS, Interval
from multimep.figures import Pairs
from multimep.leaks import Finding
from multimep.null_gate import Hurdle
from multimep.plate_files import Plate
from multimep.portraits import Portrait
from multimep.predictions import Predictions
from multimep.questions import MARGIN, Question, by_usual_labels
from multimep.verdicts import BETTER, OPEN, WORSE, claim, sentence, verdict

MAIN = "spearman"
OVERSURE = 0.85  # a mean coverage of the 95 % intervals below this is worth a warning
SHOWN = 300
SAMPLE_SEED = 0


class ReportError(ValueError):
    """Files that do not make one study; the message names the file and the remedy."""


@dataclass(frozen=True)
class Provenance:
    """Where the numbers come from: each mapping is shown as a list of names and values.

    Attributes:
        date: when the run ended, as text.
        versions: multimep, Python, torch, Snakemake, ...
        language_model: name, sha256, layer, ... of the PLM.
        seeds: what was seeded with what.
        machine: processors, memory, platform.
        configuration: the configuration file of the run, word for word.
    """

    date: str
    versions: Mapping[str, str] = field(default_factory=dict)
    language_model: Mapping[str, str] = field(default_factory=dict)
    seeds: Mapping[str, str] = field(default_factory=dict)
    machine: Mapping[str, str] = field(default_factory=dict)
    configuration: str = ""


@dataclass(frozen=True)
class Verdict:
    """One comparison: what was asked, the answer, its numbers in a sentence, their difference, and if it is decided."""

    question: str
    answer: str
    sentence: str
    difference: Interval
    caption: str
    decided: bool = False


@dataclass(frozen=True)
class Findings:
    """All that a study has to tell; verdicts, curves and warnings follow from the metrics.

    Attributes:
        title: name of the study.
        question: what was asked, one paragraph.
        metrics: dataset, split, method, fold, aggregation, metric, value, low, high, n.
        records: what is known of each dataset, in the order of the study.
        pairs: split -> (dataset, method) -> predicted and measured fitness of the variants asked, all folds together.
        account: what the stations and methods have taken.
        charged: what SLURM charged for all attempts, in sentences without their stops.
        questions: what is compared; the standard questions about the usual labels where None.
        nulls: labels of the methods that every other one is held against; those that were not asked do nothing.
        lacking: names of nulls that the study does not have.
        margin: differences in Spearman below it count as none.
        unscaled: methods that predict on another scale than the fitness: compared by rank, drawn without a 1:1 line.
        leaks: what the search for leaks found; empty where none was made.
        portraits: each dataset beside its best method, on the first split of `pairs`, in the order of the study.
        campaigns: dataset -> the rows of its replayed campaigns.
        plates: dataset -> its next plate.
    """

    title: str
    question: str
    metrics: pd.DataFrame
    records: tuple[Record, ...]
    provenance: Provenance
    pairs: Mapping[str, Mapping[tuple[str, str], Pairs]] = field(default_factory=dict)
    account: Account = field(default_factory=Account)
    charged: tuple[str, ...] = ()
    questions: tuple[Question, ...] | None = None
    nulls: tuple[str, ...] = ("additive", "site_gp")
    lacking: tuple[str, ...] = ()
    margin: float = MARGIN
    unscaled: frozenset[str] = frozenset({"zero_shot"})
    leaks: tuple[Finding, ...] = ()
    portraits: tuple[Portrait, ...] = ()
    campaigns: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    plates: Mapping[str, Plate] = field(default_factory=dict)

    @cached_property
    def kin(self) -> Kin:
        """Which datasets are of one protein family, by the identity of their wild types, and of which type."""
        family = families.named({record.name: record.wild_type for record in self.records})
        return Kin(family, {record.name: record.group for record in self.records})

    @property
    def baseline(self) -> str:
        """The first null: it comes first and has the neutral colour."""
        return next(iter(self.nulls), "")

    @cached_property
    def methods(self) -> tuple[str, ...]:
        """The methods in the order of the metrics, the baseline first (it has the neutral colour)."""
        names = dict.fromkeys(map(str, self.metrics["method"]))
        return tuple(sorted(names, key=lambda name: name != self.baseline))

    @cached_property
    def splits(self) -> tuple[str, ...]:
        """The splits that a table can sum up: all but those with several training sizes."""
        by_size = comparisons.low_n_splits(self.metrics)
        return tuple(split for split in dict.fromkeys(map(str, self.metrics["split"])) if split not in by_size)

    @cached_property
    def scores(self) -> pd.DataFrame:
        """One row per split (of `splits`), dataset, method and metric, without what has no meaning for a method."""
        found = tables.scores(self.metrics[self.metrics["split"].isin(self.splits)])
        return tables.comparable(found, self.unscaled)

    @cached_property
    def curves(self) -> pd.DataFrame:
        """Spearman by training size: split, dataset, method, size, value, low, high; empty without such a split."""
        variants = {record.name: sum(record.depths.values()) for record in self.records}
        return learning_curves.learning_curves(self.metrics, variants=variants)

    @cached_property
    def answers(self) -> tuple[tuple[Question, Comparison], ...]:
        """The study's questions that its metrics can answer, with their numbers."""
        asked = by_usual_labels(self.methods) if self.questions is None else self.questions
        return tuple(comparisons.answers(self.metrics, asked, kin=self.kin, margin=self.margin))

    @cached_property
    def verdicts(self) -> tuple[Verdict, ...]:
        """The questions of the study, then the best method of every split."""
        best = (self._best(split) for split in self.splits)
        told = [_verdict(question.text, found) for question, found in self.answers]
        return (*told, *(one for one in best if one is not None))

    @property
    def pictured(self) -> str:
        """The first split with predictions that a table can sum up; empty where there is none."""
        return next((split for split in self.splits if split in self.pairs), "")

    def gate(self, split: str, metric: str) -> dict[str, dict[str, Hurdle]]:
        """Every method held against each null on a split: null -> method -> hurdle."""
        table = null_gate.cases(self.metrics[self.metrics["split"] == split], metric)
        found = {null: null_gate.hurdles(table, split, null, metric, self.kin) for null in self.nulls}
        return {null: hurdles for null, hurdles in found.items() if hurdles}

    @cached_property
    def warnings(self) -> tuple[str, ...]:
        """What a reader must not overlook: methods that do not beat the nulls, intervals that claim too much."""
        coverage = self.scores[self.scores["metric"] == "coverage_95"].dropna(subset=["value"])
        seen = coverage.groupby(["split", "method"], sort=False, as_index=False)["value"].mean()
        unsure = [
            f"{method} is too sure of itself ({split}): its 95 % intervals hold {share:.0%} of the measurements"
            for split, method, share in zip(seen["split"], seen["method"], seen["value"], strict=True)
            if share < OVERSURE
        ]
        leaks = [f"Leak: {one.subject}: {one.sentence}" for one in self.leaks if one.severity == "leak"]
        return (*leaks, *unsure, *null_gate.warnings(self.metrics, self.nulls, self.lacking, kin=self.kin))

    def _best(self, split: str) -> Verdict | None:
        """The method with the highest mean over families, held against the first null."""
        means = tables.means(tables.grid(tables.choose(self.scores, split, MAIN)), self.kin)
        ranked = sorted(means, key=lambda name: measures.goodness(MAIN, means[name].value), reverse=True)
        if len(ranked) < 2:
            return None
        best, mean = ranked[0], f"mean {measures.measure(MAIN).title} {means[ranked[0]]}"
        question = f"Which method is best on split {split}?"
        if best == self.baseline or self.baseline not in means:
            second = f"The next is {ranked[1]} with {means[ranked[1]]}."
            return Verdict(question, f"{best}, {mean}", second, Interval(math.nan), "")
        against = comparisons.compare(
            self.metrics, best, self.baseline, split, metric=MAIN, kin=self.kin, margin=self.margin
        )
        return replace(_verdict(question, comparisons.chosen_among(against, len(ranked) - 1)), answer=f"{best}, {mean}")


def gather(
    title: str,
    question: str,
    *,
    metrics: Sequence[Path],
    dataset_files: Sequence[Path],
    prediction_files: Mapping[tuple[str, str, str], Path],
    provenance: Provenance,
    account: Account | None = None,
) -> Findings:
    """Read the files of a study.

    `dataset_files` are CSVs with their records beside them, `prediction_files` are keyed by (dataset, split, method).
    Raises ReportError where predictions name a dataset or a mutant that is not there.
    """
    records = tuple(datasets.read_record(path) for path in dataset_files)
    measured = {record.name: datasets.read(path) for record, path in zip(records, dataset_files, strict=True)}
    pairs: dict[str, dict[tuple[str, str], Pairs]] = {}
    for (name, split, method), path in prediction_files.items():
        if name not in measured:
            raise ReportError(f"{path}: predictions for dataset {name!r}, which is not among the report's datasets")
        pairs.setdefault(split, {})[name, method] = pair(predictions.read(path).values(), measured[name], str(path))
    table = pd.concat([scores.read(path) for path in metrics], ignore_index=True)
    found = Findings(title, question, table, records, provenance, pairs, account or Account())
    return replace(found, portraits=tuple(_portraits(found, measured, prediction_files)))


def _portraits(
    found: Findings, measured: Mapping[str, Dataset], files: Mapping[tuple[str, str, str], Path]
) -> Iterator[Portrait]:
    split = found.pictured
    best = portraits.best_methods(found.scores, split, MAIN, found.pairs.get(split, {}))
    for name, method in best.items():
        yield portraits.portrait(measured[name], split, method, predictions.read(files[name, split, method]))


def pair(folds: Iterable[Predictions], dataset: Dataset, where: str = "predictions") -> Pairs:
    """Predicted and measured fitness joined by mutant, all folds together; of more than SHOWN a seeded sample."""
    predicted = [(mutant, float(mean)) for fold in folds for mutant, mean in zip(fold.mutants, fold.mean, strict=True)]
    unknown = [mutant for mutant, _ in predicted if mutant not in dataset.variants.row_of]
    if unknown:
        raise ReportError(
            f"{where}: not in dataset {dataset.name}: {', '.join(unknown[:5])}; make the predictions again"
        )
    ordered = sorted(predicted)
    rows = np.sort(np.random.default_rng(SAMPLE_SEED).permutation(len(ordered))[:SHOWN])
    mutants = tuple(ordered[row][0] for row in rows)
    measured = dataset.select(dict.fromkeys(mutants))
    fitness = dict(zip(measured.variants.mutants, measured.fitness.tolist(), strict=True))
    means = np.array([ordered[row][1] for row in rows])
    return Pairs(mutants, means, np.array([fitness[mutant] for mutant in mutants]), len(predicted))


def _verdict(question: str, found: Comparison) -> Verdict:
    difference, said = Interval(found.mean, found.low, found.high), claim(found)
    caption = f"{found.method} {MINUS} {found.baseline}"
    return Verdict(question, said[0].upper() + said[1:] if verdict(found) == OPEN else said, sentence(found),
                   difference, caption, verdict(found) in (BETTER, WORSE))  # fmt: skip
