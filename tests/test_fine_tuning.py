import dataclasses
import math

import esm
import numpy as np
import pytest
import torch
from scipy.stats import spearmanr

from multimep.dataset import Dataset, Variants
from multimep.embedder import Embedder
from multimep.fine_tuning import FineTuned, Head, Lesson, fine_tune, interleave, pool, trunk_parameters, validation_loss
from multimep.language_model import LanguageModel
from multimep.methods.fine_tune import FineTune
from multimep.methods.fine_tune_together import FineTuneTogether
from multimep.methods.method import FitError, State
from multimep.mutations import AMINO_ACIDS
from multimep.training import FineTuningError, Training
from multimep.training_run import EarlyStopping

WILD_TYPES = {"first": "MKTAYIAKQRQISFVKSH", "second": "GSHMLEDPVNWCFT"}
QUICK = Training(epochs=3)


def random_model(seed: int = 0) -> LanguageModel:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return LanguageModel("random", f"{seed:064x}", esm.ESM2(num_layers=2, embed_dim=16, attention_heads=2).eval())


MODEL = random_model()
EMBEDDER = Embedder(lambda: MODEL)


def singles(name: str) -> list[str]:
    wild_type = WILD_TYPES[name]
    return [f"{old}{i}{new}" for i, old in enumerate(wild_type, 1) for new in AMINO_ACIDS if new != old]


def landscape(name: str = "first", rows: int = 30, seed: int = 0) -> Dataset:
    """Additive: the effect of the site plus the effect of the new residue."""
    random = np.random.default_rng(seed)
    sites, residues = random.normal(size=len(WILD_TYPES[name])), random.normal(size=20)
    mutants = tuple(random.permutation(singles(name))[:rows].tolist())
    fitness = np.array([sites[int(m[1:-1]) - 1] + residues[AMINO_ACIDS.index(m[-1])] for m in mutants])
    return Dataset(Variants(name, WILD_TYPES[name], mutants), fitness, np.full(rows, np.nan), np.ones(rows, np.int64))


def with_fitness(dataset: Dataset, fitness: np.ndarray) -> Dataset:
    return dataclasses.replace(dataset, fitness=fitness)


def rest(dataset: Dataset) -> Variants:
    held_out = [mutant for mutant in singles(dataset.name) if mutant not in dataset.variants.row_of]
    return Variants(dataset.name, dataset.wild_type, tuple(held_out))


def taught(dataset: Dataset, settings: Training = QUICK, seed: int = 0) -> FineTuned:
    return fine_tune(MODEL, [dataset], settings, seed)


def lesson(rows: int, name: str = "first", kept: int = 0) -> Lesson:
    dataset = landscape(name, rows)
    head = Head(torch.zeros(16), torch.zeros(()), 0.0, 1.0)
    tokens, targets = MODEL.tokens(dataset.variants.sequences), torch.tensor(dataset.fitness, dtype=torch.float32)
    return Lesson(head, tokens, targets, np.arange(kept, rows), np.arange(kept))


# what is predicted


def test_pooled_states_are_the_mean_of_the_hidden_states_of_the_residues() -> None:
    sequences = landscape().variants.sequences
    expected = MODEL.hidden_states(sequences).mean(dim=1)
    torch.testing.assert_close(pool(MODEL, MODEL.tokens(sequences)), expected, rtol=1e-4, atol=1e-5)


def test_a_prediction_is_the_linear_head_of_the_pooled_states_in_the_unit_of_the_dataset() -> None:
    variants = landscape().variants
    head = Head(torch.linspace(-1, 1, 16), torch.tensor(0.5), 7.0, 3.0)
    hidden = MODEL.hidden_states(variants.sequences).mean(dim=1).double().numpy()
    expected = 7.0 + 3.0 * (hidden @ np.linspace(-1, 1, 16) + 0.5)
    np.testing.assert_allclose(FineTuned(MODEL, {"first": head}).predict(variants), expected, rtol=1e-4, atol=1e-4)


def test_an_additive_landscape_is_ranked_on_variants_that_were_not_taught() -> None:
    train = landscape(rows=150)
    truth = landscape(rows=len(singles("first")))
    tuned = taught(train, Training())
    asked = rest(train)
    assert spearmanr(tuned.predict(asked), truth.select(asked.mutants).fitness)[0] > 0.3


def test_many_epochs_fit_the_rows_that_teach() -> None:
    train = landscape(rows=16)
    settings = Training(epochs=80, learning_rate=3e-3, head_learning_rate=1e-2, weight_decay=0.0)
    residual = taught(train, settings).predict(train.variants) - train.fitness
    assert np.mean(residual**2) < 0.1 * train.fitness.var()


def test_the_order_of_the_asked_variants_and_their_company_do_not_matter() -> None:
    train = landscape()
    tuned, variants = taught(train), rest(train)
    together = tuned.predict(variants)
    backwards = tuned.predict(variants.select(reversed(variants.mutants)))[::-1]
    alone = [tuned.predict(variants.select([mutant]))[0] for mutant in variants.mutants[:20]]
    np.testing.assert_allclose(backwards, together, atol=1e-5)
    np.testing.assert_allclose(alone, together[:20], atol=1e-5)


def test_no_variants_get_no_predictions() -> None:
    assert taught(landscape()).predict(Variants("first", WILD_TYPES["first"], ())).shape == (0,)


# what is learnt


def test_the_order_of_the_training_rows_and_of_the_datasets_does_not_matter() -> None:
    first, second = landscape("first"), landscape("second")
    shuffled = first.select(np.random.default_rng(3).permutation(first.variants.mutants).tolist())
    expected = fine_tune(MODEL, [first, second], QUICK, 0).predict(rest(first))
    assert np.array_equal(fine_tune(MODEL, [second, shuffled], QUICK, 0).predict(rest(first)), expected)


def test_the_same_seed_gives_the_same_numbers_and_another_seed_others() -> None:
    train = landscape()
    expected = taught(train).predict(rest(train))
    assert np.array_equal(taught(train).predict(rest(train)), expected)
    assert not np.allclose(taught(train, seed=1).predict(rest(train)), expected)


def test_the_state_of_global_generators_neither_matters_nor_changes() -> None:
    train = landscape()
    expected = taught(train).predict(rest(train))
    with torch.random.fork_rng():
        torch.manual_seed(99)
        before = torch.random.get_rng_state()
        assert np.array_equal(taught(train).predict(rest(train)), expected)
        assert torch.equal(torch.random.get_rng_state(), before)


@pytest.mark.parametrize(("a", "b"), [(2.5, -1000.0), (1e-3, 0.0), (1e6, 3.0)])
def test_another_unit_of_the_fitness_gives_the_same_predictions_in_that_unit(a: float, b: float) -> None:
    train = landscape()
    expected = a * taught(train).predict(rest(train)) + b
    found = taught(with_fitness(train, a * train.fitness + b)).predict(rest(train))
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=a * 1e-9)


def test_targets_are_standardised_on_each_datasets_own_training_rows() -> None:
    first, second = landscape("first"), landscape("second")
    other = with_fitness(second, 1e4 * second.fitness + 1e5)
    tuned = fine_tune(MODEL, [first, other], QUICK, 0)
    assert tuned.heads["first"].mean == pytest.approx(first.fitness.mean())
    assert tuned.heads["first"].scale == pytest.approx(first.fitness.std())
    assert tuned.heads["second"].mean == pytest.approx(1e4 * second.fitness.mean() + 1e5)
    plain = fine_tune(MODEL, [first, second], QUICK, 0)
    np.testing.assert_allclose(tuned.predict(rest(first)), plain.predict(rest(first)), atol=1e-6)


def test_a_constant_fitness_is_predicted_as_it_is_and_teaches_the_others_nothing() -> None:
    first, second = landscape("first"), landscape("second")
    constant = with_fitness(second, np.full(len(second), 0.1))
    assert set(taught(constant).predict(rest(constant))) == {0.1}
    both = fine_tune(MODEL, [first, constant], QUICK, 0)
    assert set(both.predict(rest(constant))) == {0.1}
    assert np.array_equal(both.predict(rest(first)), taught(first).predict(rest(first)))


def test_one_row_is_a_constant_fitness() -> None:
    train = landscape(rows=1)
    assert set(taught(train).predict(rest(train))) == {train.fitness[0]}


def test_datasets_that_learn_together_share_the_trunk_and_change_each_other() -> None:
    first, second = landscape("first"), landscape("second")
    together, alone = fine_tune(MODEL, [first, second], QUICK, 0), taught(first)
    assert set(together.heads) == {"first", "second"}
    assert not np.allclose(together.predict(rest(first)), alone.predict(rest(first)))


def test_every_layer_of_the_trunk_learns_and_the_given_language_model_stays_as_it_is() -> None:
    model = random_model(5)
    before = {name: value.clone() for name, value in model.model.state_dict().items()}
    flags = [value.requires_grad for value in model.model.parameters()]
    tuned = fine_tune(model, [landscape()], QUICK, 0)
    assert all(torch.equal(value, before[name]) for name, value in model.model.state_dict().items())
    assert [value.requires_grad for value in model.model.parameters()] == flags
    assert all(value.grad is None for value in model.model.parameters())
    learnt = trunk_parameters(tuned.trunk.model)
    assert not [name for name, value in learnt.items() if torch.equal(value, before[name])]


def test_no_gradient_is_kept_after_training() -> None:
    tuned = taught(landscape())
    tensors = [*tuned.trunk.model.parameters(), *(t for head in tuned.heads.values() for t in (head.weight, head.bias))]
    assert all(value.grad is None and not value.requires_grad for value in tensors)


def test_the_trunk_is_all_that_the_hidden_states_depend_on_and_nothing_else() -> None:
    model = random_model(6).model
    for value in model.parameters():
        value.grad = None
    states = model(MODEL.tokens(["MKTAY"]), repr_layers=[2])["representations"][2]
    (states**2 * torch.arange(16)).sum().backward()
    reached = {name for name, value in model.named_parameters() if value.grad is not None}
    assert reached == set(trunk_parameters(model))


def test_half_precision_trains_to_nearly_the_same_predictions() -> None:
    train = landscape()
    full = taught(train).predict(rest(train))
    half = taught(train, dataclasses.replace(QUICK, precision="bf16")).predict(rest(train))
    assert np.isfinite(half).all()
    assert np.abs(full - half).max() < 0.2 * train.fitness.std()


# batches


def test_an_epoch_visits_every_teaching_row_once_in_batches_of_one_dataset() -> None:
    lessons = [lesson(21, kept=4), lesson(30, "second")]
    batches = list(interleave(lessons, 8, np.random.default_rng(0)))
    for part in lessons:
        mine = [rows for owner, rows in batches if owner is part]
        assert sorted(np.concatenate(mine).tolist()) == part.taught.tolist()
        assert max(map(len, mine)) <= 8
        assert max(map(len, mine)) - min(map(len, mine)) <= 1
    assert len({owner is lessons[0] for owner, _ in batches[:4]}) == 2


# early stopping


def test_without_validation_rows_training_neither_stops_nor_goes_back() -> None:
    weight = torch.zeros(1)
    watch = EarlyStopping([weight], patience=1)
    assert not any(watch.should_stop(validation_loss(MODEL, [lesson(10)])) for _ in range(5))
    weight.fill_(4.0)
    watch.take_back_best()
    assert weight.item() == 4.0


def test_the_validation_loss_is_the_squared_error_of_the_kept_rows_averaged_over_datasets() -> None:
    first, second = lesson(21, kept=4), lesson(30, "second", kept=7)
    expected = (float((first.targets[:4] ** 2).mean()) + float((second.targets[:7] ** 2).mean())) / 2
    assert validation_loss(MODEL, [first, second, lesson(9)]) == pytest.approx(expected, rel=1e-6)
    assert math.isnan(validation_loss(MODEL, [lesson(9)]))


def test_early_stopping_keeps_rows_of_large_datasets_only() -> None:
    settings = dataclasses.replace(QUICK, validation_fraction=0.2)
    small, large = landscape(rows=19), landscape(rows=60)
    assert np.array_equal(taught(small, settings).predict(rest(small)), taught(small).predict(rest(small)))
    assert not np.array_equal(taught(large, settings).predict(rest(large)), taught(large).predict(rest(large)))


def test_early_stopping_stops_before_a_harmful_number_of_epochs() -> None:
    noise = with_fitness(landscape(rows=60), np.random.default_rng(1).normal(size=60))
    settings = Training(epochs=15, learning_rate=3e-3, head_learning_rate=3e-2, validation_fraction=0.3, patience=2)
    stopped = taught(noise, settings).predict(noise.variants)
    full = taught(noise, dataclasses.replace(settings, validation_fraction=0.0)).predict(noise.variants)
    assert np.var(stopped) < np.var(full)


# what is refused


def test_a_dataset_without_a_head_is_refused_by_naming_those_with_one() -> None:
    with pytest.raises(FineTuningError, match=r"'second'.*first"):
        taught(landscape()).predict(landscape("second").variants)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("epochs", 0), ("learning_rate", -1e-3), ("head_learning_rate", math.nan), ("batch_size", 0), ("clip", 0.0),
        ("weight_decay", -1.0), ("warm_up", 1.0), ("validation_fraction", 1.0), ("patience", 0), ("precision", "fp16"),
    ],
)  # fmt: skip
def test_a_setting_with_which_nothing_can_be_learnt_is_refused_by_name(name: str, value: object) -> None:
    for settings in (Training, FineTune, FineTuneTogether):
        with pytest.raises(FineTuningError, match=name):
            settings(**{name: value})


def test_two_datasets_of_one_name_and_no_rows_are_refused() -> None:
    with pytest.raises(FineTuningError, match="first, first"):
        fine_tune(MODEL, [landscape(), landscape(seed=1)], QUICK, 0)
    with pytest.raises(FineTuningError, match="none"):
        fine_tune(MODEL, [], QUICK, 0)
    with pytest.raises(FineTuningError, match="first: no rows"):
        taught(landscape(rows=0))


# the methods


def test_one_protein_alone_through_together_equals_fine_tune() -> None:
    train = landscape()
    settings = dataclasses.asdict(QUICK)
    alone = FineTune(**settings).fit([train], EMBEDDER, 0).predict(rest(train))
    together = FineTuneTogether(**settings).fit([train], EMBEDDER, 0).predict(rest(train))
    assert np.array_equal(alone.mean, together.mean)
    assert alone.mutants == together.mutants
    assert np.isnan(alone.std).all()


def test_a_group_is_taught_as_if_it_were_the_whole_study() -> None:
    train = [landscape("first"), landscape("second")]
    settings = dataclasses.asdict(QUICK)
    by_group = FineTuneTogether(**settings, scope="group").fit(train, EMBEDDER, 0)
    everything = FineTuneTogether(**settings, scope="all").fit(train, EMBEDDER, 0)
    assert np.array_equal(by_group.predict(rest(train[1])).mean, everything.predict(rest(train[1])).mean)
    with pytest.raises(FineTuningError, match="scope"):
        FineTuneTogether(scope="family")  # type: ignore[arg-type]


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_restored_predictor_gives_the_same_numbers(precision: str) -> None:
    train = [landscape("first"), landscape("second")]
    method = FineTuneTogether(**{**dataclasses.asdict(QUICK), "precision": precision})
    predictor = method.fit(train, EMBEDDER, 0)
    state = predictor.state()
    kept = State({name: array.copy() for name, array in state.arrays.items()}, dict(state.facts))
    restored = method.restore(kept, Embedder(random_model))
    for part in train:
        assert np.array_equal(restored.predict(rest(part)).mean, predictor.predict(rest(part)).mean)


def test_a_predictor_is_not_restored_with_another_language_model() -> None:
    state = FineTune(**dataclasses.asdict(QUICK)).fit([landscape()], EMBEDDER, 0).state()
    with pytest.raises(FineTuningError, match=MODEL.sha256):
        FineTune().restore(state, Embedder(lambda: random_model(1)))


def test_methods_refuse_what_they_cannot_learn_from() -> None:
    with pytest.raises(FitError, match="first, second"):
        FineTune().fit([landscape("first"), landscape("second")], EMBEDDER, 0)
    with pytest.raises(FitError, match="first"):
        FineTune().fit([landscape(rows=0)], EMBEDDER, 0)
    with pytest.raises(FitError, match="any dataset"):
        FineTuneTogether().fit([], EMBEDDER, 0)
