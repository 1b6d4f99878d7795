"""Why a predictor says what it says: parts by mutation, training rows that matter, the score around its choices."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from multimep.attribution import GRADIENTS, SUM, Part, interactions, means, shapley, sub_variants
from multimep.candidates import read_variants
from multimep.landscape import Landscape
from multimep.methods.kernel_predictor import KernelPredictor
from multimep.methods.method import (
    Charted,
    Method,
    Predictor,
    Reading,
    ReadingPredictor,
    RecallingPredictor,
    SummingPredictor,
)
from multimep.methods.recalibrated import Recalibrated, RecalibratedPredictor
from multimep.mutations import WILD_TYPE, check, format_genotype, parse
from multimep.training_importance import Importance, importance
from multimep.variants import Variants

ATTRIBUTIONS, IMPORTANCE, LANDSCAPE = "attributions", "training_importance", "landscape"
KINDS = (ATTRIBUTIONS, GRADIENTS, IMPORTANCE, LANDSCAPE)
OLD = "the file is of an older version; fit it again with `multimep fit`"
DEFAULT = 10
"""Best measured variants that are explained where none is named."""


class ExplanationError(ValueError):
    """An explanation that does not exist for a predictor; the message names those that do."""


@dataclass(frozen=True)
class Subject:
    """What is explained.

    Attributes:
        predictor, method: as loaded; of `recalibrated`, whose means are those of the method inside, that one.
        dataset, wild_type: of the protein.
        name: of the method.
        seed: with which the predictor was fitted; None where an older file does not tell.
        measured: training variants and their fitness, where the file names them.
    """

    predictor: Predictor
    method: Method
    dataset: str
    wild_type: str
    name: str
    seed: int | None
    measured: Mapping[str, float] = field(default_factory=dict)

    def variants(self, mutants: Sequence[str]) -> Variants:
        """Variants of the protein, without covariates."""
        return Variants(self.dataset, self.wild_type, tuple(mutants))


@dataclass(frozen=True)
class Completeness:
    """How well the parts of one variant sum to what they divide.

    Attributes:
        mutant, approach, scale: as in `Part`.
        difference: of the variant from the wild type.
        error: sum of the parts less the difference.
        tolerance: within which it must be; NaN where it is exact but for rounding.
        nodes: of a quadrature; 0 without one.
    """

    mutant: str
    approach: str
    scale: str
    difference: float
    error: float
    tolerance: float = float("nan")
    nodes: int = 0


@dataclass(frozen=True)
class Explanation:
    """All that was asked.

    Attributes:
        wild_type: its predicted mean.
        predicted: mutant that was asked -> its predicted mean.
        parts, complete: of every approach; empty where attributions were not asked.
        importance: of each variant; empty where it was not asked.
        landscape: None where it was not asked.
        lacking: kind of explanation -> why the method has none.
    """

    wild_type: float
    predicted: Mapping[str, float]
    parts: tuple[Part, ...]
    complete: tuple[Completeness, ...]
    importance: tuple[Importance, ...]
    landscape: Landscape | None
    lacking: Mapping[str, str]


def subject_of(predictor: Predictor, method: Method, **facts: Any) -> Subject:
    """What is explained; `recalibrated` is opened."""
    while isinstance(predictor, RecalibratedPredictor) and isinstance(method, Recalibrated):
        predictor, method = predictor.base, method.base
    return Subject(predictor, method, **facts)


def lacking(subject: Subject) -> dict[str, str]:
    """The kinds of explanation that this predictor does not have, and why."""
    found, predictor = {}, subject.predictor
    if _reading(subject) is None:
        found[GRADIENTS] = "no mean that is read from a language model's last states with a gradient"
    if not isinstance(predictor, RecallingPredictor):
        found[IMPORTANCE] = "no Gaussian process that keeps all training rows"
    elif isinstance(predictor, KernelPredictor) and not predictor.mutants:
        found[IMPORTANCE] = OLD
    if not isinstance(subject.method, Charted):
        found[LANDSCAPE] = "no hyperparameters that were chosen by a score on the training rows alone"
    elif subject.seed is None or IMPORTANCE in found:
        found[LANDSCAPE] = OLD
    return found


def chosen(subject: Subject, kinds: Sequence[str]) -> tuple[list[str], dict[str, str]]:
    """The kinds to make, in order, and those that lack; if none is named, all that exist but GRADIENTS, which are slow.

    Raises ExplanationError for a word that is no kind, and for one that this predictor does not have.
    """
    unknown = [one for one in kinds if one not in KINDS]
    if unknown:
        raise ExplanationError(f"--kinds: {unknown[0]!r} is none of {', '.join(KINDS)}")
    without = lacking(subject)
    there = [one for one in KINDS if one not in without]
    refused = [one for one in kinds if one in without]
    if refused:
        raise ExplanationError(
            f"{subject.name} has no {refused[0]}: {without[refused[0]]}; it has {', '.join(there)}: choose with --kinds"
        )
    return [one for one in there if (one in kinds if kinds else one != GRADIENTS)], without


def asked_of(subject: Subject, file: Path | None, mutants: Sequence[str], higher_is_better: bool) -> Variants:
    """The variants in a file, those named, or the `DEFAULT` best measured ones; raises what refuses them."""
    if file and mutants:
        raise ExplanationError("give --variants or --mutants, not both")
    if file:
        return read_variants(subject.dataset, subject.wild_type, file)
    genotypes = [parse(one) for text in mutants for one in text.split()]
    for one in genotypes:
        check(one, subject.wild_type)
    if mutants and not genotypes:
        raise ExplanationError("--mutants names none; write it as in --mutants A23V:C45D")
    names = [format_genotype(one) for one in genotypes] or _best(subject.measured, higher_is_better)
    if not names:
        raise ExplanationError("the predictor does not name its training variants; give --variants or --mutants")
    return subject.variants(tuple(dict.fromkeys(names)))


def _best(measured: Mapping[str, float], higher_is_better: bool) -> list[str]:
    mutants = [one for one in sorted(measured) if one != WILD_TYPE]
    return sorted(mutants, key=lambda one: measured[one], reverse=higher_is_better)[:DEFAULT]


def explain(subject: Subject, asked: Variants, kinds: Sequence[str], seed: int) -> Explanation:
    """Everything of these kinds, see `chosen`; `seed` draws the orders of variants with very many mutations."""
    wanted, without = chosen(subject, kinds)
    divided = sub_variants(asked.mutants, seed) if ATTRIBUTIONS in wanted else ()
    predicted = means(subject.predictor, asked, tuple(dict.fromkeys([WILD_TYPE, *asked.mutants, *divided])))
    found = [_divided(asked, predicted, seed), _sums(subject, asked)] if ATTRIBUTIONS in wanted else []
    reading = _reading(subject) if GRADIENTS in wanted else None
    found += [_gradients(reading, subject, asked)] if reading else []
    return Explanation(
        predicted[WILD_TYPE],
        {one: predicted[one] for one in asked.mutants},
        tuple(one for parts, _ in found for one in parts),
        tuple(one for _, complete in found for one in complete),
        importance(subject.predictor, asked) if IMPORTANCE in wanted else (),
        _landscape(subject) if LANDSCAPE in wanted else None,
        without,
    )


Divided = tuple[list[Part], list[Completeness]]


def _divided(asked: Variants, predicted: Mapping[str, float], seed: int) -> Divided:
    """Shapley values and interactions."""
    parts = [one for mutant in asked.mutants for one in shapley(mutant, predicted, seed)]
    parts += [one for mutant in asked.mutants for one in interactions(mutant, predicted)]
    return parts, _completeness(parts, {one: predicted[one] - predicted[WILD_TYPE] for one in asked.mutants})


def _completeness(parts: Sequence[Part], differences: Mapping[str, float]) -> list[Completeness]:
    totals: dict[tuple[str, str, str], float] = {}
    for one in parts:
        key = one.mutant, one.approach, one.scale
        totals[key] = totals.get(key, 0.0) + one.value
    return [Completeness(*key, differences[key[0]], total - differences[key[0]]) for key, total in totals.items()]


def _sums(subject: Subject, asked: Variants) -> Divided:
    """One number for each mutation, whatever its company; nothing where the method is no sum."""
    if not isinstance(subject.predictor, SummingPredictor):
        return [], []
    singles = sorted({str(one) for genotype in asked.genotypes for one in genotype})
    every = subject.variants(tuple(dict.fromkeys([WILD_TYPE, *singles, *asked.mutants])))
    found = subject.predictor.sums(every)
    if found is None:
        return [], []
    gains = dict(zip(every.mutants, (found.values - found.values[0]).tolist(), strict=True))
    parts = [
        Part(mutant, SUM, found.scale, str(one), gains[str(one)]) for mutant in asked.mutants for one in parse(mutant)
    ]
    return parts, _completeness(parts, gains)


def _gradients(reading: Reading, subject: Subject, asked: Variants) -> Divided:
    from multimep.integrated_gradients import integrated  # noqa: PLC0415 (torch, where a path is asked alone)

    parts: list[Part] = []
    complete: list[Completeness] = []
    for mutant, sequence in zip(asked.mutants, asked.sequences, strict=True):
        path = integrated(reading, subject.wild_type, mutant, sequence)
        parts += [
            Part(mutant, GRADIENTS, "fitness", str(one), float(path.parts[one.position - 1])) for one in parse(mutant)
        ]
        complete.append(
            Completeness(mutant, GRADIENTS, "fitness", path.difference, path.error, path.tolerance, path.nodes)
        )
    return parts, complete


def _reading(subject: Subject) -> Reading | None:
    predictor = subject.predictor
    return predictor.reading(subject.dataset) if isinstance(predictor, ReadingPredictor) else None


def _landscape(subject: Subject) -> Landscape | None:
    method, seed = subject.method, subject.seed
    return method.landscape(subject.predictor, seed) if isinstance(method, Charted) and seed is not None else None
