"""Headers of NIfTI, MGH, NRRD and MetaImage that are odd: read right, or refused by name."""

import gzip
import struct
from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK

from meddiff.errors import InputError
from meddiff.formats.nifti import read_nifti_header, save_volume
from meddiff.formats.open import is_volume, load_volume
from meddiff.images.case import case_of_volume
from meddiff.images.prepare import VolumeTransform
from meddiff.jobs.segment.evaluate import save_mask
from tests.formats.volume_files import affine_of, turned

VOXELS = np.random.default_rng(0).integers(0, 1000, (6, 5, 4)).astype(np.int16)
AFFINE = np.diag([2.0, 3.0, 4.0, 1.0])


def single(kind=nibabel.Nifti1Image) -> bytearray:
    return bytearray(kind(VOXELS, AFFINE).to_bytes())


def with_offset(offset: float, kind=nibabel.Nifti1Image) -> bytes:
    content = single(kind)
    if kind is nibabel.Nifti1Image:
        content[108:112] = struct.pack("<f", offset)
    else:
        content[168:176] = struct.pack("<q", int(offset))
    return bytes(content)


@pytest.mark.parametrize("name", ["x.nii", "x.nii.gz"])
@pytest.mark.parametrize("offset", [0, 4, 348, 351, 352.5, -16, float("nan"), float("inf"), 1e9])
def test_voxels_that_cannot_begin_there(tmp_path, name, offset):
    content = with_offset(offset)
    (tmp_path / name).write_bytes(gzip.compress(content) if name.endswith("gz") else content)
    with pytest.raises(InputError, match=f"{name}: .*(vox_offset|cut off)"):
        load_volume(tmp_path / name)


@pytest.mark.parametrize("offset", [0, 352, 540, 543])
def test_voxels_of_nifti_2_begin_behind_its_longer_header(tmp_path, offset):
    (tmp_path / "x.nii").write_bytes(with_offset(offset, nibabel.Nifti2Image))
    with pytest.raises(InputError, match="cannot before byte 544"):
        load_volume(tmp_path / "x.nii")
    (tmp_path / "x.nii").write_bytes(single(nibabel.Nifti2Image))
    assert np.array_equal(load_volume(tmp_path / "x.nii").array, VOXELS)


@pytest.mark.parametrize(("room", "length"), [(8, 16), (8, 32), (16, 32), (32, 48)])
@pytest.mark.parametrize("name", ["x.nii", "x.nii.gz"])
def test_voxels_inside_an_extension(tmp_path, room, length, name):
    content = single()
    content[108:112] = struct.pack("<f", 352 + room)
    content[348] = 1
    content[352:352] = struct.pack("<2i", length, 6) + bytes(room - 8)
    (tmp_path / name).write_bytes(gzip.compress(content) if name.endswith("gz") else content)
    with pytest.raises(InputError, match=f"claims {length} bytes"):
        load_volume(tmp_path / name)


def test_an_extension_that_fits_is_passed_over(tmp_path):
    content = single()
    content[108:112] = struct.pack("<f", 352 + 32)
    content[348] = 1
    content[352:352] = struct.pack("<2i", 32, 6) + bytes(24)
    (tmp_path / "x.nii").write_bytes(content)
    assert np.array_equal(load_volume(tmp_path / "x.nii").array, VOXELS)


@pytest.mark.parametrize("ending", [(".hdr", ".img"), (".HDR", ".IMG"), (".hdr.gz", ".img.gz")])
@pytest.mark.parametrize("kind", [nibabel.Nifti1Pair, nibabel.AnalyzeImage])
def test_pairs_in_any_spelling(tmp_path, ending, kind):
    kind(VOXELS, AFFINE).to_filename(str(tmp_path / "a.img"))
    for old, new in zip((".hdr", ".img"), ending, strict=True):
        content = (tmp_path / f"a{old}").read_bytes()
        (tmp_path / f"a{old}").unlink()
        (tmp_path / f"x{new}").write_bytes(gzip.compress(content) if new.endswith("gz") else content)
    for one in ending:
        assert np.array_equal(load_volume(tmp_path / f"x{one}").array, VOXELS), one
        assert read_nifti_header(tmp_path / f"x{one}").shape == VOXELS.shape
    assert [one for one in ending if is_volume(tmp_path / f"x{one}")] == [ending[0]]
    (tmp_path / f"x{ending[1]}").unlink()
    with pytest.raises(InputError, match=f"x{ending[0]}: .*voxels are missing|x{ending[0]}: .*x{ending[1]}"):
        load_volume(tmp_path / f"x{ending[0]}")


@pytest.mark.parametrize("name", ["X.NII", "X.NII.GZ", "x.Nii.gz", "X.MGZ", "X.NRRD", "X.MHA"])
def test_capitals(tmp_path, name):
    if name.lower().endswith((".nrrd", ".mha")):
        SimpleITK.WriteImage(SimpleITK.GetImageFromArray(VOXELS.T), str(tmp_path / name.lower()))
        (tmp_path / name.lower()).rename(tmp_path / name)
    else:
        kind = nibabel.MGHImage if "MGZ" in name else nibabel.Nifti1Image
        content = kind(VOXELS.astype(np.int32), AFFINE).to_bytes()
        (tmp_path / name).write_bytes(gzip.compress(content) if name.lower().endswith("z") else content)
    assert np.array_equal(load_volume(tmp_path / name).array, VOXELS)


@pytest.mark.parametrize("kind", [nibabel.Nifti1Image, nibabel.Nifti2Image])
@pytest.mark.parametrize(("name", "packed"), [("x.nii", True), ("x.nii.gz", False)])
def test_a_nifti_under_the_wrong_name_is_read_and_says_so(tmp_path, name, packed, kind):
    content = bytes(single(kind))
    (tmp_path / name).write_bytes(gzip.compress(content) if packed else content)
    volume = load_volume(tmp_path / name)
    assert np.array_equal(volume.array, VOXELS)
    assert np.array_equal(volume.affine, AFFINE)
    assert f"the file is {'' if packed else 'not '}packed with gzip" in volume.notes[0]
    header = read_nifti_header(tmp_path / name)
    assert (header.shape, header.spacing_mm) == (VOXELS.shape, (2, 3, 4))
    cut = (tmp_path / name).read_bytes()[:300]
    (tmp_path / name).write_bytes(cut)
    with pytest.raises(InputError, match=name):
        load_volume(tmp_path / name)


@pytest.mark.parametrize(
    ("name", "packed", "right"),
    [
        ("x.mgz", False, "x.mgh"),
        ("x.mgh", True, "x.mgh.gz"),
        ("x.hdr", True, "x.hdr.gz"),
        ("x.hdr.gz", False, "x.hdr"),
    ],
)
def test_others_under_the_wrong_name_say_so(tmp_path, name, packed, right):
    content = nibabel.MGHImage(VOXELS.astype(np.int32), AFFINE).to_bytes() if "mg" in name else bytes(single()[:352])
    (tmp_path / name).write_bytes(gzip.compress(content) if packed else content)
    with pytest.raises(InputError, match=f"{name}: .*packed with gzip.*Call it {right}"):
        load_volume(tmp_path / name)


def test_an_mgh_without_orientation_gets_none(tmp_path):
    content = bytearray(nibabel.MGHImage(VOXELS.astype(np.int32), AFFINE).to_bytes())
    content[28:30] = struct.pack(">h", 0)
    for name in ("x.mgh", "x.mgz"):
        (tmp_path / name).write_bytes(gzip.compress(content) if name == "x.mgz" else content)
        volume = load_volume(tmp_path / name)
        assert volume.affine is None
        assert "goodRASFlag" in volume.notes[0]


ONE, OTHER = affine_of("RAS", (2, 3, 4)), turned(affine_of("RAS", (2, 3, 4), origin=(9, 8, 7)), (5, 0, 20))
SHEARED = ONE @ np.array([[1, 0.1, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])
FORMS = {
    "both alike": (ONE, 1, ONE, 1), "turned": (ONE, 1, OTHER, 1), "template": (ONE, 4, OTHER, 1),
    "aligned": (OTHER, 2, ONE, 1), "sform alone": (OTHER, 2, None, 0), "qform alone": (None, 0, OTHER, 3),
    "sheared": (SHEARED, 2, ONE, 1), "qform higher": (ONE, 1, OTHER, 2), "Talairach": (ONE, 3, OTHER, 3),
}  # fmt: skip


def image_with(forms, path: Path, kind=nibabel.Nifti1Image, unit="mm") -> Path:
    sform, scode, qform, qcode = forms
    image = kind(VOXELS, None)
    scale = {"mm": 1.0, "micron": 1e3}[unit]
    to_unit = np.diag([scale, scale, scale, 1])
    image.set_sform(None if sform is None else to_unit @ sform, code=scode)
    image.set_qform(None if qform is None else to_unit @ qform, code=qcode)
    image.header.set_xyzt_units(unit)
    nibabel.save(image, path)
    return path


@pytest.mark.parametrize("unit", ["mm", "micron"])
@pytest.mark.parametrize("kind", [nibabel.Nifti1Image, nibabel.Nifti2Image])
@pytest.mark.parametrize("name", FORMS)
def test_a_mask_lies_on_its_image_whatever_a_program_believes(tmp_path, name, kind, unit):
    path = image_with(FORMS[name], tmp_path / "x.nii.gz", kind, unit)
    volume = load_volume(path)
    case = case_of_volume("x", volume, VolumeTransform())
    (tmp_path / "out").mkdir()
    save_mask((VOXELS > 500).astype(np.uint8), case, tmp_path / "out" / "x")
    mask = tmp_path / "out" / "x.nii.gz"
    theirs, ours = nibabel.load(path).header, nibabel.load(mask).header
    to_mm = np.diag([1e-3, 1e-3, 1e-3, 1] if unit == "micron" else [1.0] * 4)
    for form in ("sform", "qform"):
        (expected, code), (got, got_code) = (getattr(one, f"get_{form}")(coded=True) for one in (theirs, ours))
        assert code == got_code
        assert (expected is None) == (got is None)
        assert expected is None or np.allclose(to_mm @ expected, got, atol=1e-4)
    assert np.allclose(ours.get_zooms(), np.array(theirs.get_zooms()) * to_mm[0, 0], rtol=1e-6)
    again = load_volume(mask)
    assert np.allclose(again.affine, volume.affine, atol=1e-4)
    assert np.array_equal(again.array, VOXELS > 500)
    if unit == "mm" and kind is nibabel.Nifti1Image and name != "sheared":
        image, drawn = SimpleITK.ReadImage(str(path)), SimpleITK.ReadImage(str(mask))
        for what in ("GetOrigin", "GetDirection", "GetSpacing"):
            assert getattr(image, what)() == pytest.approx(getattr(drawn, what)(), abs=1e-5)


def test_a_volume_without_forms_is_written_as_before(tmp_path):
    save_volume(VOXELS, tmp_path / "a.nii", affine=AFFINE)
    volume = load_volume(tmp_path / "a.nii")
    save_volume(VOXELS, tmp_path / "b.nii", affine=volume.affine, forms=volume.forms)
    assert (tmp_path / "a.nii").read_bytes() == (tmp_path / "b.nii").read_bytes()


NRRD = "NRRD0004\ntype: short\ndimension: 3\nsizes: 6 5 4\nendian: little\n"
PLACED = "space: right-anterior-superior\nspace directions: (2,0,0) (0,3,0) (0,0,4)\nspace origin: (1,2,3)\n"
META = """ObjectType = Image
NDims = 3
BinaryData = True
BinaryDataByteOrderMSB = False
DimSize = 6 5 4
ElementType = MET_SHORT
ElementSpacing = 2 3 4
Offset = -1 -2 3
TransformMatrix = -1 0 0 0 -1 0 0 0 1
"""
RAW = VOXELS.tobytes(order="F")
RIGHT = np.array([[2.0, 0, 0, 1], [0, 3, 0, 2], [0, 0, 4, 3], [0, 0, 0, 1]])
MIRRORED = RIGHT * [[-1, 1, 1, 1], [1, 1, 1, 1], [1, 1, 1, 1], [1, 1, 1, 1]]
READ = {
    "plain.nrrd": (NRRD + PLACED + "encoding: raw\n\n", RAW, RIGHT),
    "capitals.nrrd": (NRRD + PLACED + "encoding: RAW\n\n", RAW, RIGHT),
    "gzip.nrrd": (NRRD + PLACED + "encoding: GZip\n\n", gzip.compress(RAW), RIGHT),
    "short.nrrd": (NRRD + PLACED.replace("right-anterior-superior", "RAS") + "encoding: raw\n\n", RAW, RIGHT),
    "large.nrrd": (NRRD + PLACED.replace("right-anterior", "Right-Anterior") + "encoding: raw\n\n", RAW, RIGHT),
    "negative.nrrd": (NRRD + PLACED.replace("(2,0", "(-2,0") + "encoding: raw\n\n", RAW, MIRRORED),
    "skip.nrrd": (NRRD + PLACED + "byte skip: 5\nencoding: raw\n\n", b"12345" + RAW, RIGHT),
    "behind.nrrd": (NRRD + PLACED + "byte skip: -1\nencoding: raw\n\n", b"12345" + RAW, RIGHT),
    "lines.nrrd": (NRRD + PLACED + "line skip: 2\nencoding: raw\n\n", b"a\nb\n" + RAW, RIGHT),
    "micron.nrrd": (NRRD + PLACED.replace("2,0,0", "2000,0,0").replace("0,3,0", "0,3000,0").replace("0,0,4", "0,0,4000")
                    .replace("1,2,3", "1000,2000,3000") + 'space units: "um" "um" "um"\nencoding: raw\n\n', RAW, RIGHT),
    "detached.nhdr": (NRRD + PLACED + "encoding: raw\ndata file: x.raw\n", b"", RIGHT),
    "detached_skip.nhdr": (NRRD + PLACED + "encoding: raw\nbyte skip: 3\ndata file: skip.raw\n", b"", RIGHT),
    "detached_gzip.nhdr": (NRRD + PLACED + "encoding: gzip\ndata file: x.raw.gz\n", b"", RIGHT),
    "scanner.nrrd": (NRRD + PLACED.replace("right-anterior-superior", "scanner-xyz") + "encoding: raw\n\n", RAW, None),
    "hand.nrrd": (NRRD + PLACED.replace("right-anterior-superior", "3D-left-handed") + "encoding: raw\n\n", RAW, None),
    "nowhere.nrrd": (NRRD + "spacings: 2 3 4\nencoding: raw\n\n", RAW, None),
    "plain.mha": (META + "ElementDataFile = LOCAL\n", RAW, RIGHT),
    "small.mha": (META + "ElementDataFile = local\n", RAW, RIGHT),
    "negative.mha": (META.replace("= 2 3", "= -2 3") + "ElementDataFile = LOCAL\n", RAW, MIRRORED),
    "units.mha": (META.replace("= 2 3 4", "= 0.2 0.3 0.4").replace("-1 -2 3", "-0.1 -0.2 0.3") + "DistanceUnits = cm\n"
                  "ElementDataFile = LOCAL\n", RAW, RIGHT),
    "detached.mhd": (META + "ElementDataFile = x.raw\n", b"", RIGHT),
    "skip.mhd": (META + "HeaderSize = 3\nElementDataFile = skip.raw\n", b"", RIGHT),
    "behind.mhd": (META + "HeaderSize = -1\nElementDataFile = skip.raw\n", b"", RIGHT),
}  # fmt: skip


@pytest.mark.parametrize("name", READ)
def test_text_headers_are_read_right(tmp_path, name):
    header, body, affine = READ[name]
    (tmp_path / "x.raw").write_bytes(RAW)
    (tmp_path / "skip.raw").write_bytes(b"123" + RAW)
    (tmp_path / "x.raw.gz").write_bytes(gzip.compress(RAW))
    (tmp_path / name).write_bytes(header.encode() + body)
    volume = load_volume(tmp_path / name)
    assert np.array_equal(volume.array, VOXELS)
    assert (volume.affine is None) == (affine is None)
    assert affine is None or np.allclose(volume.affine, affine)
    assert volume.spacing_mm == pytest.approx((2, 3, 4))


@pytest.mark.parametrize("first", [True, False])
def test_an_axis_without_direction_holds_channels(tmp_path, first):
    array = np.random.default_rng(0).integers(0, 99, (3, 6, 5, 4)).astype(np.int16)
    stored = array if first else np.moveaxis(array, 0, -1)
    sizes = " ".join(map(str, stored.shape))
    kinds = "vector domain domain domain" if first else "domain domain domain list"
    placed = PLACED.replace("directions: ", "directions: none ") if first else PLACED.replace("(0,0,4)", "(0,0,4) none")
    header = NRRD.replace("6 5 4", sizes).replace("dimension: 3", "dimension: 4") + f"kinds: {kinds}\n"
    content = (header + placed + "encoding: raw\n\n").encode() + stored.tobytes(order="F")
    (tmp_path / "x.nrrd").write_bytes(content)
    volume = load_volume(tmp_path / "x.nrrd")
    assert np.array_equal(volume.array, np.moveaxis(array, 0, -1))
    assert np.allclose(volume.affine, RIGHT)


def test_a_meta_image_that_scales_its_values(tmp_path):
    scale = "ElementToIntensityFunctionSlope = 2\nElementToIntensityFunctionOffset = -5\n"
    (tmp_path / "x.mha").write_bytes((META + scale + "ElementDataFile = LOCAL\n").encode() + RAW)
    assert np.array_equal(load_volume(tmp_path / "x.mha").array, VOXELS * 2.0 - 5)


@pytest.mark.parametrize(
    ("name", "header", "words"),
    [
        ("x.nhdr", NRRD + PLACED + "encoding: raw\ndata file: LIST\na.raw\nb.raw\n", "several files are not read"),
        ("x.nhdr", NRRD + PLACED + "encoding: raw\ndata file: s%d.raw 0 1 1\n", "several files are not read"),
        ("x.nhdr", NRRD + PLACED + "encoding: raw\ndata file: ../x.raw\n", "outside its folder"),
        ("x.nrrd", NRRD + PLACED + "encoding: bzip2\n\n", "raw, text, hex and gzip are read"),
        ("x.nrrd", NRRD + PLACED + 'space units: "mm" "mm" "um"\nencoding: raw\n\n', "geometry is in"),
        ("x.nrrd", NRRD + PLACED + 'space units: "inch" "inch" "inch"\nencoding: raw\n\n', "geometry is in"),
        ("x.mhd", META + "ElementDataFile = LIST\na.raw\nb.raw\n", "several files are not read"),
        ("x.mhd", META + "ElementDataFile = s%d.raw 0 1 1\n", "several files are not read"),
        ("x.mha", META.replace("= 2 3 4", "= 0 3 4") + "ElementDataFile = LOCAL\n", "damaged"),
        ("x.mha", META + "ElementToIntensityFunctionSlope = 0\nElementDataFile = LOCAL\n", "must be numbers"),
    ],
)
def test_text_headers_that_are_refused_by_name(tmp_path, name, header, words):
    (tmp_path / name).write_bytes(header.encode() + (b"" if name == "x.nhdr" else RAW))
    with pytest.raises(InputError, match=f"{name}: .*{words}"):
        load_volume(tmp_path / name)


def test_a_packed_nrrd_says_so(tmp_path):
    (tmp_path / "x.nrrd").write_bytes(gzip.compress((NRRD + PLACED + "encoding: raw\n\n").encode() + RAW))
    with pytest.raises(InputError, match="packed with gzip as a whole"):
        load_volume(tmp_path / "x.nrrd")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 0.0])
@pytest.mark.parametrize("field", ["delta", "Mdc", "Pxyz_c"])
def test_an_mgh_whose_geometry_is_none_is_refused(tmp_path, field, value):
    image = nibabel.MGHImage(VOXELS.astype(np.int32), AFFINE)
    header = image.header.copy()
    header["goodRASFlag"] = 1
    header[field] = np.full_like(header[field], value)
    content = bytearray(image.to_bytes())
    content[: len(header.binaryblock)] = header.binaryblock
    (tmp_path / "x.mgh").write_bytes(content)
    if (field, value) == ("Pxyz_c", 0.0):  # an origin like others
        assert np.isfinite(load_volume(tmp_path / "x.mgh").affine).all()
        return
    with pytest.raises(InputError, match=r"x\.mgh"):
        load_volume(tmp_path / "x.mgh")
