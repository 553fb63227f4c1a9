"""From predictions and features to tables with intervals, and to the sentence that says whether it helped."""

from meddiff.evaluation.image_distances import ImageFeatures, distances
from meddiff.evaluation.scores import best_reference, paired_differences, score, summary_sentence

__all__ = ["ImageFeatures", "best_reference", "distances", "paired_differences", "score", "summary_sentence"]
