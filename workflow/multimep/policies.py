"""What a campaign replays: policies, and how large its batches are. Light, for every command reads settings."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Acquisition = Literal["mean", "ucb", "expected_improvement", "thompson"]


class CampaignError(ValueError):
    """Settings that cannot be replayed on this landscape; the message says which."""


MOST_DRAWS = 100_000


@dataclass(frozen=True)
class Policy:
    """How the next batch is chosen.

    Attributes:
        method: name in METHODS, or empty for `random`.
        settings: of the method.
        acquisition: as of `multimep recommend`, or `random`.
        beta: of `ucb`.
        draws: of `thompson`.
    """

    method: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)
    acquisition: Acquisition | Literal["random"] = "ucb"
    beta: float = 2.0
    draws: int = 96

    def __post_init__(self) -> None:
        """Refuse a policy that could not choose."""
        if bool(self.method) == (self.acquisition == "random"):
            raise CampaignError("a policy has a method and its acquisition, or the acquisition `random` and no method")
        if not 1 <= self.draws <= MOST_DRAWS:
            raise CampaignError(f"draws: {self.draws} must be from 1 to {MOST_DRAWS:,}")


def standard() -> dict[str, Policy]:
    """The controls, and a Gaussian process with each acquisition."""
    asked: tuple[Acquisition, ...] = ("mean", "ucb", "expected_improvement", "thompson")
    controls = {
        "random": Policy(acquisition="random"),
        "zero_shot": Policy("zero_shot", acquisition="mean"),
        "additive_greedy": Policy("additive", acquisition="mean"),
    }
    return controls | {f"site_gp_{one}": Policy("site_gp", acquisition=one) for one in asked}


@dataclass(frozen=True)
class Campaign:
    """What is replayed.

    Attributes:
        datasets: those whose campaigns the study's report waits for and shows; none if not given, and then
            `snakemake campaigns` replays all of them.
        policies: name -> policy; random, zero-shot, additive greedy and `site_gp` with every acquisition if not
            given.
        first: variants of the first batch.
        batch: variants of every other one.
        rounds: batches after the first.
        seeds: campaigns per policy.
    """

    datasets: tuple[str, ...] = ()
    policies: Mapping[str, Policy] = field(default_factory=standard)
    first: int = 96
    batch: int = 96
    rounds: int = 4
    seeds: int = 5

    def __post_init__(self) -> None:
        """Refuse nothing to replay."""
        least = {"first": 3, "batch": 1, "rounds": 1, "seeds": 1}
        for name, number in least.items():
            if getattr(self, name) < number:
                raise CampaignError(f"{name}: {getattr(self, name)} must be {number} or more")
        if not self.policies:
            raise CampaignError("policies: name at least one")


def campaign_of(block: Mapping[str, Any]) -> Campaign:
    """The campaign of a configuration's block as plain values, of the schema's form; raises CampaignError."""
    values = dict(block)
    if values.get("policies"):
        values["policies"] = {name: Policy(**one) for name, one in values["policies"].items()}
    return Campaign(**values)
