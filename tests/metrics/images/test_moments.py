"""Truth: numpy on everything at once."""

import tracemalloc
from functools import reduce
from operator import add

import numpy as np
import pytest

from meddiff.errors import InputError
from meddiff.metrics.images.fidelity import frechet_distance
from meddiff.metrics.images.moments import frechet_distance_of_moments, moments


def batches(images, sizes=(1, 50, 3, 200)):
    cuts = np.cumsum(sizes)[:-1]
    return np.split(images[: sum(sizes)], cuts)


def sample(images, seed, dimension=20):
    """Features far from zero, where sums of squares lose digits."""
    return np.random.default_rng(seed).normal(size=(images, dimension)) * np.linspace(0.1, 3, dimension) + 1e4


def test_batches_add_up_to_numpys_moments():
    images = sample(254, 0)
    total = reduce(add, map(moments, batches(images)))
    assert total.count == 254
    assert total.mean == pytest.approx(images.mean(0), rel=1e-12)
    assert total.scatter / 253 == pytest.approx(np.cov(images, rowvar=False), rel=1e-8, abs=1e-10)


def test_the_order_of_batches_does_not_matter():
    parts = [moments(part) for part in batches(sample(254, 0))]
    forward, backward = reduce(add, parts), reduce(add, parts[::-1])
    assert forward.scatter == pytest.approx(backward.scatter, rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("dimension", [20, 300])  # more, and fewer, images than features
def test_distance_equals_that_of_the_images(dimension):
    first, second = sample(254, 0, dimension), sample(254, 1, dimension) * 1.1
    found = frechet_distance_of_moments(*(reduce(add, map(moments, batches(part))) for part in (first, second)))
    assert found == pytest.approx(frechet_distance(first, second), rel=1e-6)


def peak_bytes(batch_count):
    tracemalloc.start()
    reduce(add, (moments(sample(100, seed, 64)) for seed in range(batch_count)))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak


def test_a_hundred_times_as_many_images_take_no_more_memory():
    peak_bytes(2)  # what is allocated once
    assert peak_bytes(300) < 1.2 * peak_bytes(3)


def test_bad_input():
    with pytest.raises(InputError, match="same extractor"):
        frechet_distance_of_moments(moments(sample(5, 0, 3)), moments(sample(5, 0, 4)))
    with pytest.raises(InputError, match="at least 2"):
        frechet_distance_of_moments(moments(sample(1, 0)), moments(sample(5, 0)))
    with pytest.raises(InputError, match="NaN"):
        moments(np.full((2, 3), np.nan))
    with pytest.raises(InputError, match="at least one image"):
        moments(np.zeros((0, 3)))
