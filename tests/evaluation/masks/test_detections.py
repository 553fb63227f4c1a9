"""The free-response curve by pencil, and its interval over patients."""

import numpy as np
import pandas as pd
import pytest

from meddiff.evaluation.masks.detections import THRESHOLDS, free_response, froc_table
from meddiff.metrics.resampling import Resampling

NAMES = ("background", "lesion")


def picture():
    """Two true lesions, found from 0.9 and 0.4 on, and something that is none at 0.6."""
    truth, probability = np.zeros((12, 12), int), np.zeros((12, 12))
    for at, value, true in (((1, 1), 0.9, 1), ((1, 8), 0.4, 1), ((8, 4), 0.6, 0)):
        block = tuple(slice(place, place + 3) for place in at)
        truth[block], probability[block] = true, value
    return truth, np.stack([1 - probability, probability])


def test_counts_at_each_threshold_by_pencil():
    rows = free_response(*picture(), class_names=NAMES)
    counts = {row["threshold"]: (row["found"], row["missed"], row["invented"]) for row in rows}
    assert list(counts) == list(THRESHOLDS)
    assert counts[0.3] == counts[0.4] == (2, 0, 1)
    assert counts[0.5] == counts[0.6] == (1, 1, 1)
    assert counts[0.9] == (1, 1, 0)
    assert counts[0.95] == (0, 2, 0)


def test_the_curve_pools_lesions_and_resamples_patients():
    empty = np.zeros((12, 12), int), np.stack([np.ones((12, 12)), np.zeros((12, 12))])
    tables = []
    for case, patient, (truth, probabilities) in (("a", "p", picture()), ("b", "q", empty), ("c", "q", picture())):
        told = {"model": "m", "case": case, "patient": patient}
        tables.append(pd.DataFrame(free_response(truth, probabilities, class_names=NAMES)).assign(**told))
    curve = froc_table(pd.concat(tables), resampling=Resampling(200)).set_index("threshold")
    assert curve.loc[0.5, "sensitivity"] == pytest.approx(0.5)
    assert curve.loc[0.5, "invented_per_image"] == pytest.approx(2 / 3)
    assert curve.loc[0.5, "n_lesions"] == 4
    assert curve.loc[0.3, ["low", "high"]].tolist() == [1, 1], "both patients are alike"
    assert (np.diff(curve["sensitivity"]) <= 0).all()


def test_without_any_lesion_there_is_no_sensitivity():
    empty = np.zeros((4, 4), int), np.stack([np.ones((4, 4)), np.zeros((4, 4))])
    rows = pd.DataFrame(free_response(*empty, class_names=NAMES)).assign(model="m", case="a", patient="p")
    assert froc_table(rows, resampling=Resampling(100))["sensitivity"].isna().all()
    assert froc_table(pd.DataFrame()).empty
