"""Costs grow as the algorithms say, requests grow with every retry, and past jobs correct the guesses."""

from dataclasses import replace
from pathlib import Path

import pytest

from multimep import checkpoints, costs, forecast, layout, prices
from multimep.costs import GPU, START, Cost
from multimep.job_sizes import NONE, Model, Work
from multimep.methods import METHODS

MINI = Model(1_268_854, 4, 160)
LARGE = Model(651_043_254, 33, 1280)


def work(method: str, taught: int = 500, asked: int = 100, model: Model = MINI, **settings: object) -> Work:
    return Work(method, ((taught, asked),), 120, model, settings)


def operations(one: Work) -> float:
    return prices.PRICES[one.method].operations(one)


def test_every_method_and_station_has_a_price() -> None:
    assert set(prices.PRICES) == {*METHODS, "embed", "split", "evaluate", "leaks", "report"}


def test_the_joint_methods_of_the_layout_are_those_of_the_classes() -> None:
    assert set(layout.JOINT) == {name for name, method in METHODS.items() if method.joint}


def test_where_no_method_asks_rows_of_mutants_a_store_costs_the_masked_wild_type() -> None:
    every, none = (operations(work("embed", asked=1000, rows=rows)) for rows in ("all", "wild_type"))
    assert every / none == pytest.approx((1000 + 120) / (1 + 120))


def test_embedding_is_foreseen_from_a_number_of_sequences() -> None:
    model = checkpoints.CHECKPOINTS["esm2_t33_650M_UR50D"]
    known = Model(model.parameters, model.layers, model.width)
    found = forecast.embedding(known, 2_500_000, 300, proteins=217, rate=1e14)
    forward = 302 * (2 * model.parameters + 4 * 33 * 1280 * 302)  # one sequence
    assert found.seconds == pytest.approx((2_500_000 + 217 * 300) * forward / 1e14, rel=0.01)
    assert forecast.embedding(known, 2_500_000, 300, proteins=217, rate=2e14).seconds < 0.51 * found.seconds


@pytest.mark.parametrize("method", list(prices.PRICES))
def test_a_cost_is_positive_and_grows_with_the_rows(method: str) -> None:
    few, many = (costs.predict(work(method, rows, rows)) for rows in (50, 5000))
    assert START <= few.seconds < many.seconds
    assert 0 < few.memory <= many.memory


def test_fine_tuning_is_linear_in_epochs_rows_and_parameters() -> None:
    once = operations(work("fine_tune", asked=0, epochs=1))
    assert operations(work("fine_tune", asked=0, epochs=7)) == pytest.approx(7 * once)
    assert operations(work("fine_tune", taught=1000, asked=0, epochs=1)) == pytest.approx(2 * once)
    linear = replace(MINI, layers=0)
    doubled = replace(linear, parameters=2 * MINI.parameters)
    assert operations(work("fine_tune", model=doubled)) == pytest.approx(
        2 * operations(work("fine_tune", model=linear))
    )


def test_frozen_layers_are_paid_once_and_low_rank_matrices_spare_the_gradients_of_weights() -> None:
    def price(**settings: object) -> float:
        return operations(work("fine_tune", asked=0, epochs=10, **settings))

    whole, half = price(), MINI.layers // 2
    assert price(layers=half) == pytest.approx(whole * (15 + 0.5) / 30)
    assert price(layers=half, prefix_memory=0.0) == pytest.approx(whole * (15 + 5) / 30)
    assert price(adapt="lora") == pytest.approx(whole * 2 / 3)
    assert price(gradient_checkpointing=True) == pytest.approx(whole * 4 / 3)
    needed = {name: costs.predict(work("fine_tune", model=LARGE, **one)).memory for name, one in (
        ("all", {}), ("lora", {"adapt": "lora"}), ("last", {"layers": 2}), ("less", {"gradient_checkpointing": True}),
    )}  # fmt: skip
    assert max(needed["lora"], needed["last"], needed["less"]) < needed["all"]


def test_tuning_a_likelihood_costs_passes_of_the_wild_type_and_none_of_its_rows() -> None:
    def trained(taught: int = 500, **settings: object) -> float:
        one = work("likelihood_tune", taught, asked=0, **settings)
        return operations(one) - operations(replace(one, settings={**settings, "steps": 0}))

    assert trained(steps=50, members=3) == pytest.approx(1.5 * trained(steps=100))
    assert trained(taught=5000) == pytest.approx(trained())
    assert trained(score="masked", batch_size=16) == pytest.approx(16 * trained())
    assert trained(taught=12, score="masked", batch_size=16) == pytest.approx(12 * trained())
    assert trained() == pytest.approx(100 / 96 * operations(work("fine_tune", taught=96, asked=0, epochs=1)))


def test_a_forward_pass_costs_two_operations_per_parameter_and_token() -> None:
    alone = Work("fine_tune", ((0, 1),), 98, Model(1000, 0, 0))
    assert operations(alone) == 2 * 1000 * 100


def test_an_exact_gaussian_process_is_cubic_in_its_rows() -> None:
    small, large = (
        operations(work("embedding_gp", rows, 0, selection_rows=10**9, features="one_hot"))
        for rows in (10**5, 2 * 10**5)
    )
    assert large / small == pytest.approx(8, rel=0.01)


def test_folds_add_up() -> None:
    one, two = ((100, 20),), ((100, 20), (100, 20))
    assert operations(Work("transmep", two, 80, MINI)) == 2 * operations(Work("transmep", one, 80, MINI))


def test_only_what_a_gpu_can_do_is_a_gpus_and_only_where_there_is_one() -> None:
    assert costs.predict(work("fine_tune"), gpus=True).gpu
    assert not costs.predict(work("fine_tune")).gpu
    assert not costs.predict(work("transmep"), gpus=True).gpu
    taken = costs.predict(work("fine_tune", model=LARGE), gpus=True).seconds
    assert taken == pytest.approx(START + operations(work("fine_tune", model=LARGE)) / GPU)


def test_fine_tuning_650_million_parameters_needs_more_memory_than_their_weights_gradients_and_moments() -> None:
    assert costs.predict(work("fine_tune", model=LARGE)).memory > 24 * LARGE.parameters / 2**20 > 10_000


MEASURED = {
    "embed": (367, 365, 365),
    "additive": (129, 161, 210),
    "one_hot_ridge": (134, 165, 188),
    "augmented_ridge": (136, 181, 236),
    "site_gp": (185, 263, 291),
    "combination_gp": (174, 214, 286),
    "plm_gp": (188, 289, 426),
    "likelihood_tune": (459, 461, None),
    "fine_tune": (439, None, None),
}
"""MiB of the commands of benchmarks/memory.py with 400, 1,600 and 3,200 variants in two folds, 2026-11-27."""


@pytest.mark.parametrize("method", MEASURED)
def test_predicted_memory_is_within_a_factor_of_one_and_a_half_of_what_was_measured(method: str) -> None:
    for variants, measured in zip((400, 1600, 3200), MEASURED[method], strict=True):
        folds = ((0, variants),) if method == "embed" else ((variants // 2, variants // 2),) * 2
        settings = {"selection_rows": 100} if method.endswith("_gp") else {}
        found = costs.predict(Work(method, folds, 54, MINI, settings)).memory - costs.SNAKEMAKE
        assert measured is None or 1 / 1.5 < found / measured < 1.5, variants


def test_an_evaluation_takes_about_as_long_as_it_did() -> None:
    # benchmarks/memory.py: 26 s of a core for fifteen tables of 3,200 variants and 100 resamples, 3 of them the start
    found = costs.predict(Work("evaluate", ((0, 3200),), 54, NONE, {"tables": 15, "bootstrap": 100}))
    assert 26 / 1.5 < found.seconds < 26 * 1.5


def test_a_method_that_nests_others_has_the_imports_of_one_command_and_the_data_of_all() -> None:
    alone = {name: costs.predict(work(name, taught=1000)).memory for name in ("one_hot_ridge", "site_gp")}
    both = costs.predict(work("stack", taught=1000)).memory
    assert max(alone.values()) < both < sum(alone.values())


def test_a_batch_of_twice_the_size_needs_more_memory() -> None:
    small, large = (costs.predict(work("fine_tune", batch_size=size)).memory for size in (8, 16))
    assert small < large


@pytest.mark.parametrize("attempt", [1, 2, 3])
def test_what_is_asked_for_grows_with_every_attempt(attempt: int) -> None:
    cost = Cost(600.0, 1000.0, gpu=False)
    assert costs.minutes(cost, attempt) == 35 * attempt
    assert costs.megabytes(cost, attempt) == attempt * 1573
    assert costs.minutes(cost, attempt, longest=40) == min(40, 35 * attempt)


def test_calibration_finds_the_factor_by_which_jobs_took_longer() -> None:
    jobs = [work("fine_tune", rows, epochs=200) for rows in (400, 800)]
    past = [(job, START + 3 * (costs.predict(job).seconds - START)) for job in jobs]
    assert costs.calibrated(past) == {"fine_tune": pytest.approx(3)}
    again = costs.predict(jobs[0], factors=costs.calibrated(past))
    assert again.seconds == pytest.approx(past[0][1], rel=1e-3)


def test_jobs_that_are_all_start_calibrate_nothing() -> None:
    assert costs.calibrated([(work("additive", 10, 10), 60.0)]) == {}
    assert costs.calibrated([(work("fine_tune", 4000, epochs=500), START)]) == {}


def test_sizes_are_read_from_the_files_of_the_stations(tmp_path: Path) -> None:
    record, split, model, run = (str(tmp_path / name) for name in ("d.json", "s.csv", "c.json", "b.tsv"))
    Path(record).write_text('{"wild_type": "ACDEF", "counts": {"variants": 7}}')
    Path(split).write_text("mutant,fold0,fold1\nA1C,train,test\nA1D,train,\nC2D,test,train\n")
    Path(model).write_text('{"parameters": 9, "layers": 2, "width": 3, "name": "x"}')
    Path(run).write_text("s\th:m:s\n12.5\t0:00:12\n")
    assert costs.read_size(record) == (7, 5)
    assert costs.read_folds(split) == {"fold0": (2, 1), "fold1": (1, 1)}
    assert costs.read_model(model) == Model(9, 2, 3)
    assert costs.read_run(run) == (12.5, 0)
    Path(record).write_text('{"wild_type": "ACDEF", "counts": {"variants": 77}}')
    Path(split).write_text("mutant,fold0\nA1C,train\n")
    assert costs.read_size(record) == (77, 5)  # a file that has changed is read again
    assert costs.read_folds(split) == {"fold0": (1, 0)}


def test_a_fit_on_all_variants_teaches_all_and_asks_none(tmp_path: Path) -> None:
    record, model = str(tmp_path / "record.json"), str(tmp_path / "model.json")
    Path(record).write_text('{"wild_type": "ACDEF", "counts": {"variants": 7}}')
    Path(model).write_text('{"parameters": 9, "layers": 2, "width": 3}')
    found = forecast.whole_fit("site_gp", {"prior": "tuned"}, record, model)
    assert found == Work("site_gp", ((7, 0),), 5, Model(9, 2, 3), {"prior": "tuned"})


def test_a_split_is_counted_in_runs_of_rows_as_in_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    split = tmp_path / "s.csv"
    split.write_text("mutant,a,b\n" + "".join(f"M{row}A,{'train,test' if row % 3 else 'test,'}\n" for row in range(11)))
    whole = costs.read_folds(str(split))
    monkeypatch.setattr(costs, "RUN", 4)
    costs._folds.cache_clear()
    assert costs.read_folds(str(split)) == whole == {"a": (7, 4), "b": (0, 7)}


def test_who_only_teaches_counts_in_every_fit_that_it_teaches_and_in_no_other() -> None:
    asked = {"D/n24_seed0": (24, 10), "D/n96_seed0": (96, 10), "far": (300, 0)}
    far = {"far/n24_seed0": (24, 50), "D": (300, 0), "elsewhere": (300, 0)}
    assert list(forecast.fits([asked])) == [(24, 10), (96, 10)]
    assert list(forecast.fits([asked, far])) == [(24, 10), (96, 10), (300, 0), (24, 50), (300, 0), (300, 0)]
    assert list(forecast.fits([{"fold0": (7, 3)}, {"fold0": (4, 2)}])) == [(7, 3), (4, 2)]


def test_a_missing_input_is_named_as_snakemake_knows_it(tmp_path: Path) -> None:
    missing = str(tmp_path / "none.json")
    with pytest.raises(FileNotFoundError) as caught:
        costs.read_size(missing)
    assert caught.value.filename == missing


def test_a_station_without_a_language_model_has_a_cost() -> None:
    assert costs.predict(Work("evaluate", ((0, 1000),), 90, NONE, {"tables": 12, "bootstrap": 100})).seconds > START


def test_a_container_bounds_the_memory_of_its_machine_and_one_without_a_limit_does_not(tmp_path: Path) -> None:
    machine = costs.megabytes_here([])
    limits = {name: tmp_path / name for name in ("container", "none", "older")}
    limits["container"].write_text("2000000000\n")
    limits["none"].write_text("max\n")
    limits["older"].write_text("9223372036854771712\n")  # what cgroups of version 1 say where nothing was set
    assert machine > 0
    assert costs.megabytes_here([limits["container"], tmp_path / "absent"]) == min(1800, machine)
    assert costs.megabytes_here([limits["none"], limits["older"]]) == machine


@pytest.mark.parametrize(
    ("name", "content", "read"),
    [
        ("alpha.json", '{"counts": {"vari', costs.read_size),
        ("alpha.json", '{"counts": {}}', costs.read_size),
        ("checkpoint.json", "[]", costs.read_model),
        ("alpha.csv", "mutant,fold0\nM1A\n", costs.read_folds),
        ("alpha.tsv", "s\tworkers\nlong\t1\n", costs.read_run),
    ],
)
def test_a_damaged_file_of_sizes_is_named_with_the_way_out(tmp_path: Path, name: str, content: str, read) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(costs.SizeError, match=rf"{name}: damaged .*delete it and make it again"):
        read(str(tmp_path / name))
