"""The report in a real browser: no complaint, every picture there, nothing sticks out, keys reach the tables."""

import pytest
from example_report import HOSTILE, example_report

from meddiff.reports.study import study_report
from meddiff.reports.write import write_report

IMAGES = "[...document.images].map(image => [image.complete, image.naturalWidth, image.clientWidth, image.alt])"
STICKING_OUT = """[...document.querySelectorAll("main *")]
    .filter(part => part.getBoundingClientRect().right > innerWidth + 1 && !part.closest(".scroll"))
    .map(part => part.outerHTML)"""


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    return write_report(study_report(example_report()), tmp_path_factory.mktemp("report"))[0]


@pytest.mark.parametrize("width", [400, 1600])
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_the_page_is_whole_at_every_width(browser, page, width, dark):
    browser.open(page, width=width, dark=dark)
    images = browser.evaluate(IMAGES)
    assert len(images) > 60
    assert all(complete and natural > 0 and shown >= 64 and alt for complete, natural, shown, alt in images)
    assert browser.evaluate("document.documentElement.scrollWidth") == width
    assert browser.evaluate(STICKING_OUT) == []
    assert browser.complaints() == []
    assert browser.requests() == [page.resolve().as_uri()]


def test_dark_is_dark_and_light_is_light(browser, page):
    brightness = []
    for dark in (False, True):
        browser.open(page, width=1000, dark=dark)
        color = browser.evaluate("getComputedStyle(document.body).backgroundColor")
        brightness.append(int(color.removeprefix("rgb(").split(",")[0]))
    assert brightness[0] > 230
    assert brightness[1] < 40


def test_text_is_large_enough_to_read_on_a_phone(browser, page):
    browser.open(page, width=400)
    sizes = browser.evaluate("""[...document.querySelectorAll("p, li, td, th, figcaption")].map(part =>
        parseFloat(getComputedStyle(part).fontSize))""")
    assert min(sizes) >= 12
    assert (
        browser.evaluate("Math.min(...[...document.querySelectorAll('main > section')].map(s => s.clientWidth))") > 350
    )


def test_a_hostile_class_name_runs_nothing(browser, page):
    browser.open(page, width=1000)
    assert browser.evaluate("document.title") == "[phantom] " + example_report().title
    assert HOSTILE in browser.evaluate("document.querySelector('#galleries').textContent")
    browser.evaluate("document.querySelector('#filter .mark').focus()")
    browser.press("ArrowLeft")
    assert browser.evaluate("document.querySelector('#filter .readout').textContent").startswith(HOSTILE)
    assert browser.evaluate("document.title") == "[phantom] " + example_report().title


def test_the_banner_stays_in_sight_and_pictures_are_stamped(browser, page):
    browser.open(page, width=1000)
    browser.evaluate("scrollTo({top: 3000, behavior: 'instant'})")
    assert browser.evaluate("document.querySelector('.banner').getBoundingClientRect().top") == 0
    stamp = "getComputedStyle(image.parentElement, '::after').content"
    assert browser.evaluate(f"[...document.images].every(image => {stamp} === '\"phantom\"')")


def test_the_keyboard_reaches_the_results_and_sorts_a_table(browser, page):
    browser.open(page, width=1600)
    browser.press("Tab")
    assert browser.evaluate("document.activeElement.className") == "skip"
    browser.evaluate("document.querySelectorAll('#numbers thead button')[1].focus()")
    rows = "[...document.querySelector('#numbers table').tBodies[0].rows]"
    column = f"{rows}.map(row => row.cells[1].firstChild.textContent.trim())"
    browser.press("Enter")
    assert browser.evaluate(column) == ["0.548", "0.612", "0.655", "0.683", "0.706"]
    browser.press("Enter")
    assert browser.evaluate(column) == ["0.706", "0.683", "0.655", "0.612", "0.548"]
    assert browser.evaluate("document.querySelectorAll('#numbers thead th')[1].ariaSort") == "descending"


def test_only_boxes_with_more_to_show_stop_the_keyboard(browser, page):
    boxes = """[...document.querySelectorAll('.scroll')].map(box =>
        [box.scrollWidth > box.clientWidth, box.hasAttribute('tabindex')])"""
    browser.open(page, width=400)
    narrow = browser.evaluate(boxes)
    assert any(wide for wide, _ in narrow)
    assert all(wide == reachable for wide, reachable in narrow)


def test_it_prints(browser, page, tmp_path):
    browser.open(page, width=1000)
    browser.pdf(tmp_path / "report.pdf")
    assert (tmp_path / "report.pdf").read_bytes().startswith(b"%PDF")
