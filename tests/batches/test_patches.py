"""Patches: a function of seed and step, in their place, with the share of foreground that was asked for."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Generator

from meddiff.batches.batch import Batch
from meddiff.batches.cuts import Patch, cut_image, cut_mask
from meddiff.batches.images import Images
from meddiff.batches.turns import random_flips
from meddiff.cache.volume_array import cache_volumes
from meddiff.errors import InputError
from meddiff.images.prepare import VolumeTransform
from tests.formats.volume_files import affine_of, write_cases
from tests.manifest.rows import example_row

SIZE = (6, 5, 4)


@pytest.fixture(scope="module")
def array(tmp_path_factory):
    root = tmp_path_factory.mktemp("volumes")
    return cache_volumes(write_cases(root, 4), VolumeTransform(), with_masks=True, folder=root / "cache")


@pytest.fixture(scope="module")
def without_masks(array, tmp_path_factory):
    return cache_volumes(
        [replace(row, mask_path=None) for row in array.rows],
        VolumeTransform(),
        folder=tmp_path_factory.mktemp("cache"),
    )


def drawn_patches(array, *, patch_size, batch_size, step, seed, foreground_share=0.0) -> Batch:
    return Images(array, cut=Patch(patch_size, foreground_share)).drawn(step, batch_size=batch_size, seed=seed)


def same(one: Batch, two: Batch) -> bool:
    return all(
        torch.equal(getattr(one, name), getattr(two, name)) for name in ("image", "mask", "index")
    )  # fmt: skip


def test_shapes_and_ranges(array):
    batch = drawn_patches(array, patch_size=SIZE, batch_size=3, step=0, seed=1, foreground_share=0.5)
    assert batch.image.shape == (3, 1, *SIZE)
    assert batch.image.dtype == torch.float32
    assert batch.image.min() >= -1
    assert batch.image.max() <= 1
    assert batch.mask is not None
    assert batch.mask.shape == (3, 1, *SIZE)
    assert batch.mask.dtype == torch.int64
    assert batch.label is None
    assert batch.index.dtype == torch.int64


def test_a_batch_is_a_function_of_seed_and_step_alone(array):
    def drawn(step, seed=1, batch_size=3):
        return drawn_patches(array, patch_size=SIZE, batch_size=batch_size, step=step, seed=seed, foreground_share=0.3)

    late = drawn(7)
    for step in (0, 3):
        assert not torch.equal(drawn(step).image, late.image)
    assert same(drawn(7), late)
    assert not torch.equal(drawn(7, seed=2).image, late.image)
    # patch number n is the same however patches are put into batches
    ones = torch.cat([drawn(step, batch_size=1).image for step in range(21, 24)])
    assert torch.equal(ones, late.image)


def test_every_volume_comes_once_per_epoch(array):
    index = torch.cat([drawn_patches(array, patch_size=SIZE, batch_size=2, step=s, seed=1).index for s in range(6)])
    for epoch in range(3):
        assert sorted(index[4 * epoch : 4 * epoch + 4].tolist()) == [0, 1, 2, 3]


def test_a_patch_lies_somewhere_in_its_volume_image_and_mask_alike(array):
    places = set()
    for step in range(60):
        batch = drawn_patches(array, patch_size=SIZE, batch_size=1, step=step, seed=3)
        case = array[int(batch.index[0])]
        image, mask = np.asarray(case.image)[0] / 32767.5 - 1, np.asarray(case.mask)
        found = np.lib.stride_tricks.sliding_window_view(image, SIZE)
        hits = np.argwhere(np.abs(found - batch.image[0, 0].numpy()).max(axis=(3, 4, 5)) < 1e-5)
        assert len(hits) == 1
        assert batch.mask is not None
        inside = tuple(slice(start, start + size) for start, size in zip(hits[0], SIZE, strict=True))
        assert np.array_equal(batch.mask[0, 0], mask[inside])
        places.add((int(batch.index[0]), *hits[0]))
    assert len(places) > 50
    assert {place[1] for place in places} >= set(range(7))  # also at both borders


@pytest.mark.parametrize("share", [0.0, 0.33, 0.5, 1.0])
def test_the_share_on_the_foreground_is_met_by_number(array, share, monkeypatch):
    from meddiff.cache.volume_array import CachedVolume

    asked = []
    voxel = CachedVolume.foreground_voxel

    def counted(case, generator):
        asked.append(voxel(case, generator))
        return asked[-1]

    monkeypatch.setattr(CachedVolume, "foreground_voxel", counted)
    for step in range(50):
        drawn_patches(array, patch_size=SIZE, batch_size=2, step=step, seed=0, foreground_share=share)
        assert abs(len(asked) - share * 2 * (step + 1)) <= 1


def test_patches_on_the_foreground_show_every_class(array):
    """Also a patch of a single voxel: it is the voxel that was drawn."""
    how = {"patch_size": (1, 1, 1), "batch_size": 4, "seed": 0, "foreground_share": 1.0}
    seen = torch.cat([drawn_patches(array, step=step, **how).mask.flatten() for step in range(25)])  # type: ignore[union-attr]
    assert set(seen.tolist()) == {1, 2}
    assert 30 < (seen == 1).sum() < 70


def test_the_center_is_in_the_middle_where_there_is_room(array):
    for step in range(20):
        batch = drawn_patches(array, patch_size=(3, 3, 3), batch_size=1, step=step, seed=0, foreground_share=1.0)
        assert batch.mask is not None
        assert batch.mask[0, 0, 1, 1, 1] > 0  # the boxes lie one voxel and more inside


def test_a_patch_larger_than_its_volume_holds_it_in_the_middle(array):
    size = (16, 20, 11)
    batch = drawn_patches(array, patch_size=size, batch_size=4, step=0, seed=0, foreground_share=0.5)
    for position, at in enumerate(batch.index.tolist()):
        case = array[at]
        start = [(have - want) // 2 for have, want in zip(size, case.shape, strict=True)]
        inside = tuple(slice(s, s + want) for s, want in zip(start, case.shape, strict=True))
        image = batch.image[position, 0].numpy()
        assert np.allclose(image[inside], np.asarray(case.image)[0] / 32767.5 - 1, atol=1e-5)
        assert batch.mask is not None
        mask = batch.mask[position, 0].numpy()
        assert np.array_equal(mask[inside], np.asarray(case.mask))
        outside = np.ones(size, dtype=bool)
        outside[inside] = False
        assert (image[outside] == -1).all()
        assert (mask[outside] == 0).all()


def test_a_patch_that_reaches_outside(array):
    case = array[0]
    assert not cut_image(case, (-2, 8, 20), (4, 4, 4)).any()  # wholly outside along the last axis
    assert not cut_mask(case, (-2, 8, 20), (4, 4, 4)).any()  # type: ignore[union-attr]
    image = cut_image(case, (-2, 8, 0), (4, 4, 4))
    assert np.array_equal(image[:, 2:, :2], case.image[:, :2, 8:10, :4])
    assert not image[:, :2].any()
    assert not image[:, :, 2:].any()


def test_without_masks(without_masks):
    batch = drawn_patches(without_masks, patch_size=SIZE, batch_size=2, step=0, seed=0)
    assert batch.mask is None
    with pytest.raises(InputError, match="no masks"):
        drawn_patches(without_masks, patch_size=SIZE, batch_size=2, step=0, seed=0, foreground_share=0.5)


def test_a_volume_without_foreground_gives_patches_anywhere(tmp_path):
    rows = write_cases(tmp_path, 1, classes=1)
    array = cache_volumes(rows, VolumeTransform(), with_masks=True, folder=tmp_path / "cache")
    batch = drawn_patches(array, patch_size=SIZE, batch_size=2, step=0, seed=0, foreground_share=1.0)
    assert batch.mask is not None
    assert not batch.mask.any()


@pytest.mark.parametrize("settings", [{"patch_size": (0, 4, 4)}, {"patch_size": (4, 4)}, {"foreground_share": 1.5}])
def test_settings_that_make_no_sense(array, settings):
    with pytest.raises(InputError):
        drawn_patches(array, **{"patch_size": SIZE, "batch_size": 1, "step": 0, "seed": 0} | settings)


def test_flips_are_none_by_default_and_do_image_and_mask_alike():
    image = torch.arange(4 * 24, dtype=torch.float32).reshape(4, 1, 2, 3, 4)
    batch = Batch(image, None, image.long(), torch.arange(4))
    assert same(random_flips(batch, Generator().manual_seed(0)), batch)
    seen = set()
    for seed in range(20):
        flipped = random_flips(batch, Generator().manual_seed(seed), axes=(1, 2))
        assert flipped.mask is not None
        assert torch.equal(flipped.image.long(), flipped.mask)
        for number in range(4):
            for axes in ((), (2,), (3,), (2, 3)):
                if torch.equal(flipped.image[number], image[number].flip(axes) if axes else image[number]):
                    seen.add(axes)
                    break
            else:
                raise AssertionError("moved along an axis that was not named")
    assert seen == {(), (2,), (3,), (2, 3)}
    again = random_flips(batch, Generator().manual_seed(3), axes=(0,))
    assert same(again, random_flips(batch, Generator().manual_seed(3), axes=(0,)))
    with pytest.raises(InputError, match="axes 0 to 2"):
        random_flips(batch, Generator(), axes=(3,))


def test_left_and_right_stay_apart(tmp_path):
    """A voxel on the patient's left of an LPS file lies at the low end of D."""
    from meddiff.formats.nifti import save_volume

    values = np.zeros((9, 7, 5), dtype=np.float32)
    values[7, 1, 3] = 1  # LPS: high index is left; low is front
    save_volume(values, tmp_path / "a.nii", affine=affine_of("LPS"))
    row = example_row("a", root=tmp_path, image_path="a.nii")
    plain = VolumeTransform(intensity="window", window=(0.0, 1.0))
    array = cache_volumes([row], plain, folder=tmp_path / "cache")
    batch = drawn_patches(array, patch_size=(9, 7, 5), batch_size=1, step=0, seed=0)
    assert np.unravel_index(int(batch.image[0, 0].argmax()), (9, 7, 5)) == (1, 5, 3)
