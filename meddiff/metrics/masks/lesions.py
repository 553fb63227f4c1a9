"""Detection, lesion by lesion, which Dice over the whole image hides.

A lesion is a connected component, neighbors across edges, corners and (3D) faces alike. A predicted and a true
lesion match if their IoU reaches a threshold; each takes part in at most one match, and the pairs are chosen to match
as many as possible, the better overlaps first among equals (Hungarian assignment, as in panoptic quality, Kirillov
et al. 2019; from an IoU above 0.5 on no other choice exists). Low thresholds such as 0.1 suit small lesions.

Empty masks: no true and no predicted lesion is an F1 of 1; the rest follows from the counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import nan

import numpy as np
from scipy.ndimage import label
from scipy.optimize import linear_sum_assignment

from meddiff.errors import InputError
from meddiff.metrics.masks.overlap import binary


@dataclass(frozen=True)
class Detection:
    """Lesions found, missed and invented; add those of all cases before taking a rate."""

    found: int
    missed: int
    invented: int

    def __add__(self, other: Detection) -> Detection:
        """Return the counts of both together."""
        return Detection(self.found + other.found, self.missed + other.missed, self.invented + other.invented)

    @property
    def sensitivity(self) -> float:
        """Share of the true lesions that were found; NaN where there are none."""
        true = self.found + self.missed
        return self.found / true if true else nan

    @property
    def precision(self) -> float:
        """Share of the predicted lesions that are true; NaN where there are none."""
        predicted = self.found + self.invented
        return self.found / predicted if predicted else nan

    @property
    def f1(self) -> float:
        """2 found / (2 found + missed + invented), in [0, 1]; 1 where there is no lesion, true or predicted."""
        whole = 2 * self.found + self.missed + self.invented
        return 2 * self.found / whole if whole else 1.0


def detect(truth: np.ndarray, prediction: np.ndarray, *, least_iou: float) -> Detection:
    """Match the lesions of two binary masks of one shape [*S]; ``least_iou`` in (0, 1] is what counts as found."""
    if truth.shape != prediction.shape:
        raise InputError(f"the truth is {truth.shape} and the prediction {prediction.shape}: give masks of one grid")
    if not 0 < least_iou <= 1:
        raise InputError(f"got least_iou {least_iou}: give a number above 0, up to 1")
    first, true = lesions(binary(truth, "truth"))
    second, predicted = lesions(binary(prediction, "prediction"))
    if not (true and predicted):
        return Detection(0, true, predicted)
    iou = _iou_of_lesions(first, second, true, predicted)
    enough = iou >= least_iou
    rows, columns = linear_sum_assignment(enough + iou / (iou.size + 1), maximize=True)
    detected = int(enough[rows, columns].sum())
    return Detection(detected, true - detected, predicted - detected)


def froc(
    truths: Sequence[np.ndarray], probabilities: Sequence[np.ndarray], thresholds: Sequence[float], *, least_iou: float
) -> tuple[np.ndarray, np.ndarray]:
    """Compute the free-response curve at each threshold: invented lesions per image [T], sensitivity over all [T].

    ``truths`` are binary masks and ``probabilities`` images in [0, 1], case by case on one grid.
    """
    if len(truths) != len(probabilities) or not len(truths):
        raise InputError(f"got {len(truths)} truths and {len(probabilities)} predictions: give one per case")
    invented, sensitivity = [], []
    for threshold in thresholds:
        total = Detection(0, 0, 0)
        for truth, probability in zip(truths, probabilities, strict=True):
            total += detect(truth, probability >= threshold, least_iou=least_iou)
        invented.append(total.invented / len(truths))
        sensitivity.append(total.sensitivity)
    return np.array(invented), np.array(sensitivity)


def lesions(mask: np.ndarray) -> tuple[np.ndarray, int]:
    """Mark the lesions of a bool mask: 0 outside, 1..n; and n."""
    numbered = np.zeros(mask.shape, dtype=np.int32)
    count = label(mask, structure=np.ones((3,) * mask.ndim), output=numbered)
    return numbered, int(count)  # pyright: ignore[reportArgumentType] (with `output`, the count alone)


def _iou_of_lesions(first: np.ndarray, second: np.ndarray, true: int, predicted: int) -> np.ndarray:
    inside = (first > 0) | (second > 0)
    pairs = first[inside].astype(np.int64) * (predicted + 1) + second[inside]
    joint = np.bincount(pairs, minlength=(true + 1) * (predicted + 1)).reshape(true + 1, predicted + 1)
    union = joint.sum(1, keepdims=True) + joint.sum(0, keepdims=True) - joint
    return (joint / np.maximum(union, 1))[1:, 1:]
