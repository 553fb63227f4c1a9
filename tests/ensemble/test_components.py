"""Maps that a pencil can clean; scipy for holes of one class."""

import numpy as np
import pytest
from scipy.ndimage import binary_fill_holes

from meddiff.ensemble.components import cleaned, fill_holes, largest_component, remove_small
from meddiff.errors import InputError


def drawn(*lines):
    return np.array([[int(letter) for letter in line.replace(".", "0")] for line in lines], np.uint8)


def test_the_largest_component_of_each_class_stays():
    before = drawn("11..2", "11..2", "...2.", "1....", ".22..")
    after = drawn("11..2", "11..2", "...2.", ".....", ".....")
    assert (largest_component(before) == after).all(), "corners hang together"


def test_small_components_go():
    before = drawn("11..2", "1...2", ".....", "1.222", "..2..")
    assert (remove_small(before, 3) == drawn("11...", "1....", ".....", "..222", "..2..")).all()
    assert (remove_small(before, 1) == before).all()
    assert not remove_small(before, 9).any()


def test_a_hole_takes_the_class_that_touches_it_most():
    before = drawn("1111.", "1.21.", "1112.", ".1.1.", "..1..")
    after = drawn("1111.", "1121.", "1112.", ".1.1.", "..1..")
    after[3, 2] = 1  # enclosed across edges, open across corners
    assert (fill_holes(before) == after).all()
    between = drawn("1122", "1..2", "1222")
    assert (fill_holes(between)[1, 1:3] == 2).all()


def test_holes_of_one_class_equal_scipy():
    generator = np.random.default_rng(0)
    for shape in ((40, 40), (14, 15, 16), (1, 30, 30)):
        mask = generator.random(shape) < 0.6
        expected = binary_fill_holes(mask) if shape[0] > 1 else binary_fill_holes(mask[0])[None]
        assert (fill_holes(mask.astype(np.uint8)) == expected).all()


def test_a_map_without_anything_to_clean_stays():
    for classes in (np.zeros((5, 5), np.int64), np.ones((5, 5), np.int64), drawn("12", "21")):
        after = cleaned(classes, holes=True, least_pixels=2, largest_only=True)
        assert (after == classes).all()
        assert after.dtype == classes.dtype
        assert after.shape == classes.shape


def test_holes_are_filled_before_sizes_are_measured():
    ring = np.pad(drawn("111", "1.1", "111"), 1)
    assert cleaned(ring, holes=True, least_pixels=9).sum() == 9
    assert cleaned(ring, least_pixels=9).sum() == 0
    assert (cleaned(ring) == ring).all()


def test_the_given_map_is_not_changed():
    ring = np.pad(drawn("111", "1.1", "111"), 1)
    before = ring.copy()
    cleaned(ring, holes=True, least_pixels=20, largest_only=True)
    assert (ring == before).all()


def test_bad_input():
    with pytest.raises(InputError, match="least_pixels -1"):
        cleaned(drawn("11"), least_pixels=-1)
