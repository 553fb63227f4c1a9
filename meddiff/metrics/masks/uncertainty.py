"""Uncertainty, in which a model knows what it does not know: samples against truths, confidence against failure.

Generalized energy distance (Szekely & Rizzo 2013; for segmentation Kohl et al. 2018, "A probabilistic U-Net"):
``2 E[d(S, Y)] - E[d(S, S')] - E[d(Y, Y')]`` with d = 1 - IoU, S a sampled mask and Y one of the experts' masks. It is
small only if the samples are as good, and as different from each other, as the experts. Two empty masks are equal
(d = 0). Means are over all pairs, a mask with itself included, as in the paper.

Risk-coverage (Geifman & El-Yaniv 2017): keep the most confident cases only; how large is their mean risk? The area
under that curve (AURC) is compared with the best and with a random order of the same risks.
"""

from __future__ import annotations

import numpy as np
from scipy.stats import rankdata

from meddiff.errors import InputError
from meddiff.metrics.masks.overlap import binary


def generalized_energy_distance(truths: np.ndarray, samples: np.ndarray) -> float:
    """Compute the squared generalized energy distance of masks [M, *S] to the experts' masks [R, *S]; in [0, 2].

    Masks are binary. Raises InputError for masks of another grid or with other values.
    """
    if truths.ndim < 2 or truths.shape[1:] != samples.shape[1:] or not (len(truths) and len(samples)):
        raise InputError(
            f"got truths {truths.shape} and samples {samples.shape}: give [masks, *grid] twice, of one grid"
        )
    first = binary(truths, "truth").reshape(len(truths), -1)
    second = binary(samples, "sample").reshape(len(samples), -1)
    across = _one_minus_iou(first, second).mean()
    return float(2 * across - _one_minus_iou(first, first).mean() - _one_minus_iou(second, second).mean())


def risk_coverage(risk: np.ndarray, confidence: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Compute the mean risk of the most confident cases: risk [N], confidence [N] -> coverage [N], risk [N].

    Coverage runs from 1/N to 1. Cases of equal confidence share their mean risk, so that their order does not matter.
    """
    _check(risk, confidence)
    _, place, count = np.unique(-confidence, return_inverse=True, return_counts=True)
    shared = (np.bincount(place, weights=risk) / count)[place]
    ordered = shared[np.argsort(-confidence, kind="stable")]
    kept = np.arange(1, len(risk) + 1)
    return kept / len(risk), np.cumsum(ordered) / kept


def area_under_risk_coverage(risk: np.ndarray, confidence: np.ndarray) -> tuple[float, float, float]:
    """Give AURC, the smallest that these risks could have in any order, and that of a random order (the mean risk)."""
    return (
        float(risk_coverage(risk, confidence)[1].mean()),
        float(risk_coverage(risk, -risk)[1].mean()),
        float(np.mean(risk)),
    )


def failure_auroc(failed: np.ndarray, confidence: np.ndarray) -> float:
    """Measure how well low confidence finds the failed cases: failed [N] bool, confidence [N] -> AUROC; 0.5 is chance.

    NaN when no case failed or all did: there is nothing to tell apart.
    """
    _check(failed, confidence)
    failed = binary(failed, "list of failures")
    failures, successes = int(failed.sum()), int((~failed).sum())
    if not (failures and successes):
        return float("nan")
    ranks = rankdata(-confidence)[failed].sum() - failures * (failures + 1) / 2  # Mann-Whitney, ties at half
    return float(ranks / (failures * successes))


def _one_minus_iou(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Compute distances of all pairs, [A, V] x [B, V] -> [A, B]; counts are exact in float32 below 2^24 pixels."""
    number = np.float32 if first.shape[1] < 2**24 else np.float64
    common = (first.astype(number) @ second.astype(number).T).astype(np.float64)
    union = first.sum(1)[:, None] + second.sum(1)[None] - common
    return np.where(union > 0, 1 - common / np.maximum(union, 1), 0.0)


def _check(values: np.ndarray, confidence: np.ndarray) -> None:
    if values.ndim != 1 or values.shape != confidence.shape or len(values) == 0:
        raise InputError(
            f"got arrays {values.shape} and {confidence.shape}: give one number per case, of at least one case"
        )
    if not (np.isfinite(values).all() and np.isfinite(confidence).all()):
        raise InputError(
            "NaN or infinity among risks or confidences: give every case both, a failed one the worst risk"
        )
