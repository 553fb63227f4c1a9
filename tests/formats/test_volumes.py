"""Volume files of one's own making: geometry kept, contradictions refused, nothing invented."""

import gzip
import shutil
from pathlib import Path

import nibabel
import numpy as np
import pydicom
import pytest
import SimpleITK
from dicom_series import PLANTED, write_series, write_slice

from meddiff.errors import InputError
from meddiff.formats.open import load_volume

AFFINE = np.array([[0, -0.5, 0, 10], [0.9, 0, 0.1, -20], [-0.1, 0, 2.0, 30], [0, 0, 0, 1]])


@pytest.fixture
def voxels():
    return np.random.default_rng(0).integers(0, 1000, (4, 5, 6)).astype(np.int16)


def save(path, array, affine, *, sform=1, qform=0, **fields):
    """A NIfTI file; ``fields`` are put into its header behind the back of nibabel, which would not write them."""
    image = nibabel.Nifti1Image(array, affine)
    image.set_sform(affine, code=sform)
    image.set_qform(affine, code=qform)
    content = bytearray(image.to_bytes())
    header = nibabel.Nifti1Header(bytes(content[:348]))
    for name, value in fields.items():
        header[name] = value
    content[:348] = header.binaryblock
    path.write_bytes(gzip.compress(content) if path.name.endswith(".gz") else content)
    return path


@pytest.mark.parametrize("name", ["x.nii", "x.nii.gz", "x.img", "x.nrrd", "x.mha", "x.mhd"])
def test_voxels_and_affine_come_back(tmp_path, voxels, name):
    affine = np.diag([-0.5, -1.5, 2.0, 1.0])
    affine[:3, 3] = 1, 2, 3
    if (name.startswith("x.n") and not name.endswith("nrrd")) or name == "x.img":
        nibabel.save(
            nibabel.Nifti1Pair(voxels, affine) if name == "x.img" else nibabel.Nifti1Image(voxels, affine),
            tmp_path / name,
        )
    else:
        image = SimpleITK.GetImageFromArray(voxels.T)
        image.SetSpacing((0.5, 1.5, 2.0))
        image.SetOrigin((-1, -2, 3))
        SimpleITK.WriteImage(image, str(tmp_path / name))
    volume = load_volume(tmp_path / name)
    assert np.array_equal(volume.array, voxels)
    assert np.allclose(volume.affine, affine)
    assert volume.orientation == ("L", "P", "S")
    assert volume.spacing_mm == pytest.approx((0.5, 1.5, 2.0))


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint16, np.int32, np.float32, np.float64])
def test_the_stored_type_is_kept(tmp_path, voxels, dtype):
    array = (voxels % 200).astype(dtype)
    volume = load_volume(save(tmp_path / "x.nii.gz", array, AFFINE))
    assert volume.array.dtype == dtype
    assert np.array_equal(volume.array, array)
    assert np.allclose(volume.affine, AFFINE)


def test_four_axes_and_a_needless_one(tmp_path, voxels):
    assert load_volume(save(tmp_path / "a.nii", np.stack([voxels] * 3, axis=-1), AFFINE)).count == 3
    assert load_volume(save(tmp_path / "b.nii", voxels[..., None], AFFINE)).array.shape == voxels.shape
    assert load_volume(save(tmp_path / "c.nii", voxels[..., None, None].repeat(2, axis=-1), AFFINE)).count == 2


def test_without_sform_and_qform_the_orientation_is_unknown(tmp_path, voxels):
    path = save(tmp_path / "x.nii", voxels, np.diag([2.0, 3.0, 4.0, 1.0]), sform=0)
    volume = load_volume(path)
    assert volume.affine is None
    assert volume.orientation is None
    assert volume.spacing_mm == (2.0, 3.0, 4.0)
    assert "unknown" in volume.notes[0]


def test_qform_is_used_where_sform_is_unset_or_no_geometry(tmp_path, voxels):
    affine = np.diag([-2.0, 3.0, 4.0, 1.0])
    assert np.allclose(load_volume(save(tmp_path / "a.nii", voxels, affine, sform=0, qform=1)).affine, affine)
    path = save(tmp_path / "b.nii", voxels, affine, qform=1, srow_x=0, srow_y=0)
    volume = load_volume(path)
    assert np.allclose(volume.affine, affine)
    assert "sform is no geometry" in volume.notes[0]


def test_sform_wins_over_another_qform_and_says_so(tmp_path, voxels):
    path = save(tmp_path / "x.nii", voxels, AFFINE, qform=1, qoffset_x=50)
    volume = load_volume(path)
    assert np.allclose(volume.affine, AFFINE)
    assert "40.0" in volume.notes[0]


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"qform": 1, "srow_x": [5, 0, 0, 0], "srow_y": [0, 5, 0, 0], "srow_z": [0, 0, 5, 0]}, "left and right"),
        ({"srow_x": 0}, "neither sform nor qform"),
        ({"srow_x": np.nan}, "neither sform nor qform"),
        ({"srow_x": [1, 0, 9, 0], "srow_y": [0, 1, 0, 0], "srow_z": [0, 0, 1, 0]}, "leans axis"),
        ({"datatype": 32, "bitpix": 64}, "cut off|real numbers"),
        ({"datatype": 7}, "damaged"),
        ({"dim": [3, 30000, 30000, 30000, 1, 1, 1, 1]}, "promises"),
        ({"dim": [3, 4, -5, 6, 1, 1, 1, 1]}, "shape|damaged"),
    ],
)
@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_contradictions_are_refused_by_name(tmp_path, voxels, fields, reason, suffix):
    path = save(tmp_path / f"x{suffix}", voxels, np.diag([-2.0, 3.0, 4.0, 1.0]), **fields)
    with pytest.raises(InputError, match=reason) as caught:
        load_volume(path)
    assert path.name in str(caught.value)


def test_microns_become_millimeters(tmp_path, voxels):
    image = nibabel.Nifti1Image(voxels, np.diag([500.0, 500.0, 500.0, 1.0]))
    image.header.set_xyzt_units("micron")
    nibabel.save(image, tmp_path / "x.nii")
    assert load_volume(tmp_path / "x.nii").spacing_mm == pytest.approx((0.5, 0.5, 0.5))


@pytest.mark.parametrize("name", ["x.nii", "x.nii.gz", "x.nrrd", "x.mha", "x.dcm", "x.mgz", "x.txt"])
@pytest.mark.parametrize("content", [b"", b"hello, this is text", b"\0" * 400, b"\xff" * 5000])
def test_files_that_are_no_volume(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=name):
        load_volume(tmp_path / name)


@pytest.mark.parametrize("name", ["x.nii", "x.nii.gz", "x.nrrd", "x.mha"])
def test_cut_off_files(tmp_path, voxels, name):
    big = np.tile(voxels, (4, 4, 4))
    if name.startswith("x.nii"):
        save(tmp_path / name, big, AFFINE)
    else:
        SimpleITK.WriteImage(SimpleITK.GetImageFromArray(big), str(tmp_path / name))
    content = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(content[: len(content) // 2])
    with pytest.raises(InputError, match=name):
        load_volume(tmp_path / name)


def test_a_missing_file_and_an_empty_folder(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        load_volume(tmp_path / "x.nii")
    with pytest.raises(InputError, match="no DICOM image"):
        load_volume(tmp_path)


def test_a_dicom_series_by_pencil(tmp_path):
    stored = write_series(tmp_path / "s")
    volume = load_volume(tmp_path / "s")
    assert np.array_equal(volume.array, np.moveaxis(stored, (0, 1, 2), (2, 1, 0)) - 1024)
    assert np.array_equal(volume.affine, [[-0.25, 0, 0, 10], [0, -0.5, 0, 20], [0, 0, 3, 30], [0, 0, 0, 1]])
    assert volume.spacing_mm == (0.25, 0.5, 3.0)
    assert (volume.modality, volume.units, volume.array.dtype) == ("CT", "HU", np.int16)


def test_nothing_of_the_patient_is_in_a_volume(tmp_path):
    write_series(tmp_path / "s")
    told = repr(load_volume(tmp_path / "s"))
    assert not [value for value in PLANTED.values() if str(value) in told]
    assert "thorax" in told


def test_slopes_that_differ_between_slices(tmp_path):
    stored = write_series(tmp_path, 2)
    write_slice(tmp_path / "2.dcm", stored[0], (-10, -20, 36), RescaleSlope=0.5, RescaleIntercept=0)
    volume = load_volume(tmp_path)
    assert volume.array.dtype == np.float32
    assert np.array_equal(volume.array[..., 0], stored[0].T - 1024)
    assert np.array_equal(volume.array[..., 2], stored[0].T * 0.5)


def test_a_folder_with_several_series_is_listed_and_chosen_from(tmp_path):
    write_series(tmp_path / "a", 3)
    write_series(tmp_path / "b", 4, SeriesInstanceUID="1.2.4", SeriesNumber=8, SeriesDescription="head")
    (tmp_path / "notes.txt").write_text("no DICOM")
    with pytest.raises(InputError, match=r"(?s)there are 2 series.*7: thorax, 3 files.*8: head, 4 files"):
        load_volume(tmp_path)
    for wanted in ("1.2.4", 8, "8", "Head"):
        assert load_volume(tmp_path, series=wanted).shape == (6, 5, 4)
    with pytest.raises(InputError, match="0 series are called 'neck'"):
        load_volume(tmp_path, series="neck")


def test_a_copy_counts_once_and_a_rival_is_refused(tmp_path):
    stored = write_series(tmp_path)
    shutil.copy(tmp_path / "1.dcm", tmp_path / "copy.dcm")
    volume = load_volume(tmp_path)
    assert volume.shape == (6, 5, 4)
    assert "copy.dcm is a copy of 1.dcm" in volume.notes[0]
    (tmp_path / "again").mkdir()
    (tmp_path / "copy.dcm").rename(tmp_path / "again" / "1.dcm")
    assert "again/1.dcm is a copy of 1.dcm" in load_volume(tmp_path).notes[0], "not: 1.dcm is a copy of 1.dcm"
    (tmp_path / "again" / "1.dcm").unlink()
    write_slice(tmp_path / "rival.dcm", stored[0], (-10, -20, 45), SOPInstanceUID="1.5")
    write_slice(tmp_path / "rival2.dcm", stored[1], (-10, -20, 42), SOPInstanceUID="1.5")
    with pytest.raises(InputError, match=r"rival2\.dcm and rival\.dcm"):
        load_volume(tmp_path)


@pytest.mark.parametrize(
    ("known", "reason"),
    [
        ({"ImagePositionPatient": None}, "ImagePositionPatient is missing"),
        ({"ImageOrientationPatient": None}, "ImageOrientationPatient is missing"),
        ({"PixelSpacing": None}, "PixelSpacing is missing"),
        ({"PixelSpacing": [0, 1]}, "two positive numbers"),
        ({"ImageOrientationPatient": [1, 0, 0, 1, 0, 0]}, "right angles"),
        ({"ImageOrientationPatient": [2, 0, 0, 0, 1, 0]}, "unit vectors"),
        ({"RescaleSlope": 0}, "rescaled"),
        ({"NumberOfFrames": 3}, "no position"),
        ({"Rows": 60000, "Columns": 60000}, "promises"),
        ({"Rows": 0}, "no pixels"),
        ({"ImageType": ["ORIGINAL", "PRIMARY", "M", "MOSAIC"]}, "mosaic without the private header"),
    ],
)
def test_dicom_without_geometry_is_refused_by_name(tmp_path, known, reason):
    write_slice(tmp_path / "x.dcm", np.ones((5, 6)), (0, 0, 0), **known)
    with pytest.raises(InputError, match=reason) as caught:
        load_volume(tmp_path / "x.dcm")
    assert "x.dcm" in str(caught.value)


def damaged(content: bytes, generator: np.random.Generator) -> bytes:
    changed = bytearray(content[: generator.integers(1, len(content))] if generator.random() < 0.3 else content)
    for place in generator.integers(0, min(len(changed), 2000), generator.choice([1, 4, 32])):
        changed[place] = generator.integers(256)
    return bytes(changed)


@pytest.mark.parametrize("name", ["x.dcm", "rle.dcm", "j2k.dcm", "jls.dcm", "x.nii", "x.nii.gz"])
def test_damaged_files_end_in_a_volume_or_in_our_own_error(tmp_path, voxels, name):
    shipped = Path(pydicom.__file__).parent / "data" / "test_files"
    twins = {"rle.dcm": "rtdose_rle.dcm", "j2k.dcm": "MR_small_jp2klossless.dcm",
             "jls.dcm": "MR_small_jpeg_ls_lossless.dcm", "x.dcm": "MR_small.dcm"}  # fmt: skip
    path = tmp_path / name
    content = (shipped / twins[name]).read_bytes() if name in twins else save(path, voxels, AFFINE).read_bytes()
    generator = np.random.default_rng(0)
    refused = 0
    for _ in range(60):
        path.write_bytes(damaged(content, generator))
        try:
            load_volume(path)
        except InputError:
            refused += 1
    assert refused > 5
