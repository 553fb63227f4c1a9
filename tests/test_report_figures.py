"""What the page hands to plotly is what plotly takes: its own Python library checks every property."""

import json
import re
from html import unescape

import numpy as np
import plotly.graph_objects as go
import pytest
from example_report import HOSTILE, example_report
from example_segmentation import example_content

from meddiff.report import write_report
from meddiff.reporting.forest import Interval, forest
from meddiff.reporting.interactive import shares_figure
from meddiff.reporting.plot import Series, dice_histogram, lines_plot
from meddiff.segmentation_report import write_segmentation_report


@pytest.mark.parametrize("kind", ["study", "segmentation"])
def test_plotly_takes_every_figure_of_a_page(tmp_path, kind):
    page = write_report(example_report(), tmp_path)[0] if kind == "study" else (
        write_segmentation_report(tmp_path, **example_content())[0])  # fmt: skip
    found = re.findall(r"data-plot='([^']*)'", page.read_text(encoding="utf-8"))
    assert len(found) >= 9
    for text in found:
        figure = json.loads(unescape(text), parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
        made = go.Figure(figure)  # ValueError for a property that plotly does not have
        assert made.data
        assert all(len(trace.x) == len(trace.y) == len(trace.customdata) for trace in made.data)
        assert HOSTILE not in text
        assert all("<script" not in told for trace in made.data for told in trace.customdata)


def test_intervals_by_pencil():
    intervals = [Interval("a", 0.5, 0.2, 0.9), Interval("b", 0.7, np.nan, np.nan, True), Interval("c", np.nan, 0, 1)]
    plain, emphasized = forest("t", intervals, reference=0.5).figure["data"]
    assert (plain["x"], plain["y"]) == ([0.5], [0])
    assert plain["error_x"]["array"] == pytest.approx([0.4])
    assert plain["error_x"]["arrayminus"] == pytest.approx([0.3])
    assert (emphasized["x"], emphasized["y"]) == ([0.7], [1])
    assert emphasized["error_x"]["array"] == [0.0], "no whisker where the ends are unknown, and no row for c"


def test_lines_bars_and_shares_have_the_numbers_of_the_drawing():
    plot = lines_plot("p", [Series("a", np.array([0.0, 1.0]), np.array([0.25, 2.0]))], x_title="x", y_title="y",
                      x_domain=(0, 1))  # fmt: skip
    assert (plot.figure["data"][0]["x"], plot.figure["data"][0]["y"]) == ([0.0, 1.0], [0.25, 2.0])
    assert plot.numbers is not None
    assert [cell.text for cell in plot.numbers.rows[1]] == ["a", "1.00", "2.00"]
    bars = dice_histogram("h", np.array([0.0, 0.79, 1.0, 1.0]), failed_below=0.8).figure["data"][0]
    assert bars["y"] == [1, 1, 2]
    assert bars["marker"]["color"] == ["var(--copy)", "var(--copy)", "var(--accent)"]
    shares = shares_figure([((75.0, 25.0), ("kept", "dropped"))], ("var(--accent)", "var(--copy)"))
    assert [trace["x"] for trace in shares["data"]] == [[75.0], [25.0]]
