"""Masks become numbers and come back, for every number of classes, rank and encoding."""

import pytest
import torch

from meddiff.batches.batch import Batch
from meddiff.errors import InputError
from meddiff.tasks.segment import SegmentTask


def batch(classes):
    image = torch.zeros(len(classes), 1, *classes.shape[1:])
    return Batch(image=image, label=None, mask=classes[:, None], index=torch.arange(len(classes)))


@pytest.mark.parametrize("encoding", ["one_hot", "bits"])
@pytest.mark.parametrize("num_classes", [2, 3, 5, 8])
@pytest.mark.parametrize("size", [(5, 7), (3, 4, 5)])
@pytest.mark.parametrize("scale", [1.0, 0.1])
def test_a_mask_survives_encoding(encoding, num_classes, size, scale):
    classes = torch.randint(0, num_classes, (3, *size), generator=torch.Generator().manual_seed(0))
    task = SegmentTask(num_classes, encoding=encoding, scale=scale)
    x_0 = task.clean(batch(classes))
    assert x_0.shape == (3, task.channels, *size)
    torch.testing.assert_close(x_0.abs(), torch.full_like(x_0, scale))
    p = task.decode(x_0)
    assert p.shape == (3, num_classes, *size)
    assert torch.equal(p.argmax(1), classes)
    torch.testing.assert_close(p.amax(1), torch.ones(3, *size))


def test_channels_are_classes_or_binary_digits():
    assert [SegmentTask(count, encoding="one_hot").channels for count in (2, 3, 4, 5)] == [2, 3, 4, 5]
    assert [SegmentTask(count, encoding="bits").channels for count in (2, 3, 4, 5)] == [1, 2, 2, 3]


@pytest.mark.parametrize("encoding", ["one_hot", "bits"])
def test_probabilities_add_up_to_one_whatever_the_estimate_is(encoding):
    task = SegmentTask(3, encoding=encoding, scale=0.5)
    p = task.decode(torch.randn(4, task.channels, 6, 6, generator=torch.Generator().manual_seed(0)) * 3)
    assert p.min() >= 0
    torch.testing.assert_close(p.sum(1), torch.ones(4, 6, 6))
    torch.testing.assert_close(task.decode(torch.full((1, task.channels, 1, 1), -9.0)).sum(), torch.tensor(1.0))


def test_decoding_inverts_the_posterior_mean_of_one_hot():
    """x_0 = scale (2 p - 1) is what a network that predicts classes says; p must come back."""
    p = torch.rand(2, 4, 3, 3, generator=torch.Generator().manual_seed(0)).softmax(1)
    torch.testing.assert_close(SegmentTask(4, scale=0.2).decode(0.2 * (2 * p - 1)), p)


def test_what_is_told_is_the_image():
    known = SegmentTask(2).condition(batch(torch.zeros(2, 4, 4, dtype=torch.int64)))
    assert known.image is not None
    assert known.label is None


def test_mistakes_are_told():
    with pytest.raises(InputError, match="at least 2 classes"):
        SegmentTask(1)
    with pytest.raises(InputError, match="one_hot or bits"):
        SegmentTask(2, encoding="gray")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="scale"):
        SegmentTask(2, scale=0)
    image = Batch(image=torch.zeros(1, 1, 4, 4), label=None, mask=None, index=torch.arange(1))
    with pytest.raises(InputError, match="have none"):
        SegmentTask(2).clean(image)
