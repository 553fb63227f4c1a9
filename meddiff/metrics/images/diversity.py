"""Diversity: how different the images of one set are from each other.

Vendi score (Friedman & Dieng 2023): the exponential of the entropy of the eigenvalues of K / n, where K holds the
similarities (here cosines) of all pairs. It is the effective number of different images: 1 when all are alike, n when
no two have anything in common.

Multi-scale structural similarity (Wang, Simoncelli & Bovik 2003) of random pairs: near 1 when a generator has
collapsed. It means something only beside the same figure for real images of the same class and size.

Mean distance of all pairs, for distances that are the square of a Euclidean one, as LPIPS is (Zhang et al. 2018): by
``mean_{i != j} |x_i - x_j|^2 = 2 n / (n - 1) (mean |x_i|^2 - |mean x_i|^2)`` no pair has to be drawn.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from scipy.linalg import toeplitz

from meddiff.errors import InputError

SCALE_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
"""Exponents of the five scales, from fine to coarse (Wang et al. 2003, section 3.2)."""
AT_ONCE = 8
"""Pairs that are compared at once: so few that what is made of them stays in the processor's cache."""
WINDOW, SIGMA, K1, K2 = 11, 1.5, 0.01, 0.03
"""Gaussian window in pixels and the two stabilizing constants of SSIM (Wang et al. 2004)."""


def vendi_score(features: np.ndarray) -> float:
    """Compute the effective number of different images among features [N, F]: from 1 to N; cosine similarity, float64.

    Centering is up to the caller: features that are all positive (after a ReLU) have cosines near 1 and a low score.
    Raises InputError for NaN or for an image whose features are all zero, which has no direction.
    """
    if features.ndim != 2 or len(features) == 0:
        raise InputError(f"got features {features.shape}: give [images, features] of at least one image")
    if not np.isfinite(features).all():
        raise InputError("the features contain NaN or infinity: check the images and the extractor")
    length = np.linalg.norm(features.astype(np.float64), axis=1, keepdims=True)
    if not length.all():
        raise InputError(f"{int((length == 0).sum())} images have features that are all zero: cosines need a direction")
    unit = features / length / np.sqrt(len(features))
    smaller = unit @ unit.T if len(unit) <= unit.shape[1] else unit.T @ unit  # the same eigenvalues but for zeros
    shares = np.linalg.eigvalsh(smaller)
    shares = shares[shares > 0]
    return float(np.exp(-np.sum(shares * np.log(shares))))


def structural_similarity(first: np.ndarray, second: np.ndarray, *, data_range: float) -> np.ndarray:
    """Compute MS-SSIM of images [N, C, H, W] with images [N, C, H, W], pair by pair: [N], 1 for equal images.

    ``data_range`` is the largest minus the smallest possible value: 2 for images in [-1, 1]. As many of the five
    scales are used as the 11-pixel window fits into (all five from 176 pixels; three at 64), their weights scaled to
    sum to 1: figures of different image sizes are not comparable. Windows that reach over the edge are left out.
    """
    if first.ndim != 4 or first.shape != second.shape or len(first) == 0:
        raise InputError(f"got images {first.shape} and {second.shape}: give [images, channels, height, width] twice")
    if not (np.isfinite(first).all() and np.isfinite(second).all()):
        raise InputError("the images contain NaN or infinity")
    scales = number_of_scales(min(first.shape[2:]))
    weights = np.array(SCALE_WEIGHTS[:scales]) / sum(SCALE_WEIGHTS[:scales])
    first, second = first.astype(np.float64), second.astype(np.float64)
    similarity = np.ones(first.shape[:2])
    for scale, weight in enumerate(weights):
        part = window_similarity(first, second, data_range, luminance=scale == scales - 1)
        similarity *= np.maximum(part.mean((2, 3)), 0.0) ** weight  # a negative mean has no real power
        first, second = _halved(first), _halved(second)
    return similarity.mean(1)


def similarity_of_pairs(
    images: np.ndarray, generator: np.random.Generator, *, data_range: float, pairs: int = 1000
) -> np.ndarray:
    """Compute MS-SSIM of random pairs of different images of one set [N, C, H, W]: [pairs].

    Its mean falls with diversity.
    """
    if len(images) < 2:
        raise InputError(f"got {len(images)} images: a pair needs 2")
    first = generator.integers(len(images), size=pairs)
    second = (first + generator.integers(1, len(images), size=pairs)) % len(images)
    blocks = [slice(start, start + AT_ONCE) for start in range(0, pairs, AT_ONCE)]
    return np.concatenate(
        [structural_similarity(images[first[b]], images[second[b]], data_range=data_range) for b in blocks]
    )


def mean_square_distance(vectors: np.ndarray) -> float:
    """Compute the mean squared Euclidean distance of all pairs of different images.

    Vectors are [N, P], N at least 2; the mean is float64 and not below 0.
    """
    if vectors.ndim != 2 or len(vectors) < 2:
        raise InputError(f"got vectors {vectors.shape}: give [images, values] of at least two images")
    total = float(np.sum(vectors.var(0, ddof=1, dtype=np.float64)))
    if not np.isfinite(total):
        raise InputError("the vectors contain NaN or infinity: check the images and the network")
    return 2 * total


def number_of_scales(side: int) -> int:
    """Compute scales that an image of the given shorter side allows; InputError below one window."""
    if side < WINDOW:
        raise InputError(f"images of {side} pixels are smaller than the {WINDOW}-pixel window of structural similarity")
    return min(len(SCALE_WEIGHTS), int(np.log2(side / WINDOW)) + 1)


def window_similarity(first: np.ndarray, second: np.ndarray, data_range: float, *, luminance: bool) -> np.ndarray:
    """Compute contrast-structure of every window, times luminance if asked (Wang et al. 2004, factors of eq. 13)."""
    mean_first, mean_second = _smoothed(first), _smoothed(second)
    variance_first = _smoothed(first**2) - mean_first**2
    variance_second = _smoothed(second**2) - mean_second**2
    covariance = _smoothed(first * second) - mean_first * mean_second
    c1, c2 = (K1 * data_range) ** 2, (K2 * data_range) ** 2
    contrast = (2 * covariance + c2) / (variance_first + variance_second + c2)
    if not luminance:
        return contrast
    return (2 * mean_first * mean_second + c1) / (mean_first**2 + mean_second**2 + c1) * contrast


def _smoothed(images: np.ndarray) -> np.ndarray:
    """Give Gaussian mean of every window inside the image, as two products with banded matrices: [..., H-10, W-10]."""
    rows, columns = (_band(side) for side in images.shape[2:])
    return rows @ images @ columns.T


@lru_cache(maxsize=16)
def _band(side: int) -> np.ndarray:
    """Compute [side - 10, side]: row i holds the window's weights from column i on."""
    offsets = np.arange(WINDOW) - WINDOW // 2
    weights = np.exp(-(offsets**2) / (2 * SIGMA**2))
    return toeplitz(
        np.r_[weights[0], np.zeros(side - WINDOW)], np.r_[weights, np.zeros(side - WINDOW)]
    ) / weights.sum()  # fmt: skip


def _halved(images: np.ndarray) -> np.ndarray:
    height, width = images.shape[2] // 2 * 2, images.shape[3] // 2 * 2
    images = images[:, :, :height, :width]
    return images.reshape(*images.shape[:2], height // 2, 2, width // 2, 2).mean((3, 5))
