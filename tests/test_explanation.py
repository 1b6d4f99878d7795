"""Training rows that matter, landscapes of hyperparameters, integrated gradients, and the command that writes them."""

import csv
import dataclasses
import json
import math
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.numpy import save_file

from conftest import WILD_TYPE, additive_landscape
from multimep import gaussian_process, integrated_gradients, landscape_map, site_kernel
from multimep.dataset import Variants
from multimep.evidence import evidence_alone
from multimep.explanation import ExplanationError, Subject, chosen, explain
from multimep.integrated_gradients import GradientError, integrated
from multimep.landscape import Axis, Landscape
from multimep.landscape_making import around_maximum, curvatures
from multimep.methods import METHODS
from multimep.methods.site_gp import EXPECTED, Belief, expected_of
from multimep.site_kernel import kernel, mutations_of, noise_of, site_covariance
from test_cli import assert_refused, call, run

__all__ = ["run"]

QUICK = {"alpha_steps": 9, "gamma_steps": 9, "repeats": 20}
RECALLED = {
    "embedding_gp": {}, "transmep": QUICK, "site_gp": {}, "plm_gp": {}, "combination_gp": {},
    "epistasis_gp": {"rounds": 2}, "shared_prior_gp": {},
}  # fmt: skip
CHARTED = [
    ("embedding_gp", {}), ("embedding_gp", {"selection": "loo"}), ("embedding_gp", {"selection_rows": 30}),
    ("transmep", QUICK), ("transmep", QUICK | {"criterion": "leave_one_out"}), ("site_gp", {}),
    ("site_gp", {"prior": "tuned", "selection_rows": 30}), ("plm_gp", {}), ("combination_gp", {}),
]  # fmt: skip


@pytest.fixture(scope="module")
def taught(landscape, embedder):
    """Fits a method on 48 rows, once, and says what is asked."""
    data = landscape(rows=52)
    train = data.select(data.variants.mutants[:48])
    kept = {}

    def fit(name: str, settings: dict) -> Subject:
        if (name, str(settings)) not in kept:
            method = METHODS[name](**settings)
            measured = dict(zip(train.variants.mutants, train.fitness.tolist(), strict=True))
            predictor = method.fit([train], embedder, 0)
            kept[name, str(settings)] = Subject(predictor, method, "first", train.wild_type, name, 0, measured)
        return kept[name, str(settings)]

    return fit, train, Variants("first", train.wild_type, data.variants.mutants[48:])


# Training rows


@pytest.mark.parametrize("name", RECALLED)
def test_contributions_of_all_rows_sum_to_the_mean_that_is_predicted(name, taught):
    fit, train, asked = taught
    subject = fit(name, RECALLED[name])
    found = explain(subject, asked, ["training_importance"], 0)
    for one in found.importance:
        total = one.expected + math.fsum(share.contribution for share in one.shares)
        assert total == pytest.approx(one.latent, rel=1e-10)
        assert one.predicted == pytest.approx(found.predicted[one.mutant], rel=1e-6)
        assert {share.taught for share in one.shares} == set(train.variants.mutants)
        assert [abs(share.influence) for share in one.shares] == sorted(
            (abs(share.influence) for share in one.shares), reverse=True
        )


def test_the_influence_of_a_row_on_an_rbf_model_is_what_changes_when_it_is_refitted_without(taught):
    fit, train, asked = taught
    predictor = fit("embedding_gp", {}).predictor
    found = explain(fit("embedding_gp", {}), asked, ["training_importance"], 0).importance
    features = predictor.embedder.pooled(asked)
    for row, mutant in enumerate(predictor.mutants):
        rest = np.arange(len(train)) != row
        rows = predictor.rows[rest]
        refit = gaussian_process.condition(
            gaussian_process.squared_distances(rows, rows), predictor.targets[rest], predictor.posterior.hyperparameters
        )
        without, _ = refit.predict(gaussian_process.squared_distances(features, rows))
        for one, mean in zip(found, without, strict=True):
            (share,) = [share for share in one.shares if share.taught == mutant]
            assert share.influence == pytest.approx(
                one.predicted - (mean * predictor.scaling.scale + predictor.scaling.mean), rel=1e-5, abs=1e-8
            )


def test_the_influence_of_a_row_on_a_warped_model_is_what_changes_when_it_is_refitted_without(taught):
    fit, train, asked = taught
    one = fit("site_gp", {}).predictor
    found = explain(fit("site_gp", {}), asked, ["training_importance"], 0).importance
    new = mutations_of(asked, one.unit, one.belief.mixing)
    for row in range(0, len(train), 7):
        names = [mutant for mutant in one.variants.mutants if mutant != one.variants.mutants[row]]
        rows = mutations_of(one.variants.select(names), one.unit, one.belief.mixing)
        a = kernel(rows, rows, one.theta) + noise_of(one.theta) * np.eye(len(names))
        y = np.delete(one.targets, row) - expected_of(rows, one.belief)
        cross = kernel(new, rows, one.theta)
        mean = expected_of(new, one.belief) + cross @ np.linalg.solve(a, y)
        variance = np.diag(kernel(new, new, one.theta) - cross @ np.linalg.solve(a, cross.T))
        refit = one.scale.undo(asked.mutants, mean, variance, noise_of(one.theta)).mean
        for told, without in zip(found, refit, strict=True):
            (share,) = [share for share in told.shares if share.taught == one.variants.mutants[row]]
            assert share.influence == pytest.approx(told.predicted - without, rel=1e-6, abs=1e-9)


@pytest.mark.parametrize("name", ["additive", "fine_tune", "zero_shot", "coregional_gp", "stack"])
def test_a_method_without_training_rows_says_so(name, landscape, embedder):

    train = landscape(rows=20)
    method = METHODS[name](
        **({"epochs": 1} if name == "fine_tune" else {"of": {"additive": {}}} if name == "stack" else {})
    )
    subject = Subject(method.fit([train], embedder, 0), method, "first", train.wild_type, name, 0)
    with pytest.raises(ExplanationError, match=f"{name} has no training_importance: .*; it has attributions"):
        chosen(subject, ["training_importance"])
    assert "training_importance" not in chosen(subject, [])[0]


# Landscapes


@pytest.mark.parametrize(("name", "settings"), CHARTED)
def test_no_point_of_the_landscape_is_better_than_the_fitted_one(name, settings, taught):
    fit, _, asked = taught
    found = explain(fit(name, settings), asked, ["landscape"], 0).landscape
    assert np.isfinite(found.scores).all()
    assert found.missed <= 1e-9 * np.ptp(found.scores)
    assert found.heights.min() < found.heights.max()
    assert found.x.values[found.x.place] == pytest.approx(found.x.chosen, rel=1e-12)
    assert found.y.values[found.y.place] == pytest.approx(found.y.chosen, rel=1e-12)
    assert found.rows == settings.get("selection_rows", 48)


def test_the_evidence_of_an_rbf_landscape_is_that_of_the_definition(taught):
    fit, _, asked = taught
    predictor = fit("embedding_gp", {}).predictor
    found = explain(fit("embedding_gp", {}), asked, ["landscape"], 0).landscape
    distances = gaussian_process.squared_distances(predictor.rows, predictor.rows)
    for row, column in ((3, 5), (12, 14), (found.x.place, found.y.place)):
        gamma, ratio = found.x.values[row] ** -2, found.y.values[column]
        a = np.exp(-gamma * distances) + ratio * np.eye(48)
        signal = predictor.targets @ np.linalg.solve(a, predictor.targets) / 48
        chosen = gaussian_process.Hyperparameters(gamma, signal, ratio * signal)
        expected = gaussian_process.log_evidence(distances, predictor.targets, chosen)
        assert found.scores[row, column] == pytest.approx(expected, rel=1e-6)
        for factor in (0.8, 1.2):
            other = dataclasses.replace(chosen, signal=factor * signal, noise=factor * ratio * signal)
            assert gaussian_process.log_evidence(distances, predictor.targets, other) < expected


def test_curvatures_are_second_differences_of_the_evidence_and_choose_the_axes():
    data = additive_landscape(rows=40)
    rows = mutations_of(data.variants, site_kernel.unit_of(data.variants))
    covariance, theta = site_covariance(rows), np.log(site_kernel.prior().medians)
    y = data.fitness - expected_of(rows, Belief(site_kernel.prior(), EXPECTED))
    found = curvatures(covariance, y, theta)
    for k in range(0, len(theta), 4):
        step = 1e-3 * np.eye(len(theta))[k]
        around = [evidence_alone(covariance, y, theta + sign * step) for sign in (-1, 0, 1)]
        assert found[k] == pytest.approx(-(around[0] - 2 * around[1] + around[2]) / 1e-6, rel=1e-2, abs=1e-3)
    charted = around_maximum(covariance, y, site_kernel.prior(), theta, site_kernel.NAMES)
    best = np.argsort(-found * site_kernel.prior().spreads ** 2)[:2]
    assert {charted.x.name, charted.y.name} == {site_kernel.NAMES[k] for k in best}


def test_the_picture_has_a_cell_for_each_point_one_ring_and_the_darkest_cell_at_the_best():
    x, y = Axis("length_scale", np.array([1.0, 2.0, 4.0]), 2.0), Axis("noise_to_signal", np.array([0.1, 1.0]), 1.0)
    found = Landscape(x, y, np.array([[-50.0, -45.0], [-44.0, -40.0], [-41.0, -80.0]]), "log_evidence", 12)
    strength = landscape_map.shares(found)
    assert np.unravel_index(strength.argmax(), strength.shape) == (1, 1)
    assert strength[2, 1] == 0
    root = ElementTree.fromstring(str(landscape_map.picture(found, "a < b")))
    kinds = [one.get("class") for one in root.iter("{http://www.w3.org/2000/svg}rect")]
    assert (kinds.count("cell"), kinds.count("chosen")) == (6, 1)
    ring = next(one for one in root.iter("{http://www.w3.org/2000/svg}rect") if one.get("class") == "chosen")
    assert ring[0].text == "length_scale 2, noise_to_signal 1: -40"


# Integrated gradients


@pytest.mark.parametrize(
    ("name", "settings"),
    [("embedding_gp", {}), ("embedding_gp", {"features": "flattened"}), ("fine_tune", {"epochs": 2})],
)
def test_integrated_gradients_are_complete_and_those_of_a_plain_riemann_sum(name, settings, taught):
    fit, _, asked = taught
    subject = fit(name, settings)
    found = explain(subject, asked, ["integrated_gradients"], 0)
    assert len(found.complete) == len(asked)
    for one in found.complete:
        assert abs(one.error) <= one.tolerance
        assert one.difference == pytest.approx(found.predicted[one.mutant] - found.wild_type, rel=1e-3, abs=1e-4)
    mutant, sequence = asked.mutants[0], asked.sequences[0]
    parts = [part.value for part in found.parts if part.mutant == mutant]
    np.testing.assert_allclose(parts, riemann(subject, mutant, sequence), atol=2 * found.complete[0].tolerance)


def riemann(subject: Subject, mutant: str, sequence: str) -> list[float]:
    """Each residue's gain along 400 short steps, by differences of what fair-esm's own layers give, no gradient."""
    reading = subject.predictor.reading("first")
    model = reading.language_model
    start, stop = integrated_gradients.embedded(model.model, model.tokens([subject.wild_type, sequence])).detach()
    places = [int(one[1:-1]) for one in mutant.split(":")]
    steps, small = 400, 1e-2
    t = (torch.arange(steps) + 0.5) / steps
    points = start + t[:, None, None] * (stop - start)
    found = []
    for place in places:
        nudge = torch.zeros_like(start)
        nudge[place] = small * (stop - start)[place]
        up, down = (value_of(reading, points + sign * nudge) for sign in (1, -1))
        found.append(float(np.mean((up - down) / (2 * small))))
    return found


@torch.no_grad()
def value_of(reading, x: torch.Tensor) -> np.ndarray:
    x = x.transpose(0, 1)
    for layer in reading.language_model.model.layers:
        x, _ = layer(x)
    states = reading.language_model.model.emb_layer_norm_after(x.transpose(0, 1))[:, 1:-1]
    features = states.mean(dim=1) if reading.pooled else states.flatten(1)
    return reading.value(features.double().numpy())[0]


def test_the_gradient_of_an_rbf_mean_is_that_of_differences(taught):
    fit, _, asked = taught
    predictor = fit("embedding_gp", {}).predictor
    features = predictor.embedder.pooled(asked).astype(np.float64)
    value, gradient = predictor.reading("first").value(features)
    np.testing.assert_allclose(value, predictor.predict(asked).mean, rtol=1e-6)
    for column in range(0, features.shape[1], 5):
        step = 1e-5 * np.eye(features.shape[1])[column]
        up, down = (predictor.reading("first").value(features + sign * step)[0] for sign in (1, -1))
        np.testing.assert_allclose(gradient[:, column], (up - down) / 2e-5, rtol=1e-4, atol=1e-7)


def test_a_path_that_does_not_become_complete_is_refused_by_name(taught, monkeypatch):
    fit, _, asked = taught
    monkeypatch.setattr(integrated_gradients, "RELATIVE", 0.0)
    monkeypatch.setattr(integrated_gradients, "ABSOLUTE", 1e-12)
    monkeypatch.setattr(integrated_gradients, "MOST", 100)
    reading = fit("embedding_gp", {}).predictor.reading("first")
    with pytest.raises(GradientError, match=f"{asked.mutants[0]}: integrated gradients do not sum .*Shapley"):
        integrated(reading, asked.wild_type, asked.mutants[0], asked.sequences[0])


def test_the_only_mutation_of_a_variant_has_all_of_the_difference(taught):
    fit, train, _ = taught
    subject = fit("embedding_gp", {})
    single = subject.variants([train.variants.mutants[0].split(":")[0]])
    found = explain(subject, single, ["integrated_gradients"], 0)
    assert [part.value for part in found.parts] == [found.complete[0].difference]
    assert found.complete[0].nodes == 0


# The command


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a table, two predictors and an explanation of each."""
    folder = tmp_path_factory.mktemp("explained")
    data = additive_landscape("mine")
    lines = [f"{mutant},{value!r}" for mutant, value in zip(data.variants.mutants, data.fitness.tolist(), strict=True)]
    (folder / "my.csv").write_text("\n".join(["mutant,fitness", *lines]) + "\n")
    for name in ("site_gp", "additive"):
        call(f"fit my.csv --wild-type {WILD_TYPE} --method {name} --seed 3 --output {name}.safetensors", folder)
    call("explain site_gp.safetensors --output site_gp --top 5", folder)
    call(f"explain additive.safetensors --mutants {lines[0].split(',')[0]} --output additive", folder)
    return folder


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_the_folder_has_every_file_and_its_parts_sum_to_what_the_json_says(made):
    folder = made / "site_gp"
    assert sorted(path.name for path in folder.iterdir()) == [
        "attributions.csv", "explanation.json", "landscape.csv", "landscape.svg", "training_importance.csv",
    ]  # fmt: skip
    about = json.loads((folder / "explanation.json").read_text())
    parts = rows_of(folder / "attributions.csv")
    best = sorted(rows_of(made / "my.csv"), key=lambda row: -float(row["fitness"]))[:10]
    assert list(about["predicted"]) == [row["mutant"] for row in best]
    for mutant, mean in about["predicted"].items():
        for approach in ("shapley", "interactions"):
            mine = [float(row["value"]) for row in parts if (row["mutant"], row["approach"]) == (mutant, approach)]
            assert math.fsum(mine) == pytest.approx(mean - about["wild_type"], rel=1e-8)
    shares = rows_of(folder / "training_importance.csv")
    for one in about["latent"]:
        mine = [row for row in shares if row["mutant"] == one["mutant"]]
        assert [mine[0]["training_mutant"], mine[-1]["training_mutant"], len(mine)] == ["expected", "others", 7]
        assert math.fsum(float(row["contribution"]) for row in mine) == pytest.approx(one["mean"], rel=1e-8)
    chosen = [row for row in rows_of(folder / "landscape.csv") if row["chosen"] == "1"]
    assert [float(row["log_posterior"]) for row in chosen] == [about["landscape"]["at"]]
    assert about["landscape"]["missed"] == 0
    assert list(about["not_available"]) == ["integrated_gradients"]


def test_an_additive_prediction_has_its_parts_and_no_other_file(made):
    assert sorted(path.name for path in (made / "additive").iterdir()) == ["attributions.csv", "explanation.json"]
    parts = rows_of(made / "additive" / "attributions.csv")
    by = {approach: [row["value"] for row in parts if row["approach"] == approach] for approach in ("shapley", "sum")}
    np.testing.assert_allclose(np.array(by["shapley"], float), np.array(by["sum"], float), rtol=1e-9)


@pytest.mark.parametrize(
    ("words", "fragments"),
    [
        ("--kinds landscape", ["additive has no landscape: ", "it has attributions: choose with --kinds"]),
        ("--kinds integrated_gradients", ["additive has no integrated_gradients: ", "it has attributions"]),
        ("--kinds parts", ["'parts' is none of attributions, integrated_gradients"]),
        ("--mutants M1C --variants my.csv", ["--variants or --mutants, not both"]),
        ("--mutants W1C", ["W1C: the wild type has M at position 1"]),
        ("--mutants nonsense", ["'nonsense' in 'nonsense' is not a mutation"]),
        ("--variants none.csv", ["none.csv: no such file"]),
    ],
)
def test_what_cannot_be_explained_is_one_line_and_no_folder(words, fragments, made, run, monkeypatch):
    monkeypatch.chdir(made)
    assert_refused(run(f"explain additive.safetensors --output refused {words}"), fragments)
    assert not (made / "refused").exists()


def test_no_explanation_is_overwritten(made, run, monkeypatch):
    monkeypatch.chdir(made)
    assert_refused(run("explain additive.safetensors --output additive"), ["is there already; choose another --output"])


def test_a_file_of_an_older_version_has_no_landscape_and_says_what_to_do(made, run, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    with safe_open(made / "site_gp.safetensors", framework="numpy") as file:
        arrays, metadata = {name: file.get_tensor(name) for name in file.keys()}, file.metadata()  # noqa: SIM118
    header = json.loads(metadata["header"])
    assert header.pop("seed") == 3
    metadata = {"format": metadata["format"], "facts": metadata["facts"], "header": json.dumps(header)}
    save_file(arrays, "old.safetensors", metadata)
    assert_refused(run("explain old.safetensors --output out --kinds landscape"), ["older version; fit it again"])
    assert run("explain old.safetensors --output out").status == 0
    assert not (tmp_path / "out" / "landscape.csv").exists()


def test_the_help_of_explain_imports_neither_torch_nor_numpy():
    code = """
import sys
sys.argv = ["multimep", "explain", "--help"]
from multimep.cli import main
try:
    main()
except SystemExit as stop:
    assert not stop.code, stop.code
print("torch" in sys.modules, "numpy" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert done.stdout.splitlines()[-1] == "False False", done.stderr
