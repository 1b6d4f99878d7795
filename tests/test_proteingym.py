"""ProteinGym's aggregation: its official table from its per-assay scores, a case made by hand, and bad input."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from multimep import proteingym
from multimep.proteingym import SCHEMES, Entry, ProteinGymError, Scores, by_type, standard_errors, summary, units_of

OFFICIAL = Path(__file__).parents[2] / "shared" / "data" / "proteingym_supervised"
official = pytest.mark.skipif(
    not OFFICIAL.exists(), reason=f"ProteinGym's tables of supervised scores are not in {OFFICIAL}"
)
NAMES = {"Activity", "Binding", "Expression", "OrganismalFitness", "Stability"}


@official
@pytest.mark.parametrize(("metric", "lower_is_better"), [("Spearman", False), ("MSE", True)])
def test_the_official_table_follows_from_the_official_scores_to_a_thousandth(
    metric: str, lower_is_better: bool
) -> None:
    folder = OFFICIAL / "DMS_supervised" / "substitutions" / metric
    files = [folder / f"DMS_substitutions_{metric}_DMS_level_{scheme}.csv" for scheme in SCHEMES]
    reference = proteingym.read_reference(OFFICIAL / "DMS_substitutions.csv")
    found = summary(proteingym.read_scores(files), reference, lower_is_better=lower_is_better).set_index("model")
    theirs = pd.read_csv(folder / f"Summary_performance_DMS_substitutions_{metric}.csv").set_index("Model_name")
    assert list(found.index) == list(theirs.index)
    assert set(found["assays"]) == {217}
    columns = {
        "average": f"Average_{metric}",
        "standard_error": f"Bootstrap_standard_error_{metric}",
        **{scheme: f"Average_{metric}_{scheme}" for scheme in SCHEMES},
        **{name: f"Function_{name}" for name in NAMES},
    }
    for ours, official_name in columns.items():
        np.testing.assert_allclose(found[ours], theirs[official_name], rtol=0, atol=1e-3, err_msg=ours)


REFERENCE = {
    "a1": Entry("A", "Binding"),
    "a2": Entry("A", "Binding"),
    "a3": Entry("A", "Activity"),
    "b": Entry("B", "Binding"),
    "c": Entry("C", "Activity"),
}
MODELS = ("good", "poor")


def _scores() -> Scores:
    """Scheme s, assay a, model m: a value of its own."""
    values = np.array(
        [
            [[0.8, 0.1], [0.6, 0.3], [0.5, 0.5], [0.2, 0.4], [0.9, 0.0]],
            [[0.4, 0.1], [0.2, 0.1], [0.3, 0.3], [0.6, 0.2], [0.7, 0.1]],
        ]
    )
    return Scores(SCHEMES[:2], tuple(REFERENCE), MODELS, values)


def test_assays_entries_types_and_schemes_are_averaged_in_this_order() -> None:
    found = summary(_scores(), REFERENCE).set_index("model")
    # random: Binding (A: (.8 + .6) / 2, B: .2) -> .45, Activity (A: .5, C: .9) -> .7
    assert found.loc["good", "fold_random_5"] == pytest.approx((0.45 + 0.7) / 2)
    # modulo: Binding (A: .3, B: .6) -> .45, Activity (A: .3, C: .7) -> .5
    assert found.loc["good", "fold_modulo_5"] == pytest.approx((0.45 + 0.5) / 2)
    assert found.loc["good", "average"] == pytest.approx((0.575 + 0.475) / 2)
    assert found.loc["good", "Activity"] == pytest.approx((0.7 + 0.5) / 2)
    assert list(found.index) == ["good", "poor"]
    assert list(summary(_scores(), REFERENCE, lower_is_better=True)["model"]) == ["poor", "good"]


def test_the_standard_error_is_that_of_all_resamples_of_a_small_case() -> None:
    units = units_of(_scores(), REFERENCE)
    # two units in each type: all four resamples of each are equally likely
    gaps = [
        [
            np.mean([np.diff(units.of_type(name)[list(rows), scheme].mean(axis=0))[0] for name, rows in draw])
            for first in ((0, 0), (0, 1), (1, 0), (1, 1))
            for second in ((0, 0), (0, 1), (1, 0), (1, 1))
            for draw in [zip(units.types, (first, second), strict=True)]
        ]
        for scheme in range(2)
    ]
    found = standard_errors(units, 0, 40_000, 1)
    assert found[0] == 0
    assert found[1] == pytest.approx(np.mean(np.std(gaps, axis=1)), rel=0.03)


def test_the_order_of_assays_and_files_changes_nothing(tmp_path: Path) -> None:
    scores = _scores()
    draw = np.random.default_rng(0)
    for scheme, values in zip(scores.schemes, scores.table, strict=True):
        table = pd.DataFrame(values, columns=list(MODELS)).assign(DMS_id=scores.assays)
        table.sample(frac=1, random_state=draw.integers(100)).to_csv(tmp_path / f"x_{scheme}.csv", index=False)
    files = sorted(tmp_path.iterdir())
    one, other = (proteingym.read_scores(order) for order in (files, files[::-1]))
    for found in (one, other):
        np.testing.assert_allclose(by_type(units_of(found, REFERENCE)), by_type(units_of(scores, REFERENCE)))


def test_a_column_says_the_scheme_where_the_name_of_the_file_does_not(tmp_path: Path) -> None:
    path = tmp_path / "mine.csv"
    path.write_text("DMS_id,scheme,mine\na,fold_modulo_5,.5\na,fold_random_5,.75\n")
    found = proteingym.read_scores([path])
    assert found.schemes == SCHEMES[:2]
    assert found.table.ravel().tolist() == [0.75, 0.5]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("DMS_id,mine\na,.5\n", "mine.csv: no column 'scheme'"),
        ("assay,scheme,mine\na,fold_random_5,.5\n", "mine.csv: no column DMS_id"),
        ("DMS_id,scheme,mine\na,random,.5\n", "schemes are random; ProteinGym has fold_random_5"),
        ("DMS_id,scheme,mine\na,fold_random_5,.5\na,fold_random_5,.4\n", "mine, fold_random_5, a: scored twice"),
        ("DMS_id,scheme,mine\na,fold_random_5,.5\nb,fold_random_5,\n", "1 scores are missing .mine, fold_random_5, b"),
        ("DMS_id,scheme,mine\na,fold_random_5,high\n", "mine.csv line 2: mine is 'high', not a number"),
        ("DMS_id,scheme,mine\n", "the table is empty"),
    ],
)
def test_scores_that_cannot_be_averaged_are_refused(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.csv"
    path.write_text(text)
    with pytest.raises(ProteinGymError, match=message):
        proteingym.read_scores([path])


def test_an_assay_that_the_reference_does_not_know_is_refused() -> None:
    with pytest.raises(ProteinGymError, match="not in the reference file: c"):
        summary(_scores(), {name: entry for name, entry in REFERENCE.items() if name != "c"})
