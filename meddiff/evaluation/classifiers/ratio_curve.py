"""Scores over the number of synthetic images per real one: does more help, and where does it stop?

Every point trains for the same number of optimizer steps, so a point does not differ from the next by longer training.
Ratio 0 is the arm of real images alone.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from meddiff.evaluation.classifiers.metrics import METRICS
from meddiff.evaluation.classifiers.scores import differences_of
from meddiff.evaluation.classifiers.study import Study
from meddiff.evaluation.rows import numbers, rows_where

REAL = "real"
COLUMNS = (
    *("ratio", "ratio_reached", "n_real", "n_synthetic", "arm", "metric", "estimate", "low", "high"),
    *("difference", "difference_low", "difference_high", "n_images", "n_groups", "n_seeds"),
)
"""Columns of `ratio_curve`, also where no ratio was asked for."""


def ratio_curve(
    study: Study, values: np.ndarray, scores: pd.DataFrame, arms: pd.DataFrame, *, confidence_level: float, seed: int
) -> pd.DataFrame:
    """One row per ratio and metric over all classes, from low ratios to high.

    ``scores`` is the table of all arms, ``values`` the resampled scores that it comes from; ``arms`` says of each arm
    its `ratio` (empty for an arm that is no point of the curve), n_real and n_synthetic. `difference` is to ratio 0;
    `ratio_reached` is lower than the `ratio` asked for where the filter kept fewer images.
    """
    points = arms.assign(ratio=np.where(arms["arm"] == REAL, 0.0, numbers(arms, "ratio")))
    points = rows_where(points, points["ratio"].notna() & points["arm"].isin(study.arms))
    if len(points) < 2 or REAL not in set(points["arm"]):
        return pd.DataFrame(columns=list(COLUMNS))
    gaps = differences_of(study, values, reference=REAL, confidence_level=confidence_level, seed=seed)
    gaps = gaps.rename(columns={"low": "difference_low", "high": "difference_high"})
    shown = ["arm", "metric", "difference", "difference_low", "difference_high"]
    gaps = pd.DataFrame(gaps, columns=shown).drop_duplicates(subset=["arm", "metric"])  # the classes' rows come later
    overall = [name for name, metric in METRICS.items() if not metric.per_class]
    found = points.assign(ratio_reached=points["n_synthetic"] / points["n_real"]).drop(columns="n_seeds")
    found = found.merge(rows_where(scores, scores["metric"].isin(overall)), on="arm")
    found = found.merge(gaps, on=["arm", "metric"], how="left")
    order = found["metric"].map(overall.index)
    found = found.assign(order=order).sort_values(["order", "ratio"]).reset_index(drop=True)
    return pd.DataFrame(found, columns=list(COLUMNS))
