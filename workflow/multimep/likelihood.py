"""Likelihood of a variant: how much likelier a PLM finds its residues than the wild type's, with a gradient.

Every variant of one protein is scored from one table, the log-probabilities of the twenty amino acids at each position
of the wild type. So a forward pass of the wild type serves all its variants, and costs what one sequence costs.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.utils import rnn

from multimep.dataset import Variants
from multimep.forward_pass import autocast, encode
from multimep.language_model import ALPHABET, AMINO_ACID_TOKENS, LanguageModel
from multimep.mutations import COLUMN

Score = Literal["wild_type", "masked"]
PASSES_AT_ONCE = 32  # masked copies in one forward pass without a gradient


@dataclass(frozen=True)
class Exchanges:
    """The mutations of n variants as columns of the table, padded to the deepest with an exchange of nothing.

    Attributes:
        sites: positions from 0, shape (n, depth).
        old, new: columns of the reference and of the substitute as in AMINO_ACIDS; equal in the padding.
    """

    sites: Int[Tensor, "n depth"]
    old: Int[Tensor, "n depth"]
    new: Int[Tensor, "n depth"]

    def select(self, rows: Int[np.ndarray, " m"]) -> "Exchanges":
        """The named rows, in that order."""
        index = torch.from_numpy(rows).to(self.sites.device)
        return Exchanges(self.sites[index], self.old[index], self.new[index])

    @property
    def positions(self) -> Int[Tensor, " sites"]:
        """The sites that any of these variants changes, ascending."""
        found: Tensor = torch.unique(self.sites[self.old != self.new])
        return found


def exchanges_of(variants: Variants, device: str = "cpu") -> Exchanges:
    """The mutations of each variant; the wild type has none."""
    columns = [
        torch.tensor([(m.position - 1, COLUMN[m.reference], COLUMN[m.substitute]) for m in genotype] or [(0, 0, 0)])
        for genotype in variants.genotypes
    ]
    padded = rnn.pad_sequence(columns, batch_first=True) if columns else torch.zeros((0, 1, 3), dtype=torch.int64)
    return Exchanges(*padded.to(device).unbind(dim=2))


def scores(table: Float[Tensor, "length 20"], exchanges: Exchanges) -> Float[Tensor, " n"]:
    """The score of each variant in nats; that of the wild type is 0."""
    # s = sum over mutations of log p(new | site) - log p(old | site)
    gains = table[exchanges.sites, exchanges.new] - table[exchanges.sites, exchanges.old]
    return gains.sum(dim=1)


def wild_type_rows(trunk: LanguageModel, tokens: Int[Tensor, " tokens"]) -> Float[Tensor, "length 20"]:
    """Log-probabilities at every residue of a wild type in full sight; one forward pass, differentiable."""
    with autocast(trunk.device, trunk.precision):
        logits = trunk.model.lm_head(encode(trunk.model, tokens[None])[0, 1:-1])
    return _over_amino_acids(logits)


def masked_rows(
    trunk: LanguageModel, tokens: Int[Tensor, " tokens"], positions: Int[Tensor, " sites"]
) -> Float[Tensor, "sites 20"]:
    """Log-probabilities at these residues (from 0), each masked in a copy of its own; differentiable."""
    copies = torch.arange(len(positions), device=tokens.device)
    masked = tokens.repeat(len(positions), 1)
    masked[copies, positions + 1] = ALPHABET.mask_idx
    with autocast(trunk.device, trunk.precision):
        logits = trunk.model.lm_head(encode(trunk.model, masked)[copies, positions + 1])
    return _over_amino_acids(logits)


@torch.no_grad()
def whole_table(trunk: LanguageModel, tokens: Int[Tensor, " tokens"], score: Score) -> Float[Tensor, "length 20"]:
    """Log-probabilities at every residue without a gradient: one forward pass, or one masked copy per residue."""
    if score == "wild_type":
        return wild_type_rows(trunk, tokens)
    positions = torch.arange(len(tokens) - 2, device=tokens.device)
    return torch.cat([masked_rows(trunk, tokens, chunk) for chunk in torch.split(positions, PASSES_AT_ONCE)])


def divergence(frozen: Float[Tensor, "sites 20"], tuned: Float[Tensor, "sites 20"]) -> Float[Tensor, ""]:
    """Kullback-Leibler divergence of the tuned from the frozen log-probabilities in nats, averaged over the sites."""
    # KL = sum_a p(a) (log p(a) - log q(a)), p frozen and q tuned
    return (frozen.exp() * (frozen - tuned)).sum(dim=-1).mean()


def _over_amino_acids(logits: Float[Tensor, "sites letters"]) -> Float[Tensor, "sites 20"]:
    columns = torch.from_numpy(AMINO_ACID_TOKENS).to(logits.device)
    # log p(a | i) = z_ia - log sum_b exp z_ib, over the twenty amino acids only
    return torch.log_softmax(logits.float()[..., columns], dim=-1)
