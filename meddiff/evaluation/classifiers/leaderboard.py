"""Runs on the same test images as one table: a row per run and arm, the best first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from meddiff.evaluation.classifiers.metrics import BALANCED_ACCURACY, METRICS
from meddiff.evaluation.classifiers.runs import check_same_test_images
from meddiff.evaluation.images.distances import AGAINST_SYNTHETIC
from meddiff.evaluation.rows import distinct, rows_where

DISTANCES = ("frechet_distance", "kernel_distance")
ABOUT = ("run", "arm", "dataset", "phantom", "test_images", "n_images", "n_groups", "n_seeds", "n_real", "n_synthetic")
SETTINGS = {
    "network": "classifier.network",
    "image_size": "data.image_size",
    "steps": "classifier.steps",
    "seed": "seed",
    "resamples": "evaluation.resamples",
    "confidence_level": "evaluation.confidence_level",
}
"""Column -> the setting of the recipe that it shows."""


@dataclass(frozen=True)
class FinishedRun:
    """What a leaderboard needs of a run."""

    name: str
    settings: dict[str, Any]
    """Setting by its full name, such as "classifier.steps"."""
    phantom: bool
    predictions: pd.DataFrame
    arms: pd.DataFrame
    scores: pd.DataFrame
    distances: pd.DataFrame


def leaderboard(runs: Sequence[FinishedRun]) -> pd.DataFrame:
    """One row per run and arm: data, training, metrics over all classes with their intervals, distances.

    The distances are those of the synthetic images of the arms that have some to held-out real ones; they compare only
    where `features` is the same. `test_images` is the hash of which images were judged. Sorted by balanced accuracy:
    whether two rows differ by more than chance, `evaluate augmentation --against` says. Raises InputError for runs
    whose test images differ.
    """
    digest = check_same_test_images({run.name: run.predictions for run in runs})
    rows = [_row(run, arm) | {"test_images": digest} for run in runs for arm in distinct(run.scores, "arm")]
    table = pd.DataFrame(rows)
    columns = [*ABOUT, *SETTINGS, *(name for name in table.columns if name not in (*ABOUT, *SETTINGS))]
    return pd.DataFrame(table, columns=columns).sort_values(by=BALANCED_ACCURACY, ascending=False, ignore_index=True)


def _row(run: FinishedRun, arm: str) -> dict[str, Any]:
    scores: list[dict[Any, Any]] = rows_where(run.scores, run.scores["arm"] == arm).to_dict("records")
    trained = rows_where(run.arms, run.arms["arm"] == arm).to_dict("records")[0]
    found: dict[str, Any] = {"run": run.name, "arm": arm, "dataset": run.settings["dataset"], "phantom": run.phantom}
    found |= {name: trained[name] for name in ("n_real", "n_synthetic")}
    found |= {column: run.settings[setting] for column, setting in SETTINGS.items()}
    for row in scores:
        name = row["metric"]
        if name in METRICS and not METRICS[name].per_class:
            found |= {count: row[count] for count in ("n_images", "n_groups", "n_seeds")}
            found |= {name: row["estimate"], f"{name}_low": row["low"], f"{name}_high": row["high"]}
    return found | _distances(run.distances, with_synthetic=trained["n_synthetic"] > 0)


def _distances(distances: pd.DataFrame, *, with_synthetic: bool) -> dict[str, Any]:
    """The distances of the run's synthetic images to held-out real ones, and the features that they are in."""
    found: dict[str, Any] = dict.fromkeys((*DISTANCES, "features"), np.nan)
    for row in distances.to_dict("records"):
        if with_synthetic and row["comparison"] == AGAINST_SYNTHETIC and row["metric"] in DISTANCES:
            found |= {row["metric"]: row["value"], "features": row["features"]}
    return found
