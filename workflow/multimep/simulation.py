"""Simulated deep mutational scans: real wild-type sequences, invented measurements, the truth kept beside them.

Nothing that this room gives was measured. The sequences are natural proteins (UniProt), so that a language model has
something to say of them; stability, contacts and noise come from the small thermodynamic model below, seeded.
Energies are in kcal/mol; a positive ddG destabilises. Positions count from 1 within the simulated fragment.
"""

import hashlib
import itertools
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from multimep import text_table
from multimep.dataset import Variants
from multimep.mutations import AMINO_ACIDS, Genotype, Mutation, format_genotype

RT = 0.593  # kcal/mol at 298 K

_LETTERS = "ARNDCQEGHILKMFPSTWYV"
# Kyte & Doolittle 1982 (doi:10.1016/0022-2836(82)90515-0), hydropathy, unitless from -4.5 to 4.5.
_HYDROPATHIES = "1.8 -4.5 -3.5 -3.5 2.5 -3.5 -3.5 -0.4 -3.2 4.5 3.8 -3.9 1.9 2.8 -1.6 -0.8 -0.7 -0.9 -1.3 4.2"
HYDROPATHY = dict(zip(_LETTERS, map(float, _HYDROPATHIES.split()), strict=True))
# Zamyatnin 1972 (doi:10.1016/0079-6107(72)90005-3), residue volumes in cubic angstrom, rounded.
_VOLUMES = "89 173 114 111 109 144 138 60 153 167 167 169 163 190 113 89 116 228 194 140"
VOLUME = dict(zip(_LETTERS, map(float, _VOLUMES.split()), strict=True))
CHARGE = {letter: float((letter in "KR") - (letter in "DE")) for letter in AMINO_ACIDS}  # at pH 7, histidine neutral

# Weights, chosen so that the mean ddG of a substitution is near the +1 kcal/mol of Tokuriki & Tawfik 2009
# (doi:10.1016/j.sbi.2009.08.003), with a long destabilising tail and some stabilising substitutions.
CAVITY = 0.04  # per cubic angstrom lost in the core: 1.1 kcal/mol per buried CH2 of 27 A^3 (Pace 2011)
CLASH = 0.012  # per cubic angstrom gained in the core: below CAVITY, since the backbone gives way
HYDROPHOBIC = 0.2  # per unit of hydropathy lost in the core, 1.8 for isoleucine to arginine
BURIED_CHARGE = 1.5  # a charge that arrives in the core, in part relieved by snorkelling and water
PROLINE = 3.0  # breaks a helix or strand: about 3 in a helix (O'Neil & DeGrado 1990)
GLYCINE = 0.7  # backbone entropy: 0.8 against alanine in a helix (the same), less in a loop
FROM_GLYCINE = 0.5  # a glycine may hold backbone angles that no other residue likes
UNEXPLAINED = 0.4  # standard deviation of what no rule explains; gives the stabilising substitutions
BURIAL_NOISE = 0.5  # standard deviation of the burial profile's noise: sequence tells burial only in part
PACKING = 0.8  # coupling of two volume changes of 50 A^3 in contact: opposite ones compensate, like ones add up
SALT_BRIDGE = 0.4  # coupling of two charge changes in contact: 0.3 to 0.5 for a surface salt bridge (Horovitz 1990)
CONTACT_NOISE = 0.3  # standard deviation of a contact's own coupling, present in each double mutant of the contact


class SimulationError(ValueError):
    """Settings that cannot be simulated; the message says what to change."""


@dataclass(frozen=True)
class Protein:
    """A real wild type and the invented constants of its simulated measurement.

    Attributes:
        accession, first, last, group: UniProt entry, the residue range that `sequence` is, type of protein.
        stability: free energy of unfolding of the wild type in the assay, kcal/mol; invented. Small domains have 2 to 5
            in mild buffer; less is left in a warm cell, and less keeps the single mutants from being silent.
        baseline, scale: fitness of the unfolded protein, and the gain to the fully folded one; invented.
        note: what it is.
    """

    accession: str
    first: int
    last: int
    sequence: str
    group: str
    stability: float
    baseline: float
    scale: float
    note: str


PROTEINS: Mapping[str, Protein] = {
    "gb1": Protein(
        "P06654", 229, 282, "YKLILNGKTLKGETTTEAVDAATAEKVFKQYANDNGVDGEWTYDDATKTFTVTE",
        "binding", 1.8, -2.0, 2.1, "protein G (Streptococcus), domain B1, binds IgG",
    ),
    "grb2_sh3": Protein(
        "P62993", 159, 214, "TYVQALFDFDPQEDGELGFRRGDFIHVMDNSDPNWWKGACHGQTGMFPRNYVTPVN",
        "binding", 1.2, -1.2, 1.3, "GRB2 (human), C-terminal SH3 domain, binds proline-rich peptides",
    ),
    "psd95_pdz3": Protein(
        "P78352", 311, 394, "PRRIVIHRGSTGLGFNIVGGEDGEGIFISFILAGGPADLSGELRKGDQILSVNGVDLRNASHEQAAIALKNAGQTVTIIAQYKP",
        "binding", 1.5, -1.5, 1.6, "PSD-95 (human, DLG4), third PDZ domain, binds C-terminal peptides",
    ),
    "tautomerase": Protein(
        "Q01468", 2, 63, "PIAQIHILEGRSDEQKETLIREVSEAISRSLDAPLTSVRVIITEMAKGHFGIGGELASKVRR",
        "enzyme", 1.9, 0.0, 1.0, "4-oxalocrotonate tautomerase (Pseudomonas putida), mature chain",
    ),
    "glutaredoxin": Protein(
        "P68688", 1, 85, "MQTVIFGRSGCPYCVRAKDLAEKLSNERDDFQYQYVDIRAEGITKEDLQQKAGKPVETVPQIFVDQQHIGGYTDFAAWVKENLDA",
        "enzyme", 1.5, 0.1, 0.9, "glutaredoxin 1 (Escherichia coli), dithiol oxidoreductase",
    ),
    "barnase": Protein(
        "P00648", 48, 157,
        "AQVINTFDGVADYLQTYHKLPDNYITKSEAQALGWVASKGNLADVAPGKSIGGDIFSNREGKLPGKSGRTWREADINYTSGFRNSDRILYSSDWLIYKTTDHYQTFTKIR",
        "enzyme", 2.0, 0.05, 1.2, "barnase (Bacillus amyloliquefaciens), ribonuclease, mature chain",
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Simulation:
    """Settings of one simulated scan.

    Attributes:
        protein: key of PROTEINS.
        variants: number of rows, the wild type among them; 300, a small study of three or four plates.
        multi_fraction: share of double and triple mutants (two thirds double); 0.3.
        max_mutations: 3; 1 gives single mutants and the wild type only.
        replicates: measurements averaged per variant; 3, the usual number.
        noise: standard deviation of one replicate of a folded variant as a share of `scale`, twice that where unfolded;
            0.08, which gives a mean of three replicates a correlation of about 0.98 with the truth.
        seed: changes landscape, variants and noise alike.
    """

    protein: str
    variants: int = 300
    multi_fraction: float = 0.3
    max_mutations: int = 3
    replicates: int = 3
    noise: float = 0.08
    seed: int = 0

    def __post_init__(self) -> None:
        if self.protein not in PROTEINS:
            raise SimulationError(f"no protein {self.protein!r} to simulate; choose one of {', '.join(PROTEINS)}")
        if not (self.variants >= 2 and self.replicates >= 1 and self.max_mutations >= 1 and self.noise >= 0):
            raise SimulationError(f"needs variants >= 2, replicates >= 1, max_mutations >= 1 and noise >= 0: {self}")
        if not 0 <= self.multi_fraction < 1:
            raise SimulationError(f"multi_fraction={self.multi_fraction} must lie in [0, 1)")
        available = len(PROTEINS[self.protein].sequence) * (len(AMINO_ACIDS) - 1)
        if self.singles > available:
            raise SimulationError(f"{self.protein} has only {available} single mutants: set variants lower")

    @property
    def multiples(self) -> int:
        """Number of variants with two or more mutations."""
        return round(self.multi_fraction * (self.variants - 1)) if self.max_mutations > 1 else 0

    @property
    def singles(self) -> int:
        """Number of single mutants."""
        return self.variants - 1 - self.multiples


@dataclass(frozen=True)
class Landscape:
    """The truth of one simulated protein.

    Attributes:
        protein: its wild type and constants.
        burial: 0 (surface) to 1 (core) per site, shape (length,).
        effects: ddG of each substitution in the order of AMINO_ACIDS, 0 for the wild-type residue, shape (length, 20).
        contacts: coupling of each pair of sites in contact (counted from 1, the lower first), kcal/mol.
    """

    protein: Protein
    burial: Float[np.ndarray, "length"]
    effects: Float[np.ndarray, "length 20"]
    contacts: Mapping[tuple[int, int], float]

    def ddg(self, genotype: Genotype) -> float:
        """The change of folding free energy, kcal/mol; 0 for the wild type."""
        # ddG = sum_i ddG_i + sum_{contacts i<j, both mutated} epsilon_ij
        additive = sum(self.effects[one.position - 1, AMINO_ACIDS.index(one.substitute)] for one in genotype)
        return float(additive + sum(self.epistasis(*pair) for pair in itertools.combinations(sorted(genotype), 2)))

    def epistasis(self, left: Mutation, right: Mutation) -> float:
        """epsilon_ij, what two mutations together cost beyond their sum; 0 where the sites are not in contact."""
        own = self.contacts.get((left.position, right.position))
        if own is None:
            return 0.0
        # epsilon = own + PACKING sqrt(b_i b_j) (dV_i/50)(dV_j/50) + SALT_BRIDGE dq_i dq_j
        buried = float(np.sqrt(self.burial[left.position - 1] * self.burial[right.position - 1]))
        packing = PACKING * buried * (_change(VOLUME, left) / 50) * (_change(VOLUME, right) / 50)
        return own + packing + SALT_BRIDGE * _change(CHARGE, left) * _change(CHARGE, right)

    def folded(self, ddg: Float[np.ndarray, "n"]) -> Float[np.ndarray, "n"]:
        """Fraction of folded molecules, 0 to 1."""
        # f = 1 / (1 + exp((ddG - dG_wt) / RT))
        return np.asarray(1 / (1 + np.exp((ddg - self.protein.stability) / RT)))


@dataclass(frozen=True)
class Simulated:
    """One simulated scan, with what a real one never shows.

    Attributes:
        variants: genotypes, the wild type first.
        fitness, std, replicates, group: as in Dataset; std is NaN for a single replicate.
        truth: mutant, ddG (kcal/mol), noise_free (fitness without noise).
    """

    variants: Variants
    fitness: Float[np.ndarray, "n"]
    std: Float[np.ndarray, "n"]
    replicates: Int[np.ndarray, "n"]
    group: str
    truth: text_table.Columns


def simulate(name: str, group: str, settings: Simulation) -> Simulated:
    """Simulate the scan `name`; the same settings give the same numbers."""
    scape = landscape(settings.protein, settings.seed)
    genotypes = _sample(scape, settings)
    variants = Variants(name, scape.protein.sequence, tuple(map(format_genotype, genotypes)))
    ddg = np.array([scape.ddg(genotype) for genotype in genotypes])
    folded = scape.folded(ddg)
    noise_free = scape.protein.baseline + scape.protein.scale * folded
    # y_r = noise_free + noise scale (2 - f) e_r, e_r ~ N(0, 1): an unfolded variant leaves fewer molecules to count
    spread = settings.noise * abs(scape.protein.scale) * (2 - folded)
    draws = _generator(settings.protein, settings.seed, "noise").standard_normal((len(genotypes), settings.replicates))
    measured = noise_free[:, None] + spread[:, None] * draws
    many = settings.replicates > 1
    return Simulated(
        variants,
        measured.mean(axis=1),
        measured.std(axis=1, ddof=1) if many else np.full(len(genotypes), np.nan),
        np.full(len(genotypes), settings.replicates, dtype=np.int64),
        group,
        {"mutant": variants.mutants, "ddG": ddg, "noise_free": noise_free},
    )


def landscape(protein: str, seed: int) -> Landscape:
    """Burial, substitution effects and contacts of a protein, invented from its sequence and the seed."""
    wild_type = PROTEINS[protein].sequence
    draw = _generator(protein, seed, "landscape")
    burial = _burial(wild_type, draw)
    effects = np.array(
        [[_effect(old, new, b) for new in AMINO_ACIDS] for old, b in zip(wild_type, burial, strict=True)]
    )
    effects = effects + UNEXPLAINED * draw.standard_normal(effects.shape)
    effects[range(len(wild_type)), [AMINO_ACIDS.index(residue) for residue in wild_type]] = 0.0
    return Landscape(PROTEINS[protein], burial, effects, _contacts(len(wild_type), draw))


def _burial(wild_type: str, draw: np.random.Generator) -> Float[np.ndarray, "length"]:
    """Half a residue's own hydropathy, half its window's (two sites either side), noise, squeezed into 0 to 1."""
    own = np.array([HYDROPATHY[residue] for residue in wild_type])
    window = np.array([own[max(0, site - 2) : site + 3].mean() for site in range(len(own))])
    # b = 1 / (1 + exp(-z)), z = standardised (own + window) / 2 plus noise
    raw = (own + window) / 2
    z = 1.5 * (raw - raw.mean()) / raw.std() + BURIAL_NOISE * draw.standard_normal(len(own))
    return np.asarray(1 / (1 + np.exp(-z)))


def _effect(old: str, new: str, burial: float) -> float:
    # ddG = b (CAVITY (-dV)+ + CLASH (dV)+ + HYDROPHOBIC (-dH)+ + BURIED_CHARGE |q_new|) + backbone
    volume, hydropathy = VOLUME[new] - VOLUME[old], HYDROPATHY[new] - HYDROPATHY[old]
    packing = CAVITY * max(0.0, -volume) + CLASH * max(0.0, volume)
    core = packing + HYDROPHOBIC * max(0.0, -hydropathy) + BURIED_CHARGE * abs(CHARGE[new])
    backbone = PROLINE * (new == "P") * (0.4 + 0.6 * burial) + GLYCINE * (new == "G") + FROM_GLYCINE * (old == "G")
    return burial * core + backbone


def _contacts(length: int, draw: np.random.Generator) -> dict[tuple[int, int], float]:
    """Sites three and four apart (a helix turn), and as many random distant pairs as there are sites."""
    local = [(site, site + step) for site in range(1, length) for step in (3, 4) if site + step <= length]
    distant = [(left, right) for left in range(1, length) for right in range(left + 6, length + 1)]
    chosen = draw.choice(len(distant), size=min(length, len(distant)), replace=False)
    pairs = local + [distant[index] for index in sorted(chosen)]
    return dict(zip(pairs, (CONTACT_NOISE * draw.standard_normal(len(pairs))).tolist(), strict=True))


def _sample(scape: Landscape, settings: Simulation) -> list[Genotype]:
    """Wild type, distinct single mutants, then distinct multi-mutants, half of them grown from a contact."""
    draw, wild_type = _generator(settings.protein, settings.seed, "variants"), scape.protein.sequence
    singles = [Mutation(n, old, new) for n, old in enumerate(wild_type, start=1) for new in AMINO_ACIDS if new != old]
    chosen = [singles[row] for row in sorted(draw.choice(len(singles), size=settings.singles, replace=False))]
    multiples: set[Genotype] = set()
    while len(multiples) < settings.multiples:
        multiples.add(_multiple(scape, settings.max_mutations, draw))
    return [(), *((mutation,) for mutation in chosen), *sorted(multiples)]


def _multiple(scape: Landscape, max_mutations: int, draw: np.random.Generator) -> Genotype:
    """A random genotype of 2 to `max_mutations` mutations: two in two thirds of cases, else more."""
    wild_type = scape.protein.sequence
    depth = 2 if max_mutations == 2 or draw.random() < 2 / 3 else int(draw.integers(3, max_mutations + 1))
    pairs = tuple(scape.contacts)
    seeds = pairs[draw.integers(len(pairs))] if draw.random() < 0.5 else ()
    others = draw.permutation([site for site in range(1, len(wild_type) + 1) if site not in seeds])
    sites = sorted([*seeds, *others[: depth - len(seeds)].tolist()])
    references = [wild_type[site - 1] for site in sites]
    substitutes = [str(draw.choice(list(AMINO_ACIDS.replace(residue, "")))) for residue in references]
    return tuple(map(Mutation, sites, references, substitutes))


def _change(scale: Mapping[str, float], mutation: Mutation) -> float:
    return scale[mutation.substitute] - scale[mutation.reference]


def _generator(protein: str, seed: int, purpose: str) -> np.random.Generator:
    """One stream per protein, seed and purpose: another number of replicates keeps landscape and variants."""
    digest = hashlib.sha256(f"{protein}/{seed}/{purpose}".encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:16], "big"))
