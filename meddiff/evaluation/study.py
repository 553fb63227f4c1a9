"""The long table of predictions as arrays, and every score of every arm in every resample of patients and seeds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from meddiff.errors import InputError
from meddiff.metrics.discrimination import mean_of_present, resampled_auroc, resampled_sensitivity
from meddiff.metrics.resampling import bootstrap_weights, rarest_class
from meddiff.seeds import child_seed

BALANCED_ACCURACY, MACRO_AUROC, SENSITIVITY = "balanced_accuracy", "macro_auroc", "sensitivity"


@dataclass(frozen=True)
class Metric:
    """A score in [0, 1] that can be computed for all resamples of the patients at once."""

    function: Callable[[np.ndarray, np.ndarray, np.ndarray, np.ndarray], np.ndarray]
    """(labels [N], probabilities [N, K], group [N], weights [G, R]) -> [R], or [R, K] if per class."""
    per_class: bool


METRICS: dict[str, Metric] = {
    BALANCED_ACCURACY: Metric(lambda *inputs: mean_of_present(resampled_sensitivity(*inputs)), per_class=False),
    MACRO_AUROC: Metric(lambda *inputs: mean_of_present(resampled_auroc(*inputs)), per_class=False),
    SENSITIVITY: Metric(resampled_sensitivity, per_class=True),
}
"""What `meddiff.evaluation.score` scores: a new metric is one line here."""


@dataclass(frozen=True)
class Study:
    """Predictions of several classifiers (arm x seed) on the same test images, as arrays."""

    class_names: tuple[str, ...]  # K
    arms: tuple[str, ...]  # A
    seeds: tuple[int, ...]  # S
    labels: np.ndarray  # [N] int, index into class_names
    group: np.ndarray  # [N] int in 0..G-1: the patient
    probabilities: np.ndarray  # [A, S, N, K]

    @property
    def metrics(self) -> list[tuple[str, str]]:
        """Metric and class name ("" for the averages) in the order of the last axis of `resampled_scores`."""
        return [
            (key, name) for key, kind in METRICS.items() for name in (self.class_names if kind.per_class else ("",))
        ]

    def counts(self, class_name: str) -> tuple[int, int]:
        """Images and patients of a class, or of all for ""."""
        chosen = self.labels == self.class_names.index(class_name) if class_name else np.ones(len(self.labels), bool)
        return int(chosen.sum()), len(np.unique(self.group[chosen]))


def read_study(predictions: pd.DataFrame, class_names: Sequence[str]) -> Study:
    """The long table of predictions as arrays; InputError for one that is incomplete (see `score`)."""
    columns = [f"p_{name}" for name in class_names]
    missing = [c for c in ("arm", "seed", "row_id", "group", "label", *columns) if c not in predictions.columns]
    if missing or predictions.empty:
        raise InputError(
            f"the predictions have {len(predictions)} rows and lack the column(s) {', '.join(missing) or '(none)'}: "
            "they need arm, seed, row_id, group, label and p_<class> for every class"
        )
    unnamed = int(predictions[["group", "label"]].isna().to_numpy().any(1).sum())
    if unnamed:
        raise InputError(f"{unnamed} rows have no group or no label: say whose image it is, and of which class")
    unknown = sorted(set(predictions["label"]) - set(class_names))
    if unknown:
        raise InputError(f"label(s) {', '.join(map(str, unknown))} are not among the classes {', '.join(class_names)}")
    arms, seeds = tuple(dict.fromkeys(predictions["arm"])), tuple(sorted(set(predictions["seed"])))
    rows = predictions.drop_duplicates("row_id").sort_values("row_id")
    counts = predictions.groupby(["arm", "seed"])["row_id"].agg(["size", "nunique"])
    if len(counts) != len(arms) * len(seeds) or not (counts.to_numpy() == len(rows)).all():
        raise InputError(
            f"every arm must be scored with the same seeds on the same images, each once; there are {len(rows)} images "
            f"and {len(seeds)} seeds, but rows (and images) per arm and seed are:\n{counts.to_string(header=False)}"
        )
    if (predictions.groupby("row_id")[["group", "label"]].nunique(dropna=False).to_numpy() > 1).any():
        raise InputError("some images have another group or label in another arm: predict from one manifest")
    ordered = predictions.set_index(["arm", "seed", "row_id"]).sort_index()[columns]
    return Study(
        class_names=tuple(class_names),
        arms=arms,
        seeds=seeds,
        labels=np.array([list(class_names).index(label) for label in rows["label"]]),
        group=np.unique(rows["group"].astype(str), return_inverse=True)[1],
        probabilities=np.stack([[ordered.loc[(a, s)].to_numpy(np.float64) for s in seeds] for a in arms]),
    )


def resampled_scores(study: Study, *, resamples: int, seed: int) -> np.ndarray:
    """Every metric of `Study.metrics` for every seed in every resample of the patients: [A, S, resamples + 1, M].

    Resample 0 is the data themselves.
    """
    generator = np.random.default_rng(child_seed(seed, "evaluation", "patients"))
    strata = rarest_class(study.labels, study.group, len(study.class_names))
    patients = bootstrap_weights(strata, resamples, generator)  # [G, R]
    scores = np.empty((len(study.arms), len(study.seeds), resamples + 1, len(study.metrics)))
    for a, s in np.ndindex(scores.shape[:2]):
        inputs = study.labels, study.probabilities[a, s], study.group, patients
        scores[a, s] = np.column_stack([metric.function(*inputs) for metric in METRICS.values()])
    return scores


def over_seeds(values: np.ndarray, *, seed: int) -> np.ndarray:
    """Mean over the seeds in every resample, spread by what is not known about the seeds' mean.

    values [S, R + 1, M] -> [R + 1, M]. To each resample is added Student's t with S - 1 degrees of freedom times the
    standard error of the mean over seeds, so that where patients do not matter the percentiles are the t-interval of
    the seeds (Weerahandi 1993, "Generalized confidence intervals"). Resample 0 stays the plain mean. One seed says
    nothing about its spread: nothing is added.
    """
    seeds = len(values)
    if seeds == 1:
        return values[0]
    generator = np.random.default_rng(child_seed(seed, "evaluation", "seeds"))
    student = np.concatenate([[0.0], generator.standard_t(seeds - 1, size=values.shape[1] - 1)])
    return values.mean(0) + student[:, None] * values[:, 0].std(0, ddof=1) / np.sqrt(seeds)
