"""Truth: masks that a pencil can count."""

import math

import numpy as np
import pytest

from meddiff.errors import InputError
from meddiff.metrics.masks.lesions import Detection, detect, froc, lesions

TRUTH = np.zeros((8, 12), bool)
TRUTH[1:3, 1:3] = TRUTH[1:3, 8:10] = TRUTH[6, 5] = True  # two squares of 4 pixels and a point
PREDICTION = np.zeros((8, 12), bool)
PREDICTION[1:3, 1:4] = True  # 4 of 6: IoU 2/3
PREDICTION[2:4, 9:11] = True  # 1 of 7: IoU 1/7
PREDICTION[7, 0] = True  # nothing there


def test_pencil():
    assert detect(TRUTH, PREDICTION, least_iou=0.5) == Detection(found=1, missed=2, invented=2)
    assert detect(TRUTH, PREDICTION, least_iou=0.1) == Detection(found=2, missed=1, invented=1)
    found = detect(TRUTH, PREDICTION, least_iou=0.1)
    assert (found.sensitivity, found.precision, found.f1) == pytest.approx((2 / 3, 2 / 3, 2 / 3))


def test_corners_connect():
    assert lesions(np.eye(4, dtype=bool))[1] == 1
    assert lesions(np.zeros((3, 3, 3), bool))[1] == 0


def test_one_prediction_finds_one_lesion_only():
    truth = np.zeros((3, 9), bool)
    truth[:, :4] = truth[:, 5:] = True
    assert detect(truth, np.ones((3, 9), bool), least_iou=0.1) == Detection(1, 1, 0)


def test_as_many_as_possible_are_matched():
    """The wide prediction overlaps both lesions, the narrow one the first alone: both can be found."""
    truth, prediction = np.zeros((1, 20), bool), np.zeros((1, 20), bool)
    truth[0, 0:6] = truth[0, 8:12] = True
    prediction[0, 0:2] = prediction[0, 3:12] = True  # 2/6 with the first; 3/12 with the first, 4/9 with the second
    assert detect(truth, prediction, least_iou=0.2) == Detection(2, 0, 0)


def test_ninety_nine_missed_of_a_hundred_show():
    truth = np.zeros((40, 40), bool)
    truth[::4, ::4] = True
    prediction = np.zeros_like(truth)
    prediction[0, 0] = True
    found = detect(truth, prediction, least_iou=0.5)
    assert (found.found, found.missed, found.sensitivity) == (1, 99, 0.01)


def test_empty_masks():
    empty = np.zeros_like(TRUTH)
    both = detect(empty, empty, least_iou=0.5)
    assert both.f1 == 1.0
    assert math.isnan(both.sensitivity)
    assert detect(empty, TRUTH, least_iou=0.5) == Detection(0, 0, 3)
    assert detect(TRUTH, empty, least_iou=0.5).f1 == 0.0


def test_froc():
    probability = np.where(PREDICTION, 0.9, 0.0)
    probability[7, 0] = 0.4
    invented, sensitivity = froc([TRUTH, TRUTH], [probability, TRUTH * 1.0], [0.3, 0.5, 0.95], least_iou=0.1)
    assert invented.tolist() == [0.5, 0.0, 0.0]
    assert sensitivity == pytest.approx([5 / 6, 5 / 6, 3 / 6])


def test_bad_input():
    with pytest.raises(InputError, match="above 0"):
        detect(TRUTH, PREDICTION, least_iou=0)
    with pytest.raises(InputError, match="one grid"):
        detect(TRUTH, PREDICTION[:4], least_iou=0.5)
