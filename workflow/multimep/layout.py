"""Where a study's results stand and which jobs make them: the one account of it for the rules and for the planner.

Imports nothing but the standard library and its light neighbours, for the Snakefile imports it. `config` is a
configuration as plain values.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from multimep import nesting

Config = Mapping[str, Any]

EMBED = "embed"
"""The station that makes stores, and the method of a unit that makes one."""
STAMP = "stamp.json"
"""The file that says that a unit of a shard is whole, in the unit's folder under ahead/."""

RUN_BY = ("device", "batch_size", "directory")
"""Settings of a language model that say how it is run, and change no result."""

JOINT = ("shared_prior_gp", "coregional_gp", "fine_tune_together", "likelihood_tune_together")
"""Entries of METHODS that fit several datasets at once; a test holds it against the classes."""


EMBEDDING = {
    "embedding_gp": ("features", "pooled", ("pooled", "flattened")),
    "sparse_gp": ("features", "pooled", ("pooled", "flattened")),
    "transmep": ("features", "flattened", ("flattened",)),
    "plm_gp": ("embedding", True, (True,)),
}
"""Methods that ask for rows of mutants: by which setting, its default, and at which values; others ask the language
model about the wild type alone, if at all. A test holds it against the methods."""


UNAIDED = ("additive", "one_hot_ridge", "site_gp", "epistasis_gp", "combination_gp")
"""Methods of one protein that ask the language model nothing at all; a test holds it against the methods."""


AMONG_OTHERS = ("family_out",)
"""Schemes that must know the wild types of a study's other datasets; a test holds it against the classes."""


SEARCHED = ("datasets", "splits", "methods", "leaks", "seed")
"""What of a configuration decides where leaks are looked for."""


def is_among_others(config: Config, split: str) -> bool:
    """Whether a split depends on the wild types of the study's other datasets."""
    return (config["splits"][split] or {}).get("scheme") in AMONG_OTHERS


def datasets_of(config: Config, split: str) -> list[str]:
    """The datasets that a split divides: all of them unless its entry names some."""
    chosen: Sequence[str] = (config["splits"][split] or {}).get("datasets", list(config["datasets"]))
    return list(chosen)


def scheme_of(config: Config, split: str) -> dict[str, Any]:
    """A split's scheme and settings, without the key that says which datasets it divides."""
    return {key: value for key, value in (config["splits"][split] or {}).items() if key != "datasets"}


def splits(config: Config, datasets: Sequence[str]) -> list[str]:
    """The split files of these datasets, below results/."""
    return [
        f"splits/{split}/{name}.csv"
        for split in config["splits"]
        for name in datasets
        if name in datasets_of(config, split)
    ]


def method_of(config: Config, label: str) -> str:
    """The entry of the METHODS table behind a label of the study; a station's name is its own."""
    return str((config["methods"].get(label) or {}).get("method", label))


def splits_of(config: Config, label: str) -> list[str]:
    """The splits that a method is asked about: all of them unless its entry names some."""
    chosen: Sequence[str] = (config["methods"][label] or {}).get("splits", list(config["splits"]))
    return list(chosen)


def asked_splits(config: Config, dataset: str) -> list[str]:
    """The splits of a dataset that some method is asked about, in the order of the study."""
    asked = {split for label in config["methods"] for split in splits_of(config, label)}
    return [split for split in config["splits"] if split in asked and dataset in datasets_of(config, split)]


def settings_of(config: Config, label: str) -> dict[str, Any]:
    """A method's own settings, without the keys that say which method it is and where it is asked."""
    return {key: value for key, value in (config["methods"][label] or {}).items() if key not in ("method", "splits")}


def sized_by(config: Config, name: str) -> dict[str, Any]:
    """The settings that decide the size of a job: of a method, by its label, or of another station."""
    if name in config["methods"]:
        return settings_of(config, name)
    if name == "embed":
        return {**config.get("language_model", {}), "rows": embedded(config)}
    tables = len(predictions(config, list(config["datasets"])[:1]))
    return {"tables": tables, **config.get("evaluation", {})}


def embedded(config: Config) -> Literal["all", "wild_type", "none"]:
    """Of which sequences of a dataset some method asks the language model: all, at most the wild type, none."""
    asked = [
        (method_of(config, label), settings_of(config, label))
        for label in config["methods"]
        if not is_joint(config, label)  # these read no store
    ]
    if any(embeds_mutants(*one) for one in asked):
        return "all"
    return "none" if all(is_unaided(*one) for one in asked) else "wild_type"


def is_unaided(method: str, settings: Config) -> bool:
    """Whether a method, and each inside it, asks the language model nothing: it serves proteins of any length."""
    inner = [(name, values) for _, name, values in nesting.inside(settings)]
    return all(is_unaided(*one) for one in inner) if inner else method in UNAIDED


def embeds_mutants(method: str, settings: Config) -> bool:
    """Whether a method, or one inside it, asks for representations of mutants."""
    if method in EMBEDDING:
        name, default, values = EMBEDDING[method]
        return settings.get(name, default) in values
    return any(embeds_mutants(inner, values) for _, inner, values in nesting.inside(settings))


def is_joint(config: Config, label: str) -> bool:
    """Whether one fit of this method, or of one inside it, learns several datasets."""
    return any(name in JOINT for name in nesting.all_names(method_of(config, label), settings_of(config, label)))


def word(text: str) -> str:
    """A group's name as it may stand in a rule's name and in a path."""
    return re.sub(r"\W+", "_", text)


def teams(config: Config, label: str) -> dict[str, list[str]]:
    """The sets of datasets that one fit learns: each alone; for a joint method all, or one set for each group."""
    names = list(config["datasets"])
    if not is_joint(config, label):
        return {name: [name] for name in names}
    if (config["methods"][label] or {}).get("scope", "all") == "all":
        return {"all": names}
    groups: dict[str, list[str]] = {}
    for name in names:
        groups.setdefault(word(config["datasets"][name].get("group", "ungrouped")), []).append(name)
    return groups


def prediction(split: str, label: str, dataset: str) -> str:
    """The file of one method's predictions, below results/."""
    return f"predictions/{split}/{label}/{dataset}.csv"


def predictions(config: Config, datasets: Sequence[str]) -> list[str]:
    """The predictions files of these datasets: every method on every split that it is asked about."""
    return [
        prediction(split, label, dataset)
        for dataset in datasets
        for label in config["methods"]
        for split in splits_of(config, label)
        if dataset in datasets_of(config, split)
    ]


def replayed(config: Config) -> list[str]:
    """The datasets whose replayed campaigns belong to the study, and to its report."""
    chosen: Sequence[str] = (config.get("campaign") or {}).get("datasets", ())
    return list(chosen)


def plated(config: Config) -> list[str]:
    """The datasets whose next plates belong to the study, and to its report."""
    chosen: Sequence[str] = (config.get("recommend") or {}).get("datasets", ())
    return list(chosen)


def predictor(name: str) -> str:
    """The file of the predictor that chooses a dataset's next plate, below results/."""
    return f"predictors/{name}.safetensors"


def plate(name: str) -> str:
    """The folder of a dataset's next plate, below results/."""
    return f"plates/{name}"


def campaign(name: str) -> str:
    """The file of a dataset's replayed campaigns, below results/."""
    return f"campaigns/{name}.csv"


def expected(config: Config) -> dict[str, list[str]]:
    """The files of the whole study, below results/, by station; the predictions by method."""
    names = list(config["datasets"])
    predictions = {
        f"predict: {label}": [
            prediction(split, label, name) for split in splits_of(config, label) for name in datasets_of(config, split)
        ]
        for label in config["methods"]
    }
    left_out = names if any(is_among_others(config, split) for split in config["splits"]) else []
    return {
        "dataset": [f"datasets/{name}.csv" for name in names],
        **({"wild_type": [f"wild_types/{name}.json" for name in left_out]} if left_out else {}),
        "checkpoint": ["checkpoint.json"],
        "embed": [f"embeddings/{name}.h5" for name in names],
        "split": splits(config, names),
        **predictions,
        "evaluate": [f"metrics/{name}.csv" for name in names],
        "leaks": ["leaks.json"],
        **({"campaign": [campaign(name) for name in replayed(config)]} if replayed(config) else {}),
        **({"fit": [predictor(name) for name in plated(config)]} if plated(config) else {}),
        **({"plate": [plate(name) for name in plated(config)]} if plated(config) else {}),
        "report": ["report.html"],
    }


@dataclass(frozen=True)
class Job:
    """One cross-prediction: a label of the study on one split, for one dataset or a team of them."""

    split: str
    label: str
    team: str
    datasets: tuple[str, ...]

    @property
    def name(self) -> str:
        """SPLIT/LABEL/TEAM: its log and its run time stand under this path."""
        return f"{self.split}/{self.label}/{self.team}"


def jobs(config: Config) -> Iterator[Job]:
    """Every cross-prediction of the study; of a split that divides its whole team."""
    for label in config["methods"]:
        for split in splits_of(config, label):
            divided = datasets_of(config, split)
            for team, members in teams(config, label).items():
                if set(members) <= set(divided):
                    yield Job(split, label, team, tuple(members))
