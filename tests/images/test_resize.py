"""Squares: image and mask are cut, padded and shrunk alike."""

import numpy as np
import pytest
from PIL import Image

from meddiff.images.square import place, resize_image, resize_mask, to_channels


def both(pixels, side, fit):
    placement = place(*pixels.shape[:2], side, fit=fit)
    return resize_image(pixels, placement), resize_mask((pixels >= 128).astype(np.uint8), placement)


def test_the_right_size_is_left_alone():
    pixels = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    for fit in ("crop", "pad", "stretch"):
        assert np.array_equal(resize_image(pixels, place(8, 8, 8, fit=fit)), pixels)


def test_crop_keeps_the_middle_of_the_long_side():
    pixels = np.zeros((4, 10), dtype=np.uint8)
    pixels[:, 3:7] = np.arange(16, dtype=np.uint8).reshape(4, 4) + 100
    assert np.array_equal(resize_image(pixels, place(4, 10, 4, fit="crop")), pixels[:, 3:7])
    assert np.array_equal(resize_image(pixels.T, place(10, 4, 4, fit="crop")), pixels[:, 3:7].T)


def test_pad_keeps_all_and_adds_black():
    pixels = np.full((2, 6), 200, dtype=np.uint8)
    image, mask = both(pixels, 6, "pad")
    assert image.tolist() == [[0] * 6] * 2 + [[200] * 6] * 2 + [[0] * 6] * 2
    assert np.array_equal(mask, image > 0)


def test_stretch_changes_the_aspect():
    pixels = np.zeros((2, 8), dtype=np.uint8)
    pixels[:, 4:] = 255
    _, mask = both(pixels, 4, "stretch")
    assert mask.tolist() == [[0, 0, 1, 1]] * 4


def test_a_pixel_belongs_to_the_class_that_covers_most_of_it():
    mask = np.kron(np.array([[0, 1], [2, 0]], dtype=np.uint8), np.ones((6, 6), dtype=np.uint8))
    assert resize_mask(mask, place(12, 12, 2, fit="crop")).tolist() == [[0, 1], [2, 0]]
    assert resize_mask(mask.clip(0, 1), place(12, 12, 2, fit="crop")).tolist() == [[0, 1], [1, 0]]


def test_a_mask_never_gains_classes():
    mask = np.random.default_rng(0).choice(np.array([0, 2, 7], dtype=np.uint8), (30, 40))
    for side in (7, 100):
        assert set(np.unique(resize_mask(mask, place(30, 40, side, fit="pad")))) <= {0, 2, 7}


@pytest.mark.parametrize("fit", ["crop", "pad", "stretch"])
@pytest.mark.parametrize("shape", [(50, 75), (75, 50), (64, 64), (9, 200)])
@pytest.mark.parametrize("side", [16, 80])
def test_the_mask_stays_on_its_picture(fit, shape, side):
    """A white ellipse and the mask of the same ellipse still lie on each other, to a part of a pixel."""
    y, x = np.mgrid[: shape[0], : shape[1]]
    inside = (3 * y / shape[0] - 1.3) ** 2 + (3 * x / shape[1] - 1.6) ** 2 < 1
    image, mask = both(inside.astype(np.uint8) * 255, side, fit)
    assert image.shape == mask.shape == (side, side)
    assert mask.any()
    assert (image[mask == 1] >= 128 - 45).all()
    assert (image[mask == 0] <= 127 + 45).all()


def test_flipping_commutes_with_resizing():
    pixels = np.random.default_rng(0).integers(0, 256, (50, 75, 3), dtype=np.uint8)
    placement = place(50, 75, 16)
    once, twice = resize_image(pixels[:, ::-1].copy(), placement), resize_image(pixels, placement)[:, ::-1]
    assert np.abs(once.astype(int) - twice).max() <= 1


def test_shrinking_does_not_alias():
    """Stripes finer than the target's pixels become even gray instead of broad stripes."""
    stripes = np.tile(np.array([0, 255], dtype=np.uint8), (300, 150))
    shrunk = resize_image(stripes, place(300, 300, 64))
    assert np.abs(shrunk[4:-4, 4:-4].astype(float) - 127.5).max() < 8


def test_deep_pixels_are_resized_like_8_bit_ones():
    pixels = np.random.default_rng(0).integers(0, 256, (40, 60), dtype=np.uint8)
    placement = place(40, 60, 16)
    shallow = resize_image(pixels, placement)
    for dtype in (np.uint16, np.float32):
        deep = resize_image(pixels.astype(dtype), placement)
        assert deep.dtype == np.float32
        assert np.abs(deep - shallow).max() <= 1
    color = np.stack([pixels, pixels, pixels], axis=-1).astype(np.uint16)
    assert np.array_equal(resize_image(color, placement)[..., 1], deep)


def test_channels():
    gray = np.array([[1, 2]], dtype=np.uint8)
    assert to_channels(gray, 3).tolist() == [[[1, 2]]] * 3
    assert to_channels(gray, 1).tolist() == [[[1, 2]]]
    color = np.random.default_rng(0).integers(0, 256, (5, 4, 3), dtype=np.uint8)
    assert np.array_equal(to_channels(color, 3), np.moveaxis(color, 2, 0))
    theirs = np.asarray(Image.fromarray(color).convert("L"))
    assert np.abs(to_channels(color, 1)[0].astype(int) - theirs).max() <= 1
    assert np.array_equal(to_channels(np.repeat(gray[..., None], 3, axis=2), 1), gray[None])
    with pytest.raises(ValueError, match=r"1 \(gray\) or 3"):
        to_channels(gray, 2)


def test_an_unknown_fit_is_refused():
    with pytest.raises(ValueError, match="'squeeze'"):
        place(4, 4, 4, fit="squeeze")
