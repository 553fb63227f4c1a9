"""Truth: masks that a pencil can count, and scikit-learn."""

import math

import numpy as np
import pytest
from sklearn.metrics import f1_score, jaccard_score, precision_score, recall_score

from meddiff.errors import InputError
from meddiff.metrics.masks.overlap import overlap

EMPTY = np.zeros((6, 6), bool)
SQUARE = EMPTY.copy()
SQUARE[1:4, 1:4] = True  # 9 pixels
RIGHT = np.roll(SQUARE, 1, axis=1)  # 6 in common


def test_pencil():
    counted = overlap(SQUARE, RIGHT)
    assert (counted.true_positive, counted.false_positive, counted.false_negative, counted.true_negative) == (
        6,
        3,
        3,
        24,
    )
    assert counted.dice == 12 / 18
    assert counted.iou == 6 / 12
    assert counted.sensitivity == counted.precision == 6 / 9
    assert counted.specificity == 24 / 27
    assert counted.relative_volume_error == 0
    assert counted.outcome == "both present"


def test_equals_scikit_learn():
    generator = np.random.default_rng(0)
    truth, prediction = generator.random((2, 20, 20, 5)) < 0.3
    counted, flat = overlap(truth, prediction), (truth.ravel(), prediction.ravel())
    assert counted.dice == pytest.approx(f1_score(*flat))
    assert counted.iou == pytest.approx(jaccard_score(*flat))
    assert counted.sensitivity == pytest.approx(recall_score(*flat))
    assert counted.precision == pytest.approx(precision_score(*flat))


@pytest.mark.parametrize(
    ("truth", "prediction", "outcome", "dice", "sensitivity", "precision", "volume"),
    [
        (EMPTY, EMPTY, "both empty", 1.0, math.nan, math.nan, 0.0),
        (EMPTY, SQUARE, "false alarm", 0.0, math.nan, 0.0, math.inf),
        (SQUARE, EMPTY, "missed", 0.0, 0.0, math.nan, -1.0),
    ],
)
def test_empty_masks(truth, prediction, outcome, dice, sensitivity, precision, volume):
    counted = overlap(truth, prediction)
    found = (counted.dice, counted.iou, counted.sensitivity, counted.precision, counted.relative_volume_error)
    assert found == pytest.approx((dice, dice, sensitivity, precision, volume), nan_ok=True)
    assert counted.outcome == outcome


def test_bad_input():
    with pytest.raises(InputError, match="grid of the truth"):
        overlap(SQUARE, SQUARE[:5])
    with pytest.raises(InputError, match="largest 255"):
        overlap(SQUARE, SQUARE.astype(np.uint8) * 255)
    with pytest.raises(InputError, match="threshold"):
        overlap(SQUARE, np.full((6, 6), 0.5))


def test_equals_simpleitk():
    import SimpleITK as sitk  # noqa: N813

    generator = np.random.default_rng(3)
    truth, prediction = generator.random((2, 7, 8, 9)) < 0.3
    filter = sitk.LabelOverlapMeasuresImageFilter()
    filter.Execute(*(sitk.GetImageFromArray(mask.astype(np.uint8)) for mask in (truth, prediction)))
    counted = overlap(truth, prediction)
    assert counted.dice == pytest.approx(filter.GetDiceCoefficient(), rel=1e-12)
    assert counted.iou == pytest.approx(filter.GetJaccardCoefficient(), rel=1e-12)
    assert 1 - counted.sensitivity == pytest.approx(filter.GetFalseNegativeError(), rel=1e-12)
