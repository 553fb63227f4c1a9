"""Batches are in the model's range; which images are in batch k depends on seed and k alone."""

from collections import Counter

import numpy as np
import pytest
import torch

from meddiff.batches.cuts import Middle
from meddiff.batches.images import Images
from meddiff.batches.order import Order
from meddiff.cache.image_array import CachedPicture, decode
from meddiff.errors import InputError
from meddiff.images.intensity import to_model_range, to_pixels
from meddiff.images.prepare import Transform
from tests.manifest.rows import draw_pictures


@pytest.fixture
def images(tmp_path):
    array = decode(draw_pictures(tmp_path, masks=True), Transform(8, with_masks=True), folder=tmp_path / "cache")
    return Images(array, ["x", "y", "z"])


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
    assert np.array_equal(to_pixels(batch.image[1].numpy()), np.moveaxis(images.prepared.images[0], 0, -1))
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
    untold = Images(images.prepared, [])
    assert untold.labels.tolist() == [-1] * 6
    assert untold.batch([0]).label is None


def test_a_label_outside_the_classes_is_refused(images):
    with pytest.raises(InputError) as caught:
        Images(images.prepared, ["x", "y"])
    assert "row '2' has 'z'" in str(caught.value)
    assert "Use one of x, y" in str(caught.value)


def drawn(labels, steps, **options):
    options = {"batch_size": 4, "seed": 3} | options
    order = Order(labels, class_balance=options.pop("class_balance", 0))
    return np.concatenate([order.positions(step, **options) for step in steps])


def test_what_depends_on_the_data_set_is_worked_out_once(tmp_path, monkeypatch):
    """A step costs the same however many images there are."""
    rows = draw_pictures(tmp_path, masks=True)
    prepared = decode(rows, Transform(8, with_masks=True), folder=tmp_path / "cache")
    counts, unique, largest = Counter(), np.unique, CachedPicture.largest_class.fget

    def counted(name, work):
        def call(*arguments, **options):
            counts[name] += 1
            return work(*arguments, **options)

        return call

    monkeypatch.setattr(np, "unique", counted("all classes", unique))
    monkeypatch.setattr(CachedPicture, "largest_class", property(counted("one mask", largest)))
    for images in (Images(prepared, ["x", "y", "z"]), Images(prepared)):  # by label, by the largest class in each mask
        for step in range(20):
            images.drawn(step, batch_size=4, seed=0, class_balance=1.0)
    assert counts == {"all classes": 2, "one mask": len(rows)}


def test_parts_of_a_batch_are_the_batch(images):
    batch = images.drawn(5, batch_size=6, seed=2)
    parts = [images.drawn(5, batch_size=6, seed=2, part=slice(start, start + 2)) for start in (0, 2, 4)]
    assert torch.equal(torch.cat([part.image for part in parts]), batch.image)
    assert torch.cat([part.index for part in parts]).tolist() == batch.index.tolist()


def test_one_index_into_the_array_gives_what_cutting_picture_by_picture_gives(images):
    fast, slow = images.batch([4, 0, 4]), Images(images.prepared, images.class_names, Middle((8, 8))).batch([4, 0, 4])
    for name in ("image", "label", "mask", "index"):
        assert torch.equal(getattr(fast, name), getattr(slow, name))


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
        Order(np.array([], dtype=np.int64))
    with pytest.raises(InputError, match=r"class_balance is 1\.5"):
        Order(np.zeros(3), class_balance=1.5)
