"""Truth: the distances written as their definition, and copies put there on purpose."""

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from meddiff.errors import InputError
from meddiff.metrics.images.memorization import SYMMETRIES, copy_threshold, nearest, nearest_image, nearest_other


@pytest.mark.parametrize(("n", "m"), [(700, 300), (5, 3), (3, 1)])
def test_nearest_equals_scipy(n, m):
    generator = np.random.default_rng(0)
    queries, references = generator.normal(size=(n, 40)), generator.normal(size=(m, 40))
    every = cdist(queries, references)
    distance, index = nearest(queries, references)
    assert distance == pytest.approx(every.min(1), rel=1e-12)
    assert (index == every.argmin(1)).all()


@pytest.mark.parametrize("n", [600, 3, 2])
def test_nearest_other_equals_scipy(n):
    points = np.random.default_rng(0).normal(size=(n, 10))
    every = cdist(points, points) + np.diag(np.full(n, np.inf))
    distance, index = nearest_other(points)
    assert distance == pytest.approx(every.min(1), rel=1e-12)
    assert (index == every.argmin(1)).all()
    assert nearest_other(np.repeat(points, 2, axis=0))[0].max() == 0.0


def test_near_copies_far_from_the_origin_keep_their_digits():
    """|q|^2 + |r|^2 - 2 q.r in float32 is pure rounding error here."""
    generator = np.random.default_rng(0)
    references = generator.normal(size=(50, 3000)) + 1000.0
    queries = references[[7, 3]].copy()
    queries[1, 0] += 1e-3
    distance, index = nearest(queries, references)
    assert index.tolist() == [7, 3]
    assert distance[0] == 0.0
    assert distance[1] == pytest.approx(1e-3, rel=1e-6)


def test_a_turned_copy_is_found_and_the_turn_named():
    generator = np.random.default_rng(0)
    references = generator.random((20, 3, 8, 8)).astype(np.float32)
    for turn, name in enumerate(SYMMETRIES):
        copy = references[4]
        if "270" in name or "90" in name or "180" in name:
            copy = np.rot90(copy, -int(name.split()[-1]) // 90, axes=(1, 2))
        if name.startswith("mirrored"):
            copy = copy[..., ::-1]
        distance, index, symmetry = nearest_image(copy[None], references)
        assert (distance[0], index[0], symmetry[0]) == (0.0, 4, turn)


def test_image_distance_is_root_mean_square():
    reference = np.zeros((1, 1, 4, 4))
    distance, _, _ = nearest_image(np.full((1, 1, 4, 4), 0.25), reference)
    assert distance == pytest.approx([0.25])


def test_threshold_flags_its_quantile_of_held_out_images():
    held_out = np.arange(1.0, 101.0)
    assert copy_threshold(held_out, 0.0) == 1.0
    assert (held_out < copy_threshold(held_out, 0.05)).mean() == 0.05


def test_bad_input():
    images = np.zeros((2, 4))
    with pytest.raises(InputError, match="same features"):
        nearest(images, images[:, :3])
    with pytest.raises(InputError, match="no reference"):
        nearest(images, images[:0])
    with pytest.raises(InputError, match="NaN"):
        nearest(images * np.nan, images)
    with pytest.raises(InputError, match="square"):
        nearest_image(np.zeros((1, 1, 4, 5)), np.zeros((1, 1, 4, 5)))
    with pytest.raises(InputError, match="keep some patients out"):
        copy_threshold(np.array([]), 0.01)
    with pytest.raises(InputError, match="between 0 and 1"):
        copy_threshold(np.ones(3), 5)


def test_a_mirrored_copy_of_a_volume_is_found_with_its_mirroring():
    references = np.random.default_rng(0).normal(size=(5, 1, 3, 4, 6))
    for symmetry, axes in enumerate(((), (4,), (3,), (3, 4), (2,), (2, 4), (2, 3), (2, 3, 4))):
        copy = np.flip(references[3:4], axes)
        distance, index, found = nearest_image(copy, references)
        assert (distance[0], index[0], found[0]) == (0, 3, symmetry)
