"""Truth: logits whose temperature is known, and the calibration error of meddiff.metrics as the judge."""

import numpy as np
import pytest
from scipy.special import softmax

from meddiff.ensemble.temperature import FLOOR, HIGHEST, apply_temperature, fit_temperature, sample_pixels
from meddiff.errors import InputError
from meddiff.metrics.classifiers.calibration import expected_calibration_error, negative_log_likelihood


def pixels(temperature, *, classes=3, count=60_000, seed=0):
    """Labels drawn from softmax(z), and the logits temperature * z of a model that is too sure by that factor."""
    generator = np.random.default_rng(seed)
    true = generator.normal(scale=2, size=(count, classes))
    labels = (generator.random((count, 1)) > softmax(true, 1).cumsum(1)[:, :-1]).sum(1)
    return labels, true * temperature


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
@pytest.mark.parametrize("classes", [2, 4])
def test_the_temperature_of_synthetic_logits_is_recovered(temperature, classes):
    labels, logits = pixels(temperature, classes=classes)
    assert fit_temperature(labels, logits, logits=True) == pytest.approx(temperature, rel=0.03)
    if temperature < 2:  # beyond, softmax falls under the floor in many pixels, and information is gone
        assert fit_temperature(labels, softmax(logits, 1)) == pytest.approx(temperature, rel=0.03)


def test_calibration_and_likelihood_improve_on_other_pixels_and_no_class_changes():
    temperature = fit_temperature(*_probabilities(seed=0))
    labels, before = _probabilities(seed=1)
    after = apply_temperature(before.T, temperature).T
    assert expected_calibration_error(labels, before) > 0.1
    assert expected_calibration_error(labels, after) < 0.01
    assert negative_log_likelihood(labels, after) < negative_log_likelihood(labels, before)
    assert (after.argmax(1) == before.argmax(1)).all()


def _probabilities(seed):
    labels, logits = pixels(2.5, seed=seed, count=30_000)
    return labels, softmax(logits, 1)


def test_probabilities_and_logits_are_scaled_alike():
    logits = np.random.default_rng(0).normal(size=(3, 5, 6))
    expected = softmax(logits / 1.7, 0)
    assert apply_temperature(softmax(logits, 0), 1.7) == pytest.approx(expected, abs=1e-12)
    assert apply_temperature(logits, 1.7, logits=True) == pytest.approx(expected, abs=1e-12)


def test_certain_probabilities_stay_probabilities():
    certain = np.array([[0.0, 1.0], [1.0, 0.0]], np.float32)
    for temperature in (0.05, 1.0, 20.0):
        scaled = apply_temperature(certain, temperature)
        assert scaled.dtype == np.float32
        assert np.isfinite(scaled).all()
        assert scaled.sum(0) == pytest.approx(1)
    assert apply_temperature(certain, 1.0) == pytest.approx(certain, abs=2 * FLOOR)


def test_sure_pixels_that_are_wrong_ask_for_a_high_temperature():
    probabilities = np.tile([0.0, 1.0], (100, 1))
    labels = np.ones(100, int)
    labels[:20] = 0
    temperature = fit_temperature(labels, probabilities)
    assert apply_temperature(probabilities.T, temperature)[1, 0] == pytest.approx(0.8, abs=1e-3)
    assert fit_temperature(np.arange(100) % 2, probabilities) == pytest.approx(HIGHEST, rel=1e-3), "as good as none"


def test_sampled_pixels_are_pixels_of_the_case():
    truth = np.arange(12).reshape(3, 4) % 2
    probabilities = np.stack([np.arange(12.0), 100 - np.arange(12.0)]).reshape(2, 3, 4)
    generator = np.random.default_rng(0)
    labels, rows = sample_pixels(truth, probabilities, count=5, generator=generator)
    assert rows.shape == (5, 2)
    assert len(set(rows[:, 0])) == 5, "without repetition"
    assert (labels == rows[:, 0] % 2).all()
    assert (rows.sum(1) == 100).all()
    assert len(sample_pixels(truth, probabilities, count=99, generator=generator)[0]) == 12


def test_bad_input():
    labels, logits = pixels(1.0, count=10)
    with pytest.raises(InputError, match="logits=True"):
        fit_temperature(labels, logits)
    with pytest.raises(InputError, match="one label"):
        fit_temperature(labels[:3], softmax(logits, 1))
    with pytest.raises(InputError, match="labels"):
        fit_temperature(labels + 3, softmax(logits, 1))
    with pytest.raises(InputError, match="NaN"):
        apply_temperature(np.full((2, 3), np.nan), 1.0)
    with pytest.raises(InputError, match="above 0"):
        apply_temperature(np.full((2, 3), 0.5), 0.0)
    with pytest.raises(InputError, match=r"\[K, \*S\]"):
        sample_pixels(np.zeros((2, 2)), np.zeros((2, 3, 3)), count=1, generator=np.random.default_rng(0))
