"""Truth: sets whose number of different images is known, MONAI, and scikit-image."""

import numpy as np
import pytest
from skimage.metrics import structural_similarity as skimage_ssim

from meddiff.errors import InputError
from meddiff.metrics.images.diversity import (
    mean_square_distance,
    number_of_scales,
    similarity_of_pairs,
    structural_similarity,
    vendi_score,
)
from tests.contracts import check_metric


def test_vendi_counts_different_images():
    directions = np.eye(12)
    assert vendi_score(directions) == pytest.approx(12)
    assert vendi_score(np.repeat(directions[:3], 5, axis=0)) == pytest.approx(3)  # 15 images, 3 different
    assert vendi_score(np.ones((7, 4)) * np.arange(1, 8)[:, None]) == pytest.approx(1)  # length does not count
    assert vendi_score(np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])) == pytest.approx(
        np.exp(-(2 / 3 * np.log(2 / 3) + 1 / 3 * np.log(1 / 3)))
    )


def test_vendi_equals_its_definition_in_both_shapes():
    for shape in ((20, 50), (50, 20)):
        features = np.random.default_rng(0).normal(size=shape)
        unit = features / np.linalg.norm(features, axis=1, keepdims=True)
        shares = np.linalg.eigvalsh(unit @ unit.T / len(unit))
        shares = shares[shares > 1e-12]
        assert vendi_score(features) == pytest.approx(np.exp(-np.sum(shares * np.log(shares))))


def _images(side, channels=1, images=3, seed=0):
    generator = np.random.default_rng(seed)
    first = generator.random((images, channels, side, side))
    first = (first + np.roll(first, 1, 2) + np.roll(first, 1, 3)) / 3
    return first, np.clip(first + 0.1 * generator.normal(size=first.shape), 0, 1)


def test_one_scale_equals_scikit_image():
    first, second = _images(21)
    assert number_of_scales(21) == 1
    expected = []
    for a, b in zip(first[:, 0], second[:, 0], strict=True):
        _, every = skimage_ssim(
            a, b, data_range=1.0, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, full=True
        )
        expected.append(every[5:-5, 5:-5].mean())
    assert structural_similarity(first, second, data_range=1.0) == pytest.approx(expected, rel=1e-6)


def test_five_scales_equal_monai():
    torch = pytest.importorskip("torch")
    from monai.metrics import MultiScaleSSIMMetric

    first, second = _images(192, channels=3, images=2)
    assert number_of_scales(192) == 5
    metric = MultiScaleSSIMMetric(spatial_dims=2, data_range=1.0, kernel_size=11)
    theirs = metric(torch.from_numpy(first).float(), torch.from_numpy(second).float()).numpy().ravel()
    assert structural_similarity(first, second, data_range=1.0) == pytest.approx(theirs, abs=2e-4)


def test_collapse_shows():
    generator = np.random.default_rng(0)
    different = generator.random((20, 1, 32, 32))
    collapsed = different[:1] + 0.01 * generator.normal(size=(20, 1, 32, 32))
    spread = similarity_of_pairs(different, np.random.default_rng(1), data_range=1.0, pairs=100)
    alike = similarity_of_pairs(collapsed, np.random.default_rng(1), data_range=1.0, pairs=100)
    assert spread.shape == (100,)
    assert spread.mean() < 0.3 < 0.95 < alike.mean()


def test_contract_and_refusals():
    check_metric(vendi_score, np.random.default_rng(0).normal(size=(20, 5)))
    first, second = _images(48)
    check_metric(lambda a, b: structural_similarity(a, b, data_range=1.0).mean(), first, second)
    with pytest.raises(InputError, match="direction"):
        vendi_score(np.zeros((2, 3)))
    with pytest.raises(InputError, match="11-pixel window"):
        structural_similarity(first[..., :8, :8], second[..., :8, :8], data_range=1.0)
    with pytest.raises(InputError, match="a pair needs 2"):
        similarity_of_pairs(first[:1], np.random.default_rng(0), data_range=1.0)


def test_mean_square_distance_is_that_of_all_pairs():
    vectors = np.random.default_rng(0).normal(size=(9, 4)).astype(np.float32) + 100
    pairs = [np.sum((a - b).astype(np.float64) ** 2) for i, a in enumerate(vectors) for b in vectors[:i]]
    assert mean_square_distance(vectors) == pytest.approx(np.mean(pairs), rel=1e-5)
    assert mean_square_distance(np.ones((5, 3))) == 0
    with pytest.raises(InputError, match="at least two"):
        mean_square_distance(np.ones((1, 3)))
    with pytest.raises(InputError, match="NaN"):
        mean_square_distance(np.full((2, 3), np.nan))
