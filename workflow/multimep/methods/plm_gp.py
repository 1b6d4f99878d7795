"""plm_gp: site_gp with what a language model, a zero-shot score and a structure say of sites and variants."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Float, Int

from multimep import site_kernel
from multimep.dataset import Dataset, Variants
from multimep.embedder import Embedder
from multimep.evidence import maximise
from multimep.gaussian_process import Solution, solved, squared_distances
from multimep.knowledge import Knowledge, Rows
from multimep.landscape import Landscape
from multimep.landscape_making import around_maximum
from multimep.methods.blocks import MeanAndVariance, in_blocks
from multimep.methods.method import FitError, Joint, Recall, State, Sums, only
from multimep.methods.scaling import FEWEST_ROWS
from multimep.methods.site_gp import EXPECTED, lesson, selection
from multimep.methods.warping import Warping, rewarped
from multimep.methods.zero_shot_score import NONE, ZeroShotScore, score_of, zero_shot_score
from multimep.plm_kernel import PlmKernel, plm_kernel
from multimep.predictions import Predictions
from multimep.site_kernel import mutations_of, noise_of
from multimep.structure import Structure

SLOPES = {"zero_shot": 0.25, "buried": -0.25}
"""Expected slopes of `plm_kernel.LINEAR`, in standard deviations of the fitness (higher is better): a score of the
zero-shot models of ProteinGym has a rank correlation of 0.2 (ESM-2 8M) to 0.5; what is buried is sensitive, as
strongly as what is hydrophobic in `site_gp.EXPECTED`. Set before anything was measured."""


@dataclass(frozen=True)
class PlmGP:
    """Each part has a weight chosen by evidence, and a setting that leaves it out.

    Attributes:
        zero_shot: the mean's score: `masked` or `wild_type` marginals (see zero_shot), the name of a covariate that the
            source declares, or `none`.
        profile: sites are alike where the language model, masked there, expects alike residues.
        attention: sites are near that attend to one another in the language model.
        embedding: variants are alike whose pooled embeddings are near.
        structure: sites are near whose CA positions are, and as buried; for datasets that have a structure.
        expectation: start from the slopes that substitutions, scores and burial have in most proteins, as site_gp does.
        selection_rows: hyperparameters are chosen on at most this many rows, drawn with the seed, as in site_gp.
        warp: learn on a scale halfway to normal scores, as site_gp does.
    """

    zero_shot: str = "masked"
    profile: bool = True
    attention: bool = True
    embedding: bool = True
    structure: bool = True
    expectation: bool = True
    selection_rows: int = 500
    warp: bool = True
    joint: ClassVar[bool] = False

    def __post_init__(self) -> None:
        """Refuse a sample that could not even be scaled."""
        if self.selection_rows < FEWEST_ROWS:
            raise FitError(f"selection_rows must be at least {FEWEST_ROWS}, not {self.selection_rows}")

    def fit(self, train: Sequence[Dataset], embedder: Embedder, seed: int) -> "PlmGPPredictor":
        """Ask the language model what is wanted of it, choose hyperparameters, then condition on every row."""
        data, scale, targets = lesson(only(train), self.warp)
        view = self._view(data.variants, embedder)
        chosen = selection(len(data), self.selection_rows, seed)
        rows = view.rows(data.variants)
        slopes = self._slopes(view.kernel, data, targets)
        part = view.rows(data.variants.select(data.variants.mutants[row] for row in chosen))
        residual = targets[chosen] - _expected(part, view.kernel, slopes)
        theta = maximise(view.kernel.covariance(part), residual, view.kernel.prior)
        return _conditioned(view, data.variants, rows, targets, theta, slopes, scale)

    def landscape(self, predictor: "PlmGPPredictor", seed: int) -> Landscape:
        """The posterior density of the hyperparameters, on the rows on which they were chosen."""
        chosen, kernel = selection(len(predictor.targets), self.selection_rows, seed), predictor.view.kernel
        part = predictor.taught(chosen)
        y = predictor.targets[chosen] - _expected(part, kernel, predictor.slopes)
        return around_maximum(kernel.covariance(part), y, kernel.prior, predictor.theta, kernel.names)

    def restore(self, state: State, embedder: Embedder) -> "PlmGPPredictor":
        """The predictor whose state this is; the factorisation is made again."""
        arrays, facts = state.arrays, state.facts
        structure = Structure(arrays["coordinates"]) if "coordinates" in arrays else None
        known = Knowledge(arrays.get("log_probabilities"), arrays.get("attention"), structure, facts["embedding_unit"])
        score = score_of(state, facts["zero_shot"]) if facts["zero_shot"] else None
        view = _View(plm_kernel(known, score is not None), score, facts["unit"], embedder)
        variants = Variants(facts["dataset"], facts["wild_type"], tuple(facts["mutants"]))
        rows = Rows(mutations_of(variants, facts["unit"]), arrays.get("score"), arrays.get("embedding"))
        scale = rewarped(facts["scaling"], arrays)
        return _conditioned(view, variants, rows, arrays["targets"], arrays["theta"], arrays["slopes"], scale)

    def _view(self, variants: Variants, embedder: Embedder) -> "_View":
        wild_type = variants.wild_type
        known = Knowledge(
            embedder.marginals(wild_type, "masked") if self.profile else None,
            embedder.attention(wild_type) if self.attention else None,
            variants.structure if self.structure else None,
        )
        if self.embedding:
            embedded = embedder.pooled(variants)
            unit = float(np.mean(squared_distances(embedded, embedded)))
            known = replace(known, embedding_unit=unit if unit > 0 else 1.0)
        score = None if self.zero_shot == NONE else zero_shot_score(self.zero_shot, variants, embedder)
        kernel = plm_kernel(known, score is not None)
        return _View(kernel, score, site_kernel.unit_of(variants), embedder)

    def _slopes(self, kernel: PlmKernel, data: Dataset, targets: Float[np.ndarray, "n"]) -> Float[np.ndarray, "s"]:
        # in units of the fitness's own standard deviation, which is 0 where all rows are equal
        all_of = np.concatenate([EXPECTED, [SLOPES[name] for name in kernel.linear]])
        direction = 1 if data.higher_is_better else -1
        return np.asarray(all_of * self.expectation * direction * float(np.std(targets, ddof=1)))


@dataclass(frozen=True)
class _View:
    """From variants to what the kernel compares."""

    kernel: PlmKernel
    score: ZeroShotScore | None
    unit: float
    embedder: Embedder

    def rows(self, variants: Variants) -> Rows:
        return Rows(
            mutations_of(variants, self.unit),
            None if self.score is None else self.score(variants),
            self.embedder.pooled(variants) if self.kernel.known.embedding_unit > 0 else None,
        )


@dataclass(frozen=True)
class PlmGPPredictor:
    """A posterior with the training variants that it needs.

    Attributes:
        view: kernel, score and language model.
        variants: of the training rows.
        rows: as the kernel sees them.
        targets: their fitness on that scale, shape (n,).
        theta: logarithms of the hyperparameters, in the order of `view.kernel.names`.
        slopes: of the expected mean: of `substitutions.FEATURES`, then of `view.kernel.linear`.
        scale: of the targets.
        solution: of the training rows.
    """

    view: _View
    variants: Variants
    rows: Rows
    targets: Float[np.ndarray, "n"]
    theta: Float[np.ndarray, "k"]
    slopes: Float[np.ndarray, "s"]
    scale: Warping
    solution: Solution

    def predict(self, variants: Variants) -> Predictions:
        """Posterior mean and standard deviations; raises FitError where the variants lack the covariate."""
        mean, variance = in_blocks(variants, self._predict_block)
        return self.scale.undo(variants.mutants, mean, variance, _noise(self.theta))

    def _predict_block(self, variants: Variants) -> MeanAndVariance:
        asked, kernel = self.view.rows(variants), self.view.kernel
        cross = kernel.cross(asked, self.rows, self.theta)
        beyond, variance = self.solution.predict(cross, kernel.variances(asked, self.theta))
        return _expected(asked, kernel, self.slopes) + beyond, variance

    def joint(self, variants: Variants) -> Joint:
        """Joint posterior on the scale of the targets."""
        asked, kernel = self.view.rows(variants), self.view.kernel
        cross, own = kernel.cross(asked, self.rows, self.theta), kernel.cross(asked, asked, self.theta)
        beyond, covariance = self.solution.joint(cross, own)
        return Joint(_expected(asked, kernel, self.slopes) + beyond, covariance)

    def sums(self, variants: Variants) -> Sums | None:
        """The posterior mean on the scale of the targets; None where a score or embeddings of variants are compared."""
        score = self.view.score
        if any(term.variants for term in self.view.kernel.terms) or not (score is None or score.adds_up):
            return None
        mean, _ = in_blocks(variants, self._predict_block)
        if self.scale.straight:
            return Sums(self.scale.mean(mean, np.zeros(len(mean)), 0.0), "fitness")
        return Sums(mean, "latent")

    def recall(self, variants: Variants) -> Recall:
        """What each training row adds on the scale of the targets."""
        asked, kernel = self.view.rows(variants), self.view.kernel
        cross = kernel.cross(asked, self.rows, self.theta)
        _, variance = self.solution.predict(cross, kernel.variances(asked, self.theta))
        expected, fitness = _expected(asked, kernel, self.slopes), partial(self.scale.mean, noise=_noise(self.theta))
        return Recall(self.variants.mutants, expected, cross, variance, *self.solution.parts, fitness)

    def taught(self, chosen: Int[np.ndarray, "k"]) -> Rows:
        """Some of the training rows as the kernel sees them."""
        part = self.variants.select(self.variants.mutants[row] for row in chosen)
        score, embedding = (
            None if whole is None else whole[chosen] for whole in (self.rows.score, self.rows.embedding)
        )
        return Rows(mutations_of(part, self.view.unit), score, embedding)

    def state(self) -> State:
        """Training rows, hyperparameters, and all that is known of the wild type."""
        known, score = self.view.kernel.known, self.view.score
        facts: dict[str, Any] = {
            "dataset": self.variants.dataset,
            "wild_type": self.variants.wild_type,
            "mutants": list(self.variants.mutants),
            "unit": self.view.unit,
            "embedding_unit": known.embedding_unit,
            "zero_shot": None if score is None else score.facts,
            "scaling": asdict(self.scale.scaling),
        }
        arrays = {
            "targets": self.targets, "theta": self.theta, "slopes": self.slopes, **self.scale.arrays,
            "score": self.rows.score, "embedding": self.rows.embedding,
            "log_probabilities": known.log_probabilities, "attention": known.attention,
            "coordinates": None if known.structure is None else known.structure.coordinates,
            **({} if score is None else score.arrays),
        }  # fmt: skip
        return State({name: array for name, array in arrays.items() if array is not None}, facts)


def _noise(theta: Float[np.ndarray, "k"]) -> float:
    return noise_of(theta[: len(site_kernel.NAMES)])


def _expected(rows: Rows, kernel: PlmKernel, slopes: Float[np.ndarray, "s"]) -> Float[np.ndarray, "n"]:
    # m(x) = sum_{m in x} phi(m).w + sum_j phi_j(x) w_j
    own = len(EXPECTED)
    linear = kernel.features(rows) @ slopes[own:]
    return np.asarray(rows.mutations.incidence @ (rows.mutations.features @ slopes[:own]) + linear)


def _conditioned(
    view: _View,
    variants: Variants,
    rows: Rows,
    targets: Float[np.ndarray, "n"],
    theta: Float[np.ndarray, "k"],
    slopes: Float[np.ndarray, "s"],
    scale: Warping,
) -> PlmGPPredictor:
    kernel = view.kernel
    a = kernel.cross(rows, rows, theta) + _noise(theta) * np.eye(len(targets))
    solution = solved(a, targets - _expected(rows, kernel, slopes))
    return PlmGPPredictor(view, variants, rows, targets, theta, slopes, scale, solution)
