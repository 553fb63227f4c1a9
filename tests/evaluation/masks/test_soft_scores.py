"""Means of likelihood, Brier score and energy distance, and their differences case by case."""

import numpy as np
import pandas as pd
import pytest

from meddiff.evaluation.masks.summary import soft_summary
from meddiff.metrics.resampling import Resampling


def table():
    rows = []
    for model, offset in (("ours", 0.0), ("theirs", 0.2)):
        for case in range(8):
            for name in ("core", "rim"):
                rows.append({"model": model, "case": f"c{case}", "patient": f"p{case // 2}", "class_name": name,
                             "nll": 0.1 * case + offset, "ged": 0.5 + offset * (name == "rim")})  # fmt: skip
    return pd.DataFrame(rows)


def test_means_by_pencil_and_paired_differences():
    found = soft_summary(table(), resampling=Resampling(300)).set_index(["model", "metric", "class_name"])
    assert found.loc[("ours", "nll", ""), "mean"] == pytest.approx(0.35)
    assert found.loc[("ours", "nll", ""), "n_cases"] == 8
    assert np.isnan(found.loc[("ours", "nll", ""), "difference"])
    theirs = found.loc[("theirs", "nll", "")]
    assert theirs["low"] < theirs["mean"] < theirs["high"]
    assert theirs[["difference", "difference_low", "difference_high"]].tolist() == pytest.approx([0.2] * 3)
    assert found.loc[("theirs", "ged", "core"), "difference"] == pytest.approx(0)
    assert found.loc[("theirs", "ged", "rim"), "difference"] == pytest.approx(0.2)
    assert ("ours", "brier", "") not in found.index


def test_models_without_are_left_out():
    cases = table()
    cases.loc[cases["model"] == "theirs", ["nll", "ged"]] = np.nan
    assert set(soft_summary(cases, resampling=Resampling(100))["model"]) == {"ours"}
    assert soft_summary(cases.drop(columns=["nll", "ged"])).empty
