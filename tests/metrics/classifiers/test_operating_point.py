"""Truth: a table that a pencil can check, scikit-learn's ROC curve, and images that are repeated."""

import numpy as np
import pytest
from sklearn.metrics import roc_curve

from meddiff.errors import InputError
from meddiff.metrics.classifiers.operating_point import resampled_rates, resampled_sensitivity_at, thresholds_at

GENERATOR = np.random.default_rng(0)
LABELS = GENERATOR.integers(3, size=90)
PROBABILITIES = GENERATOR.dirichlet(np.ones(3), size=90).round(2)  # with ties
PROBABILITIES[np.arange(90), LABELS] += 0.2
GROUP = np.arange(90) // 3


def everyone(labels):
    return np.arange(len(labels)), np.ones((len(labels), 1))


def test_pencil():
    # of class 1: the others score 0.1 .. 0.5, so 4 of 5 score 0.4 or less; its own 0.4 is not above that, 0.45 is
    labels = np.array([0, 0, 0, 0, 0, 1, 1])
    score = np.array([0.1, 0.2, 0.3, 0.4, 0.5, 0.4, 0.45])
    probabilities = np.stack([1 - score, score], 1)
    threshold = thresholds_at(0.8, labels, probabilities)
    assert threshold[1] == 0.4
    found, left = resampled_rates(labels, probabilities, *everyone(labels), threshold)
    assert (found[0, 1], left[0, 1]) == (0.5, 0.8)
    assert resampled_sensitivity_at(0.8, labels, probabilities, *everyone(labels))[0, 1] == 0.5


@pytest.mark.parametrize("specificity", [0.5, 0.9, 0.95])
def test_it_is_the_best_point_of_the_roc_curve_that_is_specific_enough(specificity):
    found = resampled_sensitivity_at(specificity, LABELS, PROBABILITIES, *everyone(LABELS))[0]
    for k in range(3):
        false_alarms, sensitivity, _ = roc_curve(k == LABELS, PROBABILITIES[:, k], drop_intermediate=False)
        assert found[k] == sensitivity[1 - false_alarms >= specificity - 1e-12].max()


def test_weights_of_a_group_repeat_its_images():
    weights = GENERATOR.integers(0, 4, size=(30, 4)).astype(float)
    thresholds = np.array([0.3, 0.4, 0.5])
    found = resampled_sensitivity_at(0.9, LABELS, PROBABILITIES, GROUP, weights)
    rates = resampled_rates(LABELS, PROBABILITIES, GROUP, weights, thresholds)
    for column in range(4):
        at = np.repeat(np.arange(90), weights[GROUP, column].astype(int))
        repeated = LABELS[at], PROBABILITIES[at], *everyone(at)
        assert found[column] == pytest.approx(resampled_sensitivity_at(0.9, *repeated)[0])
        for ours, theirs in zip(rates, resampled_rates(*repeated, thresholds), strict=True):
            assert ours[column] == pytest.approx(theirs[0])


def test_a_class_that_is_absent_or_alone():
    labels, weights = np.zeros(5, int), np.ones((5, 2))
    probabilities, group = np.tile([0.8, 0.2], (5, 1)), np.arange(5)
    assert np.isnan(resampled_sensitivity_at(0.9, labels, probabilities, group, weights)).all()
    assert np.isnan(thresholds_at(0.9, labels, probabilities)).tolist() == [True, False]
    found, left = resampled_rates(labels, probabilities, group, weights, np.array([np.nan, 0.2]))
    assert np.isnan(found).all()
    assert np.isnan(left[:, 0]).all()
    assert (left[:, 1] == 1).all()


def test_bad_input():
    with pytest.raises(InputError, match=r"such as 0\.9"):
        thresholds_at(90, LABELS, PROBABILITIES)
    with pytest.raises(InputError, match="NaN"):
        resampled_rates(LABELS, PROBABILITIES * np.nan, GROUP, np.ones((30, 1)), np.zeros(3))
