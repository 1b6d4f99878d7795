"""The page says everything, says it escaped, and needs nothing but itself."""

import base64
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from markupsafe import escape

from made_up_study import EVIL, METHODS, demo, guess, scan
from multimep import accounting, measures, metrics, predictions, report, tables, usage_table
from multimep import dataset as datasets
from multimep.campaign import summary
from multimep.drawing import Interval, Scale, decimal, nice_ticks, spread, tag
from multimep.figures import Pairs, Series, farthest, learning_chart, scatter
from multimep.findings import Findings, Provenance, ReportError, gather, pair
from multimep.null_gate import Hurdle


class Page(HTMLParser):
    """What a browser would see: tags with attributes, text, and the stack of open tags at the end."""

    VOID = frozenset({"meta", "link", "br", "wbr", "input", "img"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture(scope="module")
def study() -> Findings:
    return demo(["first_protein", EVIL], METHODS[:4], size=60)


@pytest.fixture(scope="module")
def text(study: Findings) -> str:
    return report.render(study)


@pytest.fixture(scope="module")
def page(text: str) -> Page:
    return Page(text)


def test_every_section_is_there_in_order_with_its_heading(page: Page) -> None:
    assert [a["id"] for tag, a in page.tags if tag == "section"] == list(report.SECTIONS)
    links = [a["href"] for tag, a in page.tags if tag == "a"]
    assert all(f"#{name}" in links for name in report.SECTIONS)


def test_every_tag_is_closed(page: Page) -> None:
    assert page.open == []


def test_nothing_that_came_from_a_file_becomes_markup(text: str, page: Page) -> None:
    assert EVIL not in text
    assert page.text.count(EVIL) > 3
    assert "<b>bold" not in text
    assert sum(tag == "script" and "type" not in a for tag, a in page.tags) == 1


@pytest.mark.parametrize("field", ["title", "question", "method", "provenance", "citation"])
def test_every_free_text_is_escaped(study: Findings, field: str) -> None:
    changes: dict[str, object] = {
        "title": {"title": EVIL},
        "question": {"question": EVIL},
        "method": {
            "metrics": study.metrics.replace({"method": {"embedding_gp": EVIL}, "split": {"low_n": f"low_n {EVIL}"}}),
            "portraits": tuple(replace(one, method=EVIL) for one in study.portraits),
        },
        "provenance": {"provenance": Provenance(EVIL, {EVIL: EVIL}, {}, {}, {}, EVIL)},
        "citation": {
            "records": tuple(
                replace(record, citation=EVIL, licence=EVIL, notes=(EVIL,), dropped={EVIL: 1})
                for record in study.records
            )
        },
    }[field]
    assert EVIL not in report.render(replace(study, **changes))


def test_the_page_asks_the_network_for_nothing(text: str, page: Page) -> None:
    wanted = [str(a[key]) for _, a in page.tags for key in ("src", "href", "action", "data", "srcset") if a.get(key)]
    assert all(address.startswith(("#", "data:")) for address in wanted)
    assert not re.search(r"url\(|@import|fetch\(|XMLHttp|<iframe|<object", text)
    assert "default-src 'none'" in text


def test_a_simulated_study_says_so_and_a_measured_one_does_not(study: Findings, text: str) -> None:
    assert "SIMULATED" in text
    measured = replace(study, records=tuple(replace(record, simulated=False) for record in study.records))
    assert "SIMULATED" not in report.render(measured)
    mixed = replace(study, records=(study.records[0], replace(study.records[1], simulated=False)))
    assert "The measurements of first_protein were simulated" in report.render(mixed)


def test_every_figure_speaks_to_a_screen_reader(page: Page) -> None:
    pictures = [a for tag, a in page.tags if tag == "svg"]
    # a comparison, a dot plot, learning curves (mean, gain, 2 datasets), a campaign, 4 x 2 panels, 2 calibrations, 2
    # histograms
    whole = 1 + 1 + 4 + 1 + 8 + 2 + 2
    # of each dataset: three heat maps, measured against predicted, calibration, learning curves
    assert len(pictures) == whole + 2 * (3 + 1 + 1 + 1)
    assert all(a["role"] == "img" and a["aria-label"] for a in pictures)


def test_whatever_scrolls_can_be_reached_with_the_keyboard(page: Page) -> None:
    regions = [a for _, a in page.tags if "scroll" in (a.get("class") or "").split()]
    assert regions
    assert all(a["tabindex"] == "0" and a["aria-label"] and a["role"] == "region" for a in regions)


def test_every_policy_of_a_campaign_has_its_line_and_its_row(study: Findings, text: str) -> None:
    part = text[text.index('<section id="campaigns"') : text.index('<section id="scatter"')]
    ((name, table),) = study.campaigns.items()
    assert name in part and "24 variants at random, then 3 rounds up to 96 measured; 3 seeds." in part
    for policy, row in summary(table).set_index("policy").iterrows():
        assert f"{escape(policy)}, standard error over seeds: {row['regret_area_se']:.3f}" in part
        assert f">{row['regret_area']:.3f}<" in part
    assert "regret by number of variants measured. random: 24: 0." in part
    assert "None: <code>campaign" in report.render(replace(study, campaigns={}))


def test_the_next_plate_is_shown_escaped_and_with_its_map(study: Findings, text: str) -> None:
    part = text[text.index('<section id="plates"') : text.index('<section id="scatter"')]
    assert "2 mutants by additive, which learnt from all measured variants; from 1,200 candidates (all scored)" in part
    assert ">M1A:<wbr>K2C<" in part and ">1:A1 1:B7<" in part and f">{escape(EVIL)}<" in part and EVIL not in part
    ((_, plate),) = study.plates.items()
    (shown,) = re.findall(r'src="data:image/svg\+xml;base64,([^"]+)"', part)
    assert base64.b64decode(shown).decode() == plate.picture
    assert "None: <code>recommend" in report.render(replace(study, plates={}))


def test_the_values_of_the_metrics_stand_in_the_table_with_their_intervals(study: Findings, page: Page) -> None:
    cells = {a["title"]: a for tag, a in page.tags if tag == "td" and a.get("title")}
    chosen = study.metrics.query("metric == 'spearman' and split == 'random' and aggregation == 'pooled'")
    assert len(chosen) == 8
    for row in chosen.itertuples():
        assert f"{row.method}, {row.dataset}: {Interval(row.value, row.low, row.high)}" in cells


def test_only_one_table_is_shown_before_anything_is_chosen(page: Page) -> None:
    regions = [a for _, a in page.tags if a.get("data-metric")]
    assert [a["data-metric"] for a in regions if "hidden" not in a] == ["spearman"]
    assert {a["data-split"] for a in regions} == {"random"}


def test_the_learning_curve_split_is_not_summed_up_in_a_table(study: Findings) -> None:
    assert study.splits == ("random",)


def test_a_study_of_one_method_and_nothing_else_renders(study: Findings) -> None:
    one = study.metrics[study.metrics["method"] == "additive"]
    bare = Findings("bare", "why?", one, study.records, Provenance("today"))
    page = Page(report.render(bare))
    assert page.open == []
    assert "Not asked" not in page.text
    assert "None: every check passed." in page.text


def test_a_study_without_metrics_renders(study: Findings) -> None:
    page = Page(report.render(Findings("bare", "why?", study.metrics.iloc[:0], study.records, Provenance("today"))))
    assert "No metrics were given." in page.text


def test_measures_explain_every_metric() -> None:
    assert set(measures.MEASURES) == set(metrics.METRICS)
    for name, metric in metrics.METRICS.items():
        better = measures.MEASURES[name].goodness(2.0) > measures.MEASURES[name].goodness(1.0)
        assert metric.higher_is_better is None or metric.higher_is_better == better


def test_a_noise_ceiling_stands_under_the_scores_of_the_datasets_that_have_one(study: Findings) -> None:
    names = [record.name for record in study.records]
    row = study.metrics[(study.metrics["split"] == "random") & (study.metrics["dataset"] == names[0])].iloc[-1:]
    known = pd.concat([study.metrics, row.assign(fold="all", metric="ceiling_r2", value=0.87)], ignore_index=True)
    page = report.render(replace(study, metrics=known))
    assert page.count("noise ceiling</th>") == 1
    foot = page[page.index("<tfoot>") : page.index("</tfoot>")]
    assert "0.87" in foot
    assert "noise ceiling</th>" not in report.render(study)


def test_coverage_is_best_at_its_nominal_level() -> None:
    assert measures.measure("coverage_80").goodness(0.81) > measures.measure("coverage_80").goodness(0.95)


def test_a_mean_leaves_out_the_unknown_and_has_an_interval_from_two_families_on() -> None:
    found = tables.over_families(dict(zip("abcde", [0.1, 0.4, 0.35, 0.2, float("nan")], strict=True)))
    assert found.value == pytest.approx(0.2625)
    assert 0.1 <= found.low < found.value < found.high <= 0.4
    assert not tables.over_families({"a": 0.3}).known
    assert np.isnan(tables.over_families({}).value)


def test_every_row_of_a_table_shows_its_difference_to_each_null_that_was_asked(study: Findings, page: Page) -> None:
    table = tables.score_table(
        tables.choose(study.scores, "random", "spearman"), study.methods, study.gate("random", "spearman"), study.kin
    )
    assert table.nulls == ("additive",)
    pooled = study.metrics.query("metric == 'spearman' and split == 'random' and aggregation == 'pooled'")
    means = pooled.groupby("method")["value"].mean()
    shown = {row.method: row.differences[0].order for row in table.rows}
    assert np.isnan(shown.pop("additive"))
    assert shown == pytest.approx({name: means[name] - means["additive"] for name in shown})
    assert "minus additive" in page.text


def test_the_first_null_is_not_warned_of_for_losing_to_the_second(study: Findings) -> None:
    hurdle = Hurdle(Interval(-0.1, -0.2, -0.05), 5, {}, 5, True)
    gate = {"additive": {"zero_shot": hurdle}, "embedding_gp": {"additive": hurdle, "zero_shot": hurdle}}
    table = tables.score_table(tables.choose(study.scores, "random", "spearman"), study.methods, gate)
    warned = {row.method: [cell.warns for cell in row.differences] for row in table.rows}
    assert warned["additive"] == [False, False]
    assert warned["zero_shot"] == [True, True]


def test_errors_of_a_method_on_another_scale_are_not_shown() -> None:
    table = pd.DataFrame({"method": ["zero_shot", "zero_shot", "additive"], "metric": ["rmse", "spearman", "rmse"]})
    assert tables.comparable(table, {"zero_shot"}).index.tolist() == [1, 2]


def test_pooled_scores_win_over_means_and_folds() -> None:
    table = pd.DataFrame(
        [
            ("x", "s", "m", "0", "fold", "r2", 0.1),
            ("x", "s", "m", "all", "pooled", "r2", 0.2),
            ("x", "s", "m", "all", "mean", "r2", 0.3),
        ],
        columns=["dataset", "split", "method", "fold", "aggregation", "metric", "value"],
    )
    assert tables.scores(table)["value"].tolist() == [0.2]


def test_pairs_are_joined_by_mutant_and_sampled_alike_for_every_method() -> None:
    dataset, _ = scan("x", 400, "enzyme", np.random.default_rng(0))
    order = np.random.default_rng(1).permutation(400)
    shuffled = predictions.without_std([dataset.variants.mutants[row] for row in order], dataset.fitness[order] * 2)
    found = pair([shuffled], dataset)
    assert (len(found.mutants), found.total) == (300, 400)
    np.testing.assert_allclose(found.predicted, 2 * found.measured)
    straight = predictions.without_std(dataset.variants.mutants, dataset.fitness)
    assert pair([straight], dataset).mutants == found.mutants


def test_predictions_of_a_mutant_that_the_dataset_lacks_are_refused() -> None:
    dataset, _ = scan("x", 20, "enzyme", np.random.default_rng(0))
    with pytest.raises(ReportError, match=r"there\.csv: not in dataset x: A999C"):
        pair([predictions.without_std(["A999C"], np.zeros(1))], dataset, "there.csv")


def test_gathering_the_files_gives_the_page(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    dataset, record = scan("x", 40, "enzyme", rng)
    datasets.write(dataset, record, tmp_path / "x.csv")
    said = guess(dataset, "additive", rng)
    predictions.write([("0", said)], tmp_path / "p.csv")
    metrics.write("x", {("random", "additive"): metrics.evaluate(dataset, {"0": said}, 5)}, tmp_path / "m.csv")
    found = gather(
        "t", "q", metrics=[tmp_path / "m.csv"], dataset_files=[tmp_path / "x.csv"], provenance=Provenance("today"),
        prediction_files={("x", "random", "additive"): tmp_path / "p.csv"},
        account=accounting.account({"fit": [accounting.Run(1.5, memory=200.5), accounting.Run(0.5)], "embed": []}),
    )  # fmt: skip
    assert [(usage.name, usage.seconds) for usage in found.account.usages] == [("fit", 2.0)]
    report.write(found, tmp_path / "report.html")
    assert "200 MiB" in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_the_table_of_what_it_took_names_estimates_as_such_and_sums_up(study: Findings, page: Page) -> None:
    table = usage_table.usage_table(study.account)
    assert table is not None
    assert sum(width for _, width in table.groups) == len(table.columns) == len(table.total)
    assert all(len(cells) == len(table.columns) for _, cells in table.rows)
    for column in (0, 1, 4, 5, 6, 7, 8):  # all but the longest job and the most memory
        told = [cells[column].order for _, cells in table.rows if cells[column].order == cells[column].order]
        assert table.total[column].order == pytest.approx(sum(told))
    assert [table.total[column].order for column in (2, 3)] == [50.1, 1430.0]
    # 84 x 50.1 s at 2 EUR an hour
    assert table.total[-1].text == "2.34 EUR"
    assert "nothing was metered" in page.text and "What it took" in page.text


def test_hours_in_shards_stand_with_the_shard_alone() -> None:
    unit, shard = accounting.Run(5.0, 4.0, inside=True), accounting.Run(12.0, 9.0, 500.0, cores=8, gpus=1)
    table = usage_table.usage_table(accounting.account({"predict: additive": [unit, unit], "shard": [shard]}))
    assert table is not None
    (_, method), (_, whole) = table.rows
    assert [cell.text for cell in method] == ["2", "10.0 s", "5.0 s", "\u2013", "8.0 s", *["in shards"] * 3]
    assert [cell.text for cell in whole[-3:]] == ["none", "12.0 s", "2.53 Wh"]
    assert table.total == whole
    assert "count once, as the shard" in table.caption


def test_what_slurm_charged_stands_below_what_the_jobs_measured(study: Findings) -> None:
    told = ("SLURM charged 12.0 s of GPU time (attempts: 3)", "of it 4.0 s of GPU time for attempts that failed (1)")
    page = report.render(replace(study, charged=told))
    assert "left out. SLURM charged 12.0 s of GPU time (attempts: 3). Of it 4.0 s of GPU time for attempts" in page


def test_a_study_without_run_times_has_no_table_of_them(study: Findings) -> None:
    assert usage_table.usage_table(accounting.Account()) is None
    assert "What it took" not in report.render(replace(study, account=accounting.Account()))


def test_predictions_for_a_dataset_that_is_not_in_the_study_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ReportError, match="'x', which is not among"):
        gather("t", "q", metrics=[], dataset_files=[], prediction_files={("x", "s", "m"): tmp_path / "p.csv"},
               provenance=Provenance("today"))  # fmt: skip


def test_ticks_are_round_and_inside() -> None:
    assert nice_ticks(0.02, 0.97) == [0.2, 0.4, 0.6, 0.8]
    assert nice_ticks(-3, 12, 3) == [0, 5, 10]
    assert nice_ticks(1.0, 1.0) == [1.0]
    for low, high in np.random.default_rng(0).normal(size=(200, 2)).cumsum(axis=1) * 1000:
        ticks = nice_ticks(min(low, high), max(low, high))
        assert 1 <= len(ticks) <= 6
        assert min(low, high) - 1e-6 <= min(ticks) and max(ticks) <= max(low, high) + 1e-6


def test_scale_maps_its_ends_and_a_logarithm_maps_ratios() -> None:
    scale = Scale(1, 100, 0, 200, logarithmic=True)
    assert [scale(at) for at in (1, 10, 100)] == pytest.approx([0, 100, 200])


def test_names_at_line_ends_never_touch_and_stay_when_far() -> None:
    assert spread([0, 100, 200], 10) == [0, 100, 200]
    placed = sorted(spread([50, 51, 49, 50, 80], 10))
    assert np.diff(placed).min() >= 10 - 1e-9
    assert np.mean(placed[:4]) == pytest.approx(50)


def test_the_farthest_variant_is_the_one_out_of_order() -> None:
    predicted = np.array([0.0, 1, 2, 3, 4, 5])
    measured = np.array([9.0, 1, 2, 3, 4, 5])
    assert farthest(Pairs(tuple("abcdef"), predicted, measured, 6), 1) == [0]


def test_a_learning_chart_has_a_place_for_no_variants_at_all_and_says_so() -> None:
    points = {0.0: Interval(0.2), 12.0: Interval(0.3), 48.0: Interval(0.4)}
    drawn = str(learning_chart([Series("zero", 0, points)], "Spearman", (0.0, 1.0), zero=True))
    assert drawn.count("<circle") == 3 and 'class="reference"' in drawn
    assert re.findall(r'class="tick middle">([^<]*)<', drawn) == ["0", "12", "48"]
    assert "0: 0.200, 12: 0.300" in drawn


def test_the_one_to_one_line_is_drawn_only_on_a_common_scale() -> None:
    pairs = Pairs(("a", "b"), np.array([0.0, 1.0]), np.array([0.5, 2.0]), 2)
    drawn = [str(scatter(pairs, 0, "", "label", same_scale=same)).count('class="reference"') for same in (True, False)]
    assert drawn == [1, 0]


def test_tags_escape_text_and_attributes() -> None:
    assert tag("g", "<&>", aria_label='"x"') == '<g aria-label="&#34;x&#34;">&lt;&amp;&gt;</g>'


def test_numbers_have_a_minus_and_unknown_ones_a_dash() -> None:
    assert [decimal(-0.1234), decimal(float("nan")), decimal(12345.6)] == ["\u22120.123", "\u2013", "12346"]


def test_the_questions_of_the_study_are_answered_from_its_metrics() -> None:
    found = demo([f"protein_{number}" for number in range(6)], ("additive", "fine_tune", "fine_tune_together"), size=40)
    together, best = found.verdicts
    values = found.metrics.query("metric == 'spearman' and split == 'random' and aggregation == 'fold'")
    means = values.groupby("method")["value"].mean()
    assert together.difference.value == pytest.approx(means["fine_tune_together"] - means["fine_tune"])
    assert best.answer.startswith(f"{means.idxmax()}, mean Spearman")


def test_a_method_whose_intervals_claim_too_much_is_named() -> None:
    table = demo(["x", "y"], ("additive", "transmep"), size=200)
    assert any(text.startswith("transmep is too sure of itself (random)") for text in table.warnings)
    assert not any(text.startswith("additive is too sure") for text in table.warnings)
