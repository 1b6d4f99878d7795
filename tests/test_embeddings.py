import dataclasses
from dataclasses import dataclass, field
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from multimep import store_making
from multimep.dataset import Variants
from multimep.embedder import Embedder, EmbedderError
from multimep.embeddings import Store, StoreError, key, maker, open_store
from multimep.language_model import LanguageModel, LanguageModelError
from multimep.store_making import embed

WILD_TYPE = "MKTAYIAKQRQISFVKSH"
SINGLES = tuple(f"{old}{site}{'A' if old != 'A' else 'G'}" for site, old in enumerate(WILD_TYPE, start=1))
VARIANTS = Variants("toy", WILD_TYPE, ("WT", *SINGLES))
FEW = VARIANTS.select(SINGLES[:5])


@dataclass(frozen=True)
class Counted(LanguageModel):
    """A language model that notes what it is asked, and dies after `lives` batches."""

    asked: list[str] = field(default_factory=list)
    lives: int = 10**9

    def hidden_states(self, sequences, layer=None) -> torch.Tensor:
        if len(self.asked) >= self.lives:
            raise KeyboardInterrupt
        self.asked.extend(sequences)
        return super().hidden_states(sequences, layer)


def counted(model: LanguageModel, **more) -> Counted:
    return Counted(model.name, model.sha256, model.model, **more)


def store_of(
    variants: Variants, model: LanguageModel, path: Path, *, residues: bool = False, batch_size: int = 4
) -> Store:
    embed(variants, model, path, residues=residues, batch_size=batch_size)
    return open_store(path)


def rows(store: Store, variants: Variants, name: str = "pooled") -> np.ndarray:
    return store.rows(name, [key(sequence) for sequence in variants.sequences])


def slow_residues(model: LanguageModel, variants: Variants) -> np.ndarray:
    return np.concatenate([model.hidden_states([sequence]).numpy() for sequence in variants.sequences])


@pytest.fixture
def path(tmp_path) -> Path:
    return tmp_path / "toy.h5"


@pytest.fixture(scope="module")
def foreign(tiny) -> LanguageModel:
    """A language model of the same shape with another checkpoint."""
    return dataclasses.replace(tiny, sha256="f" * 64)


def test_rows_are_the_means_of_the_last_hidden_states(tiny, path):
    found = rows(store_of(VARIANTS, tiny, path), VARIANTS)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, slow_residues(tiny, VARIANTS).mean(axis=1), rtol=1e-4, atol=1e-5)


def test_the_wild_type_has_a_row_even_where_it_was_not_measured(tiny, path):
    assert key(WILD_TYPE) in store_of(FEW, tiny, path).row_of


def test_the_file_says_what_made_it(tiny, path):
    store = store_of(FEW, tiny, path)
    assert store.maker == maker(tiny)
    assert (store.maker.model, store.maker.sha256, store.maker.layer) == (tiny.name, tiny.sha256, 2)
    with h5py.File(path) as file:
        assert dict(file.attrs)["precision"] == b"fp32"


def test_residues_are_kept_on_request_alone(tiny, path):
    assert not store_of(FEW, tiny, path).has_residues
    with_them = store_of(FEW, tiny, path, residues=True)
    assert with_them.has_residues
    np.testing.assert_allclose(rows(with_them, FEW, "residues"), slow_residues(tiny, FEW), rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(rows(with_them, FEW), rows(with_them, FEW, "residues").mean(axis=1))


def test_a_store_with_residues_serves_where_none_are_asked_for(tiny, path):
    store_of(FEW, tiny, path, residues=True)
    assert embed(FEW, tiny, path, residues=False, batch_size=4) == 0


def test_marginals_are_those_of_the_language_model(tiny, path):
    store = store_of(FEW, tiny, path)
    np.testing.assert_array_equal(store.marginals(WILD_TYPE, "wild_type"), tiny.wild_type_marginals(WILD_TYPE).numpy())
    np.testing.assert_array_equal(store.marginals(WILD_TYPE, "masked"), tiny.masked_marginals(WILD_TYPE).numpy())
    assert store.marginals("MKT", "masked") is None


def test_rows_are_given_in_the_order_asked_and_as_often(tiny, path):
    store = store_of(VARIANTS, tiny, path)
    keys = [key(sequence) for sequence in VARIANTS.sequences]
    order = [*np.random.default_rng(0).permutation(len(keys)), 3, 3, 0]
    np.testing.assert_array_equal(store.rows("pooled", [keys[row] for row in order]), store.rows("pooled", keys)[order])


def test_the_batch_size_does_not_matter(tiny, path):
    whole = rows(store_of(VARIANTS, tiny, path, batch_size=64), VARIANTS)
    path.unlink()
    np.testing.assert_allclose(
        rows(store_of(VARIANTS, tiny, path, batch_size=3), VARIANTS), whole, rtol=1e-4, atol=1e-5
    )


def test_a_changed_dataset_computes_its_new_sequences_alone(tiny, path):
    model = counted(tiny)
    assert embed(FEW, model, path, residues=True, batch_size=4) == 6  # the wild type too
    old = {name: rows(open_store(path), FEW, name) for name in ("pooled", "residues")}
    model.asked.clear()
    assert embed(VARIANTS, model, path, residues=True, batch_size=4) == len(VARIANTS) - 6
    assert sorted(model.asked) == sorted(set(VARIANTS.sequences) - {WILD_TYPE, *FEW.sequences})
    for name, values in old.items():
        np.testing.assert_array_equal(rows(open_store(path), FEW, name), values)
    np.testing.assert_allclose(
        rows(open_store(path), VARIANTS), slow_residues(tiny, VARIANTS).mean(axis=1), rtol=1e-4, atol=1e-5
    )


def test_an_unchanged_dataset_computes_nothing(tiny, path):
    store_of(VARIANTS, tiny, path)
    model = counted(tiny)
    assert embed(VARIANTS, model, path, residues=False, batch_size=4) == 0
    assert model.asked == []


def test_sequences_that_left_the_dataset_leave_the_store(tiny, path):
    store_of(VARIANTS, tiny, path)
    assert set(store_of(FEW, tiny, path).row_of) == {key(sequence) for sequence in (WILD_TYPE, *FEW.sequences)}


def test_rows_of_another_language_model_are_never_taken_over(tiny, foreign, path):
    store_of(FEW, tiny, path)
    assert embed(FEW, foreign, path, residues=False, batch_size=4) == 6
    assert open_store(path).maker == maker(foreign)


@pytest.mark.parametrize("residues", [False, True])
def test_a_killed_job_resumes_after_its_last_whole_block(tiny, tmp_path, path, monkeypatch, residues):
    monkeypatch.setattr(store_making, "BLOCK", 4)
    dying = counted(tiny, lives=10)  # dies in the third of five blocks
    with pytest.raises(KeyboardInterrupt):
        embed(VARIANTS, dying, path, residues=residues, batch_size=2)
    assert not path.exists()
    finished = dying.asked[:8]
    second = counted(tiny)
    embed(VARIANTS, second, path, residues=residues, batch_size=2)
    assert not set(second.asked) & set(finished)
    assert sorted([*second.asked, *finished]) == sorted(VARIANTS.sequences)
    never_killed = store_of(VARIANTS, tiny, tmp_path / "other.h5", residues=residues, batch_size=2)
    for name in ("pooled", "residues")[: 1 + residues]:
        assert rows(open_store(path), VARIANTS, name).tobytes() == rows(never_killed, VARIANTS, name).tobytes()
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["other.h5", "toy.h5"]


def test_blocks_of_another_language_model_are_not_resumed(tiny, foreign, path, monkeypatch):
    monkeypatch.setattr(store_making, "BLOCK", 4)
    with pytest.raises(KeyboardInterrupt):
        embed(VARIANTS, counted(tiny, lives=10), path, residues=False, batch_size=2)
    second = counted(foreign)
    embed(VARIANTS, second, path, residues=False, batch_size=2)
    assert sorted(second.asked) == sorted(VARIANTS.sequences)


def test_a_job_killed_while_it_completes_a_store_leaves_the_old_one_whole(tiny, path):
    old = rows(store_of(FEW, tiny, path), FEW)
    with pytest.raises(KeyboardInterrupt):
        embed(VARIANTS, counted(tiny, lives=4), path, residues=False, batch_size=2)
    np.testing.assert_array_equal(rows(open_store(path), FEW), old)


def test_a_job_killed_at_the_very_end_leaves_no_store(tiny, path, monkeypatch):
    def killed(*_) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(store_making, "MARGINALS", {"wild_type": killed})
    with pytest.raises(KeyboardInterrupt):
        embed(FEW, tiny, path, residues=False, batch_size=2)
    assert not path.exists()
    monkeypatch.undo()
    resumed = counted(tiny)
    embed(FEW, resumed, path, residues=False, batch_size=2)
    assert resumed.asked == []


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.95])
def test_a_truncated_store_is_refused_by_its_name(tiny, path, share):
    store_of(VARIANTS, tiny, path)
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    for action in (open_store, lambda at: embed(VARIANTS, tiny, at, residues=False, batch_size=4)):
        with pytest.raises(StoreError, match=r"toy\.h5 is not a readable embedding store .*delete it"):
            action(path)


def test_a_store_of_another_format_is_refused_by_its_name(tiny, path):
    store_of(FEW, tiny, path)
    with h5py.File(path, "r+") as file:
        file.attrs["format"] = 99
    with pytest.raises(StoreError, match=r"toy\.h5 has format 99, this version reads 1"):
        open_store(path)


def test_any_other_hdf5_file_is_refused_by_its_name(path):
    with h5py.File(path, "w") as file:
        file["numbers"] = np.arange(3)
    with pytest.raises(StoreError, match=r"toy\.h5 has format None"):
        open_store(path)


def test_keys_are_the_sha256_of_the_sequence():
    assert key("abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"  # FIPS 180-2, B.1
    assert len({key(sequence) for sequence in VARIANTS.sequences}) == len(VARIANTS)


def never() -> LanguageModel:
    raise AssertionError("the language model was loaded without need")


def test_what_a_store_holds_is_read_without_loading_the_language_model(tiny, path):
    store = store_of(VARIANTS, tiny, path, residues=True)
    embedder = Embedder(never, (path,))
    np.testing.assert_array_equal(embedder.pooled(FEW), rows(store, FEW))
    np.testing.assert_array_equal(embedder.residues(FEW), rows(store, FEW, "residues"))
    for kind in ("wild_type", "masked"):
        np.testing.assert_array_equal(embedder.marginals(WILD_TYPE, kind), store.marginals(WILD_TYPE, kind))


def test_what_no_store_holds_is_computed(tiny, path):
    store_of(FEW, tiny, path)
    for embedder in (Embedder(lambda: tiny), Embedder(lambda: tiny, (path,), batch_size=3)):
        slow = slow_residues(tiny, VARIANTS)
        np.testing.assert_allclose(embedder.pooled(VARIANTS), slow.mean(axis=1), rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(embedder.residues(VARIANTS), slow, rtol=1e-4, atol=1e-5)
        np.testing.assert_array_equal(embedder.marginals("MKT", "masked"), tiny.masked_marginals("MKT").numpy())


def test_each_dataset_is_found_in_the_store_that_has_it(tiny, tmp_path):
    other = Variants("other", "GSHMLEDPVNWC", ("G1A", "S2A"))
    paths = tmp_path / "one.h5", tmp_path / "two.h5"
    for variants, path in zip((FEW, other), paths, strict=True):
        store_of(variants, tiny, path)
    embedder = Embedder(never, paths)
    assert embedder.pooled(FEW).shape == (5, 16)
    np.testing.assert_array_equal(embedder.pooled(other), rows(open_store(paths[1]), other))


def test_permuting_the_variants_permutes_the_rows(tiny, path):
    store_of(FEW, tiny, path)
    order = np.random.default_rng(0).permutation(len(FEW))
    permuted = FEW.select(FEW.mutants[row] for row in order)
    for embedder in (Embedder(lambda: tiny), Embedder(never, (path,))):
        np.testing.assert_allclose(embedder.pooled(permuted), embedder.pooled(FEW)[order], rtol=1e-5, atol=1e-6)


def test_a_store_of_another_language_model_is_refused_with_both_names(tiny, foreign, path):
    store_of(FEW, tiny, path)
    embedder = Embedder(lambda: foreign, (path,))
    with pytest.raises(EmbedderError, match=rf"toy\.h5 was made by .*{tiny.sha256}.*at hand is .*ffff"):
        embedder.pooled(VARIANTS)


def test_the_language_model_is_loaded_once(tiny):
    loads = []

    def load() -> LanguageModel:
        loads.append(1)
        return tiny

    embedder = Embedder(load)
    embedder.pooled(FEW)
    embedder.marginals(WILD_TYPE, "masked")
    assert loads == [1]


def test_float16_halves_the_store_and_is_off_by_less_than_half_a_unit_in_the_last_place(tiny, tmp_path):
    stores = {}
    for storage in ("float32", "float16"):
        embed(VARIANTS, tiny, tmp_path / f"{storage}.h5", residues=True, storage=storage)
        stores[storage] = open_store(tmp_path / f"{storage}.h5")
        assert stores[storage].storage == storage
    for name in ("pooled", "residues"):
        exact, half = (rows(stores[storage], VARIANTS, name) for storage in ("float32", "float16"))
        assert half.dtype == np.float32
        # 11 significant bits: a value is off by 2^-11 of itself, a mean of such values by 2^-11 of the largest too
        size = np.abs(rows(stores["float32"], VARIANTS, "residues")).max() if name == "pooled" else 0.0
        assert (np.abs(half - exact) <= 2.0**-11 * (np.abs(exact) + size) + 2.0**-25).all()
    np.testing.assert_array_equal(*(store.marginals(WILD_TYPE, "masked") for store in stores.values()))


def test_what_float16_rounded_never_stands_for_float32(tiny, path):
    embed(FEW, tiny, path, storage="float16")
    assert embed(FEW, tiny, path, storage="float32") == 6
    assert embed(FEW, tiny, path, storage="float16") == 0
    assert open_store(path).storage == "float16"


def test_what_float16_cannot_hold_is_refused_by_name(tiny, path):
    @dataclass(frozen=True)
    class Huge(LanguageModel):
        def hidden_states(self, sequences, layer=None) -> torch.Tensor:
            return super().hidden_states(sequences, layer) * 1e6

    huge = Huge(tiny.name, tiny.sha256, tiny.model)
    with pytest.raises(StoreError, match=r"toy\.h5: .*e\+0\d is beyond float16; set storage to float32"):
        embed(FEW, huge, path, storage="float16")
    assert not path.exists()


def test_sequences_of_a_store_beside_are_not_computed_again(tiny, tmp_path, path):
    residues = {"residues": True, "batch_size": 4}
    store_of(FEW, tiny, tmp_path / "other.h5", residues=True)
    model = counted(tiny)
    assert embed(VARIANTS, model, path, **residues, beside=[tmp_path / "other.h5", path]) == len(VARIANTS) - 6
    assert not set(model.asked) & {WILD_TYPE, *FEW.sequences}
    for name in ("pooled", "residues"):
        theirs = rows(open_store(tmp_path / "other.h5"), FEW, name)
        np.testing.assert_array_equal(rows(open_store(path), FEW, name), theirs)
        alone = rows(store_of(VARIANTS, tiny, tmp_path / "alone.h5", residues=True), VARIANTS, name)
        np.testing.assert_allclose(rows(open_store(path), VARIANTS, name), alone, rtol=1e-4, atol=1e-5)


def test_marginals_and_attention_of_a_store_beside_are_not_computed_again(tiny, tmp_path, path, monkeypatch):
    store_of(FEW, tiny, tmp_path / "other.h5")
    for name in ("masked_marginals", "attention", "wild_type_marginals"):
        monkeypatch.setattr(LanguageModel, name, lambda *_: pytest.fail("computed again"))
    assert embed(FEW, tiny, path, beside=[tmp_path / "other.h5"]) == 0
    own, other = open_store(path), open_store(tmp_path / "other.h5")
    np.testing.assert_array_equal(own.marginals(WILD_TYPE, "masked"), other.marginals(WILD_TYPE, "masked"))
    np.testing.assert_array_equal(own.attention(WILD_TYPE), other.attention(WILD_TYPE))


@pytest.mark.parametrize("kind", ["foreign", "float16", "without residues", "truncated", "absent"])
def test_a_store_beside_that_does_not_fit_is_left_alone(tiny, foreign, tmp_path, path, kind):
    other = tmp_path / "other.h5"
    if kind != "absent":
        maker_of_other = foreign if kind == "foreign" else tiny
        storage = "float16" if kind == "float16" else "float32"
        embed(FEW, maker_of_other, other, residues=kind != "without residues", storage=storage)
    if kind == "truncated":
        other.write_bytes(other.read_bytes()[:500])
    assert embed(FEW, tiny, path, residues=True, beside=[other]) == 6


def test_the_wild_type_alone_needs_no_mutant(tiny, path):
    model = counted(tiny)
    assert embed(VARIANTS, model, path, rows="wild_type") == 1
    assert model.asked == [WILD_TYPE]
    embedder = Embedder(never, (path,))
    np.testing.assert_array_equal(embedder.marginals(WILD_TYPE, "masked"), tiny.masked_marginals(WILD_TYPE).numpy())
    assert embedder.attention(WILD_TYPE).shape == (18, 18)
    model.asked.clear()
    assert embed(VARIANTS, model, path, rows="all") == len(SINGLES)  # a method that asks rows came to the study
    assert sorted(model.asked) == sorted(set(VARIANTS.sequences) - {WILD_TYPE})


def test_a_store_of_nothing_asks_the_model_nothing_and_is_completed_when_a_method_asks(tiny, path):
    model = counted(tiny)
    assert embed(VARIANTS, model, path, rows="none") == 0
    assert model.asked == []
    assert open_store(path).marginals(WILD_TYPE, "masked") is None
    assert embed(FEW, model, path, rows="all") == len(set(FEW.sequences) | {WILD_TYPE})
    np.testing.assert_array_equal(
        Embedder(never, (path,)).marginals(WILD_TYPE, "masked"), tiny.masked_marginals(WILD_TYPE).numpy()
    )


def test_a_protein_longer_than_the_model_takes_has_a_store_where_no_method_asks_and_else_a_refusal(tiny, path):
    long = Variants("titin", "MKTAYIAKQR" * 210, ("M1A",))
    assert embed(long, tiny, path, rows="none") == 0
    with pytest.raises(LanguageModelError, match=r"2100 residues exceeds the 1022 .* none is cut: .*region"):
        embed(long, tiny, path)
    assert len(open_store(path).row_of) == 0  # what stood there stands
