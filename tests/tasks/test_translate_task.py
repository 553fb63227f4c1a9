"""What is known of an image, and what becomes of an answer: coarse images, holes, sequences."""

import pytest
import torch

from meddiff.batches.batch import Batch
from meddiff.errors import InputError
from meddiff.tasks.translate import Hole, LowResolution, Sequences, draw_holes

IMAGE = torch.rand(2, 3, 8, 12, generator=torch.Generator().manual_seed(0)) * 2 - 1


def batch(image: torch.Tensor = IMAGE, mask: torch.Tensor | None = None) -> Batch:
    return Batch(image, None, mask, torch.arange(len(image)))


@pytest.mark.parametrize(("axes", "size"), [(None, (4, 6)), ((0,), (4, 12)), ((1,), (8, 6))])
def test_a_coarse_pixel_is_the_mean_of_its_block(axes, size):
    coarse = LowResolution(3, 2, axes).coarse(IMAGE)
    assert coarse.shape == (2, 3, *size)
    rows, columns = (8 // size[0], 12 // size[1])
    torch.testing.assert_close(coarse[0, 0, 1, 2], IMAGE[0, 0, rows : 2 * rows, 2 * columns : 3 * columns].mean())


def test_a_volume_is_made_coarser_along_all_three_axes():
    volume = torch.arange(64.0).view(1, 1, 4, 4, 4)
    task = LowResolution(1, 2)
    assert task.coarse(volume).shape == (1, 1, 2, 2, 2)
    assert task.coarse(volume)[0, 0, 0, 0, 0] == volume[0, 0, :2, :2, :2].mean()
    assert task.shown(task.coarse(volume)).shape == volume.shape


@pytest.mark.parametrize("residual", [0.0, 0.2, 1.5])
def test_the_answer_of_a_perfect_estimate_is_the_image(residual):
    task = LowResolution(3, 4, residual=residual)
    told = task.condition(batch()).image
    torch.testing.assert_close(task.answer(task.clean(batch()), told), IMAGE)
    assert (task.answer(torch.zeros_like(IMAGE), told) - told.clamp(-1, 1)).abs().max() == 0 or not residual


@pytest.mark.parametrize("size", [(9, 12), (8, 10), (4, 4, 6)])
def test_a_side_that_the_factor_does_not_divide_is_refused(size):
    with pytest.raises(InputError, match=f"an image of {' x '.join(map(str, size))} pixels has no blocks of 4"):
        LowResolution(1, 4).coarse(torch.zeros(1, 1, *size))


@pytest.mark.parametrize("irregular", [False, True])
@pytest.mark.parametrize("size", [(16, 16), (9, 31), (8, 8, 8)])
def test_every_image_has_a_hole_of_its_own_and_is_never_all_hole(size, irregular):
    drawn = [draw_holes(20, size, torch.Generator().manual_seed(seed), share=0.9, irregular=irregular)
             for seed in (3, 3, 4)]  # fmt: skip
    share = drawn[0].flatten(1).float().mean(1)
    assert drawn[0].shape == (20, 1, *size)
    assert share.min() > 0
    assert share.max() < 1
    assert torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[0], drawn[2])
    assert len({one.numpy().tobytes() for one in drawn[0]}) > 10


def test_what_lies_outside_a_hole_is_the_input_to_the_bit():
    hole = draw_holes(2, (8, 12), torch.Generator().manual_seed(1), share=0.5, irregular=False)
    task = Hole(3)
    told = task.condition(batch(mask=hole.long())).image
    answer = task.answer(torch.randn(2, 3, 8, 12, generator=torch.Generator().manual_seed(2)) * 3, told)
    outside = ~hole.expand_as(IMAGE)
    assert torch.equal(answer[outside], IMAGE[outside])
    assert not torch.equal(answer[~outside], IMAGE[~outside])
    assert answer.abs().max() <= 1
    assert told[:, :3][hole.expand_as(IMAGE)].abs().max() == 0, "nothing of what is in the hole is told"
    assert torch.equal(task.unknown(told), hole)


def test_images_without_holes_are_no_images_to_fill():
    with pytest.raises(InputError, match="these images have no holes"):
        Hole(3).condition(batch())


def test_sequences_are_told_and_wanted_by_their_place():
    task = Sequences(given=(2, 0), chosen=(1,))
    assert torch.equal(task.condition(batch()).image, IMAGE[:, [2, 0]])
    assert torch.equal(task.clean(batch()), IMAGE[:, [1]])
    assert (task.channels, task.told_channels) == (1, 2)
