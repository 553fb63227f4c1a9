"""Truth: a line that a pencil can measure, and generators that copy, underfit or are honest, by construction."""

import numpy as np
import pytest
from scipy.stats import mannwhitneyu

from meddiff.errors import InputError
from meddiff.metrics.images.copying import (
    authentic_share,
    copying_by_cell,
    copying_statistic,
    memorization_distance,
    memorization_informed_frechet,
)
from meddiff.metrics.images.fidelity import frechet_distance
from tests.contracts import check_metric


def sample(images, seed, shift=0.0):
    """Two modes in 8 dimensions."""
    generator = np.random.default_rng(seed)
    return generator.normal(size=(images, 8)) + 6.0 * generator.integers(2, size=(images, 1)) + shift


def near(training, images, seed, spread):
    generator = np.random.default_rng(seed)
    return training[generator.integers(len(training), size=images)] + spread * generator.normal(size=(images, 8))


def test_authentic_share_by_pencil():
    training = np.array([[0.0], [1.0], [5.0]])  # nearest others at 1, 1, 4
    synthetic = np.array([[0.1], [7.0], [10.0], [2.5]])  # 0.1 < 1; 2 < 4; 5 > 4; 1.5 > 1
    assert authentic_share(training, synthetic) == 0.5


def test_copies_are_not_authentic():
    training = sample(400, 0)
    assert authentic_share(training, near(training, 200, 1, 0.05)) < 0.01
    assert 0.4 < authentic_share(training, sample(200, 1)) < 0.7


def test_one_cell_equals_scipy():
    training, held_out, synthetic = sample(100, 0), sample(60, 1), sample(50, 2)
    distances = [np.min(np.linalg.norm(x[:, None] - training, axis=2), axis=1) for x in (synthetic, held_out)]
    u = mannwhitneyu(*distances).statistic
    expected = (u - 50 * 60 / 2) / np.sqrt(50 * 60 * 111 / 12)
    assert copying_statistic(training, held_out, synthetic, cells=1) == pytest.approx(expected)


def test_statistic_tells_copying_from_honesty_from_underfitting():
    training, held_out = sample(600, 0), sample(300, 1)
    assert copying_statistic(training, held_out, near(training, 300, 2, 0.1), cells=2) < -8
    assert abs(copying_statistic(training, held_out, sample(300, 2), cells=2)) < 3
    assert copying_statistic(training, held_out, near(training, 300, 2, 3.0), cells=2) > 8


def test_the_statistic_of_honest_images_is_standard_normal():
    """Of five cells too: a mean of five scores would have a deviation of 0.45."""
    training = sample(250, 0)
    scores = [copying_statistic(training, sample(150, 2 * k + 1), sample(150, 2 * k + 2), cells=5) for k in range(60)]
    assert 0.75 < np.std(scores) < 1.35  # of 60 draws: within 3 of their own deviations, the training set given


def test_the_lowest_cell_sees_copying_in_one_mode_that_blur_in_the_other_hides():
    training, held_out = sample(600, 0), sample(400, 1)
    upper = training[:, 0] > 3
    mixed = np.concatenate([near(training[upper], 200, 2, 0.1), near(training[~upper], 200, 2, 3.0)])
    assert abs(copying_statistic(training, held_out, mixed, cells=2)) < 3
    scores, images = copying_by_cell(training, held_out, mixed, cells=2)
    assert scores.min() < -8
    assert scores.max() > 8
    assert images.sum() == 400


def test_contract_and_refusals():
    check_metric(authentic_share, sample(30, 0), sample(20, 1))
    with pytest.raises(InputError, match="fewer cells"):
        copying_statistic(sample(50, 0), sample(8, 1), sample(50, 2))


def test_memorization_distance_by_pencil():
    training = np.array([[1.0, 0.0], [0.0, 2.0]])
    synthetic = np.array([[3.0, 4.0], [-5.0, 0.0]])  # cosines 3/5 and 4/5; -1 counts as 1
    assert memorization_distance(training, synthetic) == pytest.approx((0.2 + 0.0) / 2)


def test_mifid_divides_where_images_are_suspiciously_near():
    training, honest = sample(200, 0), sample(100, 1)
    copies = near(training, 100, 2, 0.01)
    distance = memorization_distance(training, copies)
    assert distance < 1e-4
    expected = frechet_distance(training, copies) / distance
    assert memorization_informed_frechet(training, copies) == pytest.approx(expected)
    far = memorization_distance(training, honest)
    assert memorization_informed_frechet(training, honest, suspicious=far) == frechet_distance(training, honest)
    assert memorization_informed_frechet(training, training[:50]) == np.inf


def test_a_direction_is_needed():
    with pytest.raises(InputError, match="1 images have features that are all zero"):
        memorization_distance(np.eye(3), np.zeros((1, 3)))
