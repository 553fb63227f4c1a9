"""Masks of every kind: what a file holds, what all files of a data set mean together, and what is refused by name."""

from collections.abc import Sequence
from pathlib import Path

import nibabel
import numpy as np
import pytest
from PIL import Image, ImageFilter

from meddiff.errors import InputError
from meddiff.evaluation.masks.pairs import read_mask
from meddiff.formats import load_mask
from meddiff.formats.masks import IGNORED, MaskAt, decide, masks_found
from meddiff.formats.masks.meaning import MaskMeaning, read_meaning, write_meaning
from meddiff.formats.open import load_volume
from meddiff.images.prepare import volume_classes

SIDE = 48
DISTANCE = np.hypot(*(np.mgrid[:SIDE, :SIDE] - 20.0))
INSIDE = DISTANCE < 14
CLASSES = np.where(DISTANCE < 6, 2, np.where(INSIDE, 1, 0))
RIM = (DISTANCE >= 14) & (DISTANCE < 16)
NOISE = np.random.default_rng(0)


def stored(folder: Path, name: str, values: np.ndarray) -> Path:
    """Writes values as they are, by the suffix of the name."""
    path = folder / name
    if path.suffix == ".gz":
        nibabel.save(nibabel.Nifti1Image(values[..., None], np.diag([-1.0, -1, 1, 1])), path)
    else:
        Image.fromarray(values).save(path)
    return path


def two_ends(low: Sequence[int], high: Sequence[int], dtype: type = np.uint8) -> np.ndarray:
    return np.where(INSIDE, NOISE.choice(high, INSIDE.shape), NOISE.choice(low, INSIDE.shape)).astype(dtype)


def two(value: float, dtype: type = np.uint8) -> np.ndarray:
    return np.where(INSIDE, value, 0).astype(dtype)


def blurred(radius: float, factor: int = 1) -> np.ndarray:
    picture = Image.fromarray(two(255))
    if factor > 1:
        return np.asarray(picture.resize((SIDE // factor, SIDE // factor), Image.Resampling.BOX))
    return np.asarray(picture.filter(ImageFilter.GaussianBlur(radius)))


def classes_in(path: Path, meaning: MaskMeaning | None = None) -> np.ndarray:
    if path.suffix == ".gz":
        return volume_classes(load_volume(path), path, meaning)[..., 0]
    return load_mask(path, meaning=meaning)


def meaning_of(*files: Path, **how) -> MaskMeaning:
    held = masks_found([MaskAt.file(file) for file in files])
    assert not held.bad, held.bad
    return decide(held.levels, **how)


BLACK_AND_WHITE = {
    "0 and 255": two(255),
    "0 and 1": two(1),
    "0 and 254": two(254),
    "0 and 200": two(200),
    "0, 254, 255": two_ends([0], [254, 255]),
    "0, 1, 254, 255": two_ends([0, 1], [254, 255]),
    "noise of 15 levels": two_ends(range(8), range(249, 256)),
    "noise of 17 levels": two_ends(range(8), range(247, 256)),
    "noise up to 20": two_ends(range(21), range(236, 256)),
    "noise of black alone": two_ends(range(8), [255]),
}


@pytest.mark.parametrize("suffix", [".png", ".tif", ".bmp", ".nii.gz"])
@pytest.mark.parametrize("kind", BLACK_AND_WHITE)
def test_black_and_white_is_cut_at_one_half(tmp_path, kind, suffix):
    path = stored(tmp_path, f"m{suffix}", BLACK_AND_WHITE[kind])
    assert np.array_equal(classes_in(path), INSIDE)
    values = read_mask(path).values
    assert np.array_equal(values > 0, INSIDE), "the two readers do not agree"


@pytest.mark.parametrize(
    ("values", "name"),
    [
        (two(255, np.uint16), "m.png"), (two(65535, np.uint16), "m.png"), (two(1, np.uint16), "m.png"),
        (two(65535, np.uint16), "m.tif"), (two(255, np.float32), "m.tif"), (two(1, np.float32), "m.tif"),
        (two(255, np.float64), "m.nii.gz"), (two(255, np.int16), "m.nii.gz"), (two(1 + 2e-10, np.float64), "m.nii.gz"),
        (two(0.99999997, np.float32), "m.nii.gz"), (two_ends([0, 250], [65300, 65535], np.uint16), "m.png"),
        (INSIDE, "m.png"), (INSIDE, "m.bmp"),
    ],
)  # fmt: skip
def test_other_types_of_numbers(tmp_path, values, name):
    assert np.array_equal(classes_in(stored(tmp_path, name, values)), INSIDE)


@pytest.mark.parametrize("values", [blurred(1), blurred(2.5), blurred(0, factor=2), blurred(0, factor=3)])
@pytest.mark.parametrize("deep", [False, True])
def test_soft_edges_are_cut_at_one_half(tmp_path, values, deep):
    whole = values.astype(np.uint16) * 257 if deep else values
    assert np.array_equal(classes_in(stored(tmp_path, "m.png", whole)), values > 127)


@pytest.mark.parametrize("quality", [60, 90])
@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_jpeg_is_black_and_white(tmp_path, quality, mode):
    Image.fromarray(two(255)).convert(mode).save(tmp_path / "m.jpg", quality=quality)
    apart = classes_in(tmp_path / "m.jpg") != INSIDE
    assert apart.mean() < 0.01
    again = stored(tmp_path, "again.png", np.asarray(Image.open(tmp_path / "m.jpg").convert("L")))
    assert np.array_equal(classes_in(again), classes_in(tmp_path / "m.jpg")), "its noise, kept in a PNG"


def test_jpeg_with_classes_is_refused(tmp_path):
    Image.fromarray((CLASSES * 127).astype(np.uint8)).save(tmp_path / "m.jpg", quality=90)
    with pytest.raises(InputError, match="a JPEG cannot hold classes"):
        load_mask(tmp_path / "m.jpg")
    classes = stored(tmp_path, "m.png", CLASSES.astype(np.uint8))
    Image.fromarray(two(255)).save(tmp_path / "b.jpg")
    with pytest.raises(InputError, match="cannot hold classes"):
        load_mask(tmp_path / "b.jpg", meaning=meaning_of(classes))


@pytest.mark.parametrize(
    ("suffix", "dtype"),
    [
        *((suffix, dtype) for suffix in (".png", ".tif") for dtype in (np.uint8, np.uint16)),
        (".tif", np.float32),
        *((".nii.gz", dtype) for dtype in (np.uint8, np.int16, np.uint16, np.int32, np.float32, np.float64)),
    ],
)
@pytest.mark.parametrize("values", [(0, 1, 2), (0, 1, 4), (0, 2, 3), (0, 30, 31)])
def test_small_numbers_are_classes(tmp_path, values, dtype, suffix):
    indices = np.array(values)[CLASSES]
    path = stored(tmp_path, f"m{suffix}", indices.astype(dtype))
    assert np.array_equal(classes_in(path), indices)
    names = ("background", "ring", "core")
    assert np.array_equal(classes_in(path, meaning_of(path, names=names)), CLASSES), "a name for each, in their order"


RIMMED = {"two classes": CLASSES, "one class": INSIDE.astype(int)}


@pytest.mark.parametrize("suffix", [".png", ".tif", ".nii.gz"])
@pytest.mark.parametrize("top", [100, 200, 255])
@pytest.mark.parametrize("kind", RIMMED)
def test_a_far_value_is_a_rim_where_the_names_say_so(tmp_path, kind, top, suffix):
    classes = RIMMED[kind]
    path = stored(tmp_path, f"m{suffix}", np.where(RIM, top, classes).astype(np.uint8))
    right = np.where(RIM, IGNORED, classes)
    names = ("background", "ring", "core")[: classes.max() + 1]
    assert np.array_equal(classes_in(path, meaning_of(path, names=names)), right)
    text = ",".join(f"{index}={name}" for index, name in enumerate(names)) + f",{top}=ignore"
    assert np.array_equal(classes_in(path, meaning_of(path, text=text)), right)
    more = (*names, "rim")
    assert classes_in(path, meaning_of(path, names=more))[RIM].tolist() == [len(names)] * RIM.sum(), "a class by name"
    with pytest.raises(InputError, match=rf"m.*{top}: is {top} a class, a rim .*--data\.mask_values.*{top}=ignore"):
        classes_in(path)


@pytest.mark.parametrize(
    "grays", [(0, 128, 255), (0, 127, 254), (0, 85, 170), (0, 64, 255), (0, 100, 200), (0, 40, 50)]
)
@pytest.mark.parametrize("suffix", [".png", ".nii.gz"])
def test_classes_stored_as_grays(tmp_path, grays, suffix):
    path = stored(tmp_path, f"m{suffix}", np.array(grays, np.uint8)[CLASSES])
    with pytest.raises(InputError, match=r"could be classes or soft edges: .*--data\.mask_values|is \d+ a class"):
        classes_in(path)
    meaning = meaning_of(path, names=("background", "disc", "cup"))
    assert np.array_equal(classes_in(path, meaning), CLASSES)
    text = f"{grays[0]}=background,{grays[1]}=disc,{grays[2]}=cup"
    assert np.array_equal(classes_in(path, meaning_of(path, text=text)), CLASSES)
    turned = meaning_of(
        path, text=f"{grays[0]}=background,{grays[1]}=disc,{grays[2]}=cup", names=("background", "cup", "disc")
    )
    assert np.array_equal(classes_in(path, turned), np.array([0, 2, 1])[CLASSES]), "by name, not by order"


def test_one_meaning_for_all_files(tmp_path):
    """Files alone would mean something else than all together."""
    rim = stored(tmp_path, "rim.png", np.where(RIM, 255, CLASSES).astype(np.uint8))
    ring = stored(tmp_path, "ring.png", np.where(RIM, 255, 0).astype(np.uint8))
    empty = stored(tmp_path, "empty.png", np.zeros((SIDE, SIDE), np.uint8))
    meaning = meaning_of(rim, ring, empty, names=("background", "ring", "core"))
    assert np.array_equal(load_mask(ring, meaning=meaning), np.where(RIM, IGNORED, 0))
    assert np.array_equal(load_mask(rim, meaning=meaning), np.where(RIM, IGNORED, CLASSES))
    assert not load_mask(empty, meaning=meaning).any()
    with pytest.raises(
        InputError, match=r"strange\.png: it holds the value 7, .*0=background, 1=ring, 2=core, 255=ignore"
    ):
        load_mask(stored(tmp_path, "strange.png", np.full((4, 4), 7, np.uint8)), meaning=meaning)


def test_two_ways_to_write_one_class_are_no_rim(tmp_path):
    files = [stored(tmp_path, f"{value}.png", two(value)) for value in (1, 255)]
    with pytest.raises(InputError, match="another way to write one of them"):
        meaning_of(*files, names=("background", "lesion"))
    meaning = meaning_of(*files, text="0=background,1=lesion,255=lesion")
    assert all(np.array_equal(load_mask(file, meaning=meaning), INSIDE) for file in files)


def test_slices_of_a_volume_have_the_meaning_of_the_volume(tmp_path):
    volume = np.zeros((16, 16, 3), np.uint8)
    volume[4:8, 4:8, 0], volume[10:12, 10:12, :2], volume[..., 2] = 1, 255, 255
    nibabel.save(nibabel.Nifti1Image(volume, np.eye(4)), tmp_path / "m.nii.gz")
    meaning = meaning_of(tmp_path / "m.nii.gz", names=("background", "a"))
    for index in range(3):
        with pytest.raises(InputError, match="is 255 a class"):
            load_mask(tmp_path / "m.nii.gz", axis=2, index=index)
        read = load_mask(tmp_path / "m.nii.gz", axis=2, index=index, meaning=meaning)
        assert np.array_equal(read, np.where(volume[..., index] == 255, IGNORED, volume[..., index]))
    nibabel.save(nibabel.Nifti1Image((volume > 0).astype(np.uint8) * 255, np.eye(4)), tmp_path / "b.nii.gz")
    for index in range(3):
        assert np.array_equal(load_mask(tmp_path / "b.nii.gz", axis=2, index=index), volume[..., index] > 0)


PALETTE = [(0, 0, 0), (200, 0, 0), (0, 200, 0)]


def palette_png(path: Path, indices: np.ndarray, colors: Sequence[tuple[int, int, int]]) -> Path:
    picture = Image.fromarray(indices.astype(np.uint8), "P")
    picture.putpalette([part for color in colors for part in color])
    picture.save(path)
    return path


@pytest.mark.parametrize("suffix", [".png", ".tif", ".gif", ".bmp"])
def test_entries_of_a_palette_are_numbers(tmp_path, suffix):
    path = palette_png(tmp_path / f"m{suffix}", CLASSES, PALETTE)
    empty = palette_png(tmp_path / f"e{suffix}", CLASSES * 0, PALETTE)
    meaning = meaning_of(path, empty)
    assert np.array_equal(load_mask(path, meaning=meaning), CLASSES)
    assert not load_mask(empty, meaning=meaning).any()
    colors = meaning_of(path, empty, text="#000000=background,#c80000=a,#00c800=b")
    assert np.array_equal(load_mask(path, meaning=colors), CLASSES)


def test_palettes_that_are_no_numbers_are_refused(tmp_path):
    files = [palette_png(tmp_path / "a.png", CLASSES, PALETTE)]
    files += [palette_png(tmp_path / "b.png", CLASSES, [PALETTE[0], PALETTE[2], PALETTE[1]])]
    with pytest.raises(InputError, match="palettes of the masks differ"):
        meaning_of(*files)
    meaning = meaning_of(*files, text="#000000=background,#c80000=a,#00c800=b")
    assert np.array_equal(load_mask(files[0], meaning=meaning), CLASSES)
    assert np.array_equal(load_mask(files[1], meaning=meaning), np.array([0, 2, 1])[CLASSES])
    turned = palette_png(tmp_path / "c.png", np.array([1, 0, 2])[CLASSES], [PALETTE[1], PALETTE[0], PALETTE[2]])
    with pytest.raises(InputError, match="their first color is no background"):
        meaning_of(turned)


@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_colors_are_refused_until_they_are_named(tmp_path, mode):
    colors = np.array(PALETTE, np.uint8)[CLASSES]
    Image.fromarray(colors).convert(mode).save(tmp_path / "m.png")
    with pytest.raises(InputError, match=r'this one has colors: .*#000000=background,#00c800=class 1,#c80000=class 2"'):
        load_mask(tmp_path / "m.png")
    meaning = meaning_of(tmp_path / "m.png", text="#C80000=a,#00c800=b")
    assert np.array_equal(load_mask(tmp_path / "m.png", meaning=meaning), CLASSES), "black is background unless named"
    assert meaning.names == ("background", "a", "b")
    with pytest.raises(InputError, match=r"m\.png holds the value #00c800, .*#c80000=a"):
        meaning_of(tmp_path / "m.png", text="#c80000=a")


@pytest.mark.parametrize("color", [(0, 0, 0), (255, 255, 255), (255, 0, 0), (128, 128, 128)])
@pytest.mark.parametrize("alpha", [two(255), blurred(1.5), two(90)])
def test_the_shape_of_a_one_colored_picture_is_its_transparency(tmp_path, color, alpha):
    pixels = np.concatenate([np.full((SIDE, SIDE, 3), color, np.uint8), alpha[..., None]], axis=-1)
    Image.fromarray(pixels, "RGBA").save(tmp_path / "m.png")
    right = alpha > 127 if alpha.max() == 255 else alpha > 0
    assert np.array_equal(load_mask(tmp_path / "m.png"), right)
    gray = np.stack([np.zeros_like(alpha), alpha], axis=-1)
    Image.fromarray(gray, "LA").save(tmp_path / "la.png")
    assert np.array_equal(load_mask(tmp_path / "la.png"), right)


def test_one_color_per_file_and_several_in_all_are_colors(tmp_path):
    for name, color in (("a", (255, 0, 0)), ("b", (0, 255, 0))):
        pixels = np.concatenate([np.full((SIDE, SIDE, 3), color, np.uint8), two(255)[..., None]], axis=-1)
        Image.fromarray(pixels, "RGBA").save(tmp_path / f"{name}.png")
    with pytest.raises(InputError, match=r"this one has colors: .*#00ff00"):
        meaning_of(tmp_path / "a.png", tmp_path / "b.png")


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ([0, 0.5, 1], "whole numbers from 0 to 255.*cut a soft mask at one half"),
        ([0, -1, 1], "whole numbers from 0 to 255.*has -1"),
        ([0, 300, 999], "whole numbers from 0 to 255.*300, 999"),
        ([0, np.nan, 1], "not finite"),
        ([0, np.inf, 1], "not finite"),
    ],
)
def test_numbers_that_are_no_classes(tmp_path, values, said):
    path = stored(tmp_path, "m.nii.gz", np.array(values, np.float32)[CLASSES])
    with pytest.raises(InputError, match=rf"m\.nii\.gz.*{said}"):
        classes_in(path)


def test_ranges_and_numbers_below_nothing_can_be_named(tmp_path):
    soft = stored(tmp_path, "m.tif", np.array([0, 0.4, 0.9], np.float32)[CLASSES])
    meaning = MaskMeaning(
        "gray", meaning_of(stored(tmp_path, "b.png", two(1)), text="0-0.5=background,0.5001-1=a").values
    )
    assert np.array_equal(load_mask(soft, meaning=meaning), CLASSES == 2)
    path = stored(tmp_path, "m.nii.gz", np.array([0, 1, -1], np.int16)[CLASSES])
    assert np.array_equal(
        classes_in(path, meaning_of(path, text="0=background,1=a,-1=ignore"))[CLASSES == 2],
        [IGNORED] * (CLASSES == 2).sum(),
    )
    gray = stored(tmp_path, "g.png", np.array([0, 90, 255], np.uint8)[CLASSES])
    assert np.array_equal(load_mask(gray, meaning=meaning_of(gray, text="0-127=background,128-255=a")), CLASSES == 2)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("lesion", "write VALUE=CLASS"), ("1", "write VALUE=CLASS"), ("x=lesion", "write VALUE=CLASS"),
        ("1=", "write VALUE=CLASS"), ("#ff00=a", "write VALUE=CLASS"), ("1=a,1=b", "1 stands there twice"),
        ("0-5=a,3=b", "3 stands there twice"), ("9-5=a", "ends below its beginning"),
        ("#ff0000=a,1=b", "numbers or colors"), ("0=background,1=other", "the classes are background, lesion"),
    ],
)  # fmt: skip
def test_texts_that_name_no_values(tmp_path, text, said):
    path = stored(tmp_path, "m.png", two(1))
    with pytest.raises(InputError, match=said):
        meaning_of(path, text=text, names=("background", "lesion"))


def test_a_meaning_is_kept_as_it_is(tmp_path):
    path = stored(tmp_path, "m.png", np.where(RIM, 255, CLASSES).astype(np.uint8))
    for how in ({"names": ("background", "a", "b")}, {"text": "0-1=x,2=y,255=ignore"}, {"text": "0=b,1=a,2=a,255=c"}):
        meaning = meaning_of(path, **how)
        write_meaning(meaning, tmp_path / "mask_values.json")
        assert read_meaning(tmp_path / "mask_values.json") == meaning
    for damage in (
        "",
        "[]",
        "{}",
        '{"way": "x", "values": [], "names": [], "reason": ""}',
        '{"values": [{"low": "a"}]}',
    ):
        (tmp_path / "mask_values.json").write_text(damage)
        with pytest.raises(InputError, match=r"mask_values\.json is damaged"):
            read_meaning(tmp_path / "mask_values.json")


def test_what_masks_hold_is_remembered_until_a_file_changes(tmp_path, monkeypatch):
    from meddiff.formats.masks import reading

    files = [MaskAt.file(stored(tmp_path, f"{number}.png", two(255))) for number in range(3)]
    looked, look = [], reading._looked_at
    monkeypatch.setattr(reading, "_looked_at", lambda place: looked.append(place) or look(place))
    first = masks_found(files, memory=tmp_path / "memory")
    assert len(looked) == 3
    assert masks_found(files, memory=tmp_path / "memory") == first
    assert len(looked) == 3
    stored(tmp_path, "1.png", two(1))
    assert masks_found(files, memory=tmp_path / "memory") != first
