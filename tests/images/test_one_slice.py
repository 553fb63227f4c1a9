"""A slice as a row of a manifest and as `data.slice_axis` of its volume is one picture, whatever format it lies in."""

from dataclasses import replace

import numpy as np
import pytest
import SimpleITK

from meddiff.batches.cuts import Middle, Slice, square
from meddiff.batches.images import Images
from meddiff.batches.volume_slices import slice_rows, slices_of
from meddiff.cache.image_array import decode
from meddiff.cache.volume_array import cache_volumes
from meddiff.errors import InputError
from meddiff.formats.nifti import save_volume
from meddiff.formats.open import load_volume
from meddiff.images.case import picture_case, slice_cases, truth_of
from meddiff.images.intensity import to_model_range
from meddiff.images.prepare import PLAIN, Transform
from tests.dicom_series import write_slice
from tests.formats.volume_files import affine_of
from tests.manifest.rows import example_row

SIDE = 8
VOXELS = np.random.default_rng(0).integers(0, 900, (SIDE, SIDE, SIDE)).astype(np.int16)
MASK = (VOXELS > 600).astype(np.uint8)
SQUARE = Transform(SIDE, "stretch", 1, True, True, PLAIN)
AS_ARRAY = replace(SQUARE, slices=None)


def written(folder, kind, orientation="LPS"):
    """The row of a volume of this kind, and of its mask."""
    affine = affine_of(orientation, (1.0, 1.0, 2.0))
    save_volume(VOXELS, folder / "volume.nii", affine=affine)
    save_volume(MASK, folder / "mask.nii", affine=affine)
    name = {"nifti": "volume.nii", "nrrd": "volume.nrrd", "dicom": "series"}[kind]
    if kind == "nrrd":
        SimpleITK.WriteImage(SimpleITK.ReadImage(folder / "volume.nii"), folder / name)
    if kind == "dicom":
        (folder / name).mkdir()
        for k in range(SIDE):
            pixels = np.ascontiguousarray(VOXELS[:, :, k].T.astype(np.uint16))
            write_slice(folder / name / f"{k}.dcm", pixels, (0, 0, 2.0 * k), PixelSpacing=[1.0, 1.0])
    mask = None if kind == "dicom" else "mask.nii"
    return example_row("a", root=folder, image_path=name, mask_path=mask, label="x", patient_id="a", lesion_id=None)


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("kind", ["nifti", "nrrd", "dicom"])
def test_a_slice_as_a_row_is_the_slice_of_its_volume(tmp_path, kind, axis):
    whole = written(tmp_path, kind)
    volumes = cache_volumes([whole], PLAIN, folder=tmp_path / "cache")
    rows = slice_rows(volumes.rows[0], volumes[0], axis)
    cut = Slice(axis, Middle(square(axis, SIDE)), upright=True)
    of_volume = Images(slices_of(rows, volumes=volumes, drawn=None, axis=axis), ("x",), cut)
    of_rows = Images(decode(rows, Transform(SIDE, fit="stretch", channels=1), folder=tmp_path / "cache"), ("x",))
    assert len(of_rows) == SIDE
    np.testing.assert_array_equal(of_rows.batch(range(SIDE)).image, of_volume.batch(range(SIDE)).image)
    case = picture_case(rows[3], SQUARE)
    np.testing.assert_array_equal(case.image, of_volume.batch([3]).image[0])


@pytest.mark.parametrize("orientation", ["RAS", "LPS", "ILP", "PIR"])
@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("transform", [SQUARE, AS_ARRAY])
def test_masks_and_answers_go_the_way_of_their_slice(tmp_path, orientation, axis, transform):
    row = replace(written(tmp_path, "nifti", orientation), slice_axis=axis, slice_index=2)
    case = picture_case(row, transform)
    truth = truth_of(row, case)
    np.testing.assert_array_equal(truth, np.take(MASK, 2, axis))  # in the order of the file, where it is measured
    bright = to_model_range(VOXELS.astype(np.uint16)).numpy()
    own = case.restore(case.image)[0]
    assert np.corrcoef(own.ravel(), np.take(bright, 2, axis).ravel())[0, 1] > 0.99
    with_masks = {"image_size": SIDE, "fit": "stretch", "channels": 1, "with_masks": True, "slices": transform.slices}
    image, mask = Images(decode([row], Transform(**with_masks), folder=tmp_path / "cache")).pair(0)
    np.testing.assert_array_equal(image, case.image)
    np.testing.assert_array_equal(case.restore(mask[None].astype(np.float32))[0], truth)
    volume = load_volume(row.image_file)
    again = list(slice_cases("a", volume, axis, transform))[2]
    np.testing.assert_array_equal(again.image, case.image)
    np.testing.assert_array_equal(again.restore(case.image), case.restore(case.image))


def test_slices_stand_upright_whatever_the_order_of_their_file(tmp_path):
    """One bright voxel far to the right, front and head is at the top left of all three planes."""
    array = np.zeros((5, 5, 5), np.float32)
    array[4, 4, 4] = 100
    for letters, turned in (("RAS", array), ("LPI", array[::-1, ::-1, ::-1])):
        save_volume(np.ascontiguousarray(turned), tmp_path / f"{letters}.nii", affine=affine_of(letters))
        for axis in range(3):
            row = example_row("a", root=tmp_path, image_path=f"{letters}.nii", mask_path=None, slice_axis=axis,
                              slice_index=4 if letters == "RAS" else 0)  # fmt: skip
            assert picture_case(row, replace(SQUARE, image_size=5)).image.argmax() == 0


def test_a_mask_whose_volume_lies_elsewhere_is_refused(tmp_path):
    row = replace(written(tmp_path, "nifti"), slice_axis=2, slice_index=2)
    away = affine_of("LPS", (1.0, 1.0, 2.0))
    away[:3, 3] += 3
    save_volume(MASK, tmp_path / "mask.nii", affine=away)
    with pytest.raises(InputError, match="lies elsewhere"):
        decode([row], Transform(SIDE, with_masks=True), folder=tmp_path / "cache")
    with pytest.raises(InputError, match="lies elsewhere"):
        truth_of(row, picture_case(row, SQUARE))


def test_a_slice_that_is_not_there_and_several_volumes_are_refused(tmp_path):
    row = replace(written(tmp_path, "nrrd"), slice_axis=1, slice_index=SIDE)
    with pytest.raises(InputError, match=f"no slice {SIDE} along axis 1"):
        picture_case(row, SQUARE)
    save_volume(np.stack([VOXELS] * 2, axis=-1), tmp_path / "two.nii", affine=affine_of("RAS"))
    with pytest.raises(InputError, match="2 or 3 axes"):
        picture_case(replace(row, image_path="two.nii", slice_index=0), SQUARE)
