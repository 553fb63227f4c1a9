"""From resampled values to an interval, and what a reader must know before trusting it."""

from __future__ import annotations

import numpy as np
from scipy.stats import binomtest

from meddiff.evaluation.classifiers.metrics import METRICS, Metric
from meddiff.evaluation.classifiers.study import Study
from meddiff.metrics.resampling import Resampling

FEW_GROUPS = 10
"""Fewer patients than this and a percentile interval is rough, and the table warns: in simulations 95% intervals of the
sensitivity of a class held the truth in 92% with 4 patients, in 97% with 7 and with 20."""


def score_interval(
    study: Study, metric: str, class_name: str, values: np.ndarray, resampling: Resampling
) -> tuple[float, float]:
    """Compute the interval of resampled values [R + 1], or the exact binomial one where every image is right, or wrong.

    A bootstrap of a class whose 5 patients are all right gives [1, 1], as if that were certain.
    """
    kind = METRICS[metric]
    if not kind.share_of_class or values[0] not in (0.0, 1.0):
        low, high = np.clip(interval(kind, values, resampling), 0, kind.largest)
        return float(low), float(high)
    groups = study.counts(class_name)[1]
    exact = binomtest(int(values[0]) * groups, groups).proportion_ci(resampling.confidence_level, method="exact")
    return float(exact.low), float(exact.high)


def interval(kind: Metric, values: np.ndarray, resampling: Resampling) -> tuple[float, float]:
    """Compute percentiles of the resamples, reflected at the estimate where a metric is biased.

    NaN where it is infinite.
    """
    if np.isinf(values).any():
        return float("nan"), float("nan")
    low, high = resampling.interval(values[1:])
    return (2 * values[0] - high, 2 * values[0] - low) if kind.biased else (low, high)


def warning(study: Study, metric: str, class_name: str, low: float, high: float) -> str:
    """Say what a reader must know before trusting an interval; empty when there is nothing."""
    images, groups = study.counts(class_name)
    if images == 0:
        return "no test image of this class"
    notes = []
    if groups < FEW_GROUPS:
        notes.append(f"only {counted(groups, 'group')} (patients, lesions or images): the interval is rough")
    if not class_name:
        absent = [name for name in study.class_names if study.counts(name)[0] == 0]
        single = [name for name in study.class_names if study.counts(name)[1] == 1]
        if absent:
            notes.append(f"averaged without {', '.join(absent)}, of which there is no test image")
        if single:
            notes.append(
                f"{', '.join(single)} with a single group (patient, lesion or image) each: their uncertainty "
                "is not in the interval"
            )
    if METRICS[metric].at_threshold and study.validation is None:
        notes.append("threshold chosen on the test images: no validation predictions")
    if len(study.seeds) == 1:
        notes.append("one seed: the interval leaves out the chance of training")
    if np.isnan(low) and np.isinf(METRICS[metric].largest):
        notes.append("the true class of some image was called impossible: no interval")
    if low == high:
        notes.append("every resample gives the same value: the interval says nothing")
    return "; ".join(notes)


def probability_better(kind: Metric, differences: np.ndarray) -> float:
    """Compute the share of resampled differences in favor of the arm, ties counted half."""
    gains = differences[~np.isnan(differences)] * (1 if kind.best else -1)
    return float(np.mean((gains > 0) + 0.5 * (gains == 0))) if len(gains) else float("nan")


def counted(number: int, noun: str) -> str:
    """Compute ``1 patient``, ``1,204 patients``."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
