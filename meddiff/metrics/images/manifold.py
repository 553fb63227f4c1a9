"""Fidelity apart from diversity: precision, recall, density and coverage.

The region of a set is the union of balls about its images, each as large as the distance to that image's k-th nearest
neighbor in the set.

- precision: share of synthetic images within the real region (do they look real?); recall: share of real images
  within the synthetic region (is everything drawn that exists?). Kynkaanniemi et al. 2019, eq. 1 and 2; k = 3.
- density: mean number of real balls that hold a synthetic image, over k (above 1 where the images crowd into the
  middle); coverage: share of real balls that hold a synthetic image. Naeem et al. 2020; k = 5. A single
  real outlier widens the region, but not much of either of these.

Two sets of the same distribution give about 1 for density and 1 - 0.5^k for coverage at equal sizes, and less for
precision and recall in high dimension: compare with held-out real images of the same number.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from meddiff.errors import InputError

BLOCK = 1024
"""Rows of the distance matrix that exist at a time."""


@dataclass(frozen=True)
class ManifoldScores:
    """Precision, recall and coverage in [0, 1]; density from 0 up."""

    precision: float
    recall: float
    density: float
    coverage: float


def manifold_scores(real: np.ndarray, synthetic: np.ndarray, *, neighbors: int = 5) -> ManifoldScores:
    """Compute all four scores of real features [N, F] and synthetic features [M, F], from one pass over the distances.

    ``neighbors`` is k; give 3 for the precision and recall of Kynkaanniemi et al., 5 for Naeem et al. Raises
    InputError for sets of no more than k images, or features with NaN.
    """
    real, synthetic = _checked(real, synthetic, neighbors)
    real_radius, synthetic_radius = _radius(real, neighbors), _radius(synthetic, neighbors)
    balls, inside_synthetic, covered = np.empty(len(synthetic)), np.zeros(len(real), bool), np.zeros(len(real), bool)
    for start in range(0, len(synthetic), BLOCK):
        rows = slice(start, start + BLOCK)
        square = _square_distances(synthetic[rows], real)  # [block, N]
        within = square <= real_radius
        balls[rows] = within.sum(1)
        covered |= within.any(0)
        inside_synthetic |= (square <= synthetic_radius[rows, None]).any(0)
    return ManifoldScores(
        precision=float((balls > 0).mean()),
        recall=float(inside_synthetic.mean()),
        density=float(balls.mean() / neighbors),
        coverage=float(covered.mean()),
    )


def _radius(points: np.ndarray, neighbors: int) -> np.ndarray:
    """Compute the squared distance of each point to its k-th nearest other point."""
    radius = np.empty(len(points))
    for start in range(0, len(points), BLOCK):
        rows = slice(start, start + BLOCK)
        square = _square_distances(points[rows], points)
        square[
            np.arange(len(square)), np.arange(start, start + len(square))
        ] = -1.0  # itself comes first, even if twice
        radius[rows] = np.partition(square, neighbors, axis=1)[:, neighbors]
    return radius


def _square_distances(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    square = np.einsum("nf,nf->n", first, first)[:, None] + np.einsum("nf,nf->n", second, second)
    square -= 2 * (first @ second.T)
    return np.maximum(square, 0.0, out=square)


def _checked(real: np.ndarray, synthetic: np.ndarray, neighbors: int) -> tuple[np.ndarray, np.ndarray]:
    if real.ndim != 2 or synthetic.ndim != 2 or real.shape[1] != synthetic.shape[1]:
        raise InputError(
            f"got real features {real.shape} and synthetic features {synthetic.shape}: "
            "give [images, features] twice, made by the same extractor"
        )
    if neighbors < 1 or min(len(real), len(synthetic)) <= neighbors:
        raise InputError(
            f"got {len(real)} real and {len(synthetic)} synthetic images and {neighbors} neighbors: "
            "each set needs more images than neighbors, and at least one neighbor"
        )
    for name, features in (("real", real), ("synthetic", synthetic)):
        if not np.isfinite(features).all():
            raise InputError(f"the {name} features contain NaN or infinity: check the images and the extractor")
    mean = real.mean(0, dtype=np.float64)  # distances do not hear it; their rounding error does
    return real.astype(np.float64) - mean, synthetic.astype(np.float64) - mean
