"""Sensitivity at a fixed specificity: how many of the ill are found where so many of the others are left in peace.

One class against the rest. The threshold of a class is the smallest score v so that at least the asked share of the
images of other classes score v or less; an image is called if it scores above v. Chosen on the images that it is then
judged on, such a threshold flatters; so it is chosen on validation images (`thresholds_at`), and the specificity that
it reaches on the test images stands beside (`resampled_rates`). Where there are no validation images it is a point of
the test ROC curve, chosen anew in every resample (`resampled_sensitivity_at`), and the table must say so.
"""

from __future__ import annotations

import numpy as np

from meddiff.errors import InputError
from meddiff.metrics.classifiers.discrimination import BLOCK, check_predictions, resampled_sum


def thresholds_at(specificity: float, labels: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """Compute the threshold of each class: labels [N] int, probabilities [N, K] -> [K].

    NaN where all images are of the class.

    Raises:
        InputError: a specificity outside (0, 1], or arrays that do not belong together.
    """
    _check(specificity)
    check_predictions(labels, probabilities, np.arange(len(labels)), np.ones((len(labels), 1)))
    others = [probabilities[labels != k, k] for k in range(probabilities.shape[1])]
    return np.array([np.quantile(own, specificity, method="inverted_cdf") if len(own) else np.nan for own in others])


def resampled_rates(
    labels: np.ndarray, probabilities: np.ndarray, group: np.ndarray, weights: np.ndarray, thresholds: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Compute the sensitivity and specificity of each class at given thresholds [K], under R weightings of the groups.

    labels [N] int, probabilities [N, K], group [N] in 0..G-1, weights [G, R] -> two [R, K]; NaN where a class (or the
    rest) weighs nothing, or where there is no threshold.
    """
    check_predictions(labels, probabilities, group, weights)
    own = labels[:, None] == np.arange(probabilities.shape[1])
    called = probabilities > thresholds
    sums = [resampled_sum(part.astype(float), group, weights) for part in (own & called, own, ~own & ~called, ~own)]
    with np.errstate(invalid="ignore", divide="ignore"):
        reached, left = sums[0] / sums[1], sums[2] / sums[3]
    known = ~np.isnan(thresholds)
    return np.where(known, reached, np.nan), np.where(known, left, np.nan)


def resampled_sensitivity_at(
    specificity: float, labels: np.ndarray, probabilities: np.ndarray, group: np.ndarray, weights: np.ndarray
) -> np.ndarray:
    """Compute the sensitivity of each class at the threshold of that specificity in every resample itself: [R, K]."""
    _check(specificity)
    check_predictions(labels, probabilities, group, weights)
    sensitivities = np.empty((weights.shape[1], probabilities.shape[1]))
    for start in range(0, weights.shape[1], BLOCK):
        image_weights = weights[group, start : start + BLOCK]  # [N, BLOCK]
        for k, score in enumerate(probabilities.T):
            sensitivities[start : start + BLOCK, k] = _sensitivity_at(specificity, score, labels == k, image_weights)
    return sensitivities


def _sensitivity_at(specificity: float, score: np.ndarray, own: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Compute it for one class: score [N], own [N] bool, weights [N, R] -> [R]."""
    if own.all() or not own.any():
        return np.full(weights.shape[1], np.nan)
    order = np.flatnonzero(~own)[np.argsort(score[~own], kind="stable")]
    below = np.cumsum(weights[order], 0)
    enough = below >= specificity * below[-1] * (1 - 1e-12)  # sums that are equal up to rounding
    threshold = score[order][enough.argmax(0)]  # [R]
    called = weights[own] * (score[own][:, None] > threshold)
    with np.errstate(invalid="ignore"):
        return called.sum(0) / weights[own].sum(0)


def _check(specificity: float) -> None:
    if not 0 < specificity <= 1:
        raise InputError(f"got a specificity of {specificity}: give a share above 0, such as 0.9")
