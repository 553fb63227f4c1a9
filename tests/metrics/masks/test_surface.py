"""Truth: masks that a pencil can measure, with unequal spacing; MONAI; and the definition on small random masks."""

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from meddiff.errors import InputError
from meddiff.metrics.masks.surface import boundary_iou, surface, surface_distances_mm, surface_distances_px

EMPTY = np.zeros((6, 6), bool)
POINT = EMPTY.copy()
POINT[1, 1] = True
OTHER = EMPTY.copy()
OTHER[4, 3] = True


def test_pencil_with_unequal_spacing():
    found = surface_distances_mm(POINT, OTHER, (2.0, 0.5))  # 3 rows of 2 mm, 2 columns of 0.5 mm
    expected = np.hypot(6.0, 1.0)
    assert found.hausdorff == found.hausdorff95 == found.average == pytest.approx(expected)
    assert found.share_within(expected - 0.01) == 0.0
    assert found.share_within(expected) == 1.0


def test_surface_of_a_square():
    square = EMPTY.copy()
    square[:4, 1:5] = True  # touches the upper edge of the image, which counts as outside
    assert surface(square).sum() == 12
    shifted = np.roll(square, 1, axis=1)
    found = surface_distances_px(square, shifted)
    assert found.hausdorff == 1.0
    assert found.share_within(0) == 0.5  # of 12 points the 3 on the right in the top and in the bottom row stay


def test_equals_the_definition():
    generator = np.random.default_rng(0)
    truth, prediction = generator.random((2, 12, 9, 7)) < 0.4
    spacing = np.array([3.0, 1.0, 0.7])
    every = cdist(np.argwhere(surface(truth)) * spacing, np.argwhere(surface(prediction)) * spacing)
    found = surface_distances_mm(truth, prediction, spacing)
    assert found.of_truth == pytest.approx(every.min(1))
    assert found.of_prediction == pytest.approx(every.min(0))
    assert found.average == pytest.approx((every.min(1).sum() + every.min(0).sum()) / sum(every.shape))
    assert found.hausdorff95 == pytest.approx(max(np.percentile(every.min(1), 95), np.percentile(every.min(0), 95)))


def test_equals_monai():
    torch = pytest.importorskip("torch")
    from monai.metrics import compute_average_surface_distance, compute_hausdorff_distance, compute_surface_dice

    grid = np.indices((40, 40, 20)).astype(float)

    def ball(center, radius):
        return sum((grid[axis] - center[axis]) ** 2 for axis in range(3)) < radius**2

    truth, prediction = ball((18, 20, 10), 9), ball((22, 19, 9), 8) | ball((5, 5, 5), 3)
    spacing = (1.0, 0.8, 2.5)
    found = surface_distances_mm(truth, prediction, spacing)
    one_hot = [torch.from_numpy(np.stack([~mask, mask])[None]) for mask in (prediction, truth)]
    settings = {"include_background": False, "spacing": spacing}
    theirs = compute_hausdorff_distance(*one_hot, percentile=95, **settings)
    assert found.hausdorff95 == pytest.approx(theirs.item(), rel=1e-5)
    assert found.hausdorff == pytest.approx(compute_hausdorff_distance(*one_hot, **settings).item(), rel=1e-5)
    theirs = compute_average_surface_distance(*one_hot, symmetric=True, **settings)
    assert found.average == pytest.approx(theirs.item(), rel=1e-5)
    theirs = compute_surface_dice(*one_hot, class_thresholds=[2.0], **settings)
    assert found.share_within(2.0) == pytest.approx(theirs.item(), rel=1e-5)


def test_empty_masks():
    both = surface_distances_px(EMPTY, EMPTY)
    assert (both.hausdorff95, both.average, both.share_within(1.0)) == (0.0, 0.0, 1.0)
    for pair in ((EMPTY, POINT), (POINT, EMPTY)):
        one = surface_distances_px(*pair)
        assert (one.hausdorff, one.hausdorff95, one.average, one.share_within(1e9)) == (np.inf, np.inf, np.inf, 0.0)


def test_boundary_iou():
    square = np.zeros((100, 100), bool)
    square[20:80, 20:80] = True
    assert boundary_iou(square, square) == 1.0
    assert boundary_iou(EMPTY, EMPTY) == 1.0
    assert boundary_iou(POINT, EMPTY) == 0.0
    smaller = np.zeros_like(square)
    smaller[23:77, 23:77] = True  # rims of 3 pixels (2% of 141) that do not meet, though the IoU is 0.81
    assert boundary_iou(square, smaller) == 0.0
    smaller[22, 23:77] = True  # one row more, and the rims meet along one side
    rims = [mask & ~_eroded(mask, 3) for mask in (square, smaller)]
    assert boundary_iou(square, smaller) == pytest.approx((rims[0] & rims[1]).sum() / (rims[0] | rims[1]).sum())
    assert boundary_iou(square, smaller) > 0


def _eroded(mask, times):
    kept = mask.copy()
    for _ in range(times):
        padded = np.pad(kept, 1)
        views = [padded[i : i + 100, j : j + 100] for i in range(3) for j in range(3)]
        kept = np.logical_and.reduce(views)
    return kept


def test_bad_input():
    with pytest.raises(InputError, match="surface_distances_px"):
        surface_distances_mm(POINT, OTHER, None)
    with pytest.raises(InputError, match="one positive spacing per axis"):
        surface_distances_mm(POINT, OTHER, (1.0, 0.0))
    with pytest.raises(InputError, match="one grid"):
        surface_distances_px(POINT, OTHER[:5])


def test_equals_simpleitk_where_masks_are_apart():
    """SimpleITK measures from all pixels of a mask, inner ones too: for masks that do not touch that is the same."""
    import SimpleITK as sitk  # noqa: N813

    truth, prediction = np.zeros((2, 20, 24, 16), bool)
    truth[2:7, 3:9, 2:6] = True
    prediction[11:16, 9:20, 7:13] = True
    spacing = (2.0, 0.5, 1.25)
    images = [sitk.GetImageFromArray(mask.astype(np.uint8)) for mask in (truth, prediction)]
    for image in images:
        image.SetSpacing(spacing[::-1])
    filter = sitk.HausdorffDistanceImageFilter()
    filter.Execute(*images)
    found = surface_distances_mm(truth, prediction, spacing)
    assert found.hausdorff == pytest.approx(filter.GetHausdorffDistance(), rel=1e-5)
