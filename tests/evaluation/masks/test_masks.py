"""Truth by pencil on small masks, empty ones first; and MONAI where it is right."""

import numpy as np
import pytest

from meddiff.errors import InputError
from meddiff.evaluation.masks.cases import METRICS, case_scores, failed_case_scores, jensen_check
from meddiff.evaluation.masks.detections import free_response
from meddiff.evaluation.masks.reliability import case_calibration, reliability_of
from meddiff.formats.masks import IGNORED

NAMES = ("background", "lesion")
EMPTY = np.zeros((6, 8), np.uint8)
SQUARE = EMPTY.copy()
SQUARE[1:4, 1:4] = 1
SHIFTED = np.roll(SQUARE, 1, axis=1)


def scored(truth, prediction, **settings):
    settings = {"class_names": NAMES, "spacing_mm": None} | settings
    return case_scores(truth, prediction, **settings)


def test_a_shifted_square_by_pencil():
    (row,) = scored(SQUARE, SHIFTED, tolerance_px=0.5)
    assert row["class_name"] == "lesion"
    assert (row["dice"], row["iou"]) == (pytest.approx(6 / 9), 0.5)
    assert (row["sensitivity"], row["precision"], row["specificity"]) == pytest.approx((6 / 9, 6 / 9, 36 / 39))
    assert (row["truth_pixels"], row["prediction_pixels"], row["relative_volume_error"]) == (9, 9, 0)
    assert (row["hausdorff"], row["hausdorff95"], row["unit"]) == (1.0, 1.0, "px")
    assert row["nsd"] == 0.5  # of 8 points in a ring, those in the upper and lower row that both rings have
    assert row["assd"] == 0.5
    assert (row["lesions_found"], row["lesions_missed"], row["lesions_invented"], row["lesion_f1"]) == (1, 0, 0, 1.0)
    assert (row["empty"], row["failure"], row["diagonal"]) == ("", "", 10.0)


def test_millimeters_by_pencil():
    (row,) = scored(SQUARE, SHIFTED, spacing_mm=(2.0, 0.25), tolerance_mm=0.25)
    assert (row["hausdorff"], row["unit"], row["tolerance"]) == (0.25, "mm", 0.25)
    assert row["nsd"] == 1.0
    assert row["diagonal"] == pytest.approx(np.hypot(12, 2))
    assert row["dice"] == pytest.approx(6 / 9), "overlap does not depend on the spacing"


@pytest.mark.parametrize(
    ("truth", "prediction", "empty", "overlap", "distance"),
    [
        (EMPTY, EMPTY, "both", 1.0, 0.0),
        (EMPTY, SQUARE, "truth", 0.0, np.inf),
        (SQUARE, EMPTY, "prediction", 0.0, np.inf),
        (SQUARE, SQUARE, "", 1.0, 0.0),
    ],
)
def test_the_policy_for_empty_masks(truth, prediction, empty, overlap, distance):
    (row,) = scored(truth, prediction)
    assert row["empty"] == empty
    assert {row[name] for name in ("dice", "iou", "boundary_iou", "nsd", "lesion_f1")} == {overlap}
    assert {row[name] for name in ("hausdorff", "hausdorff95", "assd")} == {distance}
    assert np.isnan(row["sensitivity"]) == (not truth.any())
    assert np.isnan(row["precision"]) == (not prediction.any())


def test_a_missing_prediction_is_worse_than_an_empty_one():
    for truth in (EMPTY, SQUARE):
        (row,) = failed_case_scores(truth, class_names=NAMES, spacing_mm=None, failure="no prediction")
        assert row["failure"] == "no prediction"
        for name, metric in METRICS.items():
            assert row[name] == (0 if metric.higher_is_better else np.inf)
        assert row["lesions_missed"] == int(truth.any())
        assert set(row) == set(scored(truth, truth)[0])


def test_several_classes_are_scored_one_by_one():
    truth, prediction = SQUARE.copy(), SQUARE.copy()
    truth[5, :4], prediction[5, :2] = 2, 2
    first, second = scored(truth, prediction, class_names=("background", "lesion", "vessel"))
    assert (first["class_name"], first["dice"]) == ("lesion", 1.0)
    assert (second["class_name"], second["dice"]) == ("vessel", pytest.approx(4 / 6))
    _, absent = scored(SQUARE, SQUARE, class_names=("background", "lesion", "vessel"))
    assert (absent["empty"], absent["dice"]) == ("both", 1.0)


@pytest.mark.parametrize("shape", [(40, 50), (14, 15, 16)])
def test_the_box_around_both_masks_changes_nothing(shape):
    """A case scored whole, and set into a corner of an image without anything else: the same surfaces and lesions."""
    from meddiff.metrics.masks.lesions import detect
    from meddiff.metrics.masks.surface import boundary_iou, surface_distances_px

    generator = np.random.default_rng(0)
    truth, prediction = np.zeros((2, *shape), bool)
    for mask in (truth, prediction):
        place = tuple(slice(3, size - 4) for size in shape)
        mask[place] = generator.random(mask[place].shape) < 0.5
    (row,) = scored(truth.astype(int), prediction.astype(int))
    distances = surface_distances_px(truth, prediction)
    assert (row["hausdorff95"], row["assd"], row["nsd"]) == (
        distances.hausdorff95, distances.average, distances.share_within(2.0))  # fmt: skip
    assert row["boundary_iou"] == boundary_iou(truth, prediction)
    assert row["lesion_f1"] == detect(truth, prediction, least_iou=0.1).f1


def test_equals_monai_class_by_class():
    torch = pytest.importorskip("torch")
    from monai.metrics import compute_average_surface_distance, compute_dice, compute_hausdorff_distance, compute_iou
    from monai.metrics.surface_dice import compute_surface_dice

    grid = np.indices((32, 30, 14)).astype(float)

    def ball(center, radius):
        return sum((grid[axis] - center[axis]) ** 2 for axis in range(3)) < radius**2

    truth, prediction = np.zeros((2, 32, 30, 14), int)
    truth[ball((10, 10, 7), 6)], truth[ball((22, 20, 7), 5)] = 1, 2
    prediction[ball((12, 10, 6), 6)], prediction[ball((22, 18, 7), 4)] = 1, 2
    spacing = (1.0, 0.8, 2.5)
    ours = scored(truth, prediction, class_names=("background", "front", "back"), spacing_mm=spacing, tolerance_mm=1.5)
    one_hot = [torch.from_numpy(np.moveaxis(np.eye(3)[mask], -1, 0)[None]) for mask in (prediction, truth)]
    theirs = {
        "dice": compute_dice(*one_hot, include_background=False),
        "iou": compute_iou(*one_hot, include_background=False),
        "hausdorff": compute_hausdorff_distance(*one_hot, spacing=spacing),
        "hausdorff95": compute_hausdorff_distance(*one_hot, spacing=spacing, percentile=95),
        "assd": compute_average_surface_distance(*one_hot, symmetric=True, spacing=spacing),
        "nsd": compute_surface_dice(*one_hot, class_thresholds=[1.5, 1.5], spacing=spacing),
    }
    for name, values in theirs.items():
        assert [row[name] for row in ours] == pytest.approx(values[0].tolist(), rel=1e-5), name


def test_a_missed_lesion_beside_a_good_one_is_seen():
    """MONAI's HD95 calls a case with 1 of 100 lesions found a good one; lesion-wise F1 does not."""
    truth = np.zeros((100, 100), int)
    truth[5:100:10, 5:100:10] = 1
    prediction = np.zeros_like(truth)
    prediction[5, 5] = 1
    (row,) = scored(truth, prediction)
    assert (row["lesions_found"], row["lesions_missed"]) == (1, 99)
    assert row["lesion_f1"] == pytest.approx(2 / 101)
    assert row["hausdorff95"] > 100


def test_jensen():
    dices = np.array([0.2, 0.9, 0.95, 1.0])
    ious = dices / (2 - dices)
    assert jensen_check(dices.mean(), ious.mean()) == ""
    assert jensen_check(0.8, 0.8 / 1.2) == "", "equal cases lie on the bound"
    assert "at least 0.6667" in jensen_check(0.8, 0.66)
    assert jensen_check(0.80, 0.66, decimals=2) == "", "0.795 and 0.665 round to these"
    assert "never above" in jensen_check(0.8, 0.81)
    with pytest.raises(InputError, match="percent"):
        jensen_check(92.0, 85.0)


def test_bad_input():
    with pytest.raises(InputError, match="background first"):
        scored(SQUARE, SQUARE, class_names=("lesion",))
    with pytest.raises(InputError, match=r"prediction has the values \[2\]"):
        scored(SQUARE, 2 * SQUARE)
    with pytest.raises(InputError, match="grid"):
        scored(SQUARE, SQUARE.T)
    with pytest.raises(InputError, match="two or three axes"):
        scored(SQUARE[0], SQUARE[0])
    with pytest.raises(InputError, match="spacing"):
        scored(SQUARE, SQUARE, spacing_mm=(1.0, 1.0, 1.0))


def test_what_nobody_judged_is_not_measured():
    """A prediction is scored as if the pixels were not there."""
    truth = SQUARE.astype(np.uint8)
    truth[4] = IGNORED
    tall = SQUARE.copy()
    tall[4, 1:4] = 1
    (row,), (without,) = scored(truth, tall), scored(SQUARE, SQUARE)
    assert (row["dice"], row["hausdorff"], row["lesion_f1"], row["specificity"]) == (1.0, 0.0, 1.0, 1.0)
    assert (row["truth_pixels"], row["prediction_pixels"]) == (without["truth_pixels"], without["prediction_pixels"])
    everything = np.full_like(truth, IGNORED)
    assert scored(everything, tall)[0]["prediction_pixels"] == 0
    probabilities = np.stack([1.0 - tall, tall]).astype(np.float32)
    assert case_calibration(truth, probabilities) == case_calibration(SQUARE, np.stack([1.0 - SQUARE, SQUARE]))
    assert reliability_of(truth, probabilities).count[0].sum() == (truth != IGNORED).sum()
    assert np.isnan(case_calibration(everything, probabilities)["brier"])
    counts = free_response(truth, probabilities, class_names=NAMES)
    assert {(one["found"], one["invented"]) for one in counts} == {(1, 0)}
