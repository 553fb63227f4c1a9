"""Truth: scipy's matrix square root, closed forms for Gaussians, and the kernel distance written as its definition."""

import numpy as np
import pytest
from scipy.linalg import sqrtm

from meddiff.errors import InputError
from meddiff.metrics.images.fidelity import frechet_distance, frechet_distance_unbiased, kernel_distance


def _features(images, dimension, seed, scale=1.0, shift=0.0):
    spectrum = np.exp(-4 * np.arange(dimension) / dimension)
    return np.random.default_rng(seed).normal(size=(images, dimension)) * spectrum * scale + shift


def _frechet_by_scipy(first, second):
    a, b = np.cov(first, rowvar=False), np.cov(second, rowvar=False)
    return np.sum((first.mean(0) - second.mean(0)) ** 2) + np.trace(a + b) - 2 * np.trace(sqrtm(a @ b)).real


@pytest.mark.parametrize(("n", "m"), [(300, 300), (300, 90), (60, 400)])
def test_frechet_equals_scipy(n, m):
    first, second = _features(n, 50, 0), _features(m, 50, 1, scale=1.3, shift=0.1)
    assert frechet_distance(first, second) == pytest.approx(_frechet_by_scipy(first, second), rel=1e-9)


@pytest.mark.parametrize(("n", "m"), [(20, 30), (20, 300), (300, 20)])
def test_frechet_with_fewer_images_than_features(n, m):
    """Rank-deficient covariances: the limit of scipy's square root as a ridge goes to zero."""
    first, second = _features(n, 50, 0), _features(m, 50, 1, scale=1.3, shift=0.1)
    a, b = np.cov(first, rowvar=False), np.cov(second, rowvar=False)
    ridge = 1e-12 * np.eye(50)
    root = np.linalg.cholesky(a + ridge)
    overlap = np.sqrt(np.clip(np.linalg.eigvalsh(root.T @ b @ root), 0, None)).sum()
    expected = np.sum((first.mean(0) - second.mean(0)) ** 2) + np.trace(a + b) - 2 * overlap
    assert frechet_distance(first, second) == pytest.approx(expected, rel=1e-5)
    assert frechet_distance(first, second) == pytest.approx(frechet_distance(second, first), rel=1e-12)


def test_frechet_of_many_images_whose_features_depend_on_each_other():
    """Two subspaces of 1,100 dimensions that have nothing in common: the traces of both covariances add up."""
    generator = np.random.default_rng(0)
    first, second = np.zeros((1200, 1100)), np.zeros((1200, 1100))
    first[:, :400] = generator.normal(size=(1200, 8)) @ generator.normal(size=(8, 400))
    second[:, 500:] = generator.normal(size=(1200, 9)) @ generator.normal(size=(9, 600))
    apart = np.sum((first.mean(0) - second.mean(0)) ** 2)
    expected = apart + first.var(0, ddof=1).sum() + second.var(0, ddof=1).sum()
    assert frechet_distance(first, second) == pytest.approx(expected, rel=1e-6)
    assert frechet_distance(first, 2 * first) == pytest.approx(
        np.sum(first.mean(0) ** 2) + first.var(0, ddof=1).sum(), rel=1e-6
    )


def test_frechet_in_one_dimension():
    first, second = _features(100, 1, 0), _features(80, 1, 1, scale=3.0, shift=5.0)
    expected = (first.mean() - second.mean()) ** 2 + (first.std(ddof=1) - second.std(ddof=1)) ** 2
    assert frechet_distance(first, second) == pytest.approx(expected, rel=1e-12)


def test_frechet_invariances():
    features = _features(40, 64, 0)
    assert frechet_distance(features, features) == pytest.approx(0, abs=1e-12)
    shifted = features + 0.5
    assert frechet_distance(features, shifted) == pytest.approx(64 * 0.25, rel=1e-12)
    assert frechet_distance(features, features[::-1]) == pytest.approx(0, abs=1e-12)
    constant = np.ones((5, 8))
    assert frechet_distance(constant, constant) == 0.0  # no variance at all: still no NaN


def test_frechet_is_biased_by_few_images():
    """The figure of the warning: two samples of one 256-d Gaussian."""
    generator = np.random.default_rng(0)
    few = frechet_distance(generator.normal(size=(50, 256)), generator.normal(size=(50, 256)))
    many = frechet_distance(generator.normal(size=(2000, 256)), generator.normal(size=(2000, 256)))
    assert 300 < few < 380
    assert 10 < many < 25


def test_kernel_equals_its_definition():
    first, second = _features(12, 5, 0), _features(9, 5, 1, shift=0.3)

    def kernel(x, y):
        return (x @ y / 5 + 1) ** 3

    def within(points):
        return np.mean([kernel(x, y) for i, x in enumerate(points) for j, y in enumerate(points) if i != j])

    expected = within(first) + within(second) - 2 * np.mean([kernel(x, y) for x in first for y in second])
    assert kernel_distance(first, second) == pytest.approx([expected], rel=1e-12)


def test_kernel_of_chosen_images_equals_that_of_the_smaller_sets():
    first, second = _features(30, 6, 0), _features(25, 6, 1)
    generator = np.random.default_rng(2)
    a, b = generator.random((30, 3)) < 0.5, generator.random((25, 3)) < 0.5
    together = kernel_distance(first, second, real_chosen=a, synthetic_chosen=b)
    alone = [kernel_distance(first[p], second[q])[0] for p, q in zip(a.T, b.T, strict=True)]
    assert together == pytest.approx(alone, rel=1e-10)


def test_kernel_has_no_bias_where_the_frechet_distance_has():
    values = [kernel_distance(_features(20, 64, 2 * s), _features(20, 64, 2 * s + 1))[0] for s in range(200)]
    error = np.std(values) / np.sqrt(len(values))
    assert abs(np.mean(values)) < 3 * error
    assert kernel_distance(_features(200, 64, 0), _features(200, 64, 1, shift=1.0))[0] > 50 * np.std(values)


@pytest.mark.parametrize("distance", [frechet_distance, kernel_distance])
def test_bad_input(distance):
    good = _features(10, 4, 0)
    with pytest.raises(InputError, match="same extractor"):
        distance(good, good[:, :3])
    with pytest.raises(InputError, match="at least 2"):
        distance(good, good[:1])
    with pytest.raises(InputError, match="NaN"):
        distance(good, np.full((3, 4), np.nan))


def test_frechet_large_enough_for_the_squared_form():
    """Above SMALL the singular values are taken from squares: dead and repeated features leave many at zero."""
    first, second = _features(1500, 1100, 0), _features(1200, 1100, 1, scale=1.1)
    first[:, ::3], second[:, ::4] = 0, second[:, 5:6]

    def factor(features):
        return np.linalg.qr((features - features.mean(0)) / np.sqrt(len(features) - 1), mode="r")

    overlap = np.linalg.svd(factor(first) @ factor(second).T, compute_uv=False).sum()
    spread = first.var(0, ddof=1).sum() + second.var(0, ddof=1).sum()
    expected = np.sum((first.mean(0) - second.mean(0)) ** 2) + spread - 2 * overlap
    assert frechet_distance(first, second) == pytest.approx(expected, rel=1e-7)


def test_extrapolation_takes_the_bias_away():
    """Two samples of one Gaussian (truth 0), and two whose means differ by a known square (truth 1.28)."""
    generator = np.random.default_rng(0)
    first, second = generator.normal(size=(600, 32)), generator.normal(size=(600, 32))
    biased = frechet_distance(first, second)
    assert biased > 0.8
    assert abs(frechet_distance_unbiased(first, second, generator)) < 0.25 * biased
    assert frechet_distance_unbiased(first, second + 0.2, generator) == pytest.approx(32 * 0.04, abs=0.4)
    with pytest.raises(InputError, match="give more images"):
        frechet_distance_unbiased(first[:100], second, generator)
