"""Images made of known ones, against the true ones: scores of a case, and means and differences over patients.

``psnr_db`` and ``ssim`` are of the wanted pixels (of an image with holes PSNR is of the holes alone); ``detail_db`` is
the power that fine detail has too much of, or too little; ``consistency_db`` is the PSNR of what becomes of the answer
when it is made as coarse as the known image; ``spread`` is the standard deviation of the members, a share of the range;
``dice``, of images drawn by their masks, is that of their mask and the one that a segmenter sees in the answer.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd

from meddiff.errors import InputError
from meddiff.evaluation.by_patient import mean_by_patient, patient_weights, resampled_means
from meddiff.evaluation.rows import distinct, numbers, parts, rows_where, texts
from meddiff.metrics.images.diversity import WINDOW
from meddiff.metrics.images.restoration import detail_db, psnr_db, ssim
from meddiff.metrics.resampling import USUAL, Resampling

METRICS = ("psnr_db", "ssim", "detail_db", "consistency_db", "spread")
DICE = "dice"
"""The metric that images drawn by their masks have beside them."""
COMPARED = (*METRICS[:3], DICE)
"""Metrics in which models are compared."""
RANGE = 2.0
"""Of images in [-1, 1]."""
LARGEST_DB = 100.0
"""A PSNR is held to it, so that one image without error does not make a mean infinite."""
SURE = 1.96 + 0.84
"""Standard errors of the smallest true difference that is shown in 80% of studies at a level of 5% (Cohen 1988)."""
Coarse = Callable[[np.ndarray], np.ndarray]
"""Image [C, *S] -> the means of its blocks."""


def scores_of(
    members: np.ndarray, truth: np.ndarray, *, where: np.ndarray | None = None, coarse: Coarse | None = None
) -> dict[str, float | None]:
    """Measure what a model made of a known image: the means of its members' scores, and their spread.

    Args:
        members: [M, C, *S] in [-1, 1].
        truth: [C, *S].
        where: bool like the truth: the wanted pixels; None for all.
        coarse: what the known image was made by, where it is a coarse one.

    Returns:
        METRICS; None for what is not defined.
    """
    each = [_scores(member, truth, where, coarse) for member in members]
    means = {name: float(np.mean([one[name] for one in each])) for name in each[0]}
    means["spread"] = float(members.std(axis=0, ddof=1).mean()) / RANGE if len(members) > 1 else math.nan
    return {name: None if math.isnan(value) else round(value, 6) for name, value in means.items()}


def _scores(
    answer: np.ndarray, truth: np.ndarray, where: np.ndarray | None, coarse: Coarse | None
) -> dict[str, float]:  # fmt: skip
    consistency = math.nan
    if coarse is not None:
        consistency = min(LARGEST_DB, psnr_db(coarse(truth), coarse(answer), data_range=RANGE))
    return {
        "psnr_db": min(LARGEST_DB, psnr_db(truth, answer, data_range=RANGE, where=where)),
        "ssim": ssim(truth, answer, data_range=RANGE) if min(truth.shape[-2:]) >= WINDOW else math.nan,
        "detail_db": detail_db(truth, answer),
        "consistency_db": consistency,
    }


def means_of(cases: pd.DataFrame, *, resampling: Resampling = USUAL) -> pd.DataFrame:
    """Compute the mean, with its interval over patients, of every metric of every model.

    Returns one row per model and metric: model, metric, mean, low, high, n_cases, n_patients.
    """
    patients, weights = patient_weights(cases, resampling, "answers")
    lines = []
    for (model,), rows in parts(cases, ["model"]):
        group = np.searchsorted(patients, texts(rows, "patient"))
        for metric in _measured(cases):
            values = numbers(rows, metric)
            mean, low, high = mean_by_patient(values, group, weights, resampling)
            about = {"n_cases": int((~np.isnan(values)).sum()), "n_patients": len(np.unique(group))}
            lines.append({"model": model, "metric": metric, "mean": mean, "low": low, "high": high, **about})
    return pd.DataFrame(lines)


def _measured(cases: pd.DataFrame) -> list[str]:
    return [metric for metric in (*METRICS, DICE) if metric in cases.columns]


def differences_of(cases: pd.DataFrame, against: Sequence[str], *, resampling: Resampling = USUAL) -> pd.DataFrame:
    """Compute each model minus each of those that it is compared with, image by image.

    Returns one row per pair and metric of `COMPARED`: model, against, metric, estimate, against_estimate, difference,
    low, high, smallest (true difference that would have been shown in 80% of such studies), n_cases, n_patients.

    Raises:
        InputError: models with other cases.
    """
    patients, weights = patient_weights(cases, resampling, "answers")
    group = np.searchsorted(patients, texts(_of(cases, distinct(cases, "model")[0]), "patient"))
    lines, models = [], distinct(cases, "model")
    for position, model in enumerate(models):
        one = _of(cases, model)
        for other in [name for name in against if name in models[:position]]:
            two = _of(cases, other)
            if list(one["case"]) != list(two["case"]):
                raise InputError(f"{model} and {other} were scored on other cases: compare them on the same ones")
            for metric in [metric for metric in _measured(cases) if metric in COMPARED]:
                lines.append({
                    "model": model, "against": other, "metric": metric,
                    **_difference(numbers(one, metric), numbers(two, metric), group, weights, resampling),
                    "n_cases": len(one), "n_patients": len(patients),
                })  # fmt: skip
    return pd.DataFrame(lines)


def _difference(
    one: np.ndarray, two: np.ndarray, group: np.ndarray, weights: np.ndarray, resampling: Resampling
) -> dict[str, float]:
    gap = one - two
    difference, low, high = mean_by_patient(gap, group, weights, resampling)
    known = ~np.isnan(gap)
    error = float(np.nanstd(resampled_means(gap[known], group[known], weights)[1:])) if known.any() else math.nan
    estimates = {"estimate": float(np.nanmean(one)), "against_estimate": float(np.nanmean(two))} if known.any() else {}
    return {**estimates, "difference": difference, "low": low, "high": high, "smallest": SURE * error}


def _of(cases: pd.DataFrame, model: str) -> pd.DataFrame:
    """Return the rows of a model in the order of the cases."""
    return rows_where(cases, cases["model"] == model).sort_values("case", kind="stable")
