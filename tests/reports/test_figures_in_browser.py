"""Figures that answer and pictures that grow, in a real browser: by keys and pointer, in the dark, on paper."""

import pytest
from example_report import example_report
from example_segmentation import example_content

from meddiff.reports.masks import mask_report
from meddiff.reports.results import mask_results
from meddiff.reports.study import study_report
from meddiff.reports.write import write_report

VALUES = "[...document.querySelectorAll('.rows .value')].map((v) => v.textContent.trim().replace(/\\s+/g, ' '))"
SAID = "document.querySelector('.rows .readout').textContent"
MARKS = """[...document.querySelectorAll(".drawing")].map((figure) => {
    const strips = [...figure.querySelectorAll(".strip > svg")].map((svg) => svg.getBoundingClientRect());
    return [...figure.querySelectorAll(".mark")].map((mark) => {
        const part = (mark.querySelector("circle, rect")).getBoundingClientRect();
        return strips.some((box) => part.left >= box.left - 6 && part.right <= box.right + 6
            && part.top >= box.top - 6 && part.bottom <= box.bottom + 6); }); })"""


@pytest.fixture(scope="module", params=["study", "segmentation"])
def page(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("report")
    if request.param == "study":
        return write_report(study_report(example_report()), folder)[0]
    return write_report(mask_report(mask_results(**example_content())), folder)[0]


@pytest.mark.parametrize(("width", "dark"), [(400, True), (1600, False)])
def test_every_mark_stands_inside_its_figure(browser, page, width, dark):
    browser.open(page, width=width, dark=dark)
    inside = browser.evaluate(MARKS)
    assert len(inside) >= 6
    assert all(marks and all(marks) for marks in inside)
    assert browser.evaluate("document.documentElement.scrollWidth") == width
    colors = """[...document.querySelectorAll(".rows li .mark circle")].map((dot) => getComputedStyle(dot).fill)"""
    assert set(browser.evaluate(colors)) == ({"rgb(165, 171, 179)", "rgb(92, 184, 214)"} if dark else
                                             {"rgb(93, 100, 109)", "rgb(10, 108, 140)"})  # fmt: skip
    assert browser.complaints() == []
    assert browser.requests() == [page.resolve().as_uri()]


def test_arrow_keys_tell_the_marks(browser, page):
    browser.open(page, width=1000)
    browser.evaluate("document.querySelector('.rows .mark').focus()")
    assert browser.evaluate(SAID).endswith(browser.evaluate(VALUES)[0])
    for key, row in (("ArrowRight", 1), ("ArrowRight", 2), ("ArrowLeft", 1)):
        browser.press(key)
        assert browser.evaluate(SAID).endswith(browser.evaluate(VALUES)[row])
        assert browser.evaluate("document.activeElement.getAttribute('aria-label')") == browser.evaluate(SAID)
    box = "document.querySelector('.rows .readout').getBoundingClientRect()"
    assert browser.evaluate(f"{box}.width") > 40
    assert browser.evaluate(f"{box}.right") <= 1000
    browser.evaluate("document.activeElement.blur()")
    assert browser.evaluate(f"{box}.width") == 0, "nothing is told of a mark that is left"


def test_tab_stops_once_in_a_figure(browser, page):
    browser.open(page, width=1000)
    browser.evaluate("document.querySelector('.rows .mark').focus()")
    browser.press("ArrowRight")
    stops = """[...document.querySelectorAll('.drawing')].map((figure) =>
        [...figure.querySelectorAll('.mark')].filter((mark) => mark.tabIndex === 0).length)"""
    assert set(browser.evaluate(stops)) == {1}


def test_the_pointer_tells_the_nearest_mark(browser, page):
    browser.open(page, width=1000)
    for figure in (".rows", ".plot"):
        place = f"""(() => {{ const figure = document.querySelector('{figure}');
            figure.scrollIntoView({{behavior: 'instant', block: 'center'}});
            const box = figure.querySelectorAll('.mark')[1].querySelector('circle, rect').getBoundingClientRect();
            return [box.left + box.width / 2, box.top + box.height / 2]; }})()"""
        x, y = browser.evaluate(place)
        browser.send("Input.dispatchMouseEvent", type="mouseMoved", x=x + 4, y=y + 3)
        browser.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
        told = f"document.querySelector('{figure} .readout:not([hidden])')?.textContent"
        label = f"document.querySelectorAll('{figure} .mark')[1].getAttribute('aria-label')"
        assert browser.evaluate(told) == browser.evaluate(label)
    browser.send("Input.dispatchMouseEvent", type="mouseMoved", x=1, y=1)
    assert browser.complaints() == []


def test_a_picture_opens_large_and_the_keys_go_through_its_neighbors(browser, page):
    browser.open(page, width=1000)
    browser.evaluate("document.querySelector('button.zoom').focus()")
    browser.press("Enter")
    picture = "document.querySelector('dialog[open] span').firstElementChild"
    name = "(p => p.alt ?? p.getAttribute('aria-label'))"
    assert browser.evaluate(f"{picture}.clientHeight") >= 600
    first = browser.evaluate(f"{name}({picture})")
    assert first == browser.evaluate(f"{name}(document.querySelector('button.zoom').firstElementChild)")
    assert browser.evaluate(f"getComputedStyle({picture}.parentElement, '::after').content") == '"phantom"'
    browser.press("ArrowRight")
    assert browser.evaluate(f"{name}({picture})") != first
    browser.press("ArrowLeft")
    assert browser.evaluate(f"{name}({picture})") == first
    browser.press("Escape")
    assert browser.evaluate("document.querySelector('dialog[open]')") is None
    assert browser.evaluate("document.activeElement.classList.contains('zoom')"), "back where one was"
    assert browser.complaints() == []


def test_on_paper_the_drawings_stand_alone(browser, page):
    browser.open(page, width=1000)
    browser.evaluate("document.querySelector('.rows .mark').focus()")
    shown = """[getComputedStyle(document.querySelector(".rows .strip svg")).visibility,
        getComputedStyle(document.querySelector(".rows .readout")).display]"""
    assert browser.evaluate(shown) == ["visible", "block"]
    browser.send("Emulation.setEmulatedMedia", media="print")
    assert browser.evaluate(shown) == ["visible", "none"]
    browser.send("Emulation.setEmulatedMedia", media="")


def test_without_scripts_the_page_shows_the_same(browser, page):
    browser.send("Emulation.setScriptExecutionDisabled", value=True)
    try:
        browser.open(page, width=1000)
        drawing = "getComputedStyle(document.querySelector('.rows .strip svg')).visibility"
        assert browser.evaluate(drawing) == "visible"
        assert browser.evaluate("document.querySelectorAll('.rows circle').length") >= 6
        titles = "[...document.querySelectorAll('.mark')].every((mark) => mark.querySelector('title').textContent)"
        assert browser.evaluate(titles), "a pointer is told without a script too"
    finally:
        browser.send("Emulation.setScriptExecutionDisabled", value=False)


def test_the_page_is_light(page):
    assert page.stat().st_size < 1_000_000
