"""Rated lesions: nested masks about a border that the picture shows, the same whenever they are drawn."""

import numpy as np
import pytest

from meddiff.errors import InputError
from meddiff.sources.phantom.raters import draw_rated, thresholds


def area(masks: np.ndarray) -> np.ndarray:
    return masks.sum((1, 2))


def test_the_same_arguments_give_the_same_bytes_and_another_seed_another_lesion():
    once, again, other = draw_rated(3, size=32), draw_rated(3, size=32), draw_rated(4, size=32)
    assert np.array_equal(once.image, again.image)
    assert np.array_equal(once.masks, again.masks)
    assert (once.image != other.image).any()
    assert once.image.shape == (32, 32, 3)
    assert once.masks.shape == (4, 32, 32)


@pytest.mark.parametrize("seed", range(5))
def test_masks_are_nested_from_the_most_generous_rater_to_the_strictest(seed):
    masks = draw_rated(seed, size=48, raters=5).masks
    assert (masks[1:] <= masks[:-1]).all()
    assert masks[-1].any()
    assert not masks[0].all()


def test_raters_agree_on_a_sharp_border_and_differ_the_more_the_wider_it_is():
    apart = []
    for fade in (0.02, 0.4, 0.8, 1.2):
        masks = draw_rated(7, size=64, fade=fade).masks
        apart.append(1 - area(masks)[-1] / area(masks)[0])
    assert apart[0] < 0.06
    assert np.all(np.diff(apart) > 0.05)


def test_the_picture_shows_the_width_of_the_border():
    """The steepest change of brightness falls with the width; skin, lesion and view are the same."""
    steepest = []
    for fade in (0.05, 0.6, 1.2):
        gray = draw_rated(2, size=64, fade=fade).image.mean(2)  # a view without the dark rim of the lens
        steepest.append(np.quantile(np.hypot(*np.gradient(gray)), 0.98))
    assert np.all(np.diff(np.log(steepest)) < -0.1)


def test_one_rater_has_the_line_in_the_middle_of_the_band():
    assert thresholds(1).tolist() == [0.5]
    assert thresholds(4) == pytest.approx([0.2, 0.4, 0.6, 0.8])


@pytest.mark.parametrize(
    ("wrong", "message"),
    [({"size": 7}, "smallest is 8"), ({"raters": 0}, "at least 1"), ({"fade": 0.0}, "in radii, above 0")],
)
def test_what_cannot_be_drawn_is_refused(wrong, message):
    with pytest.raises(InputError, match=message):
        draw_rated(0, **wrong)
