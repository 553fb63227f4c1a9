"""A truth and a prediction -> one row per foreground class; every figure of a segmentation comes from these rows.

The long table has the columns model, case, patient, class_name, then those of `case_scores`. Nothing is dropped from
it. Policy for what has nothing to measure:

=====================  ==========================================  =================================================
`empty`                overlap, boundary IoU, lesion F1, NSD        distances
=====================  ==========================================  =================================================
``both``               1: rightly called empty                      0
``truth``              0: a false alarm (sensitivity NaN)           infinite
``prediction``         0: missed (precision NaN)                    infinite
=====================  ==========================================  =================================================

A prediction that is missing altogether is not an empty one: it fails (`failed_case_scores`), also where the truth is
empty. Infinite distances stay infinite in the table. A mean over cases takes the image's `diagonal` for them, the
largest distance that there can be (Maier-Hein et al. 2024, "Metrics reloaded": the worst value for a missing one).

Distances are in millimeters where the spacing is known, in pixels where it is not; the column `unit` says which, and
no mean is taken over both.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf, nan
from typing import Any

import numpy as np

from meddiff.errors import InputError
from meddiff.formats.masks import IGNORED
from meddiff.metrics.masks.lesions import detect
from meddiff.metrics.masks.overlap import Overlap, overlap
from meddiff.metrics.masks.surface import boundary_iou, surface_distances_mm, surface_distances_px

LEAST_IOU = 0.1  # of a lesion with its prediction to count as found: low, since it asks whether, not how well
RIM = 0.02  # width of the boundary IoU's rim as a share of the image's diagonal, as in its paper


@dataclass(frozen=True)
class MaskMetric:
    """The reading of a column of the long table."""

    title: str
    short: str  # the head of a narrow column
    higher_is_better: bool
    distance: bool = False  # in `unit`, and infinite where a mask is empty


METRICS = {
    "dice": MaskMetric("Dice", "Dice", True),
    "iou": MaskMetric("IoU", "IoU", True),
    "sensitivity": MaskMetric("Sensitivity", "Sensitivity", True),
    "precision": MaskMetric("Precision", "Precision", True),
    "specificity": MaskMetric("Specificity", "Specificity", True),
    "boundary_iou": MaskMetric("Boundary IoU", "Boundary IoU", True),
    "nsd": MaskMetric("Normalized surface distance", "NSD", True),
    "lesion_f1": MaskMetric("Lesion-wise F1", "Lesion F1", True),
    "hausdorff": MaskMetric("Hausdorff distance", "HD", False, True),
    "hausdorff95": MaskMetric("Hausdorff distance, 95%", "HD95", False, True),
    "assd": MaskMetric("Average surface distance", "ASSD", False, True),
    "absolute_volume_error": MaskMetric("Relative volume error (absolute)", "Volume error", False),
}
"""The measured columns that a summary is made of."""
EMPTY = {"both empty": "both", "false alarm": "truth", "missed": "prediction", "both present": ""}


def case_scores(
    truth: np.ndarray,
    prediction: np.ndarray,
    *,
    class_names: Sequence[str],
    spacing_mm: Sequence[float] | None,
    tolerance_mm: float = 2.0,
    tolerance_px: float = 2.0,
) -> list[dict[str, Any]]:
    """Compute every metric of every foreground class of one case.

    Args:
        truth: class indices [*S], 2D or 3D; IGNORED where nobody judged, and nothing counts there.
        prediction: the same, on the grid of the truth; IGNORED is no class.
        class_names: of all classes, background first: index k is ``class_names[k]``.
        spacing_mm: along the array's axes; None where nobody knows it, and distances are in pixels then.
        tolerance_mm: of the normalized surface distance where the spacing is known.
        tolerance_px: the same where it is not.

    Returns:
        One dict per foreground class: class_name, empty, failure (""), the columns of `METRICS`, unit, tolerance,
        diagonal (of the image, in that unit), relative_volume_error, truth_pixels, prediction_pixels, lesions_found,
        lesions_missed, lesions_invented.

    Raises:
        InputError: masks of two grids, values outside the classes, a spacing that does not fit.
    """
    _check(truth, prediction, class_names, spacing_mm)
    tolerance, unit = (tolerance_px, "px") if spacing_mm is None else (tolerance_mm, "mm")
    extent = np.asarray(truth.shape) * (1.0 if spacing_mm is None else np.asarray(spacing_mm, float))
    place = {"unit": unit, "tolerance": tolerance, "diagonal": float(np.linalg.norm(extent))}
    rows = []
    judged = truth != IGNORED
    for index, name in list(enumerate(class_names))[1:]:
        masks = truth == index, (prediction == index) & judged
        shapes = _shape_scores(*masks, spacing_mm, tolerance)
        counted = overlap(masks[0][judged], masks[1][judged])
        rows.append({"class_name": name, **_overlap_scores(counted), **shapes, **place, "failure": ""})
    return rows


def failed_case_scores(
    truth: np.ndarray, *, class_names: Sequence[str], spacing_mm: Sequence[float] | None, failure: str
) -> list[dict[str, Any]]:
    """Compute the rows of a case without any prediction: the worst of every metric, and ``failure`` says why."""
    worst: dict[str, Any] = {name: 0.0 if metric.higher_is_better else inf for name, metric in METRICS.items()}
    worst |= {"prediction_pixels": 0, "lesions_found": 0, "lesions_invented": 0, "relative_volume_error": nan}
    rows = case_scores(truth, np.zeros_like(truth), class_names=class_names, spacing_mm=spacing_mm)
    return [{**row, **worst, "failure": failure} for row in rows]


def jensen_check(dice: float, iou: float, *, decimals: int | None = None) -> str:
    """Say why a mean Dice and a mean IoU cannot come from the same masks, in a sentence; empty where they can.

    Of one mask IoU = f(Dice) with f(D) = D / (2 - D), which is convex and below D. So by Jensen's inequality
    ``f(mean Dice) <= mean IoU <= mean Dice``, however the cases are distributed. ``decimals`` is what a published pair
    was rounded to (of a share, not of percent): each may then be off by half of the last one.
    """
    if not (0 <= dice <= 1 and 0 <= iou <= 1):
        raise InputError(f"got Dice {dice} and IoU {iou}: give shares in [0, 1], not percent")
    slack = 1e-9 if decimals is None else 0.5 * 10.0**-decimals
    low, high = max(dice - slack, 0.0), min(dice + slack, 1.0)
    if iou + slack < low / (2 - low):
        return (
            f"a mean IoU of {iou:.4g} cannot belong to a mean Dice of {dice:.4g}: on the same masks it is at least "
            f"{dice / (2 - dice):.4f}"
        )
    if iou - slack > high:
        return f"a mean IoU of {iou:.4g} cannot belong to a mean Dice of {dice:.4g}: IoU is never above Dice"
    return ""


def _overlap_scores(counted: Overlap) -> dict[str, Any]:
    names = ("dice", "iou", "sensitivity", "precision", "specificity", "relative_volume_error")
    return {
        "empty": EMPTY[counted.outcome],
        **{name: getattr(counted, name) for name in names},
        "absolute_volume_error": abs(counted.relative_volume_error),
        "truth_pixels": counted.true_positive + counted.false_negative,
        "prediction_pixels": counted.true_positive + counted.false_positive,
    }


def _shape_scores(
    truth: np.ndarray, prediction: np.ndarray, spacing_mm: Sequence[float] | None, tolerance: float
) -> dict[str, Any]:
    """Compute score surfaces and lesions in the box that holds both masks: the rest of an image is background.

    Beyond an image counts as background too, so the box changes nothing but the time (tested).
    """
    diagonal, box = float(np.linalg.norm(truth.shape)), bounding_box(truth | prediction)
    truth, prediction = truth[box], prediction[box]
    if spacing_mm is None:
        distances = surface_distances_px(truth, prediction)
    else:
        distances = surface_distances_mm(truth, prediction, spacing_mm)
    lesions = detect(truth, prediction, least_iou=LEAST_IOU)
    return {
        "hausdorff": distances.hausdorff,
        "hausdorff95": distances.hausdorff95,
        "assd": distances.average,
        "nsd": distances.share_within(tolerance),
        "boundary_iou": boundary_iou(truth, prediction, width=RIM * diagonal / float(np.linalg.norm(truth.shape))),
        "lesion_f1": lesions.f1,
        "lesions_found": lesions.found,
        "lesions_missed": lesions.missed,
        "lesions_invented": lesions.invented,
    }


def bounding_box(mask: np.ndarray) -> tuple[slice, ...]:
    """Compute the smallest box around a mask; one pixel of background where it is empty."""
    places = np.nonzero(mask)
    if not len(places[0]):
        return (slice(0, 1),) * mask.ndim
    return tuple(slice(int(axis.min()), int(axis.max()) + 1) for axis in places)


def _check(
    truth: np.ndarray, prediction: np.ndarray, class_names: Sequence[str], spacing_mm: Sequence[float] | None
) -> None:
    if len(class_names) < 2:
        raise InputError(
            f"got class names {list(class_names)}: name all classes, background first, such as background, lesion"
        )
    if truth.ndim not in (2, 3) or not truth.size:
        raise InputError(f"got a truth of shape {truth.shape}: a mask has two or three axes and at least one pixel")
    if truth.shape != prediction.shape:
        raise InputError(
            f"the truth is {truth.shape} and the prediction {prediction.shape}: bring the prediction to the grid of "
            "the truth first"
        )
    if spacing_mm is not None and (len(spacing_mm) != truth.ndim or not all(edge and edge > 0 for edge in spacing_mm)):
        raise InputError(
            f"got spacing_mm {list(spacing_mm)} for a mask of {truth.ndim} axes: give one positive number per axis, or "
            "None where it is unknown"
        )
    for name, mask in (("truth", truth), ("prediction", prediction)):
        values = np.unique(mask)
        unknown = [value for value in values.tolist() if value not in range(len(class_names)) and value != IGNORED]
        if unknown:
            raise InputError(
                f"the {name} has the values {unknown[:5]}, but the classes are 0 to {len(class_names) - 1} "
                f"({', '.join(class_names)}): name every class, or map its values first"
            )
