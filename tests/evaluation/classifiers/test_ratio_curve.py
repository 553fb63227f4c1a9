"""Truth: the curve is the scores of its arms, from real images alone upwards."""

import pandas as pd
import pytest

from meddiff.evaluation import paired_differences, score
from meddiff.evaluation.classifiers.study import read_study
from meddiff.evaluation.classifiers.study_tables import COLUMNS, DESCRIPTIONS, StudyTables, study_tables
from meddiff.metrics.resampling import Resampling
from tests.evaluation.classifiers.predictions import CLASSES, study

SETTINGS = {"resampling": Resampling(60, 0.9, 1)}
ARMS = pd.DataFrame({
    "arm": ["real", "real_synthetic", "ratio_0.5", "ratio_2"], "ratio": [None, None, 0.5, 2.0],
    "n_real": 100, "n_synthetic": [0, 70, 50, 150], "n_seeds": 3,
})  # fmt: skip


def tables_of(predictions, arms=ARMS):
    attributes = pd.DataFrame({"row_id": sorted(set(predictions["row_id"])), "sex": "female"})
    return study_tables(
        read_study(predictions, CLASSES), reference_arms=["real"], attributes=attributes, arms=arms, **SETTINGS
    )


def test_a_curve_that_rises_and_its_points():
    predictions = study({"real": 0.5, "real_synthetic": 1.0, "ratio_0.5": 1.0, "ratio_2": 2.0})
    found = tables_of(predictions).curve
    rise = found[found["metric"] == "balanced_accuracy"]
    assert rise["ratio"].tolist() == [0.0, 0.5, 2.0]
    assert rise["ratio_reached"].tolist() == [0.0, 0.5, 1.5]
    assert rise["arm"].tolist() == ["real", "ratio_0.5", "ratio_2"]
    assert rise["estimate"].is_monotonic_increasing
    scores = score(predictions, CLASSES, **SETTINGS)
    gaps = paired_differences(predictions, CLASSES, reference_arms=["real"], **SETTINGS)
    last = rise.iloc[-1]
    expected = scores[(scores["arm"] == "ratio_2") & (scores["metric"] == "balanced_accuracy")].iloc[0]
    assert last[["estimate", "low", "high"]].tolist() == pytest.approx(expected[["estimate", "low", "high"]].tolist())
    gap = gaps[(gaps["arm"] == "ratio_2") & (gaps["metric"] == "balanced_accuracy")].iloc[0]
    assert last["difference_low"] == pytest.approx(gap["low"])
    assert rise.iloc[0][["difference", "difference_low"]].isna().all()
    assert set(found["metric"]) == set(scores.loc[scores["class_name"] == "", "metric"])


def test_a_study_without_ratios_has_an_empty_curve():
    found = tables_of(study({"real": 0.5, "real_synthetic": 1.0}), ARMS.iloc[:2])
    assert found.curve.empty
    assert found.curve.columns.tolist() == list(COLUMNS)
    assert found.subgroups.empty  # all of one sex
    assert set(DESCRIPTIONS) == set(StudyTables.__dataclass_fields__)
