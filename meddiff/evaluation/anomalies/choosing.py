"""Choices that are made on validation images: how a detector is set, and from where on it calls an image anomalous."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import product

import numpy as np
from scipy.stats import beta

from meddiff.evaluation.anomalies.truth import Truth
from meddiff.metrics.anomaly_rates import best_threshold, binned, pooled, smoothed

BY_PIXELS = "average precision of the pixels of validation images"
BY_IMAGES = "AUROC of validation images"
BY_NOTHING = "as the recipe says: no validation image is anomalous"
HEALTHY_PIXELS = 0.99
"""Share of healthy pixels that the threshold of maps leaves in peace, where no anomalous pixel is known."""


@dataclass(frozen=True)
class Setting:
    """The way a detector makes a map, and a score of it."""

    level: float | None = None
    """Share of T that images are noised to; None of a detector without diffusion."""
    members: int = 1
    channel: int | None = None
    """Channel of the image that is looked at; None takes all."""
    median: int = 1
    """Side of the median filter, in pixels."""
    pooling: str = "mean"


@dataclass(frozen=True)
class Choice:
    """A setting, and what chose it."""

    setting: Setting
    by: str
    value: float | None
    """Of the criterion; None where nothing could be chosen by."""


@dataclass(frozen=True)
class Alarm:
    """A threshold of scores, above which an image is called anomalous, and how often a healthy one will be.

    The threshold is the k-th smallest score of n healthy validation images, k = ceil((1 - rate) (n + 1)): a new healthy
    image lies above it with a probability of at most ``rate`` (split conformal prediction; Vovk et al. 2005), which
    over the draw of the n is distributed as Beta(n + 1 - k, k), whatever the scores are.
    """

    threshold: float
    rate: float
    """Share of healthy images that may be called."""
    low: float
    high: float
    """95% interval of that share."""
    images: int
    """Healthy validation images, taken as independent."""


def choose(
    tried: Iterable[tuple[Setting, np.ndarray]], truth: Truth, medians: Sequence[int], poolings: Sequence[str]
) -> tuple[Choice, np.ndarray]:
    """Choose the setting that is best on validation images; returns it with its maps.

    By the pixels where their truth is known, which leaves the pooling to the images; else by the images; the first of
    all where neither is known.
    """
    best: tuple[Choice, np.ndarray] | None = None
    for setting, maps in _filtered(tried, medians):
        for choice in _judged(setting, maps, truth, poolings):
            if best is None or (choice.value or 0.0) > (best[0].value or 0.0):
                best = choice, maps
        if best is not None and best[0].by == BY_NOTHING:
            break
    assert best is not None  # there is a setting
    return best


def _filtered(
    tried: Iterable[tuple[Setting, np.ndarray]], medians: Sequence[int]
) -> Iterator[tuple[Setting, np.ndarray]]:
    for (setting, maps), side in product(tried, medians):
        yield replace(setting, median=side), smoothed(maps, side)


def _judged(setting: Setting, maps: np.ndarray, truth: Truth, poolings: Sequence[str]) -> list[Choice]:
    """Judge a setting with each pooling; of equal criteria the first is kept."""
    alike = [replace(setting, pooling=how) for how in poolings]
    of_images = [auroc_of(pooled(maps, how), truth.anomalous) if truth.tells_images else None for how in poolings]
    if truth.tells_pixels:
        pixels, ill, _ = truth.pixels(maps)
        value = float(_all(pixels, ill).average_precision()[0])
        first = max(range(len(alike)), key=lambda number: of_images[number] or 0.0)
        return [Choice(alike[first], BY_PIXELS, value)]
    if truth.tells_images:
        return [Choice(one, BY_IMAGES, value) for one, value in zip(alike, of_images, strict=True)]
    return [Choice(alike[0], BY_NOTHING, None)]


def auroc_of(scores: np.ndarray, anomalous: np.ndarray) -> float:
    """Compute the AUROC of scores [N]."""
    return float(_all(scores, anomalous).auroc()[0])


def _all(scores: np.ndarray, anomalous: np.ndarray):
    return binned(scores, anomalous, np.zeros(len(scores), int), 1).resampled(np.ones((1, 1)))


def map_threshold(maps: np.ndarray, truth: Truth) -> float:
    """Choose from which value on pixels are called: the best Dice, or a share of healthy pixels where none is ill."""
    pixels, ill, _ = truth.pixels(maps)
    if truth.tells_pixels:
        return best_threshold(pixels, ill)
    healthy = maps[~truth.anomalous]
    return float(np.quantile(healthy if healthy.size else maps, HEALTHY_PIXELS))


def alarm(healthy: np.ndarray, rate: float) -> Alarm | None:
    """Fit the threshold to scores [n] of healthy validation images; None of fewer than 1 / rate - 1 of them."""
    n = len(healthy)
    k = math.ceil((1 - rate) * (n + 1) - 1e-9)
    if k > n or n == 0:
        return None
    low, high = beta.ppf([0.025, 0.975], n + 1 - k, k)
    return Alarm(float(np.sort(healthy)[k - 1]), rate, float(low), float(high), n)
