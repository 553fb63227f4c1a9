"""Fidelity: how far a set of synthetic images lies from a set of real ones, in the space of some features.

Frechet distance (Heusel et al. 2017, eq. 6) between Gaussians fitted to the two sets:
``|m_1 - m_2|^2 + tr(C_1) + tr(C_2) - 2 tr((C_1 C_2)^(1/2))``.
With factors ``C_1 = S_1^T S_1`` and ``C_2 = S_2^T S_2`` the last trace is the sum of the singular values of
``S_1 S_2^T``, because their squares are the eigenvalues of ``C_1 C_2``, and of ``S_1 C_2 S_1^T``. Centered features
are such a factor; where there are more images than features the Cholesky factor of C is a smaller one. So no matrix
square root is taken, and a covariance without full rank needs no special treatment: no jitter, no NaN.

Kernel distance (KID; Binkowski et al. 2018): the unbiased squared maximum mean discrepancy with the kernel
``(x . y / F + 1)^3``. It has no bias in the number of images, which the Frechet distance has: between two samples of
one distribution the Frechet distance is far above zero until n is well above F.

Neither number means anything alone: put beside it the same distance between two sets of real images of the same
sizes that share no patient (`meddiff.evaluation.distances`).
"""

import numpy as np
from scipy.linalg import get_lapack_funcs

from meddiff.errors import InputError

SMALL = 1024
"""Up to this size singular values are computed as such; above, from the eigenvalues of the squared matrix: 2.5 times
faster, and measured within 1e-12 of the exact sum, or 1e-6 where many of them are zero."""
BLOCK = 1024
"""Rows of the kernel matrix that exist at a time."""


def frechet_distance(real: np.ndarray, synthetic: np.ndarray) -> float:
    """Compute Frechet distance between real features [N, F] and synthetic features [M, F], N and M at least 2; >= 0.

    Computed in float64. Biased upwards by about the reciprocal of the number of images. Raises InputError for sets
    of other shapes or with NaN.
    """
    real, synthetic = _checked(real, synthetic)
    first, second = _centered(real), _centered(synthetic)
    mean_difference = real.mean(0) - synthetic.mean(0)
    apart = mean_difference @ mean_difference + np.vdot(first, first) + np.vdot(second, second)
    return max(
        float(apart - 2 * _overlap(first, second)), 0.0
    )  # equal sets: the terms cancel to rounding error of either sign


def frechet_distance_unbiased(
    real: np.ndarray, synthetic: np.ndarray, generator: np.random.Generator, *, points: int = 15
) -> float:
    """Compute Frechet distance extrapolated to infinitely many images (FID-infinity; Chong & Forsyth 2020).

    The distance is computed at ``points`` numbers of images from a third (from 5,000 where that is less, as in the
    paper) to all of them, the same number of both sets, drawn anew each time. Its bias falls as 1/n, so the estimate
    is the intercept of a straight line over 1/n; it may come out slightly negative. Where n is not well above the
    number of features the bias is not 1/n, and InputError says so.
    """
    real, synthetic = _checked(real, synthetic)
    most = min(len(real), len(synthetic))
    least = min(most // 3, 5000)
    if least < 2 * real.shape[1]:
        raise InputError(
            f"got {most} images of each set and {real.shape[1]} features: the extrapolation starts at {least} images "
            f"and needs {2 * real.shape[1]} there; give more images, or use the kernel distance, which has no bias"
        )
    numbers = np.linspace(least, most, points).astype(int)
    values = [
        frechet_distance(
            real[generator.permutation(len(real))[:number]], synthetic[generator.permutation(len(synthetic))[:number]]
        )
        for number in numbers
    ]
    return float(np.polynomial.Polynomial.fit(1 / numbers, values, 1)(0.0))


def kernel_distance(
    real: np.ndarray,
    synthetic: np.ndarray,
    *,
    real_chosen: np.ndarray | None = None,
    synthetic_chosen: np.ndarray | None = None,
) -> np.ndarray:
    """Compute the kernel distance between real features [N, F] and synthetic features [M, F]; may be slightly negative.

    Returns [R]: one value for each column of ``real_chosen`` [N, R] and ``synthetic_chosen`` [M, R] (bool: which
    images take part), all from one pass over the kernel matrix; without them all images take part and R is 1. At
    least two images of each set must take part. Raises InputError as `frechet_distance`.
    """
    real, synthetic = _checked(real, synthetic)
    first = np.ones((len(real), 1)) if real_chosen is None else real_chosen.astype(np.float64)
    second = np.ones((len(synthetic), 1)) if synthetic_chosen is None else synthetic_chosen.astype(np.float64)
    n, m = first.sum(0), second.sum(0)
    if min(n.min(), m.min()) < 2:
        raise InputError(f"a kernel distance needs at least 2 images of each set, got {int(min(n.min(), m.min()))}")
    within_first = (_kernel_sum(real, real, first, first) - _diagonal(real) @ first) / (n * (n - 1))
    within_second = (_kernel_sum(synthetic, synthetic, second, second) - _diagonal(synthetic) @ second) / (m * (m - 1))
    return within_first + within_second - 2 * _kernel_sum(real, synthetic, first, second) / (n * m)


def _centered(features: np.ndarray) -> np.ndarray:
    """Compute X with X^T X = covariance."""
    return (features - features.mean(0)) / np.sqrt(len(features) - 1)


def semidefinite_factor(covariance: np.ndarray) -> np.ndarray:
    """Find S [rank, F] with S^T S = covariance [F, F], positive semidefinite: a Cholesky factor, pivoted if need be."""
    upper = _cholesky(covariance)
    if upper is not None:
        return upper
    (pstrf,) = get_lapack_funcs(("pstrf",), dtype=np.float64)
    factor, order, rank, _ = pstrf(covariance)
    rows = np.zeros((rank, len(covariance)))
    rows[:, order - 1] = np.triu(factor)[:rank]
    return rows


def root_product_trace(first: np.ndarray, second: np.ndarray) -> float:
    """Compute ``tr((C_1 C_2)^(1/2))`` of two covariances [F, F]."""
    upper = _cholesky(first) if len(first) > SMALL else None
    if upper is None:
        return singular_value_sum(semidefinite_factor(first) @ semidefinite_factor(second).T)
    (sygst,) = get_lapack_funcs(("sygst",), dtype=np.float64)
    return _root_sum(sygst(second, upper, itype=2)[0])  # U C_2 U^T, its upper half: a third of the time of products


def _cholesky(covariance: np.ndarray) -> np.ndarray | None:
    """Compute the upper U with U^T U = covariance; None where it has not full rank."""
    (potrf,) = get_lapack_funcs(("potrf",), dtype=np.float64)
    upper, failed = potrf(covariance)
    pivot = np.diag(upper) ** 2
    return None if failed or pivot.min() <= len(pivot) * np.finfo(np.float64).eps * pivot.max() else upper


def singular_value_sum(matrix: np.ndarray) -> float:
    """Sum of the singular values of a matrix; 0 for one without rows or columns."""
    if min(matrix.shape) == 0:
        return 0.0
    if max(matrix.shape) <= SMALL:
        return float(np.linalg.svd(matrix, compute_uv=False).sum())
    return _root_sum(matrix @ matrix.T if len(matrix) <= matrix.shape[1] else matrix.T @ matrix)


def _root_sum(square: np.ndarray) -> float:
    """Sum of the roots of the eigenvalues of a symmetric matrix, of which the upper half is read."""
    return float(np.sqrt(np.clip(np.linalg.eigvalsh(square, UPLO="U"), 0, None)).sum())


def _overlap(first: np.ndarray, second: np.ndarray) -> float:
    """Compute ``tr((C_1 C_2)^(1/2))`` of two sets of centered features."""
    if min(len(first), len(second)) > first.shape[1]:
        return root_product_trace(first.T @ first, second.T @ second)
    return singular_value_sum(_factor(first) @ _factor(second).T)


def _factor(centered: np.ndarray) -> np.ndarray:
    """Find S with S^T S = X^T X: X, or where X has more rows than columns one with no more rows than its rank."""
    return centered if len(centered) <= centered.shape[1] else semidefinite_factor(centered.T @ centered)


def _kernel_sum(first: np.ndarray, second: np.ndarray, row_weight: np.ndarray, column_weight: np.ndarray) -> np.ndarray:
    total = np.zeros(row_weight.shape[1])
    for start in range(0, len(first), BLOCK):
        rows = slice(start, start + BLOCK)
        kernel = (first[rows] @ second.T / first.shape[1] + 1) ** 3
        total += np.sum(row_weight[rows] * (kernel @ column_weight), axis=0)
    return total


def _diagonal(features: np.ndarray) -> np.ndarray:
    return (np.sum(features**2, axis=1) / features.shape[1] + 1) ** 3


def _checked(real: np.ndarray, synthetic: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    if real.ndim != 2 or synthetic.ndim != 2 or real.shape[1] != synthetic.shape[1]:
        raise InputError(
            f"got real features {real.shape} and synthetic features {synthetic.shape}: "
            "give [images, features] twice, made by the same extractor"
        )
    if min(len(real), len(synthetic)) < 2:
        raise InputError(f"got {len(real)} real and {len(synthetic)} synthetic images: give at least 2 of each")
    for name, features in (("real", real), ("synthetic", synthetic)):
        if not np.isfinite(features.sum(dtype=np.float64)):  # NaN and infinity go through a sum
            raise InputError(f"the {name} features contain NaN or infinity: check the images and the extractor")
    return real.astype(np.float64, copy=False), synthetic.astype(np.float64, copy=False)
