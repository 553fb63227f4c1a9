"""Means over cases with intervals over patients: the images of one patient are no independent cases."""

from __future__ import annotations

import numpy as np
import pandas as pd

from meddiff.evaluation.rows import texts
from meddiff.metrics.resampling import Resampling


def patient_weights(table: pd.DataFrame, resampling: Resampling, use: str) -> tuple[np.ndarray, np.ndarray]:
    """Draw weights of sorted patients in each resample: the same for every model, so that differences are paired.

    Args:
        table: with a column patient.
        resampling: of the patients.
        use: name of what is measured.

    Returns:
        patients [P], weights [P, resamples + 1]; the first column is all ones.
    """
    patients = np.unique(texts(table, "patient"))
    return patients, resampling.weights(np.zeros(len(patients), int), use)


def resampled_means(values: np.ndarray, group: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Compute the mean of values [N], of patients number ``group`` [N], in each resample: [R + 1]; NaN without any."""
    sums, counts = (np.bincount(group, part, minlength=len(weights)) for part in (values, np.ones(len(values))))
    with np.errstate(invalid="ignore"):
        return (sums @ weights) / (counts @ weights)


def mean_by_patient(
    values: np.ndarray, group: np.ndarray, weights: np.ndarray, resampling: Resampling
) -> tuple[float, float, float]:
    """Compute the mean of the cases and its interval.

    NaN cases are left out, and one infinite case makes the mean infinite.
    """
    known = ~np.isnan(values)
    values, group = values[known], group[known]
    if not len(values):
        return np.nan, np.nan, np.nan
    if not np.isfinite(values).all():
        return float(values.mean()), np.nan, np.nan
    means = resampled_means(values, group, weights)
    return float(means[0]), *resampling.interval(means[1:])
