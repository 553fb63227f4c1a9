"""Mean and covariance of features that arrive batch by batch: a million images in the memory of one batch.

Two sets of images are merged exactly (Chan, Golub & LeVeque 1979): with ``d = m_2 - m_1``,
``mean = m_1 + d n_2 / n`` and ``scatter = S_1 + S_2 + d d^T n_1 n_2 / n``. Everything is float64: sums of squares in
float32 lose the digits that a Frechet distance is made of.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from meddiff.errors import InputError
from meddiff.metrics.images.fidelity import root_product_trace


@dataclass(frozen=True)
class Moments:
    """Moments of a set of images: all that a Frechet distance needs of it."""

    count: int
    mean: np.ndarray  # [F]
    scatter: np.ndarray  # [F, F]: sum of (x - mean)(x - mean)^T

    def __add__(self, other: Moments) -> Moments:
        """Return the moments of both sets together, in either order."""
        count = self.count + other.count
        apart = other.mean - self.mean
        between = np.outer(apart, apart) * (self.count * other.count / count)
        return Moments(count, self.mean + apart * (other.count / count), self.scatter + other.scatter + between)


def moments(features: np.ndarray) -> Moments:
    """Compute moments of one batch of features [N, F], N at least 1; add those of all batches."""
    if features.ndim != 2 or len(features) == 0:
        raise InputError(f"got features {features.shape}: give [images, features] of at least one image")
    if not np.isfinite(features.sum(dtype=np.float64)):
        raise InputError("the features contain NaN or infinity: check the images and the extractor")
    features = features.astype(np.float64)
    mean = features.mean(0)
    centered = features - mean
    return Moments(len(features), mean, centered.T @ centered)


def frechet_distance_of_moments(real: Moments, synthetic: Moments) -> float:
    """Compute `meddiff.metrics.images.fidelity.frechet_distance` of all images that went into the moments."""
    if real.mean.shape != synthetic.mean.shape:
        raise InputError(
            f"got moments of {len(real.mean)} and of {len(synthetic.mean)} features: use the same extractor for both"
        )
    if min(real.count, synthetic.count) < 2:
        raise InputError(f"got {real.count} real and {synthetic.count} synthetic images: give at least 2 of each")
    first, second = (part.scatter / (part.count - 1) for part in (real, synthetic))
    apart = real.mean - synthetic.mean
    overlap = root_product_trace(first, second)
    return max(float(apart @ apart + np.trace(first) + np.trace(second) - 2 * overlap), 0.0)
