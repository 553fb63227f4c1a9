"""What the report of a segmentation is made of: tables that were computed before, pictures and a few sentences."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pandas as pd

from meddiff.reporting.bibliography import CitedSentence
from meddiff.reporting.gallery import GalleryCase


@dataclass(frozen=True)
class SegmentationReport:
    """All that the page shows; an empty table means: not measured."""

    title: str
    headline: str
    phantom: bool
    baselines: tuple[str, ...]
    """Names among the models that are no diffusion model; the first of `reference` is the best of them."""
    reference: str
    """The baseline that the others are compared with; "" where there is none."""
    group_noun: str
    cases: pd.DataFrame
    """The long table of meddiff.evaluation.masks.cases."""
    summary: pd.DataFrame
    differences: pd.DataFrame
    uncertainty: pd.DataFrame
    case_dice: pd.DataFrame
    """One row per model and case: dice, uncertainty; of the models that state uncertainties."""
    calibration: pd.DataFrame
    """Bins, as meddiff.evaluation.masks.calibration.Reliability.to_frame makes them."""
    calibration_errors: pd.DataFrame
    free_response: pd.DataFrame
    """Lesions found and invented at each threshold, as meddiff.evaluation.masks.detections.froc_table makes them."""
    soft: pd.DataFrame
    """Likelihood, Brier score and distance to several raters, as meddiff.evaluation.masks.summary.soft_summary."""
    gallery: tuple[GalleryCase, ...]
    methods: tuple[CitedSentence, ...]
    """On models and training; what was measured, and how, is said by the report itself."""
    provenance: dict[str, Any]
    confidence_level: float
    resamples: int
