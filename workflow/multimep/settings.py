"""config.yaml as frozen dataclasses: every key is known, every value has its type, or the study is refused whole.

Pydantic checks the types; the classes are those of the rooms that own the settings. `schema` writes the same rules as
JSON schema, which Snakemake checks without importing torch.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any, Literal

import pydantic

from multimep import contradictions, documents, layout, nesting, paths
from multimep.cluster import Cluster
from multimep.leaks import LeakSearch
from multimep.methods import METHODS, Method, nested
from multimep.policies import Campaign
from multimep.precision import Asked
from multimep.questions import MARGIN, Question
from multimep.schemes import SCHEMES, Scheme
from multimep.sources import DatasetSpec
from multimep.typed_values import SettingsError, build


@dataclass(frozen=True)
class LanguageModelSettings:
    """Which protein language model a study uses.

    Attributes:
        name: `mini` (shipped), an ESM-2 checkpoint (esm2_t33_650M_UR50D), or the path of a .pt/.safetensors file.
        directory: folder that holds checkpoints as NAME.pt; looked in before anything is downloaded.
        sha256: of the checkpoint; needed to download one whose checksum multimep does not know.
        precision: fp32, bf16, or auto: bf16 where the processor or GPU has units for it, else fp32. On a processor with
            AMX bf16 embeds 1.4 to 3.4 times as fast; last hidden states are 3e-3 to 1e-2 off, and distances between
            variants keep their order (Spearman above 0.999). Without such units it is slower than fp32. With auto
            the numbers depend on the machine; what a store was made with is then kept to.
        residues: keep per-residue rows in the stores (n x length x width numbers); else they are computed when asked.
        storage: of the rows; float16 halves a store and is off by at most 5e-4 of a value, less than bf16's own error.
        batch_size: sequences per forward pass, or auto: by tokens, 2,048 on a processor, by its memory on a GPU.
        device: cpu, cuda, or auto: cuda where there is one.
    """

    name: str = "mini"
    directory: str | None = None
    sha256: str | None = None
    precision: Asked = "fp32"
    residues: bool = False
    storage: Literal["float32", "float16"] = "float32"
    batch_size: int | Literal["auto"] = "auto"
    device: str = "auto"

    def __post_init__(self) -> None:
        """Refuse an empty batch."""
        if self.batch_size != "auto" and self.batch_size < 1:
            raise SettingsError(f"batch_size is {self.batch_size}; set it to 1 or more, or to auto")


@dataclass(frozen=True)
class Evaluation:
    """How predictions are held against measurements.

    Attributes:
        bootstrap: resamples of the variants behind every interval.
        margin: differences in Spearman below it count as none when methods are said to be equivalent. 0.02 is half the
            step between neighbours at the head of ProteinGym's supervised table (0.033 to 0.038); choose it before
            looking at results.
    """

    bootstrap: int = 500
    margin: float = MARGIN

    def __post_init__(self) -> None:
        """Refuse a negative number of resamples and a margin that nothing can be within."""
        if self.bootstrap < 0:
            raise SettingsError(f"bootstrap is {self.bootstrap}; set it to 0 (no intervals) or more")
        if not self.margin > 0:
            raise SettingsError(f"margin is {self.margin}; set it above 0")


@dataclass(frozen=True)
class NextPlate:
    """Which datasets' next plates are chosen, and how.

    Attributes:
        datasets: none if not given.
        method: label of a method of the study that learns each protein alone; it is fitted anew, on all variants.
        wishes: candidates, acquisition, rules of the plate: the settings of `multimep recommend`.
    """

    datasets: tuple[str, ...] = ()
    method: str = ""
    wishes: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Study:
    """A whole study, as config.yaml says it.

    Attributes:
        study: its title.
        datasets: name -> source, group, target and direction.
        splits: name -> scheme and its settings; `datasets` names those that it divides (all if not given; a joint
            method is asked only about splits of all).
        methods: label -> settings; `method` names the entry of METHODS where the label is another word, `splits` the
            splits that it is asked about (all if not given; fine-tuning thousands of variants takes a GPU).
        question: what the study asks, in a sentence or two, for the head of the report.
        language_model: which one.
        evaluation: bootstrap and margin.
        leaks: which methods the search for leaks runs, and on how much.
        comparisons: which methods are held against each other, by their labels; the standard questions of which the
            study has both methods if not given.
        campaign: what is replayed round by round, and of which datasets the report shows it.
        recommend: of which datasets the next plate is chosen, by which method, under which rules.
        seed: everything random follows from it.
        mirror: file:///... or http://..., takes the place of scheme and host of every URL.
        cache: folder of downloads.
        cluster: what a site's profile says of its GPUs, limits and prices.
        pathvars: where Snakemake puts results, logs and benchmarks.
        format: of this file; one that a later multimep wrote for itself is refused.
    """

    study: str
    datasets: Mapping[str, DatasetSpec]
    splits: Mapping[str, Mapping[str, Any]]
    methods: Mapping[str, Mapping[str, Any] | None]
    question: str = ""
    language_model: LanguageModelSettings = field(default_factory=LanguageModelSettings)
    evaluation: Evaluation = field(default_factory=Evaluation)
    leaks: LeakSearch = field(default_factory=LeakSearch)
    comparisons: tuple[Question, ...] | None = None
    campaign: Campaign = field(default_factory=Campaign)
    recommend: NextPlate = field(default_factory=NextPlate)
    seed: int = 0
    mirror: str | None = None
    cache: str = "results/cache"
    cluster: Cluster = field(default_factory=Cluster)
    pathvars: Mapping[str, str] = field(default_factory=dict)
    format: int = contradictions.FORMAT


def parse(text: str, where: str) -> Mapping[str, Any]:
    """A mapping from JSON or YAML text; raises SettingsError that names `where`."""
    try:
        values = documents.from_yaml(text)
    except documents.DocumentError as error:
        raise SettingsError(f"{where}: {error}") from error
    if not isinstance(values or {}, Mapping):
        raise SettingsError(f"{where}: expected names with values, as in '{{name: value}}', got {text[:60]!r}")
    return values or {}


def read_text(path: Path | None) -> str:
    """The text of a configuration file, or of the standard input; raises SettingsError for too much, or no UTF-8."""
    try:
        return documents.text(path, documents.WORDS) if path else documents.standard_input(documents.WORDS)
    except documents.DocumentError as error:
        raise SettingsError(str(error)) from error


def text_of(given: str) -> str:
    """The text of a configuration: of a file, of the standard input (-) or, beginning with a brace, of itself."""
    if given.lstrip().startswith("{"):
        return given
    if given == "-":
        return read_text(None)
    paths.check([Path(given)], [])
    return read_text(Path(given))


def read_configuration(given: str, option: str = "--config") -> tuple[str, Mapping[str, Any]]:
    """The text and the values of what is given to an option: a file's name, JSON, or - for the standard input."""
    text = text_of(given)
    return text, parse(text, {text: option, "-": "the standard input"}.get(given, given))


def scheme(values: Mapping[str, Any], where: str) -> Scheme:
    """The split scheme that `values` name and set."""
    if "scheme" not in values:
        raise SettingsError(f"{where}: says no scheme; choose one, as in '{{scheme: random}}': {', '.join(SCHEMES)}")
    name = str(values["scheme"])
    if name not in SCHEMES:
        raise SettingsError(f"{where}: no split scheme {name!r}; choose scheme from {', '.join(SCHEMES)}")
    kind: Any = SCHEMES[name]
    chosen: Scheme = build(kind, {key: value for key, value in values.items() if key != "scheme"}, where)
    return chosen


def method(name: str, values: Mapping[str, Any], where: str) -> Method:
    """The method of that name with these settings."""
    return nested.named(name, values, where)


def study(values: Mapping[str, Any]) -> Study:
    """The whole study; raises SettingsError that lists what is wrong anywhere in it."""
    if fault := contradictions.newer(values):
        raise SettingsError(fault)
    found = build(Study, values, "config")
    for name in found.splits:
        scheme(layout.scheme_of(values, name), f"config.splits.{name}")
    for label in found.methods:
        method(layout.method_of(values, label), layout.settings_of(values, label), f"config.methods.{label}")
    for fault in contradictions.strangers(values):
        raise SettingsError(fault)
    strangers = sorted(set(found.leaks.methods or ()) - set(found.methods))
    if strangers:
        raise SettingsError(f"config.leaks.methods: no method {', '.join(strangers)} in this study")
    _check_comparisons(found)
    return found


def _check_comparisons(found: Study) -> None:
    for place, one in enumerate(found.comparisons or ()):
        unknown = [name for name in (one.method, one.baseline) if name not in found.methods]
        if unknown or (one.split and one.split not in found.splits):
            what = f"method {unknown[0]}" if unknown else f"split {one.split}"
            raise SettingsError(f"config.comparisons.{place}: no {what} in this study; use its labels")


def table_source(variants: Path, wild_type: str) -> dict[str, Any]:
    """The source settings of one's own CSV, with the wild type as a sequence or as the path of a FASTA file."""
    files = {"variants": {"path": str(variants.resolve())}}
    if Path(wild_type).suffix:
        return {"reader": "multimep", "files": {**files, "wild_type": {"path": str(Path(wild_type).resolve())}}}
    return {"reader": "multimep", "files": files, "wild_type": wild_type}


def schema() -> dict[str, Any]:
    """The JSON schema of config.yaml, from the same classes."""
    whole = pydantic.TypeAdapter(Study).json_schema(ref_template="#/$defs/{model}")
    definitions: dict[str, Any] = whole.pop("$defs", {})
    properties = whole["properties"]
    schemes = [_variant(SCHEMES, name, "scheme", definitions) for name in SCHEMES]
    properties["splits"]["additionalProperties"] = {
        "oneOf": [{**one, "properties": {**DIVIDED, **one["properties"]}} for one in schemes]
    }
    properties["methods"] = _named_methods(list(METHODS), definitions, ASKED_ON)
    definitions["NextPlate"]["properties"]["wishes"] = _wishes(definitions)
    definitions["Inside"] = _named_methods([name for name in METHODS if not METHODS[name].joint], definitions, {})
    for name in ("datasets", "splits", "methods"):
        properties[name]["propertyNames"] = {"pattern": paths.NAME}
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **_closed(whole), "$defs": _closed(definitions)}


def _wishes(definitions: dict[str, Any]) -> dict[str, Any]:
    wishes = import_module("multimep.recommendation").Wishes  # seconds, and only the schema needs it
    whole = pydantic.TypeAdapter(wishes).json_schema(ref_template="#/$defs/{model}")
    definitions.update(whole.pop("$defs", {}))
    return {**whole, "description": wishes.__doc__.splitlines()[0]}


ASKED_ON = {"splits": {"type": "array", "items": {"type": "string"}}}
DIVIDED = {"datasets": {"type": "array", "items": {"type": "string"}}}


def _named_methods(names: Sequence[str], definitions: dict[str, Any], more: Mapping[str, Any]) -> dict[str, Any]:
    """Label -> settings of one of these methods, and `more` keys in each; those inside another stand in $defs."""

    def one(name: str, key: str) -> dict[str, Any]:
        found = _variant(METHODS, name, key, definitions)
        if nesting.KEY in found.get("properties", {}):
            found["properties"][nesting.KEY] = {"$ref": "#/$defs/Inside"}
        return {**found, "properties": {**more, **found.get("properties", {})}}

    named = {name: one(name, "") for name in names}
    others = {"oneOf": [one(name, "method") for name in names]}
    return {"type": "object", "properties": named, "additionalProperties": others, "minProperties": 1}


def _variant(table: Mapping[str, Any], name: str, key: str, definitions: dict[str, Any]) -> dict[str, Any]:
    one = pydantic.TypeAdapter(table[name]).json_schema(ref_template="#/$defs/{model}")
    definitions.update(one.pop("$defs", {}))
    one["description"] = (table[name].__doc__ or "").splitlines()[0]
    if key:
        one["properties"] = {key: {"const": name}, **one.get("properties", {})}
        one["required"] = [key, *one.get("required", [])]
        return one
    return {**one, "type": ["object", "null"]}


def _closed(part: Any) -> Any:
    """The same schema, refusing unknown keys wherever keys are listed."""
    if isinstance(part, list):
        return [_closed(entry) for entry in part]
    if not isinstance(part, dict):
        return part
    closed = {key: _closed(value) for key, value in part.items()}
    if closed.get("type") in ("object", ["object", "null"]) and "additionalProperties" not in closed:
        closed["additionalProperties"] = False
    return closed
