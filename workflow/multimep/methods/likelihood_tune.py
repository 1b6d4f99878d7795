"""likelihood_tune: for each dataset, the PLM's log-odds of mutations, tuned to rank its rows, and a line to fitness."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import ClassVar

import numpy as np
from jaxtyping import Float

from multimep import affine, likelihood_tuning
from multimep.affine import Affine
from multimep.dataset import Dataset, Variants
from multimep.embedder import Embedder
from multimep.likelihood_tuning import LikelihoodTuning, Tuned
from multimep.methods.method import FitError, State, Sums, only
from multimep.methods.scaling import Scaling, scaling_of
from multimep.methods.zero_shot import scores
from multimep.predictions import Predictions


@dataclass(frozen=True)
class LikelihoodTune(LikelihoodTuning):
    """One tuned language model per dataset; its settings are those of `LikelihoodTuning`."""

    joint: ClassVar[bool] = False

    def fit(self, train: Sequence[Dataset], embedder: Embedder, seed: int) -> "LikelihoodTunePredictor":
        """Tune on the one dataset; raises FitError for fewer than three rows."""
        return fit([only(train)], embedder, self, seed)

    def restore(self, state: State, embedder: Embedder) -> "LikelihoodTunePredictor":
        """The predictor whose `state` this is; it needs no language model any more."""
        del embedder
        return restored(state)


@dataclass(frozen=True)
class Line:
    """From the tuned tables of one dataset to its fitness.

    Attributes:
        tables: log-probabilities at every residue of the wild type, one table for each member.
        affine: from the members' mean score to standardised fitness, rising with the better.
        scaling: of the fitness.
        sign: 1.0, or -1.0 where a lower fitness is better.
    """

    tables: Float[np.ndarray, "members length 20"]
    affine: Affine
    scaling: Scaling
    sign: float

    def predict(self, variants: Variants) -> Predictions:
        """Mean; variance of the line and between members; noise about the line."""
        found = np.stack([scores(table, variants.genotypes) for table in self.tables])
        score = found.mean(axis=0)
        apart = found.var(axis=0, ddof=1) if len(found) > 1 else np.zeros(len(variants))
        # var = var b + (s - c)^2 var a + a^2 var of s over members
        variance = self.affine.variance(score) + self.affine.slope**2 * apart
        mean = self.sign * self.affine.mean(score)
        return self.scaling.undo(variants.mutants, mean, variance, self.affine.noise)


@dataclass(frozen=True)
class LikelihoodTunePredictor:
    """A line for each dataset that was taught.

    Attributes:
        lines: name of the dataset -> its tables and line.
    """

    lines: Mapping[str, Line]

    def predict(self, variants: Variants) -> Predictions:
        """Mean and standard deviations; raises FitError for a dataset that was not among those taught."""
        if variants.dataset not in self.lines:
            raise FitError(f"{variants.dataset} is none of the datasets of this model: {', '.join(self.lines)}")
        return self.lines[variants.dataset].predict(variants)

    def sums(self, variants: Variants) -> Sums | None:
        """The predicted means: a line over sums of log-odds. Raises FitError as `predict`."""
        return Sums(self.predict(variants).mean, "fitness")

    def state(self) -> State:
        """The tables, numbered by dataset, and the numbers of every line."""
        facts = [
            {"affine": asdict(line.affine), "scaling": asdict(line.scaling), "sign": line.sign}
            for line in self.lines.values()
        ]
        tables = {f"{index}.tables": line.tables for index, line in enumerate(self.lines.values())}
        return State(tables, {"datasets": list(self.lines), "lines": facts})


def fit(train: Sequence[Dataset], embedder: Embedder, settings: LikelihoodTuning, seed: int) -> LikelihoodTunePredictor:
    """Tune one model on all the datasets; raises FitError where there are none or one has fewer than three rows."""
    if not train:
        raise FitError("likelihood tuning needs training rows, there is no dataset")
    parts = sorted(train, key=lambda part: part.name)
    scalings = [scaling_of(part) for part in parts]
    targets = [_standardised(part, scaling) for part, scaling in zip(parts, scalings, strict=True)]
    tuned = likelihood_tuning.tune(embedder.language_model, targets, settings, seed)
    return LikelihoodTunePredictor(
        {part.name: _line(one, scaling, _sign(part)) for part, scaling, one in zip(parts, scalings, tuned, strict=True)}
    )


def restored(state: State) -> LikelihoodTunePredictor:
    """The predictor whose `state` this is."""
    return LikelihoodTunePredictor(
        {
            name: Line(state.arrays[f"{index}.tables"], Affine(**one["affine"]), Scaling(**one["scaling"]), one["sign"])
            for index, (name, one) in enumerate(zip(state.facts["datasets"], state.facts["lines"], strict=True))
        }
    )


def _sign(dataset: Dataset) -> float:
    return 1.0 if dataset.higher_is_better else -1.0


def _standardised(dataset: Dataset, scaling: Scaling) -> Dataset:
    # z = +-(y - mean) / scale, rounded to 1e-6: the same numbers teach whatever unit the fitness was given in
    return replace(dataset, fitness=_sign(dataset) * np.round(scaling.apply(dataset.fitness), 6))


def _line(tuned: Tuned, scaling: Scaling, sign: float) -> Line:
    return Line(tuned.tables, affine.fit(tuned.told, tuned.targets), scaling, sign)
