import numpy as np
import pytest

from multimep.predictions import COLUMNS, Predictions, PredictionsError, read, without_std, write

MUTANTS = ("WT", "A2V", "C3D:E4F")


def made(mean=(0.5, -1.25, 3e7), std=(0.1, 0.2, 0.3), noisy_std=(0.4, 0.5, 0.6), mutants=MUTANTS) -> Predictions:
    return Predictions(mutants, *(np.array(column, dtype=float) for column in (mean, std, noisy_std)))


def assert_close(one: Predictions, other: Predictions, rtol: float = 0) -> None:
    assert one.mutants == other.mutants
    for name in ("mean", "std", "noisy_std"):
        np.testing.assert_allclose(getattr(one, name), getattr(other, name), rtol=rtol)


def test_folds_survive_their_file_in_order_and_to_nine_digits(tmp_path):
    folds = {
        "fold1": made(),
        "10": made(mean=(np.pi, -1e-12, 1 / 3)),
        "NA": without_std(MUTANTS[:2], np.array([1.0, 2.0])),
    }
    write(list(folds.items()), tmp_path / "folder" / "predictions.csv")
    found = read(tmp_path / "folder" / "predictions.csv")
    assert list(found) == list(folds)
    for name, part in folds.items():
        assert_close(found[name], part, rtol=1e-8)


def test_the_file_has_one_line_per_fold_and_mutant(tmp_path):
    write([("a", made()), ("b", made())], tmp_path / "predictions.csv")
    lines = (tmp_path / "predictions.csv").read_text(encoding="utf-8").splitlines()
    assert lines[0] == ",".join(COLUMNS)
    assert lines[1] == "a,WT,0.5,0.1,0.4"
    assert len(lines) == 7


def test_no_fold_is_a_file_with_a_header_alone(tmp_path):
    write([], tmp_path / "predictions.csv")
    assert read(tmp_path / "predictions.csv") == {}


def test_without_uncertainty_every_standard_deviation_is_nan():
    found = without_std(["WT", "A2V"], np.array([1, 2], dtype=np.float32))
    assert found.mutants == ("WT", "A2V")
    assert found.mean.dtype == np.float64
    assert np.isnan(found.std).all()
    assert np.isnan(found.noisy_std).all()


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        pytest.param({"mean": (1, 2)}, "3 mutants", marks=pytest.mark.wrong_shapes),
        pytest.param({"std": (1, 2)}, r"columns of length \[2, 3\]", marks=pytest.mark.wrong_shapes),
        pytest.param({"noisy_std": (1, 2, 3, 4)}, r"columns of length \[3, 4\]", marks=pytest.mark.wrong_shapes),
        ({"mutants": ("WT", "A2V", "A2V")}, "distinct: 2"),
        ({"mean": (1, np.nan, 2)}, "the mean of A2V is not finite"),
        ({"mean": (1, 2, np.inf)}, "the mean of C3D:E4F is not finite"),
        ({"std": (1, 0, 1)}, "^std must be positive and finite for every variant or NaN for all"),
        ({"std": (1, np.nan, 1)}, "^std must be positive"),
        ({"noisy_std": (1, -1, 1)}, "^noisy_std must be positive"),
        ({"noisy_std": (1, np.nan, 1)}, "^noisy_std must be positive"),
    ],
)
def test_predictions_that_do_not_fit_together_are_refused(columns, words):
    with pytest.raises(PredictionsError, match=words):
        made(**columns)


def test_rows_are_selected_by_name_in_the_order_asked():
    chosen = made().select(["C3D:E4F", "WT"])
    assert_close(chosen, made((3e7, 0.5), (0.3, 0.1), (0.6, 0.4), ("C3D:E4F", "WT")))
    assert_close(made().select(MUTANTS), made())


def test_a_mutant_without_prediction_is_named():
    with pytest.raises(PredictionsError, match="no prediction for Q9A"):
        made().select(["WT", "Q9A"])
