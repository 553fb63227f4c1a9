"""Lesions found against lesions invented, over all thresholds of a probability: the free-response curve (FROC).

Bunch et al. 1978; Chakraborty & Winter 1990. Lesions are matched as in `meddiff.metrics.masks.lesions`. Counts of cases
add up, so a test split of any size needs a few numbers per case, and intervals resample patients.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from meddiff.evaluation.masks.cases import LEAST_IOU, bounding_box
from meddiff.evaluation.rows import distinct, numbers, parts, texts
from meddiff.formats.masks import IGNORED
from meddiff.metrics.masks.lesions import detect
from meddiff.metrics.resampling import USUAL, Resampling

THRESHOLDS = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95)
COUNTS = ("found", "missed", "invented")


def free_response(
    truth: np.ndarray, probabilities: np.ndarray, *, class_names: Sequence[str], least_iou: float = LEAST_IOU
) -> list[dict[str, Any]]:
    """Give counts of a case: truth [*S] int, probabilities [K, *S] -> class_name, threshold, found, missed, invented.

    A row per foreground class and threshold; a pixel is called the class where its probability reaches the
    threshold, and nothing where nobody judged (IGNORED).
    """
    rows, judged = [], truth != IGNORED
    for index, name in list(enumerate(class_names))[1:]:
        true, stated = truth == index, probabilities[index] * judged
        box = bounding_box(true | (stated >= THRESHOLDS[0]))  # in a volume most is background
        true, stated = true[box], stated[box]
        for threshold in THRESHOLDS:
            counted = detect(true, stated >= threshold, least_iou=least_iou)
            counts = {what: getattr(counted, what) for what in COUNTS}
            rows.append({"class_name": name, "threshold": threshold, **counts})
    return rows


def froc_table(detections: pd.DataFrame, *, resampling: Resampling = USUAL) -> pd.DataFrame:
    """Compute the curve of each model and class, with intervals over patients.

    Args:
        detections: the rows of `free_response` with model, case and patient.
        resampling: of the patients.

    Returns:
        One row per model, class and threshold: model, class_name, threshold, sensitivity (over all lesions; NaN where
        there is none), low, high, invented_per_image, n_lesions, n_cases.
    """
    records = []
    for (model, class_name), rows in parts(detections, ["model", "class_name"]) if len(detections) else ():
        patients, group = np.unique(texts(rows, "patient"), return_inverse=True)
        weights = resampling.weights(np.zeros(len(patients), int), "free response")
        levels, images = numbers(rows, "threshold"), len(distinct(rows, "case"))
        for threshold in THRESHOLDS:
            at = levels == threshold
            sums = {what: np.bincount(group[at], numbers(rows, what)[at], len(patients)) for what in COUNTS}
            detected, missed = sums["found"] @ weights, sums["missed"] @ weights
            lesions = detected + missed
            sensitivity = np.divide(detected, lesions, out=np.full(len(detected), np.nan), where=lesions > 0)
            low, high = resampling.interval(sensitivity[1:])
            records.append(
                {"model": model, "class_name": class_name, "threshold": threshold, "sensitivity": sensitivity[0],
                 "low": low, "high": high, "invented_per_image": sums["invented"].sum() / images,
                 "n_lesions": int(lesions[0]), "n_cases": images}
            )  # fmt: skip
    return pd.DataFrame(records)
