"""The report of synthetic images in a real browser: faults named first, pairs side by side, nothing sticks out."""

import pytest
from example_images import example_image_report
from example_report import HOSTILE
from test_report_in_browser import IMAGES, STICKING_OUT

from meddiff.reports.images import image_report
from meddiff.reports.write import write_report


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    return write_report(image_report(example_image_report()), tmp_path_factory.mktemp("report"))[0]


@pytest.mark.parametrize(("width", "dark"), [(400, False), (400, True), (1600, False), (1600, True)])
def test_the_page_is_whole_at_every_width(browser, page, width, dark):
    browser.open(page, width=width, dark=dark)
    images = browser.evaluate(IMAGES)
    assert len(images) == 2 * 15 + 2 * 2 * 8
    assert all(complete and natural > 0 and shown >= 64 and alt for complete, natural, shown, alt in images)
    assert browser.evaluate("document.documentElement.scrollWidth") == width
    assert browser.evaluate(STICKING_OUT) == []
    assert browser.complaints() == []
    assert browser.requests() == [page.resolve().as_uri()]
    assert browser.evaluate("document.title") == "[phantom] Synthetic images of drawn against real"


def test_the_first_sentence_names_the_faults(browser, page):
    browser.open(page, width=1000)
    text = browser.evaluate("document.body.innerText")
    assert "The synthetic images show copies of training images, " in text
    assert "blur" in text.partition("The synthetic images show ")[2].partition(". ")[0]
    assert HOSTILE in browser.evaluate("document.querySelector('#memorization').textContent")


def test_pairs_stand_side_by_side(browser, page):
    browser.open(page, width=400)
    tops = browser.evaluate("""[...document.querySelectorAll('.pairs .beside')].map(pair =>
        [...pair.querySelectorAll('img')].map(image => [image.getBoundingClientRect().top,
                                                        image.getBoundingClientRect().left]))""")
    assert len(tops) == 2 * 8
    for (top, left), (other_top, other_left) in tops:
        assert top == pytest.approx(other_top, abs=1)
        assert other_left > left + 60
