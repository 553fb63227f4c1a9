"""Calibration: can a stated probability be taken at its word?

Expected calibration error (Guo et al. 2017, "On calibration of modern neural networks", eq. 3): images are sorted
into bins by the probability of the class that was called; in each bin the mean of that probability is compared
with the share that was right; the absolute differences are averaged with the bins' image counts as weights. It is
biased upwards where bins hold few images, and depends on the number of bins: state both.
"""

import numpy as np

from meddiff.errors import InputError
from meddiff.metrics.classifiers.discrimination import resampled_sum

BINS = 15


def expected_calibration_error(labels: np.ndarray, probabilities: np.ndarray, *, bins: int = BINS) -> float:
    """Compute the expected calibration error of the called class, in [0, 1].

    labels [N] int, probabilities [N, K] in [0, 1]; ``bins`` of equal width over (0, 1], closed on the right as in
    the paper (which uses 15). Raises InputError for empty input, shapes that do not belong together, or
    probabilities outside [0, 1].
    """
    counts, confidence, accuracy = reliability(labels, probabilities, bins=bins)
    filled = counts > 0
    return float(np.sum(counts[filled] * np.abs(accuracy[filled] - confidence[filled])) / counts.sum())


def reliability(
    labels: np.ndarray, probabilities: np.ndarray, *, bins: int = BINS
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Compute what a reliability diagram shows: images, mean confidence and accuracy of each bin, each [bins].

    Confidence and accuracy of an empty bin are NaN. Arguments and errors as `expected_calibration_error`.
    """
    _check(labels, probabilities, bins)
    confidence = probabilities.max(1)
    right = probabilities.argmax(1) == labels
    bin_of = _bins_of(confidence, bins)
    counts = np.bincount(bin_of, minlength=bins)
    with np.errstate(invalid="ignore"):
        mean_confidence = np.bincount(bin_of, weights=confidence, minlength=bins) / counts
        accuracy = np.bincount(bin_of, weights=right, minlength=bins) / counts
    return counts, mean_confidence, accuracy


def brier_score(labels: np.ndarray, probabilities: np.ndarray) -> float:
    """Compute the squared distance of probabilities [N, K] to the truth, summed over classes (Brier 1950): in [0, 2].

    A proper score: no other probabilities than the true ones make it smaller. For two classes it is twice
    scikit-learn's ``brier_score_loss``.
    """
    return float(squared_distances(labels, probabilities).mean())


def negative_log_likelihood(labels: np.ndarray, probabilities: np.ndarray) -> float:
    """Compute the mean of -log of the probability of the true class, in nats; infinite if one was called impossible.

    scikit-learn's ``log_loss`` without its clipping, which hides that.
    """
    return float(surprises(labels, probabilities).mean())


def resampled_calibration_error(
    labels: np.ndarray, probabilities: np.ndarray, group: np.ndarray, weights: np.ndarray, *, bins: int = BINS
) -> np.ndarray:
    """Give `expected_calibration_error` by R weightings of the groups: group [N] in 0..G-1, weights [G, R] -> [R]."""
    _check(labels, probabilities, bins)
    confidence = probabilities.max(1)
    gap = (probabilities.argmax(1) == labels) - confidence
    in_bin = _bins_of(confidence, bins)[:, None] == np.arange(bins)  # [N, bins]
    sums = resampled_sum(np.column_stack([gap[:, None] * in_bin, np.ones(len(gap))]), group, weights)
    return np.abs(sums[:, :-1]).sum(1) / sums[:, -1]


def squared_distances(labels: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """Compute what `brier_score` is the mean of: [N], each in [0, 2]."""
    _check(labels, probabilities, 1)
    return np.sum((probabilities - np.eye(probabilities.shape[1])[labels]) ** 2, axis=1)


def surprises(labels: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """Compute what `negative_log_likelihood` averages, in nats: [N], infinite where the true class was impossible."""
    _check(labels, probabilities, 1)
    with np.errstate(divide="ignore"):
        return -np.log(probabilities[np.arange(len(labels)), labels])


def _bins_of(stated: np.ndarray, bins: int) -> np.ndarray:
    return np.clip(np.ceil(stated * bins).astype(int) - 1, 0, bins - 1)


def _check(labels: np.ndarray, probabilities: np.ndarray, bins: int) -> None:
    if probabilities.ndim != 2 or len(labels) != len(probabilities) or len(labels) == 0:
        raise InputError(
            f"got labels {labels.shape} and probabilities {probabilities.shape}: "
            "give one label and one row of class probabilities for each of at least one image"
        )
    if not (np.isfinite(probabilities).all() and probabilities.min() >= 0 and probabilities.max() <= 1):
        raise InputError(
            "some probabilities are NaN or outside [0, 1]: calibration needs probabilities; "
            "apply a softmax to a network's outputs first"
        )
    if bins < 1:
        raise InputError(f"got {bins} bins: give at least 1")
