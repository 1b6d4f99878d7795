"""The next plate from a fitted predictor: candidates generated and scored, a shortlist, a plate under its rules."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Literal

import numpy as np
from jaxtyping import Float

from multimep import oligos, plate_map
from multimep.acquisition import AcquisitionError, Wanted, drawn, pointwise
from multimep.candidates import Space, blocks, parse_sites, recombinations, space
from multimep.methods.method import JointPredictor, Predictor
from multimep.mutations import AMINO_ACIDS, Mutation, parse
from multimep.oligos import Ordering
from multimep.plate_choice import Choice, choose
from multimep.plate_programme import Effort, room
from multimep.plate_rules import Candidate, PlateError, Rules
from multimep.policies import Acquisition
from multimep.predictions import Predictions
from multimep.proximity import Training
from multimep.search import Genetic, search
from multimep.shortlist import Scored, Shortlist
from multimep.variants import Variants

BLOCK = 8192
"""Candidates that are held at once."""
JOINT_METHODS = "site_gp, plm_gp, combination_gp, epistasis_gp, shared_prior_gp, embedding_gp, transmep"


MOST = {"draws": 100_000, "exhaustive": 1_000_000_000, "shortlist": 1_000_000}
"""Of what fills memory or time without an end."""


@dataclass(frozen=True)
class Wishes:
    """What the next plate is to be.

    Attributes:
        candidates: `recombinations` of the mutations that were measured (the default: nothing is asked that no row
            speaks of), or `combinations` of any residues at `sites`. A file of candidates takes the place of both.
        sites: such as ``3,17,20-24``, where candidates may be mutated; all sites if empty.
        residues: that they may take there.
        mutations: of a candidate, at least and at most.
        acquisition: `ucb` (mean + beta std), `mean`, `expected_improvement` over the best measured variant, or
            `thompson` (share of joint posterior draws in which a candidate is among the best that fit on the plate).
        beta: of `ucb`; 0 is the mean, 2 explores.
        draws: of `thompson`.
        exhaustive: up to so many candidates all are scored; beyond, the genetic search looks for the best.
        search: its settings.
        shortlist: candidates among which the plate is chosen: the best of all, and the best at every site.
        rules: that the plate must obey.
        solver: how long to look for the best plate.
        plate: wells of one plate, 96 or 384.
        host: whose codons are used: e_coli, s_cerevisiae or human.
        flank: bases on both sides of a codon in an oligo.
    """

    candidates: Literal["recombinations", "combinations"] = "recombinations"
    sites: str = ""
    residues: str = AMINO_ACIDS
    mutations: tuple[int, int] = (1, 2)
    acquisition: Acquisition = "ucb"
    beta: float = 2.0
    draws: int = 256
    exhaustive: int = 1_000_000
    search: Genetic = field(default_factory=Genetic)
    shortlist: int = 2000
    rules: Rules = field(default_factory=Rules)
    solver: Effort = field(default_factory=Effort)
    plate: Literal[96, 384] = 96
    host: str = "e_coli"
    flank: int = 15

    def __post_init__(self) -> None:
        """Refuse what no candidate could be scored by, and a host without codons."""
        Ordering(self.host, self.flank)
        parse_sites(self.sites)
        for name, most in MOST.items():
            if not 1 <= getattr(self, name) <= most:
                raise PlateError(f"{name}: {getattr(self, name)} must be from 1 to {most:,}")


@dataclass(frozen=True)
class Bench:
    """What is known before the plate is chosen.

    Attributes:
        dataset, wild_type: of the protein.
        measured: variant -> fitness, of all rows that taught.
        higher_is_better: False where a lower value is the better mutant.
        predictor: fitted on them.
        method: its name, for messages.
    """

    dataset: str
    wild_type: str
    measured: Mapping[str, float]
    higher_is_better: bool
    predictor: Predictor
    method: str

    @property
    def sign(self) -> int:
        """Times the fitness: higher is better."""
        return 1 if self.higher_is_better else -1


@dataclass(frozen=True)
class Recommendation:
    """The plate, and how it came about.

    Attributes:
        choice: the mutants, best first.
        scored: predictions and values of the shortlist.
        wells: where they stand.
        distances: substitutions from each chosen mutant to the nearest measured variant.
        remarks: why a chosen mutant is far from all measured ones, see `proximity`.
        size: of the space of candidates.
        seen: candidates that were scored.
    """

    choice: Choice
    scored: Scored
    wells: tuple[plate_map.Well, ...]
    distances: tuple[int, ...]
    remarks: tuple[str, ...]
    size: int
    seen: int

    @property
    def exhaustive(self) -> bool:
        """Whether every candidate was scored."""
        return self.seen == self.size


Score = Callable[[Variants], Float[np.ndarray, "n"]]


def recommend(bench: Bench, wishes: Wishes, listed: Variants | None, seed: int) -> Recommendation:
    """The plate for these wishes among generated candidates, or those listed; never a measured variant.

    Everything random follows from the seed: the search, the draws, and the wells.
    """
    rules = wishes.rules
    rules.check_fits(bench.wild_type)
    source = listed if listed is not None else _space(bench, wishes)
    kept = Shortlist(wishes.shortlist, _sites(source), rules)
    size = _scored(bench, wishes, source, partial(_score, bench, wishes, kept), seed)
    if not kept.seen:
        raise PlateError("every candidate is measured already or forbidden; allow more sites, residues or mutations")
    scored = _drawn(bench, wishes, source, kept.best(), seed) if wishes.acquisition == "thompson" else kept.best()
    found = zip(scored.predictions.mutants, scored.values.tolist(), strict=True)
    pool = [Candidate(mutant, value, oligos.parts(parse(mutant), wishes.flank)) for mutant, value in found]
    choice = choose(pool, rules, wishes.solver)
    names = [one.mutant for one in choice.chosen]
    wells = plate_map.layout(names, rules.replicates, rules.controls, wishes.plate, seed)
    training, genotypes = Training(tuple(bench.measured)), [one.genotype for one in choice.chosen]
    nearest = training.nearest(genotypes)
    remarks = training.remarks(genotypes, nearest)
    return Recommendation(choice, scored, wells, tuple(map(int, nearest)), remarks, size, kept.seen)


def _sites(source: Space | Variants) -> Sequence[int]:
    """Where candidates may be mutated."""
    if isinstance(source, Space):
        return tuple(source.choices)
    return sorted({one.position for genotype in source.genotypes for one in genotype})


def _scored(bench: Bench, wishes: Wishes, source: Space | Variants, score: Score, seed: int) -> int:
    """Have candidates scored, all of them or those that the search meets; how many there are."""
    if isinstance(source, Variants):
        pairs = zip(source.mutants, source.genotypes, strict=True)
        names = [name for name, one in pairs if one and name not in bench.measured and wishes.rules.allows(one)]
        runs = (names[start : start + BLOCK] for start in range(0, len(names), BLOCK))
        return sum(len(score(source.select(run))) for run in runs)
    if source.size <= wishes.exhaustive:
        new = (name for name in source if name not in bench.measured)
        return sum(len(score(block)) for block in blocks(bench.dataset, bench.wild_type, new, BLOCK))

    def of_names(names: tuple[str, ...]) -> Float[np.ndarray, "n"]:
        return score(Variants(bench.dataset, bench.wild_type, names))

    for _ in search(source, of_names, bench.measured.keys(), wishes.search, seed):
        pass
    return source.size


def _space(bench: Bench, wishes: Wishes) -> Space:
    """The candidates without what the rules forbid of every single one."""
    rules, (least, most) = wishes.rules, wishes.mutations
    most = most if rules.depth is None else min(most, rules.depth)
    if wishes.candidates == "combinations":
        made = space(bench.dataset, bench.wild_type, parse_sites(wishes.sites), least, most, wishes.residues)
    else:
        made = _within(recombinations(bench.dataset, bench.wild_type, map(parse, bench.measured), least, most), wishes)
    left = dict(_allowed(made, rules))
    return replace(made, choices=left, most=min(made.most, len(left)))


def _within(made: Space, wishes: Wishes) -> Space:
    """The measured mutations that lie at the wanted sites and lead to the wanted residues."""
    sites = parse_sites(wishes.sites) or tuple(made.choices)
    kept = {site: "".join(new for new in made.choices[site] if new in wishes.residues) for site in made.choices}
    return replace(made, choices={site: residues for site, residues in kept.items() if residues and site in sites})


def _allowed(made: Space, rules: Rules) -> Iterator[tuple[int, str]]:
    for site, residues in made.choices.items():
        texts = {new: str(Mutation(site, made.wild_type[site - 1], new)) for new in residues}
        kept = "".join(new for new, text in texts.items() if text not in rules.forbidden)
        if kept and rules.cap(site) != 0:
            yield site, kept


def _score(bench: Bench, wishes: Wishes, kept: Shortlist, asked: Variants) -> Float[np.ndarray, "n"]:
    """Values of variants, which the shortlist sees."""
    found = bench.predictor.predict(asked)
    if np.isnan(found.std).any() and wishes.acquisition != "mean":
        raise AcquisitionError(
            f"{bench.method} gives no standard deviation, which {wishes.acquisition} needs; choose the acquisition "
            "`mean`, or fit a method that gives one"
        )
    best = max((bench.sign * fitness for fitness in bench.measured.values()), default=0.0)
    values = pointwise(wishes.acquisition, bench.sign * found.mean, found.std, Wanted(wishes.beta, best))
    kept.add(Scored(found, values))
    return values


def _drawn(bench: Bench, wishes: Wishes, source: Space | Variants, scored: Scored, seed: int) -> Scored:
    """The shortlist with the share of joint draws as values; raises AcquisitionError for a method without them."""
    if not isinstance(bench.predictor, JointPredictor):
        raise AcquisitionError(
            f"thompson draws from a joint posterior, which {bench.method} does not have; choose the acquisition `ucb`, "
            f"or fit one of {JOINT_METHODS}"
        )
    found = scored.predictions
    if isinstance(source, Variants):  # with its covariates
        joint = bench.predictor.joint(source.select(found.mutants))
    else:
        joint = bench.predictor.joint(Variants(bench.dataset, bench.wild_type, found.mutants))
    return Scored(found, drawn(joint, bench.sign, wishes.draws, room(wishes.rules), seed))


def picked(found: Recommendation) -> Predictions:
    """Predictions of the chosen mutants, best first."""
    return found.scored.predictions.select(one.mutant for one in found.choice.chosen)


def order(found: Recommendation) -> Iterable[str]:
    """Names of the oligos to order, each once."""
    return dict.fromkeys(oligo for one in found.choice.chosen for oligo in one.oligos)
