"""What is told of a mask, and masks that are bent."""

import pytest
import torch

from meddiff.batches.batch import Batch
from meddiff.errors import InputError
from meddiff.tasks.label_map import LabelMap, deformed
from meddiff.tasks.pair import PairTask


def test_a_mask_is_a_channel_for_each_class_and_nothing_where_nobody_judged():
    mask = torch.tensor([[[[0, 1], [2, 255]]]])
    told = LabelMap(channels=1, num_classes=3).condition(Batch(torch.zeros(1, 1, 2, 2), None, mask, torch.tensor([0])))
    assert told.image is not None
    assert told.image[0, :, 0, 0].tolist() == [1, -1, -1]
    assert told.image[0, :, 1, 0].tolist() == [-1, -1, 1]
    assert told.image[0, :, 1, 1].tolist() == [0, 0, 0]
    assert not told.dropped(torch.tensor([False])).image.any(), "an image that is told nothing is told 0 everywhere"


def test_images_without_masks_are_refused():
    with pytest.raises(InputError, match="fill in mask_path"):
        LabelMap(1, 2).condition(Batch(torch.zeros(1, 1, 2, 2), None, None, torch.tensor([0])))


@pytest.mark.parametrize("size", [(32, 24), (12, 16, 20)])
def test_a_bent_mask_keeps_its_classes_and_about_its_size(size):
    middle = [slice(side // 4, 3 * side // 4) for side in size]
    masks = torch.zeros((6, 1, *size), dtype=torch.int64)
    masks[(slice(None), 0, *middle)] = 2
    bent = deformed(masks, torch.Generator().manual_seed(0), strength=0.05)
    assert bent.shape == masks.shape
    assert bent.unique().tolist() == [0, 2]
    grown = (bent > 0).flatten(1).sum(1) / (masks > 0).flatten(1).sum(1)
    assert ((grown > 0.6) & (grown < 1.6)).all()
    assert all((one != two).any() for one, two in zip(bent, masks, strict=True))
    assert torch.equal(deformed(masks, torch.Generator().manual_seed(0), strength=0.05), bent)
    assert torch.equal(deformed(masks, torch.Generator().manual_seed(0), strength=0.0), masks)


def test_a_pair_is_an_image_and_the_digits_of_its_mask():
    generator = torch.Generator().manual_seed(0)
    image, mask = torch.rand(2, 3, 4, 5, generator=generator) * 2 - 1, torch.randint(0, 3, (2, 1, 4, 5))
    task, batch = PairTask(3, 3), Batch(image, torch.tensor([0, 1]), mask, torch.arange(2))
    assert task.channels == 5
    back, classes = task.parts(task.decode(task.clean(batch)))
    assert torch.equal(back, image)
    assert torch.equal(classes, mask[:, 0])
    assert task.condition(batch).image is None
