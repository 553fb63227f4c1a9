"""Truth: noise whose spectrum is known, a filter whose transfer function is known, and a single wave."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from meddiff.errors import InputError
from meddiff.metrics.images.spectrum import radial_power_db, spectrum_distance_db
from tests.contracts import check_metric


def noise(images, side=32, seed=0):
    return np.random.default_rng(seed).normal(size=(images, 1, side, side))


@pytest.mark.parametrize("side", [32, 31])
def test_white_noise_of_unit_variance_is_flat_at_zero_db(side):
    power = 10 ** (radial_power_db(noise(2000, side)) / 10)
    assert power.shape == (2000, side // 2)
    assert power.mean(0)[1:] == pytest.approx(np.ones(side // 2 - 1), abs=0.05)


def test_scaling_and_waves():
    images = noise(20)
    assert radial_power_db(10 * images) == pytest.approx(radial_power_db(images) + 20)
    wave = np.cos(2 * np.pi * 5 * np.arange(32) / 32)[None, None, None] * np.ones((1, 1, 32, 1))
    assert radial_power_db(wave)[0].argmax() == 5 - 1
    assert radial_power_db(wave.swapaxes(2, 3)) == pytest.approx(radial_power_db(wave))


def test_blur_shows_as_its_transfer_function():
    images = noise(300, 64)
    blurred = gaussian_filter(images, (0, 0, 1.0, 1.0), mode="wrap")
    lost = (radial_power_db(images) - radial_power_db(blurred)).mean(0)
    frequency = np.arange(1, 33) / 64
    expected = 10 * np.log10(np.e) * (2 * np.pi * frequency) ** 2  # |exp(-(2 pi f)^2 / 2)|^2
    assert lost[4:16] == pytest.approx(expected[4:16], rel=0.1)  # rings are one frequency wide
    assert spectrum_distance_db(images, blurred) > 10
    assert spectrum_distance_db(images, noise(300, 64, seed=1)) < 0.3


def test_contract_and_refusals():
    check_metric(spectrum_distance_db, noise(6), noise(5, seed=1), perfect=(noise(4), noise(4), 0.0))
    assert np.isfinite(radial_power_db(np.ones((1, 1, 8, 8)))).all()
    with pytest.raises(InputError, match="one size"):
        spectrum_distance_db(noise(3, 16), noise(3, 8))
    with pytest.raises(InputError, match="side, side"):
        radial_power_db(np.zeros((1, 1, 8, 9)))
