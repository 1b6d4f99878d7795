"""What each mutation of a variant adds to its predicted mean, from predictions of its sub-variants alone: any method.

A variant with the k mutations N has 2^k sub-variants S; v(S) is their predicted mean. Two exact divisions of
v(N) - v(nothing):
    Shapley values     phi_i = sum over S without i of |S|! (k - |S| - 1)! / k! (v(S and i) - v(S))
    interactions       a_i = v(i) - v(nothing),  a_ij = v(ij) - v(i) - v(j) + v(nothing),  and the rest
Where mutations add up, phi_i = a_i and all a_ij are 0. Shapley values give each mutation its fair share of what only
occurs in company (Shapley 1953; Lundberg & Lee 2017, arXiv:1705.07874); beyond `EXACT` mutations they are means over
drawn orders, whose sum is still exact.
"""

import math
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from jaxtyping import Float, Int

from multimep.methods.method import FitError, Predictor
from multimep.mutations import Genotype, format_genotype, parse
from multimep.variants import Variants

EXACT = 10
"""Mutations up to which all sub-variants are predicted: at most 1,024."""
ORDERS = 256
"""Drawn orders of the mutations of a variant with more, every second one the reverse of the one before."""
BLOCK = 8192
"""Sub-variants that are predicted at once."""

REST = "rest"
SHAPLEY, INTERACTIONS, SUM, GRADIENTS = "shapley", "interactions", "sum", "integrated_gradients"


class AttributionError(ValueError):
    """Variants whose sub-variants cannot be predicted; the message says what is missing."""


@dataclass(frozen=True)
class Part:
    """What one mutation, a pair of them, or the rest adds.

    Attributes:
        mutant: whose prediction is divided.
        approach: SHAPLEY, INTERACTIONS, SUM or GRADIENTS.
        scale: `fitness` or `latent`.
        name: a mutation, a pair of them, or REST.
        value: in the unit of the scale.
        error: standard error of a mean over drawn orders; 0 where exact.
    """

    mutant: str
    approach: str
    scale: str
    name: str
    value: float
    error: float = 0.0


Means = Mapping[str, float]
"""Canonical mutant -> predicted mean."""


def sub_variants(mutants: Iterable[str], seed: int) -> tuple[str, ...]:
    """All sub-variants that `shapley` and `interactions` ask about, each once."""
    return tuple(dict.fromkeys(one for mutant in mutants for one in _needed(mutant, seed)))


def means(predictor: Predictor, asked: Variants, names: Sequence[str]) -> dict[str, float]:
    """The predicted means of variants of the same protein, each predicted once, in blocks.

    Raises AttributionError where those asked have covariates and a named one is not among them.
    """
    lacking = [one for one in names if one not in asked.row_of]
    if asked.covariates and lacking and _reads_covariates(predictor, asked):
        raise AttributionError(
            f"covariates ({', '.join(asked.covariates)}) of {', '.join(lacking[:5])} are not given; add rows of "
            f"these {len(lacking)} variants to the file"
        )
    whole = (
        asked.select(names)
        if asked.covariates and not lacking
        else Variants(asked.dataset, asked.wild_type, tuple(names), {}, asked.structure)
    )
    found: dict[str, float] = {}
    for start in range(0, len(whole), BLOCK):
        part = predictor.predict(whole.select(whole.mutants[start : start + BLOCK]))
        found |= zip(part.mutants, part.mean.tolist(), strict=True)
    return found


def _reads_covariates(predictor: Predictor, asked: Variants) -> bool:
    """Whether a prediction cannot do without them."""
    try:
        predictor.predict(Variants(asked.dataset, asked.wild_type, asked.mutants[:1], {}, asked.structure))
    except FitError:
        return True
    return False


def _needed(mutant: str, seed: int) -> Iterator[str]:
    genotype = parse(mutant)
    masks = {*_shapley_masks(mutant, len(genotype), seed), *_interaction_masks(len(genotype))}
    return (_named(genotype, mask) for mask in sorted(masks))


def _shapley_masks(mutant: str, k: int, seed: int) -> Iterator[int]:
    if k <= EXACT:
        return iter(range(1 << k))
    return (mask for order in orders(mutant, k, seed) for mask in _prefixes(order))


def _interaction_masks(k: int) -> list[int]:
    singles = [1 << i for i in range(k)]
    return [0, *singles, *(a | b for a, b in combinations(singles, 2)), (1 << k) - 1]


def _named(genotype: Genotype, mask: int) -> str:
    return format_genotype(tuple(one for bit, one in enumerate(genotype) if mask >> bit & 1))


def orders(mutant: str, k: int, seed: int) -> Int[np.ndarray, "orders k"]:
    """Orders of the mutations, drawn with the seed for this variant, each followed by its reverse."""
    random = np.random.default_rng([seed, zlib.crc32(mutant.encode())])
    drawn = np.array([random.permutation(k) for _ in range(ORDERS // 2)])
    return np.stack([drawn, drawn[:, ::-1]], axis=1).reshape(-1, k)


def _prefixes(order: Int[np.ndarray, "k"]) -> list[int]:
    masks = [0]
    for one in order:
        masks.append(masks[-1] | 1 << int(one))
    return masks


def shapley(mutant: str, known: Means, seed: int) -> list[Part]:
    """The Shapley value of each mutation, in order of the sites."""
    genotype = parse(mutant)
    if len(genotype) <= EXACT:
        values = _exact(np.array([known[_named(genotype, mask)] for mask in range(1 << len(genotype))]))
        errors = np.zeros(len(genotype))
    else:
        values, errors = _sampled(genotype, known, orders(mutant, len(genotype), seed))
    return [
        Part(mutant, SHAPLEY, "fitness", str(one), float(value), float(error))
        for one, value, error in zip(genotype, values, errors, strict=True)
    ]


def _exact(v: Float[np.ndarray, "subsets"]) -> Float[np.ndarray, "k"]:
    masks, k = np.arange(len(v)), len(v).bit_length() - 1
    # |S|! (k - |S| - 1)! / k! = 1 / (k binom(k - 1, |S|))
    weights = np.array([1 / (k * math.comb(k - 1, size)) for size in range(k)])
    found = np.empty(k)
    for i in range(k):
        without = masks[(masks >> i & 1) == 0]
        sizes = np.array([int(mask).bit_count() for mask in without])
        found[i] = weights[sizes] @ (v[without | 1 << i] - v[without])
    return found


def _sampled(
    genotype: Genotype, known: Means, drawn: Int[np.ndarray, "orders k"]
) -> tuple[Float[np.ndarray, "k"], Float[np.ndarray, "k"]]:
    """Mean gain of each mutation over the orders, and its standard error from pairs of an order and its reverse."""
    masks = [_prefixes(order) for order in drawn]
    value = {mask: known[_named(genotype, mask)] for mask in {one for some in masks for one in some}}
    gains = np.empty(drawn.shape)
    for row, (order, some) in enumerate(zip(drawn, masks, strict=True)):
        gains[row, order] = np.diff([value[mask] for mask in some])
    pairs = gains.reshape(-1, 2, len(genotype)).mean(axis=1)
    return pairs.mean(axis=0), pairs.std(axis=0, ddof=1) / np.sqrt(len(pairs))


def interactions(mutant: str, known: Means) -> list[Part]:
    """What each mutation adds alone, what each pair adds beyond its two, and the rest, where there is more."""
    genotype = parse(mutant)
    wild_type = known[_named(genotype, 0)]
    alone = {one: known[format_genotype((one,))] - wild_type for one in genotype}
    parts = {str(one): value for one, value in alone.items()}
    for one, other in combinations(genotype, 2):
        both = format_genotype((one, other))
        parts[both] = known[both] - wild_type - alone[one] - alone[other]
    if len(genotype) > 2:
        parts[REST] = known[mutant] - wild_type - math.fsum(parts.values())
    return [Part(mutant, INTERACTIONS, "fitness", name, value) for name, value in parts.items()]
