"""Grids: every pixel where it belongs, every wrong input named."""

import numpy as np
import pytest

from meddiff.errors import InputError
from meddiff.images.views import BACKGROUND, STAMP_BACKGROUND, grid_image


def test_tiles_are_enlarged_without_smoothing_and_stand_in_reading_order():
    tiles = [np.full((2, 3), value, np.uint8) for value in (10, 20, 30)]
    grid = grid_image(tiles, 2, 4)
    gap, height, width = 4, 8, 12
    assert grid.dtype == np.uint8
    assert grid.shape == (2 * (height + gap) + gap, 2 * (width + gap) + gap, 3)
    for position, value in enumerate((10, 20, 30)):
        top = gap + position // 2 * (height + gap)
        left = gap + position % 2 * (width + gap)
        assert (grid[top : top + height, left : left + width] == value).all()
    assert (grid[-gap - height : -gap, -gap - width : -gap] == BACKGROUND).all(), "the fourth place is empty"


def test_captions_and_a_stamp_take_room_of_their_own():
    tiles = [np.zeros((32, 32, 3), np.uint8)] * 2
    bare = grid_image(tiles, 2, 2)
    captioned = grid_image(tiles, 2, 2, captions=["nevus", "a caption that is far too long for its tile"])
    stamped = grid_image(tiles, 2, 2, stamp="phantom")
    assert bare.shape[0] < captioned.shape[0]
    assert bare.shape[1] == captioned.shape[1] == stamped.shape[1], "text never widens the grid"
    assert (stamped[0, 0] == STAMP_BACKGROUND).all()
    band = stamped[: stamped.shape[0] - bare.shape[0]]
    assert (band != STAMP_BACKGROUND).any(), "the word is written"
    assert (stamped[band.shape[0] :] == bare).all(), "and not over the images"


def test_a_grid_is_no_wider_than_its_images():
    assert grid_image([np.zeros((8, 8), np.uint8)], 10, 1).shape == (16, 16, 3)


@pytest.mark.parametrize(
    ("images", "options", "sentence"),
    [
        ([], {}, "at least one image"),
        ([np.zeros((4, 4), np.float32)], {}, "uint8"),
        ([np.zeros((4, 4, 4), np.uint8)], {}, r"\[H, W, 3\]"),
        ([np.zeros((4, 4), np.uint8), np.zeros((5, 4), np.uint8)], {}, "one size"),
        ([np.zeros((4, 4), np.uint8)], {"captions": []}, "0 captions for 1 images"),
    ],
)
def test_what_is_no_grid_is_refused(images, options, sentence):
    with pytest.raises(InputError, match=sentence):
        grid_image(images, 2, 1, **options)
