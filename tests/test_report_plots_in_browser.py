"""Figures that answer and pictures that grow, in a real browser: by keys, in the dark, on a phone, on paper."""

import pytest
from example_report import example_report
from example_segmentation import example_content

from meddiff.report import write_report
from meddiff.segmentation_report import write_segmentation_report

SCROLLED = """(async () => {
    for (let y = 0; y < document.documentElement.scrollHeight; y += 500) {
        scrollTo({top: y, behavior: "instant"});
        await new Promise((done) => setTimeout(done, 50));
    }
    const late = () => [...document.querySelectorAll("figure[data-plot]:not(.live)")].filter((f) => f.clientWidth);
    for (let i = 0; i < 200 && late().length; i++) await new Promise((done) => setTimeout(done, 100));
    return late().length; })()"""
DRIFT = """(() => {
    const middle = ({x, y, width, height}) => [x + width / 2, y + height / 2];
    const drift = (...dots) => {
        const [ours, theirs] = dots.map((dot) => middle(dot.getBoundingClientRect()));
        return Math.hypot(ours[0] - theirs[0], ours[1] - theirs[1]); };
    return [...document.querySelectorAll(".forest.live")].flatMap((figure) => {
        const rows = (kind) => [...figure.querySelectorAll(`li${kind} circle`)];
        const drawn = [...figure.querySelectorAll(".interactive .scatterlayer .points path")];
        return [...rows(":not(.synthetic)"), ...rows(".synthetic")].map((dot, at) => drift(dot, drawn[at]));
    }); })()"""


@pytest.fixture(scope="module", params=["study", "segmentation"])
def page(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("report")
    if request.param == "study":
        return write_report(example_report(), folder)[0]
    return write_segmentation_report(folder, **example_content())[0]


@pytest.mark.parametrize(("width", "dark"), [(400, True), (1600, False)])
def test_every_figure_comes_to_life_where_its_drawing_stood(browser, page, width, dark):
    browser.open(page, width=width, dark=dark)
    assert browser.evaluate("typeof Plotly") == "undefined", "the library waits for the first figure in sight"
    assert browser.evaluate(SCROLLED) == 0
    drift = browser.evaluate(DRIFT)
    assert len(drift) >= 6
    assert max(drift) < 1.5, "pixels between the dot of the drawing and that of plotly"
    assert browser.evaluate("document.documentElement.scrollWidth") == width
    colors = """[...document.querySelectorAll(".forest.live .points path")].map((dot) => getComputedStyle(dot).fill)"""
    assert set(browser.evaluate(colors)) == ({"rgb(165, 171, 179)", "rgb(92, 184, 214)"} if dark else
                                             {"rgb(93, 100, 109)", "rgb(10, 108, 140)"})  # fmt: skip
    assert browser.complaints() == []
    assert browser.requests() == [page.resolve().as_uri()]


def test_arrow_keys_tell_the_points_and_plus_zooms(browser, page):
    browser.open(page, width=1000)
    assert browser.evaluate(SCROLLED) == 0
    browser.evaluate("document.querySelector('.forest .interactive').focus()")
    said = "document.querySelector('.forest .said').textContent"
    values = "[...document.querySelectorAll('.forest .value')].map((v) => v.textContent.trim().replace(/\\s+/g, ' '))"
    for row in (0, 1):
        browser.press("ArrowRight")
        assert browser.evaluate(said).endswith(browser.evaluate(values)[row])
    span = "(([low, high]) => high - low)(document.querySelector('.forest .interactive').layout.xaxis.range)"
    whole = browser.evaluate(span)
    browser.press("+")
    assert browser.evaluate(span) == pytest.approx(whole / 2)
    browser.press("0")
    assert browser.evaluate(span) == pytest.approx(whole)
    label = browser.evaluate("document.activeElement.getAttribute('aria-label')")
    assert "Arrow keys go through the points" in label


def test_a_picture_opens_large_and_the_keys_go_through_its_neighbors(browser, page):
    browser.open(page, width=1000)
    browser.evaluate("document.querySelector('button.zoom').focus()")
    browser.press("Enter")
    picture = "document.querySelector('dialog[open] img')"
    assert browser.evaluate(f"{picture}.clientHeight") >= 600
    first = browser.evaluate(f"{picture}.alt")
    assert first == browser.evaluate("document.querySelector('button.zoom img').alt")
    assert browser.evaluate(f"getComputedStyle({picture}.parentElement, '::after').content") == '"phantom"'
    browser.press("ArrowRight")
    assert browser.evaluate(f"{picture}.alt") != first
    browser.press("ArrowLeft")
    assert browser.evaluate(f"{picture}.alt") == first
    browser.press("Escape")
    assert browser.evaluate("document.querySelector('dialog[open]')") is None
    assert browser.evaluate("document.activeElement.classList.contains('zoom')"), "back where one was"
    assert browser.complaints() == []


def test_on_paper_the_drawings_stand_again(browser, page):
    browser.open(page, width=1000)
    assert browser.evaluate(SCROLLED) == 0
    shown = """[getComputedStyle(document.querySelector(".live .strip svg")).visibility,
        getComputedStyle(document.querySelector(".live .interactive")).display]"""
    assert browser.evaluate(shown) == ["hidden", "block"]
    browser.send("Emulation.setEmulatedMedia", media="print")
    assert browser.evaluate(shown) == ["visible", "none"]
    browser.send("Emulation.setEmulatedMedia", media="")


def test_without_scripts_the_page_shows_the_same(browser, page):
    browser.send("Emulation.setScriptExecutionDisabled", value=True)
    try:
        browser.open(page, width=1000)
        drawing = "getComputedStyle(document.querySelector('.forest .strip svg')).visibility"
        assert browser.evaluate(drawing) == "visible"
        assert browser.evaluate("document.querySelectorAll('.forest circle').length") >= 6
    finally:
        browser.send("Emulation.setScriptExecutionDisabled", value=False)
