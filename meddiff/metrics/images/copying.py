"""Three measures of whether a generator copies its training images, on features or pixels.

Authentic share (AuthPct; Alaa et al. 2022, "How faithful is your synthetic data?"): a synthetic image is
authentic if it lies farther from its nearest training image than that one lies from the next training image. Near
half for honest samples of a smooth distribution in few dimensions, and higher in many; near 0 for copies.

Data-copying statistic C_T (Meehan, Chaudhuri & Dasgupta 2020, "A non-parametric test to detect data-copying"): within
cells of the training set (k-means), do synthetic images lie nearer to training images than held-out real images do?
In each cell a Mann-Whitney U of the two sets of distances is made a z-score; their sum over cells, weighted by the
held-out images in them and divided by its own deviation, is C_T: about standard normal for a generator as good as
reality, far below 0 for copying, far above for underfitting. (The paper takes the weighted mean, whose deviation is
that of a mean: 0.45 for five even cells.) A mean hides what cancels: look at the lowest cell (`copying_by_cell`) too.

Memorization-informed Frechet distance (MiFID; Bai et al. 2021, "On training sample memorization: lessons from
benchmarking generative modeling with a large-scale competition", eq. 2 and 3): the Frechet distance to the training
images, divided by how far synthetic images lie from them where that is suspiciously near. How far is a mean of cosine
distances, which depends on the extractor: look at it beside the same figure of held-out real images.
"""

import numpy as np
from scipy.stats import rankdata

from meddiff.errors import InputError
from meddiff.metrics.images.fidelity import frechet_distance
from meddiff.metrics.images.memorization import nearest, nearest_other

LEAST_IN_CELL = 10
"""Cells with fewer held-out or synthetic images are left out: the normal approximation of U fails there."""
SUSPICIOUS = 0.1
"""Mean cosine distance below which MiFID divides by it: that of the competition, with features of Inception."""


def authentic_share(training: np.ndarray, synthetic: np.ndarray) -> float:
    """Compute AuthPct as a share in [0, 1]: training features [N, F], synthetic features [M, F]."""
    distance, index = nearest(synthetic, training)
    return float(np.mean(distance > nearest_other(training)[0][index]))


def memorization_distance(training: np.ndarray, synthetic: np.ndarray) -> float:
    """Compute the mean over synthetic features [M, F] of ``1 - |cos|`` to the most similar training features [N, F].

    Raises InputError for features that are all zero, which have no direction, and as `nearest`.
    """
    unit = [_directions(part) for part in (synthetic, training)]
    mirrored = np.concatenate([unit[1], -unit[1]])  # |cos|
    return float(np.mean(nearest(unit[0], mirrored)[0] ** 2 / 2))


def memorization_informed_frechet(
    training: np.ndarray, synthetic: np.ndarray, *, suspicious: float = SUSPICIOUS
) -> float:
    """Compute MiFID of synthetic features [M, F] against the training features [N, F].

    Infinite for exact copies of them.
    """
    distance = memorization_distance(training, synthetic)
    frechet = frechet_distance(training, synthetic)
    if distance >= suspicious:
        return frechet
    return frechet / distance if distance > 0 else float("inf")


def copying_statistic(
    training: np.ndarray, held_out: np.ndarray, synthetic: np.ndarray, *, cells: int = 5, seed: int = 0
) -> float:
    """Compute C_T of training [N, F], held-out real [H, F] (other patients) and synthetic [M, F] features.

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
    weights = held_out_images[counted]
    return float(scores[counted] @ weights / np.linalg.norm(weights))


def copying_by_cell(
    training: np.ndarray, held_out: np.ndarray, synthetic: np.ndarray, *, cells: int = 5, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Compute the z-score of each cell [cells], NaN where images are too few, and its held-out images [cells]."""
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


def _directions(features: np.ndarray) -> np.ndarray:
    length = np.linalg.norm(features.astype(np.float64), axis=1, keepdims=True)
    if not length.all():
        raise InputError(f"{int((length == 0).sum())} images have features that are all zero: cosines need a direction")
    return features / length


def _standard_score(first: np.ndarray, second: np.ndarray) -> float:
    """Compute Mann-Whitney U of ``first`` over ``second`` as a z-score, without tie correction as in the paper."""
    n, m = len(first), len(second)
    u = rankdata(np.concatenate([first, second]))[:n].sum() - n * (n + 1) / 2
    return float((u - n * m / 2) / np.sqrt(n * m * (n + m + 1) / 12))
