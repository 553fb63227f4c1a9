"""From predictions, masks and features to tables with intervals, and to the sentence that says whether it helped."""

from meddiff.evaluation.image_distances import ImageFeatures, distances
from meddiff.evaluation.mask_calibration import (
    Reliability,
    calibration_errors,
    case_calibration,
    reliability_of,
    uncertainty_summary,
)
from meddiff.evaluation.mask_summary import paired_mask_differences, summary
from meddiff.evaluation.masks import case_scores, failed_case_scores, jensen_check
from meddiff.evaluation.scores import best_reference, paired_differences, score, summary_sentence

__all__ = [
    "ImageFeatures", "Reliability", "best_reference", "calibration_errors", "case_calibration", "case_scores",
    "distances", "failed_case_scores", "jensen_check", "paired_differences", "paired_mask_differences",
    "reliability_of", "score", "summary", "summary_sentence", "uncertainty_summary",
]  # fmt: skip
