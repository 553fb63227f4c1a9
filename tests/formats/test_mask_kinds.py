"""Masks as people store them: each kind is read as what it was meant, or refused with what to do; never otherwise."""

import json
import struct
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import nibabel
import numpy as np
import pytest
from PIL import Image, ImageCms, PngImagePlugin

from meddiff.errors import InputError
from meddiff.formats.masks import IGNORED, MaskAt, decide, masks_found, stored_at
from tests.formats.test_mask_values import CLASSES, DISTANCE, INSIDE, SIDE, blurred, two

AFFINE = np.diag([-1.0, -1, 1, 1])
BLACK_WHITE, ONE = two(255), INSIDE.astype(np.uint8)
NOISE = np.random.default_rng(0)
FAR = DISTANCE > 20
SOFT = np.clip((14 - DISTANCE) / 4 + 0.5, 0, 1).astype(np.float32)
Make = Callable[[Path], Path]


def picture(what: np.ndarray | Image.Image, name: str, **how) -> Make:
    def make(folder: Path) -> Path:
        (what if isinstance(what, Image.Image) else Image.fromarray(what)).save(folder / name, **how)
        return folder / name

    return make


def volume(values: np.ndarray, *, slope: float = 1, inter: float = 0, name: str = "m.nii") -> Make:
    """A NIfTI of a plane or of more, with the scaling of its header as it is given."""

    def make(folder: Path) -> Path:
        array = values if values.ndim > 2 else values[..., None]
        nibabel.save(nibabel.Nifti1Image(array, AFFINE), folder / name)
        content = bytearray((folder / name).read_bytes())
        struct.pack_into("<ff", content, 112, slope, inter)
        (folder / name).write_bytes(content)
        return folder / name

    return make


def tiff(values: np.ndarray, photometric: int) -> Make:
    """An 8-bit TIFF: 0 says that 0 is white, 1 that it is black."""

    def make(folder: Path) -> Path:
        data = values.astype(np.uint8).tobytes()
        rows, columns = values.shape
        tags = [(256, 4, columns), (257, 4, rows), (258, 3, 8), (259, 3, 1), (262, 3, photometric), (273, 4, 8),
                (277, 3, 1), (278, 4, rows), (279, 4, len(data))]  # fmt: skip
        lines = b"".join(struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in tags)
        head = b"II*\0" + struct.pack("<I", 8 + len(data)) + data + struct.pack("<H", len(tags))
        (folder / "m.tif").write_bytes(head + lines + struct.pack("<I", 0))
        return folder / "m.tif"

    return make


def written(name: str, content: str | bytes) -> Make:
    def make(folder: Path) -> Path:
        (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)
        return folder / name

    return make


def gray(values: np.ndarray, *, alpha: np.ndarray | None = None) -> Image.Image:
    """Gray with transparency; all is opaque where no alpha is given."""
    alpha = np.full_like(values, 255) if alpha is None else alpha
    return Image.merge("LA", [Image.fromarray(values), Image.fromarray(alpha)])


def with_gamma() -> Make:
    info = PngImagePlugin.PngInfo()
    info.add(b"gAMA", (100000).to_bytes(4, "big"))
    return picture(BLACK_WHITE, "m.png", pnginfo=info)


def palette(**how) -> Make:
    image = Image.fromarray(CLASSES.astype(np.uint8), "P")
    image.putpalette([0, 0, 0, 255, 0, 0, 0, 255, 0])
    return picture(image, "m.png", **how)


WHITE = Image.fromarray(BLACK_WHITE)
PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
READ: dict[str, tuple[Make, np.ndarray]] = {
    "PNG of 1 bit": (picture(WHITE.convert("1"), "m.png"), ONE),
    "BMP of 1 bit": (picture(WHITE.convert("1"), "m.bmp"), ONE),
    "TIFF of 1 bit": (picture(WHITE.convert("1"), "m.tif"), ONE),
    "TIFF of 1 bit, packed": (picture(WHITE.convert("1"), "m.tif", compression="group4"), ONE),
    "PNG with gamma": (with_gamma(), ONE),
    "PNG with a color profile": (picture(WHITE.convert("RGB"), "m.png", icc_profile=PROFILE), ONE),
    "gray and opaque": (picture(gray(BLACK_WHITE), "m.png"), ONE),
    "gray, shape in the transparency": (picture(gray(np.full_like(BLACK_WHITE, 255), alpha=BLACK_WHITE), "m.png"), ONE),
    "gray, shape in both": (picture(gray(BLACK_WHITE, alpha=BLACK_WHITE), "m.png"), ONE),
    "palette": (palette(), CLASSES),
    "palette with a transparent entry": (palette(transparency=0), CLASSES),
    "GIF": (picture(BLACK_WHITE, "m.gif"), ONE),
    "BMP in color": (picture(WHITE.convert("RGB"), "m.bmp"), ONE),
    "TIFF for print": (picture(WHITE.convert("RGB").convert("CMYK"), "m.tif"), ONE),
    "TIFF, 0 is white": (tiff(255 - BLACK_WHITE, 0), ONE),
    "TIFF, classes": (tiff(CLASSES, 1), CLASSES),
    "TIFF of 32 bit": (picture(CLASSES.astype(np.int32), "m.tif"), CLASSES),
    "TIFF of floats": (picture(CLASSES.astype(np.float32), "m.tif"), CLASSES),
    "PNG of 16 bit, white": (picture(ONE.astype(np.uint16) * 65535, "m.png"), ONE),
    "PNG of 16 bit, 256": (picture(ONE.astype(np.uint16) * 256, "m.png"), ONE),
    "JPEG 2000 without loss": (picture(BLACK_WHITE, "m.jp2", irreversible=False), ONE),
    "WebP without loss": (picture(BLACK_WHITE, "m.webp", lossless=True), ONE),
    "WebP with loss": (picture(BLACK_WHITE, "m.webp", quality=60), ONE),
    "WebP with loss and transparency": (picture(gray(BLACK_WHITE).convert("RGBA"), "m.webp", quality=80), ONE),
    "JPEG of luminance and color": (picture(WHITE.convert("YCbCr"), "m.jpg", quality=90), ONE),
    "NIfTI of 64 bit": (volume(CLASSES.astype(np.float64)), CLASSES),
    "NIfTI of 16 bit, signed": (volume(CLASSES.astype(np.int16)), CLASSES),
    "NIfTI, slope 1/255": (volume(BLACK_WHITE, slope=1 / 255), ONE),
    "NIfTI, slope 2": (volume(CLASSES.astype(np.int16), slope=2), 2 * CLASSES),
    "NIfTI, from -1": (volume((CLASSES + 1).astype(np.int16), inter=-1), CLASSES),
    "white around black": (picture(255 - BLACK_WHITE, "m.png"), 1 - ONE),
    "all white": (picture(np.full_like(BLACK_WHITE, 255), "m.png"), np.ones_like(ONE)),
}


def classes_in(*files: Path, **how) -> list[np.ndarray]:
    masks = [MaskAt.file(file) for file in files]
    held = masks_found(masks)
    if held.bad:
        raise InputError(held.bad[0])
    meaning = decide(held.levels, **how)
    return [np.squeeze(meaning(stored_at(mask, volume=mask.path.suffix == ".nii"))) for mask in masks]


@pytest.mark.parametrize("kind", READ)
def test_kinds_that_are_read(tmp_path, kind):
    make, expected = READ[kind]
    assert np.array_equal(classes_in(make(tmp_path))[0], expected)


def test_a_lossy_jpeg_2000_is_cut_at_one_half(tmp_path):
    """A twentieth of its size: the border moves by a pixel here and there."""
    large = np.kron(ONE, np.ones((8, 8), np.uint8))
    (cut,) = classes_in(picture(large * 255, "m.jp2", **LOSSY)(tmp_path))
    assert np.count_nonzero(np.asarray(Image.open(tmp_path / "m.jp2")) % 255) > 0, "it was compressed with loss"
    assert np.count_nonzero(cut != large) < 0.01 * large.sum()


def photo(*channels: int) -> np.ndarray:
    """What a camera sees: a bright disc on a dark ground, and noise."""
    disc = 80 * INSIDE.reshape(SIDE, SIDE, *[1] * len(channels))
    return (NOISE.normal(100, 30, (SIDE, SIDE, *channels)) + disc).clip(0, 255).astype(np.uint8)


def colors_of_one_voxel() -> Make:
    def make(folder: Path) -> Path:
        array = np.zeros((*CLASSES.shape, 1), dtype=[("R", "u1"), ("G", "u1"), ("B", "u1")])
        array["R"] = BLACK_WHITE[..., None]
        nibabel.save(nibabel.Nifti1Image(array, AFFINE), folder / "m.nii")
        return folder / "m.nii"

    return make


IDS = ONE.astype(np.uint16) * 1000 + (CLASSES == 2)
GRAYS = (CLASSES * 100).astype(np.uint8)
RIM = np.where(FAR, 255, CLASSES).astype(np.uint8)
ONE_HOT = np.stack([number == CLASSES for number in range(3)], axis=-1).astype(np.uint8)
LOSSY = {"irreversible": True, "quality_mode": "rates", "quality_layers": [20]}
REFUSED: dict[str, tuple[Make, str]] = {
    "TIFF, 0 is white, two classes": (tiff(ONE, 0), "could be classes or soft edges"),
    "TIFF, 0 is white, three classes": (tiff(CLASSES, 0), "could be classes or soft edges"),
    "classes in a lossy JPEG 2000": (picture(GRAYS, "m.jp2", **LOSSY), "cannot hold classes"),
    "classes in a lossy WebP": (picture(GRAYS, "m.webp", quality=60), "cannot hold classes"),
    "classes in a JPEG": (picture(GRAYS, "m.jpg", quality=60), "cannot hold classes"),
    "outlines of LabelMe": (written("m.json", json.dumps({"shapes": []})), "write them as PNG or NIfTI"),
    "outlines of VOC": (written("m.xml", "<annotation/>"), "write them as PNG or NIfTI"),
    "outlines of SVG": (written("m.svg", "<svg/>"), "write them as PNG or NIfTI"),
    "an array of numpy": (written("m.npy", b"\x93NUMPY"), "write them as PNG or NIfTI"),
    "run lengths": (written("m.csv", "1 3 10 5"), "write them as PNG or NIfTI"),
    "NIfTI, slope 0.5": (volume(CLASSES.astype(np.int16), slope=0.5), "has 0.5. Give class indices"),
    "NIfTI in color": (colors_of_one_voxel(), "make class indices of its channels or colors"),
    "a channel per class": (volume(ONE_HOT[:, :, None]), "make class indices of its channels or colors"),
    "a channel per class, as vectors": (volume(ONE_HOT[:, :, None, None]), "make class indices of its channels"),
    "probabilities": (volume(SOFT), "cut a soft mask at one half"),
    "probabilities in a TIFF": (picture(SOFT, "m.tif"), "cut a soft mask at one half"),
    "-1 for what is not judged": (volume(np.where(FAR, np.int16(-1), ONE)), "say what each value means"),
    "-1 and 1": (volume(np.where(INSIDE, 1, -1).astype(np.int16)), "say what each value means"),
    "NaN for what is not judged": (volume(np.where(FAR, np.nan, ONE).astype(np.float32)), "not finite numbers"),
    "infinite": (volume(np.where(INSIDE, np.inf, 0).astype(np.float32)), "not finite numbers"),
    "complex": (volume(CLASSES.astype(np.complex64)), "real numbers"),
    "numbers of instances beyond a byte": (picture(IDS, "m.png"), "has 1000"),
    "a rim beside classes without names": (picture(RIM, "m.png"), "255=ignore"),
    "two grays and no black": (picture(np.where(INSIDE, 200, 100).astype(np.uint8), "m.png"), "100=background"),
    "the image itself": (picture(photo(), "m.png"), "could be classes or soft edges"),
    "the image itself as a JPEG": (picture(photo(), "m.jpg", quality=90), "neither black nor white"),
    "the image itself in color": (picture(photo(3), "m.png"), "this one has colors"),
    "several pages": (picture(WHITE, "m.tif", save_all=True, append_images=[WHITE]), "say which with slice_axis 0"),
    "nothing there": (lambda folder: folder / "m.png", "there is no such file"),
    "an empty file": (written("m.png", b""), "the file is empty"),
}  # fmt: skip


@pytest.mark.parametrize("kind", REFUSED)
def test_kinds_that_are_refused_with_what_to_do(tmp_path, kind):
    make, said = REFUSED[kind]
    with pytest.raises(InputError, match=said):
        classes_in(make(tmp_path))


def test_what_is_refused_can_be_named(tmp_path):
    judged = np.where(FAR, IGNORED, ONE)
    text = "-1=ignore,0=background,1=lesion"
    assert np.array_equal(classes_in(REFUSED["-1 for what is not judged"][0](tmp_path), text=text)[0], judged)
    assert np.array_equal(classes_in(REFUSED["-1 and 1"][0](tmp_path), text="-1=background,1=lesion")[0], ONE)
    file = REFUSED["TIFF, 0 is white, three classes"][0](tmp_path)
    assert np.array_equal(classes_in(file, text="255=background,254=a,253=b")[0], CLASSES)


TOGETHER: dict[str, tuple[list[np.ndarray], list[np.ndarray] | str]] = {
    "one is empty": ([BLACK_WHITE, BLACK_WHITE * 0], [ONE, ONE * 0]),
    "one is all white": ([BLACK_WHITE, np.full_like(BLACK_WHITE, 255)], [ONE, np.ones_like(ONE)]),
    "one is all 1": ([ONE, np.ones_like(ONE)], [ONE, np.ones_like(ONE)]),
    "one lacks a class": ([CLASSES.astype(np.uint8), ONE], [CLASSES, ONE]),
    "soft and clean": ([blurred(1), BLACK_WHITE], [(blurred(1) > 127).astype(np.uint8), ONE]),
    "255 in one half and 1 in the other": ([BLACK_WHITE, ONE], "another way to write one of them"),
    "255 in one and classes in the other": ([BLACK_WHITE, CLASSES.astype(np.uint8)], "is 255 a class, a rim"),
    "one is the image itself": ([CLASSES.astype(np.uint8), photo()], "could be classes or soft edges|is \\d+ a class"),
    "one is in color": ([BLACK_WHITE, photo(3)], "this one has colors"),
}


@pytest.mark.parametrize("kind", TOGETHER)
def test_kinds_together(tmp_path, kind):
    arrays, expected = TOGETHER[kind]
    files = [picture(array, f"{number}.png")(tmp_path) for number, array in enumerate(arrays)]
    if isinstance(expected, str):
        with pytest.raises(InputError, match=expected):
            classes_in(*files)
    else:
        for read, one in zip(classes_in(*files), expected, strict=True):
            assert np.array_equal(read, one)


@pytest.mark.parametrize("spoil", [lambda m: np.pad(m, ((0, 1), (0, 0))), lambda m: m[:, :-1], lambda m: m.T])
def test_a_mask_of_another_size_than_its_image_is_refused(tmp_path, spoil):
    from meddiff.images.prepare import picture_classes
    from meddiff.manifest.row import blank_row

    Image.fromarray(np.zeros((20, 24), np.uint8)).save(tmp_path / "i.png")
    Image.fromarray(spoil(np.full((20, 24), 255, np.uint8))).save(tmp_path / "m.png")

    row = replace(blank_row("1", "i.png", tmp_path), mask_path="m.png")
    with pytest.raises(InputError, match="Give the mask that was drawn on this image, in its full size"):
        picture_classes(row, (20, 24))
