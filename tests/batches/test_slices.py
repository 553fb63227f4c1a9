"""Slices: the right planes, neighbors in their order, chosen by seed and step alone."""

import numpy as np
import pytest
import torch

from meddiff.batches.cuts import AXES, Patch, Slice, slice_stack, with_side
from meddiff.batches.images import Images
from meddiff.cache.volume_array import cache_volumes
from meddiff.errors import InputError
from meddiff.formats.nifti import save_volume
from meddiff.images.intensity import to_model_range
from meddiff.images.prepare import VolumeTransform
from tests.formats.volume_files import affine_of, write_cases
from tests.manifest.rows import example_row

SHAPE = (5, 6, 7)


@pytest.fixture(scope="module")
def array(tmp_path_factory):
    root = tmp_path_factory.mktemp("volumes")
    return cache_volumes(write_cases(root, 3), VolumeTransform(), with_masks=True, folder=root / "cache")


@pytest.fixture(scope="module")
def numbered(tmp_path_factory):
    """One volume of two sequences whose every voxel has a value of its own."""
    root = tmp_path_factory.mktemp("volumes")
    values = np.arange(np.prod(SHAPE), dtype=np.float32).reshape(SHAPE)
    save_volume(np.stack([values, values + 1000], axis=-1), root / "a.nii", affine=affine_of("RAS"))
    save_volume((values > 150).astype(np.uint8), root / "m.nii", affine=affine_of("RAS"))
    row = example_row("a", root=root, image_path="a.nii", mask_path="m.nii")
    plain = VolumeTransform(intensity="window", window=(0.0, 2000.0))
    array = cache_volumes([row], plain, with_masks=True, folder=root / "cache")
    return array, np.stack([values, values + 1000]), values > 150


def slice_batch(array, *, axis, batch_size, step, seed, size=None, neighbors=0, foreground_share=0.0):
    """A batch of slices of this height and width, or as large as the largest volume's."""
    box = [max(case.shape[side] for case in array) for side in range(3)]
    if size is not None:
        box = np.insert(size, axis, 1).tolist() if axis < 3 else [1, *size]
    cut = Slice(axis, Patch(with_side(tuple(box), axis, 1), foreground_share), neighbors)
    return Images(array, cut=cut).drawn(step, batch_size=batch_size, seed=seed)


def in_units(image: torch.Tensor) -> np.ndarray:
    return np.rint((image.numpy() + 1) * 1000)


def stack_of(array, index, axis, neighbors) -> np.ndarray:
    image = to_model_range(np.asarray(array[0].image))
    return in_units(slice_stack(image, index, axis=axis, neighbors=neighbors))


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("neighbors", [0, 1, 2])
def test_slices_and_neighbors_by_hand(numbered, axis, neighbors):
    array, truth, _ = numbered
    last = SHAPE[axis] - 1
    for index in range(last + 1):
        around = [min(max(index + step, 0), last) for step in range(-neighbors, neighbors + 1)]
        expected = np.concatenate([np.take(truth, one, axis=axis + 1) for one in around])
        assert np.array_equal(stack_of(array, index, axis, neighbors), expected)


def test_channels_by_pencil():
    """Two sequences of three slices: each slice's sequences side by side, slices from below to above."""
    volume = torch.tensor([[1, 2, 3], [10, 20, 30]]).view(2, 1, 1, 3)

    def channels(index):
        return slice_stack(volume, index, axis=AXES["axial"], neighbors=1).flatten().tolist()

    assert [channels(index) for index in range(3)] == [
        [1, 10, 1, 10, 2, 20],
        [1, 10, 2, 20, 3, 30],
        [2, 20, 3, 30, 3, 30],
    ]


def test_a_drawn_slice_is_one_of_the_volume_with_its_mask(numbered):
    array, truth, mask = numbered
    for axis in range(3):
        seen = set()
        for step in range(40):
            batch = slice_batch(array, axis=axis, batch_size=1, step=step, seed=0, neighbors=1)
            image = in_units(batch.image)[0]
            middle = image[2:4]
            (index,) = [k for k in range(SHAPE[axis]) if np.array_equal(np.take(truth, k, axis=axis + 1), middle)]
            assert np.array_equal(image, stack_of(array, index, axis, neighbors=1))
            assert batch.mask is not None
            assert np.array_equal(batch.mask[0, 0], np.take(mask, index, axis=axis))
            seen.add(index)
        assert seen == set(range(SHAPE[axis]))  # the first and the last one too


def test_a_batch_is_a_function_of_seed_and_step_alone(array):
    def drawn(step, seed=1, batch_size=3):
        return slice_batch(
            array, axis=2, batch_size=batch_size, step=step, seed=seed, size=(6, 6), neighbors=1, foreground_share=0.5
        )

    assert drawn(4).image.shape == (3, 3, 6, 6)
    assert torch.equal(drawn(4).image, drawn(4).image)
    assert not torch.equal(drawn(4).image, drawn(5).image)
    assert not torch.equal(drawn(4).image, drawn(4, seed=2).image)
    assert torch.equal(torch.cat([drawn(step, batch_size=1).image for step in (12, 13, 14)]), drawn(4).image)
    assert sorted(drawn(4).index.tolist()) == [0, 1, 2]


def test_the_share_of_slices_with_foreground(array):
    """Of one slice in about six the boxes are met by chance along axis 2; through them always."""

    def share(wanted):
        masks = [
            slice_batch(array, axis=2, batch_size=3, step=step, seed=0, foreground_share=wanted).mask
            for step in range(40)
        ]
        return np.mean([bool((mask[number] > 0).any()) for mask in masks for number in range(3)])  # type: ignore[index]

    assert share(1.0) == 1
    assert share(0.0) < 0.5
    assert abs(share(0.5) - (0.5 + share(0.0) / 2)) < 0.1


def test_the_size_is_the_largest_of_the_array_and_slices_lie_in_its_middle(array):
    batch = slice_batch(array, axis=0, batch_size=3, step=0, seed=0)
    assert batch.image.shape == (3, 1, 12, 10)
    smallest = batch.image[batch.index.tolist().index(0), 0]  # 10 x 8
    assert (smallest[0] == -1).all()
    assert (smallest[:, [0, -1]] == -1).all()
    assert (smallest[1:-1, 1:-1] > -1).any(dim=0).all()
    cut = slice_batch(array, axis=0, batch_size=3, step=0, seed=0, size=(4, 30))
    assert cut.image.shape == (3, 1, 4, 30)
    assert cut.mask is not None
    assert cut.mask.shape == (3, 1, 4, 30)


@pytest.mark.parametrize(
    "settings",
    [{"axis": 3}, {"neighbors": -1}, {"size": (0, 4)}, {"foreground_share": -0.1}],
)
def test_settings_that_make_no_sense(array, settings):
    with pytest.raises(InputError):
        slice_batch(array, **{"axis": 0, "batch_size": 1, "step": 0, "seed": 0} | settings)
