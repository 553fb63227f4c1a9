"""What we write is at the same place for us, nibabel, SimpleITK and MONAI; nothing is lost or mirrored on the way."""

import nibabel
import numpy as np
import pytest
import SimpleITK
from dicom_series import write_series

from meddiff.errors import InputError
from meddiff.formats.nifti import save_volume
from meddiff.formats.open import load_volume

TURN = np.array([[0.98, -0.199, 0], [0.199, 0.98, 0], [0, 0, 1.0]])
TURN, _ = np.linalg.qr(TURN)


def affine_of(*lengths: float) -> np.ndarray:
    affine = np.eye(4)
    affine[:3, :3] = TURN * lengths
    affine[:3, 3] = -12.5, 40.25, 7
    return affine


@pytest.mark.parametrize("lengths", [(1, 1, 1), (0.5, 0.75, 3), (-0.5, 0.75, 3), (-1, -1, 2)])
@pytest.mark.parametrize("name", ["x.nii", "x.nii.gz"])
def test_one_bright_voxel_is_at_the_same_place_for_everyone(tmp_path, lengths, name):
    from monai.transforms import LoadImage

    array, voxel = np.zeros((4, 5, 6), dtype=np.uint8), (1, 3, 4)
    array[voxel] = 9
    affine = affine_of(*lengths)
    save_volume(array, tmp_path / name, affine=affine)
    place = affine @ [*voxel, 1]
    header = nibabel.load(tmp_path / name).header
    assert (header["sform_code"], header["qform_code"], header.get_xyzt_units()[0]) == (1, 1, "mm")
    assert np.isnan(header["scl_slope"])

    ours = load_volume(tmp_path / name)
    assert ours.array.dtype == np.uint8
    assert np.array_equal(ours.array, array)
    assert ours.affine is not None
    assert np.allclose(ours.affine, affine, atol=1e-4)
    assert ours.notes == ()

    image = SimpleITK.ReadImage(str(tmp_path / name))
    assert image.GetPixel(voxel) == 9
    assert np.allclose(image.TransformIndexToPhysicalPoint(voxel), place[:3] * (-1, -1, 1), atol=1e-4)

    theirs = LoadImage(image_only=True)(tmp_path / name)
    assert theirs[voxel] == 9
    assert np.allclose(np.asarray(theirs.affine) @ [*voxel, 1], place, atol=1e-4)


def test_a_tilted_volume_goes_from_dicom_to_nifti_and_back(tmp_path):
    write_series(tmp_path / "s", step=(0, 1, 3))
    volume = load_volume(tmp_path / "s")
    save_volume(volume.array, tmp_path / "x.nii.gz", affine=volume.affine)
    again = load_volume(tmp_path / "x.nii.gz")
    assert np.array_equal(again.array, volume.array)
    assert np.allclose(again.affine, volume.affine, atol=1e-4)
    header = nibabel.load(tmp_path / "x.nii.gz").header
    assert (header["sform_code"], header["qform_code"]) == (1, 0), "qform cannot hold a shear and must not pretend to"


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.int16, np.uint16, np.int32, np.float32, np.float64])
def test_values_are_kept(tmp_path, dtype):
    array = (np.random.default_rng(0).random((3, 4, 5, 2)) * 200).astype(dtype)
    save_volume(array, tmp_path / "x.nii", affine=np.eye(4))
    assert np.array_equal(load_volume(tmp_path / "x.nii").array, array)


def test_unknown_geometry_stays_unknown(tmp_path):
    save_volume(np.ones((3, 4, 5), dtype=np.uint8), tmp_path / "x.nii", affine=None, spacing_mm=(1, 2, 3))
    volume = load_volume(tmp_path / "x.nii")
    assert (volume.affine, volume.spacing_mm) == (None, (1, 2, 3))
    save_volume(np.ones((3, 4, 5), dtype=np.uint8), tmp_path / "y.nii", affine=None)
    assert load_volume(tmp_path / "y.nii").spacing_mm == (None, None, None)


def test_what_cannot_be_written(tmp_path):
    array = np.zeros((2, 2, 2), dtype=np.uint8)
    with pytest.raises(InputError, match=r"\.nii or \.nii\.gz"):
        save_volume(array, tmp_path / "x.png", affine=np.eye(4))
    with pytest.raises(InputError, match="no geometry"):
        save_volume(array, tmp_path / "x.nii", affine=np.diag([1, 0, 1, 1.0]))
    for wrong in (array.astype(np.int64), array.astype(np.float16), array[0]):
        with pytest.raises(ValueError, match="NIfTI holds"):
            save_volume(wrong, tmp_path / "x.nii", affine=np.eye(4))
    assert not list(tmp_path.iterdir())
