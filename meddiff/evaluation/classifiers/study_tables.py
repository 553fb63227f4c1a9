"""All tables of an augmentation study from its long table of predictions; each has one sentence in DESCRIPTIONS.

Scores over the number of synthetic images per real one: does more help, and where does it stop?

Every point trains for the same number of optimizer steps, so a point does not differ from the next by longer training.
Ratio 0 is the arm of real images alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from meddiff.evaluation.classifiers.metrics import METRICS
from meddiff.evaluation.classifiers.scores import best_reference, differences_of, plain_balanced_accuracy, scores_of
from meddiff.evaluation.classifiers.study import Study, resampled_scores
from meddiff.evaluation.classifiers.subgroups import subgroup_scores
from meddiff.evaluation.classifiers.tests import paired_tests
from meddiff.evaluation.rows import numbers, rows_where
from meddiff.metrics.resampling import USUAL, Resampling

DESCRIPTIONS = {
    "scores": "Every metric of every arm, mean over the seeds, with its interval over patients and seeds.",
    "differences": "Each arm minus the best arm without synthetic images, on the same patients and seeds.",
    "tests": "DeLong's test of AUROC and McNemar's of accuracy against the same arm, by patient, adjusted after Holm.",
    "subgroups": "Scores by sex, age, body site, data set and estimated skin tone, and the difference in each group.",
    "curve": "Scores over the number of synthetic images per real one, at the same number of optimizer steps.",
    "arms": "What each arm was trained on.",
}


@dataclass(frozen=True)
class StudyTables:
    """The tables that DESCRIPTIONS describes; `subgroups`, `curve` and `tests` may be empty."""

    scores: pd.DataFrame
    differences: pd.DataFrame
    tests: pd.DataFrame
    subgroups: pd.DataFrame
    curve: pd.DataFrame
    arms: pd.DataFrame


def study_tables(
    study: Study,
    *,
    reference_arms: Sequence[str],
    attributes: pd.DataFrame,
    arms: pd.DataFrame,
    resampling: Resampling = USUAL,
) -> StudyTables:
    """Compute the tables of a study.

    Args:
        study: from `read_study`, with validation predictions where there are any.
        reference_arms: the arms without synthetic images; all others are compared with the best of them.
        attributes: what is known of each test image, from `attributes_of`.
        arms: arm, ratio, n_real and n_synthetic of each arm.
        resampling: of the patients.

    Raises:
        InputError: a reference arm that is not there, a test image that nothing is known of.
    """
    reference = best_reference(plain_balanced_accuracy(study), reference_arms)
    values = resampled_scores(study, resampling=resampling)
    scores = scores_of(study, values, resampling=resampling)
    return StudyTables(
        scores=scores,
        differences=differences_of(study, values, reference=reference, resampling=resampling),
        tests=paired_tests(study, reference=reference),
        subgroups=subgroup_scores(study, attributes, reference=reference, resampling=resampling),
        curve=ratio_curve(study, values, scores, arms, resampling=resampling),
        arms=arms,
    )  # fmt: skip


REAL = "real"
COLUMNS = (
    *("ratio", "ratio_reached", "n_real", "n_synthetic", "arm", "metric", "estimate", "low", "high"),
    *("difference", "difference_low", "difference_high", "n_images", "n_groups", "n_seeds"),
)
"""Columns of `ratio_curve`, also where no ratio was asked for."""


def ratio_curve(
    study: Study, values: np.ndarray, scores: pd.DataFrame, arms: pd.DataFrame, *, resampling: Resampling
) -> pd.DataFrame:
    """Compute one row per ratio and metric over all classes, from low ratios to high.

    ``scores`` is the table of all arms, ``values`` the resampled scores that it comes from; ``arms`` says of each arm
    its `ratio` (empty for an arm that is no point of the curve), n_real and n_synthetic. `difference` is to ratio 0;
    `ratio_reached` is lower than the `ratio` asked for where the filter kept fewer images.
    """
    points = arms.assign(ratio=np.where(arms["arm"] == REAL, 0.0, numbers(arms, "ratio")))
    points = rows_where(points, points["ratio"].notna() & points["arm"].isin(study.arms))
    if len(points) < 2 or REAL not in set(points["arm"]):
        return pd.DataFrame(columns=list(COLUMNS))
    gaps = differences_of(study, values, reference=REAL, resampling=resampling)
    gaps = gaps.rename(columns={"low": "difference_low", "high": "difference_high"})
    shown = ["arm", "metric", "difference", "difference_low", "difference_high"]
    gaps = pd.DataFrame(gaps, columns=shown).drop_duplicates(subset=["arm", "metric"])  # the classes' rows come later
    overall = [name for name, metric in METRICS.items() if not metric.per_class]
    curve = points.assign(ratio_reached=points["n_synthetic"] / points["n_real"]).drop(columns="n_seeds")
    curve = curve.merge(rows_where(scores, scores["metric"].isin(overall)), on="arm")
    curve = curve.merge(gaps, on=["arm", "metric"], how="left")
    order = curve["metric"].map(overall.index)
    curve = curve.assign(order=order).sort_values(["order", "ratio"]).reset_index(drop=True)
    return pd.DataFrame(curve, columns=list(COLUMNS))
