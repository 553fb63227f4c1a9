"""Truth: a group that is served worse is shown, and a group's row is the score of its images alone."""

import numpy as np
import pandas as pd
import pytest

from meddiff.errors import InputError
from meddiff.evaluation import paired_differences, score
from meddiff.evaluation.classifiers.study import read_study
from meddiff.evaluation.classifiers.subgroups import COLUMNS, UNKNOWN, age_band, attributes_of, subgroup_scores
from meddiff.metrics.resampling import Resampling
from tests.evaluation.classifiers.predictions import CLASSES, study
from tests.manifest.rows import example_row

SETTINGS = {"resampling": Resampling(60, seed=3)}


def known_of(table, **columns):
    ids = sorted(set(table["row_id"]))
    return pd.DataFrame({"row_id": ids} | {name: [tell(row_id) for row_id in ids] for name, tell in columns.items()})


def test_a_row_is_the_score_of_the_group_alone():
    table = study({"real": 1.0, "real_synthetic": 1.5}, images=300)
    # an image's number tells its patient, and patients are not cut
    known = known_of(table, sex=lambda row_id: "female" if int(row_id[1:]) // 2 % 3 else "male")
    found = subgroup_scores(read_study(table, CLASSES), known, reference="real", **SETTINGS)
    women = table[table["row_id"].isin(known.loc[known["sex"] == "female", "row_id"])]
    alone = score(women, CLASSES, **SETTINGS)
    apart = paired_differences(women, CLASSES, reference_arms=["real"], **SETTINGS)
    rows = found[(found["subgroup"] == "female") & (found["arm"] == "real_synthetic")]
    assert set(rows["metric"]) == {"balanced_accuracy", "accuracy", "macro_auroc", "expected_calibration_error"}
    for _, row in rows.iterrows():
        same = (alone["arm"] == row["arm"]) & (alone["metric"] == row["metric"])
        expected = alone[same].iloc[0]
        for column in ("estimate", "low", "high", "n_images", "n_groups"):
            assert row[column] == pytest.approx(expected[column])
        difference = apart[apart["metric"] == row["metric"]].iloc[0]
        assert row["difference"] == pytest.approx(difference["difference"])
        assert row["difference_low"] == pytest.approx(difference["low"])
    assert list(found.columns) == list(COLUMNS)
    assert found.loc[found["arm"] == "real", "difference"].isna().all()


def test_a_group_that_is_served_worse_is_shown():
    table = study({"real": 3.0, "other": 3.0}, images=600)
    dark = known_of(table, skin_tone=lambda row_id: "dark" if int(row_id[1:]) % 4 < 2 else "light")
    chosen = table["row_id"].isin(dark.loc[dark["skin_tone"] == "dark", "row_id"]) & (table["arm"] == "real")
    columns = [f"p_{name}" for name in CLASSES]
    table.loc[chosen, columns] = np.roll(table.loc[chosen, columns].to_numpy(), 1, axis=1)  # always the next class
    found = subgroup_scores(read_study(table, CLASSES), dark, reference="other", **SETTINGS)
    worse = found[(found["arm"] == "real") & (found["metric"] == "balanced_accuracy")].set_index("subgroup")
    assert worse.loc["dark", "high"] < 0.3 < 0.7 < worse.loc["light", "low"]
    assert worse.loc["dark", "difference_high"] < 0


def test_small_groups_are_warned_of_and_equal_attributes_left_out():
    table = study({"real": 1.0})
    known = known_of(table, site=lambda row_id: "face" if int(row_id[1:]) < 8 else "back", dataset=lambda _: "one")
    found = subgroup_scores(read_study(table, CLASSES), known, reference="real", **SETTINGS)
    assert set(found["attribute"]) == {"site"}
    assert found.loc[found["subgroup"] == "face", "warning"].str.contains("only 8 images").all()
    assert not found.loc[found["subgroup"] == "back", "warning"].str.contains("only").any()
    with pytest.raises(InputError, match="nothing is known of 1 test image, such as r9"):
        subgroup_scores(read_study(table, CLASSES), known.iloc[:-1], reference="real", **SETTINGS)


def test_attributes_of_a_manifest():
    rows = [
        example_row("a", age_years=29.9, sex="female", site="back"),
        example_row("b", age_years=30.0),
        example_row("c", age_years=104.0, sex="male"),
    ]
    known = attributes_of(rows, {"a": 50.0, "b": float("nan")})
    assert known["age_band"].tolist() == ["under 30", "30 to 44", "75 and over"]
    assert known["sex"].tolist() == ["female", UNKNOWN, "male"]
    assert known["skin_tone"].tolist() == ["light (41 to 55)", UNKNOWN, UNKNOWN]
    assert age_band(None) == UNKNOWN
    assert set(known.columns) == {"row_id", "sex", "age_band", "site", "dataset", "skin_tone"}  # nobody is named
