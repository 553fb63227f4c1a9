"""Pooled bins against the metrics that hold all pixels in memory; uncertainty by pencil."""

import numpy as np
import pandas as pd
import pytest
from mask_cases import row, table

from meddiff.errors import InputError
from meddiff.evaluation.masks.reliability import (
    Reliability,
    calibration_errors,
    case_calibration,
    reliability_of,
    uncertainty_summary,
)
from meddiff.metrics.classifiers import calibration


def images(count=4, classes=3, seed=0):
    generator = np.random.default_rng(seed)
    for _ in range(count):
        probabilities = generator.dirichlet(np.full(classes, 0.4), size=(12, 9)).transpose(2, 0, 1)
        yield generator.integers(classes, size=(12, 9)), probabilities


def pooled():
    total = None
    for truth, probabilities in images():
        one = reliability_of(truth, probabilities)
        total = one if total is None else total + one
    assert total is not None
    return total


def classwise(labels, rows, bins=15):
    """Kull et al. 2019, with all pixels at once."""
    errors = []
    for index in range(rows.shape[1]):
        at = np.maximum(np.ceil(rows[:, index] * bins) - 1, 0).astype(int)
        gap = np.bincount(at, weights=rows[:, index] - (labels == index), minlength=bins)
        errors.append(np.abs(gap).sum() / len(labels))
    return errors


def test_classwise_by_pencil():
    # class 1 is stated at 0.2 four times and happens twice; class 0 mirrors it
    truth, probabilities = np.array([[0, 0, 1, 1]]), np.tile([[[0.8]], [[0.2]]], (1, 1, 4))
    assert reliability_of(truth, probabilities, bins=10).errors[1:] == pytest.approx([0.3, 0.3])


def test_classwise_sees_a_rare_class_that_is_never_called():
    truth, probabilities = np.zeros((1, 100), int), np.tile([[[0.6]], [[0.4]]], (1, 1, 100))
    assert reliability_of(truth, probabilities).errors[2] == pytest.approx(0.4)


def test_pooled_bins_give_the_errors_of_all_pixels_at_once():
    labels = np.concatenate([truth.ravel() for truth, _ in images()])
    rows = np.concatenate([probabilities.reshape(3, -1).T for _, probabilities in images()])
    total = pooled()
    assert total.errors[0] == pytest.approx(calibration.expected_calibration_error(labels, rows))
    assert total.errors[1:] == pytest.approx(classwise(labels, rows))
    found = calibration_errors(total.to_frame("m", ("background", "a", "b")))
    assert found["ece"].tolist() == pytest.approx([total.errors[0]])
    assert found["classwise_ece"].tolist() == pytest.approx([total.errors[1:].mean()])
    assert found["n_pixels"].tolist() == [4 * 108]


def test_case_calibration_equals_the_metrics():
    for truth, probabilities in images():
        rows = probabilities.reshape(3, -1).T
        found = case_calibration(truth, probabilities)
        assert found["brier"] == pytest.approx(calibration.brier_score(truth.ravel(), rows))
        floored = np.maximum(rows, 1e-6)
        assert found["nll"] == pytest.approx(calibration.negative_log_likelihood(truth.ravel(), floored), rel=1e-5)


def test_an_impossible_truth_costs_much_but_not_everything():
    found = case_calibration(np.zeros((2, 2), int), np.stack([np.zeros((2, 2)), np.ones((2, 2))]))
    assert found == {"nll": pytest.approx(-np.log(1e-6)), "brier": 2.0}


def test_only_the_told_pixels_count():
    (truth, probabilities), *_ = images()
    where = np.zeros(truth.shape, bool)
    where[:3] = True
    part = reliability_of(truth, probabilities, where=where)
    whole = reliability_of(truth[:3], probabilities[:, :3])
    for name in ("count", "stated", "happened"):
        assert getattr(part, name) == pytest.approx(getattr(whole, name))


def test_uncertainty_that_ranks_all_failures_first():
    cases = table(m=[0.95, 0.5, 0.9, 0.7, 0.85, 0.92] * 5)
    cases["uncertainty"] = 1 - cases["dice"]
    found = uncertainty_summary(cases).iloc[0]
    assert (found["auroc"], found["n_failed"], found["n_cases"]) == (1.0, 10, 30)
    assert found["aurc"] == pytest.approx(found["aurc_best"])
    assert found["aurc_random"] == pytest.approx((1 - cases["dice"]).mean())
    cases["uncertainty"] = cases["dice"]
    assert uncertainty_summary(cases).iloc[0]["auroc"] == 0.0


def test_uncertainty_that_knows_nothing():
    generator = np.random.default_rng(0)
    cases = table(m=generator.uniform(0.5, 1, size=300))
    cases["uncertainty"] = generator.random(300)
    found = uncertainty_summary(cases).iloc[0]
    assert found["low"] < 0.5 < found["high"]
    assert 0.05 < found["high"] - found["low"] < 0.25


def test_uncertainty_is_of_a_case_and_not_of_its_classes():
    rows = [row("m", f"c{i}", dice, class_name=name, uncertainty=1.0 - i / 10)
            for i, pair in enumerate([(0.5, 0.9), (0.9, 0.5), (0.9, 0.9), (0.6, 1.0)])
            for name, dice in zip(("lesion", "vessel"), pair, strict=True)]  # fmt: skip
    found = uncertainty_summary(pd.DataFrame(rows)).iloc[0]
    assert (found["n_cases"], found["n_failed"]) == (4, 2), "means 0.7, 0.7, 0.9, 0.8"
    assert found["auroc"] == 1.0


def test_models_without_uncertainty():
    assert uncertainty_summary(table(m=[0.5, 0.9])).empty
    cases = table(m=[0.5, 0.9])
    cases["uncertainty"] = np.nan
    assert uncertainty_summary(cases).empty
    cases.loc[0, "uncertainty"] = 0.5
    with pytest.raises(InputError, match="or none"):
        uncertainty_summary(cases)
    nobody_failed = table(m=[0.9, 0.95]).assign(uncertainty=[0.1, 0.2])
    assert np.isnan(uncertainty_summary(nobody_failed).iloc[0]["auroc"])


def test_bad_input():
    (truth, probabilities), *_ = images()
    with pytest.raises(InputError, match=r"\[K, \*S\]"):
        reliability_of(truth.T, probabilities)
    with pytest.raises(InputError, match="softmax"):
        case_calibration(truth, probabilities * 2)
    with pytest.raises(InputError, match="classes 0 to 2"):
        case_calibration(truth, probabilities[:2])
    with pytest.raises(InputError, match="pool"):
        pooled() + Reliability(*(np.zeros((2, 15)),) * 3)
    with pytest.raises(InputError, match=r"Reliability\.to_frame"):
        calibration_errors(pd.DataFrame({"model": ["m"]}))
