"""All targets by name; a target's module is imported when it is asked for, for some of them take seconds."""

import importlib
from collections.abc import Mapping

from fuzz.target import Target

TARGETS: Mapping[str, tuple[str, str]] = {
    "mutation_grammar": ("mutation_grammar", "TARGET"),
    "tables": ("tables", "TEXT"),
    "workbooks": ("tables", "WORKBOOK"),
    "fasta": ("fasta", "TARGET"),
    "configuration": ("configuration", "TARGET"),
    "coordinates": ("coordinates", "TARGET"),
    "artefacts": ("artefacts", "TARGET"),
    "checkpoints": ("binaries", "CHECKPOINT"),
    "predictors": ("binaries", "PREDICTOR"),
    "stores": ("binaries", "STORE"),
}


def target(name: str) -> Target:
    """The target of that name."""
    module, attribute = TARGETS[name]
    found: Target = getattr(importlib.import_module(f"fuzz.{module}"), attribute)
    assert found.name == name
    return found
