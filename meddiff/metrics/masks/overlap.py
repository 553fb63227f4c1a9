"""Overlap of two masks: Dice, IoU, sensitivity, precision, volume.

Empty masks are cases, not gaps. The policy, everywhere:

========================  =====  ===  ===========  =========
truth / prediction        Dice   IoU  sensitivity  precision
========================  =====  ===  ===========  =========
both empty                1      1    NaN          NaN
truth alone is empty      0      0    NaN          0
prediction alone is empty 0      0    0            NaN
========================  =====  ===  ===========  =========

NaN means that there was nothing to be sensitive to, or no claim to be precise about; a table must count such cases
(`Overlap.outcome`) and never drop them. MONAI's DiceMetric ignores cases with an empty truth by default, so
that invented lesions cost nothing; its HD95 reports 4 mm where 99 of 100 lesions are missed.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import nan

import numpy as np

from meddiff.errors import InputError

BOTH_EMPTY, FALSE_ALARM, MISSED, BOTH_PRESENT = "both empty", "false alarm", "missed", "both present"


@dataclass(frozen=True)
class Overlap:
    """Pixels or voxels of a truth and a prediction, counted; every overlap measure follows from them."""

    true_positive: int
    false_positive: int
    false_negative: int
    true_negative: int

    @property
    def truth(self) -> int:
        """Pixels of the truth."""
        return self.true_positive + self.false_negative

    @property
    def outcome(self) -> str:
        """``both empty``, ``false alarm`` (truth empty), ``missed`` (prediction empty) or ``both present``."""
        truth, prediction = self.true_positive + self.false_negative, self.true_positive + self.false_positive
        return {(0, 0): BOTH_EMPTY, (0, 1): FALSE_ALARM, (1, 0): MISSED}.get(
            (int(truth > 0), int(prediction > 0)), BOTH_PRESENT
        )

    @property
    def dice(self) -> float:
        """2 TP / (2 TP + FP + FN), in [0, 1]; 1 when both are empty."""
        whole = 2 * self.true_positive + self.false_positive + self.false_negative
        return 2 * self.true_positive / whole if whole else 1.0

    @property
    def iou(self) -> float:
        """TP / (TP + FP + FN), in [0, 1]; 1 when both are empty."""
        union = self.true_positive + self.false_positive + self.false_negative
        return self.true_positive / union if union else 1.0

    @property
    def sensitivity(self) -> float:
        """TP / (TP + FN), in [0, 1]; NaN when the truth is empty."""
        truth = self.true_positive + self.false_negative
        return self.true_positive / truth if truth else nan

    @property
    def precision(self) -> float:
        """TP / (TP + FP), in [0, 1]; NaN when the prediction is empty."""
        prediction = self.true_positive + self.false_positive
        return self.true_positive / prediction if prediction else nan

    @property
    def specificity(self) -> float:
        """TN / (TN + FP), in [0, 1]; NaN when the truth fills the image."""
        background = self.true_negative + self.false_positive
        return self.true_negative / background if background else nan

    @property
    def relative_volume_error(self) -> float:
        """(prediction - truth) / truth: negative for a prediction that is too small; infinite for a false alarm."""
        truth, difference = self.true_positive + self.false_negative, self.false_positive - self.false_negative
        return difference / truth if truth else (float("inf") if difference else 0.0)


def overlap(truth: np.ndarray, prediction: np.ndarray) -> Overlap:
    """Count two binary masks of one shape [*S]: bool, or whatever is 0 and 1.

    For masks of several classes compare one at a time: ``overlap(truth == 2, prediction == 2)``.
    """
    truth, prediction = binary(truth, "truth"), binary(prediction, "prediction")
    if truth.shape != prediction.shape:
        raise InputError(
            f"the truth is {truth.shape} and the prediction {prediction.shape}: bring the prediction to the grid of "
            "the truth first (nearest neighbor, or probabilities before the threshold)"
        )
    both = int(np.count_nonzero(truth & prediction))
    in_truth, in_prediction = int(np.count_nonzero(truth)), int(np.count_nonzero(prediction))
    return Overlap(both, in_prediction - both, in_truth - both, truth.size - in_truth - in_prediction + both)


def binary(mask: np.ndarray, name: str) -> np.ndarray:
    """Compute the mask as bool; InputError for one that has values other than 0 and 1, such as probabilities or 255."""
    if mask.dtype == bool:
        return mask
    as_bool = mask.astype(bool)
    if not (as_bool == mask).all():
        raise InputError(
            f"the {name} has values other than 0 and 1 (smallest {mask.min()}, largest {mask.max()}): "
            "threshold probabilities, or compare one class at a time (mask == class)"
        )
    return as_bool
