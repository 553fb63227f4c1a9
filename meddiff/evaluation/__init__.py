"""From predictions, masks and features to tables with intervals, and to the sentence that says whether it helped."""

from meddiff.evaluation.classifiers.runs import compared_runs
from meddiff.evaluation.classifiers.scores import best_reference, paired_differences, score, summary_sentence
from meddiff.evaluation.classifiers.study import read_study
from meddiff.evaluation.classifiers.study_tables import study_tables
from meddiff.evaluation.classifiers.subgroups import subgroup_scores
from meddiff.evaluation.classifiers.tests import paired_tests
from meddiff.evaluation.images.distances import ImageFeatures, distances
from meddiff.evaluation.masks.cases import case_scores, failed_case_scores, jensen_check
from meddiff.evaluation.masks.reliability import (
    Reliability,
    calibration_errors,
    case_calibration,
    reliability_of,
    uncertainty_summary,
)
from meddiff.evaluation.masks.summary import paired_mask_differences, summary

__all__ = [
    "ImageFeatures", "Reliability", "best_reference", "calibration_errors", "case_calibration", "case_scores",
    "compared_runs", "distances", "failed_case_scores", "jensen_check", "paired_differences",
    "paired_mask_differences", "paired_tests", "read_study", "reliability_of", "score", "study_tables",
    "subgroup_scores", "summary", "summary_sentence", "uncertainty_summary",
]  # fmt: skip
