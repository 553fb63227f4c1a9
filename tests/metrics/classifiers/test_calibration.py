"""Truth: a table that a pencil can check, and a generator whose calibration is known."""

import numpy as np
import pytest
from sklearn.metrics import brier_score_loss, log_loss

from meddiff.errors import InputError
from meddiff.metrics.classifiers.calibration import (
    brier_score,
    expected_calibration_error,
    negative_log_likelihood,
    reliability,
    resampled_calibration_error,
)
from tests.contracts import check_metric


def test_pencil():
    # two bins of ten: 0.8 said twice, right once: |0.8 - 0.5|; 0.6 said three times, right twice: |0.6 - 2/3|
    called = np.array([0.8, 0.8, 0.6, 0.6, 0.6])
    labels = np.array([0, 1, 0, 0, 1])
    probabilities = np.stack([called, 1 - called], 1)
    expected = (2 * 0.3 + 3 * (2 / 3 - 0.6)) / 5
    assert expected_calibration_error(labels, probabilities, bins=10) == pytest.approx(expected)
    counts, confidence, accuracy = reliability(labels, probabilities, bins=10)
    assert counts.tolist() == [0, 0, 0, 0, 0, 3, 0, 2, 0, 0]  # closed on the right: 0.6 lies in (0.5, 0.6]
    assert confidence[[5, 7]] == pytest.approx([0.6, 0.8])
    assert accuracy[[5, 7]] == pytest.approx([2 / 3, 0.5])
    assert np.isnan(confidence[0])


def test_calibrated_by_construction_is_near_zero_and_overconfident_is_not():
    generator = np.random.default_rng(0)
    stated = generator.uniform(0.5, 1, 50_000)
    labels = (generator.random(50_000) > stated).astype(int)
    assert expected_calibration_error(labels, np.stack([stated, 1 - stated], 1)) < 0.01
    over = np.clip(stated + 0.2, 0, 1)
    expected = np.mean(over - stated)
    assert expected_calibration_error(labels, np.stack([over, 1 - over], 1)) == pytest.approx(expected, abs=0.01)


def test_logits_are_refused():
    with pytest.raises(InputError, match="softmax"):
        expected_calibration_error(np.array([0]), np.array([[3.0, -1.0]]))


def test_proper_scores_equal_scikit_learn():
    generator = np.random.default_rng(0)
    probabilities, labels = generator.dirichlet(np.ones(2), size=200), generator.integers(2, size=200)
    assert brier_score(labels, probabilities) == pytest.approx(2 * brier_score_loss(labels, probabilities[:, 1]))
    assert negative_log_likelihood(labels, probabilities) == pytest.approx(log_loss(labels, probabilities))
    assert negative_log_likelihood(np.array([0]), np.array([[0.0, 1.0]])) == np.inf


def test_weights_of_a_group_repeat_its_images():
    generator = np.random.default_rng(0)
    labels, probabilities = generator.integers(3, size=60), generator.dirichlet(np.ones(3), size=60)
    group, weights = np.arange(60) // 3, generator.integers(0, 4, size=(20, 3)).astype(float)
    found = resampled_calibration_error(labels, probabilities, group, weights, bins=7)
    for column in range(3):
        repeated = np.repeat(np.arange(60), weights[group, column].astype(int))
        expected = expected_calibration_error(labels[repeated], probabilities[repeated], bins=7)
        assert found[column] == pytest.approx(expected)


@pytest.mark.parametrize("metric", [brier_score, negative_log_likelihood])
def test_contract(metric):
    generator = np.random.default_rng(0)
    labels = generator.integers(3, size=30)
    check_metric(metric, labels, generator.dirichlet(np.ones(3), size=30), perfect=(labels, np.eye(3)[labels], 0.0))
