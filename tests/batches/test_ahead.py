"""Batches made ahead on another thread, and pictures that live on the device, are the plain batches to the bit."""

import threading

import numpy as np
import pytest
import torch

from meddiff.batches.ahead import WAITING, ahead
from meddiff.batches.batch import Batch
from meddiff.batches.cuts import Middle
from meddiff.batches.images import Images
from meddiff.batches.resident import needed, on_device
from meddiff.cache.image_array import ImageArray
from meddiff.formats.masks import IGNORED
from tests.manifest.rows import example_row

CPU = torch.device("cpu")


def rows(count):
    return tuple(example_row(str(number), label="ab"[number % 2]) for number in range(count))


def array(dtype, *, masks, count=12):
    draw = np.random.default_rng(0)
    images = draw.integers(0, np.iinfo(dtype).max, (count, 3, 6, 6), dtype=dtype, endpoint=True)
    classes = draw.integers(0, 3, (count, 1, 6, 6), dtype=np.uint8)
    classes[2, 0, 0, 0] = IGNORED
    return ImageArray(images, classes if masks else None, rows(count), ())  # type: ignore[arg-type]


def same(one: Batch, other: Batch):
    assert one.ignores == other.ignores
    assert len(one.tensors) == len(other.tensors)
    for here, there in zip(one.tensors, other.tensors, strict=True):
        assert here.dtype == there.dtype
        assert torch.equal(here, there)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("masks", [False, True])
@pytest.mark.parametrize("class_names", [(), ("a", "b")])
def test_resident_batches_are_those_of_the_file_to_the_bit(dtype, masks, class_names):
    plain = Images(array(dtype, masks=masks), class_names)
    there = on_device(plain, CPU, room=10**9)
    assert there is not plain
    for step in range(4):
        drawn = [images.drawn(step, batch_size=5, seed=3, class_balance=0.5) for images in (plain, there)]
        same(*drawn)
    same(plain.batch([2, 2, 0]), there.batch([2, 2, 0]))
    assert torch.equal(plain.pair(1)[0], there.pair(1)[0]) if masks else True


def test_what_does_not_fit_stays_in_the_file():
    plain = Images(array(np.uint8, masks=True))
    assert on_device(plain, CPU) is plain
    assert on_device(plain, CPU, room=4 * needed(plain.prepared)) is not plain
    assert on_device(plain, CPU, room=4 * needed(plain.prepared) - 1) is plain
    cut = Images(plain.prepared, cut=Middle((4, 4)))
    assert on_device(cut, CPU, room=10**9) is cut


@pytest.mark.parametrize("threaded", [False, True])
def test_batches_come_in_order_whoever_makes_them(threaded):
    images, threads = Images(array(np.uint8, masks=True)), set()

    def batches(step, micro):
        threads.add(threading.current_thread() is threading.main_thread())
        return images.drawn(10 * step + micro, batch_size=4, seed=0)

    numbers = [(step, micro) for step in range(5) for micro in range(2)]
    made = list(ahead(batches, iter(numbers), CPU, threaded=threaded))
    assert threads == {not threaded}
    assert len(made) == len(numbers)
    for batch, number in zip(made, numbers, strict=True):
        same(batch, batches(*number))


def test_no_more_are_made_than_may_wait_and_none_after_the_end():
    asked = []

    def batches(step, micro):
        asked.append(step)
        return Batch(torch.zeros(1, 1, 2, 2), None, None, torch.zeros(1).long())

    made = ahead(batches, ((step, 0) for step in range(100)), CPU, threaded=True)
    next(made)
    made.close()
    assert len(asked) <= WAITING + 1


def test_a_mistake_in_a_batch_arrives_where_the_batch_is_asked_for():
    def batches(step, micro):
        if step == 1:
            raise ValueError("a bad image")
        return Batch(torch.zeros(1, 1, 2, 2), None, None, torch.zeros(1).long())

    made = ahead(batches, ((step, 0) for step in range(9)), CPU, threaded=True)
    next(made)
    with pytest.raises(ValueError, match="a bad image"):
        next(made)
