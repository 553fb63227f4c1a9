"""Truth: scikit-learn for the estimates, simulated studies with a known answer for the intervals."""

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import balanced_accuracy_score, recall_score, roc_auc_score

from meddiff.errors import InputError
from meddiff.evaluation import best_reference, paired_differences, score, summary_sentence
from meddiff.evaluation.classifiers.scores import differences_of
from meddiff.evaluation.classifiers.study import read_study, resampled_scores
from meddiff.metrics.resampling import Resampling
from tests.evaluation.classifiers.predictions import CLASSES, study


def row(table, arm, metric, class_name=""):
    return table[(table.arm == arm) & (table.metric == metric) & (table.class_name == class_name)].iloc[0]


def test_estimates_are_means_over_seeds_of_scikit_learns():
    table = study({"real": 1.0})
    scores = score(table, CLASSES, resampling=Resampling(10))
    expected = {"balanced_accuracy": [], "macro_auroc": [], "sensitivity": []}
    for _, part in table.groupby("seed"):
        probabilities = part[[f"p_{name}" for name in CLASSES]].to_numpy()
        labels = np.array([CLASSES.index(name) for name in part.label])
        expected["balanced_accuracy"].append(balanced_accuracy_score(labels, probabilities.argmax(1)))
        expected["macro_auroc"].append(roc_auc_score(labels, probabilities, multi_class="ovr"))
        expected["sensitivity"].append(recall_score(labels, probabilities.argmax(1), average=None)[1])
    assert row(scores, "real", "balanced_accuracy").estimate == pytest.approx(np.mean(expected["balanced_accuracy"]))
    assert row(scores, "real", "macro_auroc").estimate == pytest.approx(np.mean(expected["macro_auroc"]))
    assert row(scores, "real", "sensitivity", "melanoma").estimate == pytest.approx(np.mean(expected["sensitivity"]))


def test_thresholds_come_from_the_validation_images():
    """Validation images that score higher than the test images put the thresholds too high: fewer are found."""
    table, other = study({"a": 2.0}, images=600), study({"a": 2.0}, images=600, seed=1)
    lenient = score(table, CLASSES, resampling=Resampling(20))
    honest = score(table, CLASSES, validation=other, resampling=Resampling(20))
    found, reached = (row(honest, "a", name, "nevus") for name in
                      ("sensitivity_at_90_specificity", "specificity_at_that_90"))  # fmt: skip
    assert reached.estimate == pytest.approx(0.9, abs=0.05)
    assert reached.estimate != 0.9
    assert "threshold chosen on the test images" not in found.warning
    assert "threshold chosen on the test images" in row(lenient, "a", found.metric, "nevus").warning
    assert row(lenient, "a", "specificity_at_that_90", "nevus").estimate == 0.9
    with pytest.raises(InputError, match="same classifiers judge both"):
        score(table, CLASSES, validation=other[other.seed < 2])


def test_a_true_class_that_was_called_impossible():
    table = study({"a": 1.0})
    table.loc[0, [f"p_{name}" for name in CLASSES]] = [float(name != table.label[0]) / 2 for name in CLASSES]
    found = row(score(table, CLASSES, resampling=Resampling(20)), "a", "negative_log_likelihood")
    assert found.estimate == np.inf
    assert np.isnan(found.low)
    assert "called impossible" in found.warning


def test_columns_counts_and_order():
    table = study({"real": 1.0, "real_synthetic": 2.0})
    scores = score(table, CLASSES, resampling=Resampling(50))
    assert list(scores.columns) == [
        *("arm", "metric", "class_name", "estimate", "low", "high", "n_images", "n_groups", "n_seeds", "warning")
    ]
    assert len(scores) == 2 * (9 + 7 * 3)
    assert (row(scores, "real", "macro_auroc")[["n_images", "n_groups", "n_seeds"]] == [240, 120, 3]).all()
    images = (table[(table.arm == "real") & (table.seed == 0)].label == "melanoma").sum()
    assert (row(scores, "real", "sensitivity", "melanoma")[["n_images", "n_groups"]] == [images, images // 2]).all()
    assert (scores.low <= scores.estimate).all()
    assert (scores.estimate <= scores.high).all()


def test_neither_the_order_of_the_rows_nor_the_clock_matters():
    table = study({"a": 1.0, "b": 1.5})
    shuffled = table.sample(frac=1, random_state=0)
    first = score(table, CLASSES, resampling=Resampling(50)).sort_values(["arm", "metric", "class_name"])
    second = score(shuffled, CLASSES, resampling=Resampling(50)).sort_values(["arm", "metric", "class_name"])
    pd.testing.assert_frame_equal(first.reset_index(drop=True), second.reset_index(drop=True))
    assert not first.low.equals(score(table, CLASSES, resampling=Resampling(50, seed=1)).low)


def test_intervals_narrow_with_patients_and_not_with_images_of_the_same_patients():
    def width(images, per_patient):
        table = score(study({"a": 1.0}, images=images, per_patient=per_patient), CLASSES, resampling=Resampling(400))
        found = row(table, "a", "balanced_accuracy")
        return found.high - found.low

    assert width(960, 2) == pytest.approx(width(240, 2) / 2, rel=0.3)
    assert width(960, 8) > 0.7 * width(240, 2)


def test_seeds_widen_the_interval():
    steady = row(score(study({"a": 1.0}), CLASSES, resampling=Resampling(400)), "a", "balanced_accuracy")
    lucky = row(score(study({"a": 1.0}, luck=1.0), CLASSES, resampling=Resampling(400)), "a", "balanced_accuracy")
    assert lucky.high - lucky.low > 1.5 * (steady.high - steady.low)


@pytest.mark.parametrize(("images", "luck"), [(120, 0.0), (600, 1.0)])
def test_coverage_of_the_true_difference(images, luck):
    """Two arms of equal skill: the 95% interval of their difference leaves out zero in about 5% of the studies.

    120 images: patients matter most; 600 with seeds of very unequal luck: seeds do, of which there are but 3.
    """
    held = []
    for number in range(60):
        table = study({"a": 1.0, "b": 1.0}, images=images, luck=luck, seed=number)
        made, metrics = read_study(table, CLASSES), ["balanced_accuracy"]
        values = resampled_scores(made, resampling=Resampling(300, seed=number), metrics=metrics)
        found = differences_of(made, values, reference="a", metrics=metrics, resampling=Resampling(seed=number)).iloc[0]
        held.append(found.low <= 0 <= found.high)
    assert np.mean(held) >= 0.9


def test_paired_differences_cancel_what_the_arms_share():
    """Two arms with the same predictions differ by exactly nothing, whatever the patients."""
    table = study({"real": 1.0})
    twin = table.assign(arm="real_synthetic")
    differences = paired_differences(
        pd.concat([table, twin]), CLASSES, reference_arms=["real"], resampling=Resampling(50)
    )
    assert (differences[["difference", "low", "high"]] == 0).all(axis=None)
    assert (differences.probability == 0.5).all()
    assert "No help by synthetic images was shown" in summary_sentence(differences)


@pytest.mark.parametrize(
    ("skill", "sentence"),
    [(3.0, "Synthetic images helped: balanced accuracy rose from"), (0.0, "did not help, they hurt")],
)
def test_summary_says_what_happened(skill, sentence):
    table = study({"real": 0.5, "real_balanced": 1.0, "real_synthetic": skill}, images=600)
    differences = paired_differences(
        table, CLASSES, reference_arms=["real", "real_balanced"], resampling=Resampling(200)
    )
    assert set(differences.reference) == {"real_balanced"}
    assert set(differences.arm) == {"real", "real_synthetic"}
    found = row(differences, "real_synthetic", "balanced_accuracy")
    assert found.difference == pytest.approx(found.estimate - found.reference_estimate)
    text = summary_sentence(differences)
    assert sentence in text
    assert f"{found.difference:+.3f} with 95% interval {found.low:+.3f} to {found.high:+.3f}" in text
    assert "600 test images of 300 patients with 3 training seeds" in text
    assert "lesions" in summary_sentence(differences, group_noun="lesion")


def test_difference_agrees_with_scores_on_the_estimates():
    table = study({"real": 1.0, "real_synthetic": 1.5})
    scores, differences = score(table, CLASSES, resampling=Resampling(5)), paired_differences(
        table, CLASSES, reference_arms=["real"], resampling=Resampling(5))  # fmt: skip
    expected = row(scores, "real_synthetic", "macro_auroc").estimate - row(scores, "real", "macro_auroc").estimate
    assert row(differences, "real_synthetic", "macro_auroc").difference == pytest.approx(expected)


def test_a_class_that_is_always_right_is_not_certain():
    table = study({"a": 30.0}, shares=(0.97, 0.02, 0.01))
    found = row(score(table, CLASSES, resampling=Resampling(20)), "a", "sensitivity", "keratosis")
    assert found.estimate == found.high == 1.0
    assert found.low < 0.6  # exact binomial over its few patients, not [1, 1]
    assert "the interval is rough" in found.warning


def test_warnings():
    one_seed = score(study({"a": 1.0}, seeds=[7]), CLASSES, resampling=Resampling(20))
    assert "one seed" in row(one_seed, "a", "balanced_accuracy").warning
    table = study({"a": 1.0})
    without = score(table[table.label != "keratosis"], CLASSES, resampling=Resampling(20))
    assert "no test image of this class" in row(without, "a", "sensitivity", "keratosis").warning
    assert np.isnan(row(without, "a", "sensitivity", "keratosis").estimate)
    assert "without keratosis" in row(without, "a", "balanced_accuracy").warning
    assert row(without, "a", "balanced_accuracy").estimate > 0


def test_best_reference():
    scores = score(study({"a": 0.5, "b": 1.5, "c": 3.0}), CLASSES, resampling=Resampling(5))
    assert best_reference(scores, ["a", "b"]) == "b"
    with pytest.raises(InputError, match="no scores for the reference arm"):
        best_reference(scores, ["d"])
    with pytest.raises(InputError, match="none named"):
        best_reference(scores, [])


def test_incomplete_tables_are_refused():
    table = study({"a": 1.0, "b": 1.0})
    with pytest.raises(InputError, match="p_nevus"):
        score(table.drop(columns="p_nevus"), CLASSES)
    with pytest.raises(InputError, match="same seeds on the same images"):
        score(table.drop(index=5), CLASSES)
    with pytest.raises(InputError, match="same seeds on the same images"):
        score(table[~((table.arm == "a") & (table.seed == 0))], CLASSES)
    with pytest.raises(InputError, match="same seeds on the same images"):
        score(pd.concat([table, table.iloc[:3]]), CLASSES)
    with pytest.raises(InputError, match="720 rows have no group"):
        score(table.assign(group=table.group.where(table.arm == "a")), CLASSES)
    with pytest.raises(InputError, match="not among the classes"):
        score(table.assign(label="wart"), CLASSES)
    with pytest.raises(InputError, match="another group or label"):
        score(table.assign(group=np.where(table.arm == "a", "x", table.group)), CLASSES)
    with pytest.raises(InputError, match="NaN"):
        score(table.assign(p_nevus=np.nan), CLASSES)


def test_a_study_of_one_arm_has_an_empty_table_and_a_sentence():
    differences = paired_differences(study({"real": 1.0}), CLASSES, reference_arms=["real"], resampling=Resampling(5))
    assert differences.empty
    assert {"arm", "reference", "metric", "difference", "low", "high"} <= set(differences.columns)
    assert "was not asked" in summary_sentence(differences)


def test_few_patients_judge_nothing():
    row = {"arm": "real_synthetic", "reference": "real", "metric": "balanced_accuracy", "class_name": "",
           "estimate": 0.5, "reference_estimate": 0.5, "difference": 0.0, "low": 0.0, "high": 0.0,
           "confidence_level": 0.95, "n_images": 9, "n_groups": 9, "n_seeds": 1}  # fmt: skip
    said = summary_sentence(pd.DataFrame([row]), group_noun="image")
    assert said.startswith("Whether synthetic images help cannot be judged on 9 test images with 1 training seed: ")
    assert "at least 10 images" in said
    assert "+0.000" not in said
    enough = summary_sentence(pd.DataFrame([row | {"n_groups": 10}]))
    assert enough.startswith("No help by synthetic images was shown")
