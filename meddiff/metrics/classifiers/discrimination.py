"""Discrimination of classes by a classifier: sensitivity, accuracy, AUROC and AUPRC, one or thousands at a time.

A bootstrap asks for the same metric under thousands of weightings of the patients. All of them are sums over
patients, so all resamples are matrix products with the weights ``W [groups, resamples]``:

- sensitivity of class k: ``(correct_k^T W) / (total_k^T W)``, with counts per patient;
- AUROC of class k (Mann-Whitney): sort the distinct scores ``u_1 < ... < u_m`` of the positives; ``D[j, g]`` counts
  the negatives of patient g that lie between ``u_(j-1)`` and ``u_j``, one that equals ``u_j`` counting half here and
  half in the next row; ``E[j, g]`` counts the positives at ``u_j``. Then
  ``AUROC = sum_j (E W)_j cumsum(D W)_j / (positives * negatives)``, ties included;
- AUPRC of class k is the average precision (no interpolation, which flatters: Davis & Goadrich 2006): with ``T_j`` and
  ``F_j`` the true and false positives at or above ``u_j``, ``AUPRC = sum_j (E W)_j T_j / (T_j + F_j) / positives``.
  What chance gives is the share of the class, so it is comparable between sets of one prevalence alone.

With one column of ones these are scikit-learn's ``recall_score``, ``accuracy_score``, ``balanced_accuracy_score``,
``roc_auc_score`` (``multi_class="ovr"``) and ``average_precision_score``; with any column w they are the same with
``sample_weight`` w. The tests assert both.
"""

from collections.abc import Callable

import numpy as np
from scipy.sparse import csr_array

from meddiff.errors import InputError

BLOCK = 128
"""Resamples per matrix product: keeps the blocks of 2,000 patients in the processor's cache (1.7 s for 5 arms x 3
seeds x 2,000 images x 7 classes x 2,000 resamples on one core; 2.4 s with 512)."""


def sensitivity(labels: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """Compute the share of each class that is called right: labels [N] int, probabilities [N, K] -> [K].

    NaN for an absent class.

    The class called is the one of largest probability, the first of several equal ones.
    """
    return resampled_sensitivity(labels, probabilities, *_everyone(labels))[0]


def balanced_accuracy(labels: np.ndarray, probabilities: np.ndarray) -> float:
    """Compute the mean sensitivity of the classes that occur in ``labels`` [N]; probabilities [N, K]; in [0, 1]."""
    return float(np.nanmean(sensitivity(labels, probabilities)))


def auroc(labels: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """Compute the area under the ROC curve, each class against the rest: labels [N] int, probabilities [N, K] -> [K].

    NaN for a class that no image, or every image, belongs to.
    """
    return resampled_auroc(labels, probabilities, *_everyone(labels))[0]


def macro_auroc(labels: np.ndarray, probabilities: np.ndarray) -> float:
    """Compute the mean of the one-against-the-rest AUROC of the classes that occur in ``labels``.

    NaN when fewer than two do.
    """
    return mean_of_present(auroc(labels, probabilities)[None])[0]


def auprc(labels: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """Average precision, each class against the rest: labels [N] int, probabilities [N, K] -> [K].

    NaN for a class that no image belongs to.
    """
    return resampled_auprc(labels, probabilities, *_everyone(labels))[0]


def resampled_sensitivity(
    labels: np.ndarray, probabilities: np.ndarray, group: np.ndarray, weights: np.ndarray
) -> np.ndarray:
    """Compute the sensitivity per class under R weightings of the groups.

    labels [N] int, probabilities [N, K], group [N] int in 0..G-1, weights [G, R] >= 0 -> [R, K]. NaN where the
    weight of a class is zero.
    """
    check_predictions(labels, probabilities, group, weights)
    right = probabilities.argmax(1) == labels
    correct = np.zeros((len(weights), probabilities.shape[1]))
    np.add.at(correct, (group[right], labels[right]), 1.0)
    with np.errstate(invalid="ignore"):
        return (weights.T @ correct) / resampled_counts(labels, probabilities, group, weights)


def resampled_accuracy(
    labels: np.ndarray, probabilities: np.ndarray, group: np.ndarray, weights: np.ndarray
) -> np.ndarray:
    """Compute the share of the images that are called right under R weightings of the groups: [R]."""
    check_predictions(labels, probabilities, group, weights)
    right = (probabilities.argmax(1) == labels).astype(float)
    return resampled_mean(right, group, weights)


def resampled_mean(values: np.ndarray, group: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Compute the mean of one number per image under R weightings of the groups: values [N], weights [G, R] -> [R].

    Infinite where an infinite value weighs anything.
    """
    infinite = np.isinf(values)
    parts = np.column_stack([np.where(infinite, 0.0, values), infinite, np.ones(len(values))])
    finite, endless, total = resampled_sum(parts, group, weights).T
    return np.where(endless > 0, np.inf, finite / total)


def resampled_sum(values: np.ndarray, group: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Sum of numbers per image under R weightings of the groups: values [N, M], weights [G, R] -> [R, M]."""
    sums = np.zeros((len(weights), values.shape[1]))
    np.add.at(sums, group, values)
    return weights.T @ sums


def resampled_counts(
    labels: np.ndarray, probabilities: np.ndarray, group: np.ndarray, weights: np.ndarray
) -> np.ndarray:
    """Compute the weight of the images of each class under R weightings of the groups.

    [R, K], the K of ``probabilities``.
    """
    total = np.zeros((len(weights), probabilities.shape[1]))
    np.add.at(total, (group, labels), 1.0)
    return weights.T @ total


def resampled_auroc(
    labels: np.ndarray, probabilities: np.ndarray, group: np.ndarray, weights: np.ndarray
) -> np.ndarray:
    """Compute one-against-the-rest AUROC per class under R weightings of the groups.

    Shapes as `resampled_sensitivity`.
    """
    return _one_against_the_rest(_binary_auroc, labels, probabilities, group, weights)


def resampled_auprc(
    labels: np.ndarray, probabilities: np.ndarray, group: np.ndarray, weights: np.ndarray
) -> np.ndarray:
    """Compute one-against-the-rest average precision per class under R weightings.

    Shapes as `resampled_sensitivity`.
    """
    return _one_against_the_rest(_binary_auprc, labels, probabilities, group, weights)


def mean_of_present(values: np.ndarray, shares: np.ndarray | None = None) -> np.ndarray:
    """Compute the mean over the last axis of what is not NaN; NaN where nothing is: [..., K] -> [...].

    ``shares`` [..., K] weight the classes: with those of `resampled_counts` it is scikit-learn's "weighted" average.
    """
    present = (~np.isnan(values)) * (1.0 if shares is None else shares)
    with np.errstate(invalid="ignore"):
        return (present * np.where(np.isnan(values), 0.0, values)).sum(-1) / present.sum(-1)


def _one_against_the_rest(
    binary: Callable[..., np.ndarray],
    labels: np.ndarray,
    probabilities: np.ndarray,
    group: np.ndarray,
    weights: np.ndarray,
) -> np.ndarray:
    check_predictions(labels, probabilities, group, weights)
    columns = [binary(labels == k, probabilities[:, k], group, weights) for k in range(probabilities.shape[1])]
    return np.stack(columns, axis=1)


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


def _binary_auprc(positive: np.ndarray, score: np.ndarray, group: np.ndarray, weights: np.ndarray) -> np.ndarray:
    groups, resamples = weights.shape
    if not positive.any():
        return np.full(resamples, np.nan)
    thresholds, row = np.unique(score[positive], return_inverse=True)
    positives = _counts(row, group[positive], np.ones(len(row)), (len(thresholds), groups))
    reached = np.searchsorted(thresholds, score[~positive], side="right") - 1  # highest threshold at or below the score
    inside = reached >= 0  # the others are no false positives at any threshold
    shape = (len(thresholds), groups)
    negatives = _counts(reached[inside], group[~positive][inside], np.ones(inside.sum()), shape)
    all_positives = np.bincount(group[positive], minlength=groups) @ weights
    precisions = np.empty(resamples)
    with np.errstate(invalid="ignore", divide="ignore"):
        for start in range(0, resamples, BLOCK):
            block = np.ascontiguousarray(weights[:, start : start + BLOCK])
            hits = positives @ block
            right, wrong = (np.cumsum(part[::-1], 0)[::-1] for part in (hits, negatives @ block))
            precision = np.nan_to_num(right / (right + wrong))  # 0 / 0 only where no positive is found
            precisions[start : start + BLOCK] = np.einsum("jr,jr->r", hits, precision)
        return precisions / all_positives


def _counts(rows: np.ndarray, columns: np.ndarray, values: np.ndarray, shape: tuple[int, int]) -> csr_array:
    return csr_array((values, (rows, columns)), shape=shape)


def _everyone(labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return np.arange(len(labels)), np.ones((len(labels), 1))


def check_predictions(labels: np.ndarray, probabilities: np.ndarray, group: np.ndarray, weights: np.ndarray) -> None:
    """Refuse arrays that do not belong together, and probabilities that are no numbers."""
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
