"""Two runs compared case by case, and whether their test images are the same at all.

Runs on the same test images as one table: a row per run and arm, the best first.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from meddiff.errors import InputError
from meddiff.evaluation.classifiers.intervals import counted
from meddiff.evaluation.classifiers.metrics import BALANCED_ACCURACY, METRICS
from meddiff.evaluation.classifiers.scores import differences_of
from meddiff.evaluation.classifiers.study import read_study, resampled_scores
from meddiff.evaluation.classifiers.tests import paired_tests, with_holm
from meddiff.evaluation.images.distances import AGAINST_SYNTHETIC
from meddiff.evaluation.rows import distinct, rows_where
from meddiff.metrics.resampling import USUAL, Resampling

CASE = ["row_id", "group", "label"]


def digest_of_test_images(predictions: pd.DataFrame) -> str:
    """Compute a short hash of which images were judged, whose they are and of which class; no pixel goes into it."""
    cases = pd.DataFrame(predictions[CASE].astype(str)).drop_duplicates().sort_values(by="row_id")
    return hashlib.sha256(cases.to_csv(index=False, lineterminator="\n").encode()).hexdigest()[:16]


def check_same_test_images(runs: dict[str, pd.DataFrame]) -> str:
    """Compute the hash that the test images of all runs have: name of the run -> its predictions.

    Raises:
        InputError: the first run whose test images differ from those of the first, and how.
    """
    first, *others = runs
    wanted = digest_of_test_images(runs[first])
    for name in others:
        digest = digest_of_test_images(runs[name])
        if digest != wanted:
            ours, theirs = ({tuple(case) for case in runs[run][CASE].astype(str).to_numpy()} for run in (first, name))
            raise InputError(
                f"{name} was judged on other test images than {first} (hash {digest}, not {wanted}): "
                f"{counted(len(ours & theirs), 'image')} in both, {len(theirs - ours)} in {name} alone, "
                f"{len(ours - theirs)} in {first} alone. Scores on different images do not compare: run both on one "
                "manifest whose split column says what the test images are"
            )
    return wanted


def compared_runs(
    ours: pd.DataFrame,
    theirs: pd.DataFrame,
    class_names: Sequence[str],
    *,
    resampling: Resampling = USUAL,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Give each arm of a run minus the same arm of another, on the same test images: differences, and classical tests.

    The tables are those of `paired_differences` and `paired_tests` with the arm in `arm` and "against" in `reference`.
    Seeds that both runs have are paired. Raises InputError where they share no arm or no seed, or where the test
    images differ.
    """
    check_same_test_images({"the run": ours, "the run that it is compared with": theirs})
    arms = [arm for arm in distinct(ours, "arm") if arm in set(theirs["arm"])]
    seeds = [trained for trained in distinct(ours, "seed") if trained in set(theirs["seed"])]
    if not arms or not seeds:
        own = [
            f"{', '.join(distinct(table, 'arm'))} with {counted(len(distinct(table, 'seed')), 'seed')}"
            for table in (ours, theirs)
        ]
        raise InputError(f"the runs share no {'seed' if arms else 'arm'}: one has {own[0]}, the other {own[1]}")
    differences, tests = [], []
    for arm in arms:
        parts = [
            rows_where(table, (table["arm"] == arm) & table["seed"].isin(seeds)).assign(arm=name)
            for table, name in ((theirs, "against"), (ours, arm))
        ]
        study = read_study(pd.concat(parts), class_names)
        values = resampled_scores(study, resampling=resampling)
        differences.append(differences_of(study, values, reference="against", resampling=resampling))
        tests.append(paired_tests(study, reference="against"))
    return pd.concat(differences, ignore_index=True), with_holm(pd.concat(tests, ignore_index=True))


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
    """The part of a run that a leaderboard needs."""

    name: str
    settings: dict[str, Any]
    """Setting by its full name, such as "classifier.steps"."""
    phantom: bool
    predictions: pd.DataFrame
    arms: pd.DataFrame
    scores: pd.DataFrame
    distances: pd.DataFrame


def leaderboard(runs: Sequence[FinishedRun]) -> pd.DataFrame:
    """Compute one row per run and arm: data, training, metrics over all classes with their intervals, distances.

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
    entry: dict[str, Any] = {"run": run.name, "arm": arm, "dataset": run.settings["dataset"], "phantom": run.phantom}
    entry |= {name: trained[name] for name in ("n_real", "n_synthetic")}
    entry |= {column: run.settings[setting] for column, setting in SETTINGS.items()}
    for row in scores:
        name = row["metric"]
        if name in METRICS and not METRICS[name].per_class:
            entry |= {count: row[count] for count in ("n_images", "n_groups", "n_seeds")}
            entry |= {name: row["estimate"], f"{name}_low": row["low"], f"{name}_high": row["high"]}
    return entry | _distances(run.distances, with_synthetic=trained["n_synthetic"] > 0)


def _distances(distances: pd.DataFrame, *, with_synthetic: bool) -> dict[str, Any]:
    """Compute the distances of the run's synthetic images to held-out real ones, and the features that they are in."""
    values: dict[str, Any] = dict.fromkeys((*DISTANCES, "features"), np.nan)
    for row in distances.to_dict("records"):
        if with_synthetic and row["comparison"] == AGAINST_SYNTHETIC and row["metric"] in DISTANCES:
            values |= {row["metric"]: row["value"], "features": row["features"]}
    return values
