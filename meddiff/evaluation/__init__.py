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
from meddiff.evaluation.paired_tests import paired_tests
from meddiff.evaluation.scores import best_reference, paired_differences, score, summary_sentence
from meddiff.evaluation.study import read_study
from meddiff.evaluation.study_tables import study_tables
from meddiff.evaluation.subgroups import subgroup_scores
from meddiff.evaluation.two_runs import compared_runs

__all__ = [
    "ImageFeatures", "Reliability", "best_reference", "calibration_errors", "case_calibration", "case_scores",
    "compared_runs", "distances", "failed_case_scores", "jensen_check", "paired_differences",
    "paired_mask_differences", "paired_tests", "read_study", "reliability_of", "score", "study_tables",
    "subgroup_scores", "summary", "summary_sentence", "uncertainty_summary",
]  # fmt: skip
