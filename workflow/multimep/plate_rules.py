"""What a plate must obey: wells, controls and replicates, mutations, sites, depth, distance, diversity and money."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from multimep.mutations import Genotype, MutationError, check, format_genotype, parse

MOST_WELLS = 100_000
"""Of an order: a thousand plates. Beyond it the mean value of a plate is lost in the solver's tolerance."""


class PlateError(ValueError):
    """Rules that no plate can obey, or that contradict each other; the message names them and what would do."""


@dataclass(frozen=True)
class Candidate:
    """A mutant that could be made.

    Attributes:
        mutant: canonical genotype text.
        value: of the acquisition, higher is better.
        oligos: what must be ordered to make it, by name; mutants that use the same one share its price.
    """

    mutant: str
    value: float
    oligos: tuple[str, ...]

    @cached_property
    def genotype(self) -> Genotype:
        """Its mutations."""
        return parse(self.mutant)

    @cached_property
    def mutations(self) -> tuple[str, ...]:
        """Their texts."""
        return tuple(map(str, self.genotype))

    @cached_property
    def sites(self) -> tuple[int, ...]:
        """Their positions."""
        return tuple(one.position for one in self.genotype)


@dataclass(frozen=True)
class Rules:
    """The rules of one order.

    Attributes:
        wells: of the order in all, on one plate or several; 96.
        controls: variant -> wells that hold it (WT is the wild type); two wells of the wild type. Measured ones may be.
        replicates: wells per chosen mutant; 1.
        mutants: exactly so many are chosen; as many as wells and budget allow if not given.
        required: mutation -> at least so many of the chosen mutants carry it.
        forbidden: mutations that none may carry.
        site_cap: at most so many chosen mutants are mutated at any one site.
        site_caps: the same for single sites, site -> number; counts instead of `site_cap` there.
        depth: mutations that a mutant may have at most.
        distance: any two chosen mutants differ at this many sites at least; 1 is no rule.
        diversity: weight of how well the chosen represent all candidates (facility location) beside their mean value,
            both from 0 to 1; 0.
        oligo_price, mutant_price, well_price: what an oligo costs once however many mutants use it, what making one
            mutant costs beside, and what one well costs (assay, sequencing); controls pay for wells too.
        budget: for all of it.
    """

    wells: int = 96
    controls: Mapping[str, int] = field(default_factory=lambda: {"WT": 2})
    replicates: int = 1
    mutants: int | None = None
    required: Mapping[str, int] = field(default_factory=dict)
    forbidden: tuple[str, ...] = ()
    site_cap: int | None = None
    site_caps: Mapping[int, int] = field(default_factory=dict)
    depth: int | None = None
    distance: int = 1
    diversity: float = 0.0
    oligo_price: float = 0.0
    mutant_price: float = 0.0
    well_price: float = 0.0
    budget: float | None = None

    def __post_init__(self) -> None:
        """Refuse numbers without a meaning and rules that contradict each other, before any candidate is seen."""
        self._check_numbers()
        self._make_canonical()
        if self.most < 1:
            raise PlateError(
                f"wells: {self.wells} hold no mutant beside {self.control_wells} of controls at {self.replicates} "
                "replicates; take more wells or fewer controls"
            )
        if self.mutants is not None and self.mutants > self.most:
            raise PlateError(
                f"mutants: {self.mutants} with {self.replicates} replicates and {self.control_wells} wells of controls "
                f"need {self.mutants * self.replicates + self.control_wells} wells, there are {self.wells}"
            )

    def _check_numbers(self) -> None:
        positive = {"wells": self.wells, "replicates": self.replicates, "distance": self.distance}
        optional = {"mutants": self.mutants, "site_cap": self.site_cap, "depth": self.depth}
        positive |= {name: value for name, value in optional.items() if value is not None}
        positive |= {f"controls.{name}": value for name, value in self.controls.items()}
        positive |= {f"required.{name}": value for name, value in self.required.items()}
        for name, number in positive.items():
            if not 1 <= number <= MOST_WELLS:
                raise PlateError(f"{name}: {number} must be from 1 to {MOST_WELLS:,}")
        prices = {name: getattr(self, name) for name in ("diversity", "oligo_price", "mutant_price", "well_price")}
        prices |= {f"site_caps.{site}": cap for site, cap in self.site_caps.items()}
        for name, price in (prices | ({} if self.budget is None else {"budget": self.budget})).items():
            if not 0 <= price < float("inf"):
                raise PlateError(f"{name}: {price} must be 0 or more")

    def _make_canonical(self) -> None:
        """Write every genotype in the one way by which variants are joined."""
        for name in ("controls", "required"):
            numbers = getattr(self, name)
            texts = [_canonical(name, text) for text in numbers]
            if len(set(texts)) < len(texts):
                raise PlateError(f"{name}: {next(one for one in texts if texts.count(one) > 1)} stands twice")
            object.__setattr__(self, name, dict(zip(texts, numbers.values(), strict=True)))
        object.__setattr__(self, "forbidden", tuple(_canonical("forbidden", text) for text in self.forbidden))
        both = sorted(set(self.required) & set(self.forbidden))
        if both:
            raise PlateError(f"required and forbidden: {both[0]} is in both; take it from one")

    @property
    def control_wells(self) -> int:
        """Wells of all controls."""
        return sum(self.controls.values())

    @property
    def most(self) -> int:
        """Mutants that the wells have room for."""
        return (self.wells - self.control_wells) // self.replicates

    def allows(self, genotype: Genotype) -> bool:
        """Whether one mutant by itself is allowed: no forbidden mutation, not too deep."""
        deep = self.depth is not None and len(genotype) > self.depth
        return not deep and not any(str(one) in self.forbidden for one in genotype)

    def check_fits(self, wild_type: str) -> None:
        """Raise PlateError for a rule on a mutation or site that a protein does not have."""
        for name, texts in (("controls", self.controls), ("required", self.required), ("forbidden", self.forbidden)):
            for text in texts:
                try:
                    check(parse(text), wild_type)
                except MutationError as error:
                    raise PlateError(f"{name}: {error}") from error
        for site in self.site_caps:
            if not 1 <= site <= len(wild_type):
                raise PlateError(f"site_caps: {site} lies outside the wild type (1 to {len(wild_type)})")

    def cap(self, site: int) -> int | None:
        """Mutants that may be mutated at a site."""
        return self.site_caps.get(site, self.site_cap)

    def price(self, chosen: Sequence[Candidate]) -> float:
        """What these mutants and all controls cost."""
        oligos = {oligo for one in chosen for oligo in one.oligos}
        wells = len(chosen) * self.replicates + self.control_wells
        return len(oligos) * self.oligo_price + len(chosen) * self.mutant_price + wells * self.well_price


def _canonical(rule: str, text: str) -> str:
    try:
        genotype = parse(text)
    except MutationError as error:
        raise PlateError(f"{rule}: {error}") from error
    if rule != "controls" and len(genotype) != 1:
        raise PlateError(f"{rule}: {text!r} is not one mutation such as A23V")
    return format_genotype(genotype)
