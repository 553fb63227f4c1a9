"""Files that crashed, hung or swelled a library, each as small as it can be: refused with a reason, before the harm."""

import gzip
import re
import struct
import zipfile
from io import BytesIO
from pathlib import Path

import nibabel
import numpy as np
import pydicom
import pytest
from fuzzing.dicom_fields import deep
from fuzzing.dicom_seeds import ENCODED, dicom_files, image, study_files, written
from fuzzing.sample import Sample
from fuzzing.seeds import deflated, gzip_of_zeros, pictures, png_chunk, text_volumes, zipped
from PIL import Image
from pydicom import uid

from meddiff.command_line import AUGMENT, parse_recipe
from meddiff.errors import InputError
from meddiff.files import bounds
from meddiff.files.bounds import BoundedFile
from meddiff.formats import load_image
from meddiff.formats.nifti import read_nifti_header
from meddiff.formats.open import load_volume
from meddiff.formats.pictures import header_size
from meddiff.manifest.table import read_manifest


@pytest.fixture(scope="module")
def dicom() -> dict[str, bytes]:
    return dicom_files()


def refused(path: Path, content: bytes, reason: str) -> None:
    path.write_bytes(content)
    with pytest.raises(InputError, match=reason) as caught:
        load_volume(path)
    assert path.name in str(caught.value)


def test_every_transfer_syntax_is_read(tmp_path, dicom):
    """Seeds that could not be read would make a fuzzer that finds nothing."""
    for name, content in dicom.items():
        (tmp_path / f"{name}.dcm").write_bytes(content)
        assert load_volume(tmp_path / f"{name}.dcm").array.size >= 32 * 32
    lossless = [load_volume(tmp_path / f"{name}.dcm").array for name in
                ("plain_Implicit_0", "plain_Explicit_2", "deflated", "jpeg_lossless", "jpeg_lossless_14",
                 *(syntax.keyword for syntax in ENCODED if syntax != uid.JPEG2000))]  # fmt: skip
    assert all(np.array_equal(array, lossless[0]) for array in lossless)


def changed_dicom(content: bytes, **elements) -> bytes:
    dataset = pydicom.dcmread(BytesIO(content))
    for keyword, value in elements.items():
        setattr(dataset, keyword, value)
    buffer = BytesIO()
    dataset.save_as(buffer)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("name", "offset", "layout", "value", "said"),
    [
        ("jpeg_lossless", 4, "B", 33, "32 columns, 1 channels of 33 bits"),  # gdcm: segmentation fault
        ("jpeg_lossless", 5, ">H", 65535, "65535 rows"),
        ("jpeg_baseline", 9, "B", 4, "4 channels"),
        ("JPEGLSLossless", 7, ">H", 60000, "60000 columns"),
        ("JPEG2000Lossless", 8, ">I", 2**31 - 1, "2147483647 columns|no frame header"),
        ("JPEG2000Lossless", 24, ">I", 0, "no frame header"),  # tiles of no width
        ("JPEG2000Lossless", 42, "B", 60, "of 61 bits"),
    ],
)
def test_a_codestream_that_contradicts_its_header(tmp_path, dicom, name, offset, layout, value, said):
    content = bytearray(dicom[name])
    start = re.search(rb"\xff\x4f\xff\x51|\xff[\xc0-\xc3\xf7]\0[\x08-\x20]", content).start()
    struct.pack_into(layout, content, start + offset, value)
    refused(tmp_path / "x.dcm", bytes(content), said)


def test_a_codestream_whose_markers_do_not_follow_each_other(tmp_path, dicom):
    """gdcm ends the program on a table whose length leads nowhere."""
    content = dicom["jpeg_lossless_14"]
    table = content.index(b"\xff\xc4", content.index(b"\xff\xd8\xff"))
    refused(tmp_path / "x.dcm", content[: table + 2] + b"\xff\xff" + content[table + 4 :], "no scan")


@pytest.mark.parametrize(
    ("name", "lies", "said"),
    [
        ("jpeg_lossless", {"PhotometricInterpretation": "YBR_FULL"}, "contradicts itself"),
        ("jpeg_lossless", {"BitsAllocated": 32}, "12 of 32 bits|16 of 32 bits"),
        ("jpeg_lossless", {"BitsStored": 1}, "1 of 16 bits"),
        ("jpeg_lossless", {"BitsAllocated": 64, "PhotometricInterpretation": "PALETTE COLOR"}, "of 64 bits"),
    ],
)
def test_headers_at_which_gdcm_ends_the_program(tmp_path, dicom, name, lies, said):
    refused(tmp_path / "x.dcm", changed_dicom(dicom[name], **lies), said)


@pytest.mark.parametrize("name", ["JPEG2000Lossless", "JPEG2000", "jpeg_baseline", "RLELossless"])
def test_damaged_pixels_end_in_a_picture_or_a_reason(tmp_path, dicom, name):
    """Of decoders that were seen to end the program, none is asked."""
    for place in range(60, 400, 17):
        content = bytearray(changed_dicom(dicom[name], PhotometricInterpretation="YBR_FULL"))
        content[-place] ^= 0xFF
        (tmp_path / "x.dcm").write_bytes(content)
        try:
            load_volume(tmp_path / "x.dcm")
        except InputError as error:
            assert "x.dcm" in str(error)  # noqa: PT017


@pytest.mark.parametrize(("name", "lies"), [("mosaic", {"SpacingBetweenSlices": "nan"}),
                                            ("dose", {"GridFrameOffsetVector": ["0", "nan", "4"]})])  # fmt: skip
@pytest.mark.filterwarnings("ignore:Invalid value for VR DS")
def test_slices_at_distances_that_are_no_numbers(tmp_path, dicom, name, lies):
    refused(tmp_path / "x.dcm", changed_dicom(dicom[name], **lies), "distance of its slices is not a number")


def test_what_is_deflated_may_not_swell(tmp_path, dicom):
    content = dicom["deflated"]
    head = 144 + struct.unpack_from("<I", content, 140)[0]
    plain = written(image(), uid.ExplicitVRLittleEndian)
    start = plain[144 + struct.unpack_from("<I", plain, 140)[0] :]
    refused(tmp_path / "x.dcm", content[:head] + deflated(start, 60), "deflated bytes unpack to more than")
    (tmp_path / "x.dcm").write_bytes(content[:head] + deflated(start, 0))
    assert load_volume(tmp_path / "x.dcm").shape == (32, 32, 1)


def test_a_length_of_gigabytes_takes_none(tmp_path):
    (tmp_path / "x").write_bytes(b"abc")
    with BoundedFile(tmp_path / "x") as file:
        assert file.read(1 << 62) == b"abc"  # io would ask for the memory first
        assert file.read(1 << 62) == b""


@pytest.mark.parametrize("depth", [50, 5000])
def test_sequences_in_sequences(tmp_path, dicom, depth):
    class Drawn:  # what the mutation draws: the depth, and that all sequences end
        def choice(self, _):
            return depth

        def random(self):
            return 0.0

    sample = deep(Sample("dicom", {"x.dcm": dicom["plain_Explicit_1"]}, "x.dcm"), "x.dcm", Drawn())
    path = tmp_path / "x.dcm"
    path.write_bytes(sample.files["x.dcm"])
    if depth == 50:
        assert load_volume(path).shape == (32, 32, 1)
    else:
        refused(path, sample.files["x.dcm"], "damaged|no image")


def nifti(**fields) -> bytes:
    content = bytearray(nibabel.Nifti1Image(np.ones((4, 4, 4), dtype=np.int16), np.eye(4)).to_bytes())
    for name, (layout, offset, value) in fields.items():
        struct.pack_into(layout, content, offset, value)
        assert name
    return bytes(content)


def test_nifti_that_promises_more_than_there_is(tmp_path):
    refused(tmp_path / "a.nii.gz", gzip.compress(nifti(offset=("<f", 108, 1e9))), "more than the file can hold")
    refused(tmp_path / "b.nii.gz", gzip_of_zeros(nifti(i=("<h", 42, 32767), j=("<h", 44, 32767)), 1 << 20), "promises")
    mgh = bytearray(nibabel.MGHImage(np.ones((2, 2, 2), dtype=np.int32), np.eye(4)).to_bytes())
    struct.pack_into(">i", mgh, 4, 0)
    refused(tmp_path / "c.mgh", bytes(mgh), "non-zero")  # an error of nibabel that is no ValueError


@pytest.mark.parametrize("length", [2**31 - 1, 0, -16])
def test_nifti_extensions_that_claim_gigabytes(tmp_path, length):
    for name in ("x.nii", "x.nii.gz"):
        lie = nifti(flag=("b", 348, 1), length=("<i", 352, length), voxels=("<f", 108, 400.0))
        (tmp_path / name).write_bytes(gzip.compress(lie) if name.endswith("gz") else lie)
        with pytest.raises(InputError, match=rf"claims {length} bytes"):
            read_nifti_header(tmp_path / name)
    refused(tmp_path / "x.nii", lie, rf"claims {length} bytes")
    image = nibabel.Nifti1Image(np.ones((4, 4, 4), dtype=np.int16), np.eye(4))
    image.header.extensions.append(nibabel.nifti1.Nifti1Extension("comment", b"a history"))
    image.to_filename(tmp_path / "good.nii")
    assert load_volume(tmp_path / "good.nii").shape == (4, 4, 4)


def test_what_does_not_fit_into_memory_is_told_before_it_is_taken(tmp_path, monkeypatch):
    array = np.zeros((256, 256, 300), dtype=np.int16)
    (tmp_path / "x.nii.gz").write_bytes(gzip.compress(nibabel.Nifti1Image(array, np.eye(4)).to_bytes(), 1))
    assert load_volume(tmp_path / "x.nii.gz").shape == array.shape
    monkeypatch.setattr(bounds, "_free_bytes", lambda: 100_000_000)
    with pytest.raises(InputError, match=r"x\.nii\.gz: it unpacks to 0\.04 GB.*0\.12 GB of memory.*0\.10 GB are free"):
        load_volume(tmp_path / "x.nii.gz")


def test_scaled_integers_are_measured_as_the_numbers_they_become(tmp_path, monkeypatch):
    """One byte each in the file, four each once slope and intercept have been applied."""
    image = nibabel.Nifti1Image(np.zeros((400, 300, 300), np.uint8), np.eye(4))
    image.header.set_slope_inter(0.5, 3)
    nibabel.save(image, tmp_path / "x.nii.gz")
    assert load_volume(tmp_path / "x.nii.gz").array.dtype.kind == "f"
    monkeypatch.setattr(bounds, "_free_bytes", lambda: 300_000_000)
    with pytest.raises(InputError, match=r"it unpacks to 0\.14 GB"):
        load_volume(tmp_path / "x.nii.gz")


TEXT_LIES = [
    ("x.nhdr", rb"data ?file: .*", b"data file: /dev/stdin", "outside its folder"),  # SimpleITK waits for ever
    ("x.nhdr", rb"data ?file: .*", b"data file: ../secret.raw", "outside its folder"),
    ("x.nhdr", rb"data ?file: .*", b"data file: LIST", "several files are not read"),
    ("x.nhdr", rb"data ?file: .*", b"data file: %d.raw 1 99 1", "several files are not read"),
    ("x.nrrd", rb"sizes: .*", b"sizes: 60000 60000 60000", "promises"),
    ("x.nrrd", rb"sizes: .*", b"sizes: -1 4 5", "whole numbers above 0"),
    ("x.nrrd", rb"sizes: .*", b"sizes: 6 5", "3.* axes and the sizes"),
    ("x.nrrd", rb"type: .*", b"type: block", "no numbers"),
    ("x.nrrd", rb"encoding: .*", b"encoding: bzip2", "raw, text, hex and gzip are read"),
    ("x.nrrd", rb"type: .*", b"type: short\ntype: uchar", "says type twice"),
    ("x.nrrd", rb"space origin: .*", b"space origin: " + b"9" * 5000, "has 5014 letters"),  # segmentation fault
    ("x.nrrd", rb"space origin: .*", b"a" * 5000, "has 5000 letters"),
    ("x.mha", rb"TransformMatrix = .*", b"TransformMatrix = 1 0 0 0 1 0 0 1e308 1", "no geometry"),  # no end
    ("x.nrrd", rb"space directions: .*", b"space directions: (nan,0,0) (0,1,0) (0,0,1)", "no geometry"),
    ("x.mhd", rb"ElementDataFile = .*", b"ElementDataFile = C:\\secret.raw", "outside its folder"),
    ("x.mhd", rb"ElementDataFile = .*", b"ElementDataFile = /etc/passwd", "outside its folder"),
    ("x.mhd", rb"ElementDataFile = .*", b"ElementDataFile = LIST", "several files are not read"),
    ("x.mha", rb"DimSize = .*", b"DimSize = 60000 60000 60000", "promises"),
    ("x.mha", rb"NDims = .*", b"NDims = 99", "axes"),
    ("packed.mha", rb"CompressedDataSize = .*", b"CompressedDataSize = 99999999999", "packed bytes are more than"),
    ("x.mha", rb"ElementType = .*", b"ElementType = MET_STRING", "no numbers"),
    ("x.mha", rb"ElementDataFile = .*", b"", "has no end|cut off"),
]


@pytest.fixture(scope="module")
def texts() -> dict[str, Sample]:
    return {sample.opened: sample for sample in text_volumes()}


@pytest.mark.parametrize(("name", "line", "lie", "said"), TEXT_LIES, ids=[lie[2].decode()[:30] for lie in TEXT_LIES])
def test_text_headers_that_lie(tmp_path, texts, name, line, lie, said):
    path = texts[name].write(tmp_path)
    truth = load_volume(path).array
    assert truth.shape == (4, 5, 6)
    content, count = re.subn(line, lambda _: lie, path.read_bytes(), count=1)
    assert count == 1
    refused(path, content, said)


def test_a_nrrd_is_read_as_nrrd_alone(tmp_path):
    """SimpleITK would try all formats it knows: a picture or a script under this name is none of ours."""
    for name in ("x.nrrd", "x.mha"):
        refused(tmp_path / name, pictures("png")["L.png"], "no end|cut off")


def test_pictures_are_of_known_formats_only(tmp_path):
    """Pillow hands PostScript to another program, whatever the file is called."""
    (tmp_path / "x.png").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n")
    with pytest.raises(InputError, match="not an image of a known kind"):
        load_image(tmp_path / "x.png")
    for suffix in ("png", "jpeg", "tiff", "bmp", "gif", "webp", "jp2", "ppm"):
        Image.new("RGB", (8, 8)).save(tmp_path / f"x.{suffix}")
        assert load_image(tmp_path / f"x.{suffix}").shape == (8, 8, 3)


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_a_picture_that_promises_more_than_its_file_can_hold(tmp_path):
    content = pictures("png")["L.png"]
    head = png_chunk(b"IHDR", struct.pack(">IIBBBBB", 12000, 12000, 8, 0, 0, 0, 0))
    (tmp_path / "x.png").write_bytes(content[:8] + head + content[33:])
    with pytest.raises(InputError, match="promises 12000 x 12000 pixels"):
        load_image(tmp_path / "x.png")
    assert header_size(tmp_path / "x.png") is None


def test_a_manifest_of_twenty_thousand_columns(tmp_path):
    (tmp_path / "m.csv").write_text(",".join(["dataset"] * 20_000) + "\n")
    with pytest.raises(InputError, match="line 1 names 20000 columns"):
        read_manifest(tmp_path / "m.csv")


def test_names_that_no_disk_takes(tmp_path):
    (tmp_path / "m.csv").write_text(f"row_id,dataset,image_path,source\n1,own,{'a' * 300}.png,real\n")
    with pytest.raises(InputError, match=r"file does not exist: line 2"):
        read_manifest(tmp_path / "m.csv")
    with pytest.raises(InputError, match="there is no such file"):
        load_volume(tmp_path / ("a" * 300 + ".nii"))


@pytest.mark.parametrize(("path", "said"), [("{..,a}/x.nii", "climbs out"), ("{/etc,a}/x.nii", "absolute path")])
def test_braces_do_not_climb_out_of_the_root(tmp_path, path, said):
    (tmp_path / "m.csv").write_text(f'row_id,dataset,image_path,source\n1,own,"{path}",real\n')
    with pytest.raises(InputError, match=said):
        read_manifest(tmp_path / "m.csv", check_files=False)


LAUGHS = "a: &a [x, x, x]\n" + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 9))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (LAUGHS.replace("*a0", "*a"), "more than 10000 values"),
        ("data: &a\n  cache: *a\n", "more than 10000 values"),
        ("seed: " + "9" * 5000, "not YAML"),
        ("seed: 2026-99-99", "not YAML"),
        ("[" * 2000, "not YAML"),
        ("network:\n", "network must hold"),
        ("seed: !!python/object/apply:os.system ['exit 3']", "not YAML"),
    ],
)
def test_recipes_that_swell_nest_or_run(tmp_path, text, said):
    (tmp_path / "r.yaml").write_text(text)
    with pytest.raises(InputError, match=said):
        parse_recipe("augment", "", ["--config", str(tmp_path / "r.yaml"), "--preset", "quick"], AUGMENT)


def test_a_study_in_an_archive_is_read_as_if_it_were_a_folder(tmp_path):
    """As hospitals hand it over: a directory, files without suffix, a viewer."""
    study = Sample("folder", study_files(), "study")
    for name, content in study.files.items():
        (tmp_path / "study" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "study" / name).write_bytes(content)
    (tmp_path / "study.zip").write_bytes(zipped(study.files))
    folder, archive = load_volume(tmp_path / "study"), load_volume(tmp_path / "study.zip")
    assert np.array_equal(folder.array, archive.array)
    assert archive.shape == (32, 32, 4)
    assert np.array_equal(folder.affine, archive.affine)


def test_one_volume_in_an_archive(tmp_path):
    array = np.arange(64, dtype=np.int16).reshape(4, 4, 4)
    content = nibabel.Nifti1Image(array, np.eye(4)).to_bytes()
    (tmp_path / "one.zip").write_bytes(zipped({"a/T1.nii": content, "readme.txt": b"x"}))
    volume = load_volume(tmp_path / "one.zip")
    assert np.array_equal(volume.array, array)
    assert not isinstance(volume.array, np.memmap), "the file behind a window is gone"
    (tmp_path / "two.zip").write_bytes(zipped({"a.nii": content, "b.nii": content}))
    with pytest.raises(InputError, match=r"two\.zip: there are 2 volumes in it.*a\.nii; unpack"):
        load_volume(tmp_path / "two.zip")
    (tmp_path / "nested.zip").write_bytes(zipped({"one.zip": (tmp_path / "one.zip").read_bytes()}))
    with pytest.raises(InputError, match=r"nested\.zip: no DICOM image"):
        load_volume(tmp_path / "nested.zip")
    with zipfile.ZipFile(tmp_path / "bad.zip", "w") as file:
        file.writestr("../a.nii", content)
    with pytest.raises(InputError, match="leaves the folder"):
        load_volume(tmp_path / "bad.zip")
