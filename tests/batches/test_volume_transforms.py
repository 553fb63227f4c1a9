"""Volumes turn around their middle in voxels, image and mask together; light changes by its formula."""

import math

import pytest
import torch

from meddiff.batches.batch import Batch
from meddiff.batches.turns import Change, classical_volume_augmentation, draw_change, relight, rotate


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("axis", range(3))
def test_a_quarter_turn_is_that_of_the_array(axis):
    shape = [8, 8, 8]
    shape[axis] = 5  # the axis that is turned around may have any length
    image = torch.rand(1, 2, *shape, generator=generator()) * 2 - 1
    angles = torch.zeros(1, 3)
    angles[0, axis] = math.pi / 2
    one, two = 2 + (axis + 1) % 3, 2 + (axis + 2) % 3
    torch.testing.assert_close(
        rotate(image, angles, outside=-1.0), torch.rot90(image, 1, (one, two)), atol=1e-4, rtol=0
    )


def test_a_turn_in_a_long_box_is_rigid_and_empty_outside():
    image = torch.full((1, 1, 9, 31, 9), -1.0)
    image[..., 4, 15 + 10, 4] = 1.0  # 10 voxels along axis 1; a quarter turn around 0 puts it outside
    angles = torch.tensor([[math.radians(20), 0.0, 0.0]])
    inside = rotate(image, angles, outside=-1.0)
    weight = (inside[0, 0] + 1) / (inside + 1).sum()
    found = [float((weight * place).sum()) for place in torch.meshgrid(*map(torch.arange, weight.shape), indexing="ij")]
    degrees = math.radians(20)
    assert found == pytest.approx([4, 15 + 10 * math.cos(degrees), 4 + 10 * math.sin(degrees)], abs=0.1)
    gone = rotate(image, torch.tensor([[math.pi / 2, 0.0, 0.0]]), outside=-1.0)
    assert gone.max() == -1


def test_image_and_mask_turn_together_and_stay_in_range():
    image = torch.nn.functional.interpolate(torch.rand(4, 1, 3, 3, 3, generator=generator()), size=(12, 14, 10)) * 2 - 1
    batch = Batch(image, None, (image > 0).long(), torch.arange(4))
    turned = classical_volume_augmentation(batch, generator(1))
    assert turned.mask is not None
    assert turned.image.abs().max() <= 1
    unlit = rotate(image, draw_change(4, generator(1)).angles, outside=-1.0)
    assert ((unlit > 0) == (turned.mask > 0)).float().mean() > 0.9
    assert not torch.equal(turned.mask, batch.mask)


def test_light_by_the_formula():
    image = torch.tensor([-1.0, 0.0, 0.5, 0.5]).reshape(1, 1, 1, 2, 2)  # light 0, 0.5, 0.75, 0.75: mean 0.5
    change = Change(torch.zeros(1, 3), torch.tensor([0.8]), torch.tensor([0.5]))
    # light * 0.8 = 0, 0.4, 0.6, 0.6, mean 0.4; halved around it 0.2, 0.4, 0.5, 0.5
    expected = torch.tensor([-0.6, -0.2, 0.0, 0.0]).reshape(image.shape)
    torch.testing.assert_close(relight(image, change), expected)


def test_changes_are_within_their_bounds_and_all_drawn():
    change = draw_change(4000, generator())
    assert change.angles.abs().max() <= math.radians(30)
    assert change.angles.abs().max() > math.radians(29.5)
    assert 0.75 <= float(change.brightness.min()) < 0.76
    assert 1.24 < float(change.contrast.max()) <= 1.25
