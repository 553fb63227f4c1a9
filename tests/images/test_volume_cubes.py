"""Cubes of volumes: a ball stays a ball whatever its voxels, and lies where a person would look for it."""

import numpy as np
import pytest

from meddiff.errors import InputError
from meddiff.images.cube import cube_of, middle_planes
from tests.formats.volume_files import affine_of, ball, volume_of


def scan(mask, affine):
    """A volume that is dark outside of the mask, bright inside, and air in its corners."""
    values = np.where(mask, 2.0, 1.0).astype(np.float32)
    values[np.ix_(*[(0, -1)] * 3)] = 0.0
    return volume_of(values, affine)


def extent(cube):
    """Voxels that the bright part reaches over, along each axis."""
    return [int((cube.max(axis=tuple({0, 1, 2} - {axis})) > 0).sum()) for axis in range(3)]


def test_a_ball_of_oblong_voxels_is_a_ball_of_the_cube():
    spacing = (1.0, 1.0, 4.0)
    volume = scan(ball((48, 48, 12), 12.0, spacing), affine_of("RAS", spacing))
    sizes = extent(cube_of(volume, 24))
    assert sizes[:2] == [12, 12]
    assert sizes[2] == pytest.approx(12, abs=2)  # blurred by slices of two cube voxels


def test_pad_keeps_all_crop_keeps_the_middle_stretch_fills():
    slabs = np.zeros((40, 20, 20), bool)
    slabs[2:8] = slabs[32:38] = True  # near the ends
    volume = scan(slabs, affine_of("RAS"))
    padded, cropped, stretched = (cube_of(volume, 20, fit=fit) for fit in ("pad", "crop", "stretch"))
    assert (padded > 0).any(axis=(1, 2)).sum() == pytest.approx(6, abs=1)
    assert (padded[:, :4] == -1).all()
    assert (padded[:, -4:] == -1).all()
    assert cropped.max() == -1
    assert (stretched > 0).all(axis=(1, 2)).sum() == pytest.approx(6, abs=1)


@pytest.mark.parametrize("orientation", ["RAS", "LPS", "SRA"])
def test_the_patients_right_front_and_head_lie_alike_however_the_file_is_turned(orientation):
    marked = np.zeros((24, 24, 24), bool)
    marked[18:, 10:14, 10:14] = True  # right
    order = [next(axis for axis, letter in enumerate(orientation) if letter in pair) for pair in ("LR", "PA", "IS")]
    turned = marked.transpose(np.argsort(order))
    for axis, letter in enumerate(orientation):
        if letter in "LPI":
            turned = np.flip(turned, axis)
    cube = cube_of(scan(turned, affine_of(orientation)), 24)
    assert np.array_equal(cube > 0, marked)
    axial, coronal, sagittal = middle_planes(cube)
    assert (axial[:, :6] > 0).any(), "the patient's right is on the left"
    assert not (axial[:, 6:] > 0).any()
    assert (coronal[:, :6] > 0).any()
    assert not (sagittal > 0).any()


def test_what_cannot_become_a_cube():
    unknown = volume_of(np.random.default_rng(0).random((9, 9, 9)), None)
    with pytest.raises(InputError, match=r"does not tell its voxel size.*--fit stretch"):
        cube_of(unknown, 8)
    assert cube_of(unknown, 8, fit="stretch").shape == (8, 8, 8)
    with pytest.raises(InputError, match="one gray sequence per file"):
        cube_of(volume_of(np.zeros((9, 9, 9, 2)), affine_of("RAS")), 8)
    with pytest.raises(InputError, match="not finite"):
        cube_of(volume_of(np.full((9, 9, 9), np.nan), affine_of("RAS")), 8)
    assert (cube_of(volume_of(np.ones((9, 9, 9)), affine_of("RAS")), 8) == -1).all()
