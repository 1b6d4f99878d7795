"""What a configuration says that cannot be: names and formats that no form alone could refuse.

Imports nothing but the standard library and its light neighbours, for the Snakefile imports it.
"""

from collections.abc import Iterator, Mapping

from multimep import addresses, layout, paths
from multimep.layout import Config
from multimep.policies import CampaignError, campaign_of
from multimep.prices import PRICES

FORMAT = 1
"""Of a configuration; raised when a key changes its meaning."""


def newer(config: Config) -> str:
    """Why a configuration of a later format is refused, before its unknown keys are; empty for this one's."""
    stated = config.get("format", FORMAT)
    if isinstance(stated, int) and 1 <= stated <= FORMAT:
        return ""
    return (
        f"config.format: {stated!r} is none that this version reads (1 to {FORMAT}): update multimep, or take out the "
        "key and what the later format brought"
    )


def strangers(config: Config) -> Iterator[str]:
    """What a split or method names that the study does not have, and splits that a joint method cannot have.

    Before these, names that could not stand in a path, and addresses that hold a secret.
    """
    yield from _outsiders(config)
    if config.get("seed", 0) < 0:
        yield f"config.seed: {config['seed']} must be 0 or more"
    for split, chosen in config["splits"].items():
        unknown = sorted(set((chosen or {}).get("datasets", ())) - set(config["datasets"]))
        if unknown:
            yield f"config.splits.{split}.datasets: no dataset {', '.join(unknown)} in this study"
    for block, named in {"campaign": layout.replayed(config), "recommend": layout.plated(config)}.items():
        unknown = sorted(set(named) - set(config["datasets"]))
        if unknown:
            yield f"config.{block}.datasets: no dataset {', '.join(unknown)} in this study"
    yield from _replay_faults(config.get("campaign") or {})
    if layout.plated(config):
        yield from _plate_strangers(config, str(config["recommend"].get("method", "")))
    for label in config["methods"]:
        asked = layout.splits_of(config, label)
        unknown = sorted(set(asked) - set(config["splits"]))
        if unknown:
            yield f"config.methods.{label}.splits: no split {', '.join(unknown)} in this study"
        known = [split for split in asked if split in config["splits"]]
        partial = [split for split in known if set(config["datasets"]) - set(layout.datasets_of(config, split))]
        if partial and layout.is_joint(config, label):
            yield (
                f"config.methods.{label}: learns several datasets at once, and split {partial[0]} has only some of the "
                "study's; name the splits of this method, without that one, as in 'splits: [low_n]'"
            )


def _plate_strangers(config: Config, label: str) -> Iterator[str]:
    alone = [name for name in config["methods"] if not layout.is_joint(config, name)]
    if label not in alone:
        yield (
            f"config.recommend.method: {label or 'none is named'}; choose one of the study's methods that learn each "
            f"protein alone: {', '.join(alone)}"
        )


def _replay_faults(block: Config) -> Iterator[str]:
    """What makes a campaign fail when all else is done."""
    try:
        policies = campaign_of(block).policies
    except CampaignError as error:
        yield f"config.campaign: {error}"
        return
    for name, one in policies.items():
        if one.method and one.method not in PRICES:
            yield f"config.campaign.policies.{name}: no method {one.method!r}; `multimep methods` lists them"


def _outsiders(config: Config) -> Iterator[str]:
    for kind in ("datasets", "splits", "methods"):
        yield from (f"config.{kind}: {fault}" for name in config[kind] if (fault := paths.fault_of_name(str(name))))
    files = [one for spec in config["datasets"].values() for one in _files(spec or {})]
    for url in (config.get("mirror"), *(one.get("url") for one in files)):
        if fault := addresses.fault(str(url or "")):
            yield fault


def _files(spec: Config) -> list[Config]:
    """The files of a dataset's source."""
    source = spec.get("source") or {}
    return [one for one in (*(source.get("files") or {}).values(), source.get("structure")) if isinstance(one, Mapping)]
