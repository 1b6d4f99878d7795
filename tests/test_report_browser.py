"""The page in a real browser: it opens without a complaint, asks for nothing, and answers to mouse and keyboard."""

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from chromium import REQUIRED, Browser, executable
from made_up_study import EVIL, METHODS, demo
from multimep import report, twin
from multimep.findings import Findings, Provenance
from multimep.leaks import Finding

TABLE = ".scores:not([hidden] *)"
MAP = "#portraits [data-map=measured] svg"
CLOUD = "#portraits [data-plot=cloud] svg"
FIRST = f"[...document.querySelectorAll('{TABLE} tbody tr:not([hidden]) th')].map((head) => head.textContent)"
MEANS = f"[...document.querySelectorAll('{TABLE} tbody td.mean')].map((cell) => parseFloat(cell.dataset.value))"
TIP = "document.getElementById('tip').classList.contains('shown') && document.getElementById('tip').textContent"


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """One browser for all tests; skips where there is none, fails where MULTIMEP_BROWSER=required."""
    found = Browser(tmp_path_factory.mktemp("browser"))
    yield found
    found.close()


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of a study with a dataset whose name is a script."""
    written = tmp_path_factory.mktemp("page") / "report.html"
    report.write(demo(["first_protein", EVIL], METHODS[:4], size=120), written)
    return written


@pytest.fixture
def page(browser: Browser, path: Path) -> Browser:
    """The page, opened anew."""
    browser.open(path)
    return browser


ATTACKS = (
    "<script>window.hacked = 1</script>",
    "</script><script>window.hacked = 2</script>",
    "\"><img src=x onerror='window.hacked = 3'>",
    "' onmouseover='window.hacked = 4' x='",
    "</style></svg></title><iframe src='javascript:parent.hacked = 5'></iframe>",
    "]]><!-- {{ 7 * 7 }} \u2028 javascript:window.hacked=6",
)
DESCRIBED = ("group", "target", "unit", "licence", "citation")


def attacked() -> Findings:
    """A study in which every text that comes from a file or a configuration is an attack."""
    found = demo([EVIL, ATTACKS[2]], METHODS[:2], size=60)
    records = tuple(
        replace(
            record, **dict(zip(DESCRIBED, ATTACKS, strict=False)), notes=ATTACKS, dropped=dict.fromkeys(ATTACKS, 1),
            sha256=dict.fromkeys(ATTACKS, ATTACKS[0]), simulated=False,
        )
        for record in found.records
    )  # fmt: skip
    told = dict.fromkeys(ATTACKS, ATTACKS[1])
    provenance = Provenance(ATTACKS[0], told, told, told, told, "\n".join(ATTACKS))
    leaks = tuple(Finding(text, text, "leak", text) for text in ATTACKS)
    return replace(
        found, title=ATTACKS[0], question=ATTACKS[1], records=records, provenance=provenance, leaks=leaks,
        charged=ATTACKS,
    )  # fmt: skip


def test_no_text_of_a_file_becomes_a_part_of_the_page(browser: Browser, tmp_path: Path) -> None:
    found = attacked()
    report.write(found, tmp_path / "report.html")
    browser.open(tmp_path / "report.html")
    assert browser.complaints == []
    assert browser.requests == [(tmp_path / "report.html").as_uri()]
    assert browser.evaluate("window.hacked === undefined")
    picture = "img:not([src^='data:image/svg+xml;base64,'])"  # which runs no script
    kinds = f"{picture}, iframe, object, embed, [onerror], [onmouseover], [onload]"
    foreign = f"document.querySelectorAll({json.dumps(kinds)}).length"
    assert browser.evaluate(foreign) == 0
    data = "[...document.scripts].filter((one) => one.type == 'application/json').map((one) => JSON.parse(one.text))"
    assert len(browser.evaluate(data)) == len(found.portraits)
    assert browser.evaluate("document.scripts.length") == 1 + len(found.portraits)
    assert browser.evaluate("document.title") == ATTACKS[0]
    shown = re.sub(r"\s+", " ", browser.evaluate("document.body.textContent"))
    for text in ATTACKS:
        assert re.sub(r"\s+", " ", text) in shown
    browser.click(f"{TABLE} th.mean button")
    page_of_svg = "[...document.querySelectorAll('svg')].every((one) => !one.querySelector('script, foreignObject'))"
    assert browser.evaluate(page_of_svg)
    assert browser.evaluate("window.hacked === undefined") and browser.complaints == []


def texts(value: object) -> Iterator[str]:
    """All texts in plain data, names of values too."""
    if isinstance(value, str):
        yield value
    for one in [*value, *value.values()] if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from texts(one)


def test_the_data_beside_the_page_say_an_attack_as_it_is(tmp_path: Path) -> None:
    twin.write(attacked(), tmp_path / "report.json")
    told = set(texts(json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))))
    assert told.issuperset(ATTACKS)


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [1280, 420])
def test_the_page_opens_without_a_complaint_asks_for_nothing_and_is_no_wider_than_the_window(
    browser: Browser, path: Path, width: int, dark: bool
) -> None:
    browser.open(path, width=width, dark=dark)
    assert browser.complaints == []
    assert browser.requests == [path.as_uri()]
    assert browser.evaluate("document.documentElement.scrollWidth <= innerWidth")
    paper = browser.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, re.findall(r"\d+", paper))) < 384) == dark


def test_a_script_that_is_not_the_page_s_own_does_not_run(page: Browser) -> None:
    page.evaluate("document.body.append(Object.assign(document.createElement('script'), {text: 'window.ran = true'}))")
    assert page.evaluate("window.ran === undefined")
    assert any("Content Security Policy" in text for text in page.complaints)


def test_a_click_on_a_column_sorts_by_it_and_a_second_one_turns_the_order_round(page: Browser) -> None:
    button = f"{TABLE} th.mean button"
    page.click(button)
    down = page.evaluate(MEANS)
    assert down == sorted(down, reverse=True) and len(set(down)) == 4
    assert page.evaluate(f"document.querySelector('{TABLE} th.mean').ariaSort") == "descending"
    page.click(button)
    assert page.evaluate(MEANS) == down[::-1]
    assert page.evaluate(f"document.querySelector('{TABLE} th.mean').ariaSort") == "ascending"


def test_the_keyboard_sorts_too(page: Browser) -> None:
    page.evaluate(f"document.querySelector('{TABLE} th button').focus()")
    page.press("Enter", "\r")
    assert page.evaluate(FIRST) == sorted(METHODS[:4])
    page.press("Tab")
    page.press("Enter", "\r")
    means = page.evaluate(MEANS)
    assert means == sorted(means, reverse=True)


def test_words_filter_the_rows_and_the_count_is_told(page: Browser) -> None:
    page.click(".chooser [type=search]")
    page.write("one ridge")
    assert page.evaluate(FIRST) == ["one_hot_ridge"]
    assert page.evaluate("document.querySelector('.chooser output').value") == "1 of 4"


def test_another_metric_shows_its_table(page: Browser) -> None:
    page.evaluate(
        "{const all = document.getElementById('metric'); all.value = 'rmse'; all.dispatchEvent(new Event('change'))}"
    )
    shown = "[...document.querySelectorAll('[data-metric]:not([hidden])')].map((table) => table.dataset.metric)"
    assert page.evaluate(shown) == ["rmse"]


def test_the_pointer_over_a_cell_of_the_heat_map_tells_its_values(page: Browser) -> None:
    right, down = page.evaluate(
        f"""(picture => {{
            picture.scrollIntoView({{block: "center", behavior: "instant"}});
            const [x, y] = pointsOf(picture)[5], box = picture.getBoundingClientRect();
            return [box.x + x, box.y + y];
        }})(document.querySelector("{MAP}"))"""
    )
    page.move(right, down)
    mutant = r"[A-Z]\d+[A-Z]: measured \S+, predicted \S+ \u00b1 \S+"
    assert re.fullmatch(mutant, page.evaluate(TIP))
    page.move(2, 2)
    assert page.evaluate(TIP) is False


@pytest.mark.parametrize("plot", [MAP, CLOUD, "#curves svg", "#calibration svg"])
def test_arrow_keys_step_through_the_values_of_a_plot(page: Browser, plot: str) -> None:
    page.evaluate(f"document.querySelector('{plot}').focus()")
    told = []
    for _ in range(3):
        page.press("ArrowRight")
        told.append(page.evaluate(TIP))
    assert all(told) and len(set(told)) > 1
    page.press("Escape")
    assert page.evaluate(TIP) is False
    assert page.complaints == []


def test_the_switch_shows_one_heat_map_at_a_time(page: Browser) -> None:
    shown = "[...document.querySelectorAll('.portrait[open] [data-map]:not([hidden])')].map((map) => map.dataset.map)"
    assert page.evaluate(shown) == ["measured"]
    page.click(".switch input[value=std]")
    assert page.evaluate(shown) == ["std"]


@pytest.mark.parametrize(("kind", "begins"), [("svg", b"<svg"), ("png", b"\x89PNG")])
def test_a_plot_is_saved_as_a_file_of_its_own(page: Browser, kind: str, begins: bytes) -> None:
    for old in page.folder.glob(f"*.{kind}"):
        old.unlink()
    page.click(f"#portraits [data-plot=map] [data-save={kind}]")
    page.wait(lambda: any(one.stat().st_size for one in page.folder.glob(f"*.{kind}")))
    (found,) = page.folder.glob(f"*.{kind}")
    content = found.read_bytes()
    assert content.startswith(begins)
    if kind == "svg":
        assert b"var(" not in content and b"<rect" in content and b"stroke: rgb" in content.replace(b":", b": ")
    assert page.complaints == []


def test_on_paper_everything_that_is_folded_is_open(page: Browser, tmp_path: Path) -> None:
    before = page.evaluate("document.querySelectorAll('details:not([open])').length")
    page.pdf(tmp_path / "report.pdf")
    assert (tmp_path / "report.pdf").read_bytes().startswith(b"%PDF")
    page.ask("Emulation.setEmulatedMedia", media="print")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert page.evaluate("document.querySelectorAll('details:not([open])').length") == 0
    hidden = (
        "[...document.querySelectorAll('[data-map], .picks, pre')].filter((one) => !one.getClientRects().length).length"
    )
    assert page.evaluate(hidden) == 0
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    page.ask("Emulation.setEmulatedMedia", media="")
    assert page.evaluate("document.querySelectorAll('details:not([open])').length") == before > 0


def test_every_control_has_a_name_and_can_be_reached(page: Browser) -> None:
    nameless = """[...document.querySelectorAll("button, input, select, [tabindex='0']")].filter((one) =>
        !(one.ariaLabel || one.textContent.trim() || (one.labels && one.labels.length)) || one.tabIndex < 0).length"""
    assert page.evaluate(nameless) == 0


def test_a_missing_browser_skips_with_its_remedy_and_fails_where_one_is_required(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv(REQUIRED, raising=False)
    with pytest.raises(pytest.skip.Exception, match="apt-get install chromium"):
        executable()
    monkeypatch.setenv(REQUIRED, "required")
    with pytest.raises(pytest.fail.Exception, match="no Chromium on the path"):
        executable()
