"""Truth: shifts and tints whose distance is known by pencil, and Gaussians whose distance scipy knows."""

import numpy as np
import pytest
from scipy.stats import wasserstein_distance

from meddiff.errors import InputError
from meddiff.metrics.images.color import color_distance_levels, color_distributions


def distance(first, second):
    return color_distance_levels(color_distributions(first), color_distributions(second))


def test_shifts_by_pencil():
    dark, bright = np.full((2, 3, 4, 4), -0.5), np.full((2, 3, 4, 4), 0.5)  # half of the range apart
    assert distance(dark, dark) == 0
    assert distance(dark, bright) == pytest.approx(255 / 2 * 3 / 5)
    assert distance(dark[:, :1], bright[:, :1]) == pytest.approx(255 / 2)
    red = dark.copy()
    red[:, 0] = 0.5  # the channel moves by half of the range, and so does its difference from green
    assert distance(dark, red) == pytest.approx(255 / 2 * 2 / 5)


def test_a_permutation_of_the_channels_shows():
    skin = np.random.default_rng(0).normal([0.6, 0.1, -0.1], 0.1, (20, 8, 8, 3)).transpose(0, 3, 1, 2).clip(-1, 1)
    assert distance(skin, skin[:, ::-1]) > 40 > 2 > distance(skin[:10], skin[10:])


def test_it_is_scipys_distance():
    generator = np.random.default_rng(1)
    first, second = (generator.normal(mean, 0.2, (30, 1, 16, 16)).clip(-1, 1) for mean in (-0.1, 0.2))
    expected = wasserstein_distance(first.ravel(), second.ravel()) / 2 * 255
    assert distance(first, second) == pytest.approx(expected, rel=0.01)


def test_bad_input():
    with pytest.raises(InputError, match="NaN"):
        color_distributions(np.full((1, 3, 4, 4), np.nan))
    with pytest.raises(InputError, match="one kind"):
        color_distance_levels(np.zeros((2, 5, 128)), np.zeros((2, 1, 128)))
