"""Figures: where marks stand, by pencil; each says what it shows; the drawing has the numbers of the data."""

import math
import re
from html import unescape

import numpy as np
import pytest
from example_report import HOSTILE, example_report
from example_segmentation import example_content

from meddiff.reports import words
from meddiff.reports.figures import (
    MARGIN,
    Bar,
    Dot,
    Figure,
    Interval,
    Line,
    Series,
    Share,
    bars,
    draw,
    forest,
    histogram,
    lines,
    nice_ticks,
)
from meddiff.reports.masks import mask_report
from meddiff.reports.results import mask_results
from meddiff.reports.study import study_report
from meddiff.reports.write import as_html


def dots(figure: Figure) -> list[Dot]:
    return [shape for strip in figure.strips for shape in strip.shapes if isinstance(shape, Dot)]


@pytest.mark.parametrize("kind", ["study", "segmentation"])
def test_every_mark_of_a_page_says_what_it_shows(kind):
    report = study_report(example_report()) if kind == "study" else mask_report(mask_results(**example_content()))
    page = as_html(report)
    said = [unescape(text) for text in re.findall(r'<g class="mark [a-z ]+"><title>([^<]*)</title>', page)]
    assert len(said) == page.count('class="mark ') > 60
    assert all(re.search(r"\d", text) for text in said)
    assert HOSTILE not in page
    assert not re.search(r'="[^"]*\bnan\b', re.sub(r"data:[^\"]*", "", page))


def test_a_forest_plot_by_pencil():
    plot = forest("t", [Interval("a", 0.5, 0.25, 1.0), Interval("b", math.nan, math.nan, math.nan)], domain=(0.0, 1.0))
    inner = 100 - 2 * MARGIN
    first, second = dots(plot)
    assert (first.low, first.x) == (MARGIN + inner / 4, 50.0)
    assert first.high == 100 - MARGIN
    assert plot.strips[0].text == "0.500"
    assert plot.strips[0].detail == "[0.250, 1.000]"
    assert first.text == "a: 0.500 [0.250, 1.000]"
    assert second.x is None
    assert plot.strips[1].text == words.ABSENT
    assert "circle" not in draw(plot, plot.strips[1]), "nothing stands where nothing is known"


def test_a_forest_plot_covers_what_it_shows():
    plot = forest("t", [Interval("a", 0.97, 0.9, 1.0)], (0.0, 1.0), reference=0.7)
    values = [dots(plot)[0].low, dots(plot)[0].high, plot.reference, *(position for position, _ in plot.x_ticks)]
    assert all(value is not None and MARGIN <= value <= 100 - MARGIN for value in values)
    assert forest("t", []).strips == ()


def test_intervals_without_ends_have_no_whisker():
    intervals = [Interval("a", 0.5, 0.2, 0.9), Interval("b", 0.7, np.nan, np.nan, True), Interval("c", np.nan, 0, 1)]
    plot = forest("t", intervals, reference=0.5)
    drawn = [draw(plot, strip) for strip in plot.strips]
    assert ["whisker" in svg for svg in drawn] == [True, False, False]
    assert ["<circle" in svg for svg in drawn] == [True, True, False]
    assert [strip.color for strip in plot.strips] == ["plain", "accent", "plain"]


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [(0, 1, [0, 0.2, 0.4, 0.6, 0.8, 1.0]), (0.53, 0.71, [0.55, 0.6, 0.65, 0.7]), (-120, 40, [-100, -50, 0])],
)
def test_ticks_are_round(low, high, ticks):
    assert nice_ticks(low, high) == pytest.approx(ticks)


def test_lines_by_pencil():
    series = Series("a", np.array([0.0, 1.0]), np.array([0.0, 2.0]), dots=True)
    plot = lines("p", [series], axes=("x", "y"), x_domain=(0, 1), y_domain=(0, 4))
    line = plot.strips[0].shapes[0]
    assert isinstance(line, Line)
    assert line.points == ((0.0, 100.0), (100.0, 50.0))
    assert 'points="0.00,100.00 100.00,50.00"' in draw(plot, plot.strips[0])
    assert [(dot.x, dot.y) for dot in dots(plot)] == [(0.0, 100.0), (100.0, 50.0)]
    assert dots(plot)[1].text == "a: x 1.00, y 2.00"
    assert not dots(plot)[0].quiet


def test_lines_list_their_numbers_and_a_long_one_has_some_marks():
    plot = lines("p", [Series("a", np.array([0.0, 1.0]), np.array([0.25, 2.0]))], axes=("x", "y"),
                 x_domain=(0, 1))  # fmt: skip
    assert plot.numbers is not None
    assert [cell.text for cell in plot.numbers.rows[1]] == ["a", "1.00", "2.00"]
    long = np.linspace(1, 9, 5000)
    plot = lines("p", [Series("a", long, long)], axes=("x", "y"), x_domain=(1, 9), logarithmic=True)
    assert len(dots(plot)) <= 40
    assert all(dot.quiet for dot in dots(plot))
    at = {text: place for place, text in plot.y_ticks}
    steps = (at["2"] - at["5"]) / (at["1"] - at["2"])
    assert steps == pytest.approx(math.log(2.5) / math.log(2), abs=1e-3), "as far as their logarithms"


def test_histograms_by_pencil():
    plot = histogram("h", np.array([0.0, 0.79, 0.8, 1.0, 1.0]), failed_below=0.8)
    boxes = [shape for shape in plot.strips[0].shapes if isinstance(shape, Bar)]
    assert {round(box.x): box.height for box in boxes} == {0: 50, 75: 50, 80: 50, 95: 100}
    assert [box.color for box in boxes if round(box.x) in (75, 80)] == ["copy", "accent"]
    assert "2 of 5 cases under 0.8" in plot.aside
    assert boxes[-1].text == "2 cases: Dice from 0.95 to 1.00"
    assert plot.reference == pytest.approx(80)
    assert plot.numbers is not None
    assert [cell.text for cell in plot.numbers.rows[-1]] == ["0.95", "1.00", "2"]


def test_stacked_bars_stand_one_behind_the_other():
    plot = bars("b", [("a", "3 of 4", [Share(75.0, "kept", "accent"), Share(0, "none", "confidence"),
                                       Share(25.0, "dropped", "copy")])], ())  # fmt: skip
    boxes = [shape for shape in plot.strips[0].shapes if isinstance(shape, Bar)]
    inner = 100 - 2 * MARGIN
    assert [box.text for box in boxes] == ["kept", "dropped"], "nothing is drawn of nothing"
    assert [box.x for box in boxes] == [MARGIN, MARGIN + 0.75 * inner]
    assert [box.width for box in boxes] == [0.75 * inner, 0.25 * inner]
