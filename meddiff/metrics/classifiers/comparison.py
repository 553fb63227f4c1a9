"""Classical paired tests of two classifiers on the same cases, and the adjustment for several of them.

DeLong, DeLong & Clarke-Pearson 1988 for AUROC, by the ranks of Sun & Xu 2014; McNemar 1947 (exact) for accuracy;
Holm 1979 for several tests. Two things that studies have and the originals do not:

- several images of one patient (``group``). An AUROC moves by a sum over images, so its variance is that of sums over
  patients: Obuchowski 1997, "Nonparametric analysis of clustered ROC curve data" (up to a factor n / (n - 1) in the
  term between a patient's own positive and negative images). McNemar's test asks whether wins and losses are a fair
  coin's; here the coin is thrown once per patient, and the distribution is still computed exactly.
- several trainings (scores [S, N]): what is tested is the mean over the S classifiers, given these. Whether another
  training would come out likewise is not in the p-value, but in `meddiff.evaluation.paired_differences`.

The macro average over classes moves by the mean of the classes' sums, so it is tested in the same way.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.stats import norm, rankdata

from meddiff.errors import InputError
from meddiff.metrics.masks.overlap import binary


@dataclass(frozen=True)
class AurocComparison:
    """AUROC of two scores on the same cases, their difference (second minus first), its standard error and p-value."""

    first: float
    second: float
    difference: float
    standard_error: float
    p_value: float


def delong(
    positive: np.ndarray, first: np.ndarray, second: np.ndarray, group: np.ndarray | None = None
) -> AurocComparison:
    """Compute DeLong's test, two-sided.

    ``positive`` is [N] bool; two scores of the same cases are [N] or [S, N]; ``group`` [N] names patients.

    Needs positive and negative cases of at least two patients. Scores that order all cases alike have no difference,
    an error of 0 and a p-value of 1.
    """
    positive = binary(positive, "list of positive cases")
    group = np.arange(len(positive)) if group is None else group
    return _compared(_area(positive, first, group), _area(positive, second, group), group)


def delong_macro(
    labels: np.ndarray, first: np.ndarray, second: np.ndarray, group: np.ndarray | None = None
) -> AurocComparison:
    """Give it for the macro average of one-against-the-rest AUROC: labels [N] int, probabilities [N, K] or [S, N, K].

    Classes without an image are left out of the mean; each of the others needs images of at least two patients.
    """
    group = np.arange(len(labels)) if group is None else group
    present = np.unique(labels)
    areas = []
    for score in (first, second):
        parts = [_area(labels == k, score[..., k], group) for k in present]
        areas.append((float(np.mean([area for area, _ in parts])), np.mean([moves for _, moves in parts], 0)))
    return _compared(areas[0], areas[1], group)


def mcnemar(first_right: np.ndarray, second_right: np.ndarray, group: np.ndarray | None = None) -> float:
    """Compute exact two-sided p-value that two classifiers are equally accurate: bool [N] or [S, N], case by case.

    Each patient (group [N]; else each case) has a number of wins of the second classifier minus the first's; under the
    hypothesis their signs are fair coins. Only patients with a surplus count; without any the p-value is 1.
    """
    first_right, second_right = binary(first_right, "first list"), binary(second_right, "second list")
    if first_right.shape != second_right.shape or first_right.size == 0:
        raise InputError(
            f"got {first_right.shape} and {second_right.shape}: give right or wrong for each of some cases"
        )
    wins = np.atleast_2d(second_right).sum(0) - np.atleast_2d(first_right).sum(0)
    if group is not None:
        wins = np.bincount(np.unique(group, return_inverse=True)[1], weights=wins).round().astype(int)
    return _as_far_from_zero(wins[wins != 0])


def holm(p_values: np.ndarray) -> np.ndarray:
    """Compute Holm's adjusted p-values [M]: rejecting those below 0.05 errs at all in at most 5% of cases."""
    if p_values.ndim != 1 or not ((p_values >= 0) & (p_values <= 1)).all():
        raise InputError("p-values are a list of numbers in [0, 1]; NaN is none")
    order = np.argsort(p_values, kind="stable")
    adjusted = np.empty(len(p_values))
    adjusted[order] = np.minimum(np.maximum.accumulate(p_values[order] * np.arange(len(p_values), 0, -1)), 1.0)
    return adjusted


def _area(positive: np.ndarray, score: np.ndarray, group: np.ndarray) -> tuple[float, np.ndarray]:
    """Compute AUROC, mean over the seeds, and how far each case moves it: score [N] or [S, N] -> area, [N].

    The variance of the area is the sum over patients of the squared sum of their moves. With one case per patient it
    is DeLong's: the moves are its components over M and N, times the square root of n / (n - 1).
    """
    scores = np.atleast_2d(score)
    if positive.ndim != 1 or scores.shape[1:] != positive.shape or group.shape != positive.shape:
        raise InputError(
            f"got shapes {positive.shape}, {score.shape} and {group.shape}: give one number per case and classifier"
        )
    if not np.isfinite(scores).all():
        raise InputError("a score is NaN or infinite: every case needs both scores")
    patients = [len(np.unique(group[part])) for part in (positive, ~positive)]
    if min(patients) < 2:
        raise InputError(f"got {patients[0]} positive and {patients[1]} negative cases or patients: give 2 of each")
    wins, holds = (np.mean(part, 0) for part in zip(*(_components(positive, one) for one in scores), strict=True))
    moves = np.empty(len(positive))
    for part, own, count in ((positive, wins, patients[0]), (~positive, holds, patients[1])):
        moves[part] = (own - own.mean()) / len(own) * np.sqrt(count / (count - 1))
    return float(wins.mean()), moves


def _compared(first: tuple[float, np.ndarray], second: tuple[float, np.ndarray], group: np.ndarray) -> AurocComparison:
    difference = second[0] - first[0]
    by_patient = np.bincount(np.unique(group, return_inverse=True)[1], weights=second[1] - first[1])
    error = float(np.sqrt(np.sum(by_patient**2)))
    p_value = float(2 * norm.sf(abs(difference) / error)) if error > 1e-12 else float(abs(difference) < 1e-12)
    return AurocComparison(first[0], second[0], difference, error, p_value)


def _as_far_from_zero(wins: np.ndarray) -> float:
    """Give the probability that the sum of whole numbers with random signs is as far from 0 as the sum of ``wins``."""
    steps = np.abs(wins)
    total = int(steps.sum())
    share = np.zeros(2 * total + 1)  # of each sum -total .. total
    share[total] = 1.0
    for step in steps:
        share = (np.roll(share, step) + np.roll(share, -step)) / 2  # nothing reaches the ends before the last step
    far = np.abs(np.arange(-total, total + 1)) >= abs(int(wins.sum()))
    return float(min(1.0, share[far].sum()))


def _components(positive: np.ndarray, score: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Compute for each positive the share of negatives it beats, for each negative that of positives that beat it."""
    overall, among_positive, among_negative = rankdata(score), rankdata(score[positive]), rankdata(score[~positive])
    beaten = (overall[positive] - among_positive) / len(among_negative)
    beating = 1 - (overall[~positive] - among_negative) / len(among_positive)
    return beaten, beating
