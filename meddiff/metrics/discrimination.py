"""How well a classifier tells classes apart: sensitivity, balanced accuracy and AUROC, one or thousands at a time.

A bootstrap asks for the same metric under thousands of weightings of the patients. Both metrics are sums over
patients, so all resamples are matrix products with the weights ``W [groups, resamples]``:

- sensitivity of class k: ``(correct_k^T W) / (total_k^T W)``, with counts per patient;
- AUROC of class k (Mann-Whitney): sort the distinct scores ``u_1 < ... < u_m`` of the positives; ``D[j, g]`` counts
  the negatives of patient g that lie between ``u_(j-1)`` and ``u_j``, one that equals ``u_j`` counting half here and
  half in the next row; ``E[j, g]`` counts the positives at ``u_j``. Then
  ``AUROC = sum_j (E W)_j cumsum(D W)_j / (positives * negatives)``, ties included.

With one column of ones these are scikit-learn's ``recall_score``, ``balanced_accuracy_score`` and ``roc_auc_score``
(``multi_class="ovr"``); with any column w they are the same with ``sample_weight`` w. The tests assert both.
"""

import numpy as np
from scipy.sparse import csr_array

from meddiff.errors import InputError

BLOCK = 128
"""Resamples per matrix product: keeps the blocks of 2,000 patients in the processor's cache (1.7 s for 5 arms x 3
seeds x 2,000 images x 7 classes x 2,000 resamples on one core; 2.4 s with 512)."""


def sensitivity(labels: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """Share of each class that is called right: labels [N] int, probabilities [N, K] -> [K]; NaN for an absent class.

    The class called is the one of largest probability, the first of several equal ones.
    """
    return resampled_sensitivity(labels, probabilities, *_everyone(labels))[0]


def balanced_accuracy(labels: np.ndarray, probabilities: np.ndarray) -> float:
    """Mean sensitivity of the classes that occur in ``labels`` [N]; probabilities [N, K]; in [0, 1]."""
    return float(np.nanmean(sensitivity(labels, probabilities)))


def auroc(labels: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """Area under the ROC curve, each class against the rest: labels [N] int, probabilities [N, K] -> [K].

    NaN for a class that no image, or every image, belongs to.
    """
    return resampled_auroc(labels, probabilities, *_everyone(labels))[0]


def macro_auroc(labels: np.ndarray, probabilities: np.ndarray) -> float:
    """Mean of the one-against-the-rest AUROC of the classes that occur in ``labels``; NaN when fewer than two do."""
    return mean_of_present(auroc(labels, probabilities)[None])[0]


def resampled_sensitivity(
    labels: np.ndarray, probabilities: np.ndarray, group: np.ndarray, weights: np.ndarray
) -> np.ndarray:
    """Sensitivity per class under R weightings of the groups.

    labels [N] int, probabilities [N, K], group [N] int in 0..G-1, weights [G, R] >= 0 -> [R, K]. NaN where the
    weight of a class is zero.
    """
    _check(labels, probabilities, group, weights)
    shape = (len(weights), probabilities.shape[1])
    right = probabilities.argmax(1) == labels
    total, correct = np.zeros(shape), np.zeros(shape)
    np.add.at(total, (group, labels), 1.0)
    np.add.at(correct, (group[right], labels[right]), 1.0)
    with np.errstate(invalid="ignore"):
        return (weights.T @ correct) / (weights.T @ total)


def resampled_auroc(
    labels: np.ndarray, probabilities: np.ndarray, group: np.ndarray, weights: np.ndarray
) -> np.ndarray:
    """One-against-the-rest AUROC per class under R weightings of the groups; shapes as `resampled_sensitivity`."""
    _check(labels, probabilities, group, weights)
    columns = [
        _binary_auroc(labels == index, probabilities[:, index], group, weights)
        for index in range(probabilities.shape[1])
    ]
    return np.stack(columns, axis=1)


def mean_of_present(values: np.ndarray) -> np.ndarray:
    """Mean over the last axis of what is not NaN; NaN where nothing is: [..., K] -> [...]."""
    present = ~np.isnan(values)
    with np.errstate(invalid="ignore"):
        return np.where(present, values, 0.0).sum(-1) / present.sum(-1)


def _binary_auroc(positive: np.ndarray, score: np.ndarray, group: np.ndarray, weights: np.ndarray) -> np.ndarray:
    groups, resamples = weights.shape
    if positive.all() or not positive.any():
        return np.full(resamples, np.nan)
    thresholds, row = np.unique(score[positive], return_inverse=True)
    positives = _counts(row, group[positive], np.ones(len(row)), (len(thresholds), groups))
    below = np.searchsorted(thresholds, score[~positive], side="left")  # row whose threshold is >= the score
    tied = np.searchsorted(thresholds, score[~positive], side="right")  # the next row where the scores are equal
    rows, columns = np.concatenate([below, tied]), np.tile(group[~positive], 2)
    inside = rows < len(thresholds)  # negatives above every positive are beaten by none
    halves = np.full(inside.sum(), 0.5)
    negatives = _counts(rows[inside], columns[inside], halves, (len(thresholds), groups))
    all_positives = np.bincount(group[positive], minlength=groups) @ weights
    all_negatives = np.bincount(group[~positive], minlength=groups) @ weights
    pairs_won = np.empty(resamples)
    for start in range(0, resamples, BLOCK):
        block = np.ascontiguousarray(weights[:, start : start + BLOCK])
        pairs_won[start : start + BLOCK] = np.einsum("jr,jr->r", positives @ block, np.cumsum(negatives @ block, 0))
    with np.errstate(invalid="ignore", divide="ignore"):
        return pairs_won / (all_positives * all_negatives)


def _counts(rows: np.ndarray, columns: np.ndarray, values: np.ndarray, shape: tuple[int, int]) -> csr_array:
    return csr_array((values, (rows, columns)), shape=shape)


def _everyone(labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return np.arange(len(labels)), np.ones((len(labels), 1))


def _check(labels: np.ndarray, probabilities: np.ndarray, group: np.ndarray, weights: np.ndarray) -> None:
    if probabilities.ndim != 2 or len(labels) != len(probabilities) or len(labels) == 0:
        raise InputError(
            f"got labels {labels.shape} and probabilities {probabilities.shape}: "
            "give one label and one row of class probabilities for each of at least one image"
        )
    if not np.isfinite(probabilities).all():
        raise InputError(
            f"{int((~np.isfinite(probabilities).all(1)).sum())} of {len(labels)} images have a probability that is "
            "NaN or infinite: a score over them would mean nothing; check the classifier that made them"
        )
    if labels.min() < 0 or labels.max() >= probabilities.shape[1]:
        raise InputError(
            f"labels run from {labels.min()} to {labels.max()}, but there are probabilities for "
            f"{probabilities.shape[1]} classes: labels are class indices from 0"
        )
    if group.shape != labels.shape or weights.ndim != 2 or group.min() < 0 or group.max() >= len(weights):
        raise InputError(
            f"got group {group.shape} (up to {group.max()}) and weights {weights.shape}: "
            "give each image a group index and each group one row of weights"
        )
