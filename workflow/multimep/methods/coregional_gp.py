"""coregional_gp: one Gaussian process for all assays of a protein, which learns how alike they are."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Float

from multimep import site_kernel
from multimep.coregionalisation import Rows, apart, coregional_covariance, cross, prior, prior_variances
from multimep.dataset import Dataset, Variants
from multimep.embedder import Embedder
from multimep.evidence import maximise
from multimep.gaussian_process import Solution, solved
from multimep.methods.blocks import MeanAndVariance, in_blocks
from multimep.methods.method import FitError, State, Sums
from multimep.methods.scaling import FEWEST_ROWS
from multimep.methods.site_gp import EXPECTED, Belief, expected_of, lesson, selection
from multimep.methods.warping import Warping, rewarped
from multimep.mutations import format_genotype, parse
from multimep.predictions import Predictions
from multimep.site_kernel import mutations_of


@dataclass(frozen=True)
class CoregionalGP:
    """`site_gp` over all assays of one protein at once; joint. Assays of different proteins share nothing.

    Two datasets are of one protein where one wild type is the other or a part of it; the longest gives the positions.
    A variant that is asked in one assay and teaches in another is known from there: that is what this method is for,
    and a leak where the two assays are one experiment, or where a study says that it asks new variants. Splits that
    keep a genotype on one side in all datasets prevent it.

    Attributes:
        expectation: start from the slopes that substitutions have in most proteins, as in `site_gp`.
        selection_rows: hyperparameters are chosen on at most this many rows of each dataset, drawn with the seed; all
            rows teach the final model.
        warp: learn on a scale halfway to normal scores, as `site_gp` does; False: on the fitness itself.
    """

    expectation: bool = True
    selection_rows: int = 300
    warp: bool = True
    joint: ClassVar[bool] = True

    def __post_init__(self) -> None:
        """Refuse a sample that could not even be scaled."""
        if self.selection_rows < FEWEST_ROWS:
            raise FitError(f"selection_rows must be at least {FEWEST_ROWS}, not {self.selection_rows}")

    def fit(self, train: Sequence[Dataset], embedder: Embedder, seed: int) -> "CoregionalPredictor":
        """One model per protein; raises FitError for no dataset and one given twice."""
        del embedder
        names = sorted(one.name for one in train)
        if not names or len(set(names)) < len(names):
            raise FitError(
                f"coregional_gp needs at least one dataset and each once, given: {', '.join(names) or 'none'}"
            )
        return CoregionalPredictor(tuple(self._protein(team, seed) for team in proteins(train)))

    def _protein(self, team: Sequence[Dataset], seed: int) -> "ProteinModel":
        signs = [1 if one.higher_is_better else -1 for one in team]
        lessons = [lesson(one, self.warp) for one in team]
        assays = tuple(
            Assay(data.name, data.wild_type, data.variants.mutants, scale, sign)
            for (data, scale, _), sign in zip(lessons, signs, strict=True)
        )
        # turned so that higher is better: then assays of one protein correlate positively
        targets = [sign * values for (_, _, values), sign in zip(lessons, signs, strict=True)]
        size = float(np.mean([np.std(one, ddof=1) for one in targets]))
        protein = Protein(team[0].wild_type, assays, EXPECTED * self.expectation * size)
        return conditioned(protein, np.concatenate(targets), self._theta(protein, targets, seed))

    def _theta(self, protein: "Protein", targets: list[Float[np.ndarray, "_"]], seed: int) -> Float[np.ndarray, "k"]:
        chosen = [selection(len(one), self.selection_rows, seed) for one in targets]
        some = {task: [protein.assays[task].mutants[row] for row in rows] for task, rows in enumerate(chosen)}
        rows = protein.rows(some)
        y = np.concatenate([one[rows] for one, rows in zip(targets, chosen, strict=True)])
        expected = expected_of(rows.mutations, protein.belief)
        return maximise(coregional_covariance(rows, len(targets)), y - expected, prior(len(targets)))

    def restore(self, state: State, embedder: Embedder) -> "CoregionalPredictor":
        """The predictor whose state this is."""
        del embedder
        return CoregionalPredictor(tuple(_restored(state, index) for index in range(len(state.facts["proteins"]))))


def proteins(train: Sequence[Dataset]) -> list[list[Dataset]]:
    """Datasets of one protein together, that of the longest wild type first."""
    teams: list[list[Dataset]] = []
    for one in sorted(train, key=lambda data: (-len(data.wild_type), data.name)):
        home = next((team for team in teams if one.wild_type in team[0].wild_type), None)
        if home is None:
            teams.append([one])
        else:
            home.append(one)
    return teams


@dataclass(frozen=True)
class Assay:
    """One dataset of a protein.

    Attributes:
        name, wild_type, mutants: of its training rows.
        scale: of its targets.
        sign: -1 where a lower fitness is better.
    """

    name: str
    wild_type: str
    mutants: tuple[str, ...]
    scale: Warping
    sign: int


@dataclass(frozen=True)
class Protein:
    """What a model of one protein has before it is conditioned.

    Attributes:
        frame: the longest wild type, whose numbering holds.
        assays: its datasets; their order is that of the tasks.
        slopes: of the expected mean, in standardised units.
    """

    frame: str
    assays: tuple[Assay, ...]
    slopes: Float[np.ndarray, "6"]

    @property
    def belief(self) -> Belief:
        """What is expected of every assay."""
        return Belief(site_kernel.prior(), self.slopes)

    @property
    def unit(self) -> float:
        """Weight of one mutation, from the training rows of all assays."""
        depths = [len(parse(one)) for assay in self.assays for one in assay.mutants]
        return float(1 / np.sqrt(max(float(np.mean(depths)), 1.0)))

    def rows(self, mutants: Mapping[int, Sequence[str]]) -> Rows:
        """Variants of assays, number of the assay -> its variants, one assay after another."""
        moved = [self._moved(task, one) for task, some in mutants.items() for one in some]
        variants = Variants("all assays", self.frame, tuple(dict.fromkeys(moved)))
        distinct = mutations_of(variants, self.unit)
        places = np.array([variants.row_of[one] for one in moved], dtype=np.int64)
        tasks = np.repeat(np.array(list(mutants), dtype=np.int64), [len(some) for some in mutants.values()])
        return Rows(replace(distinct, incidence=distinct.incidence[places]), tasks)

    def _moved(self, task: int, mutant: str) -> str:
        start = self.frame.index(self.assays[task].wild_type)
        return format_genotype(tuple(one.shifted(start) for one in parse(mutant)))


@dataclass(frozen=True)
class ProteinModel:
    """A posterior over all assays of one protein.

    Attributes:
        protein: its assays and what is expected.
        targets: of all training rows on their scales, higher better, assay after assay, shape (n,).
        theta: logarithms of the hyperparameters, in the order of `coregionalisation.apart`.
        taught: the training rows.
        solution: of the training rows.
    """

    protein: Protein
    targets: Float[np.ndarray, "n"]
    theta: Float[np.ndarray, "k"]
    taught: Rows
    solution: Solution

    def predict(self, task: int, variants: Variants) -> Predictions:
        """Posterior mean and standard deviations of variants of one assay."""
        assay = self.protein.assays[task]
        mean, variance = in_blocks(variants, lambda part: self._block(task, part))
        return assay.scale.undo(variants.mutants, assay.sign * mean, variance, float(apart(self.theta).noise[task]))

    def _block(self, task: int, variants: Variants) -> MeanAndVariance:
        asked = self.protein.rows({task: variants.mutants})
        k = cross(asked, self.taught, self.theta)
        beyond, variance = self.solution.predict(k, prior_variances(asked, self.theta))
        return expected_of(asked.mutations, self.protein.belief) + beyond, variance


@dataclass(frozen=True)
class CoregionalPredictor:
    """One posterior per protein.

    Attributes:
        models: of the proteins.
    """

    models: tuple[ProteinModel, ...]

    def predict(self, variants: Variants) -> Predictions:
        """Posterior mean and standard deviations; raises FitError for a dataset that it was not taught."""
        model, task = self._model(variants)
        return model.predict(task, variants)

    def sums(self, variants: Variants) -> Sums | None:
        """The posterior mean on the scale of the dataset's targets; raises FitError as `predict`."""
        model, task = self._model(variants)
        mean, _ = in_blocks(variants, lambda part: model._block(task, part))
        return Sums(model.protein.assays[task].sign * mean, "latent")

    def _model(self, variants: Variants) -> tuple[ProteinModel, int]:
        known = {assay.name: (model, task) for model in self.models for task, assay in enumerate(model.protein.assays)}
        if variants.dataset not in known:
            raise FitError(f"{variants.dataset} is none of the datasets of this model: {', '.join(known)}")
        return known[variants.dataset]

    def state(self) -> State:
        """Training rows, scales and hyperparameters of all proteins, arrays numbered; B and noise as facts."""
        arrays: dict[str, np.ndarray] = {}
        facts = []
        for index, model in enumerate(self.models):
            own = {"targets": model.targets, "theta": model.theta, "slopes": model.protein.slopes}
            arrays |= {f"{index}.{name}": array for name, array in own.items()}
            for task, assay in enumerate(model.protein.assays):
                arrays |= {f"{index}.{task}.{name}": array for name, array in assay.scale.arrays.items()}
            facts.append(_facts(model))
        return State(arrays, {"proteins": facts})


def _facts(model: ProteinModel) -> dict[str, Any]:
    of = apart(model.theta)
    assays = [
        {
            "name": one.name,
            "wild_type": one.wild_type,
            "mutants": list(one.mutants),
            "scaling": asdict(one.scale.scaling),
            "sign": one.sign,
        }
        for one in model.protein.assays
    ]
    return {"frame": model.protein.frame, "assays": assays, "alike": of.alike.tolist(), "noise": of.noise.tolist()}


def conditioned(protein: Protein, targets: Float[np.ndarray, "n"], theta: Float[np.ndarray, "k"]) -> ProteinModel:
    """The posterior of all training rows at these hyperparameters."""
    taught = protein.rows({task: assay.mutants for task, assay in enumerate(protein.assays)})
    a = cross(taught, taught, theta) + np.diag(apart(theta).noise[taught.tasks])
    solution = solved(a, targets - expected_of(taught.mutations, protein.belief))
    return ProteinModel(protein, targets, theta, taught, solution)


def _restored(state: State, index: int) -> ProteinModel:
    facts = state.facts["proteins"][index]
    assays = []
    for task, one in enumerate(facts["assays"]):
        scale = rewarped(one["scaling"], state.arrays, f"{index}.{task}.")
        assays.append(Assay(one["name"], one["wild_type"], tuple(one["mutants"]), scale, one["sign"]))
    targets, theta, slopes = (state.arrays[f"{index}.{name}"] for name in ("targets", "theta", "slopes"))
    return conditioned(Protein(facts["frame"], tuple(assays), slopes), targets, theta)
