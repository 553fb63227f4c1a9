"""Every cut keeps to the contract, on images that are larger and smaller than what it shows."""

from dataclasses import dataclass

import numpy as np
import pytest

from meddiff.batches.cuts import WHOLE, Draw, Middle, Patch, Slice, square
from meddiff.errors import InputError
from tests.contracts import check_cut


@dataclass(frozen=True)
class Marked:
    """A case whose voxels tell their class in the first channel."""

    image: np.ndarray
    mask: np.ndarray
    counts = ((0, 1), (1, 1))

    @property
    def shape(self):
        return self.mask.shape

    def foreground_voxel(self, generator):
        return tuple(int(index) for index in generator.choice(np.argwhere(self.mask > 0)))


def marked(shape, *, channels=1, seed=0):
    mask = np.random.default_rng(seed).integers(0, 3, shape).astype(np.uint8)
    image = np.stack([1000 * (mask.astype(np.uint16) + 1) + channel for channel in range(channels)])
    return Marked(image, mask)


VOLUMES = [marked((9, 6, 7)), marked((4, 11, 8), seed=1)]
CUTS = [
    WHOLE,
    Middle((5, 8, 7)),
    Patch((3, 8, 7)),
    Patch((3, 8, 7), 0.5),
    *[Slice(axis, Patch(square(axis, 5), 0.3), neighbors) for axis in range(3) for neighbors in (0, 2)],
    *[Slice(axis, Middle(square(axis, 8)), upright=True) for axis in range(3)],
]


@pytest.mark.parametrize("cut", CUTS, ids=str)
def test_a_cut_keeps_to_the_contract(cut):
    check_cut(cut, VOLUMES)


@pytest.mark.parametrize("cut", [WHOLE, Middle((5, 12))], ids=str)
def test_pictures_are_cut_in_the_same_way(cut):
    check_cut(cut, [marked((9, 6)), marked((4, 11))])


def test_several_sequences_stay_beside_each_other():
    check_cut(Slice(2, Patch((4, 4, 1)), 1), [marked((5, 6, 7), channels=2)])


def test_every_sample_draws_anew():
    starts = {Patch((3, 3, 3)).start(VOLUMES[0], Draw(seed, number)) for seed in (0, 1) for number in range(40)}
    assert len(starts) > 30


def test_a_slice_of_a_picture_is_the_picture():
    case = marked((5, 7))
    image, mask = Slice(0, Middle((1, 4, 4)), upright=True)(case, Draw(0, 0))
    assert image is case.image
    assert mask is case.mask


def test_a_box_that_is_thicker_than_a_slice_is_refused():
    with pytest.raises(InputError, match="one voxel thick along axis 1"):
        Slice(1, Patch((4, 2, 4)))
