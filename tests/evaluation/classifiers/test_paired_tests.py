"""Truth: the scores' own estimates, arms that differ in nothing, and classes too small to test."""

import pandas as pd
import pytest

from meddiff.evaluation import score
from meddiff.evaluation.classifiers.study import read_study
from meddiff.evaluation.classifiers.tests import COLUMNS, paired_tests
from meddiff.metrics.resampling import Resampling
from tests.evaluation.classifiers.predictions import CLASSES, study


def compared(table):
    return paired_tests(read_study(table, CLASSES), reference="real")


def test_estimates_are_those_of_the_scores():
    table = study({"real": 1.0, "real_synthetic": 2.0})
    found = compared(table).set_index(["arm", "metric", "class_name"])
    scores = score(table, CLASSES, resampling=Resampling(5)).set_index(["arm", "metric", "class_name"])
    assert len(found) == 2 + 3
    for key, row in found.iterrows():
        assert row["estimate"] == pytest.approx(scores.loc[key, "estimate"])
        assert row["reference_estimate"] == pytest.approx(scores.loc[("real", *key[1:]), "estimate"])
        assert (row[["n_images", "n_groups", "n_seeds"]] == scores.loc[key, ["n_images", "n_groups", "n_seeds"]]).all()
    assert (found["p_value"] < 0.01).all()
    assert (found["p_holm"] >= found["p_value"]).all()


def test_holm_counts_averages_and_classes_apart():
    found = compared(study({"real": 1.0, "a": 1.1, "b": 1.2}))
    for family in (found["class_name"] == "", found["class_name"] != ""):
        rows = found[family]
        smallest = rows["p_value"].idxmin()
        assert rows.loc[smallest, "p_holm"] == pytest.approx(min(1, len(rows) * rows.loc[smallest, "p_value"]))


def test_arms_that_are_one_and_the_same():
    table = study({"real": 1.0})
    found = compared(pd.concat([table, table.assign(arm="twin")]))
    assert (found["p_value"] == 1).all()
    assert compared(table).columns.tolist() == list(COLUMNS)
    assert compared(table).empty


def test_a_class_of_one_patient_is_not_tested():
    table = study({"real": 1.0, "other": 1.5}, images=240, shares=(0.8, 0.2, 0.0))
    found = compared(table)
    assert "keratosis" not in set(found["class_name"])
    assert set(found.loc[found["class_name"] == "", "metric"]) == {"accuracy"}
