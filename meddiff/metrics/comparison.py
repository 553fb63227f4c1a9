"""Classical paired tests of two classifiers on the same cases, and the adjustment for several of them.

They take cases as independent: give one image per patient. With several images per patient, or several training seeds,
the intervals of `meddiff.evaluation.paired_differences` are the ones to use.

DeLong, DeLong & Clarke-Pearson 1988 for AUROC, by the ranks of Sun & Xu 2014; McNemar 1947 (exact) for accuracy;
Holm 1979 for several tests.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.stats import binomtest, norm, rankdata

from meddiff.errors import InputError
from meddiff.metrics.overlap import binary


@dataclass(frozen=True)
class AurocComparison:
    """AUROC of two scores on the same cases, their difference (second minus first), its standard error and p-value."""

    first: float
    second: float
    difference: float
    standard_error: float
    p_value: float


def delong(positive: np.ndarray, first: np.ndarray, second: np.ndarray) -> AurocComparison:
    """DeLong's test: positive [N] bool, two scores [N] of the same cases; two-sided.

    Needs at least two positive and two negative cases. Scores that order all cases alike have no difference, an error
    of 0 and a p-value of 1.
    """
    positive = binary(positive, "list of positive cases")
    if positive.ndim != 1 or not positive.shape == first.shape == second.shape:
        raise InputError(f"got shapes {positive.shape}, {first.shape} and {second.shape}: give one number per case")
    if min(positive.sum(), (~positive).sum()) < 2:
        raise InputError(
            f"got {positive.sum()} positive and {(~positive).sum()} negative cases: give at least 2 of each"
        )
    if not (np.isfinite(first).all() and np.isfinite(second).all()):
        raise InputError("a score is NaN or infinite: every case needs both scores")
    wins, holds = zip(*(_components(positive, score) for score in (first, second)), strict=True)
    areas = [float(part.mean()) for part in wins]
    difference = areas[1] - areas[0]
    variance = np.var(wins[1] - wins[0], ddof=1) / len(wins[0]) + np.var(holds[1] - holds[0], ddof=1) / len(holds[0])
    error = float(np.sqrt(variance))
    p_value = float(2 * norm.sf(abs(difference) / error)) if error > 0 else float(difference == 0)
    return AurocComparison(areas[0], areas[1], difference, error, p_value)


def mcnemar(first_right: np.ndarray, second_right: np.ndarray) -> float:
    """Exact two-sided p-value that two classifiers are equally accurate: bool [N], bool [N], case by case.

    Only the cases that one of them alone gets right count; without any the p-value is 1.
    """
    first_right, second_right = binary(first_right, "first list"), binary(second_right, "second list")
    if first_right.shape != second_right.shape or first_right.ndim != 1 or len(first_right) == 0:
        raise InputError(
            f"got {first_right.shape} and {second_right.shape}: give right or wrong for each of some cases"
        )
    first_alone = int((first_right & ~second_right).sum())
    apart = int((first_right != second_right).sum())
    return float(binomtest(first_alone, apart).pvalue) if apart else 1.0


def holm(p_values: np.ndarray) -> np.ndarray:
    """Holm's adjusted p-values [M]: rejecting those below 0.05 errs at all in at most 5% of cases."""
    if p_values.ndim != 1 or not ((p_values >= 0) & (p_values <= 1)).all():
        raise InputError("p-values are a list of numbers in [0, 1]; NaN is none")
    order = np.argsort(p_values, kind="stable")
    adjusted = np.empty(len(p_values))
    adjusted[order] = np.minimum(np.maximum.accumulate(p_values[order] * np.arange(len(p_values), 0, -1)), 1.0)
    return adjusted


def _components(positive: np.ndarray, score: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For each positive the share of negatives it beats, for each negative the share of positives that beat it."""
    overall, among_positive, among_negative = rankdata(score), rankdata(score[positive]), rankdata(score[~positive])
    beaten = (overall[positive] - among_positive) / len(among_negative)
    beating = 1 - (overall[~positive] - among_negative) / len(among_positive)
    return beaten, beating
