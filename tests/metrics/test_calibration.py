"""Truth: a table that a pencil can check, and a generator whose calibration is known."""

import numpy as np
import pytest

from meddiff.errors import InputError
from meddiff.metrics.calibration import expected_calibration_error, reliability


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
