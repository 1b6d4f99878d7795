from dataclasses import replace

import pytest

from multimep import language_model, precision
from multimep.chosen_model import embedder, identity
from multimep.dataset import Variants
from multimep.embeddings import open_store
from multimep.precision import resolved
from multimep.store_making import embed


@pytest.fixture(
    params=["flags : fpu amx_bf16 sse", "flags : avx512_bf16", "Features : fp asimd bf16", "flags : avx512f"]
)
def processor(request, tmp_path, monkeypatch) -> bool:
    """A processor as Linux describes it; whether it has bf16 units."""
    path = tmp_path / "cpuinfo"
    path.write_text(request.param)
    monkeypatch.setattr(precision, "CPU_INFO", path)
    return "bf16" in request.param


def test_auto_is_bf16_where_the_processor_has_units_for_it(processor):
    assert resolved("auto", "cpu") == ("bf16" if processor else "fp32")
    assert language_model.load("mini", precision="auto").precision == resolved("auto", "cpu")


@pytest.mark.filterwarnings("error")
def test_a_slow_bf16_is_said(processor):
    if processor:
        assert resolved("bf16", "cpu") == "bf16"
    else:
        with pytest.raises(UserWarning, match=r"cpu has no bf16 units: .* set fp32"):
            resolved("bf16", "cpu")


def test_auto_is_settled_before_anything_is_stored_and_stores_are_kept_to(tmp_path, monkeypatch):
    plm = language_model.load("mini")
    monkeypatch.setattr(precision, "CPU_INFO", tmp_path / "none")
    text, path = '{"name": "mini", "precision": "auto", "device": "cpu"}', tmp_path / "toy.h5"
    assert '"precision": "fp32"' in identity(text)
    variants = Variants("toy", "MKTAYIAKQR", ("WT", "M1A"))
    embed(variants, replace(plm, precision="bf16"), path)
    assert open_store(path).maker.precision == "bf16"
    with pytest.warns(UserWarning, match="no bf16 units"):  # the machine has none, and the store decides
        assert embedder(text, [path], "", tmp_path).language_model.precision == "bf16"
    assert embedder(text, [], "", tmp_path).language_model.precision == "fp32"
