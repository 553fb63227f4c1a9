"""What the report of a set of synthetic images is made of: tables that were computed before, pictures, a few words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from meddiff.reporting.content import NearestPair


@dataclass(frozen=True)
class ImageReport:
    """All that the page shows; an empty table or list means: not measured."""

    title: str
    headline: str
    phantom: bool
    quality: pd.DataFrame
    """As `meddiff.evaluation.images.quality.image_quality` makes it."""
    unbiased: float
    """Frechet distance extrapolated to infinitely many images; NaN where there are too few."""
    unbiased_note: str
    """Why there is none."""
    copies: pd.DataFrame
    """As `meddiff.evaluation.images.copies.Copies.table`; empty where the training images were not given."""
    statistics: pd.DataFrame
    false_positive_rate: float
    real: list[np.ndarray]
    """Some images drawn at random, uint8 [H, W, 3]."""
    synthetic: list[np.ndarray]
    nearest: list[NearestPair]
    """Synthetic images with their nearest training image, or real image where there are no training images."""
    held_out_nearest: list[NearestPair]
    group_noun: str
    notes: tuple[str, ...]
    """What happened to the data: files left out, sets cut."""
    provenance: dict[str, Any]
    confidence_level: float
