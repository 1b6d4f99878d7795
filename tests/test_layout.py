"""What the rules are told about methods is what the methods do."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from multimep import layout
from multimep.embedder import Embedder
from multimep.methods import METHODS, nested

SETTINGS: Mapping[str, list[dict[str, Any]]] = {
    "transmep": [{"alpha_steps": 4, "gamma_steps": 4, "repeats": 4, **more} for more in ({}, {"features": "one_hot"})],
    "embedding_gp": [{}, *({"features": name} for name in ("pooled", "flattened", "one_hot"))],
    "plm_gp": [{}, {"embedding": False}],
    "fine_tune": [{"epochs": 1}],
    "likelihood_tune": [{"steps": 2}],
    "stack": [
        {},
        {"of": {"site_gp": None, "additive": {}}},
        {"of": {"site_gp": None, "plm": {"method": "plm_gp", "embedding": False}}},
        {"of": {"site_gp": None, "inner": {"method": "recalibrated", "of": {"embedding_gp": None}}}},
    ],
}
CASES = [(name, settings) for name in METHODS if not METHODS[name].joint for settings in SETTINGS.get(name, [{}])]


class Watched(Embedder):
    """Notes whether rows were asked."""

    def _rows(self, name, variants) -> np.ndarray:
        self.__dict__["asked"] = True
        return super()._rows(name, variants)


@pytest.mark.parametrize(("name", "settings"), CASES)
def test_the_layout_knows_which_methods_ask_rows_of_mutants(name, settings, landscape, tiny):
    whole, embedder = landscape("first", rows=30), Watched(lambda: tiny)
    fitted = nested.named(name, settings, name).fit([whole.select(whole.variants.mutants[:24])], embedder, 0)
    fitted.predict(whole.variants.select(whole.variants.mutants[24:]))
    assert layout.embeds_mutants(name, settings) == ("asked" in embedder.__dict__)
    if layout.is_unaided(name, settings):
        assert "language_model" not in embedder.__dict__


@pytest.mark.parametrize(
    ("methods", "expected"),
    [
        ({"additive": {}, "zero_shot": None}, "wild_type"),
        ({"profile_gp": {"method": "plm_gp", "embedding": False}}, "wild_type"),
        ({"zero_shot": {}, "embedding_gp": None}, "all"),
        ({"mix": {"method": "stack", "of": {"a": {"method": "plm_gp"}}}}, "all"),
        ({"fine_tune_together": {}, "likelihood_tune": {}}, "wild_type"),
        ({"additive": {}, "mix": {"method": "stack", "of": {"site_gp": None, "epistasis_gp": {}}}}, "none"),
        ({"additive": {}, "mix": {"method": "stack", "of": {"site_gp": None, "zero_shot": {}}}}, "wild_type"),
        ({"shared_prior_gp": {}}, "none"),
    ],
)
def test_a_study_embeds_mutants_where_one_of_its_methods_asks(methods, expected):
    assert layout.embedded({"methods": methods}) == expected
