"""The segmentation's report in a real browser: no complaint, pictures there, nothing sticks out, tables sort."""

import pytest
from example_segmentation import example_content
from test_report_in_browser import STICKING_OUT

from meddiff.reports.masks import mask_report
from meddiff.reports.results import mask_results
from meddiff.reports.write import write_report

TILES = """Promise.all([...document.querySelectorAll(".tile svg[role=img]")].map(async (tile) => {
    const other = tile.querySelector("use")?.getAttribute("href");
    const inside = other ? document.querySelector(other) : tile.querySelector("image");
    const image = new Image();
    image.src = inside.href.baseVal;
    await image.decode();
    return [image.complete, image.naturalWidth, tile.clientWidth, tile.getAttribute("aria-label")]; }))"""


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    return write_report(mask_report(mask_results(**example_content())), tmp_path_factory.mktemp("report"))[0]


@pytest.mark.parametrize(("width", "dark"), [(400, False), (1400, True)])
def test_the_page_is_whole_at_every_width(browser, page, width, dark):
    browser.open(page, width=width, dark=dark)
    images = browser.evaluate(TILES)
    assert len(images) == 5 * 4
    assert all(complete and natural > 0 and shown >= 150 and alt for complete, natural, shown, alt in images)
    assert browser.evaluate("document.documentElement.scrollWidth") == width
    assert browser.evaluate(STICKING_OUT) == []
    assert browser.complaints() == []
    assert browser.requests() == [page.resolve().as_uri()]
    assert browser.evaluate("document.title") == "[phantom] Drawn lesions, test split"


def test_lines_are_drawn_where_they_belong(browser, page):
    browser.open(page, width=1000)
    boxes = browser.evaluate("""[...document.querySelectorAll('.plot .strip:not(.bare) > svg')].map(plot => {
        const frame = plot.getBoundingClientRect(), lines = [...plot.querySelectorAll('polyline')];
        return lines.map(line => { const box = line.getBoundingClientRect();
            return [box.width / frame.width, box.top - frame.top, frame.bottom - box.bottom]; }); })""")
    assert len(boxes) == 3, "risk and coverage, and a diagram for each class"
    for lines in boxes:
        assert len(lines) == 3
        for width, above, below in lines:
            assert 0.7 < width <= 1.02
            assert above > -4
            assert below > -4


def test_the_keyboard_sorts_the_worst_cases(browser, page):
    browser.open(page, width=1400)
    browser.evaluate("document.querySelector('#cases > details').open = true")
    table = "[...document.querySelectorAll('#cases table')].at(-1)"
    column = f"[...{table}.tBodies[0].rows].map(row => Number(row.cells[2].textContent))"
    assert browser.evaluate(column) == sorted(browser.evaluate(column))
    browser.evaluate(f"{table}.querySelectorAll('thead button')[2].focus()")
    browser.press("Enter")
    browser.press("Enter")
    assert browser.evaluate(column) == sorted(browser.evaluate(column), reverse=True)


def test_it_prints(browser, page, tmp_path):
    browser.open(page, width=1000)
    browser.pdf(tmp_path / "report.pdf")
    assert (tmp_path / "report.pdf").read_bytes().startswith(b"%PDF")
