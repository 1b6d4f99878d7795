import copy
import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from multimep import contradictions, settings
from multimep.methods import METHODS
from multimep.schemes import SCHEMES
from multimep.schemes.low_n import LowN
from multimep.settings import method, parse, schema, scheme, study, table_source
from multimep.sources import DatasetSpec
from multimep.typed_values import SettingsError, build

ROOT = Path(__file__).parents[1]
CONFIG = ROOT / "config.yaml"
STUDIES = [CONFIG, *sorted((ROOT / "workflow" / "studies").glob("*.yaml"))]
SCHEMA = ROOT / "workflow" / "schemas" / "config.schema.json"

SMALL: dict[str, Any] = {
    "study": "small",
    "datasets": {
        "toy": {
            "group": "enzyme",
            "source": {"reader": "multimep", "wild_type": "MKT", "files": {"variants": {"path": "toy.csv"}}},
        },
        "scan": {"source": {"reader": "simulation", "options": {"protein": "gb1"}}},
    },
    "splits": {"random": {"scheme": "random", "folds": 3}},
    "methods": {"additive": None, "gp": {"method": "embedding_gp", "features": "one_hot"}, "fine_tune": {"epochs": 3}},
}


def changed(*path: str, to: Any) -> dict[str, Any]:
    """SMALL with one value changed."""
    values = copy.deepcopy(SMALL)
    inner = values
    for name in path[:-1]:
        inner = inner.setdefault(name, {})
    inner[path[-1]] = to
    return values


def loaded(path: Path) -> dict[str, Any]:
    return dict(parse(path.read_text(encoding="utf-8"), str(path)))


def test_a_small_study_is_read_with_its_defaults():
    found = study(SMALL)
    assert (found.seed, found.evaluation.bootstrap, found.language_model.name) == (0, 500, "mini")
    assert found.datasets["toy"].source.files["variants"].path == "toy.csv"
    assert found.datasets["scan"].higher_is_better is True


FAULTS = [
    # unknown keys, at every level
    (("sede",), 1, "config: unknown key 'sede' (known: study, datasets"),
    (("language_model", "nmae"), "mini", "config.language_model: unknown key 'nmae'"),
    (("evaluation", "bootstraps"), 9, "config.evaluation: unknown key 'bootstraps' (known: bootstrap, margin)"),
    (("datasets", "toy", "colour"), "red", "config.datasets.toy: unknown key 'colour'"),
    (("datasets", "toy", "source", "url"), "a", "config.datasets.toy.source: unknown key 'url'"),
    (("datasets", "toy", "source", "columns", "y"), "a", "config.datasets.toy.source.columns: unknown key 'y'"),
    (
        ("datasets", "toy", "source", "files", "variants", "md5"),
        "a",
        "config.datasets.toy.source.files.variants: unknown key 'md5'",
    ),
    (("splits", "random", "fold"), 3, "config.splits.random: unknown key 'fold' (known: folds, by)"),
    (("methods", "gp", "kernel"), "rbf", "config.methods.gp: unknown key 'kernel' (known: features"),
    (("methods", "additive"), {"alpha": 1}, "config.methods.additive: unknown key 'alpha' (known: none)"),
    # wrong types and values
    (("seed",), "many", "config.seed: Input should be a valid integer"),
    (("datasets",), ["toy"], "config.datasets: Input should be a valid dictionary"),
    (("datasets", "toy"), "toy.csv", "config.datasets.toy: "),
    (("datasets", "toy", "higher_is_better"), "up", "config.datasets.toy.higher_is_better: "),
    (("datasets", "toy", "source", "region"), [1, 2, 3], "config.datasets.toy.source.region"),
    (
        ("language_model", "precision"),
        "fp16",
        "config.language_model.precision: Input should be 'fp32', 'bf16' or 'auto'",
    ),
    (("evaluation", "bootstrap"), 0.5, "config.evaluation.bootstrap: "),
    (("splits", "random", "folds"), "three", "config.splits.random.folds: Input should be a valid integer"),
    (("methods", "gp", "features"), "pooling", "config.methods.gp.features: Input should be 'pooled'"),
    (("methods", "fine_tune", "epochs"), "ten", "config.methods.fine_tune.epochs: Input should be a valid integer"),
    (("methods", "fine_tune", "epochs"), 0, "epochs must be above 0, not 0"),
    (("methods", "gp"), ["embedding_gp"], "config.methods.gp: "),
    # names that no table has
    (
        ("splits", "random", "scheme"),
        "rndom",
        "config.splits.random: no split scheme 'rndom'; choose scheme from random, modulo",
    ),
    (("splits", "random"), {"folds": 3}, "config.splits.random: says no scheme; choose"),
    (("methods", "gp", "method"), "gp", "config.methods.gp: no method 'gp'; choose from additive"),
    (("methods", "ridge"), {}, "config.methods.ridge: no method 'ridge'"),
    (
        ("datasets", "toy", "source", "reader"),
        "excel",
        "config.datasets.toy.source: no reader 'excel'; choose one of multimep",
    ),
    (("datasets", "toy", "source", "files", "variants"), {"path": "a", "url": "b"}, "either url: or path:"),
    (
        ("datasets", "toy", "source", "files", "variants"),
        {"url": "https://x.org/a.csv"},
        "https://x.org/a.csv: state its sha256:",
    ),
]


@pytest.mark.parametrize(("path", "value", "words"), FAULTS)
def test_what_is_wrong_is_refused_with_the_place_where_it_stands(path, value, words):
    with pytest.raises(SettingsError) as error:
        study(changed(*path, to=value))
    assert words in str(error.value)


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("seed", -1, "config.seed: -1 must be 0 or more"),
        ("campaign", {"first": 2}, "config.campaign: first: 2 must be 3 or more"),
        ("campaign", {"policies": {"a": {"method": "site_gp", "draws": 0}}}, "config.campaign: draws: 0"),
        ("campaign", {"policies": {"a": {"method": "nope"}}}, "config.campaign.policies.a: no method 'nope'"),
    ],
)
def test_what_would_fail_when_all_else_is_done_is_refused_before_any_job(key, value, words):
    (fault,) = contradictions.strangers(changed(key, to=value))
    assert fault.startswith(words)
    with pytest.raises(SettingsError, match=re.escape(words.split(": ")[-1])):
        study(changed(key, to=value))


def test_a_split_of_some_datasets_is_for_methods_that_learn_each_alone():
    values = changed("splits", "doubles", to={"scheme": "mutation_count", "datasets": ["toy"]})
    assert study(values).splits["doubles"]["datasets"] == ["toy"]
    with pytest.raises(SettingsError, match=r"config\.splits\.random\.datasets: no dataset toys in this study"):
        study(changed("splits", "random", "datasets", to=["toys"]))
    values["methods"]["fine_tune_together"] = {"epochs": 3}
    with pytest.raises(SettingsError, match=r"config\.methods\.fine_tune_together: learns several .* doubles"):
        study(values)
    values["methods"]["fine_tune_together"]["splits"] = ["random"]
    assert study(values)


@pytest.mark.parametrize("block", ["campaign", "recommend"])
def test_a_campaign_or_plate_of_a_dataset_that_is_not_there_is_refused(block):
    with pytest.raises(SettingsError, match=rf"config\.{block}\.datasets: no dataset toys in this study"):
        study(changed(block, to={"datasets": ["toy", "toys"]}))


@pytest.mark.parametrize("named", ["", "another", "fine_tune_together"])
def test_a_plate_is_chosen_by_a_method_of_the_study_that_learns_each_protein_alone(named):
    values = changed("methods", "fine_tune_together", to={})
    values["recommend"] = {"datasets": ["toy"], "method": named}
    with pytest.raises(
        SettingsError, match=rf"config\.recommend\.method: {named or 'none is named'}; choose .* additive"
    ):
        study(values)
    values["recommend"]["method"] = "additive"
    assert study(values).recommend.method == "additive"


@pytest.mark.parametrize("name", ["study", "datasets", "splits", "methods"])
def test_a_study_without_its_essentials_is_refused(name):
    values = {key: value for key, value in SMALL.items() if key != name}
    with pytest.raises(SettingsError, match=f"config.{name}: .*[Mm]issing|config.{name}: Field required"):
        study(values)


def test_all_unknown_keys_are_listed_at_once():
    values = changed("sede", to=1)
    values["datasets"]["toy"]["colour"] = "red"
    with pytest.raises(SettingsError, match=r"(?s)colour.*sede|sede.*colour"):
        study(values)


@pytest.mark.parametrize("text", ["- a\n- b\n", "words", "3"])
def test_text_that_is_no_mapping_is_refused(text):
    with pytest.raises(SettingsError, match="--spec: expected names with values"):
        parse(text, "--spec")


def test_text_that_is_no_yaml_is_refused():
    with pytest.raises(SettingsError, match="--spec: not YAML or JSON"):
        parse("{a: [", "--spec")


def test_json_and_yaml_are_read_alike_and_nothing_is_an_empty_mapping():
    assert parse('{"a": {"b": 1}}', "x") == parse("a:\n  b: 1\n", "x") == {"a": {"b": 1}}
    assert parse("", "x") == {}


@pytest.mark.parametrize("name", METHODS)
def test_every_method_is_built_from_no_settings(name):
    assert method(name, {}, "x") == METHODS[name]()


def test_settings_reach_the_method_and_the_scheme():
    assert method("transmep", {"repeats": 5, "features": "one_hot"}, "x").repeats == 5
    chosen = scheme({"scheme": "low_n", "sizes": [24, 96], "seeds": 2}, "x")
    assert isinstance(chosen, LowN)
    assert list(chosen.sizes) == [24, 96]


def test_ones_own_table_is_a_source(tmp_path):
    found = build(DatasetSpec, {"source": table_source(tmp_path / "own.csv", "MKT")}, "x").source
    assert (found.reader, found.wild_type, found.files["variants"].path) == (
        "multimep",
        "MKT",
        str(tmp_path / "own.csv"),
    )
    fasta = build(DatasetSpec, {"source": table_source(tmp_path / "own.csv", str(tmp_path / "wt.fasta"))}, "x").source
    assert (fasta.wild_type, fasta.files["wild_type"].path) == ("", str(tmp_path / "wt.fasta"))


# The files that multimep ships


@pytest.mark.parametrize("path", STUDIES, ids=lambda path: path.name)
def test_every_shipped_study_is_valid(path):
    found = study(loaded(path))
    assert found.datasets
    assert found.splits
    assert found.methods


@pytest.mark.parametrize("path", STUDIES, ids=lambda path: path.name)
def test_every_shipped_study_agrees_with_the_schema(path):
    jsonschema.validate(loaded(path), schema(), cls=jsonschema.Draft202012Validator)


def test_the_schema_in_the_repository_is_that_of_the_classes():
    written = json.loads(SCHEMA.read_text(encoding="utf-8"))
    assert written == json.loads(json.dumps(schema())), "the settings changed: run `make schema`"


def test_the_schema_is_a_schema():
    jsonschema.Draft202012Validator.check_schema(schema())
    assert set(METHODS) == set(schema()["properties"]["methods"]["properties"])
    offered = schema()["properties"]["splits"]["additionalProperties"]["oneOf"]
    assert {one["properties"]["scheme"]["const"] for one in offered} == set(SCHEMES)


def test_the_schema_accepts_the_small_study():
    jsonschema.validate(SMALL, schema(), cls=jsonschema.Draft202012Validator)


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [case for case in FAULTS if not any(word in case[2] for word in ("no reader", "either url", "sha256", "above 0"))],
)
def test_snakemake_refuses_by_the_schema_what_the_package_refuses(path, value, words):
    validator = jsonschema.Draft202012Validator(schema())
    assert list(validator.iter_errors(changed(*path, to=value))), words


@pytest.mark.parametrize("name", ["../toy", "a b", "a/b", "", ".hidden"])
def test_the_schema_refuses_names_that_are_no_file_names(name):
    validator = jsonschema.Draft202012Validator(schema())
    for section in ("datasets", "methods"):
        values = copy.deepcopy(SMALL)
        values[section][name] = next(iter(values[section].values()))
        assert list(validator.iter_errors(values))


def test_yaml_is_read_without_building_objects():
    with pytest.raises(SettingsError, match="x: not YAML or JSON"):
        settings.parse("a: !!python/object/apply:os.getcwd []", "x")
    assert yaml.safe_load("a: 1") == settings.parse("a: 1", "x")
