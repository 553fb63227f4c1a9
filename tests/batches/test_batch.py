"""Batches are in the model's range; which images are in batch k depends on seed and k alone."""

import numpy as np
import pytest
import torch

from meddiff.batches.images import LabeledImages
from meddiff.batches.order import draw_indices
from meddiff.cache.pictures import decode
from meddiff.errors import InputError
from meddiff.images.intensity import to_model_range, to_pixels
from tests.manifest.rows import draw_pictures


@pytest.fixture
def images(tmp_path):
    array = decode(draw_pictures(tmp_path, masks=True), image_size=8, with_masks=True, folder=tmp_path / "cache")
    return LabeledImages(array, ["x", "y", "z"])


def test_a_batch(images):
    batch = images.batch([4, 0, 4])
    assert len(images) == 6
    assert batch.image.shape == (3, 3, 8, 8)
    assert batch.image.dtype == torch.float32
    assert batch.label.tolist() == [1, 0, 1]
    assert batch.index.tolist() == [4, 0, 4]
    assert batch.mask.shape == (3, 1, 8, 8)
    assert batch.mask.dtype == torch.int64
    assert torch.equal(batch.image[0], batch.image[2])
    assert np.array_equal(to_pixels(batch.image[1].numpy()), np.moveaxis(images.array.images[0], 0, -1))
    assert batch.to("cpu").label.tolist() == [1, 0, 1]
    away = batch.to("meta")
    assert all(part.is_meta for part in (away.image, away.label, away.mask, away.index))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_the_range_is_exact_at_both_ends_and_comes_back(dtype):
    largest = np.iinfo(dtype).max
    pixels = np.arange(largest + 1, dtype=dtype).reshape(1, 1, -1)
    image = to_model_range(pixels)
    assert image.min() == -1
    assert image.max() == 1
    assert np.array_equal(to_pixels(image.numpy(), dtype), pixels[0])


def test_without_classes_no_label_is_told(images):
    untold = LabeledImages(images.array, [])
    assert untold.labels.tolist() == [-1] * 6
    assert untold.batch([0]).label is None


def test_a_label_outside_the_classes_is_refused(images):
    with pytest.raises(InputError) as caught:
        LabeledImages(images.array, ["x", "y"])
    assert "row '2' has 'z'" in str(caught.value)
    assert "Use one of x, y" in str(caught.value)


def drawn(labels, steps, **options):
    options = {"batch_size": 4, "seed": 3} | options
    return np.concatenate([draw_indices(labels, step=step, **options) for step in steps])


@pytest.mark.parametrize("batch_size", [1, 3, 4, 10, 25])
def test_each_image_once_per_epoch(batch_size):
    labels = np.zeros(10, dtype=np.int64)
    order = drawn(labels, range(20), batch_size=batch_size)
    for start in range(0, len(order) - 9, 10):
        assert sorted(order[start : start + 10]) == list(range(10))
    if batch_size > 1:
        assert not np.array_equal(order[:10], order[10:20])


@pytest.mark.parametrize("balance", [0, 0.5, 1])
def test_batch_k_depends_on_seed_and_k_alone(balance):
    labels = np.arange(30) % 3
    forward = [drawn(labels, [step], class_balance=balance).tolist() for step in range(30)]
    backward = [drawn(labels, [step], class_balance=balance).tolist() for step in reversed(range(30))]
    assert forward == backward[::-1]
    assert forward != [drawn(labels, [step], class_balance=balance, seed=4).tolist() for step in range(30)]
    assert len({tuple(batch) for batch in forward}) > 20


@pytest.mark.parametrize(("balance", "share"), [(0.5, 9 / 10), (1, 1 / 2)])
def test_class_balance_is_an_exponent(balance, share):
    labels = np.array([0] * 810 + [1] * 10)
    order = drawn(labels, range(200), batch_size=100, class_balance=balance)
    assert np.mean(labels[order] == 0) == pytest.approx(share, abs=0.01)
    assert set(order[labels[order] == 1]) == set(range(810, 820))


def test_what_cannot_be_drawn():
    with pytest.raises(InputError, match="no image"):
        draw_indices(np.array([], dtype=np.int64), batch_size=4, step=0, seed=0)
    with pytest.raises(InputError, match=r"class_balance is 1\.5"):
        draw_indices(np.zeros(3), batch_size=4, step=0, seed=0, class_balance=1.5)
