"""Slices as pictures: the right planes, turned alike whatever the file's order, and files named as they are."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from meddiff.batches.cuts import AXES, Middle, Slice, square
from meddiff.batches.images import Images
from meddiff.batches.volume_slices import row_of_volume, slice_rows
from meddiff.batches.volume_slices import slices_of as prepared_slices
from meddiff.cache.image_array import decode
from meddiff.cache.volume_array import cache_volumes
from meddiff.errors import InputError
from meddiff.formats import save_image
from meddiff.formats.nifti import save_volume
from meddiff.images.prepare import Transform, VolumeTransform
from tests.formats.volume_files import affine_of
from tests.manifest.rows import example_row

PLAIN = VolumeTransform(intensity="window", window=(0.0, 2000.0))
RAS = np.arange(4 * 5 * 6, dtype=np.float32).reshape(4, 5, 6)


@pytest.fixture
def files(tmp_path):
    """One volume twice, its axes to the right, front and head, and to the foot, left and back."""
    save_volume(RAS, tmp_path / "ras.nii", affine=affine_of("RAS"))
    save_volume(RAS.transpose(2, 0, 1)[::-1, ::-1, ::-1], tmp_path / "ilp.nii", affine=affine_of("ILP"))
    return [example_row(name, root=tmp_path, image_path=f"{name}.nii", label=name, patient_id=None, lesion_id=None)
            for name in ("ras", "ilp")]  # fmt: skip


def upright_slices(rows, names, *, volumes, axis, size, drawn=None):
    number = AXES[axis]
    prepared = prepared_slices(rows, volumes=volumes, drawn=drawn, axis=number)
    return Images(prepared, names, Slice(number, Middle(square(number, size)), upright=True))


def slices_of(rows, tmp_path, axis, *, size=6, transform=PLAIN):
    array = cache_volumes(rows, transform, folder=tmp_path / "cache")
    some = [one for row, case in zip(array.rows, array, strict=True) for one in slice_rows(row, case, AXES[axis])]
    return upright_slices(some, ("ras", "ilp"), volumes=array, axis=axis, size=size)


def test_slices_stand_as_they_are_looked_at(tmp_path):
    """One bright voxel far to the right, front and head."""
    array = np.zeros((4, 4, 4), np.float32)
    array[3, 3, 3] = 2000
    save_volume(array, tmp_path / "v.nii", affine=affine_of("RAS"))
    row = example_row("v", root=tmp_path, image_path="v.nii", label="ras")
    for axis in AXES:
        last = slices_of([row], tmp_path, axis, size=4).batch([3]).image[0, 0]
        assert last.argmax() == 0, "at the top left"


@pytest.mark.parametrize("axis", AXES)
def test_slices_lie_alike_and_are_named_as_in_their_file(files, tmp_path, axis):
    images = slices_of(files, tmp_path, axis)
    number, count = AXES[axis], RAS.shape[AXES[axis]]
    assert len(images) == 2 * count
    assert images.shape == (1, 6, 6)
    pictures = np.rint((images.batch(range(2 * count)).image.numpy() + 1) * 1000)
    for index in range(count):
        plane = np.rot90(np.take(RAS, index, axis=number)[::-1])  # head or front up, then right to the left
        top, left = [(7 - side) // 2 for side in plane.shape]
        expected = np.zeros((6, 6))
        expected[top : top + plane.shape[0], left : left + plane.shape[1]] = plane
        np.testing.assert_array_equal(pictures[index, 0], expected)
    np.testing.assert_array_equal(pictures[:count], pictures[count:])
    axes = {row.label: row.slice_axis for row in images.rows}
    assert axes == {"ras": number, "ilp": {"axial": 0, "sagittal": 1, "coronal": 2}[axis]}
    assert [row.slice_index for row in images.rows] == [*range(count), *reversed(range(count))]
    assert {row.patient_id for row in images.rows} == {"ras", "ilp"}, "a split must not cut a volume"
    assert len({row.row_id for row in images.rows}) == 2 * count
    assert images.labels.tolist() == [0] * count + [1] * count


def test_a_small_square_shows_the_middle(files, tmp_path):
    images = slices_of(files[:1], tmp_path, "axial", size=4)
    assert images.clipped == 6, "4 x 5 voxels"
    pictures = np.rint((images.batch([2]).image.numpy() + 1) * 1000)
    np.testing.assert_array_equal(pictures[0, 0], RAS[::-1, 3::-1, 2].T)


def test_coarser_slices_are_those_of_the_file_and_finer_ones_are_refused(files, tmp_path):
    wide = replace(PLAIN, spacing_mm=(1.0, 1.0, 2.0))
    for images in (slices_of([row], tmp_path, "axial", transform=wide) for row in files):
        assert len(images) == 3
        indices = [row.slice_index for row in images.rows]
        assert np.abs(np.diff(indices)).tolist() == [2, 2]
    with pytest.raises(InputError, match="closer than those of the file"):
        slices_of(files, tmp_path, "axial", transform=replace(PLAIN, spacing_mm=(1.0, 1.0, 0.5)))


def test_drawn_pictures_stand_among_slices_as_they_were_saved(files, tmp_path):
    array = cache_volumes(files[:1], PLAIN, folder=tmp_path / "cache")
    real = slice_rows(array.rows[0], array[0], AXES["axial"])
    pixels = np.random.default_rng(0).integers(0, 65536, (6, 6)).astype(np.uint16)
    save_image(pixels, tmp_path / "drawn.png")
    row = example_row("drawn", root=tmp_path, image_path="drawn.png", source="synthetic", split="train", label="ras")
    drawn = decode([row], Transform(6, channels=1), folder=tmp_path / "cache")
    rows = [real[0], row, real[1]]
    images = upright_slices(rows, ("ras",), volumes=array, drawn=drawn, axis="axial", size=6)
    assert images.rows == tuple(rows)
    batch = images.batch([1, 2])
    np.testing.assert_array_equal(np.rint((batch.image[0, 0].numpy() + 1) * 32767.5), pixels)
    only = upright_slices(real[1:2], ("ras",), volumes=array, axis="axial", size=6)
    assert torch.equal(batch.image[1], only.batch([0]).image[0])
    assert row_of_volume(real[3]).slice_index is None


def test_several_sequences_are_refused(files, tmp_path):
    row = replace(files[0], image_path="{ras.nii,ras.nii}")
    with pytest.raises(InputError, match="has 2 sequences, and the picture of a slice holds one"):
        slices_of([row], tmp_path, "axial")


def test_a_slice_that_is_not_there_is_refused(files, tmp_path):
    array = cache_volumes(files[:1], PLAIN, folder=tmp_path / "cache")
    row = replace(files[0], slice_axis=2, slice_index=6)
    with pytest.raises(InputError, match="is slice 6 of a volume that was cut otherwise"):
        upright_slices([row], ("ras",), volumes=array, axis="axial", size=6)
