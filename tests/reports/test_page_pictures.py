"""Pictures of a page: stored once and exactly, brought down where they are large, outlined by curves."""

import base64
import dataclasses
import io

import numpy as np
import pytest
from PIL import Image

from meddiff.errors import InputError
from meddiff.reports.galleries import (
    GalleryCase,
    addresses,
    colored,
    outline_color,
    outlines,
    stored,
    thumbnail,
    tiles,
)


def decoded(uri: str) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(uri.removeprefix("data:image/png;base64,")))))


@pytest.mark.parametrize("shape", [(32, 32), (32, 48, 3)])
def test_a_small_picture_survives_the_data_uri_exactly(shape):
    image = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    (uri,) = addresses([thumbnail(image, "a"), thumbnail(image, "the same")]).values()
    assert (decoded(uri) == image).all()


def test_a_large_picture_is_reduced_and_keeps_its_proportions():
    (uri,) = addresses([thumbnail(np.zeros((600, 300, 3), np.uint8), "a")]).values()
    assert decoded(uri).shape == (192, 96, 3)


def test_what_is_no_picture_is_refused():
    with pytest.raises(InputError, match="a picture is uint8"):
        thumbnail(np.zeros((8, 8), np.float32), "a")


def test_tiles_by_pencil():
    image = np.full((4, 6), 200, np.uint8)
    truth = np.zeros((4, 6), int)
    truth[1:3, 1:4] = 1
    case = GalleryCase("a", "", image, truth, 0 * truth, truth * 0.5)
    shown = {picture.caption: picture for picture in tiles(case, 0.5).groups[0].pictures}
    assert list(shown) == ["Image", "Truth", "Prediction", "Uncertainty"]
    assert {(picture.height, picture.width) for picture in shown.values()} == {(149, 224)}
    assert (shown["Prediction"].pixels == shown["Image"].pixels).all()
    assert shown["Prediction"].outlines == (), "nothing is outlined where nothing is predicted"
    ((path, color),) = shown["Truth"].outlines
    assert color == "rgb(64, 224, 208)"
    corners = np.array([[float(part) for part in corner.split(",")] for corner in path[1:-1].split("L")])
    assert corners.min(0) == pytest.approx([100 / 6, 100 / 4], abs=0.01), "the left and upper rim of the mask"
    assert corners.max(0) == pytest.approx([400 / 6, 300 / 4], abs=0.01)
    assert (shown["Uncertainty"].pixels[1, 1] == colored(np.array([[0.5]]), 0.5)).all()
    assert len(addresses(shown.values())) == 2, "the image is stored once"
    assert len(tiles(dataclasses.replace(case, uncertainty=None), 0.0).groups[0].pictures) == 3


def test_large_pictures_are_brought_down_and_every_class_is_outlined():
    mask = np.zeros((900, 600), np.uint8)
    mask[100:500, 100:300] = 3
    mask[600:, 400:] = 1
    assert stored(np.zeros((900, 600), np.uint8)).shape == (192, 128)
    (first, color), (third, another) = outlines(mask)
    assert (color, another) == (outline_color(1), outline_color(3))
    corners = np.array([[float(part) for part in corner.split(",")] for corner in third[1:-1].split("L")])
    assert corners.min(0) == pytest.approx([100 / 6, 100 / 9], abs=0.5)
    assert corners.max(0) == pytest.approx([50, 500 / 9], abs=0.5)
    assert "100.00" in first, "it reaches the edge of the image"


def test_many_pictures_are_stored_in_fewer_colors():
    noise = np.random.default_rng(0).integers(0, 256, (40, 96, 96, 3), np.uint8)
    case = GalleryCase("a", "", noise[0], np.zeros((96, 96), int), np.zeros((96, 96), int))
    pictures = [tiles(dataclasses.replace(case, image=image), 0.0).groups[0].pictures[0] for image in noise]
    few, many = addresses(pictures[:5]), addresses(pictures)
    assert all(len(many[name]) < 0.5 * len(few[name]) for name in few)
