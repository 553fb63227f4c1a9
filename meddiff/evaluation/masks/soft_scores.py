"""Means with intervals of what only probabilities or samples have: likelihood, Brier score, distance to several raters.

They are columns of the long table of cases, for those models that can tell them: ``nll`` and ``brier`` of a case
(`mask_calibration.case_calibration`), ``ged`` of a case and class (`meddiff.metrics.masks.uncertainty`, squared generalized
energy distance to the raters; a model with one answer is a distribution at one point).
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from meddiff.evaluation.rows import distinct, numbers, parts, rows_where, texts
from meddiff.metrics.resampling import bootstrap_weights, percentile_interval
from meddiff.seeds import child_seed

OF_CASES = ("nll", "brier")
OF_CLASSES = ("ged",)


def soft_summary(
    cases: pd.DataFrame, *, resamples: int = 2000, confidence_level: float = 0.95, seed: int = 0
) -> pd.DataFrame:
    """Means over the cases, smaller is better, with the difference to the first model where both have a value.

    Returns one row per model, metric and class (``class_name`` is empty for what a whole case has): model, metric,
    class_name, mean, low, high, difference, difference_low, difference_high (of this model minus the first, case by
    case; NaN for the first), n_cases. Intervals resample patients.
    """
    records = []
    for name in (*OF_CASES, *OF_CLASSES):
        known = cases.loc[cases[name].notna()] if name in cases else cases.iloc[:0]
        if name in OF_CASES:
            known = known.drop_duplicates(["model", "case"]).assign(class_name="")
        for (class_name,), rows in parts(known, ["class_name"]) if len(known) else ():
            first = distinct(rows, "model")[0]
            reference = rows_where(rows, rows["model"] == first)
            theirs = dict(zip(texts(reference, "case"), numbers(reference, name), strict=True))
            for (model,), own in parts(rows, ["model"]):
                values = numbers(own, name)
                apart = values - np.array([theirs.get(case, np.nan) for case in texts(own, "case")])
                estimates = (_interval(part, own, resamples, confidence_level, seed) for part in (values, apart))
                (mean, low, high), (difference, *ends) = estimates
                if model == first:
                    difference, ends = np.nan, [np.nan, np.nan]
                records.append(
                    {"model": model, "metric": name, "class_name": class_name, "mean": mean, "low": low, "high": high,
                     "difference": difference, "difference_low": ends[0], "difference_high": ends[1],
                     "n_cases": len(values)}
                )  # fmt: skip
    return pd.DataFrame(records)


def _interval(
    values: np.ndarray, rows: pd.DataFrame, resamples: int, confidence_level: float, seed: int
) -> tuple[float, float, float]:
    """Mean of the values that are there, and its interval over patients."""
    there = ~np.isnan(values)
    if not there.any():
        return np.nan, np.nan, np.nan
    patients, group = np.unique(texts(rows, "patient")[there], return_inverse=True)
    generator = np.random.default_rng(child_seed(seed, "evaluation", "soft scores"))
    weights = bootstrap_weights(np.zeros(len(patients), int), resamples, generator)
    sums, counts = (np.bincount(group, part, len(patients)) for part in (values[there], np.ones(there.sum())))
    means = (sums @ weights) / (counts @ weights)
    return float(means[0]), *percentile_interval(means[1:], confidence_level)
