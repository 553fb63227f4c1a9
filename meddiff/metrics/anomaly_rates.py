"""Rates by which a score tells what is anomalous from what is healthy, images or pixels, for thousands of resamples.

All that is asked of millions of pixels is how many of a group's (a patient's) anomalous and healthy ones lie in each
bin of the score. Bins are those of equal values where there are few (images: exact), else of equal counts. With
``T_b`` and ``F_b`` the anomalous and healthy ones in bin b or above, P and N all of them:

- AUROC: ``sum_b p_b (N - F_b + n_b / 2) / (P N)``, where p_b and n_b are those in bin b alone (Mann-Whitney);
- average precision: ``sum_b p_b T_b / (T_b + F_b) / P``; what chance gives is P / (P + N);
- best Dice: ``max_b 2 T_b / (P + T_b + F_b)``, that of the best threshold, pooled over all pixels;
- false alarms at a sensitivity s: ``F_b / N`` of the highest b with ``T_b >= s P``.

Resamples are weights of the groups, [G, R] (see `metrics.resampling`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import median_filter

MOST_BINS = 400
"""Of more distinct values bins hold equal counts: the AUROC of pixels moves by less than one in 400 of itself."""
PEAK = 0.02
"""Share of the pixels whose mean is the score of an image by its peak."""


@dataclass(frozen=True)
class Binned:
    """Counts of what is anomalous and healthy in each group and bin of a score."""

    anomalous: np.ndarray
    """[G, bins], bins from low scores to high."""
    healthy: np.ndarray
    """[G, bins]"""

    def resampled(self, weights: np.ndarray) -> Rates:
        """Sum the counts under R weightings of the groups: [G, R]."""
        return Rates(weights.T @ self.anomalous, weights.T @ self.healthy)


@dataclass(frozen=True)
class Rates:
    """The counts of R resamples, [R, bins] each; every metric is [R], NaN where it has nothing to be measured by."""

    anomalous: np.ndarray
    healthy: np.ndarray

    def auroc(self) -> np.ndarray:
        """Compute the area under the ROC curve."""
        below = np.cumsum(self.healthy, axis=1) - self.healthy / 2
        return _ratio((self.anomalous * below).sum(1), self._all(self.anomalous) * self._all(self.healthy))

    def average_precision(self) -> np.ndarray:
        """Compute the average precision, without interpolation."""
        hits, alarms = _at_or_above(self.anomalous), _at_or_above(self.healthy)
        precision = np.nan_to_num(_ratio(hits, hits + alarms))
        return _ratio((self.anomalous * precision).sum(1), self._all(self.anomalous))

    def best_dice(self) -> np.ndarray:
        """Compute the Dice at the threshold that is best for it."""
        hits, alarms = _at_or_above(self.anomalous), _at_or_above(self.healthy)
        dice = _ratio(2 * hits, self._all(self.anomalous)[:, None] + hits + alarms)
        return np.where(self._all(self.anomalous) > 0, np.nan_to_num(dice).max(1), np.nan)

    def false_alarms(self, sensitivity: float = 0.95) -> np.ndarray:
        """Compute the share of what is healthy that is called where so much of the anomalous is."""
        hits, alarms = _at_or_above(self.anomalous), _at_or_above(self.healthy)
        enough = hits >= sensitivity * self._all(self.anomalous)[:, None] * (1 - 1e-12)
        at = enough.shape[1] - 1 - enough[:, ::-1].argmax(1)
        share = _ratio(alarms[np.arange(len(at)), at], self._all(self.healthy))
        return np.where(self._all(self.anomalous) > 0, share, np.nan)

    @staticmethod
    def _all(counts: np.ndarray) -> np.ndarray:
        return counts.sum(1)


def binned(scores: np.ndarray, anomalous: np.ndarray, group: np.ndarray, groups: int) -> Binned:
    """Count scores [N] by group and bin: anomalous [N] bool, group [N] int in 0..groups-1."""
    edges = np.unique(scores)
    if len(edges) > MOST_BINS:
        edges = np.unique(np.quantile(scores, np.linspace(0, 1, MOST_BINS + 1)[:-1]))
    at = np.searchsorted(edges, scores, side="right") - 1
    flat = group * len(edges) + at
    counts = [np.bincount(flat[own], minlength=groups * len(edges)) for own in (anomalous, ~anomalous)]
    return Binned(*(part.reshape(groups, len(edges)).astype(float) for part in counts))


def pooled_dice(called: np.ndarray, anomalous: np.ndarray, group: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Compute the Dice of all called pixels, pooled, under R weightings of the groups: [N] bool each -> [R]."""
    parts = [np.bincount(group, part.astype(float), len(weights)) @ weights for part in
             (called & anomalous, called, anomalous)]  # fmt: skip
    return _ratio(2 * parts[0], parts[1] + parts[2])


def best_threshold(scores: np.ndarray, anomalous: np.ndarray) -> float:
    """Choose the threshold from which on called pixels [N] have the best Dice, pooled."""
    order = np.argsort(-scores, kind="stable")
    hits = np.cumsum(anomalous[order])
    dice = 2 * hits / (np.arange(1, len(order) + 1) + hits[-1])
    last = np.append(np.diff(scores[order]) != 0, True)  # of equal scores all are called or none
    return float(scores[order][np.where(last, dice, -1.0).argmax()])


def smoothed(maps: np.ndarray, side: int) -> np.ndarray:
    """Replace each value of maps [N, *S] by the median of the square of that odd side around it."""
    if side == 1:
        return maps
    return median_filter(maps, size=(1, *(side,) * (maps.ndim - 1)), mode="nearest")


def pooled(maps: np.ndarray, how: str) -> np.ndarray:
    """Turn maps [N, *S] into scores [N]: the mean of all pixels, or by "peak" that of the largest `PEAK` of them."""
    flat = maps.reshape(len(maps), -1)
    if how == "mean":
        return flat.mean(axis=1)
    count = max(1, round(PEAK * flat.shape[1]))
    return np.partition(flat, -count, axis=1)[:, -count:].mean(axis=1)


def _at_or_above(counts: np.ndarray) -> np.ndarray:
    return np.cumsum(counts[:, ::-1], axis=1)[:, ::-1]


def _ratio(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    with np.errstate(invalid="ignore", divide="ignore"):
        return above / below
