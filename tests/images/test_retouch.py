"""What is put into a hole stays in it, to the bit; hairs and ruler marks are seen."""

import numpy as np
import pytest

from meddiff.images.retouch import as_stored, boxes, covered, filled, hairs, shrunk, squares
from meddiff.sources.phantom import camera, dermoscopy

HOLE = boxes([(3, 2, 6, 5), (12, 9, 3, 3)], (14, 18))


def random(*shape, dtype=np.uint8, seed=0):
    numbers = np.random.default_rng(seed).uniform(0, 250, shape)
    return (numbers * (256 if dtype == np.uint16 else 1)).astype(dtype)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int16, np.float32])
@pytest.mark.parametrize("channels", [(), (3,)])
@pytest.mark.parametrize("feather", [0, 0.5, 3, 100])
def test_all_around_a_hole_stays_to_the_bit(dtype, channels, feather):
    pixels, drawn = random(14, 18, *channels, dtype=dtype), random(14, 18, *channels, seed=1) * 300.0 - 9000
    result = filled(pixels, drawn, HOLE, feather)
    assert result.dtype == dtype
    assert np.array_equal(result[~HOLE], pixels[~HOLE])
    assert not np.array_equal(result[HOLE], pixels[HOLE])


def test_nothing_of_what_was_in_the_hole_is_used():
    pixels, drawn = random(14, 18, 3), random(14, 18, 3, seed=1).astype(float)
    other = np.where(HOLE[..., None], random(14, 18, 3, seed=2), pixels)
    assert np.array_equal(filled(pixels, drawn, HOLE, 2), filled(other, drawn, HOLE, 2))
    assert np.array_equal(covered(pixels, HOLE), covered(other, HOLE))


def test_a_step_between_what_was_drawn_and_its_surroundings_is_taken_out():
    pixels = np.full((40, 40), 100, np.uint8)
    hole = boxes([(10, 10, 20, 20)], (40, 40))
    without, result = (filled(pixels, np.full((40, 40), 130.0), hole, feather) for feather in (0, 2))
    assert (without[hole] == 130).all()
    assert abs(int(result[10, 20]) - 100) <= 8  # at the border
    assert result[20, 20] == 130  # in the middle


def test_a_hole_is_covered_with_what_is_next_to_it():
    line = np.array([[1, 2, 0, 0, 0, 0, 7, 8]], np.uint8)
    assert covered(line, line == 0).tolist() == [[1, 2, 2, 2, 7, 7, 7, 8]]
    everything = np.ones((2, 3), dtype=bool)
    assert np.array_equal(covered(line[:, :3].repeat(2, 0), everything), line[:, :3].repeat(2, 0))


@pytest.mark.parametrize(
    ("size", "box", "expected"),
    [
        ((10, 10), (0, 0, 1, 1), [(0, 0)]),
        ((10, 14), (5, 5, 2, 2), [(0, 2)]),  # the middle is enough
        ((10, 14), (0, 0, 14, 1), [(0, 2), (0, 0), (0, 4)]),
        ((14, 10), (0, 0, 1, 1), [(0, 0)]),
        ((10, 45), (0, 0, 45, 1), [(0, 17), (0, 0), (0, 10), (0, 20), (0, 30), (0, 35)]),
    ],
)
def test_squares_see_all_of_a_hole(size, box, expected):
    hole = boxes([box], size)
    parts = list(squares(size, hole))
    assert [(rows.start, columns.start) for rows, columns in parts] == (
        expected if size[1] >= size[0] else [(start, 0) for _, start in expected]
    )
    seen = np.zeros(size, dtype=bool)
    for part in parts:
        seen[part] = True
        assert seen[part].shape == (min(size),) * 2
    assert seen[hole].all()


@pytest.mark.parametrize("fit", ["crop", "pad", "stretch"])
def test_the_network_sees_no_pixel_of_a_hole(fit):
    """A pixel of the square that a hole takes a part of is in the hole: a thin line is not lost."""
    hole = np.zeros((60, 80), dtype=bool)
    hole[:, 41] = True
    small = shrunk(hole, 16, fit)
    assert small.shape == (16, 16)
    assert 1 <= small.any(axis=0).sum() <= 3
    assert small.any(axis=1).sum() == (12 if fit == "pad" else 16)
    assert not shrunk(np.zeros((60, 80), dtype=bool), 16, fit).any()


def test_as_stored_rounds_and_stays_in_the_type():
    assert as_stored(np.array([-3.0, 1.5, 2.5, 300.0]), np.dtype(np.uint8)).tolist() == [0, 2, 2, 255]
    assert as_stored(np.array([-3.25]), np.dtype(np.float32)).tolist() == [-3.25]


@pytest.fixture
def photograph(monkeypatch):
    """Draws one dermoscopic photograph with, or without, what a function lays over it; and where that lies."""

    def draw(laid_over, seed, size):
        coverage = []

        def in_front(rng, color):
            if laid_over is None:
                return color
            coverage.append(laid_over(np.random.default_rng(seed), len(color)))
            return color * (1 - 0.85 * coverage[0][..., None])

        monkeypatch.setattr(dermoscopy, "in_front", in_front)
        image, _ = dermoscopy.draw_dermoscopy(label="nv", patient=3, lesion=seed, view=2, size=size)
        return image, (dermoscopy.halved(coverage[0]) > 0.5 if coverage else np.zeros((size, size), dtype=bool))

    return draw


@pytest.mark.parametrize("size", [128, 256])
@pytest.mark.parametrize("laid_over", [camera.hairs, camera.ruler])
def test_hairs_and_ruler_marks_are_seen_and_little_else(photograph, laid_over, size):
    seen, more, without = 0, 0, 0
    for seed in (1, 2, 3):
        image, truth = photograph(laid_over, seed, size)
        mask = hairs(image)
        seen += (mask & truth).sum() / max(1, truth.sum()) / 3
        more += (mask & ~truth).mean() / 3
        without += hairs(photograph(None, seed, size)[0]).mean() / 3
    assert seen > 0.6
    assert more < 0.08
    assert without < 0.01


def test_gray_pictures_and_large_ones_have_hairs_too(photograph):
    image, truth = photograph(camera.hairs, 2, 256)
    gray = hairs(image[..., 1])
    assert (gray & truth).sum() > 0.6 * truth.sum()
    large = hairs(np.kron(image, np.ones((3, 3, 1), np.uint8)))
    assert (large[1::3, 1::3] & truth).sum() > 0.6 * truth.sum()
