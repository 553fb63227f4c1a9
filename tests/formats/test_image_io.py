"""Arrays to files and back; color modes; files that are no images."""

import struct
import zlib
from pathlib import Path

import nibabel
import numpy as np
import pytest
from PIL import Image

from meddiff.errors import InputError
from meddiff.formats import is_deep, load_image, load_mask, load_slice, read_picture, save_image

RED, GREEN = (200, 30, 10), (20, 180, 90)


@pytest.fixture
def noise():
    return np.random.default_rng(0)


@pytest.mark.parametrize("shape", [(5, 7), (5, 7, 3)])
def test_png_with_8_bits_comes_back(tmp_path, noise, shape):
    array = noise.integers(0, 256, shape, dtype=np.uint8)
    save_image(array, tmp_path / "new" / "x.png", about={"source": "phantom"})
    assert np.array_equal(load_image(tmp_path / "new" / "x.png"), array)
    with Image.open(tmp_path / "new" / "x.png") as picture:
        assert picture.text == {"source": "phantom"}
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["x.png"]


def test_png_with_16_bits_comes_back(tmp_path, noise):
    array = noise.integers(0, 65536, (5, 7), dtype=np.uint16)
    save_image(array, tmp_path / "x.png")
    read = load_image(tmp_path / "x.png")
    assert read.dtype == np.uint16
    assert np.array_equal(read, array)
    assert is_deep(tmp_path / "x.png")


@pytest.mark.parametrize("name", ["x.nii", "x.nii.gz"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_nifti_comes_back_with_its_geometry(tmp_path, noise, name, dtype):
    array = (noise.random((4, 5, 6)) * 200).astype(dtype)
    save_image(array, tmp_path / name, spacing_mm=(0.5, 1.25, 3.0))
    header = nibabel.load(tmp_path / name).header
    assert header.get_zooms() == (0.5, 1.25, 3.0)
    assert (header["sform_code"], header["qform_code"]) == (1, 1)
    for axis in range(3):
        read = load_slice(tmp_path / name, axis, 2)
        assert read.dtype == dtype
        assert np.array_equal(read, np.take(array, 2, axis=axis))


def test_unknown_spacing_is_not_invented(tmp_path):
    save_image(np.zeros((4, 5), dtype=np.float32), tmp_path / "x.nii.gz")
    header = nibabel.load(tmp_path / "x.nii.gz").header
    assert (header["sform_code"], header["qform_code"]) == (0, 0)
    assert load_image(tmp_path / "x.nii.gz").shape == (4, 5)


def test_only_png_and_nifti_are_written(tmp_path):
    with pytest.raises(InputError, match=r"\.png, \.nii or \.nii\.gz"):
        save_image(np.zeros((2, 2), dtype=np.uint8), tmp_path / "x.jpg")
    with pytest.raises(ValueError, match="not float32"):
        save_image(np.zeros((2, 2), dtype=np.float32), tmp_path / "x.png")


@pytest.mark.parametrize(
    ("mode", "color", "expected"),
    [
        ("1", 1, 255),
        ("L", 77, 77),
        ("LA", (77, 255), 77),
        ("LA", (77, 0), 0),
        ("RGB", RED, RED),
        ("RGBA", (*RED, 255), RED),
        ("RGBA", (*RED, 0), (0, 0, 0)),
        ("CMYK", (0, 255, 255, 0), (255, 0, 0)),
        ("I;16", 1234, 1234),
    ],
)
def test_color_modes(tmp_path, mode, color, expected):
    path = tmp_path / "x.tif"
    Image.new(mode, (4, 3), color).save(path)
    read = load_image(path)
    assert read.shape == (3, 4) + ((3,) if isinstance(expected, tuple) else ())
    assert (read == np.array(expected)).all()


def test_palette(tmp_path):
    picture = Image.new("RGB", (4, 2), RED)
    picture.putpixel((0, 0), GREEN)
    picture.convert("P", palette=Image.Palette.ADAPTIVE).save(tmp_path / "x.png")
    read = load_image(tmp_path / "x.png")
    assert tuple(read[0, 0]) == GREEN
    assert tuple(read[1, 3]) == RED


@pytest.mark.parametrize("hint", [None, 32])
@pytest.mark.parametrize(("orientation", "corner"), [(1, (0, 0)), (3, (-1, -1)), (6, (0, -1)), (8, (-1, 0))])
def test_a_picture_lying_on_its_side_is_put_upright(tmp_path, orientation, corner, hint):
    picture = Image.new("L", (512, 256), 0)
    picture.paste(255, (0, 0, 64, 64))
    exif = Image.Exif()
    exif[0x0112] = orientation
    picture.save(tmp_path / "x.jpg", exif=exif, quality=95)
    read = read_picture(tmp_path / "x.jpg", size_hint=hint)
    assert read.size == ((512, 256) if orientation in (6, 8) else (256, 512))
    assert read.pixels[corner] > 250
    assert (read.pixels.shape[0] > read.pixels.shape[1]) == (orientation in (6, 8))


def test_a_jpeg_is_decoded_smaller_but_never_below_the_hint(tmp_path, noise):
    Image.fromarray(noise.integers(0, 256, (768, 1024, 3), dtype=np.uint8)).save(tmp_path / "x.jpg")
    assert load_image(tmp_path / "x.jpg").shape == (768, 1024, 3)
    for hint, shape in ((64, (96, 128, 3)), (97, (192, 256, 3)), (700, (768, 1024, 3))):
        picture = read_picture(tmp_path / "x.jpg", size_hint=hint)
        assert picture.pixels.shape == shape
        assert picture.size == (768, 1024)


def test_a_png_named_jpg_is_read_by_its_content(tmp_path):
    Image.new("L", (3, 2), 9).save(tmp_path / "x.jpg", "PNG")
    assert (load_image(tmp_path / "x.jpg") == 9).all()


def test_eight_bits_have_a_range_of_their_own_and_deeper_ones_have_not(tmp_path):
    save_image(np.full((9, 9), 100, dtype=np.uint8), tmp_path / "8.png")
    assert (read_picture(tmp_path / "8.png").low, read_picture(tmp_path / "8.png").high) == (0, 255)
    scan = np.linspace(0, 1200, 10_000).round().astype(np.uint16).reshape(100, 100)
    scan[50, 50] = 65_535  # one hot pixel
    save_image(scan, tmp_path / "16.png")
    picture = read_picture(tmp_path / "16.png")
    assert picture.low == pytest.approx(1, abs=1)
    assert picture.high == pytest.approx(1199, abs=2)


def test_slices_share_the_range_of_their_volume(tmp_path):
    volume = np.arange(10 * 10 * 100, dtype=np.float32).reshape(10, 10, 100)
    save_image(volume, tmp_path / "x.nii.gz")
    ranges = {(p.low, p.high) for p in (read_picture(tmp_path / "x.nii.gz", axis=2, index=k) for k in (0, 99))}
    assert len(ranges) == 1


def test_a_rewritten_volume_is_read_anew(tmp_path):
    for value in (1.0, 2.0):
        save_image(np.full((3, 3, 3), value, dtype=np.float32), tmp_path / "x.nii")
        assert (load_slice(tmp_path / "x.nii", 0, 0) == value).all()


def test_pages_of_a_tiff(tmp_path):
    pages = [Image.new("L", (3, 2), value) for value in (10, 20)]
    pages[0].save(tmp_path / "x.tif", save_all=True, append_images=pages[1:])
    assert (load_slice(tmp_path / "x.tif", 0, 1) == 20).all()
    with pytest.raises(InputError, match="holds 2 pictures: say which with slice_axis"):
        load_image(tmp_path / "x.tif")
    with pytest.raises(InputError, match="no picture 2, the file holds 2"):
        load_slice(tmp_path / "x.tif", 0, 2)
    with pytest.raises(InputError, match="no slice axis 1"):
        load_slice(tmp_path / "x.tif", 1, 0)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([[0, 255]], [[0, 1]]),
        ([[0, 1]], [[0, 1]]),
        ([[0, 0]], [[0, 0]]),
        ([[255, 255]], [[1, 1]]),
        ([[0, 127, 128, 255]], [[0, 0, 1, 1]]),
        ([[0, 1, 2, 4]], [[0, 1, 2, 4]]),
    ],
)
@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA"])
def test_masks(tmp_path, values, expected, mode):
    Image.fromarray(np.array(values, dtype=np.uint8)).convert(mode).save(tmp_path / "m.png")
    mask = load_mask(tmp_path / "m.png")
    assert mask.dtype == np.uint8
    assert mask.tolist() == expected


def test_masks_of_other_kinds(tmp_path):
    Image.new("1", (2, 1), 1).save(tmp_path / "m.bmp")
    assert load_mask(tmp_path / "m.bmp").tolist() == [[1, 1]]
    save_image(np.array([[0, 65535]], dtype=np.uint16), tmp_path / "m.png")
    assert load_mask(tmp_path / "m.png").tolist() == [[0, 1]]
    Image.new("L", (16, 16), 3).save(tmp_path / "m.jpg")  # black with the noise of a JPEG, not class 3
    assert not load_mask(tmp_path / "m.jpg").any()
    palette = Image.fromarray(np.array([[0, 1, 2]], dtype=np.uint8), "P")
    palette.putpalette([0, 0, 0, 128, 0, 0, 0, 128, 0])
    palette.save(tmp_path / "p.png")
    assert load_mask(tmp_path / "p.png").tolist() == [[0, 1, 2]]
    save_image(np.array([[[0, 1], [2, 3]]], dtype=np.float32), tmp_path / "m.nii.gz")
    assert load_mask(tmp_path / "m.nii.gz", axis=0, index=0).tolist() == [[0, 1], [2, 3]]


def test_masks_that_are_none(tmp_path):
    Image.new("RGB", (2, 2), RED).save(tmp_path / "m.png")
    with pytest.raises(InputError, match="this one has colors"):
        load_mask(tmp_path / "m.png")
    save_image(np.array([[0, 0.5]], dtype=np.float32), tmp_path / "m.nii")
    with pytest.raises(InputError, match="whole numbers from 0 to 255"):
        load_mask(tmp_path / "m.nii")


def cut(content: bytes) -> bytes:
    return content[: len(content) * 2 // 3]


@pytest.mark.parametrize("suffix", ["jpg", "png", "tif", "bmp"])
@pytest.mark.parametrize("hint", [None, 8])
def test_a_cut_file_is_refused(tmp_path, noise, suffix, hint):
    path = tmp_path / f"x.{suffix}"
    Image.fromarray(noise.integers(0, 256, (64, 64, 3), dtype=np.uint8)).save(path)
    path.write_bytes(cut(path.read_bytes()))
    with pytest.raises(InputError, match="cut off or damaged") as caught:
        load_image(path, size_hint=hint)
    assert str(path) in str(caught.value)
    assert "good copy" in str(caught.value)


def test_files_that_are_no_images(tmp_path):
    (tmp_path / "empty.jpg").touch()
    (tmp_path / "text.jpg").write_text("<!DOCTYPE html> not found")
    (tmp_path / "folder.jpg").mkdir()
    (tmp_path / "text.nii.gz").write_text("not a volume")
    for name, said in {
        "empty.jpg": "empty (0 bytes)",
        "text.jpg": "not an image of a known kind (it begins with b'<!DOCTYPE html>",
        "folder.jpg": "a folder, not an image",
        "missing.jpg": "no such file",
        "text.nii.gz": "damaged",
        "missing.nii.gz": "no such file",
    }.items():
        with pytest.raises(InputError) as caught:
            load_image(tmp_path / name)
        assert str(caught.value).startswith(str(tmp_path / name))
        assert said in str(caught.value)


def test_a_cut_volume_is_refused(tmp_path, noise):
    save_image(noise.random((20, 20, 20), dtype=np.float32), tmp_path / "x.nii.gz")
    (tmp_path / "x.nii.gz").write_bytes(cut((tmp_path / "x.nii.gz").read_bytes()))
    with pytest.raises(InputError, match="cut off, damaged"):
        load_slice(tmp_path / "x.nii.gz", 0, 0)


def test_volumes_that_do_not_fit(tmp_path):
    save_image(np.zeros((3, 4, 5), dtype=np.uint8), tmp_path / "x.nii")
    with pytest.raises(InputError, match="say which slice"):
        load_image(tmp_path / "x.nii")
    for axis, index in ((3, 0), (0, 3)):
        with pytest.raises(InputError, match=f"no slice {index} along axis {axis}"):
            load_slice(tmp_path / "x.nii", axis, index)
    values = np.zeros((3, 4), dtype=np.float32)
    values[1, 1] = np.nan
    save_image(values, tmp_path / "nan.nii")
    with pytest.raises(InputError, match="not finite"):
        load_image(tmp_path / "nan.nii")
    save_image(np.zeros((2, 2, 2, 2), dtype=np.float32), tmp_path / "4d.nii")
    with pytest.raises(InputError, match="2 or 3 axes"):
        load_image(tmp_path / "4d.nii")


def test_a_picture_too_large_to_be_true(tmp_path):
    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 60_000, 60_000, 8, 0, 0, 0, 0))
    (tmp_path / "x.png").write_bytes(b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"")))
    with pytest.raises(InputError, match="too large to be decoded safely"):
        load_image(tmp_path / "x.png")


@pytest.mark.real_data
def test_real_damaged_files(real_data):
    folder = real_data / "broken-images"
    photographs = sorted((folder / "ISIC2018_Task1-2_Validation_Input").iterdir())
    assert photographs
    for path in photographs:
        for hint in (None, 64):
            with pytest.raises(InputError, match="cut off or damaged") as caught:
                load_image(path, size_hint=hint)
            assert path.name in str(caught.value)
    for path in (folder / "ISIC2018_Task1_Validation_GroundTruth").iterdir():
        with pytest.raises(InputError, match="0 bytes"):
            load_mask(path)


@pytest.mark.real_data
def test_a_real_messy_folder(real_data):
    """Names with blanks, PNGs named .jpg, five color modes, EXIF orientations."""
    folder = real_data / "brain-tumor-yes-no" / "brain_tumor_dataset"
    paths = [path for path in folder.rglob("*") if path.suffix.lower() in (".jpg", ".jpeg", ".png")]
    assert len(paths) > 20
    for path in paths:
        small, whole = read_picture(path, size_hint=32), load_image(path)
        assert whole.dtype == np.uint8
        assert small.size == whole.shape[:2]
        assert small.pixels.ndim == whole.ndim
        assert min(small.pixels.shape[:2]) >= min(32, *whole.shape[:2])


@pytest.mark.real_data
def test_real_volumes(real_data):
    folder = real_data / "Task04_Hippocampus"
    image = sorted((folder / "imagesTr").glob("*.nii.gz"))[0]
    volume = np.asarray(nibabel.load(image).dataobj)
    assert np.array_equal(load_slice(image, 1, 20), volume[:, 20])
    mask = load_mask(folder / "labelsTr" / image.name, axis=1, index=20)
    assert mask.shape == volume[:, 20].shape
    assert set(np.unique(mask)) <= {0, 1, 2}


def test_permission_denied_is_told(tmp_path, monkeypatch):
    path = tmp_path / "x.png"
    Image.new("L", (2, 2)).save(path)

    def denied(*_args, **_kwargs):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Image, "open", denied)
    with pytest.raises(InputError, match="may not read"):
        load_image(Path(path))
