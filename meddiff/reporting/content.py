"""What a report is made of: tables, pictures and a few sentences."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd


@dataclass(frozen=True)
class Gallery:
    """Some images of one class, drawn at random (the page says so): uint8 [H, W] or [H, W, 3]."""

    class_name: str
    real: list[np.ndarray]
    synthetic: list[np.ndarray]


@dataclass(frozen=True)
class NearestPair:
    """An image and the training image nearest to it. Among held-out pairs, `synthetic` is the held-out real one."""

    synthetic: np.ndarray
    real: np.ndarray
    distance: float
    synthetic_id: str
    real_id: str


@dataclass(frozen=True)
class AugmentationReport:
    """All that the report of an augmentation study shows; an empty table means: not measured in this run.

    The columns that a table must have are in meddiff.report.REQUIRED_COLUMNS; others are shown under their name.
    In `scores` and `differences`, `class_name` is empty or missing in the rows over all classes.
    """

    title: str
    headline: str
    phantom: bool
    data: pd.DataFrame
    split_note: str
    skipped: pd.DataFrame
    scores: pd.DataFrame
    differences: pd.DataFrame
    distances: pd.DataFrame
    galleries: list[Gallery]
    nearest: list[NearestPair]
    held_out_nearest: list[NearestPair]
    copies: pd.DataFrame
    filter_counts: pd.DataFrame
    log: pd.DataFrame
    stages: pd.DataFrame
    environment: dict[str, Any]
    recipe: dict[str, Any]
    recipe_differences: dict[str, Any]
    tests: pd.DataFrame = field(default_factory=pd.DataFrame)
    subgroups: pd.DataFrame = field(default_factory=pd.DataFrame)
    curve: pd.DataFrame = field(default_factory=pd.DataFrame)
    arms: pd.DataFrame = field(default_factory=pd.DataFrame)
    """These four are described in meddiff.evaluation.classifiers.tables."""
    group_noun: str = "patient"
    """What the groups are that no split cuts: patient, lesion, image, or group where some are one and some another."""
    provenance: dict[str, Any] = field(default_factory=dict)
    """Data, seeds, energy; nested as it likes. What the recipe and the environment say is not repeated."""
