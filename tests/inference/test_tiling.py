"""Windows cover everything, blend without seams, and one window is the plain answer."""

import pytest
import torch

from meddiff.inference.tiling import tiles


@pytest.mark.parametrize(("shape", "window"), [((50, 31), (16, 16)), ((20, 33, 17), (16, 16, 16)), ((5, 40), (16, 16))])
@pytest.mark.parametrize("overlap", [0.0, 0.25, 0.75])
def test_what_depends_on_the_place_alone_comes_back(shape, window, overlap):
    truth = torch.randn(3, *shape, generator=torch.Generator().manual_seed(0))
    cut = tiles(shape, window, overlap=overlap)
    blended = cut.blend(lambda _number, part: truth[:, *part])
    torch.testing.assert_close(blended, truth)


def test_an_image_no_larger_than_the_window_is_seen_at_once():
    cut = tiles((12, 9), (16, 16))
    assert len(cut.windows) == 1
    answer = torch.rand(2, 12, 9)
    assert cut.blend(lambda _number, _part: answer) is answer


def test_the_middle_of_a_window_decides_over_another_ones_border():
    cut = tiles((16, 24), (16, 16), overlap=0.5)
    blended = cut.blend(lambda number, part: torch.full((1, 16, 16), float(number)))
    row = blended[0, 8]
    assert len(cut.windows) == 2
    assert row[8] < 0.1 < 0.9 < row[15]  # column 8 is the middle of window 0, column 15 of window 1
    assert bool((row.diff() >= 0).all())


def test_neighbors_overlap_as_asked():
    starts = [window[1].start for window in tiles((8, 64), (8, 16), overlap=0.5).windows]
    assert starts == [0, 8, 16, 24, 32, 40, 48]
