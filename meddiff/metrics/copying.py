"""Two tests of whether a generator copies its training images, on features or pixels.

Authentic share (AuthPct; Alaa et al. 2022, "How faithful is your synthetic data?"): a synthetic image is
authentic if it lies farther from its nearest training image than that one lies from the next training image. Near
half for honest samples of a smooth distribution in few dimensions, and higher in many; near 0 for copies.

Data-copying statistic C_T (Meehan, Chaudhuri & Dasgupta 2020, "A non-parametric test to detect data-copying"): within
cells of the training set (k-means), do synthetic images lie nearer to training images than held-out real images do?
In each cell a Mann-Whitney U of the two sets of distances is made a z-score; the mean over cells, weighted by the
held-out images in them, is C_T: about standard normal for a generator as good as reality, far below 0 for copying, far
above for underfitting. A mean hides what cancels: look at the lowest cell (`copying_by_cell`) too.
"""

import numpy as np
from scipy.stats import rankdata

from meddiff.errors import InputError
from meddiff.metrics.memorization import nearest, nearest_other

LEAST_IN_CELL = 10
"""Cells with fewer held-out or synthetic images are left out: the normal approximation of U fails there."""


def authentic_share(training: np.ndarray, synthetic: np.ndarray) -> float:
    """AuthPct as a share in [0, 1]: training features [N, F], synthetic features [M, F]."""
    distance, index = nearest(synthetic, training)
    return float(np.mean(distance > nearest_other(training)[0][index]))


def copying_statistic(
    training: np.ndarray, held_out: np.ndarray, synthetic: np.ndarray, *, cells: int = 5, seed: int = 0
) -> float:
    """C_T of training [N, F], held-out real [H, F] (other patients) and synthetic [M, F] features.

    ``cells`` are made by scikit-learn's k-means with ``seed``; use 1 for less than some hundred images. Raises
    InputError if no cell has at least 10 held-out and 10 synthetic images.
    """
    scores, held_out_images = copying_by_cell(training, held_out, synthetic, cells=cells, seed=seed)
    counted = ~np.isnan(scores)
    if not counted.any():
        raise InputError(
            f"none of the {cells} cells has {LEAST_IN_CELL} held-out and {LEAST_IN_CELL} synthetic images "
            f"({len(held_out)} and {len(synthetic)} in all): give more images or fewer cells"
        )
    return float(np.average(scores[counted], weights=held_out_images[counted]))


def copying_by_cell(
    training: np.ndarray, held_out: np.ndarray, synthetic: np.ndarray, *, cells: int = 5, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """The z-score of each cell [cells], NaN where there are too few images, and the held-out images in it [cells]."""
    from sklearn.cluster import KMeans

    if len(training) < cells:
        raise InputError(f"got {len(training)} training images for {cells} cells: give more images or fewer cells")
    held_out_distance, synthetic_distance = nearest(held_out, training)[0], nearest(synthetic, training)[0]
    centers = KMeans(cells, n_init="auto", random_state=seed).fit(training).cluster_centers_
    held_out_cell, synthetic_cell = nearest(held_out, centers)[1], nearest(synthetic, centers)[1]
    scores = np.full(cells, np.nan)
    for cell in range(cells):
        ours, theirs = synthetic_distance[synthetic_cell == cell], held_out_distance[held_out_cell == cell]
        if min(len(ours), len(theirs)) >= LEAST_IN_CELL:
            scores[cell] = _standard_score(ours, theirs)
    return scores, np.bincount(held_out_cell, minlength=cells)


def _standard_score(first: np.ndarray, second: np.ndarray) -> float:
    """Mann-Whitney U of ``first`` over ``second`` as a z-score, without tie correction as in the paper."""
    n, m = len(first), len(second)
    u = rankdata(np.concatenate([first, second]))[:n].sum() - n * (n + 1) / 2
    return float((u - n * m / 2) / np.sqrt(n * m * (n + m + 1) / 12))
