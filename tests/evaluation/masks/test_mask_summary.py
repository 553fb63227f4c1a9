"""Means and intervals against scipy and by pencil; nothing is dropped."""

import numpy as np
import pandas as pd
import pytest
from mask_cases import row, table
from scipy.stats import bootstrap, wilcoxon

from meddiff.errors import InputError
from meddiff.evaluation.masks.cases import case_scores, failed_case_scores
from meddiff.evaluation.masks.summary import paired_mask_differences, summary


def of(found, metric="dice", **keys):
    chosen = found[found["metric"] == metric]
    for name, value in keys.items():
        chosen = chosen[chosen[name] == value]
    assert len(chosen) == 1
    return chosen.iloc[0]


def test_mean_median_and_share_by_pencil():
    line = of(summary(table(unet=[0.5, 0.7, 0.9, 0.96])))
    assert (line["mean"], line["median"], line["share_below"]) == pytest.approx((0.765, 0.8, 0.5))
    assert (line["n_cases"], line["n_patients"], line["n_failures"]) == (4, 4, 0)
    assert "only 4 patients" in line["warning"]


def test_the_interval_is_scipys_where_every_case_is_a_patient():
    values = np.random.default_rng(0).beta(8, 2, size=60)
    line = of(summary(table(unet=values), resamples=4000))
    theirs = bootstrap((values,), np.mean, n_resamples=4000, method="percentile", rng=0).confidence_interval
    wider = np.sqrt(60 / 59)  # the rescaled bootstrap's
    assert line["low"] == pytest.approx(values.mean() + (theirs.low - values.mean()) * wider, abs=0.004)
    assert line["high"] == pytest.approx(values.mean() + (theirs.high - values.mean()) * wider, abs=0.004)


def test_images_of_one_patient_are_not_independent():
    values = np.random.default_rng(1).beta(8, 2, size=30)
    alone = of(summary(table(unet=values)))
    rows = [row("unet", f"c{i}-{j}", d, patient=f"p{i}") for i, d in enumerate(values) for j in range(5)]
    repeated = of(summary(pd.DataFrame(rows)))
    assert repeated["mean"] == pytest.approx(alone["mean"])
    assert repeated["high"] - repeated["low"] == pytest.approx(alone["high"] - alone["low"], rel=0.02)
    assert (repeated["n_cases"], repeated["n_patients"]) == (150, 30)


def test_empty_and_failed_cases_are_counted_and_weigh():
    mask = np.zeros((6, 8), int)
    mask[1:4, 1:4] = 1
    settings = {"class_names": ("background", "lesion"), "spacing_mm": None}
    cases = {
        "good": case_scores(mask, mask, **settings),
        "missed": case_scores(mask, 0 * mask, **settings),
        "alarm": case_scores(0 * mask, mask, **settings),
        "empty": case_scores(0 * mask, 0 * mask, **settings),
        "absent": failed_case_scores(mask, failure="no prediction", **settings),
    }
    rows = pd.DataFrame([{"model": "m", "case": name, "patient": name, **found[0]} for name, found in cases.items()])
    found = summary(rows)
    line = of(found)
    assert line["mean"] == pytest.approx(2 / 5)
    counted = ["n_cases", "n_missed", "n_false_alarms", "n_both_empty", "n_failures", "n_defined"]
    assert line[counted].tolist() == [5, 1, 1, 1, 1, 5]
    assert of(found, "sensitivity")["n_defined"] == 3, "two truths are empty"
    distance = of(found, "hausdorff95")
    assert distance["mean"] == pytest.approx(3 * 10 / 5), "three failures at the diagonal of 10 pixels"
    assert distance["unit"] == "px"
    assert of(found, "absolute_volume_error")["mean"] == np.inf


def test_classes_are_averaged_case_by_case():
    rows = [row("m", "a", 0.5), row("m", "a", 0.9, class_name="vessel"),
            row("m", "b", 0.7), row("m", "b", 0.9, class_name="vessel")]  # fmt: skip
    found = summary(pd.DataFrame(rows))
    assert of(found, class_name="")["mean"] == pytest.approx(0.75)
    assert of(found, class_name="")["share_below"] == 0.5, "0.7 and 0.8"
    assert of(found, class_name="vessel")["mean"] == pytest.approx(0.9)
    assert set(summary(table(m=[0.5, 0.6]))["class_name"]) == {"lesion"}, "one class is all classes"


def test_differences_by_pencil_and_scipy():
    generator = np.random.default_rng(2)
    unet = generator.uniform(0.5, 0.9, size=40)
    better = unet + generator.normal(0.02, 0.03, size=40)
    found = paired_mask_differences(table(unet=unet, better=better, same=unet), ["better", "same"], "unet")
    line, same = of(found, model="better"), of(found, model="same")
    gap = better - unet
    assert line["difference"] == pytest.approx(gap.mean())
    assert line["low"] == pytest.approx(gap.mean() - 1.96 * gap.std(ddof=1) / np.sqrt(40), abs=0.002)
    assert line["p_value"] == pytest.approx(wilcoxon(gap).pvalue)
    assert line["p_holm"] == pytest.approx(2 * line["p_value"]), "two comparisons"
    assert (same["difference"], same["low"], same["high"], same["p_value"], same["p_holm"]) == (0, 0, 0, 1, 1)
    assert (line["n_cases"], line["n_patients"]) == (40, 40)


def test_the_order_of_rows_does_not_matter():
    cases = table(unet=[0.5, 0.7, 0.9, 0.8], other=[0.6, 0.9, 0.7, 0.8])
    shuffled = cases.sample(frac=1, random_state=0)
    first, second = (paired_mask_differences(part, "other", "unet") for part in (cases, shuffled))
    pd.testing.assert_frame_equal(first, second)
    sort = ["model", "metric"]
    first, second = (summary(part).sort_values(sort, ignore_index=True) for part in (cases, shuffled))
    pd.testing.assert_frame_equal(first, second)


def test_bad_input():
    good = table(unet=[0.5, 0.6], other=[0.5, 0.6])
    with pytest.raises(InputError, match="no cases of nobody"):
        paired_mask_differences(good, "nobody", "unet")
    with pytest.raises(InputError, match="other cases"):
        paired_mask_differences(good.iloc[:-1], "other", "unet")
    with pytest.raises(InputError, match="choose among"):
        paired_mask_differences(good, "other", "unet", metrics=["f1"])
    with pytest.raises(InputError, match="lacks the column"):
        summary(good.drop(columns="dice"))
    with pytest.raises(InputError, match="there twice"):
        summary(pd.concat([good, good]))
    with pytest.raises(InputError, match="another patient"):
        summary(good.assign(patient=["a", "b", "c", "d"]))
    mixed = good.assign(unit=["mm", "px"] * 2)
    with pytest.raises(InputError, match="two tables"):
        summary(mixed)
