"""From the long table of cases to means with intervals, and to differences of two models case by case.

Intervals are percentiles of the rescaled bootstrap over patients (`meddiff.metrics.resampling`): images of one patient
stay together. They cover other patients, not another training of the model.

A class that no truth holds is not measured (`of_held_classes`). The rows over all classes (`class_name` empty, where
there are several) are means over the cases of each case's mean over its classes.

Means with intervals of what only probabilities or samples have: likelihood, Brier score, distance to several raters.

They are columns of the long table of cases, for those models that can tell them: ``nll`` and ``brier`` of a case
(`calibration.case_calibration`), ``ged`` of a case and class (`meddiff.metrics.masks.uncertainty`, squared generalized
energy distance to the raters; a model with one answer is a distribution at one point).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import wilcoxon

from meddiff.errors import InputError
from meddiff.evaluation.by_patient import mean_by_patient, patient_weights
from meddiff.evaluation.masks.cases import METRICS
from meddiff.evaluation.rows import distinct, numbers, parts, rows_where, texts
from meddiff.metrics.classifiers.comparison import holm
from meddiff.metrics.resampling import USUAL, Resampling

LOW_DICE = 0.8  # below it a case counts as failed
IDENTITY = ("model", "case", "patient", "class_name")
FEW_PATIENTS = 10


def check_cases(cases: pd.DataFrame) -> None:
    """Refuse a long table that lacks a column, has no row, or a case twice."""
    needed = [*IDENTITY, *METRICS, "empty", "failure", "unit", "diagonal"]
    missing = [name for name in needed if name not in cases.columns]
    if missing or cases.empty:
        raise InputError(
            f"the table of cases has {len(cases)} rows and lacks the column(s) {', '.join(missing) or '(none)'}: make "
            "its rows with case_scores, and add model, case and patient"
        )
    if cases[list(IDENTITY)].isna().to_numpy().any():
        raise InputError("some rows have no model, case, patient or class name: say what each row is about")
    twice = rows_where(cases, cases.duplicated(["model", "case", "class_name"]))
    for row in twice.head(1).to_dict("records"):
        raise InputError(
            f"case {row['case']!r} of {row['model']!r}, class {row['class_name']!r}, is there twice: score it once"
        )
    owners = cases.drop_duplicates(["case", "patient"])
    for case in texts(rows_where(owners, owners.duplicated("case")), "case")[:1]:
        raise InputError(f"case {str(case)!r} has another patient in another row: a case is of one patient")


def of_held_classes(cases: pd.DataFrame) -> pd.DataFrame:
    """Leave the metrics of a class that no truth holds empty: there is nothing that it could be measured by.

    Else it would score 1 for every model that leaves it out, and enter the mean. A class that some truths hold is
    measured in all cases: both empty is 1, and one that is in the prediction alone is 0, as nnU-Net counts it (Isensee
    et al. 2021; Reinke et al. 2024, "Understanding metric-related pitfalls in image analysis validation", on empty
    references). Where no truth holds any class (healthy images alone) all are measured, by their false alarms.
    """
    holds = np.isin(texts(cases, "empty"), ("", "prediction"))
    held = set(texts(rows_where(cases, holds), "class_name"))
    absent = ~np.isin(texts(cases, "class_name"), list(held))
    if not held or not absent.any():
        return cases
    return cases.assign(**{name: np.where(absent, np.nan, numbers(cases, name)) for name in METRICS})


def finite_distances(cases: pd.DataFrame) -> pd.DataFrame:
    """Put the image's diagonal in the place of infinite distances, so that a mean counts the failures."""
    names = [name for name, metric in METRICS.items() if metric.distance]
    values = {name: numbers(cases, name) for name in names}
    diagonal = numbers(cases, "diagonal")
    return cases.assign(**{name: np.where(np.isinf(column), diagonal, column) for name, column in values.items()})


def with_all_classes(cases: pd.DataFrame) -> pd.DataFrame:
    """Add a row per model and case where there are several classes: their mean, with class_name ""."""
    if len(distinct(cases, "class_name")) < 2:
        return cases
    means: Any = cases.groupby(["model", "case"], sort=False)[list(METRICS)].mean()
    first = cases.drop_duplicates(["model", "case"])
    whole = first.drop(columns=list(METRICS)).assign(class_name="", empty="")
    whole = whole.assign(**{name: np.asarray(means[name]) for name in METRICS})
    return pd.concat([whole, cases], ignore_index=True)


def summary(cases: pd.DataFrame, *, resampling: Resampling = USUAL) -> pd.DataFrame:
    """Compute the mean with interval, and median, of every metric of every model and class.

    Returns one row per model, class and metric: model, class_name, metric, unit, mean, low, high, median, share_below
    (of Dice under `LOW_DICE`; NaN for the rest), n_cases, n_patients, n_with_class (cases whose truth
    holds the class), n_defined (cases where the metric is a number:
    sensitivity has none without a truth), n_false_alarms, n_missed, n_both_empty, n_failures, warning.
    """
    check_cases(cases)
    table = with_all_classes(finite_distances(of_held_classes(cases)))
    patients, weights = patient_weights(table, resampling, "masks")
    records = []
    for (model, class_name), rows in parts(table, ["model", "class_name"]):
        group = np.searchsorted(patients, texts(rows, "patient"))
        about = {"model": model, "class_name": class_name} | _counts(cases, model, class_name)
        units = distinct(rows, "unit")
        for name, metric in METRICS.items():
            if metric.distance and len(units) > 1:
                raise InputError(f"some distances of {model!r} are in mm and some in px: score them as two tables")
            values = numbers(rows, name)
            mean, low, high = mean_by_patient(values, group, weights, resampling)
            known = values[~np.isnan(values)]
            below = float((known < LOW_DICE).mean()) if name == "dice" and len(known) else np.nan
            records.append(
                {**about, "metric": name, "unit": units[0] if metric.distance else "", "mean": mean, "low": low,
                 "high": high, "median": _median(values), "share_below": below,
                 "n_defined": int((~np.isnan(values)).sum()), "warning": _warning(about["n_patients"], low, high)}
            )  # fmt: skip
    return pd.DataFrame(records)


def paired_mask_differences(
    cases: pd.DataFrame,
    models: str | Sequence[str],
    against: str,
    *,
    metrics: Sequence[str] = ("dice",),
    resampling: Resampling = USUAL,
) -> pd.DataFrame:
    """Compute each model minus ``against``, case by case on the same cases.

    Returns one row per model, class and metric: model, against, class_name, metric, unit, estimate,
    against_estimate, difference, low, high, p_value (Wilcoxon's signed-rank test of the patients' mean differences;
    Wilcoxon 1945), p_holm (Holm 1979, over all rows of this table), n_cases, n_patients, confidence_level. Cases where
    the metric is undefined for either are left out and not counted; a class without any other has no row.

    Raises:
        InputError: a model or metric that is not there, or models scored on other cases.
    """
    check_cases(cases)
    models = [models] if isinstance(models, str) else list(models)
    _check_pair(cases, [*models, against], metrics)
    table = with_all_classes(finite_distances(of_held_classes(cases)))
    patients, weights = patient_weights(table, resampling, "masks")
    records = []
    for model, class_name, name in product(models, distinct(table, "class_name"), metrics):
        one, other = (_of(table, part, class_name) for part in (model, against))
        known = ~(np.isnan(numbers(one, name)) | np.isnan(numbers(other, name)))
        one, other = rows_where(one, known), rows_where(other, known)
        if not len(one):
            continue
        gap = numbers(one, name) - numbers(other, name)
        group = np.searchsorted(patients, texts(one, "patient"))
        difference, low, high = mean_by_patient(gap, group, weights, resampling)
        unit = distinct(one, "unit")[0] if METRICS[name].distance and len(one) else ""
        records.append(
            {"model": model, "against": against, "class_name": class_name, "metric": name, "unit": unit,
             "estimate": one[name].mean(), "against_estimate": other[name].mean(), "difference": difference,
             "low": low, "high": high, "p_value": _wilcoxon(gap, group), "n_cases": len(gap),
             "n_patients": len(np.unique(group)), "confidence_level": resampling.confidence_level}
        )  # fmt: skip
    compared = pd.DataFrame(records)
    return compared.assign(p_holm=holm(numbers(compared, "p_value")))


def _median(values: np.ndarray) -> float:
    known = values[~np.isnan(values)]
    return float(np.median(known)) if len(known) else np.nan


def _counts(cases: pd.DataFrame, model: Any, class_name: Any) -> dict[str, int]:
    """Count cases, patients and what was empty or failed; for "" over all classes (a case once per class)."""
    rows = rows_where(cases, cases["model"] == model)
    rows = rows_where(rows, rows["class_name"] == class_name) if class_name else rows
    failed = texts(rows, "failure") != ""
    empty = np.where(failed, "failed", texts(rows, "empty"))
    return {
        "n_cases": len(distinct(rows, "case")),
        "n_patients": len(distinct(rows, "patient")),
        "n_with_class": len(distinct(rows_where(rows, np.isin(texts(rows, "empty"), ("", "prediction"))), "case")),
        "n_false_alarms": int((empty == "truth").sum()),
        "n_missed": int((empty == "prediction").sum()),
        "n_both_empty": int((empty == "both").sum()),
        "n_failures": len(distinct(rows_where(rows, failed), "case")),
    }


def _warning(patients: int, low: float, high: float) -> str:
    if patients < FEW_PATIENTS:
        return f"only {patients} patient{'' if patients == 1 else 's'}: the interval is rough"
    return "every resample gives the same value: the interval says nothing" if low == high else ""


def _check_pair(cases: pd.DataFrame, models: Sequence[str], metrics: Sequence[str]) -> None:
    unknown = [name for name in models if name not in set(cases["model"])]
    if unknown:
        raise InputError(f"no cases of {', '.join(unknown)}; there are {', '.join(map(str, cases['model'].unique()))}")
    if not set(metrics) <= set(METRICS):
        raise InputError(f"got metrics {', '.join(metrics)}: choose among {', '.join(METRICS)}")
    scored = {name: set(rows["case"]) for (name,), rows in parts(cases, ["model"])}
    for name in models:
        apart = sorted(scored[name] ^ scored[models[-1]], key=str)
        if apart:
            raise InputError(
                f"{name} and {models[-1]} were scored on other cases ({len(apart)} are in one alone, such as "
                f"{apart[0]}): compare them on the same ones"
            )


def _of(table: pd.DataFrame, model: str, class_name: str) -> pd.DataFrame:
    """Return the rows of a model and class, in the order of the cases, so that two models' rows stand side by side."""
    rows = rows_where(table, (table["model"] == model) & (table["class_name"] == class_name))
    return rows.sort_values("case")


def _wilcoxon(gap: np.ndarray, group: np.ndarray) -> float:
    """Compute two-sided p of the patients' mean differences; 1 where nobody differs."""
    if not gap.any():
        return 1.0
    _, place, count = np.unique(group, return_inverse=True, return_counts=True)
    means = np.bincount(place, weights=gap) / count
    test: Any = wilcoxon(means) if means.any() else None
    return 1.0 if test is None else float(test.pvalue)


OF_CASES = ("nll", "brier")
OF_CLASSES = ("ged",)


def soft_summary(cases: pd.DataFrame, *, resampling: Resampling = USUAL) -> pd.DataFrame:
    """Compute means over the cases, smaller is better, with the difference to the first model where both have a value.

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
                estimates = (_interval(part, own, resampling) for part in (values, apart))
                (mean, low, high), (difference, *ends) = estimates
                if model == first:
                    difference, ends = np.nan, [np.nan, np.nan]
                records.append(
                    {"model": model, "metric": name, "class_name": class_name, "mean": mean, "low": low, "high": high,
                     "difference": difference, "difference_low": ends[0], "difference_high": ends[1],
                     "n_cases": len(values)}
                )  # fmt: skip
    return pd.DataFrame(records)


def _interval(values: np.ndarray, rows: pd.DataFrame, resampling: Resampling) -> tuple[float, float, float]:
    """Compute the mean of the values that are there, and its interval over patients."""
    there = ~np.isnan(values)
    if not there.any():
        return np.nan, np.nan, np.nan
    patients, group = np.unique(texts(rows, "patient")[there], return_inverse=True)
    weights = resampling.weights(np.zeros(len(patients), int), "soft scores")
    sums, counts = (np.bincount(group, part, len(patients)) for part in (values[there], np.ones(there.sum())))
    means = (sums @ weights) / (counts @ weights)
    return float(means[0]), *resampling.interval(means[1:])
