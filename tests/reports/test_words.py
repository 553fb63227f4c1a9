"""Where a headline says that nothing can be judged, no cell beside it prints an interval."""

import math

import pytest

from meddiff.evaluation.masks.summary import FEW_PATIENTS
from meddiff.reports import figures, tabular, words

FEW, ENOUGH = FEW_PATIENTS - 1, FEW_PATIENTS


@pytest.mark.parametrize("counted", ["n_groups", "n_patients"])
@pytest.mark.parametrize(("count", "text"), [(1, words.TOO_FEW), (FEW, words.TOO_FEW), (ENOUGH, "[+0.000, +0.000]")])
def test_an_interval_of_few_patients_is_none(counted, count, text):
    row = {"arm": "a", "difference": 0.0, "low": 0.0, "high": 0.0, counted: count}
    assert words.interval_of(row, signed=True) == text
    cells = [
        tabular.from_records([row], "t", drop=[counted]).rows[0][1],
        tabular.crossed([row | {"metric": "m"}], "t", down="arm", across="metric", value="difference").rows[0][1],
    ]
    assert [cell.detail for cell in cells] == [text, text]
    strip = figures.forest("t", [figures.Interval("a", 0.0, 0.0, 0.0, patients=count)], signed=True).strips[0]
    assert strip.detail == text


def test_where_nobody_counts_or_nothing_was_measured_nothing_is_added():
    assert words.interval_of({"low": 0.1, "high": 0.2}) == "[0.100, 0.200]"
    assert words.interval_of({"low": math.nan, "high": math.nan, "n_patients": 1}) == ""
    assert words.interval_of({"dice_low": 0.1, "dice_high": 0.2, "n_groups": 50}, prefix="dice_") == "[0.100, 0.200]"
