"""Means and intervals against scipy and by pencil; nothing is dropped."""

import numpy as np
import pandas as pd
import pytest
from mask_cases import row, table
from scipy.stats import bootstrap, wilcoxon

from meddiff.errors import InputError
from meddiff.evaluation.masks.cases import case_scores, failed_case_scores
from meddiff.evaluation.masks.summary import paired_mask_differences, summary
from meddiff.jobs.looks import mean_dice
from meddiff.metrics.masks.overlap import Overlap
from meddiff.metrics.resampling import Resampling


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
    line = of(summary(table(unet=values), resampling=Resampling(4000)))
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


def cases_of(masks: dict, names: tuple[str, ...]) -> pd.DataFrame:
    """The long table of (truth, prediction) by model and case."""
    return pd.DataFrame(
        {"model": model, "case": case, "patient": case} | score
        for (model, case), pair in masks.items()
        for score in case_scores(*pair, class_names=names, spacing_mm=None)
    )


def absent_class(stray: int) -> dict:
    """Two models on three cases; the second has a stray pixel of a class that no truth holds in ``stray`` of them."""
    masks = {}
    for number in range(3):
        truth = np.zeros((12, 12), np.uint8)
        truth[2:8, 2 : 7 + number] = 1
        prediction = np.roll(truth, 1, axis=1)
        invented = prediction.copy()
        invented[11, 11] = 2 if number < stray else 0
        masks |= {("a", str(number)): (truth, prediction), ("b", str(number)): (truth, invented)}
    return masks


@pytest.mark.parametrize("stray", [0, 1, 3])
def test_a_class_that_no_truth_holds_changes_nothing(stray):
    named = cases_of(absent_class(stray), ("background", "x", "nowhere"))
    plain = cases_of({key: (t, p * (p < 2)) for key, (t, p) in absent_class(stray).items()}, ("background", "x"))
    both, one = summary(named), summary(plain)
    for model in ("a", "b"):
        line, truth = of(both, model=model, class_name=""), of(one, model=model, class_name="x")
        assert (line["mean"], line["low"], line["high"]) == (truth["mean"], truth["low"], truth["high"])
        absent = of(both, model=model, class_name="nowhere")
        assert np.isnan(absent["mean"])
        assert np.isnan(absent["share_below"])
        assert (absent["n_with_class"], absent["n_cases"], absent["n_defined"]) == (0, 3, 0)
        assert line["n_with_class"] == 3
    assert of(both, model="b", class_name="nowhere")["n_false_alarms"] == stray
    apart = paired_mask_differences(named, "b", "a")
    assert set(apart["class_name"]) == {"", "x"}
    assert (apart["difference"] == 0).all()


def test_a_class_that_some_truths_hold_is_measured_everywhere():
    masks = absent_class(1)
    truth, prediction = masks["a", "0"]
    masks["a", "0"] = masks["b", "0"] = (np.where(truth == 1, 2, 0), prediction)
    found = summary(cases_of(masks, ("background", "x", "y")))
    assert of(found, model="a", class_name="y")["n_with_class"] == 1
    assert of(found, model="a", class_name="y")["mean"] == pytest.approx(2 / 3), "missed once, rightly empty twice"


def test_healthy_images_alone_are_measured_by_their_false_alarms():
    empty, alarm = np.zeros((5, 5), np.uint8), np.eye(5, dtype=np.uint8)
    found = summary(cases_of({("a", "0"): (empty, empty), ("a", "1"): (empty, alarm)}, ("background", "x")))
    assert of(found)["mean"] == 0.5


def test_the_look_at_validation_cases_leaves_out_what_none_of_them_holds():
    some, none = Overlap(6, 2, 1, 90), Overlap(0, 0, 0, 99)
    stray, missed = Overlap(0, 1, 0, 98), Overlap(0, 0, 5, 94)
    assert mean_dice([[some, none], [some, none]]) == mean_dice([[some, stray], [some, stray]]) == some.dice
    assert mean_dice([[some, missed], [some, none]]) == np.mean([some.dice / 2, (some.dice + 1) / 2])
    assert mean_dice([[none], [stray]]) == 0.5
