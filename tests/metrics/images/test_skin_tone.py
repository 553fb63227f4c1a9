"""Truth: colors whose angle is known, and what must not count as skin."""

import numpy as np
import pytest
from skimage.color import lab2rgb

from meddiff.errors import InputError
from meddiff.metrics.images.skin_tone import BANDS, band, typology_angle_degrees


def picture(lightness, red=12.0, yellow=16.0, side=40):
    """A photograph of one color, given in CIELAB: [3, side, side] in [-1, 1]."""
    lab = np.broadcast_to(np.array([lightness, red, yellow]), (side, side, 3))
    return np.moveaxis(lab2rgb(lab), -1, 0) * 2 - 1


@pytest.mark.parametrize("lightness", [30.0, 50.0, 66.0, 75.0])
def test_the_angle_of_one_color(lightness):
    assert typology_angle_degrees(picture(lightness)) == pytest.approx(
        np.degrees(np.arctan((lightness - 50) / 16)), abs=0.1
    )


def test_the_lesion_the_vignette_hairs_and_ink_do_not_count():
    image = picture(66.0)
    expected = typology_angle_degrees(image)
    image[:, 12:28, 12:28] = picture(25.0)[:, :16, :16]  # the lesion in the middle
    image[:, :4, :4] = -1.0  # a black corner
    image[:, :, 36] = picture(20.0)[:, :, 0]  # a hair
    image[:, 38:, 20:30] = np.array([-0.5, -0.5, 0.8])[:, None, None]  # blue ink
    assert typology_angle_degrees(image) == pytest.approx(expected, abs=0.1)


def test_a_lesion_that_reaches_the_border_is_left_out_by_its_mask():
    image, mask = picture(66.0), np.zeros((40, 40))
    mask[:, :25] = 1
    image[:, :, :25] = picture(30.0)[:, :, :25]
    assert typology_angle_degrees(image) < 0
    assert typology_angle_degrees(image, mask) == pytest.approx(45.0, abs=0.1)


def test_a_picture_without_skin_has_no_angle():
    assert np.isnan(typology_angle_degrees(np.full((3, 20, 20), -1.0)))
    assert np.isnan(typology_angle_degrees(np.full((3, 20, 20), 1.0)))
    assert band(float("nan")) is None


def test_bands():
    names = [band(angle) for angle in (60, 50, 30, 20, 0, -60)]
    assert names == list(BANDS)
    assert band(55.0) == "light (41 to 55)"


def test_gray_images_are_refused():
    with pytest.raises(InputError, match="three channels"):
        typology_angle_degrees(np.zeros((1, 8, 8)))
